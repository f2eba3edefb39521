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


NOTHING = "is none of: a CIDR (192.0.2.0/24), a range (192.0.2.10-192.0.2.20), an address (192.0.2.10), IPv4 or IPv6"
HOST_BITS = "has bits set behind its prefix length: write the network"
MIXED = "mixes IPv4 and IPv6: start and end of a range are of one family"
UNREACHABLE = "holds loopback, multicast, link-local, broadcast or unspecified addresses"


@pytest.mark.parametrize(
    ("entry", "what", "advice"),
    [
        ("", NOTHING, ""),
        (" ", NOTHING, ""),
        ("lan", NOTHING, ""),
        ("192.0.2", NOTHING, ""),
        ("192.0.2.01", NOTHING, ""),
        ("192.0.2.256", NOTHING, ""),
        ("\u00a0192.0.2.1", NOTHING, ""),
        ("192.0.2.1\v", NOTHING, ""),
        ("\u0661.2.3.4", NOTHING, ""),
        ("192.0.2.0/33", NOTHING, "'33' is no prefix length, IPv4 has 0 to 32"),
        ("2001:db8::/129", NOTHING, "'129' is no prefix length, IPv6 has 0 to 128"),
        ("192.0.2.0/", NOTHING, "'' is no prefix length"),
        ("192.0.2.0/024", NOTHING, "'024' is no prefix length"),
        ("192.0.2.0/255.255.255.0", NOTHING, "is no prefix length"),
        ("192.0.2.0/24/24", NOTHING, "is no prefix length"),
        ("192.0.2.0/" + "9" * 5000, NOTHING, "is no prefix length"),
        ("192.0.2.0 /24", NOTHING, "'192.0.2.0 ' is no address"),
        ("192.0.2/24", NOTHING, "'192.0.2' is no address"),
        ("192.0.2.10-20", NOTHING, "write 192.0.2.10-192.0.2.20 if that is meant"),
        ("192.0.2.10-\u0662", NOTHING, "'\u0662' is no address"),
        ("192.0.2.10-", NOTHING, "an address is missing"),
        ("192.0.2.1-192.0.2.2-192.0.2.3", NOTHING, "a range has one dash"),
        ("192.0.2.0/25-192.0.2.255", NOTHING, "a CIDR and a range are two entries"),
        ("2001:db8::1%eth0", NOTHING, "write 2001:db8::1 without its zone"),
        ("::ffff:192.0.2.1", NOTHING, "write 192.0.2.1"),
        ("::ffff:c000:201", NOTHING, "write 192.0.2.1"),
        ("::ffff:0:0/96", NOTHING, "::ffff:0:0 is an IPv4-mapped address"),
        ("192.0.2.5/24", HOST_BITS, "the network is 192.0.2.0/24, its rest from there 192.0.2.5-192.0.2.255"),
        ("192.0.2.20-192.0.2.10", "ends before it starts: write 192.0.2.10-192.0.2.20", ""),
        ("2001:db8::9-2001:DB8::1", "ends before it starts: write 2001:DB8::1-2001:db8::9", ""),
        ("2001:db8:1:: - 2001:db8::1", "ends before it starts: write 2001:db8::1-2001:db8:1::", ""),
        ("febf::-2001:db8::1", UNREACHABLE, "link-local"),
        ("192.0.2.9-127.0.0.1", UNREACHABLE, "loopback"),
        ("192.0.2.1-2001:db8::1", MIXED, ""),
        ("0.0.0.0/0", UNREACHABLE, "every address there is"),
        ("::/0", UNREACHABLE, "write the free addresses of the LAN"),
        ("0.0.0.1", UNREACHABLE, "0.0.0.0/8 are addresses of 'this network'"),
        ("127.0.0.1", UNREACHABLE, "127.0.0.0/8 are loopback"),
        ("126.0.0.0-128.0.0.0", UNREACHABLE, "loopback"),
        ("126.0.0.0/7", UNREACHABLE, "loopback"),
        ("169.254.1.0/24", UNREACHABLE, "169.254.0.0/16 are link-local"),
        ("224.0.0.0/24", UNREACHABLE, "multicast"),
        ("255.255.255.255", UNREACHABLE, "broadcast"),
        ("::", UNREACHABLE, "unspecified"),
        ("::1", UNREACHABLE, "loopback"),
        ("::fffe:0:0/95", UNREACHABLE, "::ffff:0:0/96 are IPv4-mapped"),
        ("fe80::/64", UNREACHABLE, "link-local"),
        ("2001:db8::-fec0::", UNREACHABLE, "link-local"),
        ("ff02::1", UNREACHABLE, "multicast"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_was(entry: str, what: str, advice: str) -> None:
    with pytest.raises(InvalidObject) as caught:
        parse(entry, "IPAddressPool lb/lan spec.addresses[0]")
    error = caught.value
    assert (error.where, error.value) == ("IPAddressPool lb/lan spec.addresses[0]", entry)
    assert error.what.startswith(what)
    assert advice in error.advice
    assert bool(advice) == bool(error.advice)


def test_a_refusal_reads_as_one_sentence() -> None:
    with pytest.raises(InvalidObject) as caught:
        parse("192.0.2.10-20", "spec.addresses[0]")
    advice = "write 192.0.2.10-192.0.2.20 if that is meant"
    assert str(caught.value) == f'spec.addresses[0]: "192.0.2.10-20" {NOTHING}; {advice}'


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
