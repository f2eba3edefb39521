"""What a member may do when a quorum of the Segment is missing. ELECTION.md rules 18 and 19, C9 and C11.

Exactly half is left: the API server is the witness. Whoever swaps the Segment first has the only quorum from then on,
and the half that sees the rest of the LAN goes first: what answers clients should be where the clients are. Fewer than
half are left: nobody can know that the others don't serve; that is the last resort, outside the proof.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from lbprovider.election.evidence import NEVER
from lbprovider.election.guards import Guards
from lbprovider.election.outcome import ProposeSwap
from lbprovider.election.segment import NS_PER_MS, MemberList, Segment

COLD: Final = 10_000 * NS_PER_MS
"""Rule 18: how long a member that never had a quorum waits for the others to boot, ns."""
BLIND_HOLDS: Final = 4
"""C9: how many holds longer a half waits that sees nobody but members."""
SIGHT: Final = 2_000 * NS_PER_MS
"""C9: how long a neighbour that answered counts as seen, ns."""
YIELD_AGAIN: Final = 10_000 * NS_PER_MS
"""Between two attempts to yield, ns: each costs a silence."""


@dataclass(frozen=True, slots=True)
class Others:
    """What the Leases say of those that this member doesn't hear.

    Args:
        sighted: nodes that see a neighbour which is no member.
        unchanged: nodes whose Lease has not changed for so long that they are gone; None while the API server doesn't
            answer, or where the last resort is switched off.
    """

    sighted: frozenset[str] = frozenset()
    unchanged: frozenset[str] | None = None


class Minority:
    """One member's view of a quorum that is missing. Times are ns.

    Args:
        node: this one.
        start: of this life.
        guards: for tests only.

    Attributes:
        others: what the Leases say.
        lost_at: since when no quorum is heard; None while one is.
    """

    def __init__(self, node: str, start: int, guards: Guards) -> None:
        self.others = Others()
        self.lost_at: int | None = start
        self._node = node
        self._start = start
        self._guards = guards
        self._had_quorum = False
        self._neighbour_at = NEVER
        self._proposed_at = NEVER
        self._yielded_at = NEVER
        self._entered_at = start
        self._other_half: frozenset[str] = frozenset()

    def connected(self) -> None:
        """A quorum is heard."""
        self._had_quorum = True
        if self._guards.r18_not_connected:
            self.lost_at = None

    def lost(self, now: int) -> None:
        """No quorum is heard."""
        if self.lost_at is None:
            self.lost_at = now

    def neighbour(self, asked_at: int) -> None:
        """Somebody on the LAN who is no member has answered what it was asked then."""
        self._neighbour_at = max(self._neighbour_at, asked_at)

    def entered(self, before: Segment | None, after: Segment, live: AbstractSet[str], now: int) -> None:
        """Another version is in force: remembers whom it left out that wasn't heard, they may be the other half.

        Fewer than half are none: a majority took them off (16, C10), and they may never come back.
        """
        self._entered_at = now
        if before is not None and self._node in after.in_force.members:
            left_out = before.everyone - after.everyone
            if 2 * len(left_out) >= len(before.everyone):
                self._other_half |= left_out - live
            self._other_half -= after.everyone

    def sees(self, now: int) -> bool:
        """Whether somebody who is no member answered lately: then clients may be there too."""
        return now < self._neighbour_at + SIGHT

    @property
    def seeks(self) -> bool:
        """Whether it matters just now who can be seen: ask the gateway and other neighbours."""
        return self.lost_at is not None or bool(self._other_half)

    def proposal(self, segment: Segment, heard: AbstractSet[str], now: int) -> ProposeSwap | None:
        """The swap that this member should write now because a quorum is missing.

        Args:
            segment: the one that it is in, in force.
            heard: this node and the peers that it hears and that hear it.
            now: the time.
        """
        if self.lost_at is None:
            return None
        if not self._had_quorum and now < self._start + COLD and self._guards.r18_cold:
            return None
        if now < self._proposed_at + segment.hold:
            return None
        lists = self._half(segment, heard, self.lost_at, now) or self._last_resort(segment, heard)
        if not lists:
            return None
        self._proposed_at = now
        return ProposeSwap(segment.version, segment.followed_by(*lists))

    def yields(self, segment: Segment, live: AbstractSet[str], now: int) -> frozenset[str]:
        """C9: to whom this member should leave a LAN that it serves and doesn't see; empty: it need not.

        Args:
            segment: the one that it is in, in force.
            live: the peers that it hears.
            now: the time.
        """
        blind_since = max(self._neighbour_at, self._entered_at)
        to = (self.others.sighted & self._other_half) - live
        if not to or len(segment.lists) != 1 or now < max(blind_since + SIGHT, self._yielded_at + YIELD_AGAIN):
            return frozenset()
        return to

    def yielding(self, now: int) -> None:
        """It tries."""
        self._yielded_at = now

    def _half(self, segment: Segment, heard: AbstractSet[str], lost_at: int, now: int) -> tuple[MemberList, ...]:
        """Rule 18: the lists with the live half added; none where fewer are left, or C9 has this half wait."""
        lists = []
        for one in segment.lists:
            count = sum(member in heard for member in one.members)
            if count >= one.need:
                lists.append(one)
            elif 2 * count == len(one.members) and one.need == count + 1:
                lists.append(replace(one, need=count))
            elif self._guards.r18_half:
                return ()
        if not self._may_serve(segment, heard, lost_at, now):
            return ()
        return (*lists, _left(segment, heard))

    def _may_serve(self, segment: Segment, heard: AbstractSet[str], lost_at: int, now: int) -> bool:
        """C9: at once where a neighbour has answered since the loss; later where nobody is known to see more."""
        if self._neighbour_at >= lost_at or not self._guards.c9_sight:
            return True
        if self.others.sighted & (segment.everyone - heard) and self._guards.c9_others_see:
            return False
        return now >= lost_at + BLIND_HOLDS * segment.hmax

    def _last_resort(self, segment: Segment, heard: AbstractSet[str]) -> tuple[MemberList, ...]:
        """Rule 19: those that are left, once the Leases of all others have stood still."""
        if self.others.unchanged is None:
            return ()
        if not segment.everyone - heard <= self.others.unchanged and self._guards.r19_leases:
            return ()
        return (_left(segment, heard, last_resort=True),)


def _left(segment: Segment, heard: AbstractSet[str], *, last_resort: bool = False) -> MemberList:
    """Those in force that are left."""
    last = segment.in_force
    return MemberList.by_majority(heard & set(last.members), last.period, last_resort=last_resort)
