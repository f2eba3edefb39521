"""Crashes, lost answers, and others who write what is ours: never two owners, never an address lost."""

from __future__ import annotations

import random
from typing import TypeVar

import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, Resource
from lbprovider.controller.writer import WORKERS
from lbprovider.errors import ClusterError, Overloaded, Unreachable
from lbprovider.kube.ports import Listed
from tests.fakes.api_server import Call
from tests.fakes.late_api import LateApi
from tests.unit.controller.controller_world import World, run, settle

T = TypeVar("T", bound=Object)


@pytest.mark.parametrize("place", ["create ipallocations", "patch services/status"])
def test_a_crash_between_the_writes_heals(place: str) -> None:
    """The controller dies when it is about to make the write of that name."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.11")
        world.service("a")

        def crash(call: Call) -> ClusterError | None:
            name = f"{call.verb} {call.plural}" + (f"/{call.subresource}" if call.subresource else "")
            return Unreachable("gone") if name == place else None

        world.api.fault = crash
        async with world.controller():
            await settle()
            assert world.ingress("a") == []
        world.api.fault = lambda _: None
        world.service("b", created="2020-01-01T00:00:00Z")
        async with world.controller():
            await settle()
            held = world.held()
            assert sorted(name for names in held.values() for name in names) == ["a", "b"]
            assert {name: world.ingress(name) for name in "ab"} == {
                names[0]: [address] for address, names in held.items()
            }

    run(story)


def test_a_write_whose_answer_was_lost_holds_no_second_address() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")

        def written(call: Call) -> ClusterError:
            world.allocation(call.name, world.stored())
            return Unreachable("connection reset")

        world.before_first("create", "ipallocations", written)
        async with world.controller():
            world.service()
            await settle()
            assert world.held() == {"192.0.2.10": ["web"]}
            assert world.ingress() == ["192.0.2.10"]
            assert world.writes("services", "ipallocations") == [
                "create ipallocations 192.0.2.10",
                "update ipallocations 192.0.2.10",
                "patch services/status web",
            ]

    run(story)


def test_an_api_server_that_says_no_for_a_while_loses_nothing() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.0/24")
        dice = random.Random(7)  # noqa: S311  (a test that is the same each time)

        def flaky(call: Call) -> ClusterError | None:
            busy = call.verb in ("create", "patch", "update", "delete") and dice.random() < 0.6
            return Overloaded("too many requests", status=429, retry_after=1.0) if busy else None

        world.api.fault = flaky
        async with world.controller():
            for number in range(30):
                world.service(f"web-{number}")
            await settle(300)
            world.api.fault = lambda _: None
            given = [ip for number in range(30) for ip in world.ingress(f"web-{number}")]
            assert len(given) == len(set(given)) == 30
            assert {key for key, names in world.held().items() if names} == set(given)

    run(story)


def test_somebody_else_was_faster_with_the_address() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")

        def faster(call: Call) -> None:
            world.allocation(call.name, world.service("other", load_balancer_class="example.com/other"))

        world.before_first("create", "ipallocations", faster)
        async with world.controller():
            world.service()
            await settle(0.5)
            assert world.ingress() == ["192.0.2.11"]
            assert world.held() == {"192.0.2.11": ["web"]}
            assert world.held()["192.0.2.11"] == ["web"]

    run(story)


def test_an_allocation_of_a_service_that_is_not_known_yet_is_left_alone() -> None:
    """Another controller was faster than our watch of Services."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            await settle()
            world.deaf = frozenset({"services"})
            world.allocation("192.0.2.15", world.service())
            await settle()
            assert world.held() == {"192.0.2.15": ["web"]}
            assert world.ingress() == ["192.0.2.15"]

    run(story)


def test_an_allocation_deleted_by_hand_is_made_again() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            world.api.remove(ALLOCATIONS, "192.0.2.10")
            await settle()
            assert world.held() == {"192.0.2.10": ["web"]}
            assert world.ingress() == ["192.0.2.10"]

    run(story)


def test_a_senseless_request_keeps_one_of_two_addresses_that_a_crash_left() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        web = world.service(annotations={"lbprovider.io/loadBalancerIPs": "nonsense"})
        for address in ("192.0.2.10", "192.0.2.11"):
            world.allocation(address, web)
        world.show("web", "192.0.2.11")
        async with world.controller():
            await settle()
            assert world.ingress() == ["192.0.2.11"]

    run(story)


def test_a_list_that_is_older_than_a_claim_is_no_proof_that_its_service_is_gone() -> None:
    """Another controller was faster than our list of Services, and than our watch of them; we have our hands full."""

    async def story(world: World) -> None:
        world.pool("192.0.2.0/24")
        late = False

        def another(number: int) -> None:
            meta = world.service(f"web-{number}").metadata
            claim = ServiceClaim(
                namespace="default", name=meta.name, uid=meta.uid, resource_version=meta.resource_version
            )
            spec = IPAllocationSpec(address=f"192.0.2.{number}", pool="lan", services=(claim,))
            world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=f"192.0.2.{number}"), spec=spec))

        class Late(LateApi):
            async def list(self, resource: Resource[T], **scope: str) -> Listed[T]:
                listed = await super().list(resource, **scope)
                if late and resource.kind == "Service":
                    for number in range(2 * WORKERS):
                        another(number)
                    await settle(0.1)
                return listed

        async with world.controller(Late(world.api, lambda: 1 if late else 0)):
            await settle()
            late, world.deaf = True, frozenset({"services"})
            world.relisted()
            await settle(30)
            assert len(world.held()) == 2 * WORKERS
            assert not [write for write in world.writes("ipallocations") if write.startswith("delete")]

    run(story)
