"""What the controller writes for the speakers: LAN, nodes, advertisements, and what they must know of Services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.meta import LabelSelector, ObjectMeta
from lbprovider.api.names import EXCLUDE_NODE_LABEL
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec
from lbprovider.api.registration import Attachment
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, NODES, SERVICES
from lbprovider.controller.speakers import ARRIVING
from tests.unit.controller.controller_world import SYSTEM, World, run, settle

LAN, OTHER = "192.0.2.0-24", "198.51.100.0-24"
DUAL: Mapping[str, Any] = {"ip_families": ("IPv4", "IPv6"), "ip_family_policy": "RequireDualStack"}
SIX = "2001-db8-0-0-0-0-0-10"


def spec(world: World, name: str = "192.0.2.10") -> IPAllocationSpec:
    return world.api.objects(ALLOCATIONS)[name].spec


def advertise(world: World, name: str = "all", **fields: Any) -> None:
    metadata = ObjectMeta(name=name, namespace=SYSTEM)
    world.api.write(ADVERTISEMENTS, L2Advertisement(metadata=metadata, spec=L2AdvertisementSpec(**fields)))


def label(world: World, name: str, **labels: str) -> None:
    service = world.stored(name)
    metadata = msgspec.structs.replace(service.metadata, labels=labels)
    world.api.write(SERVICES, msgspec.structs.replace(service, metadata=metadata))


def app(value: str) -> tuple[LabelSelector, ...]:
    return (LabelSelector(match_labels={"app": value}),)


def attached(number: int, segment: str = LAN, interface: str = "eth0") -> Attachment:
    subnet = {LAN: "192.0.2.0/24", OTHER: "198.51.100.0/24"}[segment]
    return Attachment(
        segment=segment, interface=interface, address=f"{subnet[:-4]}{200 + number}", mac="02:0", subnets=(subnet,)
    )


def lan(world: World, *numbers: int) -> None:
    world.pool("192.0.2.10-192.0.2.19", "2001:db8::10-2001:db8::1f")
    for number in numbers:
        world.speaker(f"node-{number}", subnets=("192.0.2.0/24", "2001:db8::/64"))


def test_the_policy_of_a_service_is_written_where_speakers_see_it_and_costs_one_write_when_it_changes() -> None:
    async def story(world: World) -> None:
        lan(world, 1)
        advertise(world)
        async with world.controller():
            world.service("web", external_traffic_policy="Local")
            await settle()
            assert world.writes("ipallocations", "services") == [
                "create ipallocations 192.0.2.10", "patch services/status web",
            ]  # fmt: skip
            assert [claim.external_traffic_policy for claim in spec(world).services] == ["Local"]
            world.edit("web", external_traffic_policy="Cluster")
            await settle()
            assert [claim.external_traffic_policy for claim in spec(world).services] == ["Cluster"]
            assert world.writes("ipallocations")[1:] == ["update ipallocations 192.0.2.10"]

    run(story)


def test_which_advertisements_are_for_a_service_is_said_only_where_one_selects_services() -> None:
    async def story(world: World) -> None:
        lan(world, 1)
        advertise(world)
        async with world.controller():
            world.service("web")
            await settle()
            assert spec(world).advertisements is None
            advertise(world, "front", service_selectors=app("web"))
            await settle()
            assert spec(world).advertisements == ("all",)
            label(world, "web", app="web")
            await settle()
            assert spec(world).advertisements == ("all", "front")
            advertise(world, "all", service_selectors=app("db"))
            await settle()
            assert spec(world).advertisements == ("front",)
            writes = len(world.writes("ipallocations"))
            label(world, "web", app="web", color="blue")
            await settle()
            assert len(world.writes("ipallocations")) == writes  # nothing that an advertisement asks for
            world.api.remove(ADVERTISEMENTS, "front", SYSTEM)
            world.api.remove(ADVERTISEMENTS, "all", SYSTEM)
            advertise(world, "plain")
            await settle()
            assert spec(world).advertisements is None

    run(story)


def test_both_families_get_the_same_nodes_whichever_comes_first() -> None:
    async def story(world: World) -> None:
        lan(world, 1, 2, 3, 4, 5)
        advertise(world)
        async with world.controller():
            await settle(ARRIVING + 1)
            for number in range(3):
                world.service(f"other-{number}")
            world.service("web", **DUAL)
            await settle()
            name = world.ingress("web")[0]
            assert spec(world, name).nodes == spec(world, SIX).nodes
            assert len(spec(world, SIX).nodes) == 3
            world.service("later", ip_families=("IPv6",))
            await settle()
            before = spec(world, "2001-db8-0-0-0-0-0-11").nodes
            world.edit("later", **DUAL)
            await settle()
            four = next(each for each in world.ingress("later") if "." in each)
            assert spec(world, four).nodes == spec(world, "2001-db8-0-0-0-0-0-11").nodes == before

    run(story)


def test_a_node_that_can_not_be_of_both_does_not_part_them() -> None:
    async def story(world: World) -> None:
        lan(world, 1, 2, 3, 4)
        advertise(world)
        async with world.controller():
            await settle(ARRIVING + 1)
            world.service("web", ip_families=("IPv6",))
            await settle()
            first, second, third = spec(world, SIX).nodes
            node = world.api.objects(NODES)[third]
            excluded = msgspec.structs.replace(node.metadata, labels={EXCLUDE_NODE_LABEL: ""})
            world.api.write(NODES, msgspec.structs.replace(node, metadata=excluded))
            await settle()
            world.edit("web", **DUAL)
            await settle()
            assert spec(world).nodes[:2] == (first, second)
            assert third not in spec(world).nodes

    run(story)


def test_an_address_whose_lan_was_renumbered_goes_to_the_lan_that_its_nodes_are_on_now() -> None:
    async def story(world: World) -> None:
        world.pool("203.0.113.10-203.0.113.19")
        advertise(world, interfaces=("eth0",))
        for number in (1, 2):
            world.speaker(f"node-{number}")
        async with world.controller():
            world.service("web")
            await settle(ARRIVING + 1)
            assert spec(world, "203.0.113.10").segment == LAN
            world.register("node-1", attached(1, OTHER))
            await settle(ARRIVING + 1)
            assert spec(world, "203.0.113.10").segment == LAN  # one is there yet
            world.register("node-2", attached(2, OTHER))
            await settle(ARRIVING / 2)
            assert spec(world, "203.0.113.10").segment == LAN  # it may come back
            await settle(ARRIVING)
            assert spec(world, "203.0.113.10").segment == OTHER
            assert set(spec(world, "203.0.113.10").nodes) == {"node-1", "node-2"}

    run(story)


def test_an_address_follows_the_interfaces_that_an_admin_names() -> None:
    async def story(world: World) -> None:
        world.pool("203.0.113.10-203.0.113.19")
        advertise(world, interfaces=("eth0",))
        for number in (1, 2):
            world.speaker(f"node-{number}")
            world.register(f"node-{number}", attached(number), attached(number, OTHER, "eth1"))
        async with world.controller():
            world.service("web")
            await settle(ARRIVING + 1)
            assert spec(world, "203.0.113.10").segment == LAN
            advertise(world, interfaces=("eth1",))
            await settle()
            assert spec(world, "203.0.113.10").segment == OTHER
            advertise(world, interfaces=("eth7",))
            await settle()
            assert spec(world, "203.0.113.10").segment == OTHER  # nowhere else to go

    run(story)
