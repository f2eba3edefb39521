"""The lab's frames against scapy: what we build dissects as meant, and what scapy builds reads as meant."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from lbprovider.lab.eyes.frames import Kind, announcement, answer, asked, claim, question

MINE, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
TARGET4, ASKER4 = ip_address("198.51.100.240"), ip_address("198.51.100.100")
TARGET6, ASKER6 = ip_address("2001:db8:1::f0"), ip_address("2001:db8:1::64")


def test_an_arp_question_is_a_broadcast_request() -> None:
    frame = Ether(question(TARGET4, MINE, ASKER4))
    assert (frame.dst, frame.src) == ("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01")
    arp = frame[ARP]
    assert (arp.op, arp.hwsrc, arp.psrc, arp.hwdst, arp.pdst) == (
        1,
        "02:00:00:00:00:01",
        str(ASKER4),
        "00:00:00:00:00:00",
        str(TARGET4),
    )


def test_an_ndp_question_goes_to_the_solicited_node_group() -> None:
    raw = question(TARGET6, MINE, ASKER6)
    frame = Ether(raw)
    assert (frame.dst, frame[IPv6].dst, frame[IPv6].hlim) == ("33:33:ff:00:00:f0", "ff02::1:ff00:f0", 255)
    assert frame[ICMPv6ND_NS].tgt == str(TARGET6)
    assert frame[ICMPv6NDOptSrcLLAddr].lladdr == "02:00:00:00:00:01"
    sum_sent = frame[ICMPv6ND_NS].cksum
    del frame[ICMPv6ND_NS].cksum
    assert Ether(bytes(frame))[ICMPv6ND_NS].cksum == sum_sent


@pytest.mark.parametrize(("target", "asker"), [(TARGET4, ASKER4), (TARGET6, ASKER6)])
def test_a_question_is_understood_and_its_answer_is_a_claim(target: object, asker: object) -> None:
    target, asker = ip_address(str(target)), ip_address(str(asker))
    assert asked(question(target, MINE, asker)) == (target, MINE, asker)
    said = claim(answer(target, THEIRS, MINE, asker))
    assert said is not None
    assert (said.address, said.mac, said.kind) == (target, "02:00:00:00:00:02", Kind.REPLY)
    assert (said.source, said.destination) == ("02:00:00:00:00:02", "02:00:00:00:00:01")


def test_an_ndp_answer_has_a_right_checksum_and_its_flags() -> None:
    frame = Ether(answer(TARGET6, THEIRS, MINE, ASKER6))
    na = frame[ICMPv6ND_NA]
    assert (na.R, na.S, na.O, na.tgt) == (0, 1, 1, str(TARGET6))
    sent = na.cksum
    del na.cksum
    assert Ether(bytes(frame))[ICMPv6ND_NA].cksum == sent


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (Ether() / ARP(op=1, hwsrc="02:00:00:00:00:02", psrc=str(TARGET4), pdst=str(TARGET4)), Kind.GRATUITOUS),
        (Ether() / ARP(op=2, hwsrc="02:00:00:00:00:02", psrc=str(TARGET4), pdst=str(TARGET4)), Kind.GRATUITOUS),
        (Ether() / ARP(op=2, hwsrc="02:00:00:00:00:02", psrc=str(TARGET4), pdst=str(ASKER4)), Kind.REPLY),
        (Ether() / ARP(op=1, hwsrc="02:00:00:00:00:02", psrc=str(TARGET4), pdst=str(ASKER4)), Kind.REQUEST),
        (
            Ether() / IPv6() / ICMPv6ND_NA(tgt=str(TARGET6), S=0) / ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:00:02"),
            Kind.GRATUITOUS,
        ),
    ],
)
def test_every_way_to_claim_an_address_is_told_apart(frame: Ether, kind: Kind) -> None:
    said = claim(bytes(frame))
    assert said is not None
    assert (said.mac, said.kind) == ("02:00:00:00:00:02", kind)


def test_a_claim_that_nobody_asked_for_goes_to_all() -> None:
    for target in (TARGET4, TARGET6):
        said = claim(announcement(target, THEIRS))
        assert said is not None
        assert (said.address, said.mac, said.kind) == (target, "02:00:00:00:00:02", Kind.GRATUITOUS)
    assert Ether(announcement(TARGET4, THEIRS)).dst == "ff:ff:ff:ff:ff:ff"
    frame = Ether(announcement(TARGET6, THEIRS))
    assert (frame.dst, frame[IPv6].dst, frame[IPv6].hlim) == ("33:33:00:00:00:01", "ff02::1", 255)
    na = frame[ICMPv6ND_NA]
    assert (na.R, na.S, na.O) == (0, 0, 1)
    sent = na.cksum
    del na.cksum
    assert Ether(bytes(frame))[ICMPv6ND_NA].cksum == sent


def test_an_advertisement_without_an_option_claims_for_its_sender() -> None:
    frame = Ether(src="02:00:00:00:00:02") / IPv6() / ICMPv6ND_NA(tgt=str(TARGET6), S=1)
    said = claim(bytes(frame))
    assert said is not None
    assert said.mac == "02:00:00:00:00:02"


def test_probes_and_questions_claim_nothing() -> None:
    assert claim(bytes(Ether() / ARP(op=1, psrc=str(ip_address(0)), pdst=str(TARGET4)))) is None
    assert claim(question(TARGET6, MINE, ASKER6)) is None
    assert asked(answer(TARGET4, MINE, THEIRS, ASKER4)) is None
    assert asked(answer(TARGET6, MINE, THEIRS, ASKER6)) is None


@given(
    st.one_of(st.binary(max_size=120), st.builds(lambda head, tail: head[:12] + tail, *[st.binary(min_size=12)] * 2))
)
def test_rubbish_says_nothing_and_breaks_nothing(frame: bytes) -> None:
    for kind in (b"\x08\x06", b"\x86\xdd"):
        claim(frame[:12] + kind + frame[12:])
        asked(frame[:12] + kind + frame[12:])
