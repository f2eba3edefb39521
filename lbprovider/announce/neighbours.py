"""Hosts of the LAN that are no members, asked whether they are there: who hears none of them may be cut off itself.

ELECTION.md C9: where exactly half of the members is left, the half that sees the gateway, or any other host, serves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from typing import Final

from lbprovider.wire import arp, ndp

_SECOND: Final = 1_000_000_000

LIMIT: Final = 8
"""Neighbours that are known at a time, gateways included."""
GATEWAYS: Final = 4
"""Gateways of these, at most."""
IDLE: Final = 30 * _SECOND
"""Between two questions to a neighbour while all is well: enough to know who would answer."""
_APART: Final = _SECOND
"""Between two questions while all is well, and between two newcomers: a flood of them costs no more than that."""
_PATIENCE: Final = _SECOND
"""For how long a question may be answered."""


@dataclass(slots=True)
class _Neighbour:
    mac: bytes | None
    """None: it was never heard; ask all."""
    gateway: bool
    asked_at: int | None = None
    open: bool = False
    """Whether an answer to the last question is still to come."""


class Neighbours:
    """The neighbours of one LAN; bounded, whatever the LAN sends.

    Gateways are known from the node's routes and stay. The other places go to whoever is heard first; only one that
    doesn't answer when asked makes room, so that a flood of made-up hosts can't push real ones out.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Neighbour] = {}
        self._next_idle = 0
        self._next_seek = 0
        self._next_newcomer = 0
        self.answered_at: int | None = None
        """When one of them answered last; None: none ever did."""

    @property
    def known(self) -> Collection[bytes]:
        """Their addresses (packed)."""
        return self._known.keys()

    def gateways(self, addresses: Iterable[bytes]) -> None:
        """The next hops of the node's default routes on this LAN (packed)."""
        wanted = tuple(dict.fromkeys(addresses))[:GATEWAYS]
        for address, one in list(self._known.items()):
            if one.gateway and address not in wanted:
                del self._known[address]
        for address in wanted:
            former = self._known.get(address)
            if former is None:
                self._known[address] = _Neighbour(None, gateway=True)
            else:
                former.gateway = True
        others = [address for address, one in self._known.items() if not one.gateway]
        for address in others[LIMIT - len(wanted) :]:
            del self._known[address]

    def forget(self) -> None:
        """Another interface: whoever was there is not here."""
        self._known.clear()

    def heard(self, address: bytes, mac: bytes, now: int, *, is_answer: bool) -> int | None:
        """A host that is no member says that it has an address (packed).

        Returns:
            When the question of ours was sent that it has answered: since then it was there, whenever we come to read
            the answer. None where it has answered none.
        """
        one = self._known.get(address)
        if one is None:
            if now >= self._next_newcomer:
                self._learn(address, mac, now)
            return None
        if is_answer and one.open and one.asked_at is not None and now <= one.asked_at + _PATIENCE:
            one.mac, one.open = mac, False
            self.answered_at = now
            return one.asked_at
        return None

    def due(
        self, mac: bytes, own: Collection[IPv4Interface | IPv6Interface], now: int, seek: int | None
    ) -> list[bytes]:
        """The questions to send now.

        Args:
            mac: our hardware address.
            own: our addresses on this LAN.
            now: the time.
            seek: a quorum is missing: ask all of them, this many nanoseconds apart; None: all is well.
        """
        if now < (self._next_idle if seek is None else self._next_seek):
            return []
        if seek is None:
            asked = self._oldest(now)
            self._next_idle = now + _APART
        else:
            asked = list(self._known)
            self._next_seek = now + seek
        frames: list[bytes] = []
        for address in asked:
            one = self._known[address]
            # One that didn't answer may have another hardware address by now: a router that took another's place.
            question = ask(address, None if one.open else one.mac, mac, own)
            one.asked_at, one.open = now, question is not None
            if question is not None:
                frames.append(question)
            elif not one.gateway:
                del self._known[address]  # its place is for one that we have an address to ask from
        return frames

    def _oldest(self, now: int) -> list[bytes]:
        waiting = [
            (-1 if one.asked_at is None else one.asked_at, not one.gateway, address)
            for address, one in self._known.items()
            if one.asked_at is None or now >= one.asked_at + IDLE
        ]
        return [min(waiting)[-1]] if waiting else []

    def _learn(self, address: bytes, mac: bytes, now: int) -> None:
        if len(self._known) >= LIMIT:
            idle = next((known for known, one in self._known.items() if _is_silent(one, now)), None)
            if idle is None:
                return
            del self._known[idle]
        self._known[address] = _Neighbour(mac, gateway=False)
        self._next_newcomer = now + _APART


def _is_silent(one: _Neighbour, now: int) -> bool:
    return not one.gateway and one.open and one.asked_at is not None and now > one.asked_at + _PATIENCE


def ask(
    address: bytes, known_at: bytes | None, mac: bytes, own: Collection[IPv4Interface | IPv6Interface]
) -> bytes | None:
    """The question whether a host is there, from one that has ``mac`` and the addresses ``own``.

    It is asked as a host of the same subnet where we are one, else as any of ours, and of that host alone where its
    hardware address is known; None where we have no address to ask from.
    """
    of_family = [each for each in own if len(each.packed) == len(address)]
    within = [each for each in of_family if _contains(each, address)]
    senders = within or of_family
    if len(address) == len(arp.UNSPECIFIED):
        # Without an address of our own as a probe, which is answered likewise (RFC 5227 section 2.1.1).
        sender = senders[0].ip.packed if senders else arp.UNSPECIFIED
        return arp.request(address, mac, sender, *([known_at] if known_at is not None else []))
    return ndp.solicitation(address, mac, senders[0].ip.packed, known_at) if senders else None


def _contains(interface: IPv4Interface | IPv6Interface, address: bytes) -> bool:
    network = interface.network
    shift = network.max_prefixlen - network.prefixlen
    return int.from_bytes(address, "big") >> shift == int(network.network_address) >> shift
