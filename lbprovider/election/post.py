"""Who is written to, when and what. ELECTION.md rule 4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

from lbprovider.election.claims import Claims
from lbprovider.election.evidence import NEVER, Evidence
from lbprovider.election.grants import Grants
from lbprovider.election.letters import write
from lbprovider.election.parts import cut_lists
from lbprovider.election.peers import FOREVER, Peer, Peers
from lbprovider.election.segment import PERIODS_PER_HOLD, Segment
from lbprovider.wire.heartbeat import Echo, Heartbeat, MemberLists, addressee

PROMPT_MEMBERS: Final = 10
"""Members up to which owners are echoed at once, and not with the voter's next round: it doubles their datagrams."""


class Post:
    """Datagrams to every member of every list and every live peer: each period, and at once on change.

    ``sent`` is the newest own send time and ``beat_at`` when the next round is due, ns; ``tell`` are the peers that are
    written to at the end of this step even if no round is due.
    """

    def __init__(self, node: str, claims: Claims, peers: Peers, grants: Grants, evidence: Evidence) -> None:
        self.sent = NEVER
        self.beat_at = FOREVER
        self.tell: set[str] = set()
        self._node = node
        self._claims = claims
        self._peers = peers
        self._grants = grants
        self._evidence = evidence
        self._numbers = count()
        self._rounds = 0
        self._news_told = 0
        self._told: dict[str, int] = {}

    def forget(self, node: str) -> None:
        """The peer knows nothing of what it was told."""
        self._told.pop(node, None)

    def due(self, segment: Segment, now: int, head: Heartbeat) -> tuple[tuple[str, Heartbeat], ...]:
        """The datagrams of this step, by receiver.

        Args:
            segment: the one that I am in.
            now: the time; the head's ``sent``.
            head: what all of them share.
        """
        self._claims.close()
        a_round = now >= self.beat_at
        if a_round:
            self._rounds += 1
            self.beat_at = max(self.beat_at + segment.period, now + segment.period // 2)
        if a_round or self._news_told != self._claims.ver:
            receivers = {*segment.everyone, *self._peers.live} - {self._node}
        else:
            receivers = self.tell & self._peers.live.keys()
        self.tell = set()
        self._news_told = self._claims.ver
        if not receivers:
            return ()
        if now != self.sent:
            self.sent, self._numbers = now, count()
        if a_round and len(self._claims) and len(segment.everyone) <= PROMPT_MEMBERS:
            # Half a period less of age in what it counts on: that much more may processors be late on either side.
            head = replace(head, urgent=True)
        lists = cut_lists(segment) if a_round else ()
        return tuple([
            (node, letter)
            for node in sorted(receivers)
            for letter in self._letters(node, head, lists, a_round=a_round)
        ])  # fmt: skip

    def _letters(
        self, node: str, head: Heartbeat, lists: Sequence[MemberLists], *, a_round: bool
    ) -> Iterator[Heartbeat]:
        peer = self._peers.get(node)
        known = self._evidence.acknowledged(node)
        after: int | None = known
        if not a_round:
            # What was sent and is not acknowledged yet is probably on its way: the next round repeats it.
            after = max(known, self._told.get(node, 0))
        elif node not in self._peers.live and self._rounds % PERIODS_PER_HOLD:
            # It may be dead: once a hold is enough to keep it informed if it is only unheard.
            after = None
        if after is not None:
            self._told[node] = self._claims.ver
        behind = peer is not None and peer.version < head.version
        return write(
            head, self._echo(peer), self._claims, after, lists if behind else (),
            to=addressee(node), numbers=self._numbers,
        )  # fmt: skip

    def _echo(self, peer: Peer | None) -> Echo | None:
        if peer is None or peer.sent < 0:  # none of its datagrams counted yet: no promise was made
            return None
        return Echo(peer.incarnation, peer.sent, peer.hold, peer.kv, self._grants.bitmap(peer))
