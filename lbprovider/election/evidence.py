"""What the voters echoed, and until when that lets me answer. ELECTION.md rules 9 and 12."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from lbprovider.election.claims import Claim, Claims
from lbprovider.election.guards import Guards
from lbprovider.election.segment import MemberList, Segment
from lbprovider.wire.heartbeat import Echo

NEVER: Final = -(1 << 62)
"""Earlier than any time that comes in, ns."""
EPSILON: Final = 2
"""Percent. Two clocks that are each right to ±0.9 % differ by 1.8 % from each other: 1 % would not do."""


@dataclass(frozen=True, slots=True)
class Echoed:
    """One voter's newest echo. Times are my own ns; ``refused`` None = all of my claims."""

    sent: int
    expiry: int
    kv: int
    refused: frozenset[bytes] | None
    version: int

    def weaker_than(self, other: Echoed) -> bool:
        """Whether some claim may have lost support against ``other``."""
        return (
            self.expiry < other.expiry
            or self.kv < other.kv
            or self.version > other.version
            or self.refused is None
            or (other.refused is not None and not self.refused <= other.refused)
        )


class Evidence:
    """The echoes by voter, and the deadlines that they come to.

    ``epoch`` changes whenever some deadline may have come nearer; until then cached ones only err to the safe side.
    """

    def __init__(self, node: str, claims: Claims, guards: Guards) -> None:
        self.epoch = 0
        self._node = node
        self._claims = claims
        self._guards = guards
        self._echoed: dict[str, Echoed] = {}

    def store(self, voter: str, echo: Echo, version: int, *, own_version: int, own_hold: int) -> None:
        """Keeps the voter's echo, unless it is of an older datagram than the one kept (end of rule 5).

        Args:
            voter: who echoed.
            echo: it; its ``incarnation`` is mine.
            version: the Segment's version that the voter is in.
            own_version: the one that I am in.
            own_hold: what I would promise now; the rules never use it (V10).
        """
        before = self._echoed.get(voter)
        if before is not None and (echo.sent < before.sent or (version > own_version and self._guards.r9_version)):
            # What it promised before it was in the newer version binds it to the end; what it promises there doesn't
            # count until I am there too. Its lists may come with the very next datagram.
            return
        hold = echo.hold if self._guards.r9_echoed_hold else own_hold
        refused = None if echo.refused is None else self._claims.refused(echo.kv, echo.refused)
        after = Echoed(echo.sent, echo.sent + self.shortened(hold), echo.kv, refused, version)
        self._echoed[voter] = after
        if before is not None and after.weaker_than(before):
            self.epoch += 1

    def forget(self, voter: str) -> None:
        """The voter began a new life: it promises nothing."""
        if self._echoed.pop(voter, None) is not None:
            self.epoch += 1

    def clear(self) -> None:
        """No voter is known."""
        self._echoed.clear()
        self.epoch += 1

    def acknowledged(self, voter: str) -> int:
        """The newest version of my claims that the voter is known to know; 0 = none."""
        echoed = self._echoed.get(voter)
        return 0 if echoed is None else echoed.kv

    def shortened(self, span: int) -> int:
        """A span of somebody else's clock as I may count it on mine."""
        return span * (100 - EPSILON) // 100 if self._guards.r9_epsilon else span

    def connected_until(self, segment: Segment, mine: int) -> int:
        """Rule 12: until when a quorum promises me anything at all."""
        return self._deadline(segment, mine, None)

    def supporters(self, version: int, now: int) -> frozenset[str]:
        """Rule 18's L without me: the voters whose promise to me is not over, in this version or an older one."""
        return frozenset(
            node for node, one in self._echoed.items() if one.expiry > now and self._counts(one, version, None)
        )

    def refresh(self, segment: Segment, mine: int, claims: Iterable[Claim]) -> None:
        """Rule 9: caches in each claim until when a quorum of every list promises me its address.

        Claims of one version that nobody refuses share their deadline, so a thousand cost little more than one.

        Args:
            segment: the one that I am in.
            mine: until when my own vote counts.
            claims: mine.
        """
        contested = self._contested()
        shared: dict[int, int] = {}
        for claim in claims:
            deadline = None if claim.address in contested else shared.get(claim.since)
            if deadline is None:
                deadline = self._deadline(segment, mine, claim)
                if claim.address not in contested:
                    shared[claim.since] = deadline
            if claim.successor and self._guards.r9_named:
                deadline = min(deadline, claim.named_at + self.shortened(2 * segment.hold))
            claim.until, claim.epoch = deadline, self.epoch

    def deadlines(self, segment: Segment, mine: int, claims: Collection[Claim], now: int) -> dict[bytes, int]:
        """What ``refresh`` comes to, by address. Whatever has passed at ``now`` is only said to be in the past.

        Claims that every voter knows whose promise is not over, that nobody refuses and that are not moving share one
        deadline whatever their versions: as a rule these are all of them.
        """
        contested = self._contested()
        known = min((one.kv for one in self._echoed.values() if one.expiry > now), default=0)
        alike = [one for one in claims if one.since <= known and not one.successor and one.address not in contested]
        deadline = self._deadline(segment, mine, alike[0]) if alike else NEVER
        found = {one.address: deadline for one in alike}
        if len(found) < len(claims):
            others = [one for one in claims if one.address not in found]
            self.refresh(segment, mine, others)
            found |= {one.address: one.until for one in others}
        return found

    def _contested(self) -> frozenset[bytes]:
        return frozenset().union(*(one.refused for one in self._echoed.values() if one.refused))

    def _deadline(self, segment: Segment, mine: int, claim: Claim | None) -> int:
        lists = segment.lists if self._guards.r9_every_list else segment.lists[-1:]
        return min(self._of_list(one, segment.version, mine, claim) for one in lists)

    def _of_list(self, members: MemberList, version: int, mine: int, claim: Claim | None) -> int:
        expiries = []
        for member in members.members:
            if member == self._node:
                expiries.append(mine)
            else:
                echoed = self._echoed.get(member)
                if echoed is not None and self._counts(echoed, version, claim):
                    expiries.append(echoed.expiry)
        if len(expiries) < members.need:
            return NEVER
        expiries.sort(reverse=True)
        return expiries[members.need - 1]

    def _counts(self, echoed: Echoed, version: int, claim: Claim | None) -> bool:
        guards = self._guards
        if echoed.version > version and guards.r9_version:
            return False
        if claim is None:
            return True
        if echoed.kv < claim.since and guards.r9_since:
            return False
        if not guards.r9_refused:
            return True
        return echoed.refused is not None and claim.address not in echoed.refused
