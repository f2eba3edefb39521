"""Keeps the snapshot on disk, and knows at each moment the oldest that a later life of this speaker may find.

That is what ELECTION.md rules 7 and 15 ask: a member reports and promises nothing that a restart would not know. While
a file is being replaced the old one and the new one may be found, so only what both say is sure; after a write that
failed, too. A disk that fails costs the snapshot, never an address: the file is removed, and with nothing there a later
life reads the Segment from the API server before it votes, as without any snapshot. Where not even that works, what is
there stays the limit: this node goes on serving and voting, but its reports stand still, so that members can't change
on its word. It stays ready all the while: taking it out would help nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from lbprovider import telemetry
from lbprovider.election.durable import NOTHING, Durable, either
from lbprovider.errors import HostError
from lbprovider.speaker.ports import Offload
from lbprovider.speaker.snapshot import Kept, Snapshot

GAP: Final = 1.0
"""Seconds in which changes are gathered before they are written together."""
SHARE: Final = 10
"""Between two writes, times as long as the last one took: a large snapshot must not keep a disk busy."""
RETRY: Final = 10.0
"""Seconds between two tries on a disk that fails."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class File(Protocol):
    """``files.SnapshotFile``: see there."""

    def load(self) -> Snapshot | None: ...

    def save(self, what: Snapshot) -> None: ...

    def erase(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Floor:
    """What a later life finds at the least."""

    incarnation: int = 0
    segments: Mapping[str, Durable] = field(default_factory=dict)


def _floor(found: Snapshot) -> _Floor:
    return _Floor(found.incarnation, {one.segment.metadata.name: one.durable for one in found.segments})


def _lower(one: _Floor, other: _Floor) -> _Floor:
    common = one.segments.keys() & other.segments.keys()
    return _Floor(
        min(one.incarnation, other.incarnation),
        {name: either(one.segments[name], other.segments[name]) for name in common},
    )


class Keeper:
    """The snapshot of one speaker.

    Args:
        file: where it is; None = none is kept.
        offload: the file's calls block.
        compose: what there is to keep now.
        voting: whether this node votes on a Segment, by name: promises of former lives are over there.
        changed: told that ``limit`` may say something else.
    """

    def __init__(
        self,
        file: File | None,
        *,
        offload: Offload,
        compose: Callable[[], Snapshot],
        voting: Callable[[str], bool],
        changed: Callable[[], None],
    ) -> None:
        self._file = file
        self._offload = offload
        self._compose = compose
        self._voting = voting
        self._changed = changed
        self._floor: _Floor | None = None
        self._last: dict[str, Kept] = {}
        self._wanted = asyncio.Event()
        self._urgent = asyncio.Event()
        self._pause = GAP
        self._trouble = ""

    def limit(self, segment: str) -> Durable | None:
        """What a Member may rely on, of the Segment of that name; None where a later life finds no snapshot."""
        return None if self._floor is None else self._floor.segments.get(segment, NOTHING)

    async def load(self, node: str) -> Snapshot | None:
        """What a former life of this node's speaker left; None where nothing can be used. Call it first."""
        if self._file is None:
            return None
        try:
            found: Snapshot | None = await self._done(self._file.load)
        except HostError as error:
            # Whoever finds it next may think otherwise: until it is replaced, no life may rely on there being none.
            self.disown(f"{error}; starting as if there were none")
            return None
        if found is None:
            return None
        self._floor = _floor(found)
        if found.node != node:
            self.disown(f"the snapshot is of node {found.node}, this is {node}; starting as if there were none")
            return None
        self._last = {one.segment.metadata.name: one for one in found.segments}
        return found

    def disown(self, why: str) -> None:
        """What was loaded is not ours: nothing of it counts, and the next write replaces it."""
        log.warning(why, reason="SnapshotUnusable")
        self._floor, self._last = _Floor(), {}

    async def remove(self) -> None:
        """Ends it, so that the next life starts without.

        Raises:
            HostError: it can't be removed.
        """
        file, self._file = self._file, None
        if file is not None:
            await self._done(file.erase)

    async def reserve(self, incarnation: int, wait: Callable[[str], None]) -> None:
        """Until no later life takes this incarnation for free: it is on disk, or no snapshot is (C2).

        Args:
            incarnation: ``compose`` says it too.
            wait: told what it waits for, if it has to.
        """
        while self._finds_less_than(incarnation):
            if not await self._write() and self._finds_less_than(incarnation):
                wait(self._trouble)
                await asyncio.sleep(RETRY)

    def _finds_less_than(self, incarnation: int) -> bool:
        return self._floor is not None and self._floor.incarnation < incarnation

    def touch(self, *, urgent: bool = False) -> None:
        """Something has changed; ``urgent``: a Member waits for it."""
        self._wanted.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Writes what has changed, until cancelled."""
        self.touch(urgent=True)
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._urgent.wait()
            self._wanted.clear()
            self._urgent.clear()
            began = loop.time()
            if await self._write():
                self._pause = max(GAP, SHARE * (loop.time() - began))
            else:
                await asyncio.sleep(RETRY)
                self.touch(urgent=True)

    async def _write(self) -> bool:
        """Whether all is as it should be: it is written, or nothing is there and nothing was meant to be."""
        if self._file is None:
            return True
        what = self._merged(self._compose())
        new = _floor(what)
        # From now on it may be found, and until it is there the old one may be.
        self._set(new if self._floor is None else _lower(self._floor, new))
        try:
            await self._done(partial(self._file.save, what))
        except HostError as error:
            await self._failed(self._file, error)
            return False
        self._set(new)
        telemetry.SNAPSHOT.set(1)
        self._last = {one.segment.metadata.name: one for one in what.segments}
        if self._trouble:
            log.info("the snapshot is written again", reason="SnapshotWritten")
            self._trouble = ""
        return True

    async def _done(self, call: Callable[[], T]) -> T:
        try:
            result: T = await self._offload(call)
        except HostError:
            raise
        except Exception as error:
            # The addresses go on without a snapshot: it is there for a worse day than this.
            log.exception("a bug in lbprovider: the snapshot can't be read or written")
            raise HostError(f"a bug in lbprovider keeps the snapshot from being read or written: {error!r}") from error
        return result

    async def _failed(self, file: File, error: HostError) -> None:
        telemetry.SNAPSHOT.set(0)
        try:
            await self._done(file.erase)
        except HostError as left:
            self._say(f"{error}; {left}: members can't change on this node's word until one of the two works")
        else:
            self._set(None)
            self._say(f"{error}; none is kept: while the API server is down, a restart of this speaker won't vote")

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:  # once for each kind, however long it lasts
            log.error(trouble, reason="SnapshotFailed")
        self._trouble = trouble

    def _set(self, floor: _Floor | None) -> None:
        self._floor = floor
        self._changed()

    def _merged(self, now: Snapshot) -> Snapshot:
        """Never less than what a former life reported and promised: the API server may know an older version (C1)."""
        return replace(now, segments=tuple(map(self._no_less, now.segments)))

    def _no_less(self, now: Kept) -> Kept:
        name = now.segment.metadata.name
        before = self._last.get(name)
        if before is None or before.segment.metadata.uid != now.segment.metadata.uid:
            return now
        newest = max(now.segment, before.segment, key=lambda one: one.spec.version)
        silence = now.silence if self._voting(name) else max(now.silence, before.silence)
        return Kept(segment=newest, silence=silence)
