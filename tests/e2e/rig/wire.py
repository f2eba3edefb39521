"""A cable between two network namespaces: ours, with something that answers, and a neighbour who asks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Final, TypeVar

from lbprovider.net.clock import boottime
from lbprovider.net.links import Link
from lbprovider.net.namespaces import Namespace, forget, names
from lbprovider.net.netlink import KernelLinks
from lbprovider.net.tap import Tap
from lbprovider.wire import arp, ndp

T = TypeVar("T")

LAN: Final = "lan0"
OWN4: Final = "192.0.2.1"
PEER4: Final = "192.0.2.2"
OWN6: Final = "2001:db8::1"
PEER6: Final = "2001:db8::2"
PATIENCE: Final = 5.0
"""Seconds until a frame counts as lost."""
_FAMILIES: Final = (0x0806, 0x86DD)


class Wire:
    """Two namespaces and a cable, from construction to :meth:`close`.

    Args:
        name: what the namespaces' names begin with.
    """

    def __init__(self, name: str) -> None:
        both = f"{name}-ours", f"{name}-peer"
        for left in set(both) & set(names()):
            forget(left)
        self.ours, self.peer = map(Namespace.create, both)
        for each in (self.ours, self.peer):
            each.sysctl("ipv6/conf/default/accept_dad", 0)
            each.sysctl("ipv6/conf/default/router_solicitations", 0)
        self.ours.add_veth(LAN, self.peer, LAN)
        for end, four, six in ((self.ours, OWN4, OWN6), (self.peer, PEER4, PEER6)):
            end.add_address(LAN, four, 24)
            end.add_address(LAN, six, 64)
        self.link, self.peer_mac = _link(self.ours), _link(self.peer).mac
        self.tap = self.peer.run(lambda: Tap(LAN))
        self._stack = [self.ours.run(lambda kind=kind: _packet_socket(kind)) for kind in _FAMILIES]  # type: ignore[misc]

    def deafen(self) -> None:
        """Listen no more at either end, which costs each frame something: ``ask`` is over."""
        self.tap.close()
        for opened in self._stack:
            opened.close()

    def close(self) -> None:
        """Take it all down."""
        self.deafen()
        self.ours.delete()
        self.peer.delete()

    def inside(self, function: Callable[[], T]) -> T:
        """Call a function in our namespace; what it opens stays there."""
        return self.ours.run(function)

    def now(self) -> int:
        """Nanoseconds of CLOCK_BOOTTIME."""
        return boottime()

    def ask(self, frame: bytes) -> bytes | None:
        """The neighbour sends a frame; what comes back, or None: our stack got the frame as it was sent.

        Raises:
            AssertionError: neither.
        """
        self._drain()
        assert self.tap.send(frame)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for opened in self._stack:
                with contextlib.suppress(BlockingIOError):
                    if opened.recv(2048) == frame:
                        return None
            for seen in self.tap.receive():
                if not seen.outgoing and _is_answer(seen.frame):
                    return seen.frame
        raise AssertionError(f"lost: {frame.hex()}")

    def _drain(self) -> None:
        self.tap.receive()
        for opened in self._stack:
            with contextlib.suppress(BlockingIOError):
                while True:
                    opened.recv(2048)


def _is_answer(frame: bytes) -> bool:
    if frame[12:14] == b"\x08\x06":
        return frame[14:22] == arp.REPLY_HEAD
    return frame[54] == ndp.ADVERTISEMENT


def _packet_socket(kind: int) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(kind))
    opened.bind((LAN, kind))
    return opened


def _link(namespace: Namespace) -> Link:
    async def look() -> Link:
        async with KernelLinks() as links:
            async with asyncio.timeout(PATIENCE):
                while len(links.snapshot()[LAN].addresses) < 3 or not links.snapshot()[LAN].usable:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            return links.snapshot()[LAN]

    return namespace.run(lambda: asyncio.run(look()))
