"""What I claim, version by version: each version is what one datagram can say. ELECTION.md rules 2 and 4, C4."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, ValuesView
from dataclasses import dataclass
from typing import Final

from lbprovider.election.outcome import WonReason
from lbprovider.wire.heartbeat import MAX_CHANGES, Change, change_size

VERSION_BYTES: Final = 1000
"""Of one version, so that it fits a datagram beside head, name and echo."""
MAX_LOG: Final = 256
"""Versions kept for peers that lag; who lags more is sent the full state."""


@dataclass(frozen=True, slots=True)
class Ask:
    """An address to claim now, of whom it came to be free, how, and since when nobody answers (ns)."""

    address: bytes
    reason: WonReason
    predecessor: str
    free_since: int


class Claim:
    """One address that I claim. Times are ns; ``until`` caches its deadline for the evidence numbered ``epoch``.

    ``reason``, ``predecessor`` and ``free_since`` say how, of whom and since when it was free when I asked.
    """

    __slots__ = (
        "address", "asked_at", "epoch", "free_since", "moved", "named_at", "owned", "predecessor", "reason", "since",
        "successor", "until",
    )  # fmt: skip

    def __init__(self, address: bytes, since: int, ask: Ask, asked_at: int) -> None:
        self.address = address
        self.since = since
        self.asked_at = asked_at
        self.free_since = ask.free_since
        self.successor = ""
        self.moved = False
        self.named_at = 0
        self.owned = False
        self.reason = ask.reason
        self.predecessor = ask.predecessor
        self.until = 0
        self.epoch = -1

    def change(self) -> Change:
        """As datagrams say it."""
        return Change(self.address, self.since, self.successor, self.owned, self.moved)


class Claims:
    """My claims, their version ``ver``, and the log of the newest versions."""

    def __init__(self) -> None:
        self.ver = 0
        self._claims: dict[bytes, Claim] = {}
        self._log: deque[tuple[int, tuple[Change, ...]]] = deque()
        self._open: dict[bytes, Change] = {}
        self._named: set[str] = set()
        self._size = 0

    def __len__(self) -> int:
        return len(self._claims)

    def __contains__(self, address: object) -> bool:
        return address in self._claims

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._claims)

    def get(self, address: bytes) -> Claim | None:
        return self._claims.get(address)

    def values(self) -> ValuesView[Claim]:
        return self._claims.values()

    def ask(self, ask: Ask, now: int) -> Claim:
        """Rule 13: a claim begins, in a version of its own number."""
        since = self._version_for(Change(ask.address, self.ver + 1))
        claim = self._claims[ask.address] = Claim(ask.address, since, ask, now)
        self._add(claim.change())
        return claim

    def own(self, claim: Claim) -> None:
        """Rule 10: a quorum has granted it."""
        claim.owned = True
        self._record(claim.change())

    def name(self, claim: Claim, successor: str, now: int, *, moved: bool = False) -> None:
        """Rule 14; ``moved``: for the successor's sake."""
        claim.successor, claim.moved, claim.named_at = successor, moved, now
        self._record(claim.change())

    def drop(self, claim: Claim) -> None:
        """Rule 11."""
        del self._claims[claim.address]
        self._record(Change(claim.address, 0))

    def close(self) -> None:
        """Ends the version that is being written, if one is."""
        if not self._open:
            return
        self._log.append((self.ver, tuple(self._open.values())))
        self._open, self._named, self._size = {}, set(), 0
        while len(self._log) > MAX_LOG:
            self._log.popleft()

    def after(self, version: int) -> tuple[tuple[Change, ...], ...] | None:
        """Each version after this one; None where the log doesn't reach back so far."""
        if version >= self.ver:
            return ()
        if not self._log or self._log[0][0] > version + 1:
            return None
        return tuple(changes for number, changes in self._log if number > version)

    def prune(self, version: int) -> None:
        """Every live peer knows this version: those up to it need not be kept."""
        while self._log and self._log[0][0] <= version:
            self._log.popleft()

    def refused(self, version: int, bitmap: bytes) -> frozenset[bytes] | None:
        """The addresses whose bits are set in a refusal of that version (C4); None = all: it can't be told any more."""
        self.close()  # so that the log reaches up to ``ver``
        if not any(bitmap):
            return frozenset()
        if version > self.ver or (version < self.ver and self.after(version) is None):
            return None
        addresses = set(self._claims)
        for number, changes in reversed(self._log):
            if number <= version:
                break
            for change in reversed(changes):
                if not change.since:
                    addresses.add(change.address)
                elif change.since == number:
                    addresses.discard(change.address)
        bits = int.from_bytes(bitmap, "little")
        if bits >> len(addresses):
            return None
        return frozenset(address for index, address in enumerate(sorted(addresses)) if bits >> index & 1)

    def _record(self, change: Change) -> None:
        self._version_for(change)
        self._add(change)

    def _add(self, change: Change) -> None:
        self._size += change_size(change, self._named)
        self._named.add(change.successor)
        self._open[change.address] = change

    def _version_for(self, change: Change) -> int:
        """The version that a change goes into: the open one while it fits and says nothing of this address yet."""
        full = len(self._open) >= MAX_CHANGES or self._size + change_size(change, self._named) > VERSION_BYTES
        if self._open and (full or change.address in self._open):
            self.close()
        if not self._open:
            self.ver += 1
        return self.ver
