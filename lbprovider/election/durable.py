"""What the snapshot on disk lets a member say: a later life may know no more than that. ELECTION.md rules 7 and 15."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lbprovider.election.segment import Segment


@dataclass(frozen=True, slots=True)
class Durable:
    """What a later life finds of a Segment in the oldest snapshot that may still be on disk.

    Args:
        uid: the Segment's.
        version: the one that it would vote in.
        silence: how long it would be silent first, ns.
    """

    uid: str = ""
    version: int = 0
    silence: int = 0

    def outlasts(self, segment: Segment, hold: int) -> bool:
        """Whether a promise of ``hold`` (ns) would be over when that life votes."""
        return self.uid == segment.uid and hold <= self.silence

    def knows(self, segment: Segment) -> bool:
        """Whether that life would vote in this version or a later one, never in an older one (V9)."""
        return self.uid == segment.uid and segment.version <= self.version


NOTHING: Final = Durable()
"""There is, or may be, a snapshot on disk, and the Segment is not in it."""


def either(one: Durable, other: Durable) -> Durable:
    """What is sure where a later life may find the one or the other: a write is under way, or may have failed."""
    if one.uid != other.uid:
        return NOTHING
    return Durable(one.uid, min(one.version, other.version), min(one.silence, other.silence))
