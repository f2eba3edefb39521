from __future__ import annotations

from typing import Any

import msgspec

from lbprovider.api.core import Node
from lbprovider.api.meta import LabelSelector, ObjectMeta
from lbprovider.api.pool import FamilyCount, IPAddressPool, IPAddressPoolSpec, L2Advertisement, L2AdvertisementSpec
from lbprovider.api.registration import Attachment
from lbprovider.api.resources import ADVERTISEMENTS, NODES, POOLS, SERVICES
from tests.unit.controller.controller_world import SYSTEM, World, run, settle


def pool(world: World, name: str = "lan") -> IPAddressPool:
    return world.api.objects(POOLS)[f"{SYSTEM}/{name}"]


def said(world: World, name: str = "lan") -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in pool(world, name).status.conditions}


def advertisement(world: World, name: str = "all") -> L2Advertisement:
    return world.api.objects(ADVERTISEMENTS)[f"{SYSTEM}/{name}"]


def ready(world: World, name: str) -> tuple[str, str]:
    (found,) = advertisement(world, name).status.conditions
    return found.status, found.reason


def test_a_pool_counts_what_it_gave_and_says_when_it_is_exhausted_once() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.11")
        async with world.controller():
            world.service("a")
            await settle()
            assert pool(world).status.ipv4 == FamilyCount(total=2, assigned=1, available=1)
            assert pool(world).status.ipv6 is None
            assert said(world) == {
                "Ready": ("True", "Ready"),
                "Overlapping": ("False", "Disjoint"),
                "Exhausted": ("False", "Available"),
                "Stranded": ("False", "Covered"),
                "LanAnswersForPool": ("False", "Quiet"),
            }
            world.service("b")
            await settle()
            assert said(world)["Exhausted"] == ("True", "Exhausted")
            world.api.calls.clear()
            await settle(700)
            assert world.writes() == []
            about = [event for event in world.events() if event.involved_object.kind == "IPAddressPool"]
            assert [(event.reason, event.type, event.count) for event in about] == [("Exhausted", "Warning", 1)]
            assert about[0].message.startswith("2 of 2 IPv4 addresses are in use; add addresses")
            world.delete("b")
            await settle()
            assert said(world)["Exhausted"] == ("False", "Available")

    run(story)


def test_a_bad_pool_is_refused_by_name_and_the_others_serve() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.11", name="first")
        async with world.controller():
            await settle()
            world.pool("192.0.2.20-192.0.2.10", name="backwards")
            world.pool("192.0.2.11", name="overlaps")
            world.service()
            await settle()
            assert said(world, "backwards")["Ready"] == ("False", "InvalidEntry")
            assert said(world, "overlaps")["Ready"] == ("False", "Overlapping")
            assert said(world, "overlaps")["Overlapping"] == ("True", "Overlapping")
            assert said(world, "backwards")["Overlapping"] == ("False", "Disjoint")
            (told,) = (one for one in pool(world, "overlaps").status.conditions if one.type == "Overlapping")
            assert "overlaps 192.0.2.10-192.0.2.11 of IPAddressPool first" in told.message
            assert said(world, "first")["Ready"] == ("True", "Ready")
            assert world.ingress() == ["192.0.2.10"]
            warned = [(event.involved_object.name, event.reason, event.count) for event in world.events()]
            assert sorted(warned) == [("backwards", "InvalidEntry", 1), ("overlaps", "Overlapping", 1)]

    run(story)


def test_of_hundreds_of_bad_entries_a_condition_names_the_first_and_stays_storable() -> None:
    async def story(world: World) -> None:
        world.pool(*(f"2001:db8::{number:x}-2001:db8::" for number in range(1, 513)))
        async with world.controller():
            await settle()
            (message,) = (one.message for one in pool(world).status.conditions if one.type == "Ready")
            assert 'spec.addresses[9]: "2001:db8::a-2001:db8::" ends before it starts' in message
            assert message.endswith(" And 502 more.")
            assert len(message) < 32_768  # maxLength of the CRD

    run(story)


def test_a_pool_that_loses_a_live_address_keeps_announcing_it_and_says_so() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.advertisement()
        async with world.controller():
            world.service()
            await settle()
            shrunk = msgspec.structs.replace(pool(world), spec=IPAddressPoolSpec(addresses=("192.0.2.30",)))
            world.api.write(POOLS, shrunk)
            await settle()
            assert world.ingress() == ["192.0.2.10"]
            assert said(world)["Stranded"] == ("True", "Stranded")
            assert world.reason() == "Stranded"
            world.api.remove(POOLS, "lan", SYSTEM)
            await settle()
            assert advertisement(world).status.pools == ("lan",)
            assert world.ingress() == ["192.0.2.10"]

    run(story)


def test_an_advertisement_says_which_pools_it_comes_to() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10", name="named")
        labelled = ObjectMeta(name="labelled", namespace=SYSTEM, labels={"tier": "gold"})
        world.api.write(POOLS, IPAddressPool(metadata=labelled, spec=IPAddressPoolSpec(addresses=("192.0.2.20",))))
        specs = {
            "all": L2AdvertisementSpec(),
            "some": L2AdvertisementSpec(
                ip_address_pools=("named",), ip_address_pool_selectors=(LabelSelector(match_labels={"tier": "gold"}),)
            ),
            "missing": L2AdvertisementSpec(ip_address_pools=("named", "nowhere")),
            "nothing": L2AdvertisementSpec(ip_address_pool_selectors=(LabelSelector(match_labels={"tier": "tin"}),)),
            "services": L2AdvertisementSpec(service_selectors=(LabelSelector(match_labels={"app": "web"}),)),
        }
        for name, spec in specs.items():
            meta = ObjectMeta(name=name, namespace=SYSTEM)
            world.api.write(ADVERTISEMENTS, L2Advertisement(metadata=meta, spec=spec))
        async with world.controller():
            await settle()
            assert {name: advertisement(world, name).status.pools for name in specs} == {
                "all": ("labelled", "named"),
                "some": ("labelled", "named"),
                "missing": ("named",),
                "nothing": (),
                "services": ("labelled", "named"),
            }
            assert {name: ready(world, name) for name in specs} == {
                "all": ("True", "Ready"),
                "some": ("True", "Ready"),
                "missing": ("False", "PoolMissing"),
                "nothing": ("False", "SelectsNothing"),
                "services": ("True", "Ready"),
            }

    run(story)


def advertise(world: World, name: str = "all", **spec: Any) -> None:
    meta = ObjectMeta(name=name, namespace=SYSTEM)
    world.api.write(ADVERTISEMENTS, L2Advertisement(metadata=meta, spec=L2AdvertisementSpec(**spec)))


def node(world: World, name: str, **labels: str) -> None:
    world.api.write(NODES, Node(metadata=ObjectMeta(name=name, labels=labels)))


def told(world: World, name: str = "all") -> list[tuple[str, int]]:
    """Reason and count of each Event of an advertisement."""
    about = [event for event in world.events() if event.involved_object.kind == "L2Advertisement"]
    return [(event.reason, event.count) for event in about if event.involved_object.name == name]


GOLD = (LabelSelector(match_labels={"tier": "gold"}),)


def test_node_selectors_that_select_no_node_are_said_until_one_is_labelled() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        advertise(world, node_selectors=(*GOLD, LabelSelector(match_labels={"tier": "silver"})))
        async with world.controller():
            await settle()
            assert ready(world, "all") == ("True", "Ready")  # nothing is known of Nodes
            node(world, "n1")
            await settle()
            assert ready(world, "all") == ("False", "SelectsNoNode")
            node(world, "n1", tier="silver")
            await settle()
            assert ready(world, "all") == ("True", "Ready")
            assert told(world) == [("SelectsNoNode", 1)]

    run(story)


def test_service_selectors_that_select_none_of_the_pools_services_are_said() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.pool("192.0.2.20", name="other", auto_assign=False)
        advertise(world, service_selectors=GOLD, ip_address_pools=("lan",))
        advertise(world, "other", service_selectors=GOLD, ip_address_pools=("other",))
        async with world.controller():
            world.service()
            await settle()
            assert ready(world, "all") == ("False", "SelectsNoService")
            assert ready(world, "other") == ("True", "Ready")  # there is no Service to select
            old = world.stored()
            labelled = msgspec.structs.replace(old.metadata, labels={"tier": "gold"})
            world.api.write(SERVICES, msgspec.structs.replace(old, metadata=labelled))
            await settle()
            assert ready(world, "all") == ("True", "Ready")
            assert told(world) == [("SelectsNoService", 1)]

    run(story)


def test_interfaces_that_no_speaker_has_are_said_once_they_have_come() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        advertise(world, interfaces=("eth7",))
        advertise(world, "some", interfaces=("eth7", "eth0"))
        async with world.controller():
            await settle(30)
            assert ready(world, "all") == ("True", "Ready")  # nobody has registered
            world.speaker("n1")
            await settle(5)
            assert ready(world, "all") == ("True", "Ready")  # others may yet come
            await settle(10)
            assert ready(world, "all") == ("False", "InterfaceMissing")
            assert ready(world, "some") == ("True", "Ready")
            since = advertisement(world, "all").status.conditions[0].last_transition_time
            world.speaker("n2")
            await settle(5)
            assert ready(world, "all") == ("False", "InterfaceMissing")  # it is too early to take it back
        async with world.controller():
            await settle(30)
            (found,) = advertisement(world, "all").status.conditions
            assert (found.reason, found.last_transition_time) == ("InterfaceMissing", since)
            assert found.message == "No speaker on the Nodes that it selects has eth7, only eth0; correct interfaces."
            assert told(world) == [("InterfaceMissing", 1)]

    run(story)


def test_interfaces_are_those_of_the_nodes_that_are_selected() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        advertise(world, interfaces=("eth0",), node_selectors=GOLD)
        async with world.controller():
            world.speaker("n1")
            lan = Attachment(segment="192.0.2.0-24", interface="eth7", address="192.0.2.202", mac="02:00:00:00:00:02")
            world.register("n2", lan)
            node(world, "n2", tier="gold")
            await settle(30)
            assert ready(world, "all") == ("False", "InterfaceMissing")

    run(story)


def test_all_that_selects_nothing_is_said_with_the_first_as_the_reason() -> None:
    async def story(world: World) -> None:
        advertise(world, ip_address_pools=("nowhere",), node_selectors=GOLD)
        node(world, "n1")
        async with world.controller():
            await settle()
            assert ready(world, "all") == ("False", "PoolMissing")
            message = advertisement(world, "all").status.conditions[0].message
            assert "IPAddressPool nowhere" in message
            assert "nodeSelectors" in message

    run(story)


def test_what_changed_in_nothing_is_not_written_again_after_a_restart() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10")
        world.pool("192.0.2.10", name="overlaps")
        advertise(world, node_selectors=GOLD)
        node(world, "n1")
        async with world.controller():
            world.service()
            await settle()
        before = (pool(world), pool(world, "overlaps"), advertisement(world), len(world.events()))
        async with world.controller():
            await settle(700)
            assert (pool(world), pool(world, "overlaps"), advertisement(world), len(world.events())) == before
        assert sorted(event.reason for event in world.events()) == ["Exhausted", "Overlapping", "SelectsNoNode"]

    run(story)


def test_a_message_that_changes_moves_no_time_and_makes_no_event() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.19")
        async with world.controller():
            await settle()
            world.pool("192.0.2.19-192.0.2.25", name="second")
            await settle()
            then = "2026-01-01T00:00:00Z"
            aged = (
                msgspec.structs.replace(one, last_transition_time=then)
                for one in pool(world, "second").status.conditions
            )
            status = msgspec.structs.replace(pool(world, "second").status, conditions=tuple(aged))
            spec = IPAddressPoolSpec(addresses=("192.0.2.18-192.0.2.25",))
            world.api.write(POOLS, msgspec.structs.replace(pool(world, "second"), spec=spec, status=status))
            await settle()
            new = {one.type: one for one in pool(world, "second").status.conditions}
            for kind in ("Ready", "Overlapping"):
                assert new[kind].message.startswith("192.0.2.18-192.0.2.25 overlaps")
                assert (new[kind].last_transition_time, new[kind].observed_generation) == (then, 2)
            assert [(event.reason, event.count) for event in world.events()] == [("Overlapping", 1)]

    run(story)
