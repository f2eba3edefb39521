from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.api.meta import ObjectMeta
from lbprovider.api.segment import MemberList as ObjectList
from lbprovider.api.segment import Segment as SegmentObject
from lbprovider.api.segment import SegmentSpec
from lbprovider.election.parts import Parts, cut_lists, joined_lists
from lbprovider.election.segment import (
    MemberList,
    Segment,
    cleared,
    from_object,
    grown,
    majority,
    period_ns,
    with_lists,
)
from lbprovider.errors import InvalidObject
from lbprovider.wire.heartbeat import MAX_DATAGRAM, Echo, Heartbeat, encode, scope

MS = 1_000_000
THREE = MemberList(("a", "b", "c"), 2)


def nodes(count: int) -> tuple[str, ...]:
    return tuple(f"node-{index:03}" for index in range(count))


@pytest.mark.parametrize(
    ("count", "period_ms", "hold_ms"),
    [(1, 50, 250), (3, 50, 250), (26, 50, 250), (27, 50, 260), (100, 50, 990), (500, 50, 4990), (3, 1000, 5000)],
)
def test_hold_is_five_periods_and_grows_above_26_members(count: int, period_ms: int, hold_ms: int) -> None:
    one = MemberList(nodes(count), majority(count), period_ms * MS)
    assert one.hold == hold_ms * MS
    assert Segment("u", "lan", 1, (one,)).period == hold_ms * MS // 5


def test_between_two_lists_the_shorter_hold_is_counted_on_and_the_longer_waited_for() -> None:
    segment = Segment("u", "lan", 2, (THREE, MemberList(nodes(100), 51)))
    assert (segment.hold, segment.hmax) == (250 * MS, 990 * MS)


@pytest.mark.parametrize(
    ("heard", "quorum"),
    [("ab", False), ("abd", True), ("ad", False), ("bcde", True), ("cde", False), ("", False), ("abcde", True)],
)
def test_a_quorum_is_one_of_every_list(heard: str, quorum: bool) -> None:  # noqa: FBT001
    segment = Segment("u", "lan", 2, (THREE, MemberList(("b", "c", "d", "e"), 2)))
    expected = quorum and len(set(heard) & set("abc")) >= 2
    assert segment.quorum(set(heard)) is expected


def test_growth_adds_a_list_and_clearing_drops_the_old_one() -> None:
    segment = Segment("u", "lan", 1, (MemberList(("a",), 1),))
    joint = grown(segment, ["c", "a", "b", "a"], 50 * MS)
    assert joint.version == 2
    assert joint.lists == (MemberList(("a",), 1), THREE)
    assert joint.in_force == THREE
    assert cleared(joint).lists == (THREE,)
    assert cleared(joint).version == 3
    with pytest.raises(ValueError, match="still changes"):
        grown(joint, ["d"], 50 * MS)


def test_clearing_asks_for_a_majority_whatever_the_list_needed() -> None:
    assert cleared(Segment("u", "lan", 7, (THREE, MemberList(("a", "b"), 1)))).in_force.need == 2


def test_alone_is_who_is_the_only_member_of_every_list() -> None:
    one = MemberList(("a",), 1)
    assert Segment("u", "lan", 1, (one, one)).alone("a")
    assert not Segment("u", "lan", 1, (one, MemberList(("a", "b"), 2))).alone("a")
    assert not Segment("u", "lan", 1, (one,)).alone("b")


@pytest.mark.parametrize(("wish", "period_ms"), [(None, 50), (50, 50), (10, 50), (200, 200), (5000, 1000)])
def test_the_period_stays_within_what_is_allowed(wish: int | None, period_ms: int) -> None:
    assert period_ns(wish) == period_ms * MS


def test_an_object_comes_back_as_it_was() -> None:
    spec = SegmentSpec(
        subnets=("192.0.2.0/24",),
        heartbeat_period=200,
        version=4,
        lists=(ObjectList(members=("a", "b"), need=2), ObjectList(members=("a", "c"), need=2, heartbeat_period=200)),
    )
    segment = from_object(SegmentObject(metadata=ObjectMeta(name="lan", uid="u"), spec=spec))
    assert segment.lists[0].period == 50 * MS, "the wish of the spec does not change a list that exists"
    assert segment.lists[1].period == 200 * MS
    assert with_lists(spec, segment) == spec


@pytest.mark.parametrize("lists", [(), (ObjectList(members=(), need=1),)])
def test_an_object_without_members_is_said_so(lists: tuple[ObjectList, ...]) -> None:
    with pytest.raises(InvalidObject, match=r"Segment lan spec\.lists: has no members"):
        from_object(SegmentObject(metadata=ObjectMeta(name="lan", uid="u"), spec=SegmentSpec(lists=lists)))


@pytest.mark.parametrize("count", [1, 3, 26, 100, 500])
def test_lists_travel_in_parts_that_fit(count: int) -> None:
    names = tuple(f"ip-10-0-{index // 250}-{index % 250}.eu-west-1.compute.internal" for index in range(count))
    old = MemberList(tuple(sorted(names[: count // 2 + 1])), 1, 100 * MS)
    segment = Segment("u", "lan", 9, (old, MemberList(tuple(sorted(names)), majority(count))))
    parts: Parts[tuple[str, int]] = Parts()
    whole = None
    for lists in cut_lists(segment):
        beat = Heartbeat(
            cluster=scope("c"), segment=scope("s"), node="n" * 253, incarnation=1, sent=1, number=0, hold=250 * MS,
            version=9, settled=8, ver=1, candidate=True, echo=Echo(1, 1, 250 * MS, 1), lists=lists,
        )  # fmt: skip
        assert len(encode(beat)) + 19 <= MAX_DATAGRAM
        whole = parts.add(9, lists.part, lists.parts, lists.members)
    assert whole is not None
    assert joined_lists(cut_lists(segment)[0].lists, whole) == segment.lists


@given(st.permutations(range(5)), st.integers(0, 4))
def test_parts_come_in_any_order_and_twice(order: list[int], twice: int) -> None:
    parts: Parts[int] = Parts()
    seen: set[int] = set()
    for part in [twice, *order]:
        seen.add(part)
        whole = parts.add(3, part, 5, (part, part))
        assert (whole is not None) == (len(seen) == 5)
        if whole is not None:
            assert whole == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)
            break


def test_a_newer_version_does_not_mix_with_parts_of_an_older_one() -> None:
    parts: Parts[int] = Parts()
    assert parts.add(1, 0, 2, (1,)) is None
    assert parts.add(2, 1, 2, (4,)) is None
    assert parts.add(2, 0, 2, (3,)) == (3, 4)
