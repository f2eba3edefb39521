"""When the LAN is told unasked: at once on winning, a few times soon after, then every ten minutes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from lbprovider.announce.pace import Pace
from lbprovider.wire import arp, ndp

_MS: Final = 1_000_000
_SECOND: Final = 1000 * _MS

REPEATS: Final = (15 * _MS, 100 * _MS, 1_100 * _MS, 2_500 * _MS, 4_900 * _MS)
"""After the first announcement. One as soon as an owner that hands the address on has let go of it: its last answer may
come after the first. The next within 0.2 s, in case the first was lost; one more than 1 s later, for
Linux keeps an entry that it learnt less than that ago (neigh/default/locktime)."""
REFRESH: Final = 600 * _SECOND
"""From then on: for those who keep an entry for hours and missed it all."""

_FIRST: Final = 0
"""The queues: the first announcement of an address, its defence, the repeats, the refresh."""
_DEFENCE: Final = 1
_REPEATS: Final = 2
_REFRESH: Final = _REPEATS + len(REPEATS)


@dataclass(frozen=True, slots=True)
class Announcement:
    """One frame to send now, if ``address`` is still ours: ask once more right before."""

    address: bytes
    interface: str
    frame: bytes
    is_probe: bool = False
    """It asks whether somebody else has the address, and claims nothing."""


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
        pace: says how many may go now; others may share it.

    An address has one place in one queue, however often it is won, lost, defended or announced again. Under load the
    first announcements go out in the order of winning, and repeats that would come too late are left out, not made up
    for.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._entries: dict[bytes, _Entry] = {}
        # Each is in order of time, for addresses pass through them one behind the other. Who was defended comes back
        # out of turn: its next repeat, seconds after that, may then wait for the one before it.
        self._queues = tuple(OrderedDict[bytes, _Entry]() for _ in range(_REFRESH + 1))

    def won(self, address: bytes, interface: str, mac: bytes, now: int) -> None:
        """Announce a packed address from the beginning; also when its interface or hardware address changed."""
        self.lost(address)
        self._entries[address] = self._queues[_FIRST][address] = _Entry(interface, mac, due=now)

    def lost(self, address: bytes) -> None:
        """Announce it no more; nothing happens if it never was."""
        entry = self._entries.pop(address, None)
        if entry is not None:
            del self._queues[entry.phase][address]

    def again(self, interface: str, now: int) -> None:
        """Announce all of an interface from the beginning: its link is back, or this process was stopped (SIGCONT)."""
        for address, entry in self._entries.items():
            if entry.interface == interface and entry.phase != _FIRST:
                self._move(address, entry, _FIRST, now)

    def defend(self, address: bytes, now: int) -> None:
        """Announce a packed address once more, soon: another host claims it. Nothing happens if it is not ours."""
        entry = self._entries.get(address)
        if entry is not None and entry.phase not in (_FIRST, _DEFENCE):
            self._move(address, entry, _DEFENCE, now)

    def first(self, now: int) -> list[Announcement]:
        """The first announcements that are to be sent now, in order of winning, counted as sent."""
        return self._from(self._queues[_FIRST], now)

    def rest(self, now: int) -> list[Announcement]:
        """What else is to be sent now, in order, counted as sent: after all that is more urgent."""
        return [each for queue in self._queues[_DEFENCE:] for each in self._from(queue, now)]

    def next_wake(self) -> int | None:
        """When there is something next; None while nothing is ours. Changes with every other call."""
        heads = [next(iter(queue.values())).due for queue in self._queues if queue]
        return max(min(heads), self._pace.ready_at()) if heads else None

    def _from(self, queue: OrderedDict[bytes, _Entry], now: int) -> list[Announcement]:
        found: list[Announcement] = []
        while queue:
            address, entry = next(iter(queue.items()))
            if entry.due > now:
                break
            whole = frames(address, entry.mac)
            if not self._pace.take(len(whole), now):
                break
            found += (Announcement(address, entry.interface, frame) for frame in whole)
            self._sent(address, entry, now)
        return found

    def _sent(self, address: bytes, entry: _Entry, now: int) -> None:
        if entry.phase == _FIRST:
            entry.began = now
        for phase, after in enumerate(REPEATS, start=_REPEATS):
            if phase > entry.phase and entry.began + after > now:
                self._move(address, entry, phase, entry.began + after)
                return
        self._move(address, entry, _REFRESH, now + REFRESH)

    def _move(self, address: bytes, entry: _Entry, phase: int, due: int) -> None:
        del self._queues[entry.phase][address]
        entry.phase, entry.due = phase, due
        self._queues[phase][address] = entry
