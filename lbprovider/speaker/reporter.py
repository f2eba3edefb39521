"""Writes who leads an address into its IPAllocation, and whether something else on the LAN uses it.

The owner writes, once for each time that it wins; losing writes nothing. Fenced twice: a write is made only while the
address is still ours, and only upon the resourceVersion that was seen, so that a former owner's late write never covers
its successor's. What was written is then told in Events, which no write waits for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec
import structlog

from lbprovider import telemetry
from lbprovider.api.allocation import IneligibleNodes, IPAllocation, IPAllocationStatus
from lbprovider.api.conditions import ANNOUNCED, CONFLICT, PROBE_ANSWERED
from lbprovider.api.core import Node
from lbprovider.api.meta import Condition, with_condition
from lbprovider.api.registration import Registration
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.election import placement
from lbprovider.election.outcome import Won
from lbprovider.election.placement import Placement
from lbprovider.errors import ClusterError, Conflict, InvalidObject, NotFound
from lbprovider.kube import patches
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.clocks import rfc3339
from lbprovider.kube.ports import Api
from lbprovider.speaker.causes import Predecessor, Story, story
from lbprovider.speaker.telling import Kind

WRITERS: Final = 8
"""Writes at a time: more gain nothing (FACTS: 8 to 32 take equally long)."""
SLOWEST: Final = 30.0
"""Seconds between two tries while the API server is away."""
NOT_SEEN: Final = "NotSeen"
"""Reason of a condition Conflict that is False."""

log = structlog.get_logger(__name__)

_NS: Final = 1_000_000_000


class Known(Protocol):
    """What the API server tells; ``view.View`` does."""

    def allocation(self, name: str) -> IPAllocation | None:
        """An IPAllocation as last seen, None where it isn't there any more."""
        ...

    def placement(self, name: str) -> Placement:
        """Which nodes may announce its address now, and why the others may not."""
        ...

    def node(self, name: str) -> Node | None:
        """A Node, None where there is none."""
        ...

    def registrations(self) -> Mapping[str, Registration]:
        """What each speaker registers, by node."""
        ...


class Tells(Protocol):
    """Who is told what was written; ``telling.Teller`` is."""

    def of_address(self, allocation: IPAllocation, kind: Kind, reason: str, message: str) -> None:
        """Something happened to an address."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """That an address is ours. ``since`` is RFC 3339; ``story`` says how it was won.

    ``instead_of`` is the node that this one stands in for with the address, and whose hardware address ``mac`` is.
    """

    leader: str
    interface: str
    mac: str
    since: str
    story: Story
    instead_of: str = ""

    @property
    def message(self) -> str:
        """One sentence."""
        place = f" in the place of {self.instead_of}, which goes on forwarding," if self.instead_of else ""
        return f"{self.leader} answers on {self.interface}{place} with {self.mac}: {self.story.sentence}"


@dataclass(frozen=True, slots=True)
class _Clash:
    """That something else on the LAN uses an address; without a ``reason``: no longer."""

    reason: str
    mac: str
    message: str
    at: str


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    owned: Callable[[], bool]
    leadership: Leadership | None = None
    clash: _Clash | None = None


class Reporter:
    """Writes leaderships and conflicts, each as often as it takes and no longer than it is true.

    Args:
        api: the API server.
        known: what it told.
        node: this one's name.
        teller: told of each write that the API server took.
        wall: seconds since 1970.
        rand: 0 to 1, for the backoff's jitter.
    """

    def __init__(
        self,
        api: Api,
        known: Known,
        *,
        node: str,
        teller: Tells,
        wall: Callable[[], float],
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._api = api
        self._known = known
        self._node = node
        self._teller = teller
        self._wall = wall
        self._rand = rand
        self._jobs: dict[str, _Job] = {}
        self._clashes: dict[str, tuple[str, str]] = {}
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()

    def won(
        self,
        name: str,
        change: Won,
        *,
        segment: str,
        interface: str,
        mac: str,
        heard: bool,
        owned: Callable[[], bool],
        instead_of: str = "",
    ) -> None:
        """The address of an IPAllocation is ours, and announced.

        Args:
            name: the IPAllocation's.
            change: how it was won.
            segment: the LAN.
            interface: that it is announced on.
            mac: that it is announced with, as ``02:00:00:00:00:01``.
            heard: whether the node that had it before is heard at this moment.
            owned: whether it is still ours at this moment; asked before each try.
            instead_of: the node that has ``mac``, and that this one stands in for; empty: it is our own.
        """
        told = story(self._node, change, self._before(name, change.predecessor, segment, mac, heard=heard))
        telemetry.MOVES.labels(cause=told.move.value).inc()
        if told.outage is not None:
            telemetry.OUTAGE.observe(told.outage / _NS)
        since = rfc3339(self._wall())
        what = Leadership(
            leader=self._node, interface=interface, mac=mac, since=since, story=told, instead_of=instead_of
        )
        self._clashes.pop(name, None)
        self._put(_Job(name, owned, leadership=what))

    def lost(self, name: str) -> None:
        """The address is ours no longer: what was not written never is; but an answered probe stays true."""
        self._clashes.pop(name, None)
        job = self._jobs.pop(name, None)
        if job is not None and job.clash is not None and job.clash.reason == PROBE_ANSWERED:
            self._jobs[name] = replace(job, leadership=None)

    def conflict(self, name: str, reason: str, mac: str, message: str, *, owned: Callable[[], bool]) -> None:
        """Something else on the LAN uses the address of an IPAllocation; said again, it costs nothing.

        Args:
            name: the IPAllocation's.
            reason: ``PROBE_ANSWERED`` (then it is not announced, nor was it ever) or ``FOREIGN_ANNOUNCEMENT``.
            mac: whose.
            message: one sentence with the MAC in it.
            owned: whether the address is ours at this moment; of no account for a probe, which nobody else repeats.
        """
        if self._clashes.get(name) == (reason, mac):
            return
        self._clashes[name] = (reason, mac)
        telemetry.CONFLICTS.labels(reason=reason).inc()
        log.warning(message, allocation=name, reason=reason, mac=mac)
        clash = _Clash(reason, mac, message, rfc3339(self._wall()))
        job = self._jobs.get(name)
        announced = None if job is None or reason == PROBE_ANSWERED else job.leadership
        self._put(_Job(name, (lambda: True) if reason == PROBE_ANSWERED else owned, announced, clash))

    def conflict_over(self, name: str, *, owned: Callable[[], bool]) -> None:
        """Nothing else was seen to use the address for a while."""
        if self._clashes.pop(name, None) is not None:
            job = self._jobs.get(name)
            clash = _Clash("", "", "", rfc3339(self._wall()))
            self._put(_Job(name, owned, None if job is None else job.leadership, clash))

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(self._writer())

    def _before(self, name: str, node: str, segment: str, mac: str, *, heard: bool) -> Predecessor:
        allocation = self._known.allocation(name)
        there, speaker = self._known.node(node), self._known.registrations().get(node)
        why_not = self._known.placement(name).ineligible.get(node)
        return Predecessor(
            heard=heard,
            there=there is not None,
            ready=there is not None and there.condition("Ready") == "True",
            attached=speaker is not None and any(one.segment == segment for one in speaker.attachments),
            why_not="" if why_not is None else why_not.value,
            stood_in=allocation is not None and (allocation.status.leader, allocation.status.mac) == (node, mac),
        )

    def _put(self, job: _Job) -> None:
        self._jobs[job.name] = job
        if job.name not in self._queued:  # an address that is won again and again waits once
            self._queued.add(job.name)
            self._waiting.put_nowait(job.name)

    async def _writer(self) -> None:
        while True:
            name = await self._waiting.get()
            self._queued.discard(name)
            job = self._jobs.get(name)
            if job is not None:
                await self._write(job)
                if self._jobs.get(name) is job:
                    del self._jobs[name]

    def _current(self, job: _Job) -> bool:
        return self._jobs.get(job.name) is job and job.owned()

    async def _write(self, job: _Job) -> None:
        backoff = Backoff(self._rand, cap=SLOWEST)
        # What was seen may be older than our own last write, and not have the Conflict yet that is to be taken back.
        over = job.clash is not None and not job.clash.reason
        allocation = await self._again(job, backoff) if over else self._known.allocation(job.name)
        while allocation is not None and self._current(job):
            try:
                body = patches.status(allocation, self._status(job, allocation))
                if body is not None:
                    await self._api.patch(ALLOCATIONS, job.name, body, subresource="status")
                    self._tell(job, allocation)
            except NotFound:
                return
            except Conflict:
                # Somebody else wrote, mostly the controller: look again, and it is ours to say only if still ours.
                allocation = await self._again(job, backoff)
            except ClusterError as error:
                log.warning("a status is not written yet", allocation=job.name, problem=str(error))
                await asyncio.sleep(backoff.pause(error))
                allocation = await self._again(job, backoff)
            else:
                return

    async def _again(self, job: _Job, backoff: Backoff) -> IPAllocation | None:
        while self._current(job):
            try:
                return await self._api.get(ALLOCATIONS, job.name)
            except (NotFound, InvalidObject):
                return None
            except ClusterError as error:
                await asyncio.sleep(backoff.pause(error))
        return None

    def _status(self, job: _Job, allocation: IPAllocation) -> IPAllocationStatus:
        """The status that the allocation should have."""
        status = allocation.status
        if job.leadership is not None:
            status = self._led(job.leadership, allocation)
        clash = job.clash
        if clash is not None and not (clash.reason == PROBE_ANSWERED and status.leader not in ("", self._node)):
            # Else another node has announced the address meanwhile: then our probe is no longer news.
            status = _clashing(clash, status, allocation.metadata.generation)
        return status

    def _led(self, what: Leadership, allocation: IPAllocation) -> IPAllocationStatus:
        placed = self._known.placement(allocation.metadata.name)
        why_not = placement.counts(placed)
        generation = allocation.metadata.generation
        conditions = with_condition(
            _without_conflict(allocation.status.conditions, what.since, generation),
            _condition(ANNOUNCED, what.story.move.value, what.message, generation, holds=True),
            what.since,
        )
        return IPAllocationStatus(
            leader=what.leader,
            interface=what.interface,
            mac=what.mac,
            since=what.since,
            eligible=len(placed.ranking),
            ineligible=tuple(IneligibleNodes(reason=reason.value, nodes=count) for reason, count in why_not.items()),
            conditions=conditions,
        )

    def _tell(self, job: _Job, allocation: IPAllocation) -> None:
        if job.leadership is not None:
            story = job.leadership.story
            kind: Kind = "Warning" if story.failure else "Normal"
            self._teller.of_address(allocation, kind, story.move.value, job.leadership.message)
        if job.clash is not None and job.clash.reason:
            self._teller.of_address(allocation, "Warning", job.clash.reason, job.clash.message)


def _clashing(clash: _Clash, status: IPAllocationStatus, generation: int) -> IPAllocationStatus:
    conditions = status.conditions
    if not clash.reason:
        conditions = _without_conflict(conditions, clash.at, generation)
    else:
        said = _condition(CONFLICT, clash.reason, clash.message, generation, holds=True)
        conditions = with_condition(conditions, said, clash.at)
        if clash.reason == PROBE_ANSWERED:
            said = _condition(ANNOUNCED, clash.reason, clash.message, generation, holds=False)
            conditions = with_condition(conditions, said, clash.at)
    new: IPAllocationStatus = msgspec.structs.replace(status, conflict_mac=clash.mac, conditions=conditions)
    return new


def _without_conflict(conditions: tuple[Condition, ...], now: str, generation: int) -> tuple[Condition, ...]:
    """As they are, but for a Conflict that was: an IPAllocation that never had one needs no condition to say so."""
    if not any(one.type == CONFLICT and one.status == "True" for one in conditions):
        return conditions
    return with_condition(conditions, _condition(CONFLICT, NOT_SEEN, "", generation, holds=False), now)


def _condition(kind: str, reason: str, message: str, generation: int, *, holds: bool) -> Condition:
    return Condition(
        type=kind,
        status="True" if holds else "False",
        reason=reason,
        message=message,
        observed_generation=generation,
    )
