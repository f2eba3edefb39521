"""An address that no node may announce says so, once, with why; whoever leads it says the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from lbprovider.api.allocation import IneligibleNodes, IPAllocation, IPAllocationStatus
from lbprovider.api.conditions import ANNOUNCED
from lbprovider.api.meta import Condition, LabelSelector, ObjectMeta
from lbprovider.api.names import EXCLUDE_NODE_LABEL
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec
from lbprovider.api.registration import ANNOTATION, Attachment, Registration
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, LEASES, NODES
from lbprovider.controller.announcing import PAUSE, SETTLE
from lbprovider.controller.speakers import ARRIVING
from lbprovider.errors import Unreachable
from tests.unit.controller.controller_world import SYSTEM, World, run, settle

ADDRESS = "192.0.2.10"
LONG = ARRIVING + 2 * SETTLE


def label(world: World, node: str, labels: Mapping[str, str]) -> None:
    there = world.api.objects(NODES)[node]
    metadata = msgspec.structs.replace(there.metadata, labels=labels)
    world.api.write(NODES, msgspec.structs.replace(there, metadata=metadata))


def exclude(world: World, node: str, **labels: str) -> None:
    label(world, node, {EXCLUDE_NODE_LABEL: "", **labels})


def allocation(world: World, address: str = ADDRESS) -> IPAllocation:
    return world.api.objects(ALLOCATIONS)[address]


def announced(world: World, address: str = ADDRESS) -> Condition | None:
    return allocation(world, address).condition(ANNOUNCED)


def lead(world: World, node: str, address: str = ADDRESS) -> None:
    there = allocation(world, address)
    said = Condition(type=ANNOUNCED, status="True", reason="Unclaimed")
    status = IPAllocationStatus(leader=node, since="2026-01-01T00:00:00Z", eligible=1, conditions=(said,))
    world.api.write(ALLOCATIONS, msgspec.structs.replace(there, status=status))


def ready(world: World, *nodes: str, **spec: Any) -> None:
    world.pool("192.0.2.10-192.0.2.99")
    advertisement = L2Advertisement(metadata=ObjectMeta(name="all", namespace=SYSTEM), spec=L2AdvertisementSpec(**spec))
    world.api.write(ADVERTISEMENTS, advertisement)
    for node in nodes:
        world.speaker(node)


def test_a_cluster_of_control_planes_is_told_which_label_to_take_off() -> None:
    async def story(world: World) -> None:
        ready(world, "n1")
        exclude(world, "n1")
        world.service()
        async with world.controller():
            await settle(LONG)
            said = announced(world)
            assert said is not None
            assert (said.status, said.reason) == ("False", "NoEligibleNode")
            assert said.message == (
                "No node may announce 192.0.2.10: NodeExcluded (1); take the label "
                "node.kubernetes.io/exclude-from-external-load-balancers off a node (kubeadm puts it on control "
                "planes), or run the speakers with --ignore-exclude-label."
            )
            assert allocation(world).status.ineligible == (IneligibleNodes(reason="NodeExcluded", nodes=1),)
            assert world.warnings() == [("web", "NoEligibleNode")]
            world.api.calls.clear()
            await settle(700)
            assert world.writes() == []

    run(story)


def test_speakers_that_ignore_the_label_are_believed() -> None:
    async def story(world: World) -> None:
        ready(world, "n1")
        exclude(world, "n1")
        attachment = Attachment(
            segment="192.0.2.0-24", interface="eth0", address="192.0.2.201", mac="02:00:00:00:00:01",
            subnets=("192.0.2.0/24",),
        )  # fmt: skip
        lease = world.api.objects(LEASES)[f"{SYSTEM}/n1"]
        told = Registration(incarnation=1, attachments=(attachment,), ignores_exclude_label=True)
        metadata = msgspec.structs.replace(lease.metadata, annotations={ANNOTATION: told.encode()})
        world.api.write(LEASES, msgspec.structs.replace(lease, metadata=metadata))
        world.service()
        async with world.controller():
            await settle(LONG)
            assert announced(world) is None

    run(story)


def test_each_reason_is_counted_and_the_most_frequent_one_advised_about() -> None:
    async def story(world: World) -> None:
        ready(world, "n1", "n2", "n3", node_selectors=(LabelSelector(match_labels={"role": "lb"}),))
        exclude(world, "n3", role="lb")
        world.service()
        async with world.controller():
            await settle(LONG)
            said = announced(world)
            assert said is not None
            assert "NodeNotSelected (2), NodeExcluded (1); let nodeSelectors of an" in said.message
            exclude(world, "n2", role="lb")
            await settle(LONG)
            said = announced(world)
            assert said is not None
            assert "NodeNotSelected (1), NodeExcluded (2); take the label" in said.message
            assert world.warnings() == [("web", "NoEligibleNode")]

    run(story)


def test_without_any_speaker_there_is_nothing_to_say_of_single_addresses() -> None:
    async def story(world: World) -> None:
        world.pool("192.0.2.10-192.0.2.99")
        world.service()
        async with world.controller():
            await settle(LONG)
            assert announced(world) is None
            assert [write for write in world.writes() if "ipallocations/status" in write] == []

    run(story)


def test_what_passes_within_seconds_is_not_said() -> None:
    async def story(world: World) -> None:
        ready(world, "n1", "n2")
        world.service()
        async with world.controller():
            await settle(LONG)
            exclude(world, "n1")
            exclude(world, "n2")
            await settle(SETTLE / 2)
            label(world, "n1", {})
            await settle(LONG)
            assert announced(world) is None

    run(story)


def test_a_node_that_leads_again_has_the_last_word_and_it_costs_the_controller_nothing() -> None:
    async def story(world: World) -> None:
        ready(world, "n1")
        world.service()
        async with world.controller():
            await settle(LONG)
            lead(world, "n1")
            exclude(world, "n1")
            await settle(LONG)
            status = allocation(world).status
            assert (status.leader, status.eligible) == ("n1", 0)
            assert announced(world) is not None
            label(world, "n1", {})
            lead(world, "n1")
            world.api.calls.clear()
            await settle(LONG)
            said = announced(world)
            assert said is not None
            assert (said.status, said.reason) == ("True", "Unclaimed")
            assert world.writes() == []

    run(story)


def test_when_a_node_may_announce_again_and_none_says_that_it_does_that_is_said() -> None:
    async def story(world: World) -> None:
        ready(world, "n1")
        exclude(world, "n1")
        world.service()
        async with world.controller():
            await settle(LONG)
            label(world, "n1", {})
            await settle(LONG)
            said = announced(world)
            assert said is not None
            assert (said.status, said.reason) == ("Unknown", "EligibleNodes")
            assert allocation(world).status.ineligible == ()
            world.api.calls.clear()
            await settle(700)
            assert world.writes() == []

    run(story)


def test_many_at_once_are_said_one_after_the_other() -> None:
    async def story(world: World) -> None:
        ready(world, "n1")
        exclude(world, "n1")
        for number in range(50):
            world.service(f"web-{number}")
        async with world.controller():
            await settle(ARRIVING + SETTLE + 1)
            said = sum(bool(one.status.conditions) for one in world.api.objects(ALLOCATIONS).values())
            assert 0 < said <= 1 / PAUSE + 2
            await settle(60)
            assert all(one.status.conditions for one in world.api.objects(ALLOCATIONS).values())

    run(story)


def test_what_fails_is_not_tried_faster_than_what_succeeds() -> None:
    async def story(world: World) -> None:
        ready(world, "n1")
        exclude(world, "n1")
        for number in range(50):
            world.service(f"web-{number}")
        async with world.controller():
            await settle(ARRIVING)
            world.api.calls.clear()
            world.api.fault = lambda call: Unreachable("refused") if call.subresource == "status" else None
            await settle(SETTLE + 1)
            assert 0 < len([write for write in world.writes() if "ipallocations/status" in write]) <= 1 / PAUSE + 2
            world.api.fault = lambda _: None
            await settle(60)
            assert all(one.status.conditions for one in world.api.objects(ALLOCATIONS).values())

    run(story)


@pytest.mark.parametrize("leader", ["", "n2"])
def test_a_speaker_that_writes_meanwhile_is_not_overwritten(leader: str) -> None:
    async def story(world: World) -> None:
        ready(world, "n1")
        exclude(world, "n1")
        world.service()
        async with world.controller():
            world.deaf = frozenset({"ipallocations"})
            await settle(ARRIVING)
            lead(world, leader)
            await settle(LONG)
            said = announced(world)
            assert said is not None
            assert said.reason == "Unclaimed", "what the controller knew was older"

    run(story)
