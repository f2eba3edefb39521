"""An address that another host answers for before it is announced is set aside, a few times, and never a live one."""

from __future__ import annotations

import msgspec
import pytest

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.conditions import CONFLICT, FOREIGN_ANNOUNCEMENT, PROBE_ANSWERED
from lbprovider.api.meta import Condition
from lbprovider.api.resources import ALLOCATIONS, POOLS
from lbprovider.deciding.conflicts import MOST_MOVES, MOST_OF_ONE, SET_ASIDE
from lbprovider.errors import Unreachable
from tests.fakes.api_server import Call
from tests.unit.controller.controller_world import SYSTEM, World, run, settle

THEIRS = "02:00:00:00:00:ee"
IPS = "lbprovider.io/loadBalancerIPs"
KEY = "lbprovider.io/allow-shared-ip"


def allocation(world: World, address: str) -> IPAllocation:
    return world.api.objects(ALLOCATIONS)[address]


def clash(
    world: World, address: str, *, mac: str = THEIRS, reason: str = PROBE_ANSWERED, leader: str = "", over: bool = False
) -> None:
    """A speaker says that something else uses the address."""
    there = allocation(world, address)
    condition = Condition(type=CONFLICT, status="False" if over else "True", reason=reason)
    status = msgspec.structs.replace(
        there.status, conflict_mac="" if over else mac, leader=leader, conditions=(condition,)
    )
    world.api.write(ALLOCATIONS, msgspec.structs.replace(there, status=status))


async def clash_all(world: World, *macs: str) -> None:
    """Whatever is given to Service web, something answers for it, until nothing is given any more."""
    for number in range(10):
        live = [address for address, names in world.held().items() if names == ["web"]]
        said = [one for one in live if not allocation(world, one).status.conditions]
        if not said:
            return
        clash(world, said[0], mac=macs[number % len(macs)] if macs else THEIRS)
        await settle()
    raise AssertionError("it never ends")


def pool_says(world: World) -> Condition:
    conditions = world.api.objects(POOLS)[f"{SYSTEM}/lan"].status.conditions
    return next(one for one in conditions if one.type == "LanAnswersForPool")


def test_its_service_gets_the_next_one_and_nobody_gets_the_other() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            web = world.service()
            await settle()
            clash(world, "192.0.2.10")
            await settle()
            assert (world.ingress(), world.reason()) == (["192.0.2.11"], "Assigned")
            world.service("other")
            await settle()
            assert world.held() == {"192.0.2.10": [], "192.0.2.11": ["web"], "192.0.2.12": ["other"]}
            assert allocation(world, "192.0.2.10").spec.set_aside_for == (web.metadata.uid,)
            assert world.warnings() == [("web", "AddressInConflict")]
            assert pool_says(world).status == "False"

    run(story)


def test_it_costs_three_writes_more_and_without_conflicts_nothing() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service()
            await settle()
            world.api.calls.clear()
            clash(world, "192.0.2.10")
            await settle()
            assert world.writes("services", "ipallocations") == [
                "create ipallocations 192.0.2.11",
                "patch services/status web",
                "update ipallocations 192.0.2.10",
            ]
            world.api.calls.clear()
            await settle(SET_ASIDE - 60)
            assert world.writes("services", "ipallocations") == []

    run(story)


def test_after_a_while_it_may_be_given_again() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.11")
        async with world.controller():
            world.service()
            await settle()
            clash(world, "192.0.2.10")
            await settle()
            world.service("late")
            await settle()
            assert world.reason("late") == "!Exhausted"
            past(world, "192.0.2.10")
            await settle()
            assert world.ingress("late") == ["192.0.2.10"]
            assert world.ingress() == ["192.0.2.11"]

    run(story)


def past(world: World, address: str) -> None:
    """It was set aside long ago: the wall clock is not virtual."""
    there = allocation(world, address)
    spec = msgspec.structs.replace(there.spec, set_aside_at="2020-01-01T00:00:00Z")
    world.api.write(ALLOCATIONS, msgspec.structs.replace(there, spec=spec))


def test_an_admin_frees_it_at_once_by_deleting_the_allocation() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.11")
        async with world.controller():
            world.service()
            await settle()
            clash(world, "192.0.2.10")
            await settle()
            world.service("late")
            await settle()
            world.api.remove(ALLOCATIONS, "192.0.2.10")
            await settle()
            assert world.ingress("late") == ["192.0.2.10"]

    run(story)


def test_three_times_and_then_the_pool_says_that_the_lan_answers() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service()
            await settle()
            await clash_all(world, THEIRS)
            assert world.held() == {
                "192.0.2.10": [], "192.0.2.11": [], "192.0.2.12": [], "192.0.2.13": ["web"],
            }  # fmt: skip
            assert MOST_MOVES == 3
            assert (world.ingress(), world.reason()) == ([], "!LanAnswersForPool")
            assert (pool_says(world).status, pool_says(world).reason) == ("True", "LanAnswersForPool")
            assert THEIRS in pool_says(world).message
            assert world.warnings() == [
                *[("web", "AddressInConflict")] * 3, ("web", "LanAnswersForPool"),
            ]  # fmt: skip
            for address in ("192.0.2.10", "192.0.2.11", "192.0.2.12"):
                past(world, address)
            await settle()
            world.api.calls.clear()
            await settle(60)
            assert world.writes() == [], "and no more, however long it lasts"
            assert len(world.held()) == 4

    run(story)


def test_once_the_lan_answers_for_a_pool_other_services_move_nothing() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.30")
        async with world.controller():
            world.service()
            await settle()
            await clash_all(world)
            world.service("other")
            await settle()
            clash(world, "192.0.2.14")
            await settle()
            assert world.held()["192.0.2.14"] == ["other"]
            assert (world.ingress("other"), world.reason("other")) == ([], "!LanAnswersForPool")

    run(story)


def test_one_host_that_answers_for_many_at_once_costs_no_addresses() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.30")
        async with world.controller():
            for number in range(MOST_OF_ONE):
                world.service(f"web-{number}")
            await settle()
            for number in range(MOST_OF_ONE):
                clash(world, f"192.0.2.{10 + number}")
            await settle()
            assert all(names for names in world.held().values())
            assert {world.reason(f"web-{number}") for number in range(MOST_OF_ONE)} == {"!LanAnswersForPool"}

    run(story)


def test_several_hosts_that_have_one_address_each_are_gone_round() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.30")
        async with world.controller():
            for number in range(MOST_OF_ONE):
                world.service(f"web-{number}")
            await settle()
            for number in range(MOST_OF_ONE):
                clash(world, f"192.0.2.{10 + number}", mac=f"02:00:00:00:01:{number:02}")
            await settle()
            assert {world.reason(f"web-{number}") for number in range(MOST_OF_ONE)} == {"Assigned"}
            assert [world.held()[f"192.0.2.{10 + number}"] for number in range(MOST_OF_ONE)] == [[]] * MOST_OF_ONE

    run(story)


def test_when_the_conflict_is_over_the_service_shows_the_address_and_the_pool_is_well() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service()
            await settle()
            await clash_all(world)
            clash(world, "192.0.2.13", over=True, leader="n1")
            await settle()
            assert (world.ingress(), world.reason()) == (["192.0.2.13"], "Assigned")
            assert pool_says(world).status == "False"
            for address in ("192.0.2.10", "192.0.2.11", "192.0.2.12"):
                past(world, address)
            await settle()
            assert world.held() == {"192.0.2.13": ["web"]}

    run(story)


def test_a_service_that_asked_for_that_very_address_waits_for_it() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service(annotations={IPS: "192.0.2.15"})
            await settle()
            clash(world, "192.0.2.15")
            await settle()
            assert world.held() == {"192.0.2.15": ["web"]}
            assert (world.ingress(), world.reason()) == ([], "!AddressInConflict")
            assert world.warnings() == [("web", "AddressInConflict")]
            world.api.calls.clear()
            await settle(60)
            assert world.writes() == []
            clash(world, "192.0.2.15", over=True, leader="n1")
            await settle()
            assert (world.ingress(), world.reason()) == (["192.0.2.15"], "Assigned")

    run(story)


@pytest.mark.parametrize(
    ("reason", "leader"), [(PROBE_ANSWERED, "n1"), (FOREIGN_ANNOUNCEMENT, "n1"), (FOREIGN_ANNOUNCEMENT, "")]
)
def test_what_was_announced_is_never_moved(reason: str, leader: str) -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service()
            await settle()
            world.api.calls.clear()
            clash(world, "192.0.2.10", reason=reason, leader=leader)
            await settle()
            assert world.writes() == []
            assert world.ingress() == ["192.0.2.10"]

    run(story)


def test_what_a_service_showed_before_is_adopted_and_never_moved() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        world.service()
        world.show("web", "192.0.2.17")
        world.service("asks", annotations={IPS: "192.0.2.18"})
        world.show("asks", "192.0.2.18")
        async with world.controller():
            world.service("new")
            await settle()
            adopted = {address: one.spec.adopted for address, one in world.api.objects(ALLOCATIONS).items()}
            assert adopted == {"192.0.2.17": True, "192.0.2.18": True, "192.0.2.10": False}
            clash(world, "192.0.2.17")
            clash(world, "192.0.2.18")
            await settle()
            assert (world.ingress(), world.ingress("asks")) == (["192.0.2.17"], ["192.0.2.18"])

    run(story)


def test_all_that_share_it_leave_it_and_none_returns_by_its_key() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            for name, port in (("a", 80), ("b", 81)):
                made = world.service(name, annotations={KEY: "k"})
                ports = tuple(msgspec.structs.replace(one, port=port) for one in made.spec.ports)
                world.edit(name, ports=ports)
                await settle()
            assert world.held() == {"192.0.2.10": ["a", "b"]}
            clash(world, "192.0.2.10")
            await settle()
            assert world.held() == {"192.0.2.10": [], "192.0.2.11": ["a", "b"]}

    run(story)


def test_one_that_asked_for_it_keeps_it_while_others_leave_and_is_not_joined_again() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service("a", annotations={KEY: "k"})
            await settle()
            asks = world.service("b", annotations={KEY: "k", IPS: "192.0.2.10"})
            world.edit("b", ports=tuple(msgspec.structs.replace(one, port=81) for one in asks.spec.ports))
            await settle()
            assert world.held() == {"192.0.2.10": ["a", "b"]}
            clash(world, "192.0.2.10")
            await settle()
            assert world.held() == {"192.0.2.10": ["b"], "192.0.2.11": ["a"]}
            assert world.warnings().count(("a", "AddressInConflict")) == 1
            assert len(allocation(world, "192.0.2.10").spec.set_aside_for) == 1
            clash(world, "192.0.2.10", over=True, leader="n1")
            past(world, "192.0.2.10")
            await settle()
            kept = allocation(world, "192.0.2.10").spec
            assert ([claim.name for claim in kept.services], kept.set_aside_at) == (["b"], "")

    run(story)


def test_a_restart_amid_a_move_goes_on_where_it_was_and_forgets_no_count() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service()
            await settle()
            for _ in range(2):
                (live,) = [address for address, names in world.held().items() if names]
                clash(world, live)
                await settle()
        clash(world, "192.0.2.12")
        async with world.controller():
            await settle()
            assert world.ingress() == ["192.0.2.13"]
            clash(world, "192.0.2.13")
            await settle()
        async with world.controller():
            await settle(30)
            assert world.held()["192.0.2.13"] == ["web"]
            assert (world.ingress(), world.reason()) == ([], "!LanAnswersForPool")
            assert pool_says(world).status == "True"

    run(story)


def test_where_no_other_is_left_the_service_says_what_it_had_to_leave() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10/32")
        async with world.controller():
            world.service()
            await settle()
            clash(world, "192.0.2.10")
            await settle()
            assert (world.ingress(), world.reason()) == ([], "!Exhausted")
            (condition,) = world.stored().status.conditions
            assert "had to leave 192.0.2.10" in condition.message

    run(story)


def test_a_write_that_fails_leaves_the_service_where_it_was_until_it_is_tried_again() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service()
            await settle()
            world.before_first("update", "ipallocations", lambda _: Unreachable("refused"))
            clash(world, "192.0.2.10")
            await settle()
            assert world.held() == {"192.0.2.10": [], "192.0.2.11": ["web"]}
            assert len(allocation(world, "192.0.2.10").spec.set_aside_for) == 1
            assert world.contradictions() == []

    run(story)


def test_of_two_that_are_left_at_once_none_is_forgotten_where_the_first_write_fails() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20", "2001:db8::10-2001:db8::20")
        async with world.controller():
            world.service(
                cluster_ips=("10.96.0.1", "fd00::1"), ip_families=("IPv4", "IPv6"), ip_family_policy="RequireDualStack"
            )
            await settle()
            assert world.ingress() == ["192.0.2.10", "2001:db8::10"]
            world.before_first("update", "ipallocations", lambda _: Unreachable("refused"))
            clash(world, "192.0.2.10")
            clash(world, "2001-db8-0-0-0-0-0-10")
            await settle()
            assert world.ingress() == ["192.0.2.11", "2001:db8::11"]
            assert world.held() == {
                "192.0.2.10": [], "192.0.2.11": ["web"],
                "2001-db8-0-0-0-0-0-10": [], "2001-db8-0-0-0-0-0-11": ["web"],
            }  # fmt: skip
            assert world.warnings() == [("web", "AddressInConflict")] * 2

    run(story)


def test_no_status_shows_an_address_that_its_service_has_left() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        seen: list[list[str]] = []

        def look(_: Call) -> None:
            seen.append(world.contradictions())

        async with world.controller():
            world.service()
            await settle()
            world.api.fault = look
            clash(world, "192.0.2.10")
            await settle()
            assert world.held() == {"192.0.2.10": [], "192.0.2.11": ["web"]}
        assert seen
        assert not any(seen)

    run(story)


def test_it_is_left_though_nothing_else_can_be_had_or_written() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.20")
        async with world.controller():
            world.service()
            await settle()
            world.api.fault = lambda call: Unreachable("gone") if call.verb == "create" else None
            clash(world, "192.0.2.10")
            await settle()
            assert world.held() == {"192.0.2.10": []}
            world.api.fault = lambda _: None
            await settle(60)
            assert world.held() == {"192.0.2.10": [], "192.0.2.11": ["web"]}
            assert world.ingress() == ["192.0.2.11"]

    run(story)
