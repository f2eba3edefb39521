"""Whether somebody else has an address, asked before it is used. RFC 5227 section 2.1; IPv6: RFC 4862 section 5.4."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from lbprovider.announce.pace import Pace
from lbprovider.announce.schedule import Announcement
from lbprovider.wire import arp, ndp

_MS: Final = 1_000_000


class Probe(StrEnum):
    """How an address is probed before its first use."""

    SHORT = "short"
    """Three probes within 150 ms: section 2.2 allows less where the network is fast; a LAN answers within few ms."""
    FULL = "full"
    """As sections 1.1 and 2.1.1 have it, 5 s in all: for links that take seconds to forward after a change."""
    OFF = "off"
    """Not at all."""


@dataclass(frozen=True, slots=True)
class _Form:
    probes: int
    every: int
    """Nanoseconds from one probe to the next, as is the next."""
    wait: int
    """For answers to the last one."""


_FORMS: Final = MappingProxyType({
    Probe.SHORT: _Form(3, 50 * _MS, 50 * _MS),
    # PROBE_NUM; between PROBE_MIN and PROBE_MAX; ANNOUNCE_WAIT.
    Probe.FULL: _Form(3, 1_500 * _MS, 2_000 * _MS),
})  # fmt: skip


def frame(address: bytes, mac: bytes) -> bytes:
    """What probes a packed address."""
    return arp.probe(address, mac) if len(address) == len(arp.UNSPECIFIED) else ndp.probe(address, mac)


@dataclass(slots=True)
class _Entry:
    mac: bytes
    due: int
    sent: int = 0
    """How many probes; the queue it waits in."""


class Probing:
    """The addresses that are being probed on one LAN.

    Args:
        interface: what is said in each ``Announcement``.
        pace: says how many frames may go now; others may share it.
        probe: ``OFF`` is for who asks nobody before a first use; who asks all the same gets the short form.

    Who hears that somebody else has one of them calls ``end``.
    """

    def __init__(self, interface: str, pace: Pace, probe: Probe) -> None:
        self._interface = interface
        self._pace = pace
        self._form = _FORMS.get(probe, _FORMS[Probe.SHORT])
        self._entries: dict[bytes, _Entry] = {}
        # One for each number of probes sent, the last for those who wait for the end. Each is in order of time, for
        # all pass through them at the same intervals.
        self._queues = tuple(OrderedDict[bytes, _Entry]() for _ in range(self._form.probes + 1))

    def __contains__(self, address: bytes) -> bool:
        return address in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, address: bytes, mac: bytes, now: int) -> None:
        """Probe a packed address, from the beginning, with our hardware address."""
        self.end(address)
        self._entries[address] = self._queues[0][address] = _Entry(mac, due=now)

    def end(self, address: bytes) -> None:
        """No more; nothing happens if it is not probed."""
        entry = self._entries.pop(address, None)
        if entry is not None:
            del self._queues[entry.sent][address]

    def due(self, now: int) -> list[Announcement]:
        """The probes to send now, counted as sent."""
        found: list[Announcement] = []
        for sent, queue in enumerate(self._queues[:-1], start=1):
            while queue:
                address, entry = next(iter(queue.items()))
                if entry.due > now:
                    break
                if not self._pace.take(1, now):
                    return found
                found.append(Announcement(address, self._interface, frame(address, entry.mac), is_probe=True))
                del queue[address]
                entry.sent = sent
                # From now, not from when it was due: an answer takes as long after a late probe.
                entry.due = now + (self._form.every if sent < self._form.probes else self._form.wait)
                self._queues[sent][address] = entry
        return found

    def unanswered(self, now: int) -> list[bytes]:
        """Those whose probes have all gone unanswered: they are nobody's, and no longer probed."""
        done: list[bytes] = []
        waiting = self._queues[-1]
        while waiting:
            address, entry = next(iter(waiting.items()))
            if entry.due > now:
                break
            self.end(address)
            done.append(address)
        return done

    def next_wake(self) -> int | None:
        """When there is something next; None while nothing is probed."""
        probes = [next(iter(queue.values())).due for queue in self._queues[:-1] if queue]
        ends = [next(iter(queue.values())).due for queue in self._queues[-1:] if queue]
        if probes:
            ends.append(max(min(probes), self._pace.ready_at()))
        return min(ends, default=None)
