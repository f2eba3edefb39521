"""How a claim comes to be owned, is handed on, and ends. ELECTION.md rules 6, 10, 11 and 14."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lbprovider.election.asking import Asking
from lbprovider.election.claims import Ask, Claim, Claims
from lbprovider.election.evidence import Evidence
from lbprovider.election.guards import Guards
from lbprovider.election.outcome import Cause, Lost, LostReason, Won, WonReason
from lbprovider.election.peers import FOREVER, Peers
from lbprovider.election.segment import Segment

_NO_OUTAGE: Final = frozenset({WonReason.UNCLAIMED, WonReason.HANDED_OVER})


class Tenures:
    """My claims through their lives.

    A step writes what it won and lost to ``changes``, and to ``touched`` the addresses whose claimants changed, each
    with how it came to be free if it is. ``evidence_came`` says that something may have been won, ``review`` that
    something may have to be given up; whoever brings that about sets them.
    """

    def __init__(
        self, node: str, claims: Claims, peers: Peers, evidence: Evidence, asking: Asking, *, guards: Guards
    ) -> None:
        self.changes: list[Won | Lost] = []
        self.touched: dict[bytes, tuple[WonReason, str]] = {}
        self.evidence_came = False
        self.review = False
        self._node = node
        self._claims = claims
        self._peers = peers
        self._evidence = evidence
        self._asking = asking
        self._guards = guards
        self._asked: dict[bytes, Claim] = {}
        self._moving: dict[bytes, Claim] = {}
        self._lapse_at = FOREVER
        self._epoch = 0

    @property
    def moving(self) -> bool:
        """Whether I have named a successor, and own the address until that one does."""
        return bool(self._moving)

    def next_at(self, segment: Segment) -> int:
        """When the next of them ends by itself, ns."""
        times = [self._lapse_at]
        if self._asked and self._guards.r11_give_up:
            times.append(next(iter(self._asked.values())).asked_at + segment.hold)
        if self._moving and self._guards.r9_named:
            times.append(min(claim.named_at for claim in self._moving.values()) + 2 * segment.hold)
        return min(times)

    def lapse(self, segment: Segment, mine: int, now: int) -> None:
        """Rule 6, 11a: drops what no quorum promises me any more, and what I named a successor for too long ago.

        Args:
            segment: the one that I am in.
            mine: until when my own vote counts.
            now: the time.
        """
        if now < self._lapse_at and self._epoch == self._evidence.epoch:
            return
        owned = [claim for claim in self._claims.values() if claim.owned]
        self._evidence.refresh(segment, mine, owned)
        self._epoch, self._lapse_at = self._evidence.epoch, FOREVER
        for claim in owned:
            if claim.until > now:
                self._lapse_at = min(self._lapse_at, claim.until)
            elif claim.successor and now >= claim.named_at + self._evidence.shortened(2 * segment.hold):
                self.drop(claim, LostReason.SUCCESSOR_UNHEARD)
            elif self._guards.r11_passed:
                self.drop(claim, LostReason.DEADLINE_PASSED)

    def ask(self, ask: Ask, now: int) -> None:
        """Rule 13: the claim begins."""
        self._asked[ask.address] = self._claims.ask(ask, now)
        self.touched[ask.address] = ask.reason, ask.predecessor
        self.evidence_came = True

    def win(self, segment: Segment, mine: int, now: int) -> None:
        """Rule 10."""
        if not self.evidence_came:
            return
        self.evidence_came = False
        self._evidence.refresh(segment, mine, self._asked.values())
        for claim in [claim for claim in self._asked.values() if claim.until > now]:
            del self._asked[claim.address]
            self._claims.own(claim)
            self._asking.won(claim.address)
            self._lapse_at = min(self._lapse_at, claim.until)
            self.changes.append(self._won(claim, segment, now))

    def give_up(self, segment: Segment, now: int, *, draining: bool, in_force: bool) -> None:
        """Rules 11b to 11e, and 14.

        Args:
            segment: the one that I am in.
            now: the time.
            draining: whether I drain.
            in_force: whether I am in force.
        """
        for claim in tuple(self._moving.values()):
            successor = self._peers.live.get(claim.successor)
            taken = None if successor is None else successor.known.get(claim.address)
            if taken is not None and taken.owned:
                self.drop(claim, LostReason.TAKEN_OVER)
            elif now >= claim.named_at + 2 * segment.hold and self._guards.r9_named:
                self.drop(claim, LostReason.SUCCESSOR_UNHEARD)
        for claim in tuple(self._asked.values()):
            if now < claim.asked_at + segment.hold or not self._guards.r11_give_up:
                break
            self._asking.failed(claim.address, now, segment.period)
            self.drop(claim, LostReason.DEADLINE_PASSED)
        if self.review:
            self.review = False
            for claim in tuple(self._claims.values()):
                eligible = self._asking.eligible(claim.address)
                if draining or not in_force or not eligible:
                    self._hand_on(claim, segment, now, patient=eligible and in_force)

    def drop(self, claim: Claim, reason: LostReason) -> None:
        """Rule 11: from this moment ``may_answer`` is False; peers hear it at the end of the step."""
        self._asked.pop(claim.address, None)
        self._moving.pop(claim.address, None)
        self._claims.drop(claim)
        self.touched[claim.address] = WonReason.RELEASED, self._node
        if claim.owned:
            self.changes.append(Lost(claim.address, reason, claim.successor))

    def contested(self, address: bytes, now: int, period: int) -> None:
        """Rule 19: somebody else is seen to serve what I serve without a quorum; when to ask for it again."""
        claim = self._claims.get(address)
        if claim is not None:
            self._asking.failed(address, now, period)
            self.drop(claim, LostReason.CONTESTED)

    def hand(self, moves: Mapping[bytes, str], segment: Segment, now: int) -> None:
        """Rule 14 for these addresses, each to the node that is named; "" = the first of its ranking."""
        for address, node in moves.items():
            claim = self._claims.get(address)
            if claim is not None and claim.owned:
                ranking = (node,) if node else self._asking.wishes.get(address, ())
                self._name(claim, segment, ranking, now, moved=True)

    def _won(self, claim: Claim, segment: Segment, now: int) -> Won:
        reason = claim.reason
        outage = 0 if reason in _NO_OUTAGE else now - claim.free_since
        return Won(claim.address, reason, claim.predecessor, self._cause(claim), outage, segment.in_force.last_resort)

    def _cause(self, claim: Claim) -> Cause:
        """What is known of the node that had it; the first that holds."""
        reason, peer = claim.reason, self._peers.get(claim.predecessor)
        given = None if peer is None else peer.known.get(claim.address)
        table = (
            (Cause.NONE, reason is WonReason.UNCLAIMED or claim.predecessor == self._node),
            (Cause.NODE_SILENT, reason is WonReason.OWNER_SILENT),
            (Cause.MOVED, given is not None and given.moved),
            (Cause.RESTARTING, peer is not None and peer.returning),
            (Cause.LOST_QUORUM, reason is WonReason.RELEASED),
            (Cause.DRAINING, peer is None or not peer.candidate),
            (Cause.NOT_ELIGIBLE, claim.predecessor not in self._asking.wishes.get(claim.address, ())),
        )
        return next((cause for cause, holds in table if holds), Cause.MOVED)

    def _hand_on(self, claim: Claim, segment: Segment, now: int, *, patient: bool) -> None:
        """11e: names who is to have the claim (14); drops it where there is nobody.

        Who drains, and could go on, is ``patient`` while anybody is live: the next moment may tell of one that has just
        come to be in force, and whoever waits for the drain to end sets a limit to that.
        """
        ranking = self._asking.wishes.get(claim.address, ())
        if claim.owned and self._name(claim, segment, ranking, now, moved=False):
            return
        if patient and claim.owned and self._peers.live:
            self.review = True
        else:
            self.drop(claim, LostReason.NO_SUCCESSOR)

    def _name(self, claim: Claim, segment: Segment, ranking: Sequence[str], now: int, *, moved: bool) -> bool:
        """Rule 14: names who of the ranking is to have the claim, once and for all; whether anybody is named."""
        if claim.successor and self._guards.r14_once:
            return True
        successor = self._successor(claim, segment, ranking)
        if successor:
            self._claims.name(claim, successor, now, moved=moved)
            self._moving[claim.address] = claim
            self._lapse_at = min(self._lapse_at, now + self._evidence.shortened(2 * segment.hold))
        return bool(successor)

    def _successor(self, claim: Claim, segment: Segment, ranking: Sequence[str]) -> str:
        """Rule 14: the first of the ranking that is live, a candidate and in force; empty if there is none."""
        if self._peers.claimants(claim.address) and self._guards.r14_no_third:
            return ""
        for node in ranking:
            peer = self._peers.live.get(node)
            if peer is not None and peer.candidate and node in segment.in_force.members:
                return node
        return ""
