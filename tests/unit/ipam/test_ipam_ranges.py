"""SEMANTICS 'Addresses and pools': what an entry is, what is refused, and the arithmetic of ranges."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network, summarize_address_range
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.errors import InvalidObject
from lbprovider.ipam.ranges import Range, buggy_within, first_overlap, is_buggy, merge, parse, subtract, to_address


@pytest.mark.parametrize(
    ("entry", "first", "last"),
    [
        ("192.0.2.0/24", "192.0.2.0", "192.0.2.255"),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.7"),
        ("10.0.0.0/8", "10.0.0.0", "10.255.255.255"),
        ("192.0.2.10-192.0.2.20", "192.0.2.10", "192.0.2.20"),
        ("  192.0.2.10 - 192.0.2.20 ", "192.0.2.10", "192.0.2.20"),
        ("192.0.2.10-192.0.2.10", "192.0.2.10", "192.0.2.10"),
        (" 192.0.2.9 ", "192.0.2.9", "192.0.2.9"),
        ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::1-2001:db8::ff", "2001:db8::1", "2001:db8::ff"),
        ("2001:DB8::5", "2001:db8::5", "2001:db8::5"),
    ],
)
def test_an_entry_is_a_cidr_a_range_or_an_address(entry: str, first: str, last: str) -> None:
    found = parse(entry, "here")
    assert (to_address(found.family, found.first), to_address(found.family, found.last)) == (
        ip_address(first),
        ip_address(last),
    )


@pytest.mark.parametrize(
    ("entry", "what", "advice"),
    [
        ("", "lacks an address", "192.0.2.0/24"),
        ("lan", "'lan' is not an IP address", "192.0.2.0/24"),
        ("192.0.2", "'192.0.2' is not an IP address", ""),
        ("192.0.2.01", "not an IP address", ""),
        ("192.0.2.256", "not an IP address", ""),
        ("192.0.2.0/33", "'33' is no prefix length", "0 to 32"),
        ("2001:db8::/129", "'129' is no prefix length", "0 to 128"),
        ("192.0.2.0/", "'' is no prefix length", ""),
        ("192.0.2.0/024", "'024' is no prefix length", ""),
        ("192.0.2.0/255.255.255.0", "no prefix length", ""),
        ("192.0.2.0/24/24", "no prefix length", ""),
        ("192.0.2.5/24", "host bits", "192.0.2.0/24 for the subnet"),
        ("192.0.2.5/24", "host bits", "192.0.2.5-192.0.2.255"),
        ("192.0.2.20-192.0.2.10", "starts after its end", "write 192.0.2.10-192.0.2.20"),
        ("2001:db8::9-2001:db8::1", "starts after its end", "write 2001:db8::1-2001:db8::9"),
        ("192.0.2.1-2001:db8::1", "mixes IPv4 and IPv6", "two entries"),
        ("192.0.2.10-20", "'20' is not an IP address", "192.0.2.10-192.0.2.20"),
        ("192.0.2.10-", "lacks an address", ""),
        ("192.0.2.1-192.0.2.2-192.0.2.3", "is no range", "start-end"),
        ("192.0.2.0/25-192.0.2.255", "mixes a CIDR and a range", "two entries"),
        ("2001:db8::1%eth0", "has a zone", "write 2001:db8::1"),
        ("0.0.0.0/0", "every address there is", "free addresses of the LAN"),
        ("::/0", "every address there is", ""),
        ("0.0.0.1", "'this network'", ""),
        ("127.0.0.1", "loopback", ""),
        ("126.0.0.0-128.0.0.0", "loopback", ""),
        ("169.254.1.0/24", "link-local", ""),
        ("224.0.0.0/24", "multicast", ""),
        ("255.255.255.255", "broadcast", ""),
        ("::", "unspecified", ""),
        ("::1", "loopback", ""),
        ("fe80::/64", "link-local", ""),
        ("ff02::1", "multicast", ""),
        ("::ffff:192.0.2.1", "IPv4-mapped", "IPv4"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_was(entry: str, what: str, advice: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        parse(entry, "IPAddressPool lb/lan spec.addresses[0]")
    said = str(caught.value)
    assert said.startswith(f"IPAddressPool lb/lan spec.addresses[0]: {entry.strip()!r}")
    assert what in said
    assert advice in said


BASE = int(ip_address("192.0.2.0"))
small = st.tuples(st.integers(0, 1023), st.integers(0, 1023)).map(
    lambda pair: Range("IPv4", BASE + min(pair), BASE + max(pair))
)


def members(*ranges: Range) -> set[int]:
    return {number for each in ranges for number in range(each.first, each.last + 1)}


@given(st.lists(small, max_size=6))
def test_merging_keeps_the_addresses_and_nothing_touches(ranges: list[Range]) -> None:
    merged = merge(ranges)
    assert members(*merged) == members(*ranges)
    assert sum(each.size for each in merged) == len(members(*ranges))
    assert all(a.last + 1 < b.first for a, b in pairwise(merged))


@given(small, st.lists(small, max_size=6))
def test_subtracting_leaves_what_sets_leave(whole: Range, holes: list[Range]) -> None:
    left = tuple(subtract(whole, merge(holes)))
    assert members(*left) == members(whole) - members(*holes)
    assert sum(each.size for each in left) == len(members(*left))
    assert list(left) == sorted(left)


@given(st.lists(small, max_size=5))
def test_an_overlap_is_found_if_there_is_one(ranges: list[Range]) -> None:
    pair = first_overlap(ranges)
    assert (pair is None) == (len(members(*ranges)) == sum(each.size for each in ranges))
    if pair is not None:
        assert members(pair[0]) & members(pair[1])


def test_families_never_overlap() -> None:
    assert first_overlap([Range("IPv4", 5, 9), Range("IPv6", 5, 9)]) is None
    assert tuple(subtract(Range("IPv4", 5, 9), [Range("IPv6", 5, 9)])) == (Range("IPv4", 5, 9),)


@given(small)
def test_buggy_addresses_are_counted_as_they_are_found(whole: Range) -> None:
    assert buggy_within(whole) == sum(is_buggy("IPv4", number) for number in range(whole.first, whole.last + 1))


@given(st.integers(0, 12), st.integers(0, 4095))
def test_a_cidr_is_what_the_standard_library_says(length: int, block: int) -> None:
    network = IPv4Network((0x0A000000 + (block << 8 >> length << length), 32 - length), strict=True)
    found = parse(str(network), "here")
    assert (found.first, found.last) == (int(network.network_address), int(network.broadcast_address))


@given(st.integers(0, 1023), st.integers(0, 1023))
def test_a_range_is_what_the_standard_library_says(a: int, b: int) -> None:
    first, last = IPv4Address(BASE + min(a, b)), IPv4Address(BASE + max(a, b))
    found = parse(f"{first} - {last}", "here")
    assert found.size == sum(network.num_addresses for network in summarize_address_range(first, last))
    assert str(found) == (str(first) if first == last else f"{first}-{last}")


def test_no_buggy_address_in_ipv6() -> None:
    assert not is_buggy("IPv6", int(ip_address("2001:db8::ff")))
    assert buggy_within(Range("IPv6", 0, 2**64)) == 0


def test_a_range_is_never_enumerated() -> None:
    assert parse("2001:db8::/32", "here").size == 2**96 == ip_network("2001:db8::/32").num_addresses
