"""Whether this node may vote: send, grant and ask. Until then it listens. ELECTION.md rule 7.

Where a snapshot is kept, rule 7 says that a version is on disk before this node votes in it. That is more than safety
asks for, and on a slow disk each change of a Segment would silence its members, so it is split into what it is for:
a version is reported as settled only when it is on disk (V9: no later life votes in an older one), and no promise is
made that is longer than the silence that a later life would read from disk (V12). Until then the vote goes on as ever.
"""

from __future__ import annotations

from lbprovider.election.durable import Durable
from lbprovider.election.guards import Guards
from lbprovider.election.segment import Segment


class Vote:
    """Silent until every promise of a former life has ended, and until the Segment was read with quorum in this one.

    Once given, the vote stays: a list with a longer hold that comes later asks for no second silence, because nobody
    can have named that hold to a former life.

    Args:
        start: when the UDP port was bound exclusively, ns.
        guards: for tests only.

    Attributes:
        given: this node votes, or did before its promises outgrew what is on disk.
        read: the Segment was read with quorum, or restored.
        durable: what is on disk for a later life to find; None where it would find nothing.
        above: only a newer version than this counts as read.
        silence: the longest promise of this life, ns; of the one that it was restored from, too.
    """

    def __init__(self, start: int, guards: Guards) -> None:
        self.given = False
        self.read = False
        self.durable: Durable | None = None
        self.silence = 0
        self._guards = guards
        self._since = start
        self._least = 0
        self.above = 0

    def may(self, segment: Segment, now: int) -> bool:
        """Whether the vote is given, or could be now."""
        if not self.promises(segment, segment.hold):
            return False
        if self.given:
            return True
        if not self.read and self._guards.r7_quorum_read:
            return False
        return now >= self.silent_until(segment) or not self._guards.r7_silence

    def promises(self, segment: Segment, hold: int) -> bool:
        """Whether a promise of ``hold`` (ns) may be made: a later life will be silent for as long."""
        return self.durable is None or self.durable.outlasts(segment, hold) or not self._guards.r7_durable

    def settles(self, segment: Segment) -> bool:
        """Whether this version may be reported as settled: a later life will know it."""
        return self.durable is None or self.durable.knows(segment) or not self._guards.r15_durable

    def silent_until(self, segment: Segment) -> int:
        """When promises of a former life have ended for sure, ns."""
        return self._since + max(segment.hmax, self._least)

    def promised(self, hold: int) -> None:
        """A promise is made, or may be from now on, that lasts for ``hold``, ns."""
        self.silence = max(self.silence, hold)

    def elsewhere(self, hold: int, now: int) -> None:
        """C1: a speaker of this LAN is still in a Segment that was deleted, and may serve there by promises of others.

        Whoever begins the new one waits until it has been silent for as long as it asks them to promise, ns.
        """
        if not self.given and self._guards.c1_elsewhere:
            self._since, self._least = now, max(self._least, hold)

    def restore(self, silence: int) -> None:
        """The Segment comes from the snapshot; the life that wrote it made no promise longer than ``silence`` (ns)."""
        self.read = True
        self._least = self.silence = silence

    def restart(self, now: int, silence: int, *, above: int = 0) -> None:
        """C1, C9: another Segment, or one that was given away. Silent for at least this long, and until it is read.

        Args:
            now: the time.
            silence: how long, ns.
            above: the version that was given away: to read it once more says nothing, for what was written may be on
                its way.
        """
        self.given = self.read = False
        self._since, self._least, self.above = now, silence, above
