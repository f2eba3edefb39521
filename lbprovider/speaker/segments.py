"""The Segments as the API server has them, and what a Member asks of it: quorum reads and swaps.

ELECTION.md rules 7, 15, 17.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec
import structlog

from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import SEGMENTS
from lbprovider.api.segment import Segment, SegmentSpec
from lbprovider.election import segment as election
from lbprovider.election.outcome import ProposeSwap
from lbprovider.errors import ClusterError, Conflict, InvalidObject, NotFound
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.ports import Api
from lbprovider.speaker.snapshot import Kept
from lbprovider.speaker.store import Store

READ_CAP: Final = 5.0
"""Seconds between two tries of a read that a vote waits for."""

log = structlog.get_logger(__name__)


class Segments:
    """What there is of Segments, and how one is read and swapped.

    Args:
        api: the API server.
        changed: told the name of a Segment that is new, has changed or is gone.
        rand: 0 to 1, for the backoff's jitter.
    """

    def __init__(self, api: Api, changed: Callable[[str], None], rand: Callable[[], float] = random.random) -> None:
        self._api = api
        self._told = changed
        self._rand = rand
        self._objects: dict[str, Segment] = {}
        self.sink = Store[Segment](self._put, self._drop)

    @property
    def all(self) -> Collection[Segment]:
        """All that there are."""
        return self._objects.values()

    def kept(self, members: Mapping[str, tuple[election.Segment, int]]) -> tuple[Kept, ...]:
        """What to keep of them on disk.

        Args:
            members: where this node has a Member, by name: the Segment as that knows it, newer perhaps than the API
                server has told, and how long a later life must be silent (ns).
        """
        there = [(name, self._objects.get(name)) for name in sorted({*self._objects, *members})]
        kept = (_kept(name, one, members.get(name)) for name, one in there)
        return tuple(one for one in kept if one is not None)

    def get(self, name: str) -> election.Segment | None:
        """A Segment as election sees it; None where there is none, or none that can be used."""
        found = self._objects.get(name)
        return None if found is None else _usable(found)

    async def read(self, name: str, wanted: Callable[[], bool]) -> election.Segment | None:
        """The Segment by a quorum read; None once it is no longer ``wanted``.

        Tries for as long as it takes: an API server that is down, or a Segment that the controller is yet to make.
        """
        backoff = Backoff(self._rand, cap=READ_CAP)
        while wanted():
            try:
                found = _usable(await self._api.get(SEGMENTS, name))
                if found is not None:
                    return found
                await asyncio.sleep(backoff.pause())
            except (ClusterError, InvalidObject) as error:
                log.warning("the vote waits for the Segment", segment=name, problem=str(error))
                await asyncio.sleep(backoff.pause(error if isinstance(error, ClusterError) else None))
        return None

    async def swap(self, name: str, proposal: ProposeSwap) -> election.Segment | None:
        """Writes the proposal if it still stands. Returns what is there now; None where the API server didn't say.

        Losing the race is no error: what the winner wrote is adopted, and the Member proposes again if it still must.
        """
        try:
            there = await self._api.get(SEGMENTS, name)
            if (there.metadata.uid, there.spec.version) == (proposal.new.uid, proposal.expected):
                spec = election.with_lists(there.spec, proposal.new)
                there = await self._api.replace(SEGMENTS, msgspec.structs.replace(there, spec=spec))
                log.info("changed the Segment", segment=name, version=there.spec.version)
        except (Conflict, NotFound):
            return None
        except (ClusterError, InvalidObject) as error:
            log.warning("the Segment can't be changed now", segment=name, problem=str(error))
            return None
        return _usable(there)

    def _put(self, segment: Segment) -> None:
        name = segment.metadata.name
        before = self._objects.get(name)
        self._objects[name] = segment
        if before is None or (before.metadata.uid, before.spec) != (segment.metadata.uid, segment.spec):
            self._told(name)

    def _drop(self, name: str) -> None:
        if self._objects.pop(name, None) is not None:
            self._told(name)


def _kept(name: str, there: Segment | None, member: tuple[election.Segment, int] | None) -> Kept | None:
    spec = SegmentSpec() if there is None else there.spec
    if member is None:
        try:
            found = election.from_spec(name, there.metadata.uid if there else "", spec)
        except InvalidObject:  # which was said when it came
            return None
        member = found, found.hmax
    segment, silence = member
    metadata = ObjectMeta(name=name, uid=segment.uid)
    return Kept(segment=Segment(metadata=metadata, spec=election.with_lists(spec, segment)), silence=silence)


def _usable(segment: Segment) -> election.Segment | None:
    try:
        return election.from_object(segment)
    except InvalidObject as error:
        log.warning(str(error), reason="InvalidSegment")
        return None
