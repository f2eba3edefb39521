from __future__ import annotations

import msgspec

from lbprovider.api.meta import LabelSelector, ObjectMeta
from lbprovider.api.pool import FamilyCount, IPAddressPool, IPAddressPoolSpec, L2Advertisement, L2AdvertisementSpec
from lbprovider.api.resources import ADVERTISEMENTS, POOLS
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
            assert said(world, "first")["Ready"] == ("True", "Ready")
            assert world.ingress() == ["192.0.2.10"]
            warned = {event.involved_object.name: event.reason for event in world.events()}
            assert warned == {"backwards": "InvalidEntry", "overlaps": "Overlapping"}

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
