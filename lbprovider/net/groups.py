"""Solicited-node multicast groups of one interface: without them no Neighbor Solicitation reaches us (RFC 4861)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from lbprovider.net.links import Link


class Groups(Protocol):
    """Which solicited-node groups this node is in on one interface, told to switches by MLD."""

    def listen(self, addresses: Collection[bytes]) -> None:
        """Be in the groups of these addresses and in no others; IPv4 addresses need none and are skipped.

        Costs one system call for each group that is new or no longer needed.

        Raises:
            HostError: IPv6 is off on the interface, or the kernel holds no more groups; the rest is joined.
        """
        ...

    def rejoin(self) -> None:
        """After the return of a link: leave and join everything, so that switches hear of it.

        Raises:
            HostError: as ``listen``.
        """
        ...

    def close(self) -> None:
        """Leave all. May be called twice."""
        ...


OpenGroups = Callable[[Link], Groups]
"""Opens the interface; takes no system resource before the first group."""
