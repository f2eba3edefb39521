"""The hand-over of addresses: nobody answers for a moment, and never two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from lbprovider.api.allocation import IPAllocation, IPAllocationStatus
from lbprovider.api.names import IPAddress, object_name
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS
from lbprovider.errors import UserError
from lbprovider.ipam.reasons import some
from lbprovider.kube.ports import Api
from lbprovider.migrating import shutting
from lbprovider.migrating.groups import Group
from lbprovider.migrating.kinds import (
    METALLB_ADVERTISEMENTS,
    METALLB_STATUSES,
    STATUS_NAMESPACE,
    STATUS_NODE,
    STATUS_SERVICE,
    Foreign,
)
from lbprovider.migrating.looking import Sight
from lbprovider.migrating.waiting import watching

QUIET: Final = 30.0
"""Seconds for MetalLB's speakers to stop; a watch takes them milliseconds, and their queue a second or two."""
ANSWERED: Final = 30.0
"""Seconds for ours to begin."""
UNPROVEN: Final = 5.0
"""Seconds to wait where nothing says that MetalLB's speakers have stopped."""

Say = Callable[[str], None]


class Handover:
    """Shuts MetalLB's L2Advertisements and opens ours, and the way back.

    Args:
        api: the API server, as the admin.
        namespace: that lbprovider runs in.
        metallb_namespace: that MetalLB runs in.
        clock: seconds, monotonic.
        say: told each line.

    Attributes:
        silences: for each address that was handed over, how long nobody answered at most, in seconds.
    """

    def __init__(
        self, api: Api, namespace: str, metallb_namespace: str, *, clock: Callable[[], float], say: Say
    ) -> None:
        self.silences: dict[IPAddress, float] = {}
        self._silent_since: dict[Group, float] = {}
        self._api = api
        self._namespace = namespace
        self._metallb = metallb_namespace
        self._clock = clock
        self._say = say

    async def hand_over(self, group: Group, sight: Sight, *, speakers_gone: bool) -> None:
        """MetalLB's speakers stop to answer for the pools; when they have, ours begin.

        Args:
            group: what.
            sight: the cluster.
            speakers_gone: MetalLB's have ended.

        Raises:
            UserError: MetalLB's don't stop (then they go on as before), or ours don't begin.
        """
        self._check(group, sight)
        # All that can be asked for before is: from here to the end of it nobody answers.
        ours = await self._ours(group)
        before = {one.metadata.name: one.status for one in (await self._api.list(ALLOCATIONS)).objects}
        waits = [one for one in ours if shutting.is_shut(one)]
        answers = _Answers(_announceable(group, sight), before if waits else {}, self._clock)
        async with watching(self._api, ALLOCATIONS, answers.missing) as answered:
            if speakers_gone:
                await self.shut_metallb(group)
            else:
                await self._quieten(group, sight)
            for one in waits:
                await self._write_ours(one, shutting.opening(one))
            await answered(ANSWERED)
        since = self._silent_since.get(group)
        if waits and since is not None:
            self.silences.update({address: at - since for address, at in answers.begun.items()})

    async def shut_ours(self, group: Group) -> None:
        """Ours stop to announce the pools."""
        for current in await self._ours(group):
            if not shutting.is_shut(current):
                await self._write_ours(current, shutting.shutting(current))

    async def open_metallb(self, group: Group) -> None:
        """MetalLB's speakers may announce the pools again."""
        for current in await self._metallbs(group):
            if shutting.is_shut(current):
                await self._write_metallb(current, shutting.opening(current))

    async def shut_metallb(self, group: Group) -> None:
        """MetalLB's speakers may announce the pools no more."""
        for current in await self._metallbs(group):
            if not shutting.is_shut(current):
                self._silent_since.setdefault(group, self._clock())
                await self._write_metallb(current, shutting.shutting(current))

    def silent_from_now(self, group: Group) -> None:
        """MetalLB's speakers are about to be ended."""
        self._silent_since.setdefault(group, self._clock())

    def _check(self, group: Group, sight: Sight) -> None:
        """Refuses to take an address from MetalLB that no speaker of ours could announce."""
        unable = [
            f"{address} of {one.key}: {lacking.why}"
            for one in sight.prospects
            for address, lacking in one.unannounced.items()
            if one.pools[address] in group.pools and not lacking.for_endpoints
        ]
        if unable:
            raise UserError(
                f"no speaker of lbprovider may announce {some(unable)}; MetalLB goes on with {some(group.pools)}: mend "
                "that and run the same again, or with --rollback"
            )

    async def _quieten(self, group: Group, sight: Sight) -> None:
        """MetalLB's speakers stop, and go on."""
        if not sight.statuses:
            await self.shut_metallb(group)
            if group in self._silent_since:
                self._say(
                    "MetalLB is older than 0.14.6 and doesn't say when its speakers have stopped; "
                    f"waiting {UNPROVEN:g} s"
                )
                await asyncio.sleep(UNPROVEN)
            return
        others = _of_others(group, sight)

        def left(statuses: Mapping[str, Foreign]) -> str:
            there = sorted({_status(one) for one in statuses.values()})
            said = some(f"{service} from {node}" for service, node in there if service not in others)
            return said and (
                f"MetalLB still announces {said}: its speakers there have not taken the change of its "
                "L2Advertisements, see their logs"
            )

        async with watching(self._api, METALLB_STATUSES, left, namespace=self._metallb) as quiet:
            await self.shut_metallb(group)
            try:
                await quiet(QUIET)
            except UserError as error:
                await self.open_metallb(group)
                raise UserError(f"{error}. They were changed back, and MetalLB announces as before") from error

    async def _ours(self, group: Group) -> tuple[L2Advertisement, ...]:
        listed = await self._api.list(ADVERTISEMENTS, namespace=self._namespace)
        return tuple(one for one in listed.objects if one.metadata.name in group.advertisements)

    async def _metallbs(self, group: Group) -> tuple[Foreign, ...]:
        """Those of the group that are MetalLB's too; of an AddressPool there are none."""
        listed = await self._api.list(METALLB_ADVERTISEMENTS, namespace=self._metallb)
        return tuple(one for one in listed.objects if one.metadata.name in group.advertisements)

    async def _write_metallb(self, one: Foreign, body: Mapping[str, object]) -> None:
        await self._api.patch(METALLB_ADVERTISEMENTS, one.metadata.name, body, namespace=self._metallb)

    async def _write_ours(self, one: L2Advertisement, body: Mapping[str, object]) -> None:
        await self._api.patch(ADVERTISEMENTS, one.metadata.name, body, namespace=self._namespace)


def _announceable(group: Group, sight: Sight) -> dict[str, IPAddress]:
    """The addresses of the group that some speaker of ours could announce, by the names of their IPAllocations."""
    return {
        object_name(address): address
        for one in sight.prospects
        for address, pool in one.pools.items()
        if pool in group.pools and address not in one.unannounced
    }


def _of_others(group: Group, sight: Sight) -> frozenset[str]:
    """The Services that are known to have no address of the group."""
    return frozenset(one.key for one in sight.prospects if not set(one.pools.values()) & set(group.pools))


def _status(one: Foreign) -> tuple[str, str]:
    """The Service that a ServiceL2Status is of, and the node that announces it."""
    labels = one.metadata.labels
    return f"{labels.get(STATUS_NAMESPACE, '')}/{labels.get(STATUS_SERVICE, '')}", labels.get(STATUS_NODE, "")


class _Answers:
    """Which addresses our speakers answer for.

    Args:
        wanted: by the names of their IPAllocations.
        before: statuses that there were before, which say nothing of now.
        clock: seconds, monotonic.

    Attributes:
        begun: when it was told that somebody answers.
    """

    def __init__(
        self, wanted: Mapping[str, IPAddress], before: Mapping[str, IPAllocationStatus], clock: Callable[[], float]
    ) -> None:
        self.begun: dict[IPAddress, float] = {}
        self._wanted = wanted
        self._before = before
        self._clock = clock

    def missing(self, found: Mapping[str, IPAllocation]) -> str:
        """A ``waiting.Look``."""
        for name, address in self._wanted.items():
            one = found.get(name)
            if address in self.begun or one is None or one.status == self._before.get(name):
                continue
            if one.is_announced:
                self.begun[address] = self._clock()
        left = some(str(address) for address in self._wanted.values() if address not in self.begun)
        return left and (
            f"nobody has begun to answer for {left}: kubectl describe ipallocation says why; run the same again when "
            "that is mended, or with --rollback"
        )
