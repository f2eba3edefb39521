"""The steps of a migration, each of which can be done again, and undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.names import IPAddress, object_name
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.registration import Registration
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, SERVICES
from lbprovider.api.segment import Segment
from lbprovider.errors import Conflict, UserError
from lbprovider.ipam.reasons import some
from lbprovider.ipam.request import shown_by
from lbprovider.kube.ports import Api
from lbprovider.migrating import shutting
from lbprovider.migrating.groups import Group, groups
from lbprovider.migrating.handover import Handover, Say
from lbprovider.migrating.looking import Sight, look
from lbprovider.migrating.waiting import until
from lbprovider.migrating.workloads import Gate, Workloads

ADOPTED: Final = 120.0
"""Seconds for our controller to come up and adopt all addresses: 10,000 take it about a minute."""


VOTING: Final = 120.0
"""Seconds for all speakers to become members of their LANs: they join some seconds after they hear each other."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Args:
        title: what it does, as an order.
        back: how an admin undoes it by hand.
        do: does it; what is done already costs nothing.
        undo: undoes it, in the same way.
    """

    title: str
    back: str
    do: Callable[[], Awaitable[None]]
    undo: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the two run."""

    namespace: str
    metallb: str


class Migration:
    """Moves a cluster's Services from MetalLB to lbprovider.

    Args:
        api: the API server, as the admin.
        place: the namespaces.
        sight: the cluster, as it was looked at last.
        clock: seconds, monotonic.
        wall: seconds since 1970.
        say: told each line.
    """

    def __init__(
        self,
        api: Api,
        place: Place,
        sight: Sight,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        say: Say,
    ) -> None:
        self._api = api
        self._place = place
        self._sight = sight
        self._wall = wall
        self._say = say
        self._workloads = Workloads(api)
        self._gate = Gate(api, place.metallb)
        self._handover = Handover(api, place.namespace, place.metallb, clock=clock, say=say)
        self.steps = self._steps()

    @property
    def silences(self) -> Mapping[IPAddress, float]:
        """For each address that was handed over, how long nobody answered at most, in seconds."""
        return self._handover.silences

    async def run(self) -> None:
        """All steps.

        Raises:
            UserError: one can't be done; what was done stays, and a second run goes on there.
            ClusterError: the API server refuses, or doesn't answer; the same.
        """
        for number, step in enumerate(self.steps, start=1):
            self._say(f"[{number}/{len(self.steps)}] {step.title}")
            await step.do()

    async def roll_back(self) -> None:
        """Everything back, the last step first.

        Raises:
            UserError: a step can't be undone; a second run goes on there.
            ClusterError: the API server refuses, or doesn't answer; the same.
        """
        for step in reversed(self.steps):
            self._say(f"undoing: {step.title}")
            await step.undo()

    def _steps(self) -> tuple[Step, ...]:
        metallb, ours = self._sight.metallb, self._sight.ours
        carried = self._sight.carried
        # Where nothing says that MetalLB's speakers have stopped, their end does.
        ended_first = not self._sight.keeps_speakers and (bool(carried.legacy) or not self._sight.statuses)
        together = groups(carried.reach, together=ended_first)
        deployment, daemon_set = metallb.controller.key, metallb.speakers.key
        steps = [
            Step(
                "let changes of MetalLB's objects pass while its webhook doesn't answer",
                "set failurePolicy of MetalLB's ValidatingWebhookConfiguration back to Fail",
                self._gate.loosen,
                self._gate.tighten,
            ),
            Step(
                f"switch MetalLB's controller off (Deployment {deployment})",
                f"scale Deployment {deployment} up again",
                self._stop_metallb,
                self._start_metallb,
            ),
            Step(
                f"write pools and advertisements into {self._place.namespace}, where they wait, and have lbprovider's "
                "controller adopt the addresses",
                f"scale Deployment {ours.controller.key} to 0",
                self._adopt,
                lambda: self._workloads.stop(ours.controller),
            ),
            Step(
                "see that lbprovider's speakers are ready, and vote on every LAN of these addresses",
                f"delete DaemonSet {ours.speakers.key}, once its L2Advertisements are gone",
                self._begin_ours,
                self._end_ours,
            ),
        ]
        shut = [self._shut(group) for group in together] if ended_first else []

        async def end_metallb() -> None:
            for group in together if ended_first else ():
                self._handover.silent_from_now(group)
            await self._workloads.withdraw(metallb.speakers, lambda node: self._say(f"  {node}: off"))

        off = Step(
            f"take MetalLB's speakers off the nodes (DaemonSet {daemon_set})",
            f"take the label that begins with lbprovider.io out of the nodeSelector of DaemonSet {daemon_set}",
            end_metallb,
            lambda: self._workloads.bring_back(metallb.speakers, ready=False),
        )
        over = [self._hand_over(group, ended=ended_first) for group in together]
        if ended_first:
            steps += [*shut, off, *over]
        else:
            steps += over if self._sight.keeps_speakers else [*over, off]
        return tuple(steps)

    def _shut(self, group: Group) -> Step:
        return Step(
            f"have MetalLB announce {some(group.pools)} no more",
            "put spec.nodeSelectors of MetalLB's L2Advertisements back as their annotation has it",
            lambda: self._handover.shut_metallb(group),
            lambda: self._handover.open_metallb(group),
        )

    def _hand_over(self, group: Group, *, ended: bool) -> Step:
        async def do() -> None:
            await self._handover.hand_over(group, self._sight, speakers_gone=ended)

        async def undo() -> None:
            # Ours have ended before: the step above is undone after this one, so here they end first.
            await self._handover.shut_ours(group)
            await self._workloads.withdraw(self._sight.ours.speakers, lambda _: None)
            await self._handover.open_metallb(group)

        pools, names = some(group.pools), some(group.advertisements)
        return Step(
            f"hand over {pools}: MetalLB's L2Advertisements {names} are shut, then ours opened",
            f"delete L2Advertisements {names} in {self._place.namespace}, and put spec.nodeSelectors of MetalLB's back "
            "as their annotation has it",
            do,
            undo,
        )

    async def _stop_metallb(self) -> None:
        await self._workloads.stop(self._sight.metallb.controller)
        await self._look_again()

    async def _start_metallb(self) -> None:
        await self._workloads.start(self._sight.metallb.controller, ready=True)

    async def _begin_ours(self) -> None:
        await self._workloads.bring_back(self._sight.ours.speakers, ready=True)
        await self._look_again()  # who may announce what is known now
        await self._await_votes()

    async def _await_votes(self) -> None:
        """Until each address has its LAN, and all speakers there vote: while they join, an owner may wait for them."""
        wanted = {
            object_name(address)
            for one in self._sight.prospects
            for address, pool in one.pools.items()
            if pool in self._sight.carried.by_layer2 and address not in one.unannounced
        }
        segments: set[str] = set()

        def placed(found: Mapping[str, IPAllocation]) -> str:
            segments.update(found[name].spec.segment for name in wanted & found.keys() if found[name].spec.segment)
            left = some(sorted(name for name in wanted if name not in found or not found[name].spec.segment))
            return left and f"lbprovider's controller has found no LAN for {left}"

        def voting(found: Mapping[str, Segment]) -> str:
            left = some(sorted(name for name in segments if not _all_vote(found.get(name), self._sight.registrations)))
            return left and f"not all speakers vote on {left} yet: kubectl describe segments says whom they don't hear"

        await until(self._api, ALLOCATIONS, placed, within=VOTING)
        await until(self._api, SEGMENTS, voting, within=VOTING)

    async def _end_ours(self) -> None:
        """So that nothing of ours answers when MetalLB does."""
        await self._workloads.withdraw(self._sight.ours.speakers, lambda node: self._say(f"  {node}: off"))

    async def _look_again(self) -> None:
        """MetalLB's controller gives no address any more: what there is now is what is to be kept."""
        self._sight = await look(self._api, self._place.namespace, self._place.metallb, self._wall())
        if self._sight.problems:
            raise UserError(
                f"{some(self._sight.problems)} (this has changed since the plan was made; nothing is lost, MetalLB's "
                "speakers go on: mend it and run the same again, or with --rollback)"
            )

    async def _adopt(self) -> None:
        controller = self._sight.ours.controller
        pools = [one for one in self._sight.carried.pools if one.key not in self._sight.known.pools]
        waiting = [
            one for one in self._sight.carried.advertisements if one.key not in self._sight.known.advertisements
        ]  # fmt: skip
        if pools or waiting:
            # With some of the pools and not yet the others, it would give new addresses for those outside them.
            await self._workloads.stop(controller)
            for advertisement in waiting:
                await self._create_waiting(advertisement)
            for pool in pools:
                try:
                    await self._api.create(POOLS, pool)
                except Conflict:
                    raise UserError(f"IPAddressPool {pool.key} has come meanwhile; run the same again") from None
        await self._workloads.start(controller, ready=True)
        await self._await_adopted()

    async def _create_waiting(self, advertisement: L2Advertisement) -> None:
        try:
            await self._api.create(ADVERTISEMENTS, shutting.shut(advertisement))
        except Conflict:
            raise UserError(
                f"L2Advertisement {advertisement.key} has come meanwhile; run the same again"
            ) from None  # fmt: skip

    async def _await_adopted(self) -> None:
        """Until each address has an IPAllocation of its Service, and each advertisement its pools."""
        current = {one.key: one for one in (await self._api.list(SERVICES)).objects}
        wanted = {
            (object_name(address), one.uid)
            for one in self._sight.prospects
            for address in one.now
            if one.key in current and current[one.key].metadata.uid == one.uid
        }

        def missing(found: Mapping[str, IPAllocation]) -> str:
            held = {(name, claim.uid) for name, one in found.items() for claim in one.spec.services}
            left = some(sorted({name for name, _ in wanted - held}))
            return left and (
                f"lbprovider's controller has not adopted {left}; MetalLB's speakers go on announcing: see the "
                "controller's log, then run the same again, or with --rollback"
            )

        await until(self._api, ALLOCATIONS, missing, within=ADOPTED)
        await until(self._api, ADVERTISEMENTS, self._unresolved, within=ADOPTED, namespace=self._place.namespace)
        await self._check_statuses()

    def _unresolved(self, found: Mapping[str, L2Advertisement]) -> str:
        left = [
            one.metadata.name
            for one in self._sight.carried.advertisements
            if one.key not in found or not _pools_of(one, self._sight) <= set(found[one.key].status.pools)
        ]
        return some(left) and f"lbprovider's controller has not said which pools {some(left)} are for"

    async def _check_statuses(self) -> None:
        before = {one.uid: one for one in self._sight.prospects}
        for service in (await self._api.list(SERVICES)).objects:
            was = before.get(service.metadata.uid)
            if was is not None and set(shown_by(service)) != set(was.now):
                raise UserError(
                    f"Service {service.key} has {some(map(str, shown_by(service))) or 'no address'} now, and had "
                    f"{some(map(str, was.now))}: MetalLB's speakers go on; --rollback, and tell us of it"
                )


def _pools_of(advertisement: L2Advertisement, sight: Sight) -> frozenset[str]:
    return sight.carried.reach[advertisement.metadata.name]


def _all_vote(segment: Segment | None, registrations: Mapping[str, Registration]) -> bool:
    """Whether the only list of the Segment has every speaker that is on its LAN."""
    if segment is None or len(segment.spec.lists) != 1:
        return False
    there = {node for node, one in registrations.items() if segment.metadata.name in one.segments}
    return there <= set(segment.spec.lists[0].members)
