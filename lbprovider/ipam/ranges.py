"""Address ranges: how entries are read, and their arithmetic. Ranges are never enumerated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final, Literal

from lbprovider.api.names import IPAddress
from lbprovider.errors import InvalidObject

Family = Literal["IPv4", "IPv6"]
FAMILIES: Final[tuple[Family, ...]] = ("IPv4", "IPv6")
BITS: Final[dict[Family, int]] = {"IPv4": 32, "IPv6": 128}
_LENGTHS: Final = {family: frozenset(map(str, range(bits + 1))) for family, bits in BITS.items()}
"""Prefix lengths as they are written; ``024`` is none."""

_BLANKS: Final = " \t\n\f\r"
"""What may stand around an entry and its dash: ASCII's, as the CEL rules have it. Others come in by copying, unseen."""

_NO_ENTRY: Final = (
    "is none of: a CIDR (192.0.2.0/24), a range (192.0.2.10-192.0.2.20), an address (192.0.2.10), IPv4 or IPv6"
)
_HOST_BITS: Final = (
    "has bits set behind its prefix length: write the network (as 192.0.2.0/24), "
    "or the address alone if one address is meant"
)
_MIXED: Final = "mixes IPv4 and IPv6: start and end of a range are of one family"
_UNREACHABLE: Final = (
    "holds loopback, multicast, link-local, broadcast or unspecified addresses: no Service can be reached at those"
)


def family_of(address: IPAddress) -> Family:
    """``IPv4`` or ``IPv6``, as in ``spec.ipFamilies``."""
    return "IPv4" if isinstance(address, IPv4Address) else "IPv6"


def in_order(addresses: Iterable[IPAddress]) -> tuple[IPAddress, ...]:
    """IPv4 first, then by number."""
    return tuple(sorted(addresses, key=lambda address: (address.version, int(address))))


def to_address(family: Family, number: int) -> IPAddress:
    """The address of that number; the inverse of ``int``."""
    return IPv4Address(number) if family == "IPv4" else IPv6Address(number)


_Refused = Callable[..., InvalidObject]
"""Makes the error of an entry: what is wrong, and advice where there is some."""


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


_FORBIDDEN: Final = tuple(
    (Range(family_of(network[0]), int(network[0]), int(network[-1])), f"{network} are {what}")
    for network, what in (
        (ip_network("0.0.0.0/8"), "addresses of 'this network' (RFC 1122 3.2.1.3)"),
        (ip_network("127.0.0.0/8"), "loopback addresses (RFC 1122 3.2.1.3)"),
        (ip_network("169.254.0.0/16"), "link-local addresses (RFC 3927)"),
        (ip_network("224.0.0.0/4"), "multicast addresses (RFC 1112)"),
        (ip_network("255.255.255.255/32"), "the limited broadcast address (RFC 919)"),
        (ip_network("::/128"), "the unspecified address (RFC 4291 2.5.2)"),
        (ip_network("::1/128"), "the loopback address (RFC 4291 2.5.3)"),
        (ip_network("::ffff:0:0/96"), "IPv4-mapped addresses (RFC 4291 2.5.5.2)"),
        (ip_network("fe80::/10"), "link-local addresses (RFC 4291 2.5.6)"),
        (ip_network("ff00::/8"), "multicast addresses (RFC 4291 2.7)"),
    )
)
"""No Service can have these: a router or a host would never send such a packet on to a node."""


def strict_address(text: str) -> IPAddress | None:
    """The address; None where the text is none, has a zone or is an IPv4-mapped one: as CEL's ``isIP`` has it."""
    try:
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address.ipv4_mapped is not None):
        return None
    return address


def strict_cidr(text: str) -> tuple[IPAddress, Range] | None:
    """The address before the slash and its network; None where the text is no CIDR: as CEL's ``isCIDR`` has it."""
    base, _, length = text.partition("/")
    address = strict_address(base)
    if address is None:
        return None
    family = family_of(address)
    if length not in _LENGTHS[family]:
        return None
    hosts = (1 << (BITS[family] - int(length))) - 1
    first = int(address) & ~hosts
    return address, Range(family, first, first | hosts)


def parse(entry: str, where: str) -> Range:
    """The range of an entry: a CIDR, ``start-end`` or a single address; blanks around them are fine.

    What is refused is said in the words of the CEL rules of ``config/crd``; what is known beyond them is the advice.

    Args:
        entry: as the admin wrote it.
        where: object and field, for the error.

    Raises:
        InvalidObject: ``value`` is the entry; ``advice`` is what was probably meant.
    """
    text = entry.strip(_BLANKS)

    def refused(what: str, advice: str = "") -> InvalidObject:
        return InvalidObject(where, what, advice, value=entry)

    if "/" in text:
        found = _cidr(text, refused)
    elif "-" in text:
        found = _dashed(text, refused)
    else:
        only = _address(text, text, refused)
        found = Range(family_of(only), int(only), int(only))
    if found.size == 1 << BITS[found.family]:
        raise refused(_UNREACHABLE, "it is every address there is: write the free addresses of the LAN")
    _refuse_forbidden(found, refused)
    return found


def _refuse_forbidden(found: Range, refused: _Refused) -> None:
    for forbidden, why in _FORBIDDEN:
        if found.overlaps(forbidden):
            raise refused(_UNREACHABLE, why)


def _address(text: str, entry: str, refused: _Refused) -> IPAddress:
    address = strict_address(text)
    if address is not None:
        return address
    bare, zone, _ = text.partition("%")
    written = strict_address(bare)
    if zone and written is not None:
        raise refused(_NO_ENTRY, f"write {written} without its zone")
    try:
        mapped = IPv6Address(bare).ipv4_mapped
    except ValueError:
        mapped = None
    if mapped is not None:
        raise refused(_NO_ENTRY, f"{text} is an IPv4-mapped address, write {mapped}")
    if text == entry:
        raise refused(_NO_ENTRY)
    raise refused(_NO_ENTRY, f"{text!r} is no address" if text else "an address is missing")


def _cidr(text: str, refused: _Refused) -> Range:
    if "-" in text:
        raise refused(_NO_ENTRY, "a CIDR and a range are two entries")
    found = strict_cidr(text)
    if found is None:
        base, _, length = text.partition("/")
        family = family_of(_address(base, text, refused))
        raise refused(_NO_ENTRY, f"{length!r} is no prefix length, {family} has 0 to {BITS[family]}")
    address, network = found
    if int(address) != network.first:
        ends = to_address(network.family, network.first), to_address(network.family, network.last)
        length = text.partition("/")[2]
        raise refused(_HOST_BITS, f"the network is {ends[0]}/{length}, its rest from there {address}-{ends[1]}")
    return network


def _dashed(text: str, refused: _Refused) -> Range:
    parts = [part.strip(_BLANKS) for part in text.split("-")]
    if len(parts) != 2:  # noqa: PLR2004  (start and end)
        raise refused(_NO_ENTRY, "a range has one dash")
    start = _address(parts[0], text, refused)
    if isinstance(start, IPv4Address) and parts[1].isascii() and parts[1].isdecimal():
        meant = f"{parts[0]}-{parts[0].rpartition('.')[0]}.{parts[1]}"
        raise refused(_NO_ENTRY, f"write {meant} if that is meant")
    end = _address(parts[1], text, refused)
    family = family_of(start)
    if family != family_of(end):
        raise refused(_MIXED)
    if int(start) > int(end):
        # First what the other order wouldn't mend.
        for one in (int(start), int(end)):
            _refuse_forbidden(Range(family, one, one), refused)
        raise refused(f"ends before it starts: write {parts[1]}-{parts[0]}")
    return Range(family, int(start), int(end))


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
