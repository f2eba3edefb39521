"""A node's snapshot, as far as the election goes: what is on disk, and what a later life may find there."""

from __future__ import annotations

from dataclasses import dataclass

from lbprovider.election.durable import Durable, either
from lbprovider.election.member import Member
from lbprovider.election.segment import Segment


@dataclass(frozen=True)
class Stored:
    """What is written of the Segment."""

    segment: Segment
    silence: int

    @property
    def durable(self) -> Durable:
        return Durable(self.segment.uid, self.segment.version, self.silence)


@dataclass(eq=False)
class Disk:
    """The file. A write that is under way leaves the old one or the new one, and nobody knows which."""

    file: Stored | None = None
    writing: Stored | None = None
    floor: Durable | None = None
    broken: bool = False
    stuck: bool = False
    """A write that began never ends."""

    def found(self) -> None:
        """A new life begins: it can tell which of the two there is."""
        self.writing = None
        self.floor = None if self.file is None else self.file.durable

    def begin(self, member: Member, now: int) -> bool:
        """Whether a write begins: there is something new to say, and no other write is under way."""
        if self.broken or self.writing is not None or member.segment is None:
            return False
        before = self.file if self.file is not None and self.file.segment.uid == member.segment.uid else None
        segment, silence = member.segment, member.silence
        if before is not None and before.segment.version > segment.version:
            segment = before.segment
        if before is not None and not member.votes(now):
            silence = max(silence, before.silence)  # its promises may still hold
        new = Stored(segment, silence)
        if new == self.file:
            return False
        self.writing = new
        self.floor = new.durable if self.floor is None else either(self.floor, new.durable)
        return True

    def end(self) -> None:
        """It is on disk."""
        assert self.writing is not None
        self.file, self.writing = self.writing, None
        self.floor = self.file.durable
