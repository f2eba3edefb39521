"""Socket filters, run by a small interpreter: what gets through, for any set of addresses."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from lbprovider.net.filters import MAX_RANGES, Instruction, arp_packets, neighbour_discovery, netlink_events, ranges

HOST, BROADCAST, MULTICAST, OTHER_HOST, OUTGOING = range(5)
ANCILLARY = 0xFFFFF000

words = st.integers(0, 0xFFFF_FFFF)
clustered = st.lists(st.one_of(words, st.integers(0, 40), st.integers(0xFFFF_FFF0, 0xFFFF_FFFF)), max_size=60)


def passes(program: tuple[Instruction, ...], data: bytes, packet_type: int = BROADCAST, vlan: int = 0) -> bool:
    """Run a program as the kernel would (Documentation/networking/filter.rst); reading past the end drops."""
    beside = {ANCILLARY + 4: packet_type, ANCILLARY + 44: vlan}
    at = accumulator = 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        match code:
            case 0x20 | 0x28 | 0x30:
                size = {0x20: 4, 0x28: 2, 0x30: 1}[code]
                if k in beside:
                    accumulator = beside[k]
                elif k + size > len(data):
                    return False
                else:
                    accumulator = int.from_bytes(data[k : k + size], "big")
            case 0x54:
                accumulator &= k
            case 0x05:
                at += k
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x35:
                at += if_true if accumulator >= k else if_false
            case 0x06:
                return k > 0
            case _:
                pytest.fail(f"unknown instruction {code:#x}")


def arp(target: int = 0xC0000264, **fields: object) -> bytes:
    return bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(**({"op": 1, "pdst": _dotted(target)} | fields)))


def _arp_frame(asked: int, sender: int, operation: int = 1) -> bytes:
    """As ``arp``, without scapy's half a millisecond."""
    head = b"\xff" * 6 + bytes(6) + b"\x08\x06\0\x01\x08\0\x06\x04" + operation.to_bytes(2, "big")
    return head + bytes(6) + sender.to_bytes(4, "big") + bytes(6) + asked.to_bytes(4, "big")


def ns(target: int = 0x100, body: type[Packet] = ICMPv6ND_NS) -> bytes:
    fields = {"tgt": f"2001:db8::{target >> 16:x}:{target & 0xFFFF:x}"} if body is not ICMPv6ND_RS else {}
    return bytes(Ether(dst="33:33:ff:00:01:00") / IPv6(hlim=255) / body(**fields) / (b"" if fields else bytes(16)))


NS, NA = ns(), ns(body=ICMPv6ND_NA)


def _dotted(word: int) -> str:
    return ".".join(map(str, word.to_bytes(4, "big")))


@given(held=clustered, probe=words)
def test_exactly_the_addresses_named_get_through(held: list[int], probe: int) -> None:
    beside = {word + step for word in held for step in (-1, 1) if 0 <= word + step < 1 << 32}
    by_arp, by_nd = arp_packets(held), neighbour_discovery(held)
    other = next(word for word in range(1 << 32) if word not in held)
    for word in {probe, 0, 0xFFFF_FFFF, *held, *beside}:
        packed = word.to_bytes(4, "big")
        assert passes(by_arp, _arp_frame(asked=word, sender=other)) == (word in held)
        assert passes(by_arp, _arp_frame(asked=other, sender=word)) == (word in held)
        assert passes(by_arp, _arp_frame(asked=other, sender=word, operation=2)) == (word in held)
        assert passes(by_nd, NS[:74] + packed) == (word in held)
        assert passes(by_nd, NA[:74] + packed) == (word in held)


@given(held=st.sets(words, min_size=MAX_RANGES, max_size=600))
def test_too_many_still_all_get_through_and_the_program_stays_small(held: set[int]) -> None:
    covered = ranges(held)
    assert len(covered) <= MAX_RANGES
    assert all(any(first <= word <= last for first, last in covered) for word in held)
    program = max(arp_packets(held), neighbour_discovery(held), key=len)
    # Eight bytes each, twice (the old one is still attached), of 20 KiB.
    assert 2 * 8 * len(program) < 20_480 * 0.7
    assert all(passes(arp_packets(held), arp(word)) for word in list(held)[:20])


def test_the_narrowest_gaps_are_given_up_first() -> None:
    assert ranges([1, 2, 3, 10, 12, 100], limit=3) == ((1, 3), (10, 12), (100, 100))
    assert ranges([1, 2, 3, 10, 12, 100], limit=1) == ((1, 100),)
    assert ranges([]) == ()


@pytest.mark.parametrize(
    ("frame", "packet_type", "vlan", "through"),
    [
        pytest.param(arp(), BROADCAST, 0, True, id="broadcast"),
        pytest.param(arp(), HOST, 0, True, id="unicast to us"),
        pytest.param(arp(), OTHER_HOST, 0, False, id="overheard"),
        pytest.param(arp(), OUTGOING, 0, False, id="our own"),
        pytest.param(arp(), BROADCAST, 7, False, id="another VLAN"),
        pytest.param(arp(), BROADCAST, 0x6000, True, id="priority tag only"),
        pytest.param(arp(0xC0000265), BROADCAST, 0, False, id="foreign address"),
        pytest.param(arp(op=2), BROADCAST, 0, False, id="reply of a foreign host to all"),
        pytest.param(arp(op=2), HOST, 0, True, id="reply to us"),
        pytest.param(arp(op=2), OTHER_HOST, 0, False, id="overheard reply"),
        pytest.param(arp(op=2, psrc="192.0.2.100"), BROADCAST, 0, True, id="reply that claims ours"),
        pytest.param(arp(op=1, psrc="192.0.2.100", pdst="192.0.2.1"), BROADCAST, 0, True, id="asks as ours"),
        pytest.param(arp(op=1, psrc="192.0.2.9", pdst="192.0.2.1"), HOST, 0, False, id="asks us for another"),
        pytest.param(arp(op=3), BROADCAST, 0, False, id="RARP"),
        pytest.param(ns(), MULTICAST, 0, False, id="IPv6"),
        pytest.param(arp()[:30], BROADCAST, 0, False, id="cut"),
    ],
)
def test_arp_of_our_lan_gets_through(frame: bytes, packet_type: int, vlan: int, through: bool) -> None:  # noqa: FBT001
    assert passes(arp_packets([0xC0000264]), frame, packet_type, vlan) is through


@pytest.mark.parametrize(
    ("frame", "packet_type", "through"),
    [
        pytest.param(ns(), MULTICAST, True, id="multicast"),
        pytest.param(ns(), HOST, True, id="unicast to us"),
        pytest.param(ns(), OTHER_HOST, False, id="overheard"),
        pytest.param(ns(0x101), MULTICAST, False, id="foreign address"),
        pytest.param(ns(body=ICMPv6ND_NA), MULTICAST, True, id="advertisement of ours"),
        pytest.param(ns(0x101, ICMPv6ND_NA), MULTICAST, False, id="advertisement of another"),
        pytest.param(ns(0x101, ICMPv6ND_NA), HOST, True, id="advertisement to us"),
        pytest.param(ns(0x101), HOST, False, id="asks us for another"),
        pytest.param(ns(body=ICMPv6ND_RS), MULTICAST, False, id="router solicitation"),
        pytest.param(bytes(Ether() / IPv6() / UDP() / (b"\x87" * 80)), HOST, False, id="UDP"),
        pytest.param(arp(), BROADCAST, False, id="ARP"),
    ],
)
def test_neighbour_discovery_of_our_lan_gets_through(frame: bytes, packet_type: int, through: bool) -> None:  # noqa: FBT001
    assert passes(neighbour_discovery([0x100]), frame, packet_type) is through


@pytest.mark.parametrize(
    ("kind", "payload", "through"),
    [
        pytest.param(16, b"\0", True, id="link"),
        pytest.param(17, b"\0", True, id="link removed"),
        pytest.param(16, b"\x07", False, id="bridge port"),
        pytest.param(17, b"\x07", False, id="no longer a bridge port"),
        pytest.param(20, b"\x02\x18", True, id="address"),
        pytest.param(21, b"\x0a\x40", True, id="address removed"),
        pytest.param(24, b"\x02\0", True, id="default route"),
        pytest.param(25, b"\x0a\0", True, id="default route removed"),
        pytest.param(24, b"\x02\x20", False, id="a Pod's route"),
        pytest.param(25, b"\x0a\x80", False, id="a Pod's route removed"),
    ],
)
def test_netlink_events_that_matter_get_through(kind: int, payload: bytes, through: bool) -> None:  # noqa: FBT001
    message = struct.pack("=IHHII", 28, kind, 0, 0, 0) + payload.ljust(12, b"\x01")
    assert passes(netlink_events(), message) is through
