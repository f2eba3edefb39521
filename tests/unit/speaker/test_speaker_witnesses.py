"""What Leases tell of nodes that the election can't hear, by this node's own clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from lbprovider.api.registration import Attachment, Registration
from lbprovider.api.resources import SEGMENTS
from lbprovider.election.minority import Others
from lbprovider.errors import Forbidden
from lbprovider.speaker.witnesses import ANSWERS, UNCHANGED, Witnesses
from tests.unit.speaker.bench import SEGMENT, Bench, run

SECOND = 1_000_000_000
LAN = "192.0.2.0-24"
MEMBERS = ("n2", "n3")
SWAP = "update", SEGMENTS.plural


def registered(segment: str = LAN, *, sees: bool = True) -> Registration:
    there = Attachment(segment=segment, interface="eth0", address="", mac="", sees_neighbours=sees)
    return Registration(incarnation=1, attachments=(there,))


@dataclass
class World:
    """Leases that are renewed each 10 s, those of the nodes that do so."""

    last_resort: bool = True
    now: int = 5 * SECOND
    renewals: int = 0
    witnesses: Witnesses = field(init=False)

    def __post_init__(self) -> None:
        self.witnesses = Witnesses("n1", lambda: self.now, last_resort=self.last_resort)

    def renew(self, *nodes: str, seconds: int = 0) -> None:
        """So long, each 10 s, the last time at the end."""
        for _ in range(seconds // 10 + 1):
            self.renewals += 1
            for node in nodes:
                self.witnesses.renewed(node, f"uid {self.renewals}")
            if seconds:
                self.now += 10 * SECOND

    def unchanged(self) -> frozenset[str] | None:
        return self.witnesses.others(LAN, MEMBERS, {}).unchanged


def test_nothing_is_known_before_our_own_lease_came_back() -> None:
    world = World()
    world.renew("n2", "n3")
    world.now += 10 * UNCHANGED
    assert world.unchanged() is None


def test_a_lease_that_stands_still_for_long_says_that_its_node_is_gone() -> None:
    world = World()
    world.renew("n1", "n2", "n3")
    world.now += 9 * SECOND
    world.renew("n1", "n2", seconds=20)
    assert world.unchanged() == frozenset()
    world.now = 5 * SECOND + UNCHANGED - 1
    assert world.unchanged() == frozenset()
    world.now += 1
    assert world.unchanged() == frozenset({"n3"})
    world.renew("n3")
    assert world.unchanged() == frozenset()


def test_the_same_lease_again_as_after_a_list_is_no_renewal() -> None:
    world = World()
    for _ in range(5):
        world.renew("n1")
        world.witnesses.renewed("n2", "uid once")
        world.now += 10 * SECOND
    assert world.unchanged() == frozenset({"n2", "n3"})


def test_a_member_whose_lease_is_gone_or_never_was_counts_as_one_that_stands_still() -> None:
    world = World()
    world.renew("n1", "n2")
    world.renew("n1", "n2", seconds=30)
    world.witnesses.renewed("n2", "")
    assert world.unchanged() == frozenset({"n3"})
    world.renew("n1", seconds=40)
    assert world.unchanged() == frozenset({"n2", "n3"})


def test_while_the_api_server_does_not_answer_nothing_is_said() -> None:
    world = World()
    world.renew("n1", seconds=100)
    world.renew("n1")
    assert world.unchanged() == frozenset({"n2", "n3"})
    world.now += ANSWERS - 1
    assert world.unchanged() == frozenset({"n2", "n3"})
    world.now += 1
    assert world.unchanged() is None


def test_what_stood_still_while_it_did_not_answer_counts_from_when_it_does_again() -> None:
    world = World()
    world.renew("n1", "n2", "n3", seconds=100)
    world.now += 1000 * SECOND
    world.renew("n1")
    assert world.unchanged() == frozenset()
    world.renew("n1", "n2", seconds=UNCHANGED // SECOND)
    assert world.unchanged() == frozenset({"n3"})


def test_where_the_last_resort_is_switched_off_no_lease_ever_says_that_a_node_is_gone() -> None:
    world = World(last_resort=False)
    world.renew("n1", seconds=100)
    assert world.witnesses.others(LAN, MEMBERS, {"n1": registered()}) == Others(frozenset({"n1"}), None)


@pytest.mark.parametrize(
    ("what", "sighted"),
    [(registered(), True), (registered(sees=False), False), (registered("another"), False)],
)
def test_who_sees_a_neighbour_on_this_lan_is_a_witness_while_its_lease_is_fresh(
    what: Registration, *, sighted: bool
) -> None:
    world = World()
    world.renew("n1", "n2")
    assert world.witnesses.others(LAN, MEMBERS, {"n2": what}).sighted == ({"n2"} if sighted else set())
    world.now += UNCHANGED
    assert world.witnesses.others(LAN, MEMBERS, {"n2": what}).sighted == set()
    assert world.witnesses.others(LAN, MEMBERS, {"n9": what}).sighted == set()


def test_nodes_that_come_and_go_leave_nothing_behind() -> None:
    world = World()
    for number in range(1000):
        world.witnesses.renewed(f"node-{number}", "uid 1")
        world.witnesses.renewed(f"node-{number}", "")
        world.now += SECOND
    assert len(world.witnesses._changed_at) <= UNCHANGED // SECOND + 1
    assert not world.witnesses._written


def test_what_leases_said_when_a_quorum_was_missing_before_counts_for_nothing_when_one_is_again() -> None:
    """Else a node that is cut off from a LAN would take its addresses from the others, who are long back and serve."""

    async def story(bench: Bench) -> None:
        await bench.three()
        for name in ("n2", "n3"):
            await bench.nodes.pop(name).kill()
        bench.api.fault = lambda call: Forbidden("no swap") if (call.verb, call.plural) == SWAP else None
        await asyncio.sleep(60)
        bench.node(2)
        bench.node(3)
        await bench.settled(members=3)
        bench.api.fault = lambda _: None
        there = bench.api.objects(SEGMENTS)[SEGMENT].spec
        await asyncio.sleep(5)
        bench.lan.cut.add(bench.nodes["n1"].link.mac)
        await asyncio.sleep(15)
        assert bench.api.objects(SEGMENTS)[SEGMENT].spec == there

    run(story)
