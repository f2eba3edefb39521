"""A tenant with all rights in its namespace, Services/status included, gets no address that it couldn't ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from lbprovider.api.conditions import CONFLICT, PROBE_ANSWERED
from lbprovider.api.core import Namespace, ServicePort
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.pool import ServiceAllocation
from lbprovider.api.resources import ALLOCATIONS, NAMESPACES, SERVICES
from tests.unit.controller.controller_world import World, run, settle

IPS = "lbprovider.io/loadBalancerIPs"
KEY = "lbprovider.io/allow-shared-ip"
POOL = "lbprovider.io/address-pool"
THEIRS = (ServicePort(port=53),)
OTHERS = (ServicePort(port=54),)


def victim(world: World, **spec: Any) -> None:
    world.service("victim", namespace="victims", **spec)


def pinned(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19")
    world.pool("192.0.2.50", name="gold", service_allocation=ServiceAllocation(namespaces=("victims",)))


def pinned_to_nobody(world: World) -> None:
    """Selectors that match nothing don't open the pool."""
    world.pool("192.0.2.10-192.0.2.19")
    world.pool("192.0.2.50", name="gold", service_allocation=ServiceAllocation(namespaces=("nobody",)))


def held(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19")
    victim(world)


def excluded(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19", exclude_addresses=("192.0.2.12",))


def buggy(world: World) -> None:
    world.pool("192.0.2.0/24", avoid_buggy_ips=True)


def outside(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19")


def refused(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19")
    world.pool("192.0.2.19-192.0.2.30", name="overlaps")


def shared(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19")
    victim(world, annotations={KEY: "dns"}, ports=THEIRS)


def shared_by_all(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19", allow_sharing_across_namespaces=True)
    victim(world, annotations={KEY: "dns"}, ports=THEIRS)


def on_request_only(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19", auto_assign=False)


def another_pool_named(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19")
    world.pool("192.0.2.50", name="gold")


def cooling(world: World) -> None:
    world.pool("192.0.2.10-192.0.2.19", reuse_after="1h")
    victim(world)


async def left(world: World) -> None:
    world.api.remove(SERVICES, "victim", "victims")
    await settle()


async def answered(world: World) -> None:
    """Something on the LAN answered for the victim's address, and it got another."""
    there = world.api.objects(ALLOCATIONS)["192.0.2.10"]
    condition = Condition(type=CONFLICT, status="True", reason=PROBE_ANSWERED)
    status = msgspec.structs.replace(there.status, conflict_mac="02:00:00:00:00:ee", conditions=(condition,))
    world.api.write(ALLOCATIONS, msgspec.structs.replace(there, status=status))
    await settle()


async def nothing(_: World) -> None:
    pass


Case = tuple[Callable[[World], None], Callable[[World], Awaitable[None]], str, bool]
CASES: Mapping[str, Case] = {
    "pinned away": (pinned, nothing, "192.0.2.50", False),
    "pinned to nobody": (pinned_to_nobody, nothing, "192.0.2.50", False),
    "held by another": (held, nothing, "192.0.2.10", False),
    "excluded": (excluded, nothing, "192.0.2.12", False),
    "buggy": (buggy, nothing, "192.0.2.0", False),
    "outside every pool": (outside, nothing, "203.0.113.1", False),
    "of a refused pool": (refused, nothing, "192.0.2.25", False),
    "in conflict": (held, answered, "192.0.2.10", False),
    "shared in another namespace, its key guessed": (shared, nothing, "192.0.2.10", False),
    "shared by whoever has the key": (shared_by_all, nothing, "192.0.2.10", True),
    "for those only that ask": (on_request_only, nothing, "192.0.2.15", True),
    "of another pool than the one named": (another_pool_named, nothing, "192.0.2.50", False),
    "cooling down": (cooling, left, "192.0.2.10", True),
    "free": (outside, nothing, "192.0.2.15", True),
}
"""What there is, what happens then, the address that Mallory is after, and whether it gets that by asking for it."""


@asynccontextmanager
async def prepared(case: Case) -> AsyncIterator[World]:
    """A World in which all that was there has been dealt with, and nobody leads."""
    world = World()
    world.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name="victims")))
    before, then, _, _ = case
    async with world.controller():
        before(world)
        await settle()
        await then(world)
        yield world


def mallory(world: World, case: Case, annotations: Mapping[str, str]) -> None:
    named = {POOL: "lan"} if case[0] is another_pool_named else {}
    annotations = {KEY: "dns", **named, **annotations}
    world.service("mallory", created="2027-01-01T00:00:00Z", annotations=annotations, ports=OTHERS)


def got(world: World, address: str) -> bool:
    assert world.contradictions() == []
    shows, holds = address in world.ingress("mallory"), "mallory" in world.held().get(address, [])
    assert shows == holds
    if holds:  # probed for before it is announced, as one that was asked for
        assert not world.api.objects(ALLOCATIONS)[address].spec.adopted
    return holds


every = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every
def test_what_is_had_by_asking(case: Case) -> None:
    async def story(_: World) -> None:
        async with prepared(case) as world:
            mallory(world, case, {IPS: case[2]})
            await settle()
            assert got(world, case[2]) == case[3]

    run(story)


@every
def test_a_status_written_between_creation_and_our_first_look_is_a_request(case: Case) -> None:
    async def story(_: World) -> None:
        async with prepared(case) as world:
            mallory(world, case, {})
            world.show("mallory", case[2])
            await settle()
            assert got(world, case[2]) == case[3]

    run(story)


@every
def test_a_status_written_while_nobody_leads_is_a_request(case: Case) -> None:
    async def story(_: World) -> None:
        async with prepared(case) as world:
            pass
        mallory(world, case, {})
        world.show("mallory", case[2])
        async with world.controller():
            await settle()
            assert got(world, case[2]) == case[3]

    run(story)


@every
def test_a_status_written_later_takes_nothing_from_who_has_an_address(case: Case) -> None:
    async def story(_: World) -> None:
        async with prepared(case) as world:
            mallory(world, case, {})
            await settle()
            before = world.ingress("mallory")
            world.show("mallory", case[2])
            await settle()
            assert not before or world.ingress("mallory") == before
            assert case[3] or not got(world, case[2])
        world.show("mallory", case[2])
        async with world.controller():
            await settle()
            assert not before or world.ingress("mallory") == before
            assert case[3] or not got(world, case[2])

    run(story)


def test_of_two_tenants_that_show_one_address_the_older_service_has_it() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        for name, created in (("a-later", "2026-01-03T00:00:00Z"), ("b-earlier", "2026-01-02T00:00:00Z")):
            world.service(name, created=created)
            world.show(name, "192.0.2.15")
        async with world.controller():
            await settle()
            assert (world.ingress("a-later"), world.ingress("b-earlier")) == (["192.0.2.10"], ["192.0.2.15"])
            assert world.contradictions() == []

    run(story)


def test_what_an_older_service_shows_is_inherited_though_a_crash_ended_the_first_adoption() -> None:
    """Another provider gave it: it is in use, and a probe that its speaker answers must not move it."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.allocation("192.0.2.11", world.service("ours", created="2025-06-01T00:00:00Z"))  # made at NOW
        world.service("older", created="2025-06-02T00:00:00Z")
        world.show("older", "192.0.2.15")
        world.service("later", created="2026-01-02T00:00:00Z")
        world.show("later", "192.0.2.16")
        async with world.controller():
            await settle()
            adopted = {address: one.spec.adopted for address, one in world.api.objects(ALLOCATIONS).items()}
            assert adopted == {"192.0.2.11": False, "192.0.2.15": True, "192.0.2.16": False}

    run(story)


def test_what_was_inherited_once_is_a_request_when_it_comes_back_by_another_address() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.service("mallory")
        world.show("mallory", "192.0.2.15")
        async with world.controller():
            await settle()
            assert world.api.objects(ALLOCATIONS)["192.0.2.15"].spec.adopted
            world.edit("mallory", type="ClusterIP")
            await settle()
            assert world.held() == {}
            world.edit("mallory", type="LoadBalancer")
            world.show("mallory", "192.0.2.16")
            await settle()
            assert got(world, "192.0.2.16")

    run(story)
