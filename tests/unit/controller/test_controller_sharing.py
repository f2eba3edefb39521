"""One address of several Services, whoever writes to it meanwhile."""

from __future__ import annotations

import msgspec

from lbprovider.api.core import ServicePort
from lbprovider.api.resources import ALLOCATIONS
from tests.fakes.api_server import Call
from tests.unit.controller.controller_world import World, run, settle


def shared(world: World, name: str, port: ServicePort) -> None:
    world.service(name, ports=(port,), annotations={"lbprovider.io/allow-shared-ip": "dns"})


def test_a_shared_address_is_extended_and_shrunk() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            shared(world, "tcp", ServicePort(port=53))
            shared(world, "udp", ServicePort(port=53, protocol="UDP"))
            await settle()
            assert {*world.ingress("tcp"), *world.ingress("udp")} == {"192.0.2.10"}
            world.delete("tcp")
            await settle()
            assert world.held() == {"192.0.2.10": ["udp"]}

    run(story)


def test_two_that_would_share_an_address_both_choose_again_when_it_goes_to_another() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.api.latency = 0.1

        def another(call: Call) -> None:
            world.allocation(call.name)

        async with world.controller():
            world.before_first("create", "ipallocations", another)
            shared(world, "tcp", ServicePort(port=53))
            shared(world, "udp", ServicePort(port=53, protocol="UDP"))
            await settle()
            assert world.ingress("tcp") == world.ingress("udp") == ["192.0.2.11"]
            assert world.contradictions() == []
            shown = [call.body for call in world.api.calls if call.plural == "services" and call.verb == "patch"]
            assert "192.0.2.10" not in str(shown)  # not for a moment

    run(story)


def test_what_a_speaker_writes_meanwhile_loses_no_reservation() -> None:
    """B is being added to a shared address, its leader's status arrives, and C wants the port that B has reserved."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            shared(world, "a", ServicePort(port=1))
            await settle()
            world.api.latency = 1.0
            shared(world, "b", ServicePort(port=2))
            await settle(0.5)
            allocation = world.api.objects(ALLOCATIONS)["192.0.2.10"]
            status = msgspec.structs.replace(allocation.status, leader="node-1")
            world.api.write(ALLOCATIONS, msgspec.structs.replace(allocation, status=status))
            await settle(0.2)
            shared(world, "c", ServicePort(port=2))
            await settle(20)
            assert world.contradictions() == []
            assert {*world.ingress("b"), *world.ingress("c")} == {"192.0.2.10", "192.0.2.11"}

    run(story)


def test_who_asks_for_nonsense_keeps_its_address_and_what_is_said_of_it_there_is_brought_up() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            shared(world, "tcp", ServicePort(port=53))
            await settle()
            world.edit("tcp", ports=(ServicePort(port=53), ServicePort(port=853)), load_balancer_ip="nonsense")
            await settle()
            shared(world, "tls", ServicePort(port=853))
            shared(world, "udp", ServicePort(port=53, protocol="UDP"))
            await settle()
            assert world.held() == {"192.0.2.10": ["tcp", "udp"]}
            assert (world.reason("tcp"), world.reason("tls")) == ("InvalidAddress", "!Exhausted")
            world.edit("udp", external_traffic_policy="Local", load_balancer_ip="nonsense")
            await settle()
            assert world.held() == {"192.0.2.10": ["tcp"]}
            assert world.ingress("udp") == []
            world.edit("tcp", external_traffic_policy="Local")
            await settle()
            (claim,) = world.api.objects(ALLOCATIONS)["192.0.2.10"].spec.services
            assert claim.external_traffic_policy == "Local"
            assert [port.port for port in claim.ports] == [53, 853]

    run(story)
