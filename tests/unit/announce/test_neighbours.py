"""Whom we ask whether they are there, and whom a flood can't push out."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether

from lbprovider.announce.neighbours import GATEWAYS, IDLE, LIMIT, Neighbours

MS = 1_000_000
SECOND = 1000 * MS
START = 50 * SECOND
PERIOD = 50 * MS
MAC = bytes.fromhex("02aabbccdd01")
GATEWAY, GATEWAY_MAC = bytes((192, 0, 2, 254)), bytes.fromhex("02aabbccddfe")
OWN = (
    ip_interface("10.0.0.1/8"),
    ip_interface("192.0.2.1/24"),
    ip_interface("2001:db8::1/64"),
    ip_interface("fe80::1/64"),
)


def host(number: int) -> tuple[bytes, bytes]:
    return bytes((192, 0, 2, number % 250)), bytes((2, 0, 0, 1, number >> 8 & 255, number & 255))


def ask(neighbours: Neighbours, now: int, seek: int | None = None) -> list[str]:
    """Whom is asked, as text."""
    frames = [Ether(each) for each in neighbours.due(MAC, OWN, now, seek)]
    return [each[ARP].pdst if ARP in each else each[ICMPv6ND_NS].tgt for each in frames]


def answer(neighbours: Neighbours, address: bytes, mac: bytes, now: int) -> bool:
    return neighbours.heard(address, mac, now, is_answer=True) is not None


def test_a_gateway_that_answers_is_told() -> None:
    neighbours = Neighbours()
    neighbours.gateways([GATEWAY])
    assert neighbours.answered_at is None
    assert ask(neighbours, START) == ["192.0.2.254"]
    assert neighbours.heard(GATEWAY, GATEWAY_MAC, START + MS, is_answer=True) == START, "when it was asked"
    assert neighbours.answered_at == START + MS


def test_what_was_not_asked_is_no_answer() -> None:
    neighbours = Neighbours()
    neighbours.gateways([GATEWAY])
    assert not answer(neighbours, GATEWAY, GATEWAY_MAC, START)
    ask(neighbours, START)
    assert not neighbours.heard(GATEWAY, GATEWAY_MAC, START, is_answer=False)
    assert not answer(neighbours, GATEWAY, GATEWAY_MAC, START + 1001 * MS)
    assert answer(neighbours, GATEWAY, GATEWAY_MAC, START + 1000 * MS)
    assert not answer(neighbours, GATEWAY, GATEWAY_MAC, START + 1000 * MS), "one answer to one question"
    assert neighbours.answered_at == START + 1000 * MS


def test_while_all_is_well_each_is_asked_every_half_minute_and_one_a_second() -> None:
    neighbours = Neighbours()
    neighbours.gateways([GATEWAY])
    neighbours.heard(*host(7), START, is_answer=False)
    asked: list[tuple[int, str]] = []
    for step in range(0, 70_000, 50):
        asked += ((step, each) for each in ask(neighbours, START + step * MS))
    assert asked == [
        (0, "192.0.2.254"), (1_000, "192.0.2.7"), (30_000, "192.0.2.254"), (31_000, "192.0.2.7"),
        (60_000, "192.0.2.254"), (61_000, "192.0.2.7"),
    ]  # fmt: skip
    assert IDLE == 30 * SECOND


def test_while_a_quorum_is_missing_all_are_asked_each_period() -> None:
    neighbours = Neighbours()
    neighbours.gateways([GATEWAY])
    neighbours.heard(*host(7), START, is_answer=False)
    both = ["192.0.2.254", "192.0.2.7"]
    assert ask(neighbours, START, PERIOD) == both
    assert ask(neighbours, START + PERIOD - 1, PERIOD) == []
    assert ask(neighbours, START + PERIOD, PERIOD) == both


@pytest.mark.parametrize(
    ("gateway", "sender", "to"),
    [
        (GATEWAY, "192.0.2.1", "ff:ff:ff:ff:ff:ff"),
        (bytes((172, 16, 0, 1)), "10.0.0.1", "ff:ff:ff:ff:ff:ff"),
        (ip_interface("fe80::99/64").ip.packed, "fe80::1", "33:33:ff:00:00:99"),
        (ip_interface("2001:db8::99/64").ip.packed, "2001:db8::1", "33:33:ff:00:00:99"),
    ],
)
def test_we_ask_as_a_host_of_its_subnet(gateway: bytes, sender: str, to: str) -> None:
    neighbours = Neighbours()
    neighbours.gateways([gateway])
    (frame,) = neighbours.due(MAC, OWN, START, None)
    seen = Ether(frame)
    assert (seen.dst, seen[ARP].psrc if ARP in seen else seen[IPv6].src) == (to, sender)


def test_who_has_no_address_asks_by_a_probe_or_not_at_all() -> None:
    neighbours = Neighbours()
    neighbours.gateways([GATEWAY, ip_interface("fe80::99/64").ip.packed])
    (frame,) = neighbours.due(MAC, (), START, PERIOD)
    assert Ether(frame)[ARP].psrc == "0.0.0.0"  # noqa: S104 - a probe's sender


def test_who_can_not_be_asked_keeps_nobody_waiting_and_no_place() -> None:
    neighbours = Neighbours()
    ipv4 = OWN[:2]  # so nobody of the other family could answer us
    neighbours.gateways([ip_interface("fe80::99/64").ip.packed, GATEWAY])
    for number in range(1, LIMIT):
        neighbours.heard(ip_interface(f"fe80::{number}/64").ip.packed, MAC, number * SECOND, is_answer=False)
    asked: list[tuple[int, str]] = []
    for second in range(40):
        frames = neighbours.due(MAC, ipv4, START + second * SECOND, None)
        asked += ((second, Ether(each)[ARP].pdst) for each in frames)
    assert asked == [(0, "192.0.2.254"), (30, "192.0.2.254")]
    neighbours.heard(*host(7), START + 40 * SECOND, is_answer=False)
    assert host(7)[0] in neighbours.known


def test_one_that_is_known_is_asked_alone_until_it_does_not_answer() -> None:
    neighbours = Neighbours()
    neighbours.gateways([GATEWAY])

    def asked(now: int) -> str:
        (frame,) = neighbours.due(MAC, OWN, now, PERIOD)
        return str(Ether(frame).dst)

    assert asked(START) == "ff:ff:ff:ff:ff:ff"
    answer(neighbours, GATEWAY, GATEWAY_MAC, START)
    assert asked(START + PERIOD) == "02:aa:bb:cc:dd:fe"
    # Another router may have taken its place.
    assert asked(START + 2 * PERIOD) == "ff:ff:ff:ff:ff:ff"
    answer(neighbours, GATEWAY, MAC[:5] + b"\x77", START + 2 * PERIOD)
    assert asked(START + 3 * PERIOD) == "02:aa:bb:cc:dd:77"


def test_a_flood_of_made_up_hosts_pushes_no_real_one_out() -> None:
    neighbours = Neighbours()
    neighbours.gateways([GATEWAY])
    real = host(7)
    neighbours.heard(*real, START, is_answer=False)
    now = START
    for number in range(60_000):
        now += MS
        neighbours.heard(*host(8 + number), now, is_answer=False)
        if number % 50 == 0:
            for who in ask(neighbours, now):
                if who in ("192.0.2.254", "192.0.2.7"):
                    answer(neighbours, bytes(map(int, who.split("."))), real[1], now)
        assert len(neighbours.known) <= LIMIT
    assert {GATEWAY, real[0]} <= set(neighbours.known)


def test_one_that_does_not_answer_makes_room_for_another() -> None:
    neighbours = Neighbours()
    now = START
    for number in range(1, LIMIT + 1):
        neighbours.heard(*host(number), now, is_answer=False)
        now += SECOND
    neighbours.heard(*host(99), now, is_answer=False)
    assert host(99)[0] not in neighbours.known, "they were not asked yet"
    ask(neighbours, now, PERIOD)
    for number in range(2, LIMIT + 1):
        answer(neighbours, *host(number), now)
    neighbours.heard(*host(99), now + 1001 * MS, is_answer=False)
    assert host(99)[0] in neighbours.known
    assert host(1)[0] not in neighbours.known
    assert len(neighbours.known) == LIMIT


def test_gateways_come_and_go_with_the_routes_and_are_few() -> None:
    neighbours = Neighbours()
    for number in range(1, 9):
        neighbours.heard(*host(number), START + number * SECOND, is_answer=False)
    neighbours.gateways([host(number)[0] for number in range(100, 120)])
    assert len(neighbours.known) == LIMIT
    assert {host(number)[0] for number in range(100, 100 + GATEWAYS)} <= set(neighbours.known)
    neighbours.gateways([GATEWAY])
    assert GATEWAY in neighbours.known
    assert host(100)[0] not in neighbours.known
    neighbours.forget()
    assert not neighbours.known
