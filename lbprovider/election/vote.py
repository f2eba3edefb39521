"""Whether this node may vote: send, grant and ask. Until then it listens. ELECTION.md rule 7."""

from __future__ import annotations

from lbprovider.election.guards import Guards
from lbprovider.election.segment import Segment


class Vote:
    """Silent until every promise of a former life has ended, and until the Segment was read with quorum in this one.

    Once given, the vote stays: a list with a longer hold that comes later asks for no second silence, because nobody
    can have named that hold to a former life.

    Args:
        start: when the UDP port was bound exclusively, ns.
        guards: for tests only.
    """

    def __init__(self, start: int, guards: Guards) -> None:
        self.given = False
        self.read = False
        self._guards = guards
        self._since = start
        self._least = 0

    def may(self, segment: Segment, now: int) -> bool:
        """Whether the vote is given, or could be now."""
        if self.given:
            return True
        if not self.read and self._guards.r7_quorum_read:
            return False
        return now >= self.silent_until(segment) or not self._guards.r7_silence

    def silent_until(self, segment: Segment) -> int:
        """When promises of a former life have ended for sure, ns."""
        return self._since + max(segment.hmax, self._least)

    def restart(self, now: int, silence: int) -> None:
        """C1: another Segment. Silent for at least this long (ns), and until that one is read."""
        self.given = self.read = False
        self._since, self._least = now, silence
