"""What frames say of who has an address; scapy makes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from lbprovider.announce.claims import Said, read

HOST, HOST_TEXT = bytes.fromhex("02aabbccdd02"), "02:aa:bb:cc:dd:02"
OTHER, OTHER_TEXT = bytes.fromhex("02aabbccdd03"), "02:aa:bb:cc:dd:03"
US_TEXT, ALL = "02:aa:bb:cc:dd:01", "ff:ff:ff:ff:ff:ff"
VIP, VIP6 = bytes((192, 0, 2, 10)), bytes.fromhex("20010db8000000000000000000000010")
NOBODY = "0.0.0.0"  # noqa: S104 - a probe's sender


def arp(to: str = ALL, **fields: object) -> bytes:
    return bytes(Ether(src=HOST_TEXT, dst=to) / ARP(**({"op": 1, "hwsrc": HOST_TEXT, "pdst": "192.0.2.99"} | fields)))


def nd(body: Packet, source: str = "2001:db8::10", to: str = "ff02::1", option: Packet | None = None) -> bytes:
    packet = Ether(src=HOST_TEXT, dst=ALL) / IPv6(src=source, dst=to, hlim=255) / body
    return bytes(packet / option if option is not None else packet)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        pytest.param(arp(psrc="192.0.2.10", pdst="192.0.2.10"), Said(VIP, HOST), id="gratuitous request"),
        pytest.param(arp(op=2, psrc="192.0.2.10", pdst="192.0.2.10"), Said(VIP, HOST), id="gratuitous reply"),
        pytest.param(arp(psrc="192.0.2.10"), Said(VIP, HOST), id="a question"),
        pytest.param(arp(US_TEXT, op=2, psrc="192.0.2.10"), Said(VIP, HOST, is_answer=True), id="an answer"),
        pytest.param(arp(psrc=NOBODY, pdst="192.0.2.10"), Said(VIP, HOST, is_probe=True), id="a probe"),
        pytest.param(arp(psrc="192.0.2.10", hwsrc=OTHER_TEXT), Said(VIP, OTHER), id="for another host"),
        pytest.param(arp(op=2, psrc=NOBODY), None, id="nobody answers"),
        pytest.param(arp(op=3, psrc="192.0.2.10"), None, id="RARP"),
        pytest.param(arp(psrc="192.0.2.10", hwsrc=ALL), None, id="everybody has it"),
        pytest.param(arp(psrc="192.0.2.10", hwsrc="00:00:00:00:00:00"), None, id="at no hardware address"),
        pytest.param(arp(psrc="192.0.2.10")[:41], None, id="cut"),
        pytest.param(
            nd(ICMPv6ND_NA(tgt="2001:db8::10", S=0), option=ICMPv6NDOptDstLLAddr(lladdr=OTHER_TEXT)),
            Said(VIP6, OTHER),
            id="unsolicited advertisement",
        ),
        pytest.param(nd(ICMPv6ND_NA(tgt="2001:db8::10", S=0)), Said(VIP6, HOST), id="without the option"),
        pytest.param(
            nd(ICMPv6ND_NA(tgt="2001:db8::10", S=1), to="2001:db8::1"),
            Said(VIP6, HOST, is_answer=True),
            id="solicited advertisement",
        ),
        pytest.param(
            nd(ICMPv6ND_NS(tgt="2001:db8::10"), source="::", to="ff02::1:ff00:10"),
            Said(VIP6, HOST, is_probe=True),
            id="duplicate address detection",
        ),
        pytest.param(
            nd(ICMPv6ND_NS(tgt="2001:db8::99"), option=ICMPv6NDOptSrcLLAddr(lladdr=OTHER_TEXT)),
            Said(VIP6, OTHER),
            id="solicitation from it",
        ),
        pytest.param(nd(ICMPv6ND_NA(tgt="ff02::1", S=0)), None, id="advertises a group"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_what_is_said(frame: bytes, said: Said | None) -> None:
    assert read(memoryview(frame)) == said


@given(junk=st.binary(max_size=120), at=st.integers(0, 90), patch=st.binary(max_size=8))
def test_whatever_comes_is_read_or_left(junk: bytes, at: int, patch: bytes) -> None:
    for base in (junk, arp(psrc="192.0.2.10"), nd(ICMPv6ND_NA(tgt="2001:db8::10", S=0))):
        said = read(base[:at] + patch + base[at + len(patch) :])
        if said is not None:
            assert len(said.address) in (4, 16)
            assert not said.mac[0] & 1
