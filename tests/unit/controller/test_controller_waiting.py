"""Services that wait for an address: what they are told, and who is served first."""

from __future__ import annotations

import msgspec

from lbprovider.api.core import Namespace, ServicePort
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import NAMESPACES, POOLS, SERVICES
from lbprovider.errors import Overloaded
from tests.unit.controller.controller_world import World, run, settle


def test_nothing_is_said_before_there_is_a_pool_or_a_namespace() -> None:
    async def story(world: World) -> None:
        async with world.controller():
            world.service()
            world.service(namespace="fresh")
            await settle()
            assert world.writes("services", "ipallocations") == []
            world.pool("192.0.2.10-192.0.2.11")
            await settle()
            assert world.held() == {"192.0.2.10": ["web"]}
            world.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name="fresh")))
            await settle()
            assert world.held() == {"192.0.2.10": ["web"], "192.0.2.11": ["web"]}

    run(story)


def test_exhausted_is_said_once_and_the_first_freed_address_goes_to_who_waits_longest() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service("a")
            await settle()
            world.service("late", created="2026-01-03T00:00:00Z")
            world.service("early", created="2026-01-02T00:00:00Z")
            await settle(700)
            assert world.ingress("early") == []
            assert world.reason("early") == "!Exhausted"
            about = [event for event in world.events() if event.involved_object.name == "early"]
            assert [(event.type, event.reason, event.count) for event in about] == [("Warning", "Exhausted", 1)]
            assert world.writes("services").count("patch services/status early") == 1
            world.delete("a")
            await settle()
            assert world.ingress("early") == ["192.0.2.10"]
            assert world.reason("early") == "Assigned"
            assert world.reason("late") == "!Exhausted"
            about = [event for event in world.events() if event.involved_object.name == "early"]
            assert sorted(event.reason for event in about) == ["Assigned", "Exhausted"]

    run(story)


def test_those_who_wait_are_looked_at_again_when_a_pool_grows() -> None:
    async def story(world: World) -> None:
        pool = world.pool("192.0.2.10")
        async with world.controller():
            world.service("a")
            world.service("b")
            await settle()
            assert sum(bool(world.ingress(name)) for name in "ab") == 1
            grown = msgspec.structs.replace(pool.spec, addresses=("192.0.2.10", "192.0.2.20"))
            world.api.write(POOLS, msgspec.structs.replace(pool, spec=grown))
            await settle()
            assert {*world.ingress("a"), *world.ingress("b")} == {"192.0.2.10", "192.0.2.20"}

    run(story)


def test_for_one_freed_address_one_of_many_is_asked_to_take_it() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service("first")
            await settle()
            for number in range(40):
                world.service(f"waits-{number:02}", created=f"2026-01-01T00:00:{number:02}Z")
            await settle()
            world.api.calls.clear()
            world.delete("first")
            await settle()
            assert world.ingress("waits-00") == ["192.0.2.10"]
            assert world.writes("services", "ipallocations") == [
                "delete ipallocations 192.0.2.10",
                "create ipallocations 192.0.2.10",
                "patch services/status waits-00",
            ]

    run(story)


def test_who_waits_for_an_address_is_looked_at_when_its_holder_lets_others_join() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        key = {"lbprovider.io/allow-shared-ip": "k"}
        async with world.controller():
            first = world.service("first", ports=(ServicePort(port=80), ServicePort(port=443)))
            await settle()
            world.service("web", annotations=key)
            world.service("tls", annotations=key, ports=(ServicePort(port=443),))
            world.service("other", annotations={"lbprovider.io/allow-shared-ip": "j"}, ports=(ServicePort(port=22),))
            await settle()
            assert world.held() == {"192.0.2.10": ["first"]}
            metadata = msgspec.structs.replace(first.metadata, annotations=key)
            spec = msgspec.structs.replace(first.spec, ports=(ServicePort(port=80),))
            world.api.write(SERVICES, msgspec.structs.replace(world.stored("first"), metadata=metadata, spec=spec))
            await settle()
            assert world.held() == {"192.0.2.10": ["first", "tls"]}
            assert (world.reason("web"), world.reason("other")) == ("!Exhausted", "!Exhausted")
            world.delete("first")
            await settle()
            assert world.held() == {"192.0.2.10": ["tls", "web"]}

    run(story)


def test_all_who_may_share_what_one_of_them_gets_are_looked_at() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service("first")
            await settle()
            for port in (80, 443, 22):
                world.service(
                    f"port-{port}", annotations={"lbprovider.io/allow-shared-ip": "k"}, ports=(ServicePort(port=port),)
                )
            await settle()
            world.delete("first")
            await settle()
            assert sorted(world.held()["192.0.2.10"]) == ["port-22", "port-443", "port-80"]

    run(story)


def test_an_address_that_could_not_be_written_goes_to_who_waits() -> None:
    """Whoever can't have it may never have it, as where a policy refuses its IPAllocation."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.before_first("create", "ipallocations", lambda _: Overloaded("busy", retry_after=1.0))
            world.api.latency = 1.0
            world.service("first")
            await settle(0.5)
            world.api.latency = 0.0
            world.service("second", created="2026-01-02T00:00:00Z")
            await settle()
            assert world.held() == {"192.0.2.10": ["second"]}
            assert world.reason("first") == "!Exhausted"

    run(story)
