"""Writes who leads an address into its IPAllocation: the owner, once for each time that it wins; losing writes nothing.

Fenced twice: a write is made only while the address is still ours, and only upon the resourceVersion that was seen, so
that a former owner's late write never covers its successor's.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from lbprovider.api.allocation import IPAllocation, IPAllocationStatus
from lbprovider.api.meta import Condition, with_condition
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.errors import ClusterError, Conflict, InvalidObject, NotFound
from lbprovider.kube import patches
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.clocks import rfc3339
from lbprovider.kube.ports import Api

WRITERS: Final = 8
"""Writes at a time: more gain nothing (FACTS: 8 to 32 take equally long)."""
SLOWEST: Final = 30.0
"""Seconds between two tries while the API server is away."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """What is to be written. ``since`` is RFC 3339; ``reason`` and ``message`` say how the address was won."""

    leader: str
    interface: str
    mac: str
    since: str
    reason: str
    message: str

    def on(self, allocation: IPAllocation) -> IPAllocationStatus:
        """The status that the allocation should have."""
        announced = Condition(
            type="Announced",
            status="True",
            reason=self.reason,
            message=self.message,
            observed_generation=allocation.metadata.generation,
        )
        return IPAllocationStatus(
            leader=self.leader,
            interface=self.interface,
            mac=self.mac,
            since=self.since,
            conditions=with_condition(allocation.status.conditions, announced, self.since),
        )


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    what: Leadership
    owned: Callable[[], bool]


class Reporter:
    """Writes leaderships, each as often as it takes and no longer than it is true.

    Args:
        api: the API server.
        seen: an IPAllocation as last seen, None where it isn't there any more.
        wall: seconds since 1970.
        rand: 0 to 1, for the backoff's jitter.
    """

    def __init__(
        self,
        api: Api,
        seen: Callable[[str], IPAllocation | None],
        *,
        wall: Callable[[], float],
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._api = api
        self._seen = seen
        self._wall = wall
        self._rand = rand
        self._jobs: dict[str, _Job] = {}
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()

    def won(
        self, name: str, *, leader: str, interface: str, mac: str, reason: str, message: str, owned: Callable[[], bool]
    ) -> None:
        """The address of an IPAllocation is ours.

        Args:
            name: the IPAllocation's.
            leader: this node.
            interface: that it is announced on.
            mac: that it is announced with, as ``02:00:00:00:00:01``.
            reason: how it was won, CamelCase.
            message: the same as one sentence.
            owned: whether it is still ours at this moment; asked before each try.
        """
        since = rfc3339(self._wall())
        what = Leadership(leader=leader, interface=interface, mac=mac, since=since, reason=reason, message=message)
        self._jobs[name] = _Job(name, what, owned)
        if name not in self._queued:  # an address that is won again and again waits once
            self._queued.add(name)
            self._waiting.put_nowait(name)

    def lost(self, name: str) -> None:
        """The address is ours no longer: what was not written yet never is."""
        self._jobs.pop(name, None)

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(self._writer())

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
        allocation = self._seen(job.name)
        while allocation is not None and self._current(job):
            try:
                body = patches.status(allocation, job.what.on(allocation))
                if body is not None:
                    await self._api.patch(ALLOCATIONS, job.name, body, subresource="status")
            except NotFound:
                return
            except Conflict:
                # Somebody else wrote, mostly the controller: look again, and it is ours to say only if still ours.
                allocation = await self._again(job, backoff)
            except ClusterError as error:
                log.warning("a leader is not written yet", allocation=job.name, problem=str(error))
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
