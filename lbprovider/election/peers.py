"""What the peers said: who is live, and what each claims. ELECTION.md rules 3, 5 and 6."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from lbprovider.election.guards import Guards
from lbprovider.election.outcome import WonReason
from lbprovider.election.parts import Parts
from lbprovider.wire.heartbeat import Change, Delta, Full, Heartbeat

FOREVER: Final = 1 << 62
"""Later than any time that comes in, ns."""
MAX_AHEAD: Final = 256
"""Versions kept of one peer while one before them is missing."""
MAX_PEERS: Final = 4096
"""Peers remembered for this life. Forgetting one that is gone would let recorded datagrams of it count again."""


class Peer:
    """One peer in one of its lives.

    ``heard_at`` is when a datagram of it last counted, ``until`` ends my promise to it (ns). ``known`` are its claims
    at its version ``kv``; ``ver`` is its newest. What is ahead of ``kv`` waits for what is missing: news of many
    addresses takes many datagrams, and they come in any order. ``let_go``: what it owned, and gave up in this one.
    """

    __slots__ = (
        "_ahead", "_full", "candidate", "heard_at", "hold", "incarnation", "known", "kv", "let_go", "lists", "node",
        "number", "returning", "sent", "settled", "until", "ver", "version",
    )  # fmt: skip

    def __init__(self, node: str, incarnation: int) -> None:
        self.node = node
        self.incarnation = incarnation
        self.sent = -1
        self.number = -1
        self.hold = 0
        self.until = 0
        self.heard_at = 0
        self.ver = 0
        self.kv = 0
        self.known: dict[bytes, Change] = {}
        self.let_go: set[bytes] = set()
        self.candidate = False
        self.returning = False
        self.settled = 0
        self.version = 0
        self.lists: Parts[tuple[str, int]] = Parts()
        self._full: Parts[Change] = Parts()
        self._ahead: dict[int, tuple[Change, ...]] = {}

    def live(self, now: int) -> bool:
        """Whether my promise to it holds."""
        return now < self.until

    def learn(self, beat: Heartbeat, guards: Guards) -> Collection[bytes]:
        """Applies the changes, where none before them is missing; the addresses that they are about."""
        touched: set[bytes] = set()
        match beat.changes:
            case Delta(first, versions):
                if not guards.c4_contiguous:
                    self.kv = max(self.kv, first - 1)
                for version, changes in enumerate(versions, first):
                    if self.kv < version <= self.kv + MAX_AHEAD:
                        self._ahead[version] = changes
            case Full(part, parts, claims) if beat.ver > self.kv:
                whole = self._full.add(beat.ver, part, parts, claims)
                if whole is not None:
                    touched.update(self.known)
                    self.let_go.update(one for one, claim in self.known.items() if claim.owned)
                    self.known = {}
                    self.kv = beat.ver
                    touched.update(self._apply(whole))
                    self._ahead = {version: ahead for version, ahead in self._ahead.items() if version > self.kv}
        while self.kv + 1 in self._ahead:
            self.kv += 1
            touched.update(self._apply(self._ahead.pop(self.kv)))
        return touched

    def _apply(self, changes: Iterable[Change]) -> Iterable[bytes]:
        for change in changes:
            if change.since:
                self.known[change.address] = change
                self.let_go.discard(change.address)
            else:
                former = self.known.pop(change.address, None)
                if former is not None and former.owned:
                    self.let_go.add(change.address)
            yield change.address


class Peers:
    """All peers, the live ones, and who of those claims what."""

    def __init__(self, guards: Guards) -> None:
        self.live: dict[str, Peer] = {}
        self.next_lapse = FOREVER
        self._all: dict[str, Peer] = {}
        self._claimants: dict[bytes, set[str]] = {}
        self._touched: dict[bytes, tuple[WonReason, str]] = {}
        self._guards = guards

    def get(self, node: str) -> Peer | None:
        """The peer in its newest life, if it was ever heard."""
        return self._all.get(node)

    def why_ignored(self, beat: Heartbeat) -> str:
        """Rule 5: why a datagram doesn't count; empty if it does."""
        peer = self._all.get(beat.node)
        if peer is None:
            return "TooManyPeers" if len(self._all) >= MAX_PEERS else ""
        if beat.incarnation < peer.incarnation and self._guards.r5_old_incarnation:
            return "OldIncarnation"
        if beat.incarnation != peer.incarnation or not self._guards.r5_newest_only or _newer(beat, peer):
            return ""
        # Not heard, as rule 5 has it: no promise is made, and no older echo counts. But a version is a fact, however
        # late it comes, and the echo may be in any piece of one message.
        tells = beat.changes is not None or (beat.echo is not None and beat.sent == peer.sent)
        return "" if tells and peer.node in self.live else "NotNewer"

    def admit(self, beat: Heartbeat) -> tuple[Peer, bool]:
        """The sender, and whether this is a new life of it, of which nothing is known yet."""
        peer = self._all.get(beat.node)
        if peer is not None and beat.incarnation == peer.incarnation:
            return peer, False
        if peer is not None and not self._guards.r5_new_incarnation:
            peer.incarnation = beat.incarnation
            return peer, False
        self.forget(beat.node)
        peer = self._all[beat.node] = Peer(beat.node, beat.incarnation)
        return peer, True

    def hear(self, peer: Peer, beat: Heartbeat, now: int, own_hold: int) -> Collection[bytes]:
        """Rule 5 from "set s" on; the addresses that its changes are about."""
        if not _newer(beat, peer) and self._guards.r5_newest_only:
            return self._learn(peer, beat)
        if peer.node not in self.live:
            for address in peer.known:
                self._claim(address, peer.node)
        promised = now + (beat.hold if self._guards.r5_named_hold else own_hold)
        peer.until = max(peer.until, promised) if self._guards.r5_longest_promise else promised
        peer.heard_at = now
        peer.sent, peer.number, peer.hold = beat.sent, beat.number, beat.hold
        peer.version, peer.settled, peer.ver = beat.version, beat.settled, beat.ver
        peer.candidate, peer.returning = beat.candidate, beat.returning
        self.live[peer.node] = peer
        self.next_lapse = min(self.next_lapse, peer.until)
        return self._learn(peer, beat)

    def lapse(self, now: int) -> tuple[Peer, ...]:
        """Rule 6: the peers whose promise has ended; they are live no more."""
        if now < self.next_lapse:
            return ()
        gone = tuple(peer for peer in self.live.values() if not peer.live(now))
        for peer in gone:
            self._bury(peer)
        self.next_lapse = min((peer.until for peer in self.live.values()), default=FOREVER)
        return gone

    def forget(self, node: str) -> None:
        """Whatever was known of a peer."""
        peer = self._all.pop(node, None)
        if peer is not None and node in self.live:
            self._bury(peer)

    def clear(self) -> Collection[str]:
        """Forgets every peer; who they were."""
        nodes = tuple(self._all)
        for node in nodes:
            self.forget(node)
        return nodes

    def claimants(self, address: bytes) -> Collection[str]:
        """The live peers that claim the address."""
        return self._claimants.get(address, ())

    def all_known(self) -> bool:
        """Whether the newest claims of every live peer are known."""
        return all(peer.kv == peer.ver for peer in self.live.values())

    def take_touched(self) -> dict[bytes, tuple[WonReason, str]]:
        """Addresses whose claimants changed since the last call, each with how it came to be free if it is."""
        touched, self._touched = self._touched, {}
        return touched

    def _learn(self, peer: Peer, beat: Heartbeat) -> Collection[bytes]:
        touched = peer.learn(beat, self._guards)
        for address in touched:
            if address in peer.known:
                self._claim(address, peer.node)
            else:
                self._unclaim(address, peer.node, WonReason.RELEASED, owned=address in peer.let_go)
        peer.let_go.clear()
        return touched

    def _bury(self, peer: Peer) -> None:
        del self.live[peer.node]
        for address in peer.known:
            self._unclaim(address, peer.node, WonReason.OWNER_SILENT)

    def _claim(self, address: bytes, node: str) -> None:
        self._claimants.setdefault(address, set()).add(node)
        self._touched[address] = WonReason.UNCLAIMED, ""

    def _unclaim(self, address: bytes, node: str, reason: WonReason, *, owned: bool = True) -> None:
        nodes = self._claimants.get(address)
        if nodes is None:
            return
        nodes.discard(node)
        if not nodes:
            del self._claimants[address]
        # Who has only asked never had it.
        self._touched[address] = reason, node if owned else ""


def _newer(beat: Heartbeat, peer: Peer) -> bool:
    return (beat.sent, beat.number) > (peer.sent, peer.number)
