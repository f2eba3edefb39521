"""Frames of one interface: questions in, answers and announcements out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from lbprovider.net.links import Link

Answer = Callable[[memoryview], bytes | None]
"""Gets each question as a view that is valid only during the call; what it returns is sent at once."""


class Packets(Protocol):
    """ARP requests and Neighbor Solicitations of one interface, and a way to send frames on it.

    A question gets here only if it was sent to us or to all (never what a promiscuous interface overhears, nor
    another VLAN's), and, as far as the kernel's filter can tell, asks for an address that was named in ``listen``.
    """

    def listen(self, addresses: Collection[bytes]) -> None:
        """Ask the kernel for questions about these addresses (packed, both families) and no others.

        Replaces the former ones at once; none until called. Name every address that may become ours, so that
        winning one needs nothing of the kernel. Other addresses may still get through: the answerer decides.
        """
        ...

    def send(self, frame: bytes) -> bool:
        """Send a whole frame; False when it was lost here (counted): interface down or gone, queue full."""
        ...

    @property
    def failures(self) -> Mapping[str, int]:
        """Frames lost at sending, by the kernel's reason (``ENETDOWN``, ``ENOBUFS``, …)."""
        ...

    def close(self) -> None:
        """No more questions, no more frames. May be called twice."""
        ...


OpenPackets = Callable[[Link, Answer, Callable[[], None]], Packets]
"""Opens the interface; the last argument is called once if it is taken away (then close, and open what returns).

Raises:
    HostError: no CAP_NET_RAW, or no such interface.
"""
