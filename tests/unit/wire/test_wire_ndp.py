"""Neighbor Discovery frames: scapy says what the ones that we build mean, and makes the ones that we read."""

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw, fuzz

from lbprovider.errors import WireError
from lbprovider.wire import ndp

OURS, OURS_TEXT = bytes.fromhex("02aabbccdd01"), "02:aa:bb:cc:dd:01"
PEER, PEER_TEXT = bytes.fromhex("02aabbccdd02"), "02:aa:bb:cc:dd:02"
VIP = IPv6Address("2001:db8::a:b:c")
ASKER = IPv6Address("2001:db8::20")
GROUP, GROUP_MAC = "ff02::1:ff0b:c", "33:33:ff:0b:00:0c"

macs = st.binary(min_size=6, max_size=6)
ips = st.binary(min_size=16, max_size=16)

OUTCOMES = {
    "read", "Truncated", "VlanTagged", "NotSolicitation", "NotAdvertisement", "HopLimit", "Checksum", "Malformed",
}  # fmt: skip


def asked(  # noqa: PLR0917
    source: object = ASKER,
    to: object = GROUP,
    to_mac: str = GROUP_MAC,
    hops: int = 255,
    body: Packet | None = None,
    option: Packet | None = None,
) -> bytes:
    """A solicitation as scapy makes it, checksum and all."""
    packet = Ether(src=PEER_TEXT, dst=to_mac) / IPv6(src=str(source), dst=str(to), hlim=hops)
    packet /= body if body is not None else ICMPv6ND_NS(tgt=str(VIP))
    return bytes(packet / option if option is not None else packet)


WITH_OPTION = asked(option=ICMPv6NDOptSrcLLAddr(lladdr=PEER_TEXT))


@pytest.mark.parametrize(
    ("frame", "to", "to_mac", "solicited"),
    [
        pytest.param(ndp.advertisement(VIP.packed, OURS, ASKER.packed, PEER), str(ASKER), PEER_TEXT, 1, id="solicited"),
        pytest.param(ndp.unsolicited(VIP.packed, OURS), "ff02::1", "33:33:00:00:00:01", 0, id="unsolicited"),
    ],
)
def test_what_we_build_means_what_it_should(frame: bytes, to: str, to_mac: str, solicited: int) -> None:
    seen = Ether(frame)
    assert (seen.dst, seen.src) == (to_mac, OURS_TEXT)
    assert (seen[IPv6].src, seen[IPv6].dst, seen[IPv6].hlim, seen[IPv6].plen) == (str(VIP), to, 255, 32)
    told = seen[ICMPv6ND_NA]
    assert (told.R, told.S, told.O, told.tgt) == (0, solicited, 1, str(VIP))
    assert seen[ICMPv6NDOptDstLLAddr].lladdr == OURS_TEXT
    assert Raw not in seen


@pytest.mark.parametrize(
    ("frame", "source", "to", "to_mac", "option"),
    [
        pytest.param(ndp.probe(VIP.packed, OURS), "::", GROUP, GROUP_MAC, None, id="probe"),
        pytest.param(
            ndp.solicitation(VIP.packed, OURS, ASKER.packed), str(ASKER), GROUP, GROUP_MAC, OURS_TEXT, id="to all"
        ),
        pytest.param(
            ndp.solicitation(VIP.packed, OURS, ASKER.packed, PEER),
            str(ASKER),
            str(VIP),
            PEER_TEXT,
            OURS_TEXT,
            id="to one",
        ),
    ],
)
def test_our_questions_mean_what_they_should(
    frame: bytes, source: str, to: str, to_mac: str, option: str | None
) -> None:
    seen = Ether(frame)
    assert (seen.src, seen.dst) == (OURS_TEXT, to_mac)
    assert (seen[IPv6].src, seen[IPv6].dst, seen[IPv6].hlim) == (source, to, 255)
    assert seen[ICMPv6ND_NS].tgt == str(VIP)
    assert (seen[ICMPv6NDOptSrcLLAddr].lladdr if ICMPv6NDOptSrcLLAddr in seen else None) == option
    assert ndp.parse_solicitation(frame).target == VIP.packed  # checksum included


def told(body: Packet | None = None, to: str = "ff02::1", hops: int = 255, **option: str) -> bytes:
    """An advertisement as scapy makes it."""
    packet = Ether(src=PEER_TEXT) / IPv6(src=str(VIP), dst=to, hlim=hops)
    packet /= body if body is not None else ICMPv6ND_NA(tgt=str(VIP), R=0, S=0, O=1)
    return bytes(packet / ICMPv6NDOptDstLLAddr(**option) if option else packet)


@pytest.mark.parametrize(
    ("frame", "mac", "flags"),
    [
        pytest.param(told(lladdr=OURS_TEXT), OURS, ndp.OVERRIDE, id="unsolicited"),
        pytest.param(told(), None, ndp.OVERRIDE, id="no option"),
        pytest.param(
            told(ICMPv6ND_NA(tgt=str(VIP), R=1, S=1, O=0), str(ASKER), lladdr=OURS_TEXT),
            OURS,
            ndp.SOLICITED | 0x8000_0000,
            id="a router's answer",
        ),
    ],
)
def test_advertisements_are_read(frame: bytes, mac: bytes | None, flags: int) -> None:
    read = ndp.parse_advertisement(memoryview(frame))
    assert (read.target, read.target_mac, read.flags, read.source) == (VIP.packed, mac, flags, PEER)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param(told()[:77], "Truncated", id="cut"),
        pytest.param(told(hops=64), "HopLimit", id="routed here"),
        pytest.param(told()[:-1] + b"\xff", "Checksum", id="bit flipped"),
        pytest.param(told(ICMPv6ND_NA(tgt=str(VIP), code=3)), "Malformed", id="code 3"),
        pytest.param(told(ICMPv6ND_NA(tgt="ff02::5")), "Malformed", id="of a group"),
        pytest.param(told(ICMPv6ND_NA(tgt=str(VIP), S=1)), "Malformed", id="an answer to all"),
        pytest.param(WITH_OPTION, "NotAdvertisement", id="a solicitation"),
        pytest.param(bytes(Ether() / Raw(bytes(60))), "NotAdvertisement", id="no IPv6"),
    ],
)
def test_what_is_no_advertisement_is_named(frame: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        ndp.parse_advertisement(frame)
    assert caught.value.reason == reason


@given(target=ips, mac=macs, to=ips, to_mac=macs)
def test_scapy_computes_the_same_checksum(target: bytes, mac: bytes, to: bytes, to_mac: bytes) -> None:
    frame = ndp.advertisement(target, mac, to, to_mac)
    theirs = Ether(frame)
    del theirs[ICMPv6ND_NA].cksum
    assert bytes(theirs) == frame


@pytest.mark.parametrize(
    ("frame", "sender", "sender_mac"),
    [
        pytest.param(WITH_OPTION, ASKER.packed, PEER, id="multicast"),
        pytest.param(asked(to=VIP, to_mac=OURS_TEXT), ASKER.packed, None, id="unicast, no option"),
        pytest.param(asked(source="::"), bytes(16), None, id="duplicate address detection"),
        pytest.param(
            asked(option=ICMPv6NDOptDstLLAddr(lladdr=OURS_TEXT) / ICMPv6NDOptSrcLLAddr(lladdr=PEER_TEXT)),
            ASKER.packed,
            PEER,
            id="behind another option",
        ),
        pytest.param(WITH_OPTION + b"\xff" * 9, ASKER.packed, PEER, id="padded"),
    ],
)
def test_questions_are_read(frame: bytes, sender: bytes, sender_mac: bytes | None) -> None:
    read = ndp.parse_solicitation(memoryview(frame))
    assert (read.target, read.sender, read.sender_mac, read.source) == (VIP.packed, sender, sender_mac, PEER)


def _cut(frame: bytes, options: bytes) -> bytes:
    """The solicitation with these bytes as its options, checksum made right."""
    message = b"\x87\0\0\0" + frame[58:78] + options
    right = ndp.checksum(frame[22:38], frame[38:54], message)
    return (
        frame[:18] + struct.pack("!H", len(message)) + frame[20:54] + b"\x87\0" + struct.pack("!H", right) + message[4:]
    )


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param(WITH_OPTION[:77], "Truncated", id="cut in the header"),
        pytest.param(WITH_OPTION[:-1], "Truncated", id="cut in the option"),
        pytest.param(asked(hops=254), "HopLimit", id="routed here"),
        pytest.param(WITH_OPTION[:-1] + b"\xff", "Checksum", id="bit flipped"),
        pytest.param(asked(body=ICMPv6ND_NS(tgt=str(VIP), code=1)), "Malformed", id="code 1"),
        pytest.param(asked(body=ICMPv6ND_NS(tgt="ff02::1")), "Malformed", id="asks for a group"),
        pytest.param(asked(source="ff02::1"), "Malformed", id="a group asks"),
        pytest.param(asked(source="::", to=VIP), "Malformed", id="detection, unicast"),
        pytest.param(
            asked(source="::", option=ICMPv6NDOptSrcLLAddr(lladdr=PEER_TEXT)),
            "Malformed",
            id="detection with an option",
        ),
        pytest.param(asked(body=ICMPv6ND_NA(tgt=str(VIP))), "NotSolicitation", id="an advertisement"),
        pytest.param(asked(body=ICMPv6Unknown(type=200, msgbody=b"x" * 40)), "NotSolicitation", id="other ICMPv6"),
        pytest.param(
            asked(body=IPv6ExtHdrHopByHop() / ICMPv6ND_NS(tgt=str(VIP))), "NotSolicitation", id="extension header"
        ),
        pytest.param(
            bytes(Ether(dst=GROUP_MAC) / Dot1Q(vlan=7) / IPv6(hlim=255) / ICMPv6ND_NS(tgt=str(VIP))),
            "VlanTagged",
            id="802.1Q",
        ),
        pytest.param(_cut(WITH_OPTION, b"\x01\x00"), "Malformed", id="option of length 0"),
        pytest.param(_cut(WITH_OPTION, b"\x01\x02" + bytes(6)), "Malformed", id="option longer than the message"),
        pytest.param(_cut(WITH_OPTION, b"\x01"), "Malformed", id="half an option"),
    ],
)
def test_what_is_no_question_is_named(frame: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        ndp.parse_solicitation(frame)
    assert caught.value.reason == reason


def test_the_groups_of_an_address() -> None:
    assert ndp.solicited_node(VIP.packed) == IPv6Address(GROUP).packed
    assert ndp.group_mac(IPv6Address(GROUP).packed).hex(":") == GROUP_MAC


@given(junk=st.binary(max_size=120), at=st.integers(0, len(WITH_OPTION) - 1), options=st.binary(max_size=24))
def test_nothing_but_a_wire_error_ever(junk: bytes, at: int, options: bytes) -> None:
    frames = (
        junk,
        WITH_OPTION[:54] + junk,
        WITH_OPTION[:at] + junk[:1] + WITH_OPTION[at + 1 :],
        _cut(WITH_OPTION, options),
    )
    assert {_read(frame) for frame in frames} <= OUTCOMES
    assert {_read_told(frame[:54] + b"\x88" + frame[55:]) for frame in frames} <= OUTCOMES


@pytest.mark.parametrize("layer", [ICMPv6ND_NS, ICMPv6ND_NA, ICMPv6NDOptSrcLLAddr, IPv6ExtHdrHopByHop])
@given(random=st.randoms(use_true_random=False))
def test_scapys_random_frames_never_crash_us(layer: type[Packet], random: object) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("scapy.volatile.random", random)
        anything = bytes(Ether(src=PEER_TEXT, dst=GROUP_MAC) / fuzz(IPv6() / layer()))
        nearly = asked(body=fuzz(ICMPv6ND_NS()), option=fuzz(ICMPv6NDOptSrcLLAddr()))
    assert {_read(anything), _read(nearly), _read_told(anything)} <= OUTCOMES


def _read(frame: bytes) -> str:
    try:
        read = ndp.parse_solicitation(frame)
    except WireError as error:
        return error.reason
    assert len(read.target) == len(read.sender) == 16
    assert read.sender_mac is None or len(read.sender_mac) == 6
    return "read"


def _read_told(frame: bytes) -> str:
    try:
        read = ndp.parse_advertisement(frame)
    except WireError as error:
        return error.reason
    assert len(read.target) == 16
    assert read.target_mac is None or len(read.target_mac) == 6
    return "read"
