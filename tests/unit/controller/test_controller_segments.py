from __future__ import annotations

import msgspec
import pytest

from lbprovider.api.meta import ObjectMeta
from lbprovider.api.registration import Attachment
from lbprovider.api.resources import ALLOCATIONS, LEASES, SEGMENTS
from lbprovider.api.segment import MemberList, Segment, SegmentSpec
from tests.fakes.api_server import Call
from tests.unit.controller.controller_world import SYSTEM, World, run, settle

LAN = "192.0.2.0-24"
SUBNETS = ("192.0.2.0/24",)


def condition(segment: Segment, kind: str = "NodesUnheard") -> tuple[str, str]:
    (found,) = [one for one in segment.status.conditions if one.type == kind]
    return found.status, found.reason


def segment(world: World, name: str = LAN) -> Segment:
    return world.api.objects(SEGMENTS)[name]


def test_a_segment_is_made_with_its_first_speaker_and_grows_as_others_are_heard() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.advertisement()
        async with world.controller():
            await settle()
            assert world.api.objects(SEGMENTS) == {}
            world.speaker("node-1")
            await settle()
            assert segment(world).spec.lists == (MemberList(members=("node-1",), need=1),)
            assert segment(world).spec.subnets == ("192.0.2.0/24",)
            assert (segment(world).status.live, segment(world).status.members) == (1, 1)
            world.speaker("node-2")
            await settle()
            assert segment(world).spec.version == 1  # not heard yet
            world.speaker("node-1", "node-2")
            await settle()
            assert segment(world).spec.version == 2
            assert segment(world).spec.lists[-1] == MemberList(members=("node-1", "node-2"), need=2)

    run(story)


def test_a_network_that_no_address_needs_gets_no_segment() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.advertisement()
        lan = Attachment(segment=LAN, interface="eth0", address="192.0.2.201", mac="02:0", subnets=("192.0.2.0/24",))
        storage = Attachment(
            segment="203.0.113.0-24", interface="eth1", address="203.0.113.1", mac="02:1", subnets=("203.0.113.0/24",)
        )
        world.register("node-1", storage, lan)
        async with world.controller():
            await settle()
            assert list(world.api.objects(SEGMENTS)) == [LAN]

    run(story)


def test_a_pool_that_is_not_announced_needs_no_segment() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        world.speaker("node-1")
        async with world.controller():
            world.service()
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            assert world.api.objects(SEGMENTS) == {}

    run(story)


def test_a_blocked_port_is_said_once_after_ten_seconds() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.advertisement()
        async with world.controller():
            world.speaker("node-1")
            await settle()
            world.speaker("node-2")
            await settle(5)
            assert condition(segment(world)) == ("False", "AllHeard")
            await settle(30)
            assert condition(segment(world)) == ("True", "NodesUnheard")
            said = [event for event in world.events() if event.reason == "NodesUnheard"]
            assert [(event.type, event.count) for event in said] == [("Warning", 1)]
            assert "node-2" in said[0].message
            world.speaker("node-1", "node-2")
            await settle(5)
            assert condition(segment(world)) == ("False", "AllHeard")

    run(story)


def test_a_member_that_was_faster_is_learnt_from() -> None:
    """A member clears the lists (rule 17) at the moment in which the controller writes its own change."""

    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.advertisement()
        async with world.controller():
            world.speaker("node-1")
            await settle()

            def faster(_: Call) -> None:
                now = segment(world)
                spec = msgspec.structs.replace(now.spec, version=7)
                world.api.write(SEGMENTS, msgspec.structs.replace(now, spec=spec))

            world.before_first("update", "segments", faster)
            world.speaker("node-2")
            world.speaker("node-1", "node-2")
            await settle()
            assert segment(world).spec.version == 7
            world.speaker("node-1", "node-2")  # in that version now
            await settle()
            assert segment(world).spec.version == 8
            assert len(segment(world).spec.lists) == 2

    run(story)


def test_an_address_finds_its_lan_when_the_first_speaker_comes() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.advertisement()
        async with world.controller():
            world.service()
            await settle()
            assert world.api.objects(ALLOCATIONS)["192.0.2.10"].spec.segment == ""
            world.speaker("node-1")
            await settle()
            assert world.api.objects(ALLOCATIONS)["192.0.2.10"].spec.segment == LAN

    run(story)


def test_addresses_are_spread_evenly_and_stay_until_their_nodes_are_gone() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.40")
        world.advertisement()
        for number in (1, 2, 3, 4):
            world.speaker(f"node-{number}")
        async with world.controller():
            await settle(20)  # no longer arriving
            for number in range(12):
                world.service(f"web-{number}")
            await settle()

            def nodes() -> dict[str, tuple[str, ...]]:
                return {key: one.spec.nodes for key, one in world.api.objects(ALLOCATIONS).items()}

            before = nodes()
            firsts = [found[0] for found in before.values()]
            assert sorted(firsts.count(f"node-{number}") for number in (1, 2, 3, 4)) == [3, 3, 3, 3]
            assert all(len(set(found)) == 3 for found in before.values())
            world.api.remove(LEASES, "node-1", SYSTEM)
            await settle(20)
            assert nodes() == before  # two of the three are left
            for number in (2, 3):
                world.api.remove(LEASES, f"node-{number}", SYSTEM)
            await settle(20)
            lost = {key for key, found in before.items() if "node-4" not in found}
            assert lost
            assert nodes() == before | dict.fromkeys(lost, ("node-4",))

    run(story)


def renew(world: World, node: str, number: int) -> None:
    lease = world.api.objects(LEASES)[f"{SYSTEM}/{node}"]
    spec = msgspec.structs.replace(lease.spec, renew_time=f"2026-01-01T00:{number:02}:00.000000Z")
    world.api.write(LEASES, msgspec.structs.replace(lease, spec=spec))


def test_a_member_that_nobody_hears_for_half_a_minute_is_taken_off_the_list() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.advertisement()
        lists = (MemberList(members=("node-1", "node-2", "node-3"), need=2),)
        world.api.write(
            SEGMENTS, Segment(metadata=ObjectMeta(name=LAN), spec=SegmentSpec(subnets=SUBNETS, version=7, lists=lists))
        )
        world.speaker("node-1", "node-2", "node-3")
        world.speaker("node-2", "node-1", "node-3")
        world.speaker("node-3", "node-1", "node-2")
        async with world.controller():
            await settle(5)
            world.speaker("node-1", "node-2")
            world.speaker("node-2", "node-1")  # node-3's Lease stays as it was
            await settle(25)
            assert segment(world).spec.version == 7
            renew(world, "node-1", 1)
            renew(world, "node-2", 1)
            await settle(15)
            assert segment(world).spec.version == 8
            assert segment(world).spec.lists[-1] == MemberList(members=("node-1", "node-2"), need=2)

    run(story)


@pytest.mark.parametrize("renewing", [(), ("node-3",), ("node-2", "node-3")])
def test_nobody_is_dead_because_those_that_hear_it_are_cut_from_the_api_server(renewing: tuple[str, ...]) -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.advertisement()
        nodes = ("node-1", "node-2", "node-3")
        lists = (MemberList(members=nodes, need=2),)
        world.api.write(
            SEGMENTS, Segment(metadata=ObjectMeta(name=LAN), spec=SegmentSpec(subnets=SUBNETS, version=7, lists=lists))
        )
        for node in nodes:
            world.speaker(node, *(other for other in nodes if other != node))
        async with world.controller():
            for number in range(12):
                await settle(10)
                for node in renewing:
                    renew(world, node, number)
                world.pool("192.0.2.10", name=f"another-{number}")  # something that has all Segments looked at
            assert segment(world).spec.version == 7

    run(story)


def test_serving_without_a_quorum_is_said() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.advertisement()
        lists = (MemberList(members=("node-1",), need=1, last_resort=True),)
        world.api.write(
            SEGMENTS, Segment(metadata=ObjectMeta(name=LAN), spec=SegmentSpec(subnets=SUBNETS, version=7, lists=lists))
        )
        world.speaker("node-1")
        async with world.controller():
            await settle(5)
            assert condition(segment(world), "ServingWithoutQuorum") == ("True", "QuorumLost")
            said = [event for event in world.events() if event.reason == "QuorumLost"]
            assert [(event.type, event.count) for event in said] == [("Warning", 1)]
            world.speaker("node-1", "node-2")
            world.speaker("node-2", "node-1")
            await settle(5)
            assert segment(world).spec.lists[-1] == MemberList(members=("node-1", "node-2"), need=2)
            assert condition(segment(world), "ServingWithoutQuorum") == ("False", "Quorum")

    run(story)
