"""ARP frames: scapy says what the ones that we build mean, and makes the ones that we read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Dot1Q, Ether

from lbprovider.errors import WireError
from lbprovider.wire import arp, ethernet

OURS, OURS_TEXT = bytes.fromhex("02aabbccdd01"), "02:aa:bb:cc:dd:01"
PEER, PEER_TEXT = bytes.fromhex("02aabbccdd02"), "02:aa:bb:cc:dd:02"
VIP, VIP_TEXT = bytes((192, 0, 2, 10)), "192.0.2.10"
ASKER, ASKER_TEXT = bytes((192, 0, 2, 20)), "192.0.2.20"
ANYBODY = "ff:ff:ff:ff:ff:ff"
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - a probe's sender

macs = st.binary(min_size=6, max_size=6)
ips = st.binary(min_size=4, max_size=4)


@pytest.mark.parametrize(
    ("frame", "to", "fields"),
    [
        pytest.param(
            arp.reply(VIP, OURS, ASKER, PEER),
            PEER_TEXT,
            {"op": 2, "hwsrc": OURS_TEXT, "psrc": VIP_TEXT, "hwdst": PEER_TEXT, "pdst": ASKER_TEXT},
            id="reply",
        ),
        pytest.param(
            arp.gratuitous_request(VIP, OURS),
            ANYBODY,
            {"op": 1, "hwsrc": OURS_TEXT, "psrc": VIP_TEXT, "hwdst": "00:00:00:00:00:00", "pdst": VIP_TEXT},
            id="gratuitous request",
        ),
        pytest.param(
            arp.gratuitous_reply(VIP, OURS),
            ANYBODY,
            {"op": 2, "hwsrc": OURS_TEXT, "psrc": VIP_TEXT, "hwdst": OURS_TEXT, "pdst": VIP_TEXT},
            id="gratuitous reply",
        ),
        pytest.param(
            arp.probe(VIP, OURS),
            ANYBODY,
            {"op": 1, "hwsrc": OURS_TEXT, "psrc": NO_ADDRESS, "hwdst": "00:00:00:00:00:00", "pdst": VIP_TEXT},
            id="probe",
        ),
        pytest.param(
            arp.request(VIP, OURS, bytes((192, 0, 2, 1))),
            ANYBODY,
            {"op": 1, "hwsrc": OURS_TEXT, "psrc": "192.0.2.1", "hwdst": "00:00:00:00:00:00", "pdst": VIP_TEXT},
            id="question to all",
        ),
        pytest.param(
            arp.request(VIP, OURS, bytes((192, 0, 2, 1)), bytes.fromhex("02aabbccdd02")),
            "02:aa:bb:cc:dd:02",
            {"op": 1, "hwsrc": OURS_TEXT, "psrc": "192.0.2.1", "hwdst": "00:00:00:00:00:00", "pdst": VIP_TEXT},
            id="question to one",
        ),
    ],
)
def test_what_we_build_means_what_it_should(frame: bytes, to: str, fields: dict[str, object]) -> None:
    seen = Ether(frame)
    assert (seen.dst, seen.src, seen.type) == (to, OURS_TEXT, 0x0806)
    body = seen[ARP]
    assert (body.hwtype, body.ptype, body.hwlen, body.plen) == (1, 0x0800, 6, 4)
    assert {name: getattr(body, name) for name in fields} == fields
    assert len(frame) == 42


@given(mac=macs, to_mac=macs, address=ips, to=ips)
def test_what_we_build_is_what_scapy_would(mac: bytes, to_mac: bytes, address: bytes, to: bytes) -> None:
    theirs = Ether(src=mac, dst=to_mac) / ARP(op=2, hwsrc=mac, psrc=_dotted(address), hwdst=to_mac, pdst=_dotted(to))
    assert arp.reply(address, mac, to, to_mac) == bytes(theirs)


def _dotted(address: bytes) -> str:
    return ".".join(map(str, address))


@given(
    frame=st.builds(arp.reply, ips, macs, ips, macs) | st.builds(arp.probe, ips, macs),
    padding=st.binary(max_size=64),
)
def test_what_we_build_we_read_padding_or_not(frame: bytes, padding: bytes) -> None:
    parsed = arp.parse(frame)
    assert arp.parse(memoryview(frame + padding)) == parsed
    assert parsed.destination + parsed.source == frame[:12]
    assert parsed.sender_mac + parsed.sender + parsed.target_mac + parsed.target == frame[22:42]


def test_probes_and_announcements_are_told_apart() -> None:
    probe, announcement, question = (
        arp.parse(bytes(Ether(src=PEER, dst=ANYBODY) / ARP(op=1, hwsrc=PEER_TEXT, psrc=source, pdst=VIP_TEXT)))
        for source in (NO_ADDRESS, VIP_TEXT, ASKER_TEXT)
    )
    assert (probe.is_probe, probe.is_gratuitous) == (True, False)
    assert (announcement.is_probe, announcement.is_gratuitous) == (False, True)
    assert (question.is_probe, question.is_gratuitous) == (False, False)
    assert arp.parse(arp.gratuitous_reply(VIP, OURS)).is_gratuitous


QUESTION = bytes(Ether(src=PEER_TEXT, dst=ANYBODY) / ARP(op=1, hwsrc=PEER_TEXT, psrc=ASKER_TEXT, pdst=VIP_TEXT))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param(b"", "Truncated", id="empty"),
        pytest.param(QUESTION[:13], "Truncated", id="half a header"),
        pytest.param(QUESTION[:41], "Truncated", id="last byte missing"),
        pytest.param(QUESTION[:12] + b"\x08\x00" + QUESTION[14:], "NotArp", id="IPv4"),
        pytest.param(bytes(Ether(dst=ANYBODY) / Dot1Q(vlan=7) / ARP(pdst=VIP_TEXT)), "VlanTagged", id="802.1Q"),
        pytest.param(
            bytes(Ether(dst=ANYBODY, type=0x88A8) / Dot1Q(vlan=7) / ARP(pdst=VIP_TEXT)), "VlanTagged", id="802.1ad"
        ),
        pytest.param(QUESTION[:21] + b"\x03" + QUESTION[22:], "UnknownArp", id="RARP operation"),
        pytest.param(QUESTION[:15] + b"\x06" + QUESTION[16:], "UnknownArp", id="other hardware"),
        pytest.param(QUESTION[:18] + b"\x08" + QUESTION[19:], "UnknownArp", id="other address length"),
    ],
)
def test_what_is_no_arp_is_named(frame: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        arp.parse(frame)
    assert caught.value.reason == reason


@given(frame=st.binary(max_size=80), at=st.integers(0, 41), byte=st.integers(0, 255))
def test_nothing_but_a_wire_error_ever(frame: bytes, at: int, byte: int) -> None:
    for each in (frame, QUESTION[:12] + frame, QUESTION[:at] + bytes([byte]) + QUESTION[at + 1 :]):
        assert _read(each) in {"read", "Truncated", "NotArp", "VlanTagged", "UnknownArp"}


def _read(frame: bytes) -> str:
    try:
        arp.parse(frame)
    except WireError as error:
        return error.reason
    return "read"


def test_groups_are_nobodys_own_address() -> None:
    assert ethernet.is_group(ethernet.BROADCAST)
    assert ethernet.is_group(bytes.fromhex("333300000001"))
    assert not ethernet.is_group(OURS)
