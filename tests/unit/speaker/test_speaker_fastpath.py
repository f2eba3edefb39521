"""What the kernel answers, and until when, as the Member lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from pytest_mock import MockerFixture

from lbprovider import telemetry
from lbprovider.api import names
from lbprovider.api.core import Node
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import NODES
from lbprovider.errors import HostError
from lbprovider.net.links import Link
from lbprovider.speaker.fastpath import KernelAnswers
from lbprovider.speaker.peers import Peers
from lbprovider.wire import arp, ethernet
from lbprovider.wire.heartbeat import Delta, Heartbeat
from tests.fakes.fast_path import FakeFastPath
from tests.unit.speaker.bench import VIP, Bench, run

MS = 1_000_000
NOW = 1_000_000 * MS
OURS, OTHER = bytes((192, 0, 2, 100)), bytes((192, 0, 2, 101))
LINK = Link(name="eth0", index=1, mac=bytes.fromhex("020000000011"), up=True, carrier=True)
ANOTHER_MAC = bytes.fromhex("0200000000aa")


@dataclass
class Promises:
    """A Member's word."""

    epoch: int = 0
    until: dict[bytes, int] = field(default_factory=dict)
    asked: int = 0

    def deadlines(self) -> Mapping[bytes, int]:
        self.asked += 1
        return dict(self.until)


class Kernel:
    """Opens fast paths, or refuses to."""

    def __init__(self, refuses: str = "") -> None:
        self.paths: list[FakeFastPath] = []
        self.tried = 0
        self._refuses = refuses

    def open(self, link: Link) -> FakeFastPath:
        self.tried += 1
        if self._refuses:
            raise HostError(self._refuses)
        self.paths.append(FakeFastPath(link, lambda: NOW))
        return self.paths[-1]


@dataclass
class Scene:
    kernel: Kernel = field(default_factory=Kernel)
    promises: Promises = field(default_factory=Promises)
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answers = KernelAnswers(self.promises, self.kernel.open, lambda error: self.troubles.append(str(error)))

    @property
    def held(self) -> dict[bytes, int]:
        return self.kernel.paths[-1].deadlines


def _question(target: bytes) -> bytes:
    asker = bytes.fromhex("0200000000cc")
    head = (ethernet.BROADCAST, asker, ethernet.ARP, arp.REQUEST_HEAD)
    return arp.FRAME.pack(*head, asker, bytes((192, 0, 2, 9)), arp.NOBODY, target)


def test_what_is_won_is_held_until_its_deadline_and_what_is_lost_is_not() -> None:
    scene = Scene()
    scene.promises.until = {OURS: NOW + 245 * MS, OTHER: NOW + 245 * MS}
    scene.answers.link(LINK)
    scene.answers.hold(OURS, LINK.mac)
    scene.answers.step(NOW)
    assert scene.held == {OURS: NOW + 245 * MS}
    reply = scene.kernel.paths[0].ask(_question(OURS))
    assert reply is not None
    assert reply[6:12] == LINK.mac
    scene.answers.hold(OURS, ANOTHER_MAC)
    scene.answers.step(NOW)
    reply = scene.kernel.paths[0].ask(_question(OURS))
    assert reply is not None
    assert reply[6:12] == ANOTHER_MAC
    scene.answers.drop(OURS)
    assert scene.held == {}


def test_deadlines_follow_the_heartbeats_with_few_refreshes() -> None:
    scene = Scene()
    scene.answers.link(LINK)
    scene.promises.until = {OURS: NOW + 245 * MS}
    scene.answers.hold(OURS, LINK.mac)
    for step in range(0, 1000, 5):  # many datagrams: several of each heartbeat, of each peer
        heartbeat = NOW + step // 50 * 50 * MS
        scene.promises.until = {OURS: heartbeat + 245 * MS}
        scene.answers.step(NOW + step * MS)
        assert scene.held[OURS] <= scene.promises.until[OURS]
        assert scene.held[OURS] >= NOW + step * MS + 100 * MS
    assert scene.promises.asked <= 25


def test_a_deadline_that_may_have_come_nearer_is_refreshed_in_that_very_step() -> None:
    scene = Scene()
    scene.answers.link(LINK)
    scene.promises.until = {OURS: NOW + 245 * MS}
    scene.answers.hold(OURS, LINK.mac)
    scene.answers.step(NOW)
    scene.promises.until, scene.promises.epoch = {OURS: NOW + 30 * MS}, 1
    scene.answers.step(NOW + 1)
    assert scene.held == {OURS: NOW + 30 * MS}


def test_what_is_owned_but_not_held_stays_out() -> None:
    scene = Scene()
    scene.answers.link(LINK)
    scene.promises.until = {OURS: NOW + 245 * MS}  # won, and probed for: it isn't answered yet
    scene.answers.step(NOW)
    assert scene.held == {}


def test_where_the_kernel_cannot_it_is_said_once_and_nothing_else_happens() -> None:
    scene = Scene(Kernel("no fast path on eth0: no permission"))
    for _ in range(3):
        scene.answers.link(LINK)
        scene.answers.hold(OURS, LINK.mac)
        scene.answers.step(NOW)
        scene.answers.drop(OURS)
    scene.answers.link(None)
    scene.answers.link(LINK)
    scene.answers.publish()
    scene.answers.close()
    assert scene.troubles == ["no fast path on eth0: no permission"]
    assert scene.kernel.tried == 1
    scene.answers.link(replace(LINK, index=2))
    assert scene.kernel.tried == 2


def test_off_is_off() -> None:
    answers = KernelAnswers(Promises(), None, lambda error: pytest.fail(str(error)))
    answers.link(LINK)
    answers.hold(OURS, LINK.mac)
    answers.step(NOW)
    answers.publish()
    answers.close()


def test_another_interface_is_another_kernel_table() -> None:
    scene = Scene()
    scene.promises.until = {OURS: NOW + 245 * MS}
    scene.answers.link(LINK)
    scene.answers.hold(OURS, LINK.mac)
    scene.answers.link(replace(LINK, up=False, carrier=False))
    assert [each.closed for each in scene.kernel.paths] == [False]
    scene.answers.link(replace(LINK, index=2))
    assert [each.closed for each in scene.kernel.paths] == [True, False]
    assert scene.held == {}
    scene.answers.link(None)
    assert [each.closed for each in scene.kernel.paths] == [True, True]
    scene.answers.link(replace(LINK, index=2))
    assert [each.closed for each in scene.kernel.paths] == [True, True, False]


def test_no_room_is_trouble_and_no_end(mocker: MockerFixture) -> None:
    scene = Scene()
    scene.answers.link(LINK)
    mocker.patch.object(scene.kernel.paths[0], "hold", side_effect=HostError("no room"))
    scene.answers.hold(OURS, LINK.mac)
    assert scene.troubles == ["no room"]


def test_answers_become_metrics_and_none_is_counted_twice() -> None:
    def counted() -> float:
        return telemetry.REGISTRY.get_sample_value("lbprovider_kernel_answers_total", {"family": "IPv4"}) or 0

    scene = Scene()
    scene.promises.until = {OURS: NOW + 245 * MS}
    before = counted()
    for index in (1, 2):
        scene.answers.link(replace(LINK, index=index))
        scene.answers.hold(OURS, LINK.mac)
        scene.answers.step(NOW)
        scene.kernel.paths[-1].ask(_question(OURS))
        scene.answers.publish()
        scene.answers.publish()
        scene.kernel.paths[-1].ask(_question(OURS))
    scene.answers.close()
    assert counted() - before == 4


# --- whole speakers


class Table(FakeFastPath):
    """A kernel's table that remembers the latest deadline it was ever given: until then a node that is stopped at any
    moment may go on answering."""

    def __init__(self, link: Link, bench: Bench, others: list[Table]) -> None:
        super().__init__(link, bench.now)
        self.bench, self.others = bench, others
        self.latest: dict[bytes, int] = {}
        self.first: dict[bytes, int] = {}

    def hold(self, address: bytes, mac: bytes, deadline: int) -> None:
        super().hold(address, mac, deadline)
        self.first.setdefault(address, self.bench.now())
        self.latest[address] = max(deadline, self.latest.get(address, 0))

    def refresh(self, deadlines: Mapping[bytes, int]) -> None:
        super().refresh(deadlines)
        for address, deadline in self.deadlines.items():
            self.latest[address] = max(deadline, self.latest[address])


def _kernels(bench: Bench) -> list[Table]:
    made: list[Table] = []

    def open_path(link: Link) -> Table:
        made.append(Table(link, bench, made))
        return made[-1]

    bench.open_fast_path = open_path
    return made


def test_whatever_becomes_of_an_owner_its_kernel_is_silent_before_the_next_one_answers() -> None:
    async def story(bench: Bench) -> None:
        kernels = _kernels(bench)
        await bench.three()
        leader = await bench.led()
        for _ in range(400):
            await asyncio.sleep(0.001)
        (old,) = [each for each in kernels if each.ask(_question(VIP.packed))]
        assert old.deadlines[VIP.packed] > bench.now()
        assert len(await bench.ask()) == 1
        await bench.nodes.pop(leader).kill()
        await bench.until(lambda: any(VIP.packed in each.deadlines for each in kernels if each is not old))
        (new,) = [each for each in kernels if VIP.packed in each.deadlines and each is not old]
        assert old.latest[VIP.packed] <= new.first[VIP.packed] <= bench.now()
        assert new.ask(_question(VIP.packed)) is not None

    run(story)


def test_a_planned_move_takes_it_out_of_one_kernel_and_into_another() -> None:
    async def story(bench: Bench) -> None:
        kernels = _kernels(bench)
        await bench.three()
        leader = await bench.led()
        old = next(each for each in kernels if VIP.packed in each.deadlines)
        bench.api.write(NODES, Node(metadata=ObjectMeta(name=leader, labels={names.EXCLUDE_NODE_LABEL: ""})))
        await bench.until(lambda: VIP.packed not in old.deadlines)
        assert sum(each.ask(_question(VIP.packed)) is not None for each in kernels) == 1
        assert old.ask(_question(VIP.packed)) is None

    run(story)


def test_a_speaker_that_ends_leaves_nothing_behind() -> None:
    async def story(bench: Bench) -> None:
        kernels = _kernels(bench)
        await bench.three()
        leader = await bench.led()
        old = next(each for each in kernels if VIP.packed in each.deadlines)
        bench.nodes[leader].stop.set()
        await bench.until(bench.nodes[leader].task.done)
        assert old.closed

    run(story)


def test_the_kernel_is_silent_before_others_are_told_that_an_address_was_dropped(mocker: MockerFixture) -> None:
    told: list[bool] = []
    send = Peers.send

    async def story(bench: Bench) -> None:
        kernels = _kernels(bench)
        await bench.three()
        leader = await bench.led()
        old = next(each for each in kernels if VIP.packed in each.deadlines)

        def sent(self: Peers, node: str, beat: Heartbeat, hears: tuple[str, ...]) -> None:
            news = beat.changes.versions if isinstance(beat.changes, Delta) else ()
            dropped = any(each.address == VIP.packed and not each.since for version in news for each in version)
            if beat.node == leader and dropped:
                told.append(VIP.packed in old.deadlines)
            send(self, node, beat, hears)

        mocker.patch.object(Peers, "send", sent)
        bench.api.write(NODES, Node(metadata=ObjectMeta(name=leader, labels={names.EXCLUDE_NODE_LABEL: ""})))
        await bench.until(lambda: told)

    run(story)
    assert told[0] is False
