"""What I promised to whom: a vote is bound to at most one owner of an address at any instant. ELECTION.md rule 8."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from lbprovider.election.claims import Claims
from lbprovider.election.guards import Guards
from lbprovider.election.peers import Peer
from lbprovider.wire.heartbeat import MAX_REFUSED


class Grants:
    """Per live peer, the claims that I grant it; ``refused`` are those that I know and don't grant."""

    def __init__(self, claims: Claims, guards: Guards) -> None:
        self._claims = claims
        self._guards = guards
        self._granted: dict[str, dict[bytes, int]] = {}
        self._refused: dict[str, set[bytes]] = {}
        self._holders: dict[bytes, set[str]] = {}

    def revise(self, peer: Peer, touched: Iterable[bytes]) -> None:
        """Takes back grants of claims that are gone or have become another tenure (rule 5, V4)."""
        granted = self._granted.setdefault(peer.node, {})
        refused = self._refused.setdefault(peer.node, set())
        for address in touched:
            claim = peer.known.get(address)
            since = granted.get(address)
            if since is not None and (claim is None or (claim.since != since and self._guards.r5_since)):
                self._take_back(peer.node, address)
                since = None
            if claim is not None and since is None:
                refused.add(address)
            else:
                refused.discard(address)

    def lapse(self, peer: Peer) -> None:
        """Rule 6: the promise has ended, and every grant with it; they are judged again if it returns (V1, V2)."""
        if not self._guards.r6_lapsed_grants:
            return
        for address in tuple(self._granted.get(peer.node, ())):
            self._take_back(peer.node, address)
        self._refused[peer.node] = set(peer.known)

    def forget(self, node: str) -> None:
        """The peer began a new life."""
        for address in tuple(self._granted.get(node, ())):
            self._take_back(node, address)
        self._granted.pop(node, None)
        self._refused.pop(node, None)

    def judge(self, live: Mapping[str, Peer]) -> Collection[str]:
        """Rule 8 for all that is refused; the peers that were granted something."""
        changed = []
        for peer in live.values():
            refused = self._refused.get(peer.node)
            if not refused:
                continue
            given = [address for address in refused if self._may_grant(address, peer.node, live)]
            for address in given:
                refused.discard(address)
                self._granted[peer.node][address] = peer.known[address].since
                self._holders.setdefault(address, set()).add(peer.node)
            if given:
                changed.append(peer.node)
        return changed

    def free_for(self, node: str, address: bytes, live: Mapping[str, Peer]) -> bool:
        """Whether nobody else holds my promise for the address, but who names ``node`` (8, and 13 for myself)."""
        if not self._guards.r8_one_holder:
            return True
        names = [
            live[holder].known[address].successor == node
            for holder in self._holders.get(address, ())
            if holder != node and holder in live and address in live[holder].known
        ]
        return all(names) if self._guards.r8_every_holder else not names or any(names)

    def bitmap(self, peer: Peer) -> bytes | None:
        """C4: ``refused`` over what I know of the peer; None = all, where the bits would not fit."""
        refused = self._refused.get(peer.node)
        if not refused:
            return b""
        bits = 0
        for index, address in enumerate(sorted(peer.known)):
            if address in refused:
                bits |= 1 << index
        size = (bits.bit_length() + 7) // 8
        return bits.to_bytes(size, "little") if size <= MAX_REFUSED else None

    def _may_grant(self, address: bytes, node: str, live: Mapping[str, Peer]) -> bool:
        own = self._claims.get(address)
        if own is not None and own.successor != node and self._guards.r8_own_claim:
            return False
        return self.free_for(node, address, live)

    def _take_back(self, node: str, address: bytes) -> None:
        del self._granted[node][address]
        holders = self._holders[address]
        holders.discard(node)
        if not holders:
            del self._holders[address]
