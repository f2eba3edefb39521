"""Speakers that end: for good, to start anew, and drained by an annotation. In virtual time."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from lbprovider.api import names
from lbprovider.api.core import Node, NodeCondition, NodeSpec, NodeStatus, Taint
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.registration import registration
from lbprovider.api.resources import LEASES, NODES, SEGMENTS
from lbprovider.errors import Unreachable
from lbprovider.speaker.leaving import LEAVE, why_for_good
from tests.unit.speaker.bench import NAMESPACE, SEGMENT, Bench, Running, run

HOLD = 0.25
READY = NodeStatus(conditions=(NodeCondition(type="Ready", status="True"),))
NODE = Node(metadata=ObjectMeta(name="n1"), status=READY)
ANNOTATED = ObjectMeta(name="n1", annotations={names.DRAIN_ANNOTATION: ""})


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (NODE, ""),
        (msgspec.structs.replace(NODE, spec=NodeSpec(taints=(Taint(key="other"),))), ""),
        (None, "its Node is deleted"),
        (msgspec.structs.replace(NODE, metadata=ObjectMeta(name="n1", deletion_timestamp="x")), "its Node is deleted"),
        (
            msgspec.structs.replace(NODE, spec=NodeSpec(taints=(Taint(key=names.TO_BE_DELETED_TAINT),))),
            "its Node is to be deleted",
        ),
        (msgspec.structs.replace(NODE, metadata=ANNOTATED), "its Node is drained"),
        (msgspec.structs.replace(NODE, status=NodeStatus()), "its Node is not ready"),
        (msgspec.structs.replace(NODE, spec=NodeSpec(unschedulable=True)), "its Node is cordoned"),
    ],
)
def test_a_speaker_that_is_told_to_end_means_to_be_back_unless_its_node_goes(node: Node | None, why: str) -> None:
    assert why_for_good(node) == why


def annotate(bench: Bench, name: str, *, drained: bool) -> None:
    node = bench.api.objects(NODES)[name]
    annotations = {names.DRAIN_ANNOTATION: "true"} if drained else {}
    bench.api.write(
        NODES, msgspec.structs.replace(node, metadata=msgspec.structs.replace(node.metadata, annotations=annotations))
    )


def owned(node: Running) -> int:
    agent = node.speaker._agent
    assert agent is not None
    return agent.owned


def is_candidate(node: Running, peer: str) -> bool:
    """Whether a node has heard on the LAN that another one takes addresses, whatever the API server has told it."""
    agent = node.speaker._agent
    assert agent is not None
    found = agent._lans[SEGMENT].member._peers.get(peer)
    return found is not None and found.candidate


def members(bench: Bench) -> tuple[str, ...]:
    """The members, while there is one list of them."""
    first, *others = bench.api.objects(SEGMENTS)[SEGMENT].spec.lists
    return () if others else first.members


def test_a_drained_node_hands_on_without_a_question_unanswered_and_takes_nothing_until_undrained() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = bench.nodes[await bench.led()]
        annotate(bench, leader.name, drained=True)
        for _ in range(500):
            assert await bench.ask()
            await asyncio.sleep(0.001)
        assert owned(leader) == 0
        (other,) = await bench.ask()
        assert other != leader.link.mac
        assert not leader.speaker.why_not_ready()  # it goes on voting
        others = [each for each in bench.nodes.values() if each is not leader]
        assert not any(is_candidate(each, leader.name) for each in others)
        assert members(bench) == ("n1", "n2", "n3")
        for each in [each for each in bench.nodes.values() if each.link.mac == other]:
            await bench.nodes.pop(each.name).kill()
        await asyncio.sleep(2 * HOLD)
        (third,) = await bench.ask()
        assert third not in (leader.link.mac, other)
        annotate(bench, leader.name, drained=False)
        await asyncio.sleep(1)
        assert await bench.ask() == [third]  # nothing moves back
        assert is_candidate(next(each for each in bench.nodes.values() if each is not leader), leader.name)
        assert owned(leader) == 0

    run(story)


def test_a_drained_node_stays_drained_through_a_restart_and_takes_addresses_once_it_is_the_only_one_and_undrained() -> (
    None
):
    async def story(bench: Bench) -> None:
        bench.node(1)
        bench.node(2)
        await bench.settled(members=2)
        annotate(bench, "n1", drained=True)
        bench.allocate()
        await bench.until(lambda: bench.allocation().status.leader == "n2")
        await bench.nodes["n1"].kill()
        bench.node(1)
        await bench.settled(members=2)
        annotate(bench, "n2", drained=True)
        await asyncio.sleep(2)
        assert await bench.ask() == []  # an admin asked for that
        annotate(bench, "n1", drained=False)
        await bench.until(lambda: bench.allocation().status.leader == "n1", within=2)

    run(story)


def test_of_two_the_one_that_ends_gives_its_vote_back_first_and_the_other_serves_alone() -> None:
    async def story(bench: Bench) -> None:
        bench.node(1)
        bench.node(2)
        await bench.settled(members=2)
        leader = bench.nodes.pop(await bench.led())
        (other,) = bench.nodes.values()
        leader.stop.set()
        began = bench.clock()
        while not leader.task.done():
            assert await bench.ask()
            await asyncio.sleep(0.001)
        await leader.task
        assert 2 * HOLD <= bench.clock() - began <= 3  # rules 15 and 17, and an API server that answers at once
        assert members(bench) == (other.name,)
        for _ in range(1000):
            assert await bench.ask()
            await asyncio.sleep(0.003)
        bench.node(int(leader.name[1:]))
        await bench.settled(members=2)

    run(story)


def test_who_has_given_its_vote_back_is_not_made_a_member_before_it_ends() -> None:
    async def story(bench: Bench) -> None:
        bench.node(1)
        bench.node(2)
        await bench.settled(members=2)
        leaver = bench.nodes.pop("n1")
        agent = leaver.speaker._agent
        assert agent is not None
        agent.has_left = lambda: False  # type: ignore[method-assign]  # it stays for as long as it may
        leaver.stop.set()
        await bench.until(lambda: members(bench) == ("n2",))
        await asyncio.sleep(2)
        assert not leaver.task.done()
        assert members(bench) == ("n2",)
        told = registration(bench.api.objects(LEASES)[f"{NAMESPACE}/n1"])
        assert told is not None
        assert [one.leaving for one in told.attachments] == [True]
        await leaver.task
        bench.node(1)
        await bench.settled(members=2)

    run(story)


def test_without_the_api_server_it_ends_all_the_same_after_a_while() -> None:
    async def story(bench: Bench) -> None:
        bench.node(1)
        bench.node(2)
        await bench.settled(members=2)
        leader = bench.nodes.pop(await bench.led())
        bench.api.fault = lambda _: Unreachable("refused")
        bench.api.cut()
        began = bench.clock()
        leader.stop.set()
        while not leader.task.done():
            assert await bench.ask()
            await asyncio.sleep(0.001)
        assert LEAVE <= bench.clock() - began <= LEAVE + 1
        await leader.task

    run(story)


def test_where_enough_are_left_nobody_waits_for_the_list() -> None:
    async def story(bench: Bench) -> None:
        for number in range(1, 6):
            bench.node(number)
        await bench.settled(members=5)
        leader = bench.nodes.pop(await bench.led())
        began = bench.clock()
        leader.stop.set()
        await leader.task
        assert bench.clock() - began < HOLD
        assert len(members(bench)) == 5

    run(story)
