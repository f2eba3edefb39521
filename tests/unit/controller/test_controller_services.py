from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.core import LoadBalancerIngress, LoadBalancerStatus, Namespace, ServicePort, ServiceStatus
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, NAMESPACES, POOLS, SERVICES
from lbprovider.errors import ClusterError, Overloaded, Unreachable
from tests.fakes.api_server import Call
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


def test_both_families_in_the_order_of_the_service() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10", "2001:db8::10")
        async with world.controller():
            world.service(ip_families=("IPv6", "IPv4"), ip_family_policy="RequireDualStack")
            await settle()
            assert world.ingress() == ["2001:db8::10", "192.0.2.10"]
            assert world.held() == {"192.0.2.10": ["web"], "2001-db8-0-0-0-0-0-10": ["web"]}

    run(story)


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
        lost: list[Call] = []

        def once(call: Call) -> ClusterError | None:
            if call.verb == "create" and call.plural == "ipallocations" and not lost:
                lost.append(call)
                # The API server has it, and the answer gets lost.
                uid = world.stored().metadata.uid
                spec = IPAllocationSpec(
                    address=call.name, pool="lan", services=(ServiceClaim(namespace="default", name="web", uid=uid),)
                )
                world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=call.name), spec=spec))
                return Unreachable("connection reset")
            return None

        world.api.fault = once
        async with world.controller():
            world.service()
            await settle()
            assert world.held() == {"192.0.2.10": ["web"]}
            assert world.ingress() == ["192.0.2.10"]

    run(story)


def test_somebody_else_was_faster_with_the_address() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        done: list[Call] = []

        def foreign(call: Call) -> ClusterError | None:
            if call.verb == "create" and call.plural == "ipallocations" and not done:
                done.append(call)
                other = world.service("other", type="LoadBalancer", load_balancer_class="example.com/other")
                claim = ServiceClaim(namespace="default", name="other", uid=other.metadata.uid)
                spec = IPAllocationSpec(address=call.name, pool="lan", services=(claim,))
                world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=call.name), spec=spec))
            return None

        world.api.fault = foreign
        async with world.controller():
            world.service()
            await settle(0.5)
            assert world.ingress() == ["192.0.2.11"]
            assert world.held()["192.0.2.11"] == ["web"]

    run(story)


def test_deletion_lets_go() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service("a")
            await settle()
            world.api.remove(SERVICES, "a", "default")
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
        world.api.remove(SERVICES, "a", "default")
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
            world.api.remove(SERVICES, "web", "default")
            world.service()
            await settle()
            uid = world.stored().metadata.uid
            allocations = world.api.objects(ALLOCATIONS).values()
            assert [claim.uid for one in allocations for claim in one.spec.services] == [uid]
            assert len(world.ingress()) == 1

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
            service = world.edit(load_balancer_class="example.com/other")
            foreign = LoadBalancerIngress(ip="198.51.100.1", ip_mode="VIP")
            status = msgspec.structs.replace(
                service.status,
                load_balancer=LoadBalancerStatus(ingress=(*service.status.load_balancer.ingress, foreign)),
            )
            world.api.write(SERVICES, msgspec.structs.replace(service, status=status))
            await settle()
            assert world.held() == {}
            assert world.ingress() == ["198.51.100.1"]
            assert world.reason() == ""

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
        ingress = LoadBalancerStatus(ingress=(LoadBalancerIngress(ip="192.0.2.10"),))
        status = ServiceStatus(load_balancer=ingress, conditions=theirs)
        world.api.write(SERVICES, msgspec.structs.replace(service, status=status))
        async with world.controller():
            world.service("later", **spec)
            await settle(700)
            world.api.remove(SERVICES, "theirs", "default")
            await settle()
            assert world.writes("services", "ipallocations") == []

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
            world.api.remove(SERVICES, "a", "default")
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


def test_a_status_without_an_allocation_is_adopted_before_anybody_gets_its_address() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        old = world.service("old", created="2026-01-02T00:00:00Z")
        status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=(LoadBalancerIngress(ip="192.0.2.10"),)))
        world.api.write(SERVICES, msgspec.structs.replace(old, status=status))
        world.service("new", created="2026-01-01T00:00:00Z")
        async with world.controller():
            await settle()
            assert world.ingress("old") == ["192.0.2.10"]
            assert world.ingress("new") == ["192.0.2.11"]

    run(story)


def test_a_status_edited_by_hand_is_corrected() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        async with world.controller():
            world.service()
            await settle()
            stolen = LoadBalancerStatus(ingress=(LoadBalancerIngress(ip="192.0.2.99"),))
            service = world.stored()
            status = msgspec.structs.replace(service.status, load_balancer=stolen)
            world.api.write(SERVICES, msgspec.structs.replace(service, status=status))
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            assert world.held() == {"192.0.2.10": ["web"]}
            assert [one for one in world.events() if one.involved_object.kind == "Service"] == []  # the same reason

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


def test_a_shared_address_is_extended_and_shrunk() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            shared(world, "tcp", ServicePort(port=53))
            shared(world, "udp", ServicePort(port=53, protocol="UDP"))
            await settle()
            assert {*world.ingress("tcp"), *world.ingress("udp")} == {"192.0.2.10"}
            world.api.remove(SERVICES, "tcp", "default")
            await settle()
            assert world.held() == {"192.0.2.10": ["udp"]}

    run(story)


def test_a_freed_address_cools_down() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.11", reuse_after="1h")
        async with world.controller():
            world.service("a")
            await settle()
            world.api.remove(SERVICES, "a", "default")
            await settle()
            cooling = world.api.objects(ALLOCATIONS)["192.0.2.10"].spec
            assert cooling.services == ()
            assert cooling.released_at
            world.service("b")
            await settle()
            assert world.ingress("b") == ["192.0.2.11"]

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


def shared(world: World, name: str, port: ServicePort) -> None:
    world.service(name, ports=(port,), annotations={"lbprovider.io/allow-shared-ip": "dns"})


def contradictions(world: World) -> list[str]:
    """Services whose status shows an address that no IPAllocation gives them."""
    held = world.held()
    return [
        service.metadata.name
        for service in world.api.objects(SERVICES).values()
        for entry in service.status.load_balancer.ingress
        if service.metadata.name not in held.get(entry.ip, [])
    ]


def test_two_that_would_share_an_address_both_choose_again_when_it_goes_to_another() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.api.latency = 0.1

        def foreign(call: Call) -> ClusterError | None:
            if call.verb == "create" and call.plural == "ipallocations":
                world.api.fault = lambda _: None
                spec = IPAllocationSpec(address=call.name, pool="lan")
                world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=call.name), spec=spec))
            return None

        async with world.controller():
            world.api.fault = foreign
            shared(world, "tcp", ServicePort(port=53))
            shared(world, "udp", ServicePort(port=53, protocol="UDP"))
            await settle()
            assert world.ingress("tcp") == world.ingress("udp") == ["192.0.2.11"]
            assert contradictions(world) == []
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
            assert contradictions(world) == []
            assert {*world.ingress("b"), *world.ingress("c")} == {"192.0.2.10", "192.0.2.11"}

    run(story)


def test_an_allocation_of_a_service_that_is_not_known_yet_is_left_alone() -> None:
    """Another controller was faster than our watch of Services."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            await settle()
            world.deaf = frozenset({"services"})
            service = world.service()
            claim = ServiceClaim(namespace="default", name="web", uid=service.metadata.uid)
            spec = IPAllocationSpec(address="192.0.2.15", pool="lan", services=(claim,))
            world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name="192.0.2.15"), spec=spec))
            await settle()
            assert world.held() == {"192.0.2.15": ["web"]}
            assert world.ingress() == ["192.0.2.15"]

    run(story)


def test_an_allocation_whose_service_is_gone_is_let_go_even_where_it_was_never_known() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            claim = ServiceClaim(namespace="default", name="gone", uid="never-seen")
            spec = IPAllocationSpec(address="192.0.2.15", pool="lan", services=(claim,))
            world.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name="192.0.2.15"), spec=spec))
            await settle()
            assert world.held() == {}

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
            assert contradictions(world) == []
            assert all(world.ingress(f"old-{number}") for number in range(60))

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
            world.api.remove(SERVICES, "first", "default")
            await settle()
            assert world.ingress("waits-00") == ["192.0.2.10"]
            assert world.writes("services", "ipallocations") == [
                "delete ipallocations 192.0.2.10",
                "create ipallocations 192.0.2.10",
                "patch services/status waits-00",
            ]

    run(story)
