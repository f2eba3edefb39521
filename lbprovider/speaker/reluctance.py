"""What a node does while its kube-proxy says that it can't serve: it stands back, unless nobody else serves. Pure.

It takes no address that another one could take, and hands on those that it has. But all kube-proxies may be unhealthy
at once, as when one Service makes each of them fail: then an address that is answered is worth more than one that is
not, and perhaps some of the traffic gets through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

_SECOND: Final = 1_000_000_000
ALONE: Final = 2 * _SECOND
"""An address that nobody has taken for so long is nobody's who is able."""
KEEP: Final = 30 * _SECOND
"""What it has taken nevertheless it keeps for so long, or two such nodes would pass it to and fro."""


class Reluctance:
    """One node's on one LAN. ``able``: its kube-proxy can serve, as far as is known."""

    def __init__(self) -> None:
        self.able = True
        self._kept: dict[bytes, int] = {}

    def become(self, *, able: bool) -> None:
        """kube-proxy says something else than before."""
        self.able = able
        self._kept.clear()

    def stands_back(self, vacant: Callable[[int], int], now: int) -> bool:
        """Whether to take no address.

        Args:
            vacant: ``Member.vacant``.
            now: the time.
        """
        return not self.able and vacant(now) < ALONE

    def won(self, address: bytes, now: int) -> None:
        """The address is this node's."""
        if not self.able:
            self._kept[address] = now + KEEP

    def to_hand(self, held: Iterable[bytes], now: int) -> dict[bytes, str]:
        """What to hand to whoever can take it, of what is held; for ``Member.hand``."""
        return {} if self.able else dict.fromkeys((one for one in held if self._kept.get(one, 0) <= now), "")
