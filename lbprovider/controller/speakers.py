"""Who announces from where: the speakers' registrations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from lbprovider.api.core import Lease
from lbprovider.api.registration import Registration, registration
from lbprovider.controller.inventory import Change, Store

ARRIVING: Final = 10.0
"""Seconds after a speaker came, went or changed its LANs, for which more of that is expected."""


class Speakers:
    """What the speakers registered, by node. A Lease says so each 10 s; only what is new in it is a change.

    Args:
        leases: the speakers'.
        clock: seconds, monotonic.
    """

    def __init__(self, leases: Store[Lease], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._registrations: dict[str, Registration] = {}
        self.registrations: Mapping[str, Registration] = MappingProxyType(self._registrations)
        self._listeners: list[Callable[[], None]] = []
        self._moved_at = clock()
        self._renewed_at: dict[str, float] = {}
        self.moves = 0
        """Grows when a speaker comes, goes or changes its LANs, and once more when that is over."""
        for key, lease in leases.objects.items():
            self._changed(Change(key, None, lease))
        leases.subscribe(self._changed)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` when a registration is new, gone or different, whom it hears included."""
        self._listeners.append(listener)

    def arriving(self) -> bool:
        """Whether speakers are coming and going just now."""
        return self._clock() - self._moved_at < ARRIVING

    def renewed(self, within: float) -> frozenset[str]:
        """The nodes whose Lease was written within so many seconds, by our own clock."""
        since = self._clock() - within
        return frozenset(node for node, at in self._renewed_at.items() if at >= since)

    def on(self, segment: str) -> frozenset[str]:
        """The nodes with a speaker on that LAN."""
        return frozenset(node for node, one in self._registrations.items() if segment in one.segments)

    def _changed(self, change: Change[Lease]) -> None:
        node = change.key.rpartition("/")[2]
        if change.new is None:
            self._renewed_at.pop(node, None)
        else:
            self._renewed_at[node] = self._clock()
        old = self._registrations.get(node)
        new = None if change.new is None else registration(change.new)
        if old == new:
            return
        if new is None:
            del self._registrations[node]
        else:
            self._registrations[node] = new
        if old is None or new is None or old.segments != new.segments:
            self._moved_at = self._clock()
            self.moves += 1
            asyncio.get_running_loop().call_later(ARRIVING + 0.1, self._settled)
        self._tell()

    def _settled(self) -> None:
        if not self.arriving():
            # What was left open while they came and went is decided now.
            self.moves += 1
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
