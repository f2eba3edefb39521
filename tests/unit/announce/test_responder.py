"""Who gets an answer, and why others don't."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from lbprovider.announce.responder import Drop, Responder
from lbprovider.wire import arp, ndp

OURS, OURS_TEXT = bytes.fromhex("02aabbccdd01"), "02:aa:bb:cc:dd:01"
PEER, PEER_TEXT = bytes.fromhex("02aabbccdd02"), "02:aa:bb:cc:dd:02"
GROUP = "01:00:5e:00:00:01"
ANYBODY = "ff:ff:ff:ff:ff:ff"
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - a probe's sender
VIP4, VIP4_TEXT = bytes((192, 0, 2, 10)), "192.0.2.10"
VIP6 = IPv6Address("2001:db8::10")
NOW = 7_000_000_000


class Promises:
    """What election would say; remembers what it was asked."""

    def __init__(self) -> None:
        self.until = {VIP4: NOW + 1, VIP6.packed: NOW + 1}
        self.asked: list[tuple[bytes, int]] = []

    def may_answer(self, address: bytes, now: int) -> bool:
        self.asked.append((address, now))
        return now < self.until[address]


@pytest.fixture
def promises() -> Promises:
    return Promises()


@pytest.fixture
def responder(promises: Promises) -> Responder:
    made = Responder(promises.may_answer)
    made.hold(VIP4, "eth0", OURS)
    made.hold(VIP6.packed, "eth0", OURS)
    return made


def who_has(address: str = VIP4_TEXT, to: str = ANYBODY, **fields: object) -> bytes:
    given = {"op": 1, "hwsrc": PEER_TEXT, "psrc": "192.0.2.20", "pdst": address} | fields
    return bytes(Ether(src=PEER_TEXT, dst=to) / ARP(**given))


def solicited(source: str = "2001:db8::20", target: object = VIP6, option: Packet | None = None, **ip: object) -> bytes:
    packet = Ether(src=PEER_TEXT, dst="33:33:ff:00:00:10") / IPv6(
        **({"src": source, "dst": "ff02::1:ff00:10", "hlim": 255} | ip)
    )
    packet /= ICMPv6ND_NS(tgt=str(target))
    return bytes(packet / option if option is not None else packet)


ASKED_WITH_OPTION = solicited(option=ICMPv6NDOptSrcLLAddr(lladdr=PEER_TEXT))


@pytest.mark.parametrize(
    ("question", "to"),
    [
        pytest.param(who_has(), "192.0.2.20", id="broadcast"),
        pytest.param(who_has(to=OURS_TEXT), "192.0.2.20", id="unicast"),
        pytest.param(who_has(psrc=NO_ADDRESS), NO_ADDRESS, id="RFC 5227 probe"),
        pytest.param(who_has() + bytes(18), "192.0.2.20", id="padded"),
    ],
)
def test_arp_requests_are_answered(responder: Responder, question: bytes, to: str) -> None:
    reply = responder.answer(memoryview(question), "eth0", NOW)
    assert reply is not None
    seen = Ether(reply)
    assert (seen.dst, seen.src) == (PEER_TEXT, OURS_TEXT)
    told = seen[ARP]
    assert (told.op, told.hwsrc, told.psrc, told.hwdst, told.pdst) == (2, OURS_TEXT, VIP4_TEXT, PEER_TEXT, to)
    assert responder.answered == 1


@pytest.mark.parametrize(
    ("question", "to", "to_mac", "flag"),
    [
        pytest.param(ASKED_WITH_OPTION, "2001:db8::20", PEER_TEXT, 1, id="multicast"),
        pytest.param(solicited(), "2001:db8::20", PEER_TEXT, 1, id="without the option"),
        pytest.param(solicited(dst=str(VIP6)), "2001:db8::20", PEER_TEXT, 1, id="unicast"),
        pytest.param(solicited(source="::"), "ff02::1", "33:33:00:00:00:01", 0, id="duplicate address detection"),
    ],
)
def test_solicitations_are_answered(responder: Responder, question: bytes, to: str, to_mac: str, flag: int) -> None:
    reply = responder.answer(question, "eth0", NOW)
    assert reply is not None
    seen = Ether(reply)
    assert (seen.dst, seen[IPv6].src, seen[IPv6].dst, seen[IPv6].hlim) == (to_mac, str(VIP6), to, 255)
    told = seen[ICMPv6ND_NA]
    assert (told.S, told.O, told.R, told.tgt) == (flag, 1, 0, str(VIP6))
    assert seen[ICMPv6NDOptDstLLAddr].lladdr == OURS_TEXT


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param(who_has("192.0.2.99"), Drop.NOT_OURS, id="ARP for another"),
        pytest.param(solicited(target="2001:db8::99"), Drop.NOT_OURS, id="NS for another"),
        pytest.param(who_has(op=2), Drop.NOT_A_QUESTION, id="ARP reply"),
        pytest.param(
            bytes(Ether() / IPv6(hlim=255) / ICMPv6ND_NA(tgt=str(VIP6))), Drop.NOT_A_QUESTION, id="advertisement"
        ),
        pytest.param(bytes(Ether(type=0x0800)) + bytes(60), Drop.NOT_A_QUESTION, id="IPv4"),
        pytest.param(
            bytes(Ether(dst=ANYBODY) / Dot1Q(vlan=7) / ARP(pdst=VIP4_TEXT)), Drop.NOT_A_QUESTION, id="another VLAN"
        ),
        pytest.param(who_has(psrc=VIP4_TEXT), Drop.GRATUITOUS, id="another's gratuitous ARP"),
        pytest.param(solicited(source=str(VIP6)), Drop.GRATUITOUS, id="another speaks as the address"),
        pytest.param(arp.gratuitous_request(VIP4, OURS), Drop.OWN, id="our gratuitous ARP"),
        pytest.param(who_has(hwsrc=OURS_TEXT), Drop.OWN, id="our address as the asker's"),
        pytest.param(solicited(option=ICMPv6NDOptSrcLLAddr(lladdr=OURS_TEXT)), Drop.OWN, id="ours in the option"),
        pytest.param(who_has(hwsrc=GROUP), Drop.MALFORMED, id="ARP asker is a group"),
        pytest.param(solicited(option=ICMPv6NDOptSrcLLAddr(lladdr=GROUP)), Drop.MALFORMED, id="NS asker is a group"),
        pytest.param(who_has()[:41], Drop.MALFORMED, id="ARP cut"),
        pytest.param(ASKED_WITH_OPTION[:-1], Drop.MALFORMED, id="NS cut"),
        pytest.param(solicited(hlim=64), Drop.MALFORMED, id="NS from behind a router"),
    ],
)
def test_others_get_none_and_are_counted(responder: Responder, promises: Promises, frame: bytes, reason: Drop) -> None:
    assert responder.answer(frame, "eth0", NOW) is None
    assert {each: count for each, count in responder.dropped.items() if count} == {reason: 1}
    assert responder.answered == 0
    assert promises.asked == []


@pytest.mark.parametrize(("question", "address"), [(who_has(), VIP4), (ASKED_WITH_OPTION, VIP6.packed)])
def test_permission_is_asked_before_each_answer(
    responder: Responder, promises: Promises, question: bytes, address: bytes
) -> None:
    assert responder.answer(question, "eth0", NOW) is not None
    assert responder.answer(question, "eth0", NOW + 1) is None
    promises.until[address] = NOW + 3
    assert responder.answer(question, "eth0", NOW + 2) is not None
    assert promises.asked == [(address, NOW), (address, NOW + 1), (address, NOW + 2)]
    assert responder.dropped[Drop.MAY_NOT_ANSWER] == 1


def test_each_interface_has_its_own_table(responder: Responder) -> None:
    assert responder.answer(who_has(), "eth1", NOW) is None
    responder.hold(VIP4, "eth1", PEER[:-1] + b"\x09")
    reply = responder.answer(who_has(), "eth1", NOW)
    assert reply is not None
    assert Ether(reply).src == "02:aa:bb:cc:dd:09"
    assert responder.held("eth0") == {VIP4, VIP6.packed}
    assert responder.held("eth1") == {VIP4}


def test_a_dropped_address_is_answered_on_no_interface(responder: Responder) -> None:
    responder.hold(VIP4, "eth1", OURS)
    responder.drop(VIP4)
    responder.drop(VIP4)
    assert [responder.answer(who_has(), name, NOW) for name in ("eth0", "eth1")] == [None, None]
    assert responder.answer(ASKED_WITH_OPTION, "eth0", NOW) is not None


def test_a_new_hardware_address_is_told(responder: Responder) -> None:
    responder.hold(VIP4, "eth0", OURS[:-1] + b"\x77")
    reply = responder.answer(who_has(), "eth0", NOW)
    assert reply is not None
    assert arp.parse(reply).sender_mac == OURS[:-1] + b"\x77"


@given(
    base=st.sampled_from([who_has(), ASKED_WITH_OPTION, solicited(source="::")]),
    at=st.integers(0, 90),
    patch=st.binary(max_size=6),
    cut=st.integers(0, 90),
)
def test_whatever_comes_an_answer_is_about_ours_and_goes_to_one_or_to_all_nodes(
    base: bytes, at: int, patch: bytes, cut: int
) -> None:
    responder = Responder(lambda _address, _now: True)
    responder.hold(VIP4, "eth0", OURS)
    responder.hold(VIP6.packed, "eth0", OURS)
    frame = (base[:at] + patch + base[at + len(patch) :])[: len(base) - cut % 4]
    reply = responder.answer(frame, "eth0", NOW)
    assert responder.answered + sum(responder.dropped.values()) == 1
    if reply is not None:
        assert reply[6:12] == OURS
        assert not reply[0] & 1 or reply[:6] == ndp.group_mac(ndp.ALL_NODES)
        assert VIP4 in reply or VIP6.packed in reply
