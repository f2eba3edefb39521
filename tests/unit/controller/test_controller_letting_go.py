"""Services that are no longer ours, and what becomes of their addresses."""

from __future__ import annotations

import msgspec

from lbprovider.api.core import Service
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, SERVICES
from tests.unit.controller.controller_world import World, run, settle


def test_deletion_lets_go() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service("a")
            await settle()
            world.delete("a")
            await settle()
            assert world.held() == {}
            world.service("b")
            await settle()
            assert world.ingress("b") == ["192.0.2.10"]

    run(story)


def test_deletion_while_nobody_watched_lets_go_at_the_next_start() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.service("a")
        async with world.controller():
            await settle()
        world.delete("a")
        world.service("b")
        async with world.controller():
            await settle()
            assert world.held() == {"192.0.2.10": ["b"]}
            assert world.ingress("b") == ["192.0.2.10"]

    run(story)


def test_a_service_made_again_by_its_name_is_another() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            world.service()
            await settle()
            world.delete()
            world.service()
            await settle()
            uid = world.stored().metadata.uid
            allocations = world.api.objects(ALLOCATIONS).values()
            assert [claim.uid for one in allocations for claim in one.spec.services] == [uid]
            assert len(world.ingress()) == 1

    run(story)


def test_what_is_marked_for_deletion_lets_go_while_finalizers_run() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            service = world.service()
            await settle()
            service = world.stored()
            meta = msgspec.structs.replace(
                service.metadata, deletion_timestamp="2026-01-01T00:00:00Z", finalizers=("example.com/wait",)
            )
            world.api.write(SERVICES, msgspec.structs.replace(service, metadata=meta))
            await settle()
            assert world.held() == {}

    run(story)


def test_an_allocation_whose_service_is_gone_is_let_go_even_where_it_was_never_known() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            gone = Service(metadata=ObjectMeta(name="gone", namespace="default", uid="never-seen"))
            world.allocation("192.0.2.15", gone)
            await settle()
            assert world.held() == {}

    run(story)


def test_a_change_of_type_takes_everything_back() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            world.edit(type="ClusterIP")
            await settle()
            assert world.held() == {}
            assert world.ingress() == []
            assert world.stored().status.conditions == ()
            writes = len(world.writes("services"))
            world.edit(selector={"app": "x"})
            await settle()
            assert len(world.writes("services")) == writes  # not ours any more: not touched again

    run(story)


def test_a_change_of_class_leaves_the_other_controllers_entries() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            world.edit(load_balancer_class="example.com/other")
            world.show("web", *world.ingress(), "198.51.100.1")
            await settle()
            assert world.held() == {}
            assert world.ingress() == ["198.51.100.1"]
            assert world.reason() == ""

    run(story)


def test_a_freed_address_cools_down() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.11", reuse_after="1h")
        async with world.controller():
            world.service("a")
            await settle()
            world.delete("a")
            await settle()
            cooling = world.api.objects(ALLOCATIONS)["192.0.2.10"].spec
            assert cooling.services == ()
            assert cooling.released_at
            world.service("b")
            await settle()
            assert world.ingress("b") == ["192.0.2.11"]

    run(story)
