"""Which addresses to ask for, and when: as the ranking has it, and never while somebody else claims them. Rule 13.

What keeps the fastest node from taking everything is the wait of two periods for each candidate ranked before me; what
keeps two askers from blocking each other for ever is the wait after a vain attempt, which differs by node and attempt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from lbprovider.election.claims import Ask
from lbprovider.election.guards import Guards
from lbprovider.election.outcome import WonReason
from lbprovider.election.peers import FOREVER, Peers
from lbprovider.election.segment import MemberList, Segment

_WAIT_PERIODS: Final = 2
"""For each candidate before me."""
_AGAIN_PERIODS: Final = (2, 4, 6)
"""After a vain attempt."""


@dataclass(frozen=True, slots=True)
class _Free:
    """No live node claims the address since then (ns), for this reason; ``silent_since`` nobody answers for it."""

    since: int
    reason: WonReason
    predecessor: str
    silent_since: int


class Asking:
    """The addresses that I could take. ``next_at`` is when the next wait found by ``due`` is over, ns."""

    def __init__(self, node: str, guards: Guards) -> None:
        self.wishes: Mapping[bytes, tuple[str, ...]] = {}
        self.next_at = FOREVER
        self._node = node
        self._guards = guards
        self._free: dict[bytes, _Free] = {}
        self._offered: dict[bytes, str] = {}
        self._attempts: dict[bytes, int] = {}
        self._not_before: dict[bytes, int] = {}

    def eligible(self, address: bytes) -> bool:
        """Whether I may announce the address at all."""
        return self._node in self.wishes.get(address, ())

    def wish(self, wishes: Mapping[bytes, tuple[str, ...]]) -> Collection[bytes]:
        """Takes new wishes; the addresses that are to be looked at again."""
        changed = [
            address
            for address in wishes.keys() | self.wishes.keys()
            if (ranking := wishes.get(address, ())) != self.wishes.get(address)
            and (self._node in ranking) != self.eligible(address)
        ]
        self.wishes = wishes
        for gone in [address for address in self._attempts if address not in wishes]:
            self.won(gone)
        return changed

    def revise(self, address: bytes, peers: Peers, now: int, freed: tuple[WonReason, str], *, mine: bool) -> None:
        """Who claims the address has changed.

        Args:
            address: the address.
            peers: who claims it.
            now: the time.
            freed: how it came to be free, and of whom, if nobody does.
            mine: whether I claim it.
        """
        claimants = peers.claimants(address)
        self._offered.pop(address, None)
        if mine or claimants or not self.eligible(address):
            self._free.pop(address, None)
        else:
            reason, predecessor = freed
            gone = peers.get(predecessor) if reason is WonReason.OWNER_SILENT else None
            self._free.setdefault(address, _Free(now, reason, predecessor, now if gone is None else gone.heard_at))
        if claimants and not mine and self.eligible(address):
            named = [peers.live[node].known[address].successor for node in claimants]
            every = all if self._guards.r13_every_claimant else any
            if every(successor == self._node for successor in named):
                self._offered[address] = min(claimants)

    def failed(self, address: bytes, now: int, period: int) -> None:
        """11b: asked in vain; when to ask again."""
        attempt = self._attempts[address] = self._attempts.get(address, 0) + 1
        seed = f"{self._node}/{attempt}/".encode() + address
        lot = hashlib.blake2b(seed, digest_size=2).digest()
        wait = _AGAIN_PERIODS[int.from_bytes(lot) % len(_AGAIN_PERIODS)]
        self._not_before[address] = now + wait * period

    def won(self, address: bytes) -> None:
        """The address is mine, or nobody's business any more."""
        self._attempts.pop(address, None)
        self._not_before.pop(address, None)

    def due(self, peers: Peers, segment: Segment, now: int, able_since: int) -> list[Ask]:
        """Rule 13's (a) and (b): what to ask for now, given that the rest of the rule holds.

        Args:
            peers: who claims what.
            segment: the one that I am in.
            now: the time.
            able_since: since when the rest of the rule has held: at a cold start everything has been free for long,
                and still only the first of the ranking is to ask at once.
        """
        due = [
            Ask(address, WonReason.HANDED_OVER, namer, now)
            for address, namer in self._offered.items()
            if self._ready(address, now, 0)
        ]
        for address, free in self._free.items():
            wait = _WAIT_PERIODS * segment.period * self._before_me(address, free, peers, segment.in_force)
            if self._ready(address, now, max(free.since, able_since) + wait):
                due.append(Ask(address, free.reason, free.predecessor, free.silent_since))
        return due

    def vacant(self, now: int, spacing: int) -> int:
        """For how long an address has been free, less ``spacing`` for each node ranked before me; the longest, ns."""
        waits = (
            now - free.since - spacing * self.wishes[address].index(self._node) for address, free in self._free.items()
        )
        return max(waits, default=0)

    def pending(self) -> bool:
        """Whether there is anything to ask for."""
        return bool(self._free or self._offered)

    def _ready(self, address: bytes, now: int, at: int) -> bool:
        at = max(at, self._not_before.get(address, 0))
        if now < at:
            self.next_at = min(self.next_at, at)
            return False
        return True

    def _before_me(self, address: bytes, free: _Free, peers: Peers, in_force: MemberList) -> int:
        """How many live candidates are ranked before me; who is not in force won't ask, nor who has just let it go."""
        if not self._guards.r13_wait:
            return 0
        let_go = free.predecessor if free.reason is WonReason.RELEASED and self._guards.r13_let_go else ""
        count = 0
        for node in self.wishes[address]:
            if node == self._node:
                break
            peer = peers.live.get(node)
            count += peer is not None and peer.candidate and node in in_force.members and node != let_go
        return count
