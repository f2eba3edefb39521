"""The Segments of this node's LANs, read and swapped for their Members: one request at a time for each."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import structlog

from lbprovider.election.outcome import ProposeSwap
from lbprovider.election.segment import Segment
from lbprovider.speaker.lan import Lan
from lbprovider.speaker.segments import Segments

log = structlog.get_logger(__name__)


class Swapping:
    """Asks the API server for what Members need of it.

    Args:
        segments: reads and swaps.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._reading: set[str] = set()
        self._swapping: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def adopt(self, lan: Lan, segment: Segment, *, quorum_read: bool = False) -> None:
        """Tells a Member of a Segment, and reads it with quorum where that is still wanted (rule 7)."""
        lan.adopt(segment, quorum_read=quorum_read)
        if lan.member.needs_quorum_read and lan.name not in self._reading:
            self._reading.add(lan.name)
            self._spawn(self._read(lan))

    def swap(self, lan: Lan, swap: ProposeSwap) -> None:
        """Writes what a Member proposes; while one write is under way another would lose to it."""
        if lan.name not in self._swapping:
            self._swapping.add(lan.name)
            self._spawn(self._swap(lan, swap))

    def close(self) -> None:
        """No more requests."""
        for task in self._tasks:
            task.cancel()

    async def _swap(self, lan: Lan, swap: ProposeSwap) -> None:
        try:
            segment = await self._segments.swap(lan.name, swap)
            if segment is not None:
                self.adopt(lan, segment)
        finally:
            self._swapping.discard(lan.name)

    async def _read(self, lan: Lan) -> None:
        try:
            segment = await self._segments.read(lan.name, lambda: lan.member.needs_quorum_read)
        finally:
            self._reading.discard(lan.name)
        if segment is not None:
            self.adopt(lan, segment, quorum_read=True)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a bug in lbprovider: a Segment is not read or written", exc_info=error)
