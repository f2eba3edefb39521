"""Which answers the kernel gives by itself (``--fast-path=bpf``), and until when: never longer than election lets us.

Presence says what is answered with which hardware address; the deadlines come from the Member. Where the kernel can't,
one sentence says why, and each question goes the ordinary way: nothing else is different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from lbprovider import telemetry
from lbprovider.errors import HostError
from lbprovider.net.bpf.port import FastPath, OpenFastPath
from lbprovider.net.links import Link

_MS: Final = 1_000_000
_SOONEST: Final = 10 * _MS
"""Between two refreshes that nothing but time calls for."""
_PART: Final = 4
"""A refresh comes when this part of what the nearest deadline left is gone: so one for each one or two heartbeats."""


class Promises(Protocol):
    """What a ``Member`` says of what it owns; times are ns of CLOCK_BOOTTIME."""

    @property
    def epoch(self) -> int:
        """Another number whenever some deadline may have come nearer than it was said before."""
        ...

    def deadlines(self) -> Mapping[bytes, int]:
        """Until when each address that is owned may be answered if nothing more is heard."""
        ...


class KernelAnswers:
    """What of one LAN's answers the kernel gives, while there is an interface.

    Args:
        promises: of the LAN's Member.
        open_fast_path: opens it on an interface; None where it is off.
        trouble: told, once for each interface, why the kernel doesn't answer; the rest works.

    Within a step: ``drop`` first of all (ELECTION.md rule 11), ``hold`` what was won, then ``step``, and only then the
    datagrams that tell others of it.
    """

    def __init__(
        self, promises: Promises, open_fast_path: OpenFastPath | None, trouble: Callable[[HostError], None]
    ) -> None:
        self._promises = promises
        self._open = open_fast_path
        self._trouble = trouble
        self._path: FastPath | None = None
        self._index = 0
        self._refused = 0
        self._epoch = -1
        self._next = 0
        self._published: Mapping[str, int] = {}

    def link(self, link: Link | None) -> None:
        """The interface to answer on; None: none. On another one than before nothing is held yet."""
        index = 0 if link is None else link.index
        if index == self._index:
            return
        self.close()
        self._index = index
        if link is None or self._open is None or index == self._refused:
            return
        try:
            self._path = self._open(link)
        except HostError as error:
            self._refused = index
            self._trouble(error)

    def hold(self, address: bytes, mac: bytes) -> None:
        """Answer for a packed address with a hardware address while it is ours, from the next ``step`` on.

        Replaces what was held of it.
        """
        if self._path is None:
            return
        self._next = 0
        try:
            self._path.hold(address, mac, 0)
        except HostError as error:
            self._trouble(error)

    def drop(self, address: bytes) -> None:
        """Answer no more."""
        if self._path is not None:
            self._path.drop(address)

    def step(self, now: int) -> None:
        """A step was made: deadlines that may have come nearer at once, the others while there is time."""
        if self._path is None:
            return
        epoch = self._promises.epoch
        if epoch == self._epoch and now < self._next:
            return
        deadlines = self._promises.deadlines()
        self._path.refresh(deadlines)
        self._epoch = epoch
        left = min(deadlines.values(), default=now) - now
        self._next = now + max(left // _PART, _SOONEST)

    def publish(self) -> None:
        """Adds what was answered since the last time to the metrics."""
        if self._path is None:
            return
        counts = self._path.counts()
        for family, count in counts.items():
            telemetry.KERNEL_ANSWERS.labels(family=family).inc(count - self._published.get(family, 0))
        self._published = counts

    def close(self) -> None:
        """Answer nothing any more, on no interface."""
        self.publish()
        if self._path is not None:
            self._path.close()
        self._path, self._index, self._published = None, 0, {}
