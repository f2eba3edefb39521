"""How a member goes for good without leaving too few behind: by taking itself off the list first. ELECTION.md C10."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from lbprovider.election.evidence import NEVER
from lbprovider.election.guards import Guards
from lbprovider.election.outcome import ProposeSwap
from lbprovider.election.segment import MemberList, Segment, majority
from lbprovider.wire.heartbeat import MAX_LISTS


def without(segment: Segment, node: str, live: AbstractSet[str]) -> Segment | None:
    """The Segment with a list added that lacks ``node``; None where nobody would be left, or too few that live.

    Dead members stay on the list while a majority of it lives without them, or they would have to be heard again by
    one who is gone; else only the living are left on it.

    Args:
        segment: the present one.
        node: who goes; in force.
        live: the peers that it hears and that hear it.
    """
    rest = tuple(member for member in segment.in_force.members if member != node)
    alive = tuple(member for member in rest if member in live)
    if not alive or len(segment.lists) >= MAX_LISTS:
        return None
    target = rest if len(alive) >= majority(len(rest)) else alive
    return segment.followed_by(*segment.lists, MemberList.by_majority(target, segment.in_force.period))


class Leaving:
    """Whether this member may end now, and the swap that it writes before.

    Args:
        node: this one.
        guards: for tests only.
    """

    def __init__(self, node: str, guards: Guards) -> None:
        self.wanted = False
        self._node = node
        self._guards = guards
        self._proposed_at = NEVER

    def done(self, segment: Segment, live: AbstractSet[str]) -> bool:
        """Whether those that stay don't need this member.

        Args:
            segment: the one that it is in.
            live: the peers that it hears and that hear it.
        """
        if self._node not in segment.everyone:
            return True
        if not any(member in live for member in segment.in_force.members):
            return True  # nobody is left whom it could help: the last one just goes
        if len(segment.lists) > 1:
            return False
        remaining = sum(member in live for member in segment.in_force.members)
        return remaining > segment.in_force.need or not self._guards.c10_slack

    def proposal(self, segment: Segment, live: AbstractSet[str], now: int) -> ProposeSwap | None:
        """The swap that takes this member off the list, at most once a hold.

        Args:
            segment: the one that it is in.
            live: the peers that it hears and that hear it.
            now: the time.
        """
        if not self.wanted or self._node not in segment.in_force.members or self.done(segment, live):
            return None
        if now < self._proposed_at + segment.hold:
            return None
        new = without(segment, self._node, live)
        if new is None:
            return None
        self._proposed_at = now
        return ProposeSwap(segment.version, new)
