"""The sockets of one LAN: opened, closed and moved to another interface together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeVar

from lbprovider.errors import HostError
from lbprovider.net.datagrams import Datagrams, Received
from lbprovider.net.groups import Groups
from lbprovider.net.links import Link
from lbprovider.net.packet import Answer, Packets
from lbprovider.speaker.ports import Host

T = TypeVar("T")

PAUSE: Final = 2_000_000
"""Nanoseconds between two portions of multicast groups, each of a few ms."""


class Interface:
    """Datagrams, frames and multicast groups of the interface that a LAN is on, while there is one.

    Args:
        host: opens them.
        port: UDP port of heartbeats.
        received: gets the datagrams that have come, each with its sender's address.
        answer: gets each question, returns what to send back.
        gone: called when the interface is taken away.
        trouble: told what the kernel has no room for; the rest works.
    """

    def __init__(
        self,
        host: Host,
        port: int,
        *,
        received: Received,
        answer: Answer,
        gone: Callable[[], None],
        trouble: Callable[[HostError], None],
    ) -> None:
        self._host = host
        self._port = port
        self._received = received
        self._answer = answer
        self._gone = gone
        self._trouble = trouble
        self._datagrams: Datagrams | None = None
        self._packets: Packets | None = None
        self._groups: Groups | None = None
        self._listening: dict[bytes, None] = {}
        self._waiting = False

    @property
    def is_open(self) -> bool:
        """Whether there is something to send on."""
        return self._packets is not None

    def open(self, link: Link) -> None:
        """Opens everything on an interface, and goes on listening for the same addresses.

        Raises:
            HostError: the UDP port is taken, CAP_NET_RAW is missing, or the interface is gone. Nothing is open then.
        """
        self.close()
        try:
            self._datagrams = self._host.open_datagrams(link, self._port, self._received)
            self._packets = self._host.open_packets(link, self._answer, self._taken_away)
            self._groups = self._host.open_groups(link)
        except HostError:
            self.close()
            raise
        listening, self._listening = self._listening, {}
        self.listen(listening)

    def close(self) -> None:
        """Closes what is open."""
        for port in (self._packets, self._groups, self._datagrams):
            if port is not None:
                port.close()
        self._packets = self._groups = self._datagrams = None

    def listen(self, addresses: Iterable[bytes]) -> None:
        """Hear what is asked and said of these addresses (packed) and of no others, the first ones first."""
        wanted = dict.fromkeys(addresses)
        if wanted.keys() == self._listening.keys():
            return
        self._listening = wanted
        if self._packets is not None:
            self._try(partial(self._packets.listen, wanted))
        if self._groups is not None:
            self._groups.listen(wanted)
            self._work()

    def rejoin(self) -> None:
        """The link is back: tell the switches anew which groups we listen to."""
        if self._groups is not None:
            self._groups.rejoin()
            self._work()

    def hear(self) -> None:
        """Receive the datagrams that have come, before anything else is done."""
        if self._datagrams is not None:
            self._datagrams.hear()

    def answer_waiting(self) -> None:
        """Answer the questions that have come, before anything else is done."""
        if self._packets is not None:
            self._packets.hear()

    def send_datagram(self, payload: bytes, to: str) -> None:
        """To a peer; what is lost here is counted below."""
        if self._datagrams is not None:
            self._datagrams.send(payload, to)

    def send_frame(self, frame: bytes) -> None:
        """To the LAN; what is lost here is counted below."""
        if self._packets is not None:
            self._packets.send(frame)

    def _try(self, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except HostError as error:
            self._trouble(error)
            return None

    def _work(self) -> None:
        """A portion of the groups now, the next one when others had the loop in between."""
        more = self._groups is not None and self._try(self._groups.work)
        if more and not self._waiting:
            self._waiting = True
            self._host.call_at(self._host.clock() + PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._waiting = False
        self._work()

    def _taken_away(self) -> None:
        self.close()
        self._gone()
