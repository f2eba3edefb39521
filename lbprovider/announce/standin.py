"""Standing in: answering with a neighbour's hardware address while its speaker starts anew. Pure.

A speaker that starts anew means to be back, and meanwhile its node's kernel and kube-proxy go on forwarding. So whoever
it handed an address to owns that by the election's rules, but answers with the former owner's hardware address, and
announces nothing: to clients nothing changes, and no connection is cut. That ends for each address in one of two ways:
the node's new speaker is there, and is handed it back; or the address becomes this node's own after all, an ordinary
move with its announcements: because the node itself is silent on the LAN, because it may not announce the address any
more, because it took too long, or because this node has to go.

That the node is there is asked of its kernel, at its own address, by ARP or Neighbor Solicitation (RFC 826, RFC 4861
section 7.3.1), for its speaker can't tell. Time is nanoseconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

LONGEST: Final = 60_000_000_000
"""For how long a restart is waited for, ns: a Pod that isn't back by then waits for its image, or crashes."""
ASKS: Final = 5
"""Questions without an answer before a node counts as gone, one each fifth of the hold: where this process itself was
stopped meanwhile, it has asked nothing and knows nothing."""


class Why(StrEnum):
    """Why an address became this node's own."""

    NODE_SILENT = "NodeSilent"  # the node doesn't answer for its own address: dead, or cut off
    NOT_ELIGIBLE = "NotEligible"  # the node may not announce the address any more
    NOT_BACK = "NotBack"  # its speaker took longer than LONGEST
    LEAVING = "Leaving"  # this node starts anew itself


@dataclass(frozen=True, slots=True)
class Station:
    """A node on the LAN: its name, an own address of it (packed), and the hardware address that it has there."""

    node: str
    address: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now.

    Args:
        own: addresses that are this node's own from now on: answer with its own hardware address, and announce them.
        hand: addresses to hand back, each to its node. What can't be handed at this moment comes again.
        ask: whom to ask whether it is there.
    """

    own: Mapping[bytes, Why] = field(default_factory=dict)
    hand: Mapping[bytes, str] = field(default_factory=dict)
    ask: tuple[Station, ...] = ()


@dataclass(slots=True)
class _Watch:
    """One node that is stood in for: since when and at what hold, and how it answers."""

    station: Station
    since: int
    hold: int
    heard_at: int
    asked: int = 0
    """Since it was last heard."""
    ask_at: int = 0
    addresses: set[bytes] = field(default_factory=set)

    def silent(self, now: int) -> bool:
        return self.asked >= ASKS and now >= self.heard_at + self.hold


class StandIn:
    """For whom this node stands in on one LAN, and with which addresses.

    Bounded by the addresses that this node owns; what is heard from others is not kept.
    """

    def __init__(self) -> None:
        self._watches: dict[str, _Watch] = {}
        self._of: dict[bytes, _Watch] = {}

    def begin(self, address: bytes, station: Station, hold: int, now: int) -> None:
        """An address was handed over by a node that means to be back.

        Args:
            address: packed.
            station: the node. If it was stood in for already at another place on the LAN, the new one counts.
            hold: the Segment's, ns: a node that is silent for so long is gone.
            now: the time.
        """
        self.end(address)
        watch = self._watches.get(station.node)
        if watch is None or watch.station != station:
            former = watch.addresses if watch is not None else set()
            watch = _Watch(station, since=now, hold=hold, heard_at=now, ask_at=now, addresses=former)
            self._watches[station.node] = watch
            self._of.update(dict.fromkeys(former, watch))
        watch.addresses.add(address)
        self._of[address] = watch

    def end(self, address: bytes) -> None:
        """The address is lost, handed back, or this node's own; nothing happens if it was not stood in for."""
        watch = self._of.pop(address, None)
        if watch is not None:
            watch.addresses.discard(address)
            if not watch.addresses:
                del self._watches[watch.station.node]

    def of(self, address: bytes) -> Station | None:
        """The node that this one stands in for with an address; None where it doesn't."""
        watch = self._of.get(address)
        return None if watch is None else watch.station

    @property
    def addresses(self) -> Collection[bytes]:
        """The addresses that are answered for in place of others."""
        return self._of.keys()

    @property
    def stations(self) -> tuple[Station, ...]:
        """Whose answers are waited for."""
        return tuple(watch.station for watch in self._watches.values())

    def heard(self, address: bytes, mac: bytes, now: int) -> None:
        """Somebody on the LAN said that he has an address (packed) at a hardware address.

        A node that answers with another hardware address than before is not where clients send to: that is silence.
        """
        for watch in self._watches.values():
            if (watch.station.address, watch.station.mac) == (address, mac):
                watch.heard_at, watch.asked = now, 0

    def unfit(self, addresses: Collection[bytes]) -> Step:
        """The nodes stood in for may not announce these addresses any more: they must not wait for them."""
        return self._own(addresses, Why.NOT_ELIGIBLE)

    def leave(self, back: Collection[str], *, returning: bool) -> Step:
        """This node has to hand everything on, and each address to its node first of all, where that is back.

        Args:
            back: the nodes whose new speakers are heard, and take addresses.
            returning: this node starts anew, and is to be stood in for with what is its own: so all the rest must be.
        """
        hand = {address: watch.station.node for address, watch in self._of.items() if watch.station.node in back}
        own = self._own(self._of.keys() - hand.keys(), Why.LEAVING).own if returning else {}
        return Step(own, hand)

    def due(self, now: int, back: Collection[str]) -> Step:
        """What the time has brought.

        Args:
            now: the time.
            back: the nodes whose new speakers are heard, and take addresses.
        """
        own: dict[bytes, Why] = {}
        hand: dict[bytes, str] = {}
        ask: list[Station] = []
        for node, watch in list(self._watches.items()):
            if now < watch.ask_at:
                continue
            over = now >= watch.since + LONGEST
            if over or watch.silent(now):
                own |= self._own(watch.addresses, Why.NOT_BACK if over else Why.NODE_SILENT).own
                continue
            if node in back:
                hand.update(dict.fromkeys(sorted(watch.addresses), node))
            watch.asked += 1
            watch.ask_at = now + watch.hold // ASKS
            ask.append(watch.station)
        return Step(own, hand, tuple(ask))

    def next_wake(self) -> int | None:
        """When ``due`` has something next; None while nobody is stood in for."""
        return min((watch.ask_at for watch in self._watches.values()), default=None)

    def _own(self, addresses: Collection[bytes], why: Why) -> Step:
        mine = sorted(address for address in addresses if address in self._of)
        for address in mine:
            self.end(address)
        return Step(own=dict.fromkeys(mine, why))
