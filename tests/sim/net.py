"""The LAN and the API server of a simulation: what they do to messages."""

from __future__ import annotations

from dataclasses import dataclass

from lbprovider.wire.heartbeat import Heartbeat

MS = 1_000_000
SECOND = 1000 * MS


@dataclass(frozen=True)
class Net:
    """What the LAN and the API server do to messages. Times in ns, chances per message."""

    latency: tuple[int, int] = (MS // 10, MS // 2)
    loss: float = 0.0
    duplicates: float = 0.0
    late: float = 0.0
    """Chance of a delay of up to 3·hold: reordering."""
    lateness: int = 750 * MS
    watch: tuple[int, int] = (5 * MS, 50 * MS)
    write: tuple[int, int] = (5 * MS, 20 * MS)
    timers: int = 0
    """Timers fire up to this much late."""
    fsync: tuple[int, int] | None = None
    """How long a snapshot takes to be written; None: none is kept."""
    torn: float = 0.0
    """Chance that a write which a crash interrupts is on disk all the same."""


@dataclass(frozen=True)
class Message:
    """A datagram on its way."""

    sender: str
    receiver: str
    beat: Heartbeat


def nothing(_: Message) -> bool:
    """What is lost on a good day."""
    return False
