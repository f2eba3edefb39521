"""Writes who leads an address into its IPAllocation, and whether something else on the LAN uses it.

The owner writes, once for each time that it wins; losing writes nothing, for whoever wins next does, but where the last
endpoint is gone and nobody will. Fenced twice: a write is made only while the address is still ours, and only upon the
resourceVersion that was seen, so that a former owner's late write never covers its successor's. What was written is
then told in Events, which no write waits for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import structlog

from lbprovider import telemetry
from lbprovider.api.allocation import IPAllocation, IPAllocationStatus
from lbprovider.api.conditions import ANNOUNCED, NO_ELIGIBLE_NODE, NO_ENDPOINTS, PROBE_ANSWERED
from lbprovider.api.core import Node
from lbprovider.api.registration import Registration
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.api.times import rfc3339
from lbprovider.election.outcome import Won
from lbprovider.election.placement import Placement, Reason
from lbprovider.errors import ClusterError, Conflict, InvalidObject, NotFound
from lbprovider.kube import patches
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.ports import Api
from lbprovider.speaker import statuses
from lbprovider.speaker.causes import Predecessor, story
from lbprovider.speaker.statuses import Clash, Leadership
from lbprovider.speaker.telling import Kind

WRITERS: Final = 8
"""Writes at a time: more gain nothing (FACTS: 8 to 32 take equally long)."""
SLOWEST: Final = 30.0
"""Seconds between two tries while the API server is away."""
PORTION: Final = 100
"""Wins looked at in one step of the loop: some 4 ms."""
GIVEN_UP: Final = 2.0
"""Seconds after which an address that was given up has a new leader, or none for lack of endpoints."""
_UNWANTED: Final = frozenset({NO_ENDPOINTS, NO_ELIGIBLE_NODE})
_FOR_ENDPOINTS: Final = frozenset({Reason.NO_ENDPOINTS, Reason.NO_LOCAL_ENDPOINT})

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


@dataclass(frozen=True, slots=True)
class _Win:
    """An address that was won, ``at`` seconds since 1970; how is to be found out yet."""

    change: Won
    segment: str
    interface: str
    mac: str
    heard: bool
    owned: Callable[[], bool]
    instead_of: str
    at: float


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    owned: Callable[[], bool]
    leadership: Leadership | None = None
    clash: Clash | None = None
    given_up: bool = False

    @property
    def again(self) -> bool:
        """Whether it is about our own last write, than which what was seen may be older."""
        return self.given_up or (self.clash is not None and not self.clash.reason)


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
        self._wins: dict[str, _Win] = {}
        self._won = asyncio.Event()
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
        self._clashes.pop(name, None)
        self._wins[name] = _Win(change, segment, interface, mac, heard, owned, instead_of, self._wall())
        self._won.set()

    def lost(self, name: str, *, given_up: bool = False) -> None:
        """The address is ours no longer: what was not written never is; but an answered probe stays true.

        Args:
            name: the IPAllocation's.
            given_up: nobody could take it from us. Should that be for lack of endpoints, it is said.
        """
        self._clashes.pop(name, None)
        self._wins.pop(name, None)
        job = self._jobs.get(name)
        if job is None or job.clash is None or job.clash.reason != PROBE_ANSWERED:
            self._jobs.pop(name, None)
        if given_up:
            asyncio.get_running_loop().call_later(GIVEN_UP, self._without_endpoints, name)

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
        clash = Clash(reason, mac, message, rfc3339(self._wall()))
        self._look_at(name)
        job = self._jobs.get(name)
        announced = None if job is None or reason == PROBE_ANSWERED else job.leadership
        self._put(_Job(name, (lambda: True) if reason == PROBE_ANSWERED else owned, announced, clash))

    def conflict_over(self, name: str, *, owned: Callable[[], bool]) -> None:
        """Nothing else was seen to use the address for a while."""
        if self._clashes.pop(name, None) is not None:
            self._look_at(name)
            job = self._jobs.get(name)
            clash = Clash("", "", "", rfc3339(self._wall()))
            self._put(_Job(name, owned, None if job is None else job.leadership, clash))

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_at_all())
            for _ in range(WRITERS):
                group.create_task(self._writer())

    async def _look_at_all(self) -> None:
        """Finds out how what was won was won: in portions, for a thousand addresses at once would hold up the loop."""
        while True:
            await self._won.wait()
            self._won.clear()
            while self._wins:
                for name in tuple(islice(self._wins, PORTION)):
                    self._look_at(name)
                await asyncio.sleep(0)

    def _look_at(self, name: str) -> None:
        win = self._wins.pop(name, None)
        if win is None:
            return
        told = story(self._node, win.change, self._before(name, win))
        telemetry.MOVES.labels(cause=told.move.value).inc()
        if told.outage is not None and not self._was_unwanted(name):
            telemetry.OUTAGE.observe(told.outage / _NS)
        what = Leadership(
            leader=self._node,
            interface=win.interface,
            mac=win.mac,
            since=rfc3339(win.at),
            story=told,
            instead_of=win.instead_of,
        )
        self._put(_Job(name, win.owned, leadership=what))

    def _before(self, name: str, win: _Win) -> Predecessor:
        node = win.change.predecessor
        allocation = self._known.allocation(name)
        there, speaker = self._known.node(node), self._known.registrations().get(node)
        why_not = self._known.placement(name).ineligible.get(node)
        return Predecessor(
            heard=win.heard,
            there=there is not None,
            ready=there is not None and there.condition("Ready") == "True",
            attached=speaker is not None and any(one.segment == win.segment for one in speaker.attachments),
            why_not="" if why_not is None else why_not.value,
            stood_in=allocation is not None and (allocation.status.leader, allocation.status.mac) == (node, win.mac),
        )

    def _was_unwanted(self, name: str) -> bool:
        """Whether nobody answered because nobody should have: that is no outage."""
        allocation = self._known.allocation(name)
        said = None if allocation is None else allocation.condition(ANNOUNCED)
        return said is not None and said.reason in _UNWANTED

    def _without_endpoints(self, name: str) -> None:
        placed = self._known.placement(name)
        lacking = _FOR_ENDPOINTS.intersection(placed.ineligible.values())
        if name not in self._jobs and name not in self._wins and not placed.ranking and lacking:
            self._put(_Job(name, lambda: True, given_up=True))

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
        allocation = await self._again(job, backoff) if job.again else self._known.allocation(job.name)
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
        placed = self._known.placement(job.name)
        if job.leadership is not None:
            status = statuses.led(job.leadership, allocation, placed)
        if job.given_up and status.leader == self._node and not placed.ranking:
            # Nobody has come after us, and nobody may.
            status = statuses.without_endpoints(allocation, placed, rfc3339(self._wall()))
        clash = job.clash
        if clash is not None and not (clash.reason == PROBE_ANSWERED and status.leader not in ("", self._node)):
            # Else another node has announced the address meanwhile: then our probe is no longer news.
            status = statuses.clashing(clash, status, allocation.metadata.generation)
        return status

    def _tell(self, job: _Job, allocation: IPAllocation) -> None:
        if job.given_up:
            self._teller.of_address(allocation, "Warning", NO_ENDPOINTS, statuses.WITHOUT_ENDPOINTS)
        if job.leadership is not None:
            story = job.leadership.story
            kind: Kind = "Warning" if story.failure else "Normal"
            self._teller.of_address(allocation, kind, story.move.value, job.leadership.message)
        if job.clash is not None and job.clash.reason:
            self._teller.of_address(allocation, "Warning", job.clash.reason, job.clash.message)
