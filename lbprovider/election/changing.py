"""How a member changes the Segment: one compare-and-swap at a time, for four reasons. ELECTION.md 17 to 19, C9, C10."""

from __future__ import annotations

from collections.abc import Mapping

from lbprovider.election.evidence import NEVER, Evidence
from lbprovider.election.guards import Guards
from lbprovider.election.leaving import Leaving, without
from lbprovider.election.minority import Minority
from lbprovider.election.outcome import ProposeSwap
from lbprovider.election.peers import FOREVER, Peer
from lbprovider.election.segment import MemberList, Segment
from lbprovider.election.settling import Settling


class Changing:
    """What this member writes into the Segment.

    In this order: the old lists go once the new one has settled; a missing quorum is replaced; this member takes itself
    off the list because it ends; it leaves the LAN to those who see it.

    Args:
        node: this one.
        start: of this life, or of the Segment, ns.
        evidence: of who supports this node.
        guards: for tests only.

    Attributes:
        settling: which version has settled here.
        minority: what to do without a quorum.
        leaving: whether this node is to be taken off the list.
        given: the swap that gives everything away: nothing may be owned or voted for before a newer version is read.
    """

    def __init__(self, node: str, start: int, evidence: Evidence, guards: Guards) -> None:
        self.settling = Settling(node, guards)
        self.settling.adopted(start)
        self.minority = Minority(node, start, guards)
        self.leaving = Leaving(node, guards)
        self.given: ProposeSwap | None = None
        self._node = node
        self._evidence = evidence
        self._connected_until = NEVER
        self._epoch = -1
        self._now = start
        self._again_at = FOREVER

    @property
    def next_at(self) -> int:
        """When a quorum may turn out to be missing, or what was given away is to be written again, ns."""
        return min(self._connected_until if self._connected_until > self._now else FOREVER, self._again_at)

    def entered(self, before: Segment | None, after: Segment, live: Mapping[str, Peer], now: int) -> None:
        """Another version is in force for me."""
        self.given, self._again_at = None, FOREVER
        self.settling.adopted(now)
        self.minority.entered(before, after, live.keys(), now)

    def watch(self, segment: Segment, mine: int, now: int) -> None:
        """Rule 12: whether a quorum is heard. Looked at again when it may have changed for the worse.

        Args:
            segment: the one that I am in.
            mine: until when my own vote counts.
            now: the time.
        """
        self._now = now
        if now < self._connected_until and self._epoch == self._evidence.epoch:
            return
        self._epoch = self._evidence.epoch
        self._connected_until = self._evidence.connected_until(segment, mine)
        if now < self._connected_until:
            self.minority.connected()
        else:
            self.minority.lost(now)

    def proposal(self, segment: Segment, live: Mapping[str, Peer], now: int, *, able: bool) -> ProposeSwap | None:
        """What to write now.

        Args:
            segment: the one that I am in; I vote.
            live: the peers that I hear.
            now: the time.
            able: whether I could own something: a candidate that doesn't drain.
        """
        swap = self.settling.proposal(segment, {node: peer.settled for node, peer in live.items()}, now)
        if swap is not None or self._node not in segment.in_force.members:
            return swap
        if not (self.minority.seeks or self.leaving.wanted):
            return None
        supporters = self._supporters(segment, live, now)
        if able:
            swap = self.minority.proposal(segment, supporters | {self._node}, now)
        return swap or self.leaving.proposal(segment, supporters, now) or self._yield(segment, live, supporters, now)

    def again(self, segment: Segment, now: int) -> ProposeSwap | None:
        """What this member has given away is written until a newer version is read, at most once a hold.

        The first write may be on its way still. Whichever of them lands first, the others lose to it.
        """
        if self.given is None or now < self._again_at:
            return None
        self._again_at = now + segment.hold
        return self.given

    def leaving_done(self, segment: Segment, live: Mapping[str, Peer], now: int) -> bool:
        """C10: whether the others need this node no more."""
        return self.leaving.done(segment, self._supporters(segment, live, now))

    def _supporters(self, segment: Segment, live: Mapping[str, Peer], now: int) -> frozenset[str]:
        """The peers that hear this node, and that it hears."""
        return self._evidence.supporters(segment.version, now) & live.keys()

    def _yield(
        self, segment: Segment, live: Mapping[str, Peer], supporters: frozenset[str], now: int
    ) -> ProposeSwap | None:
        """C9: leaves a LAN that this side serves and doesn't see to the other half, which does.

        One member after the other takes itself off the list. The last one is the whole quorum, so it can write the
        others there at once, if it owns nothing any more by then and doesn't vote before it has read what came of it.
        """
        members = segment.in_force.members
        to = self.minority.yields(segment, live.keys(), now)
        if not to or self._node != next(one for one in members if one == self._node or one in supporters):
            return None
        self.minority.yielding(now)
        if len(members) > 1:
            new = without(segment, self._node, supporters)
            return None if new is None else ProposeSwap(segment.version, new)
        self._connected_until = NEVER
        heirs = MemberList.by_majority(to, segment.in_force.period)
        self.given, self._again_at = ProposeSwap(segment.version, segment.followed_by(heirs)), now + segment.hold
        return self.given
