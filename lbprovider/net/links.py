"""The interfaces of this node: the port, its values, and which of them are a LAN. No kernel here (``netlink.py``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Final, Protocol

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One interface at one moment."""

    name: str
    index: int
    """The kernel's number for it: stays through a rename, differs after removal and return."""
    mac: bytes
    """Six bytes; empty where the interface has none."""
    up: bool = False
    """Set up by the administrator (IFF_UP)."""
    carrier: bool = False
    """The cable, or what stands for it, is there (IFF_LOWER_UP)."""
    addresses: tuple[Interface, ...] = ()
    """What can be bound: no tentative, failed or temporary IPv6 address. IPv4 first, primary ones first."""
    default_route: bool = False
    """A default route of the main table, of either family, leaves through it."""
    gateways: tuple[Address, ...] = ()
    """The next hops of those routes that are hosts on it, IPv4 first."""
    master: int = 0
    """The index of the bond, bridge, team or VRF that it is enslaved to; 0 = none."""
    kind: str = ""
    """What made it, as ``bond``, ``vlan``, ``veth``; empty for hardware."""
    ethernet: bool = True
    """Ethernet frames and ARP are spoken on it."""
    returns: int = 0
    """How often it has become usable again since it was first seen; tells a flap that nobody saw the middle of."""

    @property
    def usable(self) -> bool:
        """Up, with carrier."""
        return self.up and self.carrier

    @property
    def subnets(self) -> tuple[Network, ...]:
        """Connected subnets, lowest first, IPv4 before IPv6; neither link-local nor a single host (/32, /128)."""
        found = {
            each.network
            for each in self.addresses
            if each.network.prefixlen < each.max_prefixlen and not each.is_link_local
        }
        return tuple(sorted(found, key=lambda net: (net.version, net.network_address.packed, net.prefixlen)))


class What(StrEnum):
    """What happened to an interface."""

    ADDED = "Added"
    REMOVED = "Removed"
    RENAMED = "Renamed"
    UP = "Up"
    """It became usable, or went away and came back unseen: join groups again, announce again."""
    DOWN = "Down"
    MAC = "Mac"
    ADDRESSES = "Addresses"
    DEFAULT_ROUTE = "DefaultRoute"
    MASTER = "Master"


@dataclass(frozen=True, slots=True)
class LinkChange:
    """One interface before and after; both the newest known when the change is delivered."""

    before: Link | None
    """None when it is new."""
    after: Link | None
    """None when it is gone."""
    what: frozenset[What]
    """Never empty."""


class Links(Protocol):
    """The interfaces of this node, as they are and as they change.

    One consumer iterates. Changes that it has not fetched yet are merged, one per interface, so nothing piles up; a
    flap in between still shows as ``What.UP``. Ends never by itself; cancel it.
    """

    def snapshot(self) -> Mapping[str, Link]:
        """Every interface by its name, as last heard from the kernel; at least as new as any change delivered."""
        ...

    def __aiter__(self) -> AsyncIterator[LinkChange]:
        """Changes since the previous one delivered (since opening, for the first)."""
        ...


_CHANGES: Final[tuple[tuple[What, Callable[[Link, Link], bool]], ...]] = (
    (What.RENAMED, lambda old, new: old.name != new.name),
    (What.UP, lambda old, new: new.usable and (not old.usable or old.returns != new.returns)),
    (What.DOWN, lambda old, new: old.usable and not new.usable),
    (What.MAC, lambda old, new: old.mac != new.mac),
    (What.ADDRESSES, lambda old, new: old.addresses != new.addresses),
    (What.DEFAULT_ROUTE, lambda old, new: (old.default_route, old.gateways) != (new.default_route, new.gateways)),
    (What.MASTER, lambda old, new: old.master != new.master),
)


def change(before: Link | None, after: Link | None) -> LinkChange | None:
    """What happened between two views of one interface (one index); None where nothing that matters did."""
    if before == after:
        return None
    if before is None or after is None:
        return LinkChange(before, after, frozenset({What.REMOVED if after is None else What.ADDED}))
    what = frozenset(each for each, happened in _CHANGES if happened(before, after))
    return LinkChange(before, after, what) if what else None


def lan_links(snapshot: Mapping[str, Link], excluded: Iterable[str]) -> tuple[Link, ...]:
    """The interfaces that are a LAN, by name (DESIGN section 5).

    Args:
        snapshot: every interface of the node; a master is looked up in it.
        excluded: shell patterns of names that never are, ``SpeakerSettings.excluded_interfaces``.

    Down ones and ones without a subnet are included: see ``usable`` and ``subnets``. Ports of a bond, bridge or team
    are not, members of a VRF are.
    """
    patterns = tuple(excluded)
    kinds = {each.index: each.kind for each in snapshot.values()}

    def is_lan(link: Link) -> bool:
        enslaved = link.master != 0 and kinds.get(link.master) != "vrf"
        return link.ethernet and not enslaved and not any(fnmatchcase(link.name, each) for each in patterns)

    return tuple(snapshot[name] for name in sorted(snapshot) if is_lan(snapshot[name]))
