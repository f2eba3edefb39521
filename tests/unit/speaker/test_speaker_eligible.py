"""Whole speakers whose Services' endpoints and nodes change: who answers then, and that nobody is left unanswered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from lbprovider.api import names
from lbprovider.api.core import NodeCondition, NodeStatus, Taint
from lbprovider.api.resources import ALLOCATIONS, ENDPOINT_SLICES, NODES
from lbprovider.errors import Unreachable
from tests.unit.speaker.bench import VIP, Bench, run

SOON = 0.05
"""Seconds from an event of the API server to the end of the move that it asks for."""


async def local(bench: Bench, *nodes: str, backed: tuple[str, ...]) -> None:
    """Three speakers, and an address of a Service with externalTrafficPolicy Local, until it is answered."""
    await bench.three()
    bench.back(*backed)
    made = bench.allocate(VIP, *nodes)
    (claim,) = made.spec.services
    claim = msgspec.structs.replace(claim, external_traffic_policy="Local")
    spec = msgspec.structs.replace(made.spec, services=(claim,))
    bench.api.write(ALLOCATIONS, msgspec.structs.replace(made, spec=spec))
    await bench.until(lambda: bench.allocation().status.leader in backed)


async def answered(bench: Bench) -> set[str]:
    macs = await bench.ask()
    return {each.name for each in bench.nodes.values() if each.link.mac in macs}


async def moves(bench: Bench, to: str) -> None:
    """From one event on: somebody answers each question, and soon ``to`` alone."""
    until = bench.clock() + SOON
    while bench.clock() < until:
        assert await answered(bench), f"silent {until - bench.clock():.3f} s before the end"
        await asyncio.sleep(0.0005)
    for _ in range(100):
        assert await answered(bench) == {to}
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("leaving", [("n1",), ()], ids=["it terminates, and serves yet", "it is gone"])
def test_local_follows_its_endpoint_without_a_question_unanswered(leaving: tuple[str, ...]) -> None:
    async def story(bench: Bench) -> None:
        await local(bench, "n1", "n3", "n2", backed=("n1",))
        bench.back("n2", leaving=leaving)
        await moves(bench, "n2")
        reason = bench.allocation().status.leader
        assert reason == "n2"

    run(story)


def test_the_controllers_choice_and_the_endpoints_do_not_fight() -> None:
    async def story(bench: Bench) -> None:
        await local(bench, "n1", "n2", backed=("n3",))
        for backed in (("n3", "n1"), ("n3", "n1", "n2"), ("n2", "n3")):
            bench.back(*backed)
            await moves(bench, "n3")
        bench.back("n1", "n2")
        await moves(bench, "n1")

    run(story)


def test_a_service_without_an_endpoint_is_answered_by_nobody_until_it_has_one() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        await bench.led()
        bench.back(leaving=("n2",))  # the last one terminates: any node still reaches it
        await asyncio.sleep(1)
        assert await answered(bench)
        bench.api.remove(ENDPOINT_SLICES, "web-1", "default")
        await asyncio.sleep(SOON)
        assert await answered(bench) == set()
        bench.back()
        await asyncio.sleep(0.5)
        assert len(await answered(bench)) == 1

    run(story)


def test_endpoints_are_in_the_snapshot_or_local_addresses_would_have_no_owner(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await local(bench, "n1", backed=("n2",))
        await asyncio.sleep(5)
        bench.api.fault = lambda _: Unreachable("no connection to 192.0.2.1")
        bench.api.cut()
        for each in bench.nodes.values():
            await each.kill()
        for number in (1, 2, 3):
            bench.node(number)
        await asyncio.sleep(10)
        assert await answered(bench) == {"n2"}

    run(story, tmp_path)


def edit(bench: Bench, name: str, how: str) -> None:
    """What happens to a Node."""
    node = bench.api.objects(NODES)[name]
    meta, spec, status = node.metadata, node.spec, node.status
    if how == "drained":
        meta = msgspec.structs.replace(meta, annotations={names.DRAIN_ANNOTATION: ""})
    elif how == "excluded":
        meta = msgspec.structs.replace(meta, labels={names.EXCLUDE_NODE_LABEL: ""})
    elif how == "to be deleted":
        spec = msgspec.structs.replace(spec, taints=(Taint(key=names.TO_BE_DELETED_TAINT),))
    elif how == "cordoned":
        spec = msgspec.structs.replace(spec, taints=(Taint(key="node.kubernetes.io/unschedulable"),))
    else:
        condition = {"not ready": ("Ready", "False"), "no network": ("NetworkUnavailable", "True")}[how]
        kept = tuple(one for one in status.conditions if one.type != condition[0])
        status = NodeStatus(conditions=(*kept, NodeCondition(type=condition[0], status=condition[1])))
    bench.api.write(NODES, msgspec.structs.replace(node, metadata=meta, spec=spec, status=status))


@pytest.mark.parametrize("how", ["drained", "excluded", "to be deleted", "no network", "deleted"])
def test_an_address_leaves_a_node_that_may_not_announce_without_a_question_unanswered(how: str) -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        bench.allocate(VIP, "n2", "n3", "n1")
        await bench.until(lambda: bench.allocation().status.leader == "n2")
        if how == "deleted":
            bench.api.remove(NODES, "n2")
        else:
            edit(bench, "n2", how)
        await moves(bench, "n3")

    run(story)


@pytest.mark.parametrize("how", ["cordoned", "not ready"])
def test_a_cordon_and_a_node_that_is_not_ready_move_nothing(how: str) -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        bench.allocate(VIP, "n2", "n3", "n1")
        await bench.until(lambda: bench.allocation().status.leader == "n2")
        edit(bench, "n2", how)
        await moves(bench, "n2")

    run(story)


def test_a_node_whose_kube_proxy_is_not_healthy_hands_on_what_another_can_take() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        bench.allocate(VIP, "n2", "n3", "n1")
        bench.proxies.update(n1=True, n2=True, n3=True)
        await bench.until(lambda: bench.allocation().status.leader == "n2")
        bench.proxies["n2"] = False
        await never_silent(bench, 3)
        assert await answered(bench) == {"n3"}
        bench.proxies["n2"] = True
        await never_silent(bench, 3)
        assert await answered(bench) == {"n3"}
        bench.proxies["n3"] = False
        await never_silent(bench, 3)
        assert await answered(bench) == {"n2"}

    run(story)


def test_where_no_kube_proxy_is_healthy_an_owner_goes_on_until_one_is() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        owner = await bench.led()
        bench.proxies.update(dict.fromkeys(set(bench.nodes) - {owner}, False))
        await asyncio.sleep(3)
        bench.proxies[owner] = False
        await never_silent(bench, 5)
        assert await answered(bench) == {owner}
        other = min(set(bench.nodes) - {owner})
        del bench.proxies[other]  # it has ended, and its rules are in the kernel
        await never_silent(bench, 3)
        assert await answered(bench) == {other}

    run(story)


def test_all_kube_proxies_fail_at_once_and_addresses_are_answered_again_soon_by_one_that_keeps_them() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        await bench.led()
        bench.proxies.update(n1=False, n2=False, n3=False)
        await asyncio.sleep(6)
        (owner,) = await answered(bench)
        await never_silent(bench, 4)
        assert await answered(bench) == {owner}

    run(story)


def test_a_node_that_has_booted_takes_nothing_that_another_can_take() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        bench.proxies.update(n1=False, n2=False, n3=True)
        for each in bench.nodes.values():
            await each.kill()
        for number in (1, 2, 3):
            bench.node(number)
        await bench.settled(members=3)
        bench.allocate(VIP, "n1", "n2")
        await asyncio.sleep(1)
        assert await answered(bench) == {"n3"}

    run(story)


def test_a_cluster_that_has_booted_waits_for_a_kube_proxy_that_can_serve_but_not_for_ever() -> None:
    async def story(bench: Bench) -> None:
        bench.proxies.update(n1=False, n2=False, n3=False)
        await bench.three()
        bench.allocate()
        await asyncio.sleep(1.5)
        assert await answered(bench) == set()
        await asyncio.sleep(1.5)
        assert len(await answered(bench)) == 1

    run(story)


async def never_silent(bench: Bench, seconds: float) -> None:
    until = bench.clock() + seconds
    while bench.clock() < until:
        assert await answered(bench)
        await asyncio.sleep(0.005)
