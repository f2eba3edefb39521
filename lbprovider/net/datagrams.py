"""Heartbeats of one LAN: UDP datagrams that travel on that interface and no other."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from lbprovider.errors import PortTaken
from lbprovider.net.device import check_present, label, refusal
from lbprovider.net.links import Link

Received = Callable[[Sequence[tuple[bytes, str]]], None]
"""Gets all datagrams that have come: payload and sender's address, as ``192.0.2.1`` or ``2001:db8::1``, of each."""


class Datagrams(Protocol):
    """One UDP port on one interface, both families, held by this process alone."""

    def send(self, payload: bytes, to: str) -> bool:
        """Send to the same port of a peer; False when it was lost here (counted).

        Never blocks. Never leaves by another interface, and never passes a router: who is not on this LAN must not
        seem to be.
        """
        ...

    def hear(self) -> None:
        """Hand over now what has come; the loop would at its next turn."""
        ...

    @property
    def failures(self) -> Mapping[str, int]:
        """Datagrams lost at sending, by the kernel's reason (``EHOSTUNREACH``, ``ENOBUFS``, …)."""
        ...

    def close(self) -> None:
        """No more datagrams. May be called twice."""
        ...


OpenDatagrams = Callable[[Link, int, Received], Datagrams]
"""Binds the port (second argument) on the interface.

Still bound after the link went down and came back; after removal and return (another index) close and open again.

Raises:
    PortTaken: another speaker runs on this node: the port is held on that interface.
    InterfaceGone: no such interface.
"""

_LONGEST: Final = 9_000
"""Bytes read of a datagram, a jumbo frame's worth; what is longer is cut off and so fails its authentication."""
_BATCH: Final = 64
"""Datagrams handed over in one wake-up; the rest waits for the next."""
_CS6: Final = 48 << 2
"""DSCP CS6, network control (RFC 2474, RFC 4594), as the whole octet: switches that look at it serve it first."""
_PRIORITY: Final = 6
"""The same for our own queueing (socket(7)); higher ones need CAP_NET_ADMIN."""

_Option = tuple[int, int, int]
_FAMILIES: Final[tuple[tuple[socket.AddressFamily, str, tuple[_Option, ...]], ...]] = (
    (
        socket.AF_INET,
        "0.0.0.0",  # noqa: S104 - the interface is what binds; its address may change
        ((socket.IPPROTO_IP, socket.IP_TTL, 1), (socket.IPPROTO_IP, socket.IP_TOS, _CS6)),
    ),
    (
        socket.AF_INET6,
        "::",
        (
            (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1),
            (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1),
            (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _CS6),
        ),
    ),
)
"""A hop limit of 1 keeps a datagram on its LAN whatever the routes say."""


class KernelDatagrams:
    """``Datagrams`` on one UDP socket for each family that the kernel has, bound to the interface.

    Args:
        link: where.
        port: the UDP port, ours and the peers'.
        received: called for what has come.

    Raises:
        HostError: see ``OpenDatagrams``.
    """

    def __init__(self, link: Link, port: int, received: Received) -> None:
        self._port = port
        self._received = received
        self._failures: Counter[str] = Counter()
        self._sockets: dict[socket.AddressFamily, socket.socket] = {}
        self._loop = asyncio.get_running_loop()
        try:
            check_present(link)
            for family, anywhere, options in _FAMILIES:
                self._bind(family, link.name, (anywhere, port), options)
        except OSError as error:
            self.close()
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"another speaker runs on this node: UDP port {port} is in use on {link.name}; "
                    "end it, or choose another port on every node with --heartbeat-port"
                ) from error
            raise refusal(error)(f"can't bind UDP port {port} on {link.name}: {error.strerror or error}") from error
        for each in self._sockets.values():
            self._loop.add_reader(each, self._read, each)

    def _bind(
        self, family: socket.AddressFamily, interface: str, to: tuple[str, int], options: tuple[_Option, ...]
    ) -> None:
        try:
            opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:  # a kernel without IPv6
                return
            raise
        self._sockets[family] = opened
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _PRIORITY)
        for level, option, value in options:
            opened.setsockopt(level, option, value)
        # Neither SO_REUSEADDR nor SO_REUSEPORT: the port is what keeps a second voter of this node out (ELECTION V12).
        opened.bind(to)

    def send(self, payload: bytes, to: str) -> bool:
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        through = self._sockets.get(family)
        if through is None:
            self._failures["EAFNOSUPPORT"] += 1
            return False
        try:
            socket.inet_pton(family, to)  # sendto would ask the resolver for what is no address, and block
            through.sendto(payload, (to, self._port))
        except OSError as error:
            self._failures[label(error)] += 1
            return False
        return True

    @property
    def failures(self) -> Mapping[str, int]:
        return self._failures

    def hear(self) -> None:
        for each in tuple(self._sockets.values()):
            if each in self._sockets.values():  # whoever hears the first may close
                self._read(each)

    def close(self) -> None:
        for each in self._sockets.values():
            self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()

    def _read(self, ready: socket.socket) -> None:
        batch: list[tuple[bytes, str]] = []
        for _ in range(_BATCH):
            try:
                payload, source = ready.recvfrom(_LONGEST)
            except BlockingIOError:
                break
            except OSError as error:
                # What an earlier send met comes back here (ICMP errors do not: the sockets are not connected).
                self._failures[label(error)] += 1
                break
            batch.append((payload, source[0].partition("%")[0]))
        if batch:
            self._received(batch)
