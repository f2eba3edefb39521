"""When the LAN is told unasked: at once on winning, a few times soon after, then every ten minutes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from lbprovider.wire import arp, ndp

_MS: Final = 1_000_000
_SECOND: Final = 1000 * _MS

REPEATS: Final = (100 * _MS, 1_100 * _MS, 2_500 * _MS, 4_900 * _MS)
"""After the first announcement. The second within 0.2 s, in case the first was lost; one more than 1 s later, for
Linux keeps an entry that it learnt less than that ago (neigh/default/locktime)."""
REFRESH: Final = 600 * _SECOND
"""From then on: for those who keep an entry for hours and missed it all."""

FRAMES_PER_SECOND: Final = 4_000
"""As shipped: 1,000 addresses, two frames each, are told within half a second."""
_BURSTS_PER_SECOND: Final = 16
"""What may go in one call after a quiet time is this part of a second's frames: 250 as shipped, a step of few ms."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One frame to send now, if ``address`` is still ours: ask once more right before."""

    address: bytes
    interface: str
    frame: bytes


def frames(address: bytes, mac: bytes) -> tuple[bytes, ...]:
    """What announces a packed address: both ARP forms, or an unsolicited Neighbor Advertisement."""
    if len(address) == len(arp.UNSPECIFIED):
        return arp.gratuitous_request(address, mac), arp.gratuitous_reply(address, mac)
    return (ndp.unsolicited(address, mac),)


@dataclass(slots=True)
class _Entry:
    interface: str
    mac: bytes
    due: int
    phase: int = 0
    """The queue it waits in."""
    began: int = 0
    """When its first announcement went out."""


class Schedule:
    """Announcements of what is ours, paced.

    Args:
        per_second: frames a second over all interfaces, at least 1; few for switches with ARP inspection.

    An address has one place in one queue, however often it is won, lost or announced again. Under load the first
    announcements go out in the order of winning, and repeats that would come too late are left out, not made up for.
    """

    def __init__(self, per_second: int = FRAMES_PER_SECOND) -> None:
        self._interval = _SECOND // per_second
        self._burst = max(2, per_second // _BURSTS_PER_SECOND)
        # The token bucket as one number: when it was, or will be, empty.
        self._empty_at = -self._burst * self._interval
        self._entries: dict[bytes, _Entry] = {}
        # One queue for each announcement of an address: the first, the repeats, the refresh. Each is in order of time,
        # for addresses pass through them one behind the other.
        self._queues = tuple(OrderedDict[bytes, _Entry]() for _ in range(len(REPEATS) + 2))

    def won(self, address: bytes, interface: str, mac: bytes, now: int) -> None:
        """Announce a packed address from the beginning; also when its interface or hardware address changed."""
        self.lost(address)
        self._entries[address] = self._queues[0][address] = _Entry(interface, mac, due=now)

    def lost(self, address: bytes) -> None:
        """Announce it no more; nothing happens if it never was."""
        entry = self._entries.pop(address, None)
        if entry is not None:
            del self._queues[entry.phase][address]

    def again(self, interface: str, now: int) -> None:
        """Announce all of an interface from the beginning: its link is back, or this process was stopped (SIGCONT)."""
        for address, entry in self._entries.items():
            if entry.interface == interface and entry.phase != 0:
                self._move(address, entry, 0, now)

    def due(self, now: int) -> list[Announcement]:
        """What to send now, in order, counted as sent; no more than a burst, less as the pace demands."""
        self._empty_at = max(self._empty_at, now - self._burst * self._interval)
        found: list[Announcement] = []
        for queue in self._queues:
            while queue:
                address, entry = next(iter(queue.items()))
                if entry.due > now:
                    break
                whole = frames(address, entry.mac)
                spent = self._empty_at + len(whole) * self._interval
                if spent > now:
                    return found
                self._empty_at = spent
                found += (Announcement(address, entry.interface, frame) for frame in whole)
                self._sent(address, entry, now)
        return found

    def next_wake(self) -> int | None:
        """When ``due`` will have something next; None while nothing is ours. Changes with every other call."""
        heads = [next(iter(queue.values())).due for queue in self._queues if queue]
        # Two frames' worth: a burst is never less, an address never needs more.
        return max(min(heads), self._empty_at + 2 * self._interval) if heads else None

    def _sent(self, address: bytes, entry: _Entry, now: int) -> None:
        if entry.phase == 0:
            entry.began = now
        for phase, after in enumerate(REPEATS[entry.phase :], start=entry.phase + 1):
            if entry.began + after > now:
                self._move(address, entry, phase, entry.began + after)
                return
        self._move(address, entry, len(REPEATS) + 1, now + REFRESH)

    def _move(self, address: bytes, entry: _Entry, phase: int, due: int) -> None:
        del self._queues[entry.phase][address]
        entry.phase, entry.due = phase, due
        self._queues[phase][address] = entry
