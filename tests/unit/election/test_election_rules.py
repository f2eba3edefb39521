"""Clauses of rules 18 and 19 at their own edges; the stories are in tests/sim/minority.py."""

from __future__ import annotations

from lbprovider.election.guards import ALL
from lbprovider.election.minority import Minority, Others
from lbprovider.election.outcome import Won
from lbprovider.election.segment import MemberList, Segment, grown
from tests.sim.traces import X, started
from tests.sim.world import MS, SECOND

FOUR = Segment("uid", "lan", 7, (MemberList(("a", "b", "c", "d"), 3),))
HALF = {"a", "b"}


def half_left() -> Minority:
    """One of two that hear each other, and a neighbour."""
    one = Minority("a", 0, ALL)
    one.connected()
    one.lost(SECOND)
    one.neighbour(SECOND)
    return one


def test_the_witness_keeps_the_old_list_with_half_of_it_as_its_need() -> None:
    swap = half_left().proposal(FOUR, HALF, SECOND)
    assert swap is not None
    assert swap.expected == 7
    assert swap.new.lists == (MemberList(("a", "b", "c", "d"), 2), MemberList(("a", "b"), 2))


def test_a_half_writes_at_most_once_a_hold() -> None:
    one = half_left()
    assert one.proposal(FOUR, HALF, SECOND) is not None
    assert one.proposal(FOUR, HALF, SECOND + 249 * MS) is None
    assert one.proposal(FOUR, HALF, SECOND + 250 * MS) is not None


def test_who_drains_asks_no_witness() -> None:
    world = started("ab", ALL)
    world.drain("b")
    world.run(100 * MS)
    world.crash("a")
    for after in range(0, 2000, 20):
        world.at(world.now + after * MS, lambda: world.neighbour("b"))
    world.run(2 * SECOND)
    assert world.segment.version == 1


def test_who_was_retired_or_has_left_is_no_other_half() -> None:
    """Or neighbours would be asked each period for as long as a member lives."""
    retired = started("abcd", ALL)
    retired.crash("d")
    retired.run(500 * MS)
    retired.write(grown(retired.segment, "abc", 50 * MS))
    left = started("abc", ALL)
    left.drain("c")
    left.run(200 * MS)
    left.leave("c")
    left.run(10 * MS)
    left.crash("c")
    for world, rest in ((retired, "abc"), (left, "ab")):
        world.run(3 * SECOND)
        assert world.segment.lists == (MemberList.by_majority(rest, 50 * MS),)
        assert not any(world.member(name).seeks for name in rest)


def test_what_is_won_by_the_last_resort_is_probed_first() -> None:
    world = started("abc", ALL)
    world.crash("a")
    world.crash("c")
    won: list[Won] = []
    member = world.member("b")
    world.run(SECOND)
    world.neighbour("b")
    world.leases("b", unchanged="ac")
    assert member._changing.minority.others == Others(frozenset(), frozenset("ac"))
    world.run(2 * SECOND)
    won = [detail for _, _, where, detail in world._trace if where == "b" and isinstance(detail, Won)]
    assert [(one.address, one.probe) for one in won] == [(X, True)]
