"""Before the first pool nothing is written: another provider may still serve the Services (SEMANTICS §1, Holding)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lbprovider.api.core import LoadBalancerIngress, LoadBalancerStatus, ServiceStatus
from lbprovider.api.resources import SERVICES
from tests.unit.controller.controller_world import World, run, settle

ASKING: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an address": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.10"}},
    "a pool": {"annotations": {"metallb.universe.tf/address-pool": "lan"}},
    "two things at once": {
        "annotations": {"metallb.io/address-pool": "lan", "metallb.universe.tf/address-pool": "other"}
    },
}


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING)
def test_what_another_provider_gave_is_left_alone(asking: dict[str, Any]) -> None:
    async def story(world: World) -> None:
        shown = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=(LoadBalancerIngress(ip="192.0.2.10"),)))
        given = msgspec.structs.replace(world.service(**asking), status=shown)
        world.api.write(SERVICES, given)
        before = world.stored()
        async with world.controller():
            await settle()
            assert world.stored() == before

    run(story)


def test_what_asked_before_there_was_a_pool_gets_its_address_when_there_is_one() -> None:
    async def story(world: World) -> None:
        world.service(annotations={"metallb.io/loadBalancerIPs": "192.0.2.10"})
        async with world.controller():
            await settle()
            assert not world.stored().status.conditions
            world.pool("192.0.2.0/24")
            await settle()
            assert [each.ip for each in world.stored().status.load_balancer.ingress] == ["192.0.2.10"]

    run(story)
