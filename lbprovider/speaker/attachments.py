"""Which LAN each interface of this node is on, and what is registered of it. Pure; DESIGN section 5, ELECTION.md C3.

A LAN is known by the name of its Segment. Where a Segment shares a subnet with the interface, that is its LAN, though
this node, with fewer subnets or other ones, would have named it differently; else the node's own name for it stands,
and the controller makes the Segment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lbprovider.api import names
from lbprovider.api.registration import Attachment
from lbprovider.api.segment import MemberList, Segment
from lbprovider.net.links import Link


@dataclass(frozen=True, slots=True)
class Seen:
    """What a member sees on its LAN, and the lists that it is in (none before it has adopted any).

    ``hears`` are the peers whose promise is live; ``neighbours``: hosts that are no members are there too, looked at
    only while that matters (C9).
    """

    hears: tuple[str, ...] = ()
    neighbours: bool = False
    version: int = 0
    lists: tuple[MemberList, ...] = ()


def assign(
    links: Iterable[Link], segments: Collection[Segment], before: Mapping[str, Link] | None = None
) -> dict[str, Link]:
    """The LANs that this node is on, by Segment name, each with the interface that it uses there.

    Args:
        links: the interfaces that are a LAN.
        segments: all Segments there are.
        before: the last answer. An interface that is down keeps the LAN that it had, for with its carrier it may have
            lost addresses; so does one that has no subnet just now, as between two leases of DHCP. Of two interfaces on
            one LAN the one in use stays in use while it is usable.

    An interface that never had an address is on no LAN (``silent``).
    """
    was = {link.index: (name, link) for name, link in (before or {}).items()}
    found: dict[str, list[Link]] = {}
    for link in links:
        name, former = was.get(link.index, ("", link))
        if not name or (link.usable and link.subnets):
            name = _name(link, segments, name if link.subnets == former.subnets else "")
        if link.addresses or link.index in was:
            found.setdefault(name, []).append(link)

    def rank(name: str, link: Link) -> tuple[bool, bool, str]:
        return not link.usable, was.get(link.index, ("", link))[0] != name, link.name

    return {name: min(there, key=lambda link: rank(name, link)) for name, there in sorted(found.items())}


def silent(links: Iterable[Link], on: Mapping[str, Link]) -> tuple[str, ...]:
    """Interfaces that would be a LAN and are none, by name: with no address of their own, no speaker reaches another.

    A link-local IPv6 address is enough, and the kernel gives one to each interface that is up unless it is told not to.

    Args:
        links: the interfaces that are a LAN.
        on: of ``assign``.
    """
    used = {link.index for link in on.values()}
    return tuple(link.name for link in links if link.usable and not link.addresses and link.index not in used)


def _name(link: Link, segments: Iterable[Segment], former: str) -> str:
    """The LAN's name: its Segment's; without one what it was called so far, for one that is deleted comes back."""
    own = names.segment_name(link.subnets, link.name)
    subnets = {str(subnet) for subnet in link.subnets}
    sharing = sorted(one.metadata.name for one in segments if subnets.intersection(one.spec.subnets))
    if not sharing:
        return former or own
    return next((name for name in (own, former) if name in sharing), sharing[0])


def attachments(
    lans: Mapping[str, Link], seen: Mapping[str, Seen], before: Sequence[Attachment], *, leaving: bool = False
) -> tuple[Attachment, ...]:
    """What to register, by Segment name.

    Args:
        lans: of ``assign``.
        seen: what is seen on each of these LANs.
        before: what was registered last. An interface that is down stays registered as it last was: that it is gone
            shows on the LAN at once, and the LAN of an address must not change because a switch starts anew.
        leaving: whether this speaker is about to end.
    """
    last = {one.segment: one for one in before}
    return tuple(
        _attachment(name, link, seen.get(name, Seen()), last.get(name), leaving=leaving)
        for name, link in sorted(lans.items())
    )


def _attachment(name: str, link: Link, seen: Seen, before: Attachment | None, *, leaving: bool) -> Attachment:
    if not link.usable and before is not None and before.interface == link.name:
        address, subnets, default_route = before.address, before.subnets, before.default_route
    else:
        address = _reachable_at(link)
        subnets = tuple(str(subnet) for subnet in link.subnets)
        default_route = link.default_route
    return Attachment(
        segment=name,
        interface=link.name,
        address=address,
        mac=link.mac.hex(":"),
        subnets=subnets,
        hears=seen.hears,
        default_route=default_route,
        sees_neighbours=seen.neighbours,
        leaving=leaving,
        version=seen.version,
        lists=seen.lists,
    )


def _reachable_at(link: Link) -> str:
    """The first address in a connected subnet, lowest subnet first; else the first of all (link-local)."""
    for subnet in link.subnets:
        for address in link.addresses:
            if address.network == subnet:
                return str(address.ip)
    return str(link.addresses[0].ip) if link.addresses else ""


def place_on(segment: str, attached: Iterable[Attachment]) -> tuple[str, str]:
    """Where a peer is on a LAN: its address and hardware address; both empty where it is not there."""
    return next(((one.address, one.mac) for one in attached if one.segment == segment), ("", ""))
