"""``FastPath`` in memory. ``tests/fakes/fast_path_contract.py`` runs against this and against the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lbprovider.announce.responder import Responder
from lbprovider.errors import HostError
from lbprovider.net.bpf.kernel import CAPACITY
from lbprovider.net.links import Link
from lbprovider.wire import arp

_LAN = "lan"


class FakeFastPath:
    """Answers what a test asks.

    Args:
        link: the interface.
        clock: ns of CLOCK_BOOTTIME.
    """

    def __init__(self, link: Link, clock: Callable[[], int]) -> None:
        self.link = link
        self.deadlines: dict[bytes, int] = {}
        """What is held, until when."""
        self.refreshed = 0
        self.closed = False
        self._clock = clock
        self._responder = Responder(lambda address, now: now < self.deadlines[address])
        self._counts = {"IPv4": 0, "IPv6": 0}

    def hold(self, address: bytes, mac: bytes, deadline: int) -> None:
        if self.closed:
            return
        if address not in self.deadlines and len(self.deadlines) == CAPACITY:
            raise HostError(f"the fast path has room for {CAPACITY} addresses; the others are answered without it")
        self.deadlines[address] = deadline
        self._responder.hold(address, _LAN, mac)

    def refresh(self, deadlines: Mapping[bytes, int]) -> None:
        self.refreshed += 1
        self.deadlines |= {address: at for address, at in deadlines.items() if address in self.deadlines}

    def drop(self, address: bytes) -> None:
        self.deadlines.pop(address, None)
        self._responder.drop(address)

    def counts(self) -> Mapping[str, int]:
        return {} if self.closed else dict(self._counts)

    def close(self) -> None:
        self.closed = True
        for address in tuple(self.deadlines):
            self.drop(address)

    def ask(self, frame: bytes) -> bytes | None:
        """A frame of the LAN; what comes back at once."""
        reply = self._responder.answer(frame, _LAN, self._clock())
        if reply is not None:
            self._counts["IPv4" if len(reply) == arp.FRAME.size else "IPv6"] += 1
        return reply
