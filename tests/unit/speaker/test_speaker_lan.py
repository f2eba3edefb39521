"""One LAN, driven step by step: the order of things within a step, lateness, keys, addresses of peers."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from pytest_mock import MockerFixture

from lbprovider.api.heartbeat_key import HeartbeatKey
from lbprovider.election.outcome import Lost, ProposeSwap, Won
from lbprovider.election.segment import MemberList, Segment
from lbprovider.errors import HostError
from lbprovider.net.datagrams import Received
from lbprovider.net.links import Link
from lbprovider.net.packet import Answer
from lbprovider.speaker.lan import Identity, Lan
from lbprovider.speaker.news import ConflictKind
from lbprovider.speaker.ports import Host
from lbprovider.wire import arp, ethernet, heartbeat
from lbprovider.wire.seal import unseal

MS = 1_000_000
PORT = 7472
VIP = bytes((192, 0, 2, 100))
OTHER = bytes((192, 0, 2, 101))
KEYS = (HeartbeatKey(1, b"1" * 32),)
LINK = Link(
    name="eth0", index=1, mac=b"\x02\0\0\0\0\1", up=True, carrier=True, addresses=(ip_interface("192.0.2.1/24"),)
)


async def at_once(call: Callable[[], Any]) -> Any:
    return call()


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class World:
    """Lans on one wire, with their own fake time; ``log`` is what happened at the ports, in order."""

    now: int = 1_000_000 * MS
    log: list[tuple[str, str, object]] = field(default_factory=list)
    lans: dict[str, Lan] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    """Nodes that neither hear nor are heard."""

    def __post_init__(self) -> None:
        self._timers: list[tuple[int, int, Timer, Callable[[], None]]] = []
        self._count = 0
        self._pending: list[tuple[Lan, bytes, str]] = []

    def call_at(self, when: int, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer, callback))
        return timer

    def deliver(self, *to: Lan) -> None:
        """What is on its way, to these or to all."""
        while pending := [each for each in self._pending if not to or each[0] in to]:
            self._pending = [each for each in self._pending if each not in pending]
            for lan, payload, source in pending:
                lan._received([(payload, source)])

    def advance(self, nanoseconds: int, *, late: int = 0) -> None:
        """Time passes, and timers run when they are due; or ``late``, for one whose loop was held up."""
        end = self.now + nanoseconds
        self.deliver()
        while self._timers and self._timers[0][0] <= end:
            due, _, timer, callback = heapq.heappop(self._timers)
            if not timer.cancelled:
                self.now = max(self.now, due + late)
                callback()
                self.deliver()
        self.now = max(self.now, end)

    def lan(self, node: str, number: int = 1, keys: Sequence[HeartbeatKey] = KEYS, **kwargs: Any) -> Lan:
        link = replace(LINK, mac=bytes((2, 0, 0, 0, 0, number)), addresses=(ip_interface(f"192.0.2.{number}/24"),))
        ports = Ports(self, node, number)
        host = Host(lambda: self.now, self.call_at, ports.datagrams, ports.packets, ports.groups, at_once)
        identity = Identity(node=node, incarnation=1, cluster="c", port=PORT)
        self.lans[node] = Lan("lan", link, identity=identity, keys=lambda: keys, host=host, upstairs=ports, **kwargs)
        ports.lan = self.lans[node]
        return self.lans[node]

    def join(self, *nodes: str) -> list[Lan]:
        """Members of one Segment that have all the same address to give, best first, and are past their silence."""
        made = [self.lan(node, number) for number, node in enumerate(nodes, start=1)]
        segment = Segment("uid", "lan", 1, (MemberList(tuple(sorted(nodes)), len(nodes) // 2 + 1),))
        for lan in made:
            for number, node in enumerate(nodes, start=1):
                lan.reach(node, f"192.0.2.{number}")
            lan.attach(lan.link)
            lan.adopt(segment, quorum_read=True)
            lan.wish({VIP: nodes})
        self.advance(1000 * MS)
        return made

    def after(self, start: int, *kinds: str) -> list[tuple[str, str, object]]:
        return [entry for entry in self.log[start:] if entry[0] in kinds]


@dataclass
class Ports:
    """The ports of one node, and its upstairs."""

    world: World
    node: str
    number: int
    lan: Lan | None = None
    received: Received | None = None
    answer: Answer | None = None
    payloads: list[bytes] = field(default_factory=list)

    def datagrams(self, link: Link, port: int, received: Received) -> Ports:
        assert port == PORT
        self.received = received
        self.world.log.append(("bind", self.node, link.name))
        return self

    def packets(self, link: Link, answer: Answer, gone: Callable[[], None]) -> FakePackets:
        del gone
        self.answer = answer
        self.world.log.append(("packets", self.node, link.name))
        return FakePackets(self)

    def groups(self, link: Link) -> FakePackets:
        del link
        return FakePackets(self)

    def send(self, payload: bytes, to: str) -> bool:
        self.payloads.append(payload)
        beat = heartbeat.decode(unseal(payload, (*KEYS, HeartbeatKey(2, b"2" * 32))).payload)
        self.world.log.append(("datagram", self.node, (to, beat)))
        for node, lan in self.world.lans.items():
            target = lan.link
            if target is not None and to == str(target.addresses[0].ip) and not {node, self.node} & self.world.cut:
                self.world._pending.append((lan, payload, f"192.0.2.{self.number}"))
        return True

    def hear(self) -> None:
        if self.lan is not None:
            self.world.deliver(self.lan)

    @property
    def failures(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        self.world.log.append(("closed", self.node, ""))

    def changed(self, lan: Lan, changes: Sequence[Won | Lost]) -> None:
        for change in changes:
            answered = lan.presence.responder.held("lan")
            self.world.log.append(("told", self.node, (type(change).__name__, change.address in answered)))

    def conflict(self, lan: Lan, address: bytes, mac: bytes, kind: ConflictKind) -> None:
        self.world.log.append(("conflict", self.node, (lan.name, address, mac, kind)))

    def conflict_over(self, lan: Lan, address: bytes) -> None:
        self.world.log.append(("conflict over", self.node, (lan.name, address)))

    def swap(self, lan: Lan, swap: ProposeSwap) -> None:
        self.world.log.append(("swap", lan.name, swap))

    def seen(self, lan: Lan) -> None:
        self.world.log.append(("seen", self.node, lan.hears))

    def broken(self, lan: Lan, error: Exception) -> None:
        raise AssertionError(lan.name) from error

    def trouble(self, lan: Lan, error: HostError) -> None:
        self.world.log.append(("trouble", lan.name, str(error)))


class FakePackets:
    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def listen(self, addresses: Iterable[bytes]) -> None:
        self._ports.world.log.append(("listen", self._ports.node, frozenset(addresses)))

    def work(self) -> bool:
        return False

    def rejoin(self) -> None:
        self._ports.world.log.append(("rejoin", self._ports.node, ""))

    def send(self, frame: bytes) -> bool:
        # At the moment of the frame the address must be answered already, and be ours.
        lan = self._ports.lan
        assert lan is not None
        owned = lan.presence.responder.held("lan") and lan.owns(frame[28:32])
        self._ports.world.log.append(("frame", self._ports.node, bool(owned)))
        return True

    def hear(self) -> None:
        """Nothing waits here."""

    @property
    def failures(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        self._ports.world.log.append(("closed", self._ports.node, ""))


def request(address: bytes) -> memoryview:
    mac = b"\x02\0\0\0\0\xcc"
    asker = bytes((192, 0, 2, 200))
    return memoryview(
        arp.FRAME.pack(ethernet.BROADCAST, mac, ethernet.ARP, arp.REQUEST_HEAD, mac, asker, bytes(6), address)
    )


def test_the_port_is_bound_before_the_member_begins_its_silence() -> None:
    world = World()
    seen: list[int] = []

    class Slow(Ports):
        def datagrams(self, link: Link, port: int, received: Received) -> Ports:
            world.now += 700 * MS
            return super().datagrams(link, port, received)

    ports = Slow(world, "n1", 1)
    host = Host(lambda: world.now, world.call_at, ports.datagrams, ports.packets, ports.groups, at_once)
    bound = world.now + 700 * MS
    lan = Lan(
        "lan", LINK, identity=Identity(node="n1", incarnation=1, cluster="c", port=PORT), keys=lambda: KEYS,
        host=host, upstairs=ports,
    )  # fmt: skip
    ports.lan = lan
    lan.adopt(Segment("uid", "lan", 1, (MemberList(("n1",), 1),)), quorum_read=True)
    while not lan.member.votes(world.now):
        world.advance(MS)
        seen.append(world.now)
    assert seen[-1] - bound == pytest.approx(250 * MS, abs=2 * MS)


def test_on_winning_the_responder_comes_first_then_datagrams_then_frames_then_whoever_writes_it() -> None:
    world = World()
    world.join("n1", "n2")
    events = [
        (kind, node, what) for kind, node, what in world.log if node == "n1" and kind in ("frame", "told", "datagram")
    ]
    owned = [
        index
        for index, (kind, _, what) in enumerate(events)
        if kind == "datagram" and any(change.owned for change in _changes(what))
    ]
    frames = [index for index, (kind, _, _) in enumerate(events) if kind == "frame"]
    told = [index for index, (kind, _, _) in enumerate(events) if kind == "told"]
    assert owned[0] < frames[0] < told[0]
    assert events[told[0]][2] == ("Won", True)
    assert all(what for kind, _, what in events if kind == "frame")


def _changes(what: object) -> list[heartbeat.Change]:
    assert isinstance(what, tuple)
    changes = what[1].changes
    match changes:
        case heartbeat.Delta(versions=versions):
            return [change for version in versions for change in version]
        case heartbeat.Full(claims=claims):
            return list(claims)
    return []


def test_on_losing_the_responder_is_first_to_know_and_the_others_hear_it_before_it_is_told() -> None:
    world = World()
    owner, _ = world.join("n1", "n2")
    assert owner._answer(request(VIP)) is not None
    start = len(world.log)
    owner.wish({})
    events = world.after(start, "datagram", "told")
    assert [kind for kind, *_ in events] == ["datagram", "told"]
    assert [change.since for change in _changes(events[0][2])] == [0]
    assert events[1][2] == ("Lost", False)
    assert owner._answer(request(VIP)) is None


def test_a_deadline_that_passed_unseen_is_seen_before_a_question_is_answered() -> None:
    world = World()
    owner, _ = world.join("n1", "n2")
    assert owner._answer(request(VIP)) is not None
    world.now += 260 * MS  # stopped: no timer ran
    assert owner._answer(request(VIP)) is None


def test_nothing_is_announced_that_is_no_longer_ours_when_its_repeat_is_due() -> None:
    world = World()
    owner, other = world.join("n1", "n2")
    del other
    start = len(world.log)
    world.cut = {"n2"}
    world.advance(6_000 * MS)
    assert owner.owned == frozenset()
    assert all(what for _, _, what in world.after(start, "frame"))


def test_a_deadline_that_passed_unseen_stops_announcements_too() -> None:
    world = World()
    owner, _ = world.join("n1", "n2")
    assert owner.link is not None
    start = len(world.log)
    world.now += 260 * MS
    owner.attach(replace(owner.link, returns=1))
    assert world.after(start, "frame") == []


def test_what_is_lost_waits_for_no_announcement_any_more() -> None:
    world = World()
    owner, _ = world.join("n1", "n2")
    assert owner.presence.next_wake() is not None
    owner.wish({})
    assert owner.presence.next_wake() is None


def test_one_that_was_stopped_and_still_owns_announces_again() -> None:
    world = World()
    lan = world.lan("n1")
    lan.attach(lan.link)
    lan.adopt(Segment("uid", "lan", 1, (MemberList(("n1",), 1),)), quorum_read=True)
    lan.wish({VIP: ("n1",)})
    world.advance(20_000 * MS)
    start = len(world.log)
    world.advance(100 * MS)
    assert world.after(start, "frame") == []
    world.advance(100 * MS, late=15_000 * MS)
    assert len(world.after(start, "frame")) >= 2


def test_what_has_come_is_heard_before_a_timer_that_is_late_lets_promises_lapse() -> None:
    world = World()
    owner, voter = world.join("n1", "n2")
    sent = owner._upstairs.payloads  # type: ignore[attr-defined]
    before = len(sent)
    while len(sent) == before:
        world.deliver()
        world.now = max(world.now, owner._timer_due)
        owner._wake()
    world.deliver(voter)  # which echoes at once, and that lies in the owner's socket
    world.now += 220 * MS
    assert not owner.owns(VIP)
    owner._wake()
    assert owner.owned == {VIP}
    assert owner.owns(VIP)


def test_one_that_is_late_by_less_than_a_promise_has_nothing_to_announce_again() -> None:
    world = World()
    lan = world.lan("n1")
    lan.attach(lan.link)
    lan.adopt(Segment("uid", "lan", 1, (MemberList(("n1",), 1),)), quorum_read=True)
    lan.wish({VIP: ("n1",)})
    world.advance(20_000 * MS)
    start = len(world.log)
    for _ in range(5):
        world.advance(100 * MS, late=200 * MS)
    assert lan.owned == {VIP}
    assert world.after(start, "frame") == []


def test_one_that_is_late_takes_nothing_new_until_it_is_in_time_again() -> None:
    world = World()
    world.lan("n1")
    lan = world.lans["n1"]
    lan.attach(lan.link)
    lan.adopt(Segment("uid", "lan", 1, (MemberList(("n1",), 1),)), quorum_read=True)
    world.advance(1_000 * MS)
    # Each wake of half a second comes 200 ms late.
    for _ in range(5):
        world.advance(100 * MS, late=200 * MS)
    lan.wish({VIP: ("n1",)})
    assert lan.owned == frozenset()
    world.advance(1_000 * MS)
    assert lan.owned == {VIP}


def test_the_kernel_is_asked_for_what_may_become_ours_and_for_what_is_still_ours() -> None:
    world = World()
    owner, other = world.join("n1", "n2")
    start = len(world.log)
    owner.wish({VIP: ("n2",), OTHER: ("n1", "n2")})
    listening = [what for _, node, what in world.after(start, "listen") if node == "n1"]
    assert listening == [{VIP, OTHER}] * 2  # frames and groups; VIP is answered until n2 has it
    world.advance(1_000 * MS)
    assert owner.owned == {OTHER}
    assert other.owned == {VIP}


def test_a_peer_is_reached_where_its_last_signed_datagram_came_from() -> None:
    world = World()
    one, two = world.join("n1", "n2")
    assert two.link is not None
    two.attach(replace(two.link, addresses=(ip_interface("192.0.2.77/24"),)))
    sent = len(world.log)
    ports = two._upstairs
    assert isinstance(ports, Ports)
    ports.number = 77
    world.advance(1_000 * MS)
    assert one.hears == ("n2",)
    assert {what[0] for _, node, what in world.after(sent, "datagram")[-10:] if node == "n1"} == {"192.0.2.77"}  # type: ignore[index]


def test_a_datagram_that_somebody_recorded_moves_no_peer() -> None:
    world = World()
    one, two = world.join("n1", "n2")
    recorded = two._upstairs.payloads[-1]  # type: ignore[attr-defined]
    one._received([(recorded, "192.0.2.66")])
    sent = len(world.log)
    world.advance(100 * MS)
    assert {what[0] for _, node, what in world.after(sent, "datagram") if node == "n1"} == {"192.0.2.2"}  # type: ignore[index]


def test_what_is_not_signed_with_our_key_is_not_heard() -> None:
    world = World()
    one, two = world.join("n1", "n2")
    foreign = HeartbeatKey(1, b"x" * 32)
    two._peers._keys = lambda: (foreign,)
    payloads = two._upstairs.payloads  # type: ignore[attr-defined]
    payloads.clear()
    # The wire's log can't read them; they arrive all the same.
    two._peers._send = lambda payload, _: one._received([(payload, "192.0.2.2")])
    world.advance(1_000 * MS)
    assert one.hears == ()
    assert one.owned == two.owned == frozenset()


def test_a_new_key_signs_once_every_live_peer_has_shown_it() -> None:
    world = World()
    one, two = world.join("n1", "n2")
    new = (HeartbeatKey(2, b"2" * 32), *KEYS)

    def key_of(lan: Lan) -> int:
        payloads: list[bytes] = lan._upstairs.payloads  # type: ignore[attr-defined]
        return payloads[-1][1]

    one._peers._keys = lambda: new
    world.advance(500 * MS)
    assert (key_of(one), key_of(two)) == (1, 1)
    two._peers._keys = lambda: new
    world.advance(500 * MS)
    assert (key_of(one), key_of(two)) == (2, 2)
    assert one.hears == ("n2",)


def test_an_interface_that_returns_joins_its_groups_again_and_announces_only_what_is_ours() -> None:
    world = World()
    owner, other = world.join("n1", "n2")
    world.advance(10_000 * MS)
    start = len(world.log)
    for lan in (owner, other):
        assert lan.link is not None
        lan.attach(replace(lan.link, carrier=False))
        lan.attach(replace(lan.link, returns=1, carrier=True))
    assert [node for _, node, _ in world.after(start, "rejoin")] == ["n1", "n2"]
    assert [node for _, node, _ in world.after(start, "frame")] == ["n1", "n1"]


def alone(world: World, **kwargs: Any) -> Lan:
    """The only member of a Segment, who votes and has an address to give."""
    lan = world.lan("n1", **kwargs)
    lan.attach(lan.link)
    lan.adopt(Segment("uid", "lan", 1, (MemberList(("n1",), 1),)), quorum_read=True)
    world.advance(1_000 * MS)
    lan.wish({VIP: ("n1",)})
    return lan


def claim(mac: bytes = b"\x02\0\0\0\0\xcc") -> memoryview:
    return memoryview(arp.gratuitous_reply(VIP, mac))


def test_a_first_use_is_told_only_when_nobody_answered_the_probes() -> None:
    world = World()
    lan = alone(world, first_use=lambda address: address == VIP)
    assert lan.owned == {VIP}
    world.advance(100 * MS)
    assert lan._answer(request(VIP)) is None
    assert world.after(0, "told") == []
    world.advance(100 * MS)
    assert lan._answer(request(VIP)) is not None
    assert world.after(0, "told") == [("told", "n1", ("Won", True))]


def test_a_conflict_is_told_at_once_and_defended_in_the_same_step() -> None:
    world = World()
    lan = alone(world)
    world.advance(10_000 * MS)
    start = len(world.log)
    assert lan._answer(claim()) is None
    told = ("lan", VIP, b"\x02\0\0\0\0\xcc", ConflictKind.FOREIGN)
    assert world.after(start, "conflict") == [("conflict", "n1", told)]
    assert len(world.after(start, "frame")) == 2
    assert lan._answer(claim()) is None
    assert len(world.after(start, "conflict", "frame")) == 3
    world.advance(60_000 * MS)
    assert world.after(start, "conflict over") == [("conflict over", "n1", ("lan", VIP))]


def test_a_members_hardware_address_is_known_from_where_it_is_reached() -> None:
    world = World()
    owner, _ = world.join("n1", "n2")
    owner.reach("n2", "192.0.2.2", "02:00:00:00:00:02")
    owner._answer(claim(b"\x02\0\0\0\0\2"))
    assert world.after(0, "conflict") == []
    owner.reach("n2", "", "")  # it is gone: whoever has its hardware address now is a stranger
    owner._answer(claim(b"\x02\0\0\0\0\2"))
    assert len(world.after(0, "conflict")) == 1


def test_while_a_quorum_is_missing_the_gateway_is_asked_each_period_and_seen_when_it_answers() -> None:
    world = World()
    gateway, mac = bytes((192, 0, 2, 254)), b"\x02\0\0\0\0\xfe"
    one, _ = world.join("n1", "n2")
    assert one.link is not None
    one.attach(replace(one.link, gateways=(ip_address("192.0.2.254"),)))
    world.cut = {"n2"}
    world.advance(400 * MS)
    assert one.member.seeks
    assert not one.sees_neighbours()
    start = len(world.log)
    world.advance(500 * MS)
    assert 9 <= len([node for _, node, _ in world.after(start, "frame") if node == "n1"]) <= 11
    one._answer(memoryview(arp.reply(gateway, mac, bytes((192, 0, 2, 1)), one.link.mac)))
    assert one.sees_neighbours()


def test_a_bug_is_told_though_what_is_left_to_do_meets_it_too(mocker: MockerFixture) -> None:
    """Else a silent LAN would stay one in a process that goes on."""
    world = World()
    (lan,) = world.join("n1")
    told = mocker.patch.object(lan._upstairs, "broken")
    for name in ("tick", "deadline"):
        mocker.patch.object(lan.member, name, side_effect=RuntimeError(f"a bug in {name}"))
    with pytest.raises(RuntimeError, match="a bug in deadline"):
        world.advance(100 * MS)
    (_, error), _ = told.call_args
    assert str(error) == "a bug in tick"


def test_a_bug_in_the_step_of_an_interface_that_goes_is_told(mocker: MockerFixture) -> None:
    world = World()
    (lan,) = world.join("n1")
    told = mocker.patch.object(lan._upstairs, "broken")
    mocker.patch.object(lan.member, "candidate", side_effect=RuntimeError("a bug"))
    lan._interface.close()
    lan._gone()
    told.assert_called_once()
