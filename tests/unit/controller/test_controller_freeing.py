from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.controller.freeing import COOLED_AT_ONCE, KEPT, Freeing
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.tasks import beside
from lbprovider.controller.writer import Urgency
from lbprovider.errors import ClusterError, Conflict, Forbidden, Invalid, Overloaded, Unreachable
from tests.fakes import virtual_time
from tests.fakes.api_server import Call
from tests.unit.controller.controller_world import World, settle
from tests.unit.controller.controller_world import run as virtual


def test_each_freed_address_has_one_asked_of_those_who_would_gain_by_it(mocker: MockerFixture) -> None:
    async def main(_: Callable[[], float]) -> None:
        decisions: Any = mocker.Mock(waiting=dict.fromkeys(["a", "b", "c", "d"]))
        decisions.would_gain.side_effect = lambda key: key != "a"
        queue: Any = mocker.Mock()
        freeing = Freeing(Inventory(), mocker.Mock(), mocker.Mock(), decisions, queue)
        async with beside(freeing.hand_on()):
            await settle()
            assert queue.add.mock_calls == []
            freeing.freed()
            freeing.freed()
            await settle()
        assert queue.add.mock_calls == [mocker.call("b", Urgency.CHANGED), mocker.call("c", Urgency.CHANGED)]

    virtual_time.run(main)


def test_who_was_asked_is_not_asked_again_and_the_next_one_is_where_it_took_nothing(mocker: MockerFixture) -> None:
    # Two controllers: each asked the oldest for each of two, and the addresses that nobody took were overlooked.
    async def main(_: Callable[[], float]) -> None:
        decisions: Any = mocker.Mock(waiting=dict.fromkeys(["a", "b", "c", "d"]))
        queue: Any = mocker.Mock()
        freeing = Freeing(Inventory(), mocker.Mock(), mocker.Mock(), decisions, queue)

        def asked() -> list[str]:
            names = [call.args[0] for call in queue.add.mock_calls]
            queue.reset_mock()
            return names

        async with beside(freeing.hand_on()):
            freeing.freed()
            await settle()
            assert asked() == ["a"]
            freeing.freed()
            await settle()
            assert asked() == ["b"]  # a takes one only
            freeing.worked_on("b", took=True)
            freeing.worked_on("d", took=False)  # which nobody asked
            await settle()
            assert asked() == []
            freeing.worked_on("a", took=False)  # it is gone, say, which our watch has yet to tell: asked, it would loop
            await settle()
            assert asked() == ["b"]
            freeing.freed()
            await settle()
            assert asked() == ["a"]

    virtual_time.run(main)


def test_one_that_is_put_off_is_not_waited_for(mocker: MockerFixture) -> None:
    async def main(_: Callable[[], float]) -> None:
        decisions: Any = mocker.Mock(waiting=dict.fromkeys(["a", "b", "c"]))
        queue: Any = mocker.Mock()
        queue.add.side_effect = lambda key, _: key != "a"
        freeing = Freeing(Inventory(), mocker.Mock(), mocker.Mock(), decisions, queue)
        async with beside(freeing.hand_on()):
            freeing.freed()
            await settle()
        assert [call.args[0] for call in queue.add.mock_calls] == ["a", "b"]

    virtual_time.run(main)


OVER = "2020-01-01T00:00:00Z"


def cooled(world: World, number: int) -> None:
    for each in range(number):
        address = f"192.0.2.{each}"
        spec = IPAllocationSpec(address=address, pool="lan", released_at=OVER)
        world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=address), spec=spec))


def test_all_that_cooled_down_is_freed_at_once_where_nobody_waits() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24", reuse_after="1m")
        cooled(world, 200)
        async with world.controller():
            await settle(2)
            assert world.held() == {}

    virtual(story)


def test_services_that_come_and_go_have_the_api_server_first() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24", reuse_after="1m")
        cooled(world, 200)
        world.api.latency = 0.01

        def busy(call: Call) -> ClusterError | None:
            return Overloaded("busy", status=429) if call.plural == "services" and call.verb == "patch" else None

        world.api.fault = busy
        async with world.controller():
            world.service()
            await settle(3.5)
            freed = sum("delete" in write for write in world.writes("ipallocations"))
            assert COOLED_AT_ONCE <= freed <= 4 * COOLED_AT_ONCE

    virtual(story)


@pytest.mark.parametrize("refused", [Invalid("a policy says no", status=422), Forbidden("no"), Conflict("again")])
def test_one_that_can_not_be_freed_keeps_no_other(refused: ClusterError) -> None:
    """More than are tried in one look while others wait; they are the first in order."""

    async def story(world: World) -> None:
        world.pool("192.0.2.0/24", reuse_after="1m")
        cooled(world, 60)
        stuck = {f"192.0.2.{number}" for number in range(20)}

        def fault(call: Call) -> ClusterError | None:
            return refused if call.verb == "delete" and call.name in stuck else None

        world.api.fault = fault
        async with world.controller():
            await settle(10)
            assert world.held().keys() == stuck
            assert sum(call.verb == "delete" for call in world.api.calls if call.name == "192.0.2.0") <= 4  # ATTEMPTS
            world.api.fault = lambda _: None
            await settle(60)
            assert world.held() == {}

    virtual(story)


@pytest.mark.parametrize("outage", [Unreachable("gone"), Overloaded("busy", status=503)])
def test_an_outage_is_not_asked_about_every_address(outage: ClusterError) -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24", reuse_after="1m")
        cooled(world, 60)
        async with world.controller():
            world.api.fault = lambda call: outage if call.verb == "delete" else None
            await settle(10)
            assert sum(call.verb == "delete" for call in world.api.calls) <= 10
            world.api.fault = lambda _: None
            await settle(KEPT + 2)
            assert world.held() == {}

    virtual(story)


def test_one_that_the_api_server_fails_on_keeps_no_other() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24", reuse_after="1m")
        cooled(world, 60)
        async with world.controller():
            world.api.fault = lambda call: (
                Overloaded("internal error", status=500) if (call.verb, call.name) == ("delete", "192.0.2.0") else None
            )
            await settle(10)
            assert world.held().keys() == {"192.0.2.0"}

    virtual(story)


def test_one_that_is_given_meanwhile_is_not_taken_away() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0-192.0.2.1", reuse_after="1m")
        world.service("asks", annotations={"lbprovider.io/loadBalancerIPs": "192.0.2.1"})
        cooled(world, 2)

        def given(call: Call) -> ClusterError | None:
            """Another controller gives the second one while the first is deleted."""
            if call.verb == "delete" and call.name == "192.0.2.0":
                world.allocation("192.0.2.1", world.stored("asks"))
            return None

        world.deaf = frozenset({"services"})
        world.api.fault = given
        async with world.controller():
            await settle(10)
            assert world.held() == {"192.0.2.1": ["asks"]}

    virtual(story)
