"""Others who write a Service's status: what they wrote is put right and said; who goes on is named and left alone."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import msgspec
import pytest

from lbprovider.api.core import LoadBalancerStatus, ServicePort, ServiceStatus
from lbprovider.api.resources import SERVICES
from lbprovider.controller.foreign import WITHIN, Foreign, ForeignWriters
from lbprovider.controller.tasks import beside
from lbprovider.errors import ClusterError, Forbidden, Overloaded, Unreachable
from tests.fakes.api_server import Call, FakeApi
from tests.unit.controller.controller_world import World, run, settle

THEIRS = "198.51.100.7"


def said(world: World, name: str = "web") -> list[tuple[str, str]]:
    """Reason and message of each Event of a Service, as often as it was told."""
    about = (event for event in world.events() if event.involved_object.name == name)
    return [(event.reason, event.message) for event in about for _ in range(event.count)]


def message(world: World, name: str = "web") -> str:
    return next((one.message for one in world.stored(name).status.conditions if "lbprovider" in one.type), "")


def patches(world: World) -> int:
    return world.writes("services").count("patch services/status web")


def gets(world: World) -> int:
    return sum(call.verb == "get" and call.plural == "services" for call in world.api.calls)


async def insists(world: World, *addresses: str, every: float = 0.5, manager: str = "k3s") -> None:
    """Writes its own addresses whenever they aren't there; until cancelled."""
    while True:
        if world.ingress() != list(addresses):
            world.show("web", *addresses, manager=manager)
        await asyncio.sleep(every)


async def wipes(world: World) -> None:
    """Clears the whole status whenever there is something in it; until cancelled."""
    while True:
        if world.stored().status != ServiceStatus():
            world.api.write(SERVICES, msgspec.structs.replace(world.stored(), status=ServiceStatus()), manager="broom")
        await asyncio.sleep(0.5)


def test_a_status_edited_by_hand_is_put_right_and_said_once() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            assert gets(world) == 0
            world.show("web", THEIRS)
            await settle(700)
            assert world.ingress() == ["192.0.2.10"]
            assert world.held() == {"192.0.2.10": ["web"]}
            told = f'"kubectl-edit" changed status.loadBalancer to {THEIRS}; it is 192.0.2.10 again.'
            assert said(world) == [("StatusCorrected", told)]
            assert world.reason() == "Assigned"
            assert gets(world) == 1

    run(story)


def test_a_status_cleared_by_hand_is_put_right_though_nobody_knows_by_whom() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            world.show("web")
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            ((reason, told),) = said(world)
            assert reason == "StatusCorrected"
            assert told == "Somebody who clears it changed status.loadBalancer to nothing; it is 192.0.2.10 again."

    run(story)


def test_what_is_shown_by_a_service_that_holds_nothing_is_taken_out_and_said() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.service("first")
        async with world.controller():
            await settle()
            world.service()
            await settle()
            world.show("web", THEIRS)
            await settle()
            assert world.ingress() == []
            assert (
                "StatusCorrected",
                f'"kubectl-edit" changed status.loadBalancer to {THEIRS}; it is empty again.',
            ) in (said(world))

    run(story)


def test_who_goes_on_is_named_after_three_corrections_and_left_alone() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            before = patches(world)
            async with beside(insists(world, THEIRS)):
                await settle(700)
                assert world.ingress() == [THEIRS]
                assert world.reason() == "!ForeignController"
                assert '"k3s" keeps changing status.loadBalancer' in message(world)
                assert patches(world) - before == 4  # three corrections, one condition
                assert world.held() == {"192.0.2.10": ["web"]}
                assert [reason for reason, _ in said(world)].count("ForeignController") == 1
                assert [event.count for event in world.events() if event.reason == "StatusCorrected"] == [3]
                world.api.calls.clear()
                world.service("other", ports=(ServicePort(port=81),))
                await settle(700)
                assert world.writes("services").count("patch services/status web") == 0
                assert gets(world) == 0

    run(story)


def test_the_others_address_that_becomes_ours_ends_it() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            async with beside(insists(world, THEIRS)):
                await settle(30)
            world.show("web", "192.0.2.10", manager="k3s")
            await settle()
            assert world.reason() == "Assigned"
            assert "Assigned" in [reason for reason, _ in said(world)]
            world.show("web", THEIRS)
            await settle()
            assert world.ingress() == ["192.0.2.10"]

    run(story)


def test_a_changed_spec_ends_it_until_it_comes_to_the_same_again() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            async with beside(insists(world, THEIRS)):
                await settle(30)
                assert world.reason() == "!ForeignController"
                before = patches(world)
                world.edit(ports=(ServicePort(port=443),))
                await settle(90)
                assert world.reason() == "!ForeignController"
                assert patches(world) - before == 4
                before = patches(world)
            world.edit(ports=(ServicePort(port=444),))
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            assert world.reason() == "Assigned"

    run(story)


@pytest.mark.parametrize("value", [(THEIRS,), ()], ids=["another address", "nothing"])
def test_a_restart_goes_on_keeping_off(value: tuple[str, ...]) -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            async with beside(insists(world, *value)):
                await settle(30)
                assert world.reason() == "!ForeignController"
        events = len(world.events())
        world.api.calls.clear()
        async with world.controller():
            async with beside(insists(world, *value)):
                await settle(700)
                assert world.writes() == []
                assert gets(world) == 0
                assert len(world.events()) == events
                world.edit(ports=(ServicePort(port=443),))
            await settle()
            assert world.ingress() == ["192.0.2.10"]

    run(story)


def test_who_takes_our_condition_away_too_is_left_alone_all_the_same() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            async with beside(wipes(world)):
                await settle(60)
                assert [reason for reason, _ in said(world)].count("ForeignController") == 1
                world.api.calls.clear()
                await settle(700)
                assert world.writes() == []
                assert world.held() == {"192.0.2.10": ["web"]}

    run(story)


def test_who_comes_back_less_than_three_times_a_minute_is_put_right_for_ever() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            for _ in range(20):
                world.show("web", THEIRS, manager="k3s")
                await settle(31)
                assert world.ingress() == ["192.0.2.10"]
            assert world.reason() == "Assigned"

    run(story)


def test_another_replica_of_ours_is_never_taken_for_somebody_else() -> None:
    """It is of another opinion, for it has yet to see a change of the pool, say."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            for _ in range(10):
                world.show("web", "192.0.2.11", manager="lbprovider-controller")
                await settle(1)
            assert world.ingress() == ["192.0.2.10"]
            assert world.reason() == "Assigned"
            assert said(world) == []

    run(story)


def test_our_own_write_whose_answer_was_lost_is_nobody_elses() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10", "192.0.2.11")
        async with world.controller():
            world.service()
            await settle()
            world.deaf = frozenset({"services"})  # the watch is late

            def written(_: Call) -> ClusterError:
                world.show("web", "192.0.2.10", manager="lbprovider-controller")
                return Unreachable("connection reset")

            world.show("web", THEIRS)
            world.before_first("patch", "services", written)
            world.deaf = frozenset()
            world.show("web", "198.51.100.8")
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            # Of the correction itself nobody heard, which is no reason to count it twice.
            assert [reason for reason, _ in said(world)] in ([], ["StatusCorrected"])
            assert world.reason() == "Assigned"

    run(story)


def test_what_we_change_ourselves_is_asked_of_nobody() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            service = world.service()
            await settle()
            asks = msgspec.structs.replace(
                service.metadata, annotations={"lbprovider.io/loadBalancerIPs": "192.0.2.15"}
            )
            world.api.write(SERVICES, msgspec.structs.replace(world.stored(), metadata=asks))
            await settle()
            assert world.ingress() == ["192.0.2.15"]
            assert gets(world) == 0
            assert said(world) == []

    run(story)


def test_what_was_put_right_before_we_looked_is_no_correction_of_ours() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
        address = [ip_address("192.0.2.10")]
        writers = ForeignWriters(world.api)
        world.show("web", THEIRS, manager="k3s")
        seen = world.stored()
        found = await writers.found(seen, address, same=True)
        assert found == Foreign('"k3s"', THEIRS)
        world.show("web", "192.0.2.10", manager="k3s")
        assert await writers.found(seen, address, same=True) is None
        world.delete()
        assert await writers.found(seen, address, same=True) is None

    run(story)


@pytest.mark.parametrize(("same", "found"), [(True, Foreign("Somebody", THEIRS)), (False, None)])
def test_an_api_server_without_managed_fields_tells_by_our_condition(same: bool, found: Foreign | None) -> None:  # noqa: FBT001  (a case)
    async def story(world: World) -> None:
        world.api.manager = ""
        world.service()
        world.show("web", THEIRS)
        writers = ForeignWriters(world.api)
        assert await writers.found(world.stored(), [ip_address("192.0.2.10")], same=same) == found

    run(story)


def test_a_crash_before_the_status_costs_no_question() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24")
        for number in range(20):
            world.allocation(f"192.0.2.{number}", world.service(f"web-{number}"))
        async with world.controller():
            await settle()
            assert all(world.ingress(f"web-{number}") for number in range(20))
            assert gets(world) == 0
            assert world.events() == []

    run(story)


@pytest.mark.parametrize("error", [Forbidden("no rule"), Overloaded("busy", status=429)])
def test_who_may_not_ask_puts_right_all_the_same_and_who_can_not_asks_again(error: ClusterError) -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            failures = 3

            def fault(call: Call) -> ClusterError | None:
                nonlocal failures
                if (call.verb, call.plural) != ("get", "services") or not failures:
                    return None
                failures -= 1
                return error

            world.api.fault = fault
            world.show("web", THEIRS)
            await settle(10)
            assert world.ingress() == ["192.0.2.10"]
            who = "Somebody" if isinstance(error, Forbidden) else '"kubectl-edit"'
            assert [told.startswith(f"{who} changed") for _, told in said(world)] == [True]

    run(story)


def test_a_condition_that_could_not_be_written_is_written_later() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()

            def fault(call: Call) -> ClusterError | None:
                conditions = call.body.get("status", {}).get("conditions", ())
                foreign = any(one["reason"] == "ForeignController" for one in conditions)
                if call.subresource == "status" and foreign and len(refused) < 2:
                    refused.append(call)
                    return Overloaded("busy", status=503)
                return None

            refused: list[Call] = []
            world.api.fault = fault
            async with beside(insists(world, THEIRS)):
                await settle(60)
            assert world.reason() == "!ForeignController"
            assert [reason for reason, _ in said(world)].count("ForeignController") == 1
            assert len(refused) == 2

    run(story)


def test_nothing_is_remembered_of_a_service_that_is_gone_or_of_a_minute_ago() -> None:
    now = 0.0
    writers = ForeignWriters(FakeApi(), clock=lambda: now)
    world = World()
    services = [world.service(f"web-{number}") for number in range(3)]
    for service in services:
        for _ in range(3):
            writers.corrected(service.metadata.uid)
    assert writers.leave(services[0], Foreign("Somebody", "nothing")) is not None
    writers.say(services[0].metadata.uid)
    writers.forget(services[0].metadata.uid)
    now = WITHIN + 1
    writers.corrected(services[2].metadata.uid)
    assert not writers.known(services[1].metadata.uid)
    assert writers.leave(services[2], Foreign("Somebody", "nothing")) is None
    assert (list(writers._corrected), writers._left, writers._said, writers._resumed) == (
        [services[2].metadata.uid], {}, set(), set(),
    )  # fmt: skip


def test_an_entry_of_status_that_is_no_address_is_said_as_it_is() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            old = world.stored()
            entry = msgspec.structs.replace(old.status.load_balancer.ingress[0], ip="", hostname="lb.example.com")
            shown = msgspec.structs.replace(old.status, load_balancer=LoadBalancerStatus(ingress=(entry,)))
            world.api.write(SERVICES, msgspec.structs.replace(old, status=shown), manager="cloud")
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            assert [told for _, told in said(world)] == [
                '"cloud" changed status.loadBalancer to lb.example.com; it is 192.0.2.10 again.'
            ]

    run(story)
