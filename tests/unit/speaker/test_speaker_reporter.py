"""Who leads is written once per win, only by who still owns, and never over what somebody else wrote since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from lbprovider.api.allocation import IneligibleNodes, IPAllocation, IPAllocationSpec, IPAllocationStatus
from lbprovider.api.conditions import FOREIGN_ANNOUNCEMENT, PROBE_ANSWERED
from lbprovider.api.core import Node
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.registration import Registration
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.election.outcome import Cause, Won, WonReason
from lbprovider.election.placement import Placement, Reason
from lbprovider.errors import Unreachable
from lbprovider.speaker.reporter import GIVEN_UP, PORTION, WRITERS, Reporter
from lbprovider.speaker.telling import Kind
from lbprovider.telemetry import REGISTRY
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

NAME = "192.0.2.100"
THEIRS = "02:00:00:00:00:ee"
MS = 1_000_000
ANSWERED = f"{THEIRS} answers for {NAME}"


@dataclass
class World:
    """A reporter, its server, and what this node owns."""

    api: FakeApi = field(default_factory=FakeApi)
    owned: set[str] = field(default_factory=set)
    seen: dict[str, IPAllocation] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    placed: Placement = field(default_factory=Placement)
    told: list[tuple[str, Kind, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reporter = Reporter(
            self.api, self, node="n1", teller=self, wall=lambda: 1_767_225_600.0, rand=lambda: 0.5
        )  # fmt: skip
        self.allocate(NAME)

    # What the reporter knows, and whom it tells.

    def allocation(self, name: str) -> IPAllocation | None:
        return self.seen.get(name)

    def placement(self, _: str) -> Placement:
        return self.placed

    def node(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def registrations(self) -> Mapping[str, Registration]:
        return {}

    def of_address(self, allocation: IPAllocation, kind: Kind, reason: str, message: str) -> None:
        self.told.append((allocation.metadata.name, kind, reason, message))

    # What happens.

    def allocate(self, name: str) -> None:
        made = IPAllocation(metadata=ObjectMeta(name=name), spec=IPAllocationSpec(address=name, pool="pool"))
        self.seen[name] = self.api.write(ALLOCATIONS, made)

    def now(self, name: str = NAME) -> IPAllocation:
        return self.api.objects(ALLOCATIONS)[name]

    def win(
        self,
        name: str = NAME,
        *,
        mac: str = "02:00:00:00:00:01",
        of: str = "",
        cause: Cause = Cause.NONE,
        outage: int = 0,
    ) -> None:
        self.owned.add(name)
        change = Won(ip_address(name).packed, WonReason.UNCLAIMED, predecessor=of, cause=cause, outage=outage)
        self.reporter.won(
            name, change, segment="lan", interface="eth0", mac=mac, heard=False, owned=lambda: name in self.owned
        )

    def clash(self, reason: str, message: str = ANSWERED, mac: str = THEIRS) -> None:
        self.reporter.conflict(NAME, reason, mac, message, owned=lambda: NAME in self.owned)

    def conditions(self, name: str = NAME) -> dict[str, str]:
        """The reason of each condition, with ``!`` before it where it is not True."""
        every = self.now(name).status.conditions
        return {one.type: one.reason if one.status == "True" else f"!{one.reason}" for one in every}

    def lose(self, name: str = NAME, *, given_up: bool = False) -> None:
        self.owned.discard(name)
        self.reporter.lost(name, given_up=given_up)

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
        world.placed = Placement(
            ("n1", "n2"),
            {"n3": Reason.NODE_EXCLUDED, "n4": Reason.NOT_ON_SEGMENT, "n5": Reason.NODE_EXCLUDED},
        )
        world.win()
        await asyncio.sleep(1)
        assert len(world.api.calls) == 1
        assert world.now().status == IPAllocationStatus(
            leader="n1",
            interface="eth0",
            mac="02:00:00:00:00:01",
            since="2026-01-01T00:00:00Z",
            eligible=2,
            ineligible=(
                IneligibleNodes(reason="NodeExcluded", nodes=2),
                IneligibleNodes(reason="NotOnSegment", nodes=1),
            ),
            conditions=(
                Condition(
                    type="Announced",
                    status="True",
                    reason="Unclaimed",
                    message="n1 answers on eth0 with 02:00:00:00:00:01: no node had it",
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


def outage() -> float:
    return REGISTRY.get_sample_value("lbprovider_address_outage_seconds_sum") or 0


def test_a_failover_is_told_with_its_cause_and_how_long_nobody_answered_at_most() -> None:
    def moves() -> float:
        return REGISTRY.get_sample_value("lbprovider_address_moves_total", {"cause": "NodeDead"}) or 0

    async def story(world: World) -> None:
        before = moves(), outage()
        world.win(of="n2", cause=Cause.NODE_SILENT, outage=243 * MS - 1)  # there is no Node n2
        await asyncio.sleep(1)
        message = (
            "n1 answers on eth0 with 02:00:00:00:00:01: n2 was heard no longer, and its Node is gone or not ready; "
            "unanswered for at most 243 ms"
        )
        assert world.told == [(NAME, "Warning", "NodeDead", message)]
        assert (world.conditions(), world.now().status.conditions[0].message) == ({"Announced": "NodeDead"}, message)
        assert moves() == before[0] + 1
        assert outage() == pytest.approx(before[1] + 0.243)

    run(story)


def test_what_is_not_written_is_not_told() -> None:
    async def story(world: World) -> None:
        world.api.fault = lambda _: Unreachable("refused")
        world.win()
        await asyncio.sleep(10)
        world.lose()
        world.api.fault = lambda _: None
        await asyncio.sleep(60)
        assert world.told == []

    run(story)


def test_a_probe_that_was_answered_is_said_and_nobody_leads() -> None:
    async def story(world: World) -> None:
        world.clash(PROBE_ANSWERED)
        world.clash(PROBE_ANSWERED)
        await asyncio.sleep(1)
        assert world.conditions() == {"Conflict": PROBE_ANSWERED, "Announced": f"!{PROBE_ANSWERED}"}
        assert (world.now().status.leader, world.now().status.conflict_mac) == ("", THEIRS)
        assert world.told == [(NAME, "Warning", PROBE_ANSWERED, ANSWERED)]
        assert len(world.writes()) == 1

    run(story)


def test_a_probe_that_was_answered_is_said_even_where_the_address_is_lost_by_it() -> None:
    async def story(world: World) -> None:
        world.clash(PROBE_ANSWERED)
        world.lose()
        await asyncio.sleep(1)
        assert world.conditions()["Conflict"] == PROBE_ANSWERED

    run(story)


def test_a_probe_says_nothing_of_an_address_that_another_node_has_announced_since() -> None:
    async def story(world: World) -> None:
        world.api.latency = 0.1
        world.clash(PROBE_ANSWERED)
        await asyncio.sleep(0.05)
        world.another_owner()
        await asyncio.sleep(60)
        assert world.conditions() == {}
        assert world.told == []

    run(story)


def test_a_foreign_announcement_is_said_beside_who_leads_and_taken_back_when_it_is_over() -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        world.seen[NAME] = world.now()
        world.clash(FOREIGN_ANNOUNCEMENT)
        await asyncio.sleep(1)
        assert world.conditions() == {"Announced": "Unclaimed", "Conflict": FOREIGN_ANNOUNCEMENT}
        assert world.now().status.leader == "n1"
        world.reporter.conflict_over(NAME, owned=lambda: True)
        world.reporter.conflict_over(NAME, owned=lambda: True)
        await asyncio.sleep(1)
        assert (world.conditions()["Conflict"], world.now().status.conflict_mac) == ("!NotSeen", "")
        assert len(world.writes()) == 3
        assert [told[2] for told in world.told] == ["Unclaimed", FOREIGN_ANNOUNCEMENT]

    run(story)


def test_a_conflict_that_comes_before_the_win_is_written_is_one_write_with_it() -> None:
    async def story(world: World) -> None:
        world.win()
        world.clash(FOREIGN_ANNOUNCEMENT)
        await asyncio.sleep(1)
        assert world.conditions() == {"Announced": "Unclaimed", "Conflict": FOREIGN_ANNOUNCEMENT}
        assert len(world.writes()) == 1

    run(story)


def test_a_foreign_announcement_of_what_is_no_longer_ours_is_the_next_owners_to_say() -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        world.clash(FOREIGN_ANNOUNCEMENT)
        world.lose()
        await asyncio.sleep(60)
        assert "Conflict" not in world.conditions()

    run(story)


def test_whoever_wins_starts_without_the_conflicts_of_others() -> None:
    async def story(world: World) -> None:
        world.clash(PROBE_ANSWERED)
        await asyncio.sleep(1)
        world.seen[NAME] = world.now()
        world.win()
        await asyncio.sleep(1)
        assert world.conditions() == {"Conflict": "!NotSeen", "Announced": "Unclaimed"}

    run(story)


WITHOUT = Placement((), {"n1": Reason.NO_LOCAL_ENDPOINT, "n2": Reason.NO_LOCAL_ENDPOINT, "n3": Reason.NODE_EXCLUDED})


def test_an_address_that_is_given_up_for_lack_of_endpoints_says_so() -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        world.placed = WITHOUT
        world.lose(given_up=True)
        await asyncio.sleep(GIVEN_UP / 2)
        assert len(world.writes()) == 1
        await asyncio.sleep(GIVEN_UP)
        assert world.conditions() == {"Announced": "!NoEndpoints"}
        assert (world.now().status.leader, world.now().status.eligible) == ("n1", 0)
        assert world.now().status.ineligible == (
            IneligibleNodes(reason="NodeExcluded", nodes=1), IneligibleNodes(reason="NoLocalEndpoint", nodes=2),
        )  # fmt: skip
        assert [told[2] for told in world.told] == ["Unclaimed", "NoEndpoints"]
        world.seen[NAME] = world.now()
        world.placed = Placement(("n1",))
        before = outage()
        world.win(of="n1", outage=3_600_000 * MS)
        await asyncio.sleep(1)
        assert world.conditions() == {"Announced": "Regained"}
        assert outage() == before, "nobody should have answered"

    run(story)


@pytest.mark.parametrize(
    "placed",
    [Placement(("n2",)), Placement((), {"n1": Reason.NODE_EXCLUDED}), Placement()],
    ids=["n2 may", "no", "gone"],
)
def test_what_is_given_up_for_another_reason_is_others_to_say(placed: Placement) -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        world.placed = placed
        world.lose(given_up=True)
        await asyncio.sleep(60)
        assert len(world.writes()) == 1

    run(story)


def test_what_somebody_leads_meanwhile_is_not_said_to_be_led_by_nobody() -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        world.placed = WITHOUT
        world.lose(given_up=True)
        world.another_owner()
        await asyncio.sleep(60)
        assert world.now().status.leader == "n2"
        assert len(world.writes()) == 1

    run(story)


def test_what_is_ours_again_meanwhile_is_not_said_to_be_led_by_nobody() -> None:
    async def story(world: World) -> None:
        world.win()
        await asyncio.sleep(1)
        world.lose(given_up=True)
        world.placed = Placement(("n1",))
        world.seen[NAME] = world.now()
        world.win(of="n1")
        await asyncio.sleep(60)
        assert world.conditions() == {"Announced": "Regained"}

    run(story)


def test_a_thousand_wins_hold_up_nobody_and_each_is_told_in_the_end() -> None:
    async def story(world: World) -> None:
        names = [f"198.51.{number // 250}.{number % 250}" for number in range(1000)]
        for name in names:
            world.allocate(name)
        world.api.latency = 0.1
        placements = 0

        def placement(_: str) -> Placement:
            nonlocal placements
            placements += 1
            return Placement(("n1",))

        world.placement = placement  # type: ignore[method-assign]
        for name in names:
            world.win(name, of="n2", cause=Cause.NODE_SILENT)
        assert placements == 0, "the step that won them has other things to do"
        most = 0
        while placements < len(names):
            before = placements
            await asyncio.sleep(0)
            most = max(most, placements - before)
        assert most <= PORTION + WRITERS
        await asyncio.sleep(60)
        assert sorted(told[0] for told in world.told) == sorted(names)

    run(story)


def test_what_is_lost_before_it_was_looked_at_is_as_if_it_had_never_been_won() -> None:
    async def story(world: World) -> None:
        for _ in range(3):
            world.win()
            world.lose()
        await asyncio.sleep(1)
        assert world.api.calls == []
        assert world.told == []

    run(story)
