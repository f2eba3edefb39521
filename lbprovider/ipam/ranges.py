"""Address ranges: how entries are read, and their arithmetic. Ranges are never enumerated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, Literal

from lbprovider.api.names import IPAddress
from lbprovider.errors import InvalidObject

Family = Literal["IPv4", "IPv6"]
FAMILIES: Final[tuple[Family, ...]] = ("IPv4", "IPv6")
BITS: Final[dict[Family, int]] = {"IPv4": 32, "IPv6": 128}

_FORBIDDEN: Final = tuple(
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "addresses of 'this network' (RFC 1122 3.2.1.3)"),
        ("127.0.0.0/8", "loopback addresses (RFC 1122 3.2.1.3)"),
        ("169.254.0.0/16", "link-local addresses (RFC 3927)"),
        ("224.0.0.0/4", "multicast addresses (RFC 1112)"),
        ("255.255.255.255/32", "the limited broadcast address (RFC 919)"),
        ("::/128", "the unspecified address (RFC 4291 2.5.2)"),
        ("::1/128", "the loopback address (RFC 4291 2.5.3)"),
        ("::ffff:0:0/96", "IPv4-mapped addresses (RFC 4291 2.5.5.2); write them as IPv4"),
        ("fe80::/10", "link-local addresses (RFC 4291 2.5.6)"),
        ("ff00::/8", "multicast addresses (RFC 4291 2.7)"),
    )
)
"""No Service can have these: a router or a host would never send such a packet on to a node."""


def family_of(address: IPAddress) -> Family:
    """``IPv4`` or ``IPv6``, as in ``spec.ipFamilies``."""
    return "IPv4" if isinstance(address, IPv4Address) else "IPv6"


def to_address(family: Family, number: int) -> IPAddress:
    """The address of that number; the inverse of ``int``."""
    return IPv4Address(number) if family == "IPv4" else IPv6Address(number)


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Addresses ``first`` to ``last``, both inclusive, as numbers; never empty."""

    family: Family
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many addresses."""
        return self.last - self.first + 1

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def __str__(self) -> str:
        first, last = to_address(self.family, self.first), to_address(self.family, self.last)
        return str(first) if self.size == 1 else f"{first}-{last}"

    def overlaps(self, other: Range) -> bool:
        """Whether they have an address in common."""
        return self.family == other.family and self.first <= other.last and other.first <= self.last


def parse(entry: str, where: str) -> Range:
    """The range of an entry: a CIDR, ``start-end`` or a single address; blanks around them are fine.

    Args:
        entry: as the admin wrote it.
        where: object and field, for the error.

    Raises:
        InvalidObject: names the entry, and what was probably meant.
    """
    text = entry.strip()
    if "/" in text:
        found = _cidr(text, where)
    elif "-" in text:
        found = _dashed(text, where)
    else:
        only = _address(text, text, where)
        found = Range(family_of(only), int(only), int(only))
    _refuse_forbidden(found, text, where)
    return found


def _address(text: str, entry: str, where: str) -> IPAddress:
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidObject(
            where,
            f"{entry!r}: {text!r} is not an IP address" if text else f"{entry!r} lacks an address",
            "write a CIDR (192.0.2.0/24), a range (192.0.2.10-192.0.2.20) or one address",
        ) from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise InvalidObject(where, f"{entry!r} has a zone", f"write {text.partition('%')[0]}")
    return address


def _cidr(text: str, where: str) -> Range:
    if "-" in text:
        raise InvalidObject(where, f"{text!r} mixes a CIDR and a range", "write them as two entries")
    base, _, length = text.partition("/")
    address = _address(base.strip(), text, where)
    family = family_of(address)
    bits = BITS[family]
    if not (length.isascii() and length.isdecimal() and str(int(length)) == length and int(length) <= bits):
        raise InvalidObject(where, f"{text!r}: {length!r} is no prefix length", f"{family} has 0 to {bits}")
    hosts = (1 << (bits - int(length))) - 1
    first = int(address) & ~hosts
    if first != int(address):
        raise InvalidObject(
            where,
            f"{text!r} has host bits set",
            f"write {to_address(family, first)}/{length} for the subnet, {address} for the one address, "
            f"or {address}-{to_address(family, first | hosts)} from there to the subnet's end",
        )
    return Range(family, first, first | hosts)


def _dashed(text: str, where: str) -> Range:
    parts = [part.strip() for part in text.split("-")]
    if len(parts) != 2:  # noqa: PLR2004  (start and end)
        raise InvalidObject(where, f"{text!r} is no range", "write start-end, as 192.0.2.10-192.0.2.20")
    start = _address(parts[0], text, where)
    if isinstance(start, IPv4Address) and parts[1].isdecimal():
        meant = f"{parts[0]}-{parts[0].rpartition('.')[0]}.{parts[1]}"
        raise InvalidObject(where, f"{text!r}: {parts[1]!r} is not an IP address", f"write {meant} if that is meant")
    end = _address(parts[1], text, where)
    if family_of(start) != family_of(end):
        raise InvalidObject(where, f"{text!r} mixes IPv4 and IPv6", "write a range of each family as two entries")
    if int(start) > int(end):
        raise InvalidObject(where, f"{text!r} starts after its end", f"write {end}-{start}")
    return Range(family_of(start), int(start), int(end))


def _refuse_forbidden(found: Range, text: str, where: str) -> None:
    if found.size == 1 << BITS[found.family]:
        raise InvalidObject(where, f"{text!r} is every address there is", "write the free addresses of the LAN")
    for network, what in _FORBIDDEN:
        first = network.network_address
        if found.overlaps(Range(family_of(first), int(first), int(network.broadcast_address))):
            raise InvalidObject(where, f"{text!r} has {what}", "write free addresses of the LAN that nodes are on")


def merge(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same addresses as sorted ranges that neither overlap nor touch."""
    merged: list[Range] = []
    for each in sorted(ranges):
        before = merged[-1] if merged else None
        if before is not None and before.family == each.family and each.first <= before.last + 1:
            merged[-1] = Range(each.family, before.first, max(before.last, each.last))
        else:
            merged.append(each)
    return tuple(merged)


def subtract(whole: Range, holes: Iterable[Range]) -> Iterator[Range]:
    """What is left of ``whole``, lowest first.

    Args:
        whole: the range.
        holes: as ``merge`` gives them.
    """
    first = whole.first
    for hole in holes:
        if not hole.overlaps(whole):
            continue
        if hole.first > first:
            yield Range(whole.family, first, hole.first - 1)
        first = hole.last + 1
    if first <= whole.last:
        yield Range(whole.family, first, whole.last)


def first_overlap(ranges: Iterable[Range]) -> tuple[Range, Range] | None:
    """Two of the ranges that have an address in common, the lowest such pair; None where there are none."""
    furthest: Range | None = None
    for each in sorted(ranges):
        if furthest is not None and furthest.overlaps(each):
            return furthest, each
        if furthest is None or furthest.family != each.family or each.last > furthest.last:
            furthest = each
    return None


def is_buggy(family: Family, number: int) -> bool:
    """Whether it is an IPv4 address that ends in .0 or .255, which some old routers and CPEs drop (avoidBuggyIPs)."""
    return family == "IPv4" and number & 255 in (0, 255)


def buggy_within(whole: Range) -> int:
    """How many addresses of the range ``is_buggy``."""
    if whole.family == "IPv6":
        return 0

    def below(limit: int) -> int:
        blocks, rest = divmod(limit, 256)
        return 2 * blocks + (rest > 0)

    return below(whole.last + 1) - below(whole.first)
