"""What a Member may rely on while the snapshot is written, and where it can't be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lbprovider import telemetry
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.segment import Segment, SegmentSpec
from lbprovider.election.durable import NOTHING, Durable
from lbprovider.errors import HostError
from lbprovider.speaker.keeper import GAP, RETRY, SHARE, Keeper
from lbprovider.speaker.snapshot import Kept, Snapshot
from tests.fakes import virtual_time

LAN = "lan"


def holding(version: int, *, uid: str = "u", silence: int = 250, incarnation: int = 7) -> Snapshot:
    segment = Segment(metadata=ObjectMeta(name=LAN, uid=uid), spec=SegmentSpec(version=version))
    kept = (Kept(segment=segment, silence=silence),)
    return Snapshot(cluster="c", node="n1", incarnation=incarnation, segments=kept)


def durable(version: int, *, uid: str = "u", silence: int = 250) -> Durable:
    return Durable(uid, version, silence)


@dataclass(eq=False)
class World:
    """A disk that takes a second for anything, and what is to be kept on it."""

    clock: Callable[[], float]
    now: Snapshot = field(default_factory=lambda: holding(1))
    file: Snapshot | None = None
    unreadable: bool = False
    full: bool = False
    stuck: bool = False
    """Nothing can be removed."""
    broken: bool = False
    fsync: float = 1.0
    saves: int = 0
    voting: bool = False
    told: list[Durable | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keeper = self.start()

    def start(self) -> Keeper:
        """Another life."""
        self.keeper = Keeper(
            self,
            offload=self.offload,
            compose=lambda: self.now,
            voting=lambda _: self.voting,
            changed=lambda: self.told.append(self.keeper.limit(LAN)),
        )
        return self.keeper

    async def offload(self, call: Callable[[], Any]) -> Any:
        await asyncio.sleep(self.fsync)
        return call()

    def load(self) -> Snapshot | None:
        if self.unreadable:
            raise HostError("the snapshot is spoiled")
        return self.file

    def save(self, what: Snapshot) -> None:
        self.saves += 1
        if self.broken:
            raise ValueError("unwritable")
        if self.full:
            raise HostError("can't write the snapshot: No space left on device")
        self.file, self.unreadable = what, False

    def erase(self) -> None:
        if self.stuck:
            raise HostError("can't remove the snapshot: Read-only file system")
        self.file, self.unreadable = None, False

    @property
    def limit(self) -> Durable | None:
        return self.keeper.limit(LAN)


def state(world: World) -> tuple[Snapshot | None, Durable | None]:
    """What is on disk, and what may be relied on."""
    return world.file, world.limit


def run(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main(clock: Callable[[], float]) -> None:
        world = World(clock)
        await story(world)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    virtual_time.run(main)


def going(world: World) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(world.keeper.run())


def test_where_none_is_kept_nothing_is_limited_and_nothing_is_waited_for() -> None:
    async def story(world: World) -> None:
        keeper = Keeper(
            None, offload=world.offload, compose=lambda: world.now, voting=lambda _: True, changed=lambda: None
        )
        assert await keeper.load("n1") is None
        await keeper.reserve(7, pytest.fail)
        keeper.touch(urgent=True)
        assert keeper.limit(LAN) is None
        assert world.clock() == 0

    run(story)


def test_before_the_first_write_nothing_is_limited_and_from_its_beginning_it_is() -> None:
    async def story(world: World) -> None:
        assert await world.keeper.load("n1") is None
        await world.keeper.reserve(7, pytest.fail)
        assert world.limit is None
        going(world)
        await asyncio.sleep(0.5)
        assert state(world) == (None, durable(1))
        assert world.keeper.limit("another") == NOTHING
        await asyncio.sleep(1)
        assert state(world) == (world.now, durable(1))
        assert world.told == [durable(1)] * 2

    run(story)


def test_while_a_write_is_under_way_only_what_old_and_new_say_is_sure() -> None:
    async def story(world: World) -> None:
        going(world)
        await asyncio.sleep(3)
        world.voting = True
        world.now = holding(2, silence=100)
        world.keeper.touch(urgent=True)
        await asyncio.sleep(0.5)
        assert world.limit == durable(1, silence=100)
        await asyncio.sleep(1)
        assert world.limit == durable(2, silence=100)
        world.now = holding(1, uid="anew")
        world.keeper.touch(urgent=True)
        await asyncio.sleep(0.5)
        assert world.limit == NOTHING
        await asyncio.sleep(1)
        assert world.limit == durable(1, uid="anew")

    run(story)


def test_what_is_written_is_never_less_than_what_a_former_life_left() -> None:
    async def story(world: World) -> None:
        world.file = holding(5, silence=500)
        world.start()
        assert await world.keeper.load("n1") == holding(5, silence=500)
        world.now = holding(4, incarnation=8)
        await world.keeper.reserve(8, pytest.fail)
        assert world.file == holding(5, silence=500, incarnation=8)
        world.voting = True
        going(world)
        await asyncio.sleep(3)
        assert world.file == holding(5, silence=250, incarnation=8)

    run(story)


def test_a_disk_that_is_full_leaves_no_old_snapshot_and_limits_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World) -> None:
        going(world)
        await asyncio.sleep(3)
        world.full = True
        world.now = holding(2)
        world.keeper.touch(urgent=True)
        await asyncio.sleep(10 * RETRY)
        assert state(world) == (None, None)
        assert world.saves <= 12
        world.full = False
        await asyncio.sleep(2 * RETRY)
        assert state(world) == (holding(2), durable(2))

    run(story)
    said = capsys.readouterr().out
    assert said.count("No space left on device") == 1
    assert "a restart of this speaker won't vote" in said
    assert said.count("the snapshot is written again") == 1


def test_what_can_be_neither_written_nor_removed_stays_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World) -> None:
        going(world)
        await asyncio.sleep(3)
        world.full = world.stuck = True
        world.now = holding(2)
        world.keeper.touch(urgent=True)
        await asyncio.sleep(10 * RETRY)
        assert state(world) == (holding(1), durable(1))
        world.stuck = False
        await asyncio.sleep(2 * RETRY)
        assert state(world) == (None, None)

    run(story)
    assert capsys.readouterr().out.count("members can't change on this node's word") == 1


def test_one_that_can_not_be_read_is_replaced_before_anything_is_relied_on(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World) -> None:
        world.unreadable = True
        assert await world.keeper.load("n1") is None
        assert world.limit == NOTHING
        await world.keeper.reserve(7, pytest.fail)
        assert state(world) == (world.now, durable(1))

    run(story)
    assert "the snapshot is spoiled; starting as if there were none" in capsys.readouterr().out


def test_one_of_another_node_is_replaced_too(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World) -> None:
        world.file = holding(9)
        assert await world.keeper.load("n2") is None
        assert world.limit == NOTHING
        await world.keeper.reserve(7, pytest.fail)
        assert world.file == holding(1)

    run(story)
    assert "the snapshot is of node n1, this is n2" in capsys.readouterr().out


def test_no_incarnation_is_used_that_a_later_life_could_take_again() -> None:
    async def story(world: World) -> None:
        world.file = holding(1, incarnation=6)
        await world.keeper.load("n1")
        world.full = world.stuck = True
        waits: list[str] = []
        reserved = asyncio.get_running_loop().create_task(world.keeper.reserve(7, waits.append))
        await asyncio.sleep(3 * RETRY)
        assert not reserved.done()
        assert "No space left on device" in waits[-1]
        world.stuck = False
        await asyncio.sleep(2 * RETRY)
        assert reserved.done(), "none is there, so none is taken again"
        assert state(world) == (None, None)

    run(story)


def test_a_disk_that_hangs_holds_up_who_has_an_old_snapshot_on_it_and_nobody_else() -> None:
    async def story(world: World) -> None:
        world.fsync = 3600
        await world.keeper.reserve(7, pytest.fail)
        going(world)
        await asyncio.sleep(60)
        assert world.limit == durable(1), "as much as is being written may be said"
        world.keeper = world.start()
        world.fsync = 0
        world.file = holding(1, incarnation=6)
        await world.keeper.load("n1")
        world.fsync = 3600
        reserved = asyncio.get_running_loop().create_task(world.keeper.reserve(7, pytest.fail))
        await asyncio.sleep(60)
        assert not reserved.done()

    run(story)


def test_changes_are_gathered_and_a_disk_is_not_kept_busy() -> None:
    async def story(world: World) -> None:
        world.fsync = 0.001
        going(world)
        await asyncio.sleep(3)
        before = world.saves
        for number in range(100):
            world.now = replace(world.now, incarnation=number)
            world.keeper.touch()
            await asyncio.sleep(0.1)
        assert 8 <= world.saves - before <= 10 / GAP + 1
        world.fsync = 2
        world.keeper.touch(urgent=True)
        await asyncio.sleep(3)
        before = world.saves
        for _ in range(100):
            world.keeper.touch()
            await asyncio.sleep(1)
        assert 3 <= world.saves - before <= 100 / (SHARE * 2) + 1

    run(story)


def test_a_bug_costs_the_snapshot_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    async def story(world: World) -> None:
        running = going(world)
        await asyncio.sleep(3)
        assert telemetry.SNAPSHOT._value.get() == 1
        world.broken = True
        world.keeper.touch(urgent=True)
        await asyncio.sleep(3)
        assert not running.done()
        assert state(world) == (None, None)
        assert telemetry.SNAPSHOT._value.get() == 0

    run(story)
    assert "a bug in lbprovider keeps the snapshot from being read or written: ValueError" in capsys.readouterr().out


def test_once_removed_it_is_not_written_again() -> None:
    async def story(world: World) -> None:
        going(world)
        await asyncio.sleep(3)
        await world.keeper.remove()
        world.keeper.touch(urgent=True)
        await asyncio.sleep(10)
        assert world.file is None

    run(story)
