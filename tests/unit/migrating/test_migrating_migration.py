"""The steps of a migration over a cluster in memory: their order, what stops them, and that each can be done again."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from lbprovider.api.meta import ObjectMeta
from lbprovider.api.names import EXCLUDE_NODE_LABEL
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec, L2Advertisement
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, ENDPOINT_SLICES, NODES, POOLS
from lbprovider.errors import ClusterError, Unreachable, UserError
from lbprovider.migrating.handover import UNPROVEN
from lbprovider.migrating.kinds import (
    CARRIED,
    DAEMON_SETS,
    DEPLOYMENTS,
    METALLB_ADVERTISEMENTS,
    METALLB_STATUSES,
    Foreign,
)
from lbprovider.migrating.looking import look
from lbprovider.migrating.migration import Migration
from lbprovider.migrating.shutting import is_shut, opening, shutting
from lbprovider.migrating.workloads import is_off
from tests.fakes.api_server import Call
from tests.unit.migrating.migrating_world import OURS, SEGMENT, THEIRS, World, run

BGP = next(one for one in CARRIED if one.kind == "BGPAdvertisement")
LEGACY = next(one for one in CARRIED if one.kind == "AddressPool")


def usual(world: World) -> None:
    """Two pools with an advertisement each, and three Services, two of which share an address."""
    world.pool("lan", "192.0.2.10-192.0.2.19")
    world.pool("other", "192.0.2.30-192.0.2.39")
    world.advertisement("lan", ipAddressPools=["lan"])
    world.advertisement("other", ipAddressPools=["other"], nodeSelectors=[{"matchLabels": {}}])
    world.service("web", "192.0.2.10")
    world.service("api", "192.0.2.30")


def verbs(world: World, *wanted: tuple[str, str]) -> list[tuple[str, str, str]]:
    """Writes of these kinds, in order: verb, plural, name."""
    return [
        (call.verb, call.plural, call.name)
        for call in world.api.calls
        if (call.verb, call.plural) in wanted and not call.subresource
    ]


def all_over(world: World) -> None:
    """As it is at the end."""
    assert not any(is_shut(one) for one in world.api.objects(ADVERTISEMENTS).values())
    assert all(is_shut(one) for one in world.api.objects(METALLB_ADVERTISEMENTS).values())
    assert is_off(world.workload(DAEMON_SETS, THEIRS))
    assert world.workload(DEPLOYMENTS, THEIRS).spec.replicas == 0
    assert world.workload(DEPLOYMENTS, OURS).spec.replicas == 2
    assert world.policies() == {"metallb": "Ignore", "other": "Fail"}
    assert all(one.status.leader for one in world.api.objects(ALLOCATIONS).values())
    assert world.both == []


def test_all_of_it_in_its_order() -> None:
    async def story(world: World) -> None:
        usual(world)
        before = world.shown()
        migration = await world.migration()
        await migration.run()
        all_over(world)
        assert world.shown() == before
        assert verbs(world, ("patch", "deployments"), ("patch", "daemonsets"), ("create", "ipaddresspools")) == [
            ("patch", "deployments", "controller"),
            ("patch", "deployments", "lbprovider-controller"),
            ("create", "ipaddresspools", "lan"),
            ("create", "ipaddresspools", "other"),
            ("patch", "deployments", "lbprovider-controller"),
            ("patch", "daemonsets", "speaker"),
        ]
        # Of each pool MetalLB's is shut, ours opened; then the next pool.
        assert verbs(world, ("patch", "l2advertisements")) == [
            ("patch", "l2advertisements", name) for name in ("lan", "lan", "other", "other")
        ]
        assert {str(address) for address in migration.silences} == {"192.0.2.10", "192.0.2.30"}
        assert all(0 < silence < 1 for silence in migration.silences.values())

    run(story)


def test_ours_wait_until_metallbs_speakers_have_said_that_they_stopped() -> None:
    async def story(world: World) -> None:
        usual(world)
        await (await world.migration()).run()
        gone = next(
            index
            for index, call in enumerate(world.api.calls)
            if call.verb == "watch" and call.plural == METALLB_STATUSES.plural
        )
        opened = [
            index
            for index, call in enumerate(world.api.calls)
            if call.verb == "patch" and call.body.get("metadata", {}).get("annotations", {"": ""}) and is_opening(call)
        ]
        assert gone < min(opened)
        assert world.both == []

    run(story)


def is_opening(call: Call) -> bool:
    return call.plural == "l2advertisements" and None in call.body["metadata"]["annotations"].values()


def test_a_second_run_writes_nothing() -> None:
    async def story(world: World) -> None:
        usual(world)
        await (await world.migration()).run()
        world.api.calls.clear()
        again = await world.migration()
        await again.run()
        assert [call for call in world.api.calls if call.verb not in ("get", "list", "watch")] == []
        assert again.silences == {}

    run(story)


def test_an_open_advertisement_of_metallb_s_in_another_namespace_announces_nothing() -> None:
    # A second run took it for the one of the same name, which was shut, and refused to go on.
    async def story(world: World) -> None:
        usual(world)
        world.theirs(METALLB_ADVERTISEMENTS, "lan", {"ipAddressPools": ["lan"]}, namespace="default")
        gone = Unreachable("gone")
        world.fault = lambda call: gone if (call.verb, call.plural, call.name) == HALFWAY else None
        with pytest.raises(Unreachable):
            await (await world.migration()).run()
        world.fault = lambda _: None
        await (await world.migration()).run()
        assert not any(is_shut(one) for one in world.api.objects(ADVERTISEMENTS).values())
        assert world.both == []

    run(story)


HALFWAY = ("patch", "l2advertisements", "other")


def test_the_way_back_and_there_again() -> None:
    async def story(world: World) -> None:
        usual(world)
        said = {key: one.spec for key, one in world.api.objects(METALLB_ADVERTISEMENTS).items()}
        await (await world.migration()).run()
        await (await world.migration()).roll_back()
        await asyncio.sleep(1)
        assert {
            key: {name: value for name, value in one.spec.items() if value}
            for key, one in world.api.objects(METALLB_ADVERTISEMENTS).items()
        } == {key: dict(spec) for key, spec in said.items()}
        assert len(world.api.objects(METALLB_STATUSES)) == 2
        assert not is_off(world.workload(DAEMON_SETS, THEIRS))
        assert is_off(world.workload(DAEMON_SETS, OURS))
        assert world.workload(DEPLOYMENTS, THEIRS).spec.replicas == 1
        assert world.workload(DEPLOYMENTS, OURS).spec.replicas == 0
        assert world.policies() == {"metallb": "Fail", "other": "Fail"}
        assert world.both == []
        again = await world.migration()
        await again.run()
        all_over(world)
        # What a status said of the life before is no answer.
        assert [silence > 0 for silence in again.silences.values()] == [True, True]
        assert world._announced == {"192.0.2.10", "192.0.2.30"}

    run(story)


@pytest.mark.parametrize("broken", range(8, 40))
def test_whatever_write_ends_it_a_second_run_goes_on(broken: int) -> None:
    """The API server is gone at the n-th request that changes anything; for ``n`` beyond them nothing happens."""

    async def story(world: World) -> None:
        usual(world)
        before = world.shown()
        writes = 0

        def fault(call: Call) -> ClusterError | None:
            nonlocal writes
            writes += call.verb in ("create", "patch")
            return Unreachable("gone") if call.verb in ("create", "patch") and writes == broken - 7 else None

        world.fault = fault
        try:
            await (await world.migration()).run()
        except ClusterError:
            await (await world.migration()).run()
        all_over(world)
        assert world.shown() == before

    run(story)


def test_speakers_that_dont_stop_go_on_as_before() -> None:
    async def story(world: World) -> None:
        usual(world)
        await asyncio.sleep(1)
        world._deaf = True
        with pytest.raises(UserError, match=r"still announces default/web from n1.*changed back"):
            await (await world.migration()).run()
        assert not any(is_shut(one) for one in world.api.objects(METALLB_ADVERTISEMENTS).values())
        assert all(is_shut(one) for one in world.api.objects(ADVERTISEMENTS).values())
        assert world.both == []

    run(story)


def test_speakers_of_ours_that_dont_begin_are_said() -> None:
    async def story(world: World) -> None:
        usual(world)
        with pytest.raises(UserError, match=r"nobody has begun to answer for 192\.0\.2\.10.*--rollback"):
            await (await world.migration()).run()

    run(story, mute=True)


def test_a_pod_that_doesnt_go_is_named_with_its_node() -> None:
    async def story(world: World) -> None:
        usual(world)
        with pytest.raises(UserError, match="Pods of metallb-system/speaker are still there, on n2"):
            await (await world.migration()).run()

    run(story, stuck=("n2",))


def test_of_an_old_metallb_the_speakers_end_before_ours_begin() -> None:
    async def story(world: World) -> None:
        usual(world)
        migration = await world.migration()
        await migration.run()
        all_over(world)
        writes = verbs(world, ("patch", "daemonsets"), ("patch", "l2advertisements"))
        assert writes[:3] == [
            ("patch", "l2advertisements", "lan"),
            ("patch", "l2advertisements", "other"),
            ("patch", "daemonsets", "speaker"),
        ]

    run(story, old=True)


def test_address_pools_of_layer2_end_with_the_speakers_too() -> None:
    async def story(world: World) -> None:
        world.theirs(LEGACY, "lan", {"protocol": "layer2", "addresses": ["192.0.2.10-192.0.2.19"]})
        world.service("web", "192.0.2.10")
        await (await world.migration()).run()
        all_over(world)
        order = [(call.plural, is_opening(call)) for call in world.api.calls if call.verb == "patch"]
        assert order.index(("daemonsets", False)) < order.index(("l2advertisements", True))

    run(story)


def test_speakers_that_announce_by_bgp_are_left_on() -> None:
    async def story(world: World) -> None:
        usual(world)
        world.pool("far", "198.51.100.10-198.51.100.19")
        world.theirs(BGP, "far", {"ipAddressPools": ["far"]})
        world.service("far", "198.51.100.10")
        await (await world.migration()).run()
        assert not is_off(world.workload(DAEMON_SETS, THEIRS))
        # Adopted, so that nobody gives it another one, and announced by nobody of ours.
        assert "198.51.100.10" in world.api.objects(ALLOCATIONS)
        assert world.api.objects(ALLOCATIONS)["198.51.100.10"].status.leader == ""
        assert world.api.objects(ALLOCATIONS)["192.0.2.10"].status.leader == "n2"

    run(story)


async def problems(world: World) -> str:
    return " ".join((await look(world.api, OURS, THEIRS, 0.0)).problems)


def test_it_doesnt_begin_when_a_service_would_lose_its_address() -> None:
    async def story(world: World) -> None:
        usual(world)
        world.service("lost", "203.0.113.5")
        said = await problems(world)
        assert "default/lost" in said
        assert "203.0.113.5" in said
        assert "default/web" not in said

    run(story)


def test_it_doesnt_begin_with_an_advertisement_of_ours_that_is_open_already() -> None:
    async def story(world: World) -> None:
        usual(world)
        world.api.write(ADVERTISEMENTS, L2Advertisement(metadata=ObjectMeta(name="all", namespace=OURS)))
        assert f"L2Advertisement {OURS}/all is open already for lan, other" in await problems(world)

    run(story)


def test_it_doesnt_begin_over_an_object_that_says_something_else() -> None:
    async def story(world: World) -> None:
        usual(world)
        metadata = ObjectMeta(name="lan", namespace=OURS)
        world.api.write(POOLS, IPAddressPool(metadata=metadata, spec=IPAddressPoolSpec(addresses=("192.0.2.10",))))
        assert f"IPAddressPool {OURS}/lan is there already and says something else" in await problems(world)

    run(story)


def test_it_stops_when_a_service_came_meanwhile_that_would_lose_its_address() -> None:
    async def story(world: World) -> None:
        usual(world)
        migration: Migration = await world.migration()
        world.service("late", "203.0.113.5")
        with pytest.raises(UserError, match="default/late"):
            await migration.run()
        assert world.api.objects(POOLS) == {}
        assert world.both == []

    run(story)


def test_without_metallb_it_says_so() -> None:
    async def story(world: World) -> None:
        world.api.remove(DAEMON_SETS, "speaker", THEIRS)
        with pytest.raises(UserError, match="MetalLB is not installed in namespace metallb-system"):
            await world.migration()

    run(story)


def test_an_old_metallb_that_announces_by_bgp_keeps_its_speakers_and_is_given_time() -> None:
    async def story(world: World) -> None:
        usual(world)
        world.pool("far", "198.51.100.10-198.51.100.19")
        world.theirs(BGP, "far", {"ipAddressPools": ["far"]})
        migration = await world.migration()
        await migration.run()
        assert not is_off(world.workload(DAEMON_SETS, THEIRS))
        assert any("doesn't say when its speakers have stopped" in line for line in world.said)
        assert all(silence >= UNPROVEN for silence in migration.silences.values())

    run(story, old=True)


def test_a_status_that_changed_stops_it() -> None:
    async def story(world: World) -> None:
        usual(world)
        with pytest.raises(UserError, match=r"default/web has 192\.0\.2\.19 now, and had 192\.0\.2\.10"):
            await (await world.migration()).run()
        assert not any(is_shut(one) for one in world.api.objects(METALLB_ADVERTISEMENTS).values())

    run(story, careless=True)


def test_it_waits_for_all_speakers_to_vote() -> None:
    async def story(world: World) -> None:
        usual(world)
        with pytest.raises(UserError, match=f"not all speakers vote on {SEGMENT}"):
            await (await world.migration()).run()
        assert not any(is_shut(one) for one in world.api.objects(METALLB_ADVERTISEMENTS).values())

    run(story, voters=("n1",))


def test_metallb_goes_on_where_no_speaker_of_ours_may_announce() -> None:
    async def story(world: World) -> None:
        usual(world)
        for node in world.api.objects(NODES).values():
            metadata = msgspec.structs.replace(node.metadata, labels={EXCLUDE_NODE_LABEL: ""})
            world.api.write(NODES, msgspec.structs.replace(node, metadata=metadata))
        with pytest.raises(UserError, match=r"may announce 192\.0\.2\.10 of default/web: .*\(2 nodes\)"):
            await (await world.migration()).run()
        assert not any(is_shut(one) for one in world.api.objects(METALLB_ADVERTISEMENTS).values())
        assert world.both == []

    run(story)


def test_a_service_without_endpoints_holds_nobody_up() -> None:
    async def story(world: World) -> None:
        usual(world)
        world.api.remove(ENDPOINT_SLICES, "api", "default")
        migration = await world.migration()
        await migration.run()
        assert {str(address) for address in migration.silences} == {"192.0.2.10"}

    run(story)


def test_one_that_waits_already_remembers_what_it_said_at_first() -> None:
    said = [{"matchLabels": {"a": "b"}}]
    fresh = Foreign(metadata=ObjectMeta(name="lan"), spec={"nodeSelectors": said})
    body = shutting(fresh)
    waiting = Foreign(metadata=ObjectMeta(name="lan", annotations=body["metadata"]["annotations"]), spec=body["spec"])
    assert shutting(waiting) == body
    assert opening(waiting)["spec"] == {"nodeSelectors": said}
