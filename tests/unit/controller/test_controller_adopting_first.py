"""After a start what Services show is adopted before anything is given (DESIGN §2)."""

from __future__ import annotations

import msgspec

from lbprovider.api.core import LoadBalancerIngress, LoadBalancerStatus, ServiceStatus
from lbprovider.api.resources import SERVICES
from tests.unit.controller.controller_world import World, run, settle


def shows(world: World, name: str, address: str, created: str) -> None:
    status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=(LoadBalancerIngress(ip=address),)))
    world.api.write(SERVICES, msgspec.structs.replace(world.service(name, created=created), status=status))


def test_an_older_service_whose_address_is_in_no_pool_takes_none_that_a_younger_one_shows() -> None:
    async def story(world: World) -> None:
        shows(world, "outside", "203.0.113.5", "2026-01-01T00:00:00Z")
        shows(world, "web", "192.0.2.10", "2026-01-02T00:00:00Z")
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            await settle()
            assert [each.ip for each in world.stored("web").status.load_balancer.ingress] == ["192.0.2.10"]
            assert [each.ip for each in world.stored("outside").status.load_balancer.ingress] == ["192.0.2.11"]

    run(story)
