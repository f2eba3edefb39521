"""What a controller finds when it starts counts before anything new."""

from __future__ import annotations

from typing import Any

import msgspec

from lbprovider.api.core import ServiceStatus
from lbprovider.api.resources import ALLOCATIONS, SERVICES
from tests.unit.controller.controller_world import World, run, settle


def test_a_restart_changes_nothing() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.service("a")
        world.service("b")
        async with world.controller():
            await settle()
        before = (world.ingress("a"), world.ingress("b"), world.held())
        world.api.calls.clear()
        async with world.controller():
            await settle(700)
            assert (world.ingress("a"), world.ingress("b"), world.held()) == before
            assert world.writes() == []

    run(story)


def test_a_status_without_an_allocation_is_adopted_before_anybody_gets_its_address() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.service("old", created="2026-01-02T00:00:00Z")
        world.show("old", "192.0.2.10")
        world.service("new", created="2026-01-01T00:00:00Z")
        async with world.controller():
            await settle()
            assert world.ingress("old") == ["192.0.2.10"]
            assert world.ingress("new") == ["192.0.2.11"]

    run(story)


def test_after_a_restart_those_without_an_address_go_first() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24")
        for number in range(60):
            world.service(f"old-{number}")
        async with world.controller():
            await settle()
        for number in range(60):
            old = world.stored(f"old-{number}")
            world.api.write(SERVICES, msgspec.structs.replace(old, status=ServiceStatus()))
        world.service("new", created="2027-01-01T00:00:00Z")
        world.api.calls.clear()
        world.api.latency = 0.01
        async with world.controller():
            await settle()
            assert "create ipallocations 192.0.2.60" in world.writes("services", "ipallocations")[:2]
            assert world.contradictions() == []
            assert all(world.ingress(f"old-{number}") for number in range(60))

    run(story)


def test_a_second_address_that_only_the_status_shows_is_adopted_before_anybody_gets_it() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19", "2001:db8::/120")
        dual: dict[str, Any] = {"cluster_ips": ("10.96.0.1", "fd00::1"), "ip_families": ("IPv4", "IPv6")}
        world.service("old", ip_family_policy="PreferDualStack", **dual)
        async with world.controller():
            await settle()
        assert world.ingress("old") == ["192.0.2.10", "2001:db8::"]
        world.api.remove(ALLOCATIONS, "2001-db8-0-0-0-0-0-0")
        world.service("new", created="2027-01-01T00:00:00Z", cluster_ips=("fd00::2",), ip_families=("IPv6",))
        async with world.controller():
            await settle()
            assert world.ingress("old") == ["192.0.2.10", "2001:db8::"]
            assert world.ingress("new") == ["2001:db8::1"]

    run(story)
