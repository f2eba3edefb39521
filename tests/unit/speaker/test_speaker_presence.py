"""What a node shows on a LAN: probes before first use, conflicts, the last resort, neighbours, its interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import Ether

from lbprovider.announce.probing import Probe
from lbprovider.announce.schedule import Announcement
from lbprovider.election.outcome import Cause, Lost, LostReason, Won, WonReason
from lbprovider.election.segment import MemberList, Segment
from lbprovider.net.links import Link
from lbprovider.speaker.fastpath import KernelAnswers
from lbprovider.speaker.news import Answered, Conflict, ConflictKind, ConflictOver, Contested, News
from lbprovider.speaker.presence import PROBE_AGAIN, SHIPPED, Manner, Presence
from lbprovider.wire import arp, ndp

MS = 1_000_000
SECOND = 1000 * MS
START = 50 * SECOND
OURS = bytes.fromhex("02aabbccdd01")
PEER, PEER_TEXT = bytes.fromhex("02aabbccdd02"), "02:aa:bb:cc:dd:02"
THIRD_TEXT, THIRD = "02:aa:bb:cc:dd:03", bytes.fromhex("02aabbccdd03")
HOST, HOST_TEXT = bytes.fromhex("02aabbccddcc"), "02:aa:bb:cc:dd:cc"
VIP, OTHER = bytes((192, 0, 2, 100)), bytes((192, 0, 2, 101))
VIP6 = bytes.fromhex("20010db8000000000000000000000100")
GATEWAY = bytes((192, 0, 2, 254))
LINK = Link(
    name="eth0", index=1, mac=OURS, up=True, carrier=True, addresses=(ip_interface("192.0.2.1/24"),),
    gateways=(ip_address("192.0.2.254"),),
)  # fmt: skip
SEGMENT = Segment("uid", "lan", 1, (MemberList(("n1", "n2", "n3"), 2),))


@dataclass
class Votes:
    """What the Member would say."""

    heard: tuple[str, ...] = ("n2", "n3")
    seeks: bool = False
    epoch: int = 0
    segment: Segment | None = field(default=SEGMENT)

    def may_answer(self, address: bytes, now: int) -> bool:
        del address, now
        return True

    def hears(self, now: int) -> tuple[str, ...]:
        del now
        return self.heard

    def deadline(self, address: bytes) -> int:
        del address
        return 0

    def deadlines(self) -> Mapping[bytes, int]:
        return {}


@dataclass
class Node:
    """A Presence, driven in time, with what it sent and said."""

    manner: Manner = SHIPPED
    fresh: set[bytes] = field(default_factory=set)
    """Addresses that nobody has led yet."""
    votes: Votes = field(default_factory=Votes)
    now: int = START
    sent: list[tuple[int, Announcement]] = field(default_factory=list)
    said: list[News] = field(default_factory=list)

    def __post_init__(self) -> None:
        kernel = KernelAnswers(self.votes, None, lambda _: None)
        self.presence = Presence("lan", self.votes, kernel, self.manner, lambda address: address in self.fresh)
        for node, address, mac in (("n2", "192.0.2.2", PEER_TEXT), ("n3", "192.0.2.3", THIRD_TEXT)):
            self.presence.reach(node, address, mac)
        self.presence.link(LINK, self.now)

    def win(self, address: bytes = VIP, **fields: Any) -> Won:
        change = Won(address, WonReason.UNCLAIMED, **fields)
        self.presence.won(change, SEGMENT.hold, self.now)
        self.step()
        return change

    def lose(self, address: bytes = VIP) -> Lost:
        change = Lost(address, LostReason.TAKEN_OVER)
        self.presence.lost(change, self.now)
        self.step()
        return change

    def step(self) -> None:
        self.sent += ((self.now, each) for each in self.presence.due(self.now))
        self.said += self.presence.news()

    def advance(self, nanoseconds: int) -> None:
        end = self.now + nanoseconds
        while True:
            wake = self.presence.next_wake()
            if wake is None or wake > end:
                break
            assert wake > self.now, "a caller would spin"
            self.now = wake
            self.step()
        self.now = end

    def hear(self, frame: bytes) -> bytes | None:
        reply = self.presence.frame(memoryview(frame), self.now)
        self.step()
        return reply

    def answers(self, address: bytes = VIP) -> bool:
        if len(address) == 4:
            return (
                self.presence.frame(memoryview(arp.request(address, HOST, bytes((192, 0, 2, 7)))), self.now) is not None
            )
        question = ndp.solicitation(address, HOST, ip_address("2001:db8::7").packed)
        return self.presence.frame(memoryview(question), self.now) is not None

    def probes(self) -> list[int]:
        return [when for when, each in self.sent if each.is_probe]

    def announced(self, address: bytes = VIP) -> list[int]:
        return [when for when, each in self.sent if not each.is_probe and each.address == address]


def answer(mac: bytes = HOST, address: bytes = VIP) -> bytes:
    if len(address) == 4:
        return arp.reply(address, mac, arp.UNSPECIFIED, OURS)
    return ndp.unsolicited(address, mac)


# --- before the first use


@pytest.mark.parametrize("address", [VIP, VIP6], ids=["IPv4", "IPv6"])
def test_a_first_use_is_probed_for_and_neither_answered_nor_announced_nor_told_until_then(address: bytes) -> None:
    node = Node(fresh={address})
    won = node.win(address)
    node.advance(149 * MS)
    assert not node.answers(address)
    assert node.announced(address) == []
    assert node.said == []
    assert node.presence.held == {address}
    node.advance(MS)
    assert node.answers(address)
    assert node.probes() == [START, START + 50 * MS, START + 100 * MS]
    assert node.announced(address)[0] == START + 150 * MS
    assert node.said == [won]


def test_what_was_led_before_is_answered_at_once() -> None:
    node = Node()
    won = node.win()
    assert node.answers()
    assert node.probes() == []
    assert node.announced()[0] == START
    assert node.said == [won]


def test_what_is_handed_over_is_answered_at_once_though_its_leader_is_not_written_yet() -> None:
    node = Node(fresh={VIP})
    node.presence.won(Won(VIP, WonReason.HANDED_OVER, predecessor="n2"), SEGMENT.hold, node.now)
    assert node.answers()


def test_probing_switched_off_asks_nobody() -> None:
    node = Node(Manner(probe=Probe.OFF), fresh={VIP})
    node.win()
    assert node.answers()
    assert node.probes() == []


def test_the_full_form_takes_five_seconds() -> None:
    node = Node(Manner(probe=Probe.FULL), fresh={VIP})
    node.win()
    node.advance(4_999 * MS)
    assert not node.answers()
    node.advance(MS)
    assert node.answers()
    assert len(node.probes()) == 3


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(answer(), id="answer"),
        pytest.param(arp.gratuitous_request(VIP, HOST), id="announcement"),
        pytest.param(arp.gratuitous_reply(VIP, HOST), id="the other announcement"),
        pytest.param(arp.request(GATEWAY, HOST, VIP), id="question to another"),
        pytest.param(arp.probe(VIP, HOST), id="probe at the same time"),
    ],
)
def test_somebody_who_has_it_or_wants_it_keeps_it(frame: bytes) -> None:
    node = Node(fresh={VIP})
    node.win()
    node.advance(60 * MS)
    assert node.hear(frame) is None
    node.advance(10 * SECOND)
    assert not node.answers()
    assert node.announced() == []
    assert node.said == [Conflict(VIP, HOST, ConflictKind.PROBE)]
    assert len(node.probes()) == 2


@pytest.mark.parametrize("frame", [answer(address=VIP6), ndp.probe(VIP6, HOST)], ids=["advertisement", "detection"])
def test_the_same_for_ipv6(frame: bytes) -> None:
    node = Node(fresh={VIP6})
    node.win(VIP6)
    node.hear(frame)
    node.advance(SECOND)
    assert node.said == [Conflict(VIP6, HOST, ConflictKind.PROBE)]
    assert not node.answers(VIP6)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(answer(PEER), id="a member's answer"),
        pytest.param(arp.probe(VIP, PEER), id="a member's probe"),
        pytest.param(arp.probe(VIP, OURS), id="our own probe, reflected"),
        pytest.param(answer(address=OTHER), id="another address"),
        pytest.param(arp.request(VIP, HOST, bytes((192, 0, 2, 7))), id="a client's question"),
    ],
)
def test_members_clients_and_ourselves_are_no_conflict(frame: bytes) -> None:
    node = Node(fresh={VIP})
    won = node.win()
    node.hear(frame)
    node.advance(150 * MS)
    assert node.answers()
    assert node.said == [won]


def test_a_member_that_has_registered_another_hardware_address_is_known_by_that() -> None:
    node = Node(fresh={VIP, OTHER})
    node.presence.reach("n2", "192.0.2.2", HOST_TEXT)
    for address in (VIP, OTHER):
        node.win(address)
    node.hear(answer(HOST))
    node.hear(answer(PEER, OTHER))
    node.advance(150 * MS)
    assert (node.answers(), node.answers(OTHER)) == (True, False)


def test_an_address_that_was_answered_for_is_asked_for_again_after_a_minute_and_taken_once_it_is_free() -> None:
    node = Node(fresh={VIP})
    won = node.win()
    node.hear(answer())
    node.advance(PROBE_AGAIN)
    node.hear(answer())
    node.advance(PROBE_AGAIN - SECOND)
    assert node.said == [Conflict(VIP, HOST, ConflictKind.PROBE)], "said once"
    node.advance(2 * SECOND)
    assert node.answers()
    assert node.said[1:] == [won, ConflictOver(VIP)]
    assert len(node.probes()) == 1 + 1 + 3
    assert PROBE_AGAIN == 60 * SECOND


def test_one_that_counts_as_used_meanwhile_is_announced_all_the_same() -> None:
    node = Node(fresh={VIP})
    node.win()
    node.hear(answer())
    node.fresh.clear()  # the controller has given up setting addresses aside
    node.advance(PROBE_AGAIN)
    assert node.answers()


def test_what_is_lost_while_it_is_probed_is_probed_no_more() -> None:
    node = Node(fresh={VIP})
    node.win()
    lost = node.lose()
    node.advance(SECOND)
    assert len(node.probes()) == 1
    assert node.said == [lost]
    assert node.presence.held == frozenset()


# --- another host claims what is ours


def test_a_foreign_claim_is_said_once_and_defended_every_ten_seconds() -> None:
    node = Node()
    node.win()
    node.advance(8 * SECOND)
    node.said.clear()
    node.sent.clear()
    claims_at = node.now
    for _ in range(240):
        node.hear(arp.gratuitous_reply(VIP, HOST))
        node.advance(100 * MS)
    assert node.said == [Conflict(VIP, HOST, ConflictKind.FOREIGN)]
    assert [(when - claims_at) // SECOND for when in node.announced()[::2]] == [0, 10, 20]
    assert node.answers(), "whoever asks is answered as before"


def test_the_end_of_a_conflict_is_found_out_by_asking_and_said() -> None:
    node = Node()
    node.win()
    node.hear(answer())
    node.said.clear()
    node.advance(15 * SECOND)
    node.hear(answer())
    node.advance(60 * SECOND)
    assert node.said == [ConflictOver(VIP)]
    assert all(b - a >= 10 * SECOND for a, b in zip(node.probes(), node.probes()[1:], strict=False))
    assert node.answers()


def test_a_member_that_takes_an_address_over_is_no_conflict() -> None:
    node = Node()
    node.win()
    node.said.clear()
    for frame in (arp.gratuitous_request(VIP, PEER), arp.gratuitous_reply(VIP, THIRD), answer(PEER)):
        node.hear(frame)
    assert node.said == []


@pytest.mark.parametrize("frame", [arp.probe(VIP, HOST), arp.request(VIP, HOST, bytes((192, 0, 2, 7)))])
def test_who_asks_before_he_takes_it_is_answered_and_no_conflict(frame: bytes) -> None:
    node = Node()
    node.win()
    node.said.clear()
    assert node.hear(frame) is not None
    assert node.said == []


def test_what_is_lost_has_no_conflict_any_more() -> None:
    node = Node()
    node.win()
    node.hear(answer())
    node.lose()
    node.said.clear()
    node.hear(answer())
    node.advance(60 * SECOND)
    assert node.said == []
    assert node.probes() == []


# --- without a quorum (rule 19)


def test_the_last_resort_probes_even_what_was_led_before() -> None:
    node = Node(Manner(probe=Probe.OFF))
    won = node.win(probe=True)
    node.advance(149 * MS)
    assert not node.answers()
    node.advance(MS)
    assert node.answers()
    assert len(node.probes()) == 3
    assert node.said == [won]


@pytest.mark.parametrize("mac", [HOST, THIRD], ids=["foreign host", "missing member"])
def test_the_last_resort_leaves_an_address_to_whoever_answers_for_it(mac: bytes) -> None:
    node = Node(votes=Votes(heard=("n2",)))
    node.win(probe=True)
    node.hear(answer(mac))
    assert node.said == [Contested(VIP)]


@pytest.mark.parametrize("mac", [HOST, THIRD], ids=["foreign host", "missing member"])
def test_the_last_resort_ends_when_somebody_claims_the_address_later(mac: bytes) -> None:
    node = Node(votes=Votes(heard=("n2",)))
    won = node.win(probe=True)
    node.advance(SECOND)
    node.hear(arp.gratuitous_request(VIP, mac))
    node.hear(arp.gratuitous_reply(VIP, mac))
    assert node.said[:2] == [won, Contested(VIP)]
    assert Contested(VIP) not in node.said[2:], "told once"


def test_a_member_that_is_heard_does_not_count_in_the_last_resort() -> None:
    node = Node(votes=Votes(heard=("n2",)))
    node.win(probe=True)
    node.hear(answer(PEER))
    node.advance(SECOND)
    node.hear(arp.gratuitous_request(VIP, PEER))
    assert node.answers()
    assert not any(isinstance(each, Contested) for each in node.said)


# --- neighbours


def test_while_a_quorum_is_missing_the_gateway_is_asked_each_period_and_its_answer_told() -> None:
    node = Node()
    node.votes.seeks = True
    asked = []
    for _ in range(10):
        asked += [(node.now, Ether(each).pdst) for each in node.presence.questions(node.now)]
        node.now += 25 * MS
    assert asked == [(START + number * 50 * MS, "192.0.2.254") for number in range(5)]
    node.presence.frame(memoryview(arp.reply(GATEWAY, HOST, bytes((192, 0, 2, 1)), OURS)), node.now)
    assert node.presence.news() == [Answered(START + 200 * MS)], "when it was asked"


def test_an_answer_of_a_member_says_nothing_of_the_lan() -> None:
    node = Node()
    node.votes.seeks = True
    node.presence.questions(node.now)
    node.hear(arp.reply(GATEWAY, PEER, bytes((192, 0, 2, 1)), OURS))
    assert node.said == []


def test_a_client_that_asks_becomes_somebody_to_ask() -> None:
    node = Node()
    node.votes.seeks = True
    assert not node.answers(OTHER)
    assert [Ether(each).pdst for each in node.presence.questions(node.now)] == ["192.0.2.254", "192.0.2.7"]


def test_the_routes_say_who_the_gateway_is() -> None:
    node = Node()
    node.presence.link(replace(LINK, gateways=()), node.now)
    assert node.presence.questions(node.now) == []


# --- the interface


def test_a_new_hardware_address_is_answered_with_and_announced() -> None:
    node = Node()
    node.win()
    node.advance(10 * SECOND)
    node.said.clear()
    node.sent.clear()
    node.presence.link(replace(LINK, mac=THIRD), node.now)
    node.step()
    assert {each.frame[6:12] for _, each in node.sent} == {THIRD}
    reply = node.hear(arp.request(VIP, HOST, bytes((192, 0, 2, 7))))
    assert reply is not None
    assert reply[6:12] == THIRD
    assert node.said == [], "who leads has not changed"


def test_a_new_interface_is_probed_on_from_the_beginning() -> None:
    node = Node(fresh={VIP})
    node.win()
    node.advance(120 * MS)
    node.presence.link(replace(LINK, index=2, mac=THIRD), node.now)
    node.sent.clear()
    node.step()
    node.advance(150 * MS)
    assert len(node.probes()) == 3
    assert node.answers()


def test_without_an_interface_nothing_is_sent_and_with_one_all_is_announced() -> None:
    node = Node(fresh={OTHER})
    node.presence.link(None, node.now)
    node.sent.clear()
    won = node.win()
    node.win(OTHER)
    assert node.presence.next_wake() is None
    assert (node.sent, node.said) == ([], [])
    node.presence.link(LINK, node.now)
    node.step()
    node.advance(SECOND)
    assert node.said[0] == won
    assert node.answers(OTHER)
    assert node.announced() != []


def test_a_link_that_returns_announces_again_and_a_rename_or_an_address_does_not() -> None:
    node = Node()
    node.win()
    node.advance(10 * SECOND)
    node.sent.clear()
    for link in (replace(LINK, name="lan0"), replace(LINK, addresses=()), replace(LINK, carrier=False)):
        node.presence.link(link, node.now)
        node.step()
    assert node.sent == []
    node.presence.link(replace(LINK, returns=1), node.now)
    node.step()
    assert len(node.announced()) == 2


# --- pace


def test_a_thousand_addresses_move_within_a_second_though_a_hundred_others_are_probed() -> None:
    node = Node(fresh={bytes((10, 1, 0, number)) for number in range(100)})
    for address in sorted(node.fresh):
        node.presence.won(Won(address, WonReason.UNCLAIMED), SEGMENT.hold, node.now)
    moved = [bytes((10, 0, number >> 8, number & 255)) for number in range(1000)]
    for address in moved:
        node.presence.won(Won(address, WonReason.HANDED_OVER), SEGMENT.hold, node.now)
    node.step()
    node.advance(SECOND)
    first = [when for when, each in node.sent if each.address[:2] == b"\x0a\x00"]
    assert {each.address for _, each in node.sent} >= set(moved)
    assert max(node.announced(address)[0] for address in moved) < START + SECOND
    assert first[1999] <= min(node.probes()), "what is answered already is announced before anything else"
    assert len(node.sent) <= 4000 + 250


def test_few_frames_a_second_where_switches_inspect_arp() -> None:
    node = Node(Manner(per_second=10), fresh={OTHER, VIP6})
    for address in (VIP, OTHER, VIP6):
        node.win(address)
    node.advance(3 * SECOND)
    assert len(node.sent) <= 30 + 2
    assert node.answers(OTHER)


# --- a hostile LAN


def test_a_flood_changes_nothing_that_is_kept() -> None:
    node = Node(fresh={OTHER})
    node.win()
    node.win(OTHER)
    node.advance(SECOND)
    for number in range(20_000):
        mac = bytes((2, 0, 9, number >> 16, number >> 8 & 255, number & 255))
        address = bytes((10, number >> 16, number >> 8 & 255, number & 255))
        kind = number % 4
        frames = (arp.gratuitous_reply(address, mac), arp.probe(VIP, mac), arp.request(VIP, mac, address), answer(mac))
        node.presence.frame(memoryview(frames[kind]), node.now)
        node.now += 20_000
    node.step()
    presence = node.presence
    kept = (presence._untold, presence._refused, presence._last_resort, presence._clashing, presence._news)
    assert [len(each) for each in kept] == [0, 0, 0, 0, 0]
    assert len(presence.neighbours.known) <= 8
    assert node.said[-1] == Conflict(VIP, bytes((2, 0, 9, 0, 0, 3)), ConflictKind.FOREIGN)
    assert sum(isinstance(each, Conflict) for each in node.said) == 1
    assert node.answers()


def test_whoever_answers_for_everything_costs_one_word_for_each_address() -> None:
    addresses = [bytes((10, 0, 0, number)) for number in range(200)]
    node = Node(fresh=set(addresses))
    for address in addresses:
        node.presence.won(Won(address, WonReason.UNCLAIMED), SEGMENT.hold, node.now)
    node.step()
    for _ in range(3):
        for address in addresses:
            node.presence.frame(memoryview(answer(HOST, address)), node.now)
    node.step()
    assert len(node.said) == 200
    assert len(node.presence._refused) == 200


def test_a_restarted_neighbours_address_is_answered_in_its_place() -> None:
    node = Node()
    change = Won(VIP, WonReason.HANDED_OVER, predecessor="n2", cause=Cause.RESTARTING)
    node.presence.won(change, SEGMENT.hold, node.now)
    node.step()
    assert node.presence.shown(VIP) == (PEER, "n2")
    reply = node.hear(arp.request(VIP, HOST, bytes((192, 0, 2, 7))))
    assert reply is not None
    assert (reply[6:12], reply[22:28]) == (OURS, PEER)
    assert node.announced() == []


def test_a_node_that_is_stood_in_for_is_there_as_long_as_its_kernel_answers_whatever_its_lease_says() -> None:
    node = Node()
    change = Won(VIP, WonReason.HANDED_OVER, predecessor="n2", cause=Cause.RESTARTING)
    node.presence.won(change, SEGMENT.hold, node.now)
    node.presence.reach("n2", "", "")  # its speaker has ended
    for _ in range(20):
        node.now += 50 * MS
        outcome = node.presence.standing.due(node.now, LINK, [])
        assert outcome.own == ()
        node.hear(arp.reply(bytes((192, 0, 2, 2)), PEER, bytes((192, 0, 2, 1)), OURS))
    own: list[Won] = []
    for _ in range(6):  # and now it is silent
        node.now += 50 * MS
        own += node.presence.standing.due(node.now, LINK, []).own
    assert [each.address for each in own] == [VIP]


def test_an_answer_in_another_nodes_place_leaves_by_our_own_hardware_address_for_ipv6_too() -> None:
    node = Node()
    node.presence.link(replace(LINK, addresses=(*LINK.addresses, ip_interface("2001:db8::1/64"))), node.now)
    change = Won(VIP6, WonReason.HANDED_OVER, predecessor="n2", cause=Cause.RESTARTING)
    node.presence.won(change, SEGMENT.hold, node.now)
    reply = node.hear(ndp.solicitation(VIP6, HOST, ip_address("2001:db8::7").packed))
    assert reply is not None
    seen = Ether(reply)
    assert (seen.src, seen[ICMPv6NDOptDstLLAddr].lladdr) == ("02:aa:bb:cc:dd:01", PEER_TEXT)
    assert seen[ICMPv6ND_NA].tgt == seen[IPv6].src == "2001:db8::100"
