"""What the kernel answers without waking us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lbprovider.net.links import Link


class FastPath(Protocol):
    """Addresses (packed, both families) that the kernel answers for on one interface, each until its deadline.

    Deadlines are ns of CLOCK_BOOTTIME. Questions that the kernel doesn't answer come to ``Packets`` as they do without
    a fast path, so an entry that is missing, or late, costs time and no answer.
    """

    def hold(self, address: bytes, mac: bytes, deadline: int) -> None:
        """Answer with this hardware address before the deadline; replaces what was held, at once.

        Raises:
            HostError: the kernel has no room; what was held stays.
        """
        ...

    def refresh(self, deadlines: Mapping[bytes, int]) -> None:
        """New deadlines, nearer ones too, for those of these addresses that are held; no system call."""
        ...

    def drop(self, address: bytes) -> None:
        """Answer no more: not after this returns. Nothing happens if it isn't held."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Answers given since it was opened, by family (``IPv4``, ``IPv6``)."""
        ...

    def close(self) -> None:
        """Answer nothing any more. May be called twice."""
        ...


OpenFastPath = Callable[[Link], FastPath]
"""Opens the interface.

Raises:
    HostError: kernel or capabilities lack what it takes, or no such interface; one sentence.
"""
