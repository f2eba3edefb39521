"""Standing in on one LAN: who there starts anew, with what hardware address it is shown, and what comes of it.

Joins what Leases, the election and the interface say to ``announce.standin``, which decides. Sans-IO.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Final

from lbprovider.announce.neighbours import ask
from lbprovider.announce.standin import ASKS, StandIn, Station, Step, Why
from lbprovider.election.outcome import Cause, Won, WonReason
from lbprovider.net.links import Link
from lbprovider.wire import ethernet

_CAUSES: Final = MappingProxyType({
    Why.NODE_SILENT: Cause.NODE_SILENT,
    Why.NOT_ELIGIBLE: Cause.NOT_ELIGIBLE,
    Why.NOT_BACK: Cause.RESTARTING,
    Why.LEAVING: Cause.RESTARTING,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do now.

    Args:
        own: addresses that are shown as this node's own from now on, each as if it had been won in the ordinary way.
        hand: addresses to hand back (``Member.hand``).
        frames: to send: whether those are there that are stood in for.
    """

    own: tuple[Won, ...] = ()
    hand: Mapping[bytes, str] = field(default_factory=dict)
    frames: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    address: IPv4Address | IPv6Address
    mac: bytes


class Standing:
    """For whom this node stands in on one LAN. Bounded by the speakers that register, and by what this node owns."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._machine = StandIn()
        self._won: dict[bytes, tuple[Won, int]] = {}

    def reach(self, node: str, address: str, mac: str) -> None:
        """Where a peer's Lease says that it is on this LAN; empty: not here."""
        place = _place(address, mac)
        if place is None:
            self._places.pop(node, None)
        else:
            self._places[node] = place

    def won(self, change: Won, link: Link | None, hold: int, now: int) -> None:
        """An address was won. It is stood in for where a node handed it over that is to be back, and is known here.

        Args:
            change: how.
            link: the interface, with an address in the other's subnet, or nobody could ask whether that is there.
            hold: the Segment's, ns.
            now: the time.
        """
        place = self._places.get(change.predecessor)
        wanted = change.reason is WonReason.HANDED_OVER and change.cause is Cause.RESTARTING
        if wanted and place is not None and link is not None and _near(place, link):
            self._machine.begin(
                change.address, Station(change.predecessor, place.address.packed, place.mac), hold, now
            )  # fmt: skip
            self._won[change.address] = change, hold

    def lost(self, address: bytes) -> None:
        """An address is lost, perhaps handed back."""
        self._machine.end(address)
        self._won.pop(address, None)

    def of(self, address: bytes) -> Station | None:
        """In whose place an address is answered for; None: as this node's own."""
        return self._machine.of(address)

    def heard(self, address: bytes, mac: bytes, now: int) -> None:
        """Somebody on the LAN has answered for an address (packed), sent to us alone."""
        self._machine.heard(address, mac, now)

    def wish(self, wishes: Mapping[bytes, tuple[str, ...]]) -> Outcome:
        """Which nodes may announce which address: who may not any more isn't waited for."""
        stations = {address: self._machine.of(address) for address in self._machine.addresses}
        unfit = [
            address
            for address, station in stations.items()
            if station is not None and station.node not in wishes.get(address, ())
        ]
        return self._outcome(self._machine.unfit(unfit))

    def leave(self, back: Collection[str], *, returning: bool) -> Outcome:
        """This node has to hand everything on; ``returning``: to start anew itself, and to be stood in for."""
        return self._outcome(self._machine.leave(back, returning=returning))

    def due(self, now: int, link: Link | None, back: Collection[str]) -> Outcome:
        """What the time has brought.

        Args:
            now: the time.
            link: the interface; without one nobody can be asked.
            back: the nodes that are heard and start anew no longer.
        """
        if link is None:
            return Outcome()
        return self._outcome(self._machine.due(now, back), link)

    def next_wake(self) -> int | None:
        """When ``due`` has something next; None while nobody is stood in for."""
        return self._machine.next_wake()

    def _outcome(self, step: Step, link: Link | None = None) -> Outcome:
        own = tuple(self._as_own(address, why) for address, why in step.own.items())
        if link is None:
            return Outcome(own, step.hand)
        frames = (ask(one.address, one.mac, link.mac, link.addresses) for one in step.ask)
        return Outcome(own, step.hand, tuple(frame for frame in frames if frame is not None))

    def _as_own(self, address: bytes, why: Why) -> Won:
        change, hold = self._won.pop(address)
        # From its last answer until ASKS questions have had none.
        outage = hold + hold // ASKS if why is Why.NODE_SILENT else 0
        return replace(change, cause=_CAUSES[why], outage=outage)


def _place(address: str, mac: str) -> _Place | None:
    try:
        return _Place(ip_address(address), ethernet.mac(mac))
    except ValueError:
        return None


def _near(place: _Place, link: Link) -> bool:
    """Whether the interface has an address in the other's subnet."""
    return any(place.address in each.network for each in link.addresses)
