"""Heartbeats of one LAN: UDP datagrams that travel on that interface and no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lbprovider.net.links import Link

Received = Callable[[bytes, str], None]
"""Gets each datagram's payload and its sender's address, as ``192.0.2.1`` or ``2001:db8::1``."""


class Datagrams(Protocol):
    """One UDP port on one interface, both families, held by this process alone."""

    def send(self, payload: bytes, to: str) -> bool:
        """Send to the same port of a peer; False when it was lost here (counted).

        Never blocks. Never leaves by another interface, and never passes a router: who is not on this LAN must not
        seem to be.
        """
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
    HostError: another speaker runs on this node (the port is held on that interface), or no such interface.
"""
