"""Who leads is written once per win, only by who still owns, and never over what somebody else wrote since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.errors import Unreachable
from lbprovider.speaker.reporter import WRITERS, Reporter
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

NAME = "192.0.2.100"


@dataclass
class World:
    """A reporter, its server, and what this node owns."""

    api: FakeApi = field(default_factory=FakeApi)
    owned: set[str] = field(default_factory=set)
    seen: dict[str, IPAllocation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reporter = Reporter(self.api, self.seen.get, wall=lambda: 1_767_225_600.0, rand=lambda: 0.5)
        self.allocate(NAME)

    def allocate(self, name: str) -> None:
        made = IPAllocation(metadata=ObjectMeta(name=name), spec=IPAllocationSpec(address=name, pool="pool"))
        self.seen[name] = self.api.write(ALLOCATIONS, made)

    def now(self, name: str = NAME) -> IPAllocation:
        return self.api.objects(ALLOCATIONS)[name]

    def win(self, name: str = NAME, *, mac: str = "02:00:00:00:00:01") -> None:
        self.owned.add(name)
        self.reporter.won(
            name, leader="n1", interface="eth0", mac=mac, reason="Unclaimed", message="n1 answers",
            owned=lambda: name in self.owned,
        )  # fmt: skip

    def lose(self, name: str = NAME) -> None:
        self.owned.discard(name)
        self.reporter.lost(name)

    def writes(self) -> list[Call]:
        return [call for call in self.api.calls if call.verb == "patch"]

    def another_owner(self) -> None:
        self.api.write(
            ALLOCATIONS, msgspec.structs.replace(self.now(), status=IPAllocationStatus(leader="n2", since="later"))
        )


def run(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main(_: Callable[[], float]) -> None:
        world = World()
        task = asyncio.get_running_loop().create_task(world.reporter.run())
        try:
            await story(world)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    virtual_time.run(main)


def test_a_win_is_one_write_with_all_that_an_admin_asks() -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        assert len(world.api.calls) == 1
        assert world.now().status == IPAllocationStatus(
            leader="n1",
            interface="eth0",
            mac="02:00:00:00:00:01",
            since="2026-01-01T00:00:00Z",
            conditions=(
                Condition(
                    type="Announced",
                    status="True",
                    reason="Unclaimed",
                    message="n1 answers",
                    last_transition_time="2026-01-01T00:00:00Z",
                    observed_generation=1,
                ),
            ),
        )

    run(story)


def test_losing_writes_nothing() -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        world.lose()
        await asyncio.sleep(60)
        assert len(world.api.calls) == 1

    run(story)


def test_what_was_lost_before_it_was_written_never_is() -> None:
    async def story(world: World) -> None:
        world.win()
        world.lose()
        await asyncio.sleep(60)
        assert world.api.calls == []

    run(story)


def test_a_write_that_comes_late_does_not_cover_the_next_owners() -> None:
    async def story(world: World) -> None:
        world.api.latency = 0.1
        world.win()
        await asyncio.sleep(0.05)
        world.another_owner()
        world.lose()
        await asyncio.sleep(60)
        assert world.now().status.leader == "n2"

    run(story)


def test_the_controllers_write_in_between_is_no_obstacle_and_nothing_of_it_is_lost() -> None:
    async def story(world: World) -> None:
        conflict = Condition(type="Conflict", status="False", reason="None", last_transition_time="earlier")
        changed = msgspec.structs.replace(
            world.now(),
            spec=msgspec.structs.replace(world.now().spec, nodes=("n1",)),
            status=IPAllocationStatus(conditions=(conflict,)),
        )
        world.api.write(ALLOCATIONS, changed)
        world.win()  # what was seen is older
        await asyncio.sleep(5)
        assert world.now().status.leader == "n1"
        assert world.now().spec.nodes == ("n1",)
        assert [one.type for one in world.now().status.conditions] == ["Conflict", "Announced"]
        assert [call.verb for call in world.api.calls] == ["patch", "get", "patch"]

    run(story)


def test_while_the_api_server_is_away_it_is_tried_more_and_more_seldom_and_then_written_once() -> None:
    async def story(world: World) -> None:
        world.api.fault = lambda _: Unreachable("refused")
        world.win()
        await asyncio.sleep(300)
        tries = len(world.api.calls)
        assert 10 < tries < 40
        world.api.fault = lambda _: None
        await asyncio.sleep(60)
        assert world.now().status.leader == "n1"
        assert sum(call.verb == "patch" for call in world.api.calls[tries:]) == 1

    run(story)


def test_it_stops_trying_once_the_address_is_lost() -> None:
    async def story(world: World) -> None:
        world.api.fault = lambda _: Unreachable("refused")
        world.win()
        await asyncio.sleep(10)
        world.lose()
        await asyncio.sleep(31)
        tries = len(world.api.calls)
        await asyncio.sleep(300)
        assert len(world.api.calls) == tries

    run(story)


def test_an_address_that_is_won_anew_is_written_as_it_was_won_last() -> None:
    async def story(world: World) -> None:
        world.api.latency = 0.1
        world.win()
        await asyncio.sleep(0.05)
        world.lose()
        world.win(mac="02:00:00:00:00:09")
        await asyncio.sleep(30)
        assert world.now().status.mac == "02:00:00:00:00:09"

    run(story)


def test_what_is_no_longer_ours_is_not_written_though_nobody_has_noticed_yet() -> None:
    async def story(world: World) -> None:
        world.win()
        world.owned.clear()
        await asyncio.sleep(60)
        assert world.api.calls == []

    run(story)


def test_a_try_that_was_put_off_does_not_come_back_with_what_is_no_longer_true() -> None:
    async def story(world: World) -> None:
        world.api.fault = lambda _: Unreachable("refused")
        world.win()
        await asyncio.sleep(0.01)
        world.api.fault = lambda _: None
        world.win(mac="02:00:00:00:00:09")
        await asyncio.sleep(60)
        assert world.now().status.mac == "02:00:00:00:00:09"
        assert len(world.writes()) == 2

    run(story)


def test_one_that_was_deleted_holds_up_no_other() -> None:
    async def story(world: World) -> None:
        world.allocate("192.0.2.101")
        world.api.remove(ALLOCATIONS, NAME)
        world.win()
        world.win("192.0.2.101")
        await asyncio.sleep(1)
        assert world.now("192.0.2.101").status.leader == "n1"
        assert len(world.writes()) == 2

    run(story)


def test_many_are_written_side_by_side_but_not_all_at_once() -> None:
    async def story(world: World) -> None:
        world.api.latency = 0.1
        for number in range(40):
            world.allocate(f"198.51.100.{number}")
            world.win(f"198.51.100.{number}")
        most = 0
        for _ in range(100):
            before = len(world.api.calls)
            await asyncio.sleep(0.1)
            most = max(most, len(world.api.calls) - before)
        assert len(world.writes()) == 40
        assert most == WRITERS

    run(story)
