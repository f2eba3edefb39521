"""What the API server refuses, and what can't be read: said, tried again, and never a reason to lose an address."""

from __future__ import annotations

import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.errors import ClusterError, Forbidden, Invalid
from tests.fakes.api_server import Call
from tests.unit.controller.controller_world import World, run, settle

TOO_MANY = "spec.services[0].ports: Too many: 1025: must have at most 1024 items"
KEY = "lbprovider.io/allow-shared-ip"


def said(world: World, name: str) -> list[tuple[str, int]]:
    return [(event.reason, event.count) for event in world.events() if event.involved_object.name == name]


def message(world: World, name: str) -> str:
    (found,) = (one.message for one in world.stored(name).status.conditions if "lbprovider" in one.type)
    return found


@pytest.mark.parametrize("refusal", [Invalid(TOO_MANY, status=422), Forbidden("a policy says no", status=403)])
def test_a_service_whose_allocation_is_refused_is_told_so_and_stops_nobody(refusal: ClusterError) -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        refused = world.service("bad").metadata.uid

        def fault(call: Call) -> ClusterError | None:
            wants = call.plural == "ipallocations" and call.verb == "create"
            return refusal if wants and call.name == "192.0.2.10" else None

        world.api.fault = fault
        async with world.controller():
            await settle()
            world.service("good")
            await settle(600)
            assert world.reason("bad") == "!AllocationRefused"
            assert str(refusal) in message(world, "bad")
            assert "192.0.2.10" in message(world, "bad")
            assert said(world, "bad") == [("AllocationRefused", 1)]
            assert world.writes("services").count("patch services/status bad") == 1
            assert refused not in str(world.api.objects(ALLOCATIONS))
            world.api.fault = lambda _: None
            await settle(60)
            assert world.reason("bad") == "Assigned"
            assert len({*world.ingress("bad"), *world.ingress("good")}) == 2

    run(story)


def test_a_service_that_has_an_address_keeps_showing_it_while_a_change_is_refused() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            world.service()
            await settle()

            def fault(call: Call) -> ClusterError | None:
                return Invalid(TOO_MANY, status=422) if call.verb == "update" and call.subresource == "" else None

            world.api.fault = fault
            world.edit(ports=(ServicePort(port=443),))
            await settle(120)
            assert world.ingress() == ["192.0.2.10"]
            assert world.reason() == "AllocationRefused"
            assert world.held() == {"192.0.2.10": ["web"]}
            world.api.fault = lambda _: None
            await settle(60)
            assert world.reason() == "Assigned"
            (claim,) = world.api.objects(ALLOCATIONS)["192.0.2.10"].spec.services
            assert claim.ports == (ServicePort(port=443),)

    run(story)


def test_a_service_that_can_not_be_read_keeps_its_address_over_a_restart() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            world.service("odd")
            world.service("plain")
            await settle()
            held = world.held()
        world.api.garbled.add("default/odd")
        async with world.controller():
            await settle(700)  # a sweep, too
            world.relisted()
            await settle(10)
            assert world.held() == held
            world.api.garbled.clear()
            world.edit("odd", selector={"app": "odd"})
            await settle()
            assert world.held() == held
            world.api.garbled.add("default/odd")
            world.delete("odd")
            await settle(700)
            assert [names for names in world.held().values() if "odd" in names] == []

    run(story)


def test_one_that_was_never_read_lets_go_when_it_is_deleted() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            world.service("odd")
            await settle()
        world.api.garbled.add("default/odd")
        async with world.controller():
            await settle()
            assert world.held() == {"192.0.2.10": ["odd"]}
            world.delete("odd")
            await settle(700)
            assert world.held() == {}

    run(story)


def test_an_older_service_of_the_name_of_one_that_can_not_be_read_is_gone_all_the_same() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.service("odd")
        claim = ServiceClaim(namespace="default", name="odd", uid="of-an-older-one")
        spec = IPAllocationSpec(address="192.0.2.15", pool="lan", services=(claim,))
        world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name="192.0.2.15"), spec=spec))
        world.api.garbled.add("default/odd")
        async with world.controller():
            await settle()
            assert world.held() == {}

    run(story)
