"""Services that get an address: what is written for them, and in which order."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from lbprovider.api.core import ServiceStatus
from lbprovider.api.meta import Condition
from lbprovider.api.resources import SERVICES
from tests.unit.controller.controller_world import World, run, settle


def test_the_allocation_is_written_before_the_status_and_nothing_else_is() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            world.service()
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            assert world.stored().status.load_balancer.ingress[0].ip_mode == "VIP"
            assert world.reason() == "Assigned"
            assert world.held() == {"192.0.2.10": ["web"]}
            assert world.writes("services", "ipallocations") == [
                "create ipallocations 192.0.2.10",
                "patch services/status web",
            ]
            assert world.events() == []

    run(story)


def test_both_families_in_the_order_of_the_service() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10", "2001:db8::10")
        async with world.controller():
            world.service(ip_families=("IPv6", "IPv4"), ip_family_policy="RequireDualStack")
            await settle()
            assert world.ingress() == ["2001:db8::10", "192.0.2.10"]
            assert world.held() == {"192.0.2.10": ["web"], "2001-db8-0-0-0-0-0-10": ["web"]}

    run(story)


def test_one_bug_or_bad_service_never_stops_the_others() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24")
        async with world.controller():
            bad = world.service("bad", load_balancer_ip="not an address")
            world.service("good")
            await settle()
            assert world.reason("bad") == "!InvalidAddress"
            assert bad.metadata.uid not in str(world.held())
            assert world.ingress("good") == ["192.0.2.0"]

    run(story)


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "ClusterIP"},
        {"type": "NodePort"},
        {"type": "ExternalName", "cluster_ip": "", "cluster_ips": ()},
        {"type": "ClusterIP", "cluster_ip": "None", "cluster_ips": ("None",)},
        {"type": "LoadBalancer", "load_balancer_class": "example.com/other"},
    ],
)
def test_what_never_was_ours_is_never_touched(spec: dict[str, Any]) -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        theirs = (Condition(type="example.com/Ready", status="True", reason="Ready"),)
        service = world.service("theirs", **spec)
        world.api.write(SERVICES, msgspec.structs.replace(service, status=ServiceStatus(conditions=theirs)))
        world.show("theirs", "192.0.2.10")
        async with world.controller():
            world.service("later", **spec)
            await settle(700)
            world.delete("theirs")
            await settle()
            assert world.writes("services", "ipallocations") == []

    run(story)


def test_a_burst_costs_two_writes_a_service() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24")
        world.api.latency = 0.003
        async with world.controller():
            await settle()
            world.api.calls.clear()
            for number in range(100):
                world.service(f"web-{number:03}")
                await asyncio.sleep(0.007)
            await settle()
            assert len({ip for number in range(100) for ip in world.ingress(f"web-{number:03}")}) == 100
            assert len(world.writes("services", "ipallocations")) == 200
            assert 1 <= len(world.writes("ipaddresspools")) <= 5  # coalesced
            assert len(world.writes()) <= 205

    run(story)
