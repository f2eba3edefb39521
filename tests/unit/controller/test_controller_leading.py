"""Terms: what is watched and written when, how they end, and what a sweep finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pytest

from lbprovider.api import names
from lbprovider.api.meta import Object
from lbprovider.api.resources import ALLOCATIONS, LEASES, SECRETS, Resource
from lbprovider.controller import startup
from lbprovider.controller.guard import SILENT, Guarded, Reach
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.leading import lead
from lbprovider.controller.tasks import beside
from lbprovider.errors import ClusterError, InvalidObject, KindMissing, LeaseLost, Unreachable
from lbprovider.kube.lease import LeaderLease
from lbprovider.kube.ports import Listed, Unreadable
from tests.fakes.api_server import Call, FakeApi
from tests.unit.controller.controller_world import SETTINGS, SYSTEM, World, run, settle

T = TypeVar("T", bound=Object)


async def deletion_lost(world: World) -> None:
    """The Service that has the one address is deleted, and no watch says so."""
    world.pool("192.0.2.10")
    world.service()
    await settle()
    world.deaf = frozenset({"services"})
    world.delete()
    await settle()
    assert world.held() == {"192.0.2.10": ["web"]}


def test_a_lost_deletion_is_found_by_the_sweep_that_follows_a_new_list() -> None:
    async def story(world: World) -> None:
        async with world.controller():
            await deletion_lost(world)
            world.relisted()
            await settle(5)
            assert world.held() == {}

    run(story)


def test_a_lost_deletion_is_found_after_ten_minutes_at_the_latest() -> None:
    async def story(world: World) -> None:
        async with world.controller():
            await deletion_lost(world)
            await settle(610)
            assert world.held() == {}

    run(story)


def test_a_crd_that_is_taken_away_ends_the_term() -> None:
    async def story(world: World) -> None:
        async with world.controller():
            await settle()

        async def until_it_ends() -> None:
            async with world.controller():
                world.api.fault = missing
                await settle(700)

        def missing(call: Call) -> ClusterError | None:
            return KindMissing("no such kind") if call.verb == "list" and call.plural == "ipallocations" else None

        with pytest.raises(KindMissing):
            await until_it_ends()

    run(story)


def test_nothing_is_written_once_the_lease_may_be_anothers() -> None:
    async def story(world: World) -> None:
        held = True
        api = Guarded(world.api, Reach(), lambda: held)
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller(api):
            world.service("a")
            await settle()
            held = False
            before = len(world.writes())
            world.service("b")
            world.delete("a")
            await settle(60)
            assert len(world.writes()) == before

    run(story)


def test_who_loses_the_lease_ends_its_writers_before_its_watches() -> None:
    ended: list[str] = []

    async def story(world: World) -> None:
        clock = asyncio.get_running_loop().time
        lease = LeaderLease(world.api, namespace=SYSTEM, name="leader", identity="a", clock=clock, wall=clock)
        await lease.acquire()
        world.pool("192.0.2.10")
        world.service()

        async def watch(inventory: Inventory, relisted: Callable[[], None]) -> None:
            try:
                await world.watch(inventory, relisted)
            finally:
                ended.append("watches")

        def slow(call: Call) -> ClusterError | None:
            if call.plural == "services" and call.verb == "patch":
                task = asyncio.current_task()
                assert task is not None
                task.add_done_callback(lambda _: ended.append("writer"))
                world.api.latency = 100.0
                return Unreachable("never mind")
            return None

        def stolen() -> None:
            stored = world.api.objects(LEASES)[f"{SYSTEM}/leader"]
            spec = msgspec.structs.replace(stored.spec, holder_identity="b")
            world.api.write(LEASES, msgspec.structs.replace(stored, spec=spec))

        async def term() -> None:
            api = Guarded(world.api, Reach(), lambda: lease.held)
            async with beside(lease.keep()):
                await lead(api, SETTINGS, watch, stolen)

        world.api.fault = slow
        with pytest.raises(LeaseLost):
            await term()
        assert not lease.held

    run(story)
    assert ended == ["writer", "watches"]


class Unreading(FakeApi):
    """One IPAllocation is such as a later version may write it."""

    BAD = "192.0.2.10"

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        found = await super().get(resource, name, namespace=namespace)
        if name == self.BAD:
            raise InvalidObject(f"IPAllocation {name}", "can't be read")
        return found

    async def list(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listed[T]:
        listed = await super().list(
            resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector
        )
        bad = tuple(Unreadable(resource.kind, one.metadata, "?") for one in listed.objects if one.key == self.BAD)
        return Listed(tuple(one for one in listed.objects if one.key != self.BAD), listed.resource_version, bad)


@pytest.mark.parametrize("known", [True, False])
def test_an_allocation_that_can_not_be_read_is_nobodys_to_take(known: bool) -> None:  # noqa: FBT001
    async def story(world: World) -> None:
        world.api = Unreading()
        world.prepare()
        world.pool("192.0.2.10-192.0.2.11")
        if known:
            world.allocation(Unreading.BAD)
        async with world.controller():
            world.deaf = frozenset({"ipallocations"})
            if not known:
                world.allocation(Unreading.BAD)
            world.service()
            await settle()
            assert world.ingress() == ["192.0.2.11"]
            assert world.stored().metadata.uid not in str(world.api.objects(ALLOCATIONS)[Unreading.BAD])

    run(story)


def test_who_does_not_answer_for_ten_seconds_is_unreachable_and_a_refusal_is_an_answer() -> None:
    async def story(_: World) -> None:
        now = 0.0
        reach = Reach(lambda: now)

        async def fails(error: ClusterError) -> None:
            raise error

        async def ask(error: ClusterError) -> None:
            with pytest.raises(type(error)):
                await reach.ask(fails(error))

        await ask(Unreachable("no answer"))
        assert reach.why_not() == ""
        now = SILENT
        assert reach.why_not() == "no answer"
        await ask(KindMissing("no such kind"))
        assert reach.why_not() == ""

    run(story)


def test_the_heartbeat_key_is_made_once_and_never_changed() -> None:
    async def story(world: World) -> None:
        await startup.ensure_heartbeat_key(world.api, SYSTEM)
        made = world.api.objects(SECRETS)[f"{SYSTEM}/{names.HEARTBEAT_SECRET}"]
        await startup.ensure_heartbeat_key(world.api, SYSTEM)
        assert world.api.objects(SECRETS) == {made.key: made}
        spoilt = msgspec.structs.replace(made, data={"key-1": "c2hvcnQ="})
        spoilt = world.api.write(SECRETS, spoilt)
        await startup.ensure_heartbeat_key(world.api, SYSTEM)
        assert world.api.objects(SECRETS)[made.key] == spoilt

    run(story)


def test_all_missing_permissions_are_one_sentence() -> None:
    class Strict(FakeApi):
        async def create(self, resource, obj):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if resource is not startup.REVIEWS:
                return await super().create(resource, obj)
            about = obj.spec.resource_attributes
            allowed = about.verb != "watch" and about.subresource != "status"
            return msgspec.structs.replace(obj, status=startup.ReviewStatus(allowed=allowed))

    async def story(_: World) -> None:
        with pytest.raises(ClusterError) as refused:
            await startup.check(Strict(), SYSTEM, webhook=True)
        said = str(refused.value)
        assert said.startswith("may not watch services, patch services/status, watch namespaces, watch nodes,")
        assert "patch ipaddresspools.lbprovider.io/status" in said
        assert "config/rbac" in said
        assert "\n" not in said

    run(story)
