"""For whom a node stands in while another's speaker starts anew, and how that ends."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.announce.standin import ASKS, LONGEST, StandIn, Station, Step, Why

MS = 1_000_000
HOLD = 250 * MS
PERIOD = HOLD // ASKS
A = Station("a", b"\xc0\0\2\1", b"\2\0\0\0\0\1")
B = Station("b", b"\xc0\0\2\2", b"\2\0\0\0\0\2")
X, Y, Z = (bytes((192, 0, 2, number)) for number in (100, 101, 102))
V6 = bytes(15) + b"\1"


def standing(*addresses: bytes, station: Station = A, now: int = 0) -> StandIn:
    one = StandIn()
    for address in addresses:
        one.begin(address, station, HOLD, now)
    return one


@dataclass
class Seen:
    """What came of a while, with a node that answers each question at once until it dies."""

    own: dict[bytes, tuple[Why, int]] = field(default_factory=dict)
    hand: list[dict[bytes, str]] = field(default_factory=list)
    asked: int = 0


def wait(
    one: StandIn, start: int, end: int, *, dies: int = 1 << 62, mac: bytes = A.mac, back: frozenset[str] = frozenset()
) -> Seen:
    seen = Seen()
    now = start
    while (wake := one.next_wake()) is not None and wake <= end:
        now = max(now, wake)
        step = one.due(now, back)
        seen.own |= {address: (why, now) for address, why in step.own.items()}
        if step.hand:
            seen.hand.append(dict(step.hand))
        for station in step.ask:
            seen.asked += 1
            if now < dies:
                one.heard(station.address, mac, now + MS)
    return seen


def test_nobody_is_stood_in_for_at_first() -> None:
    one = StandIn()
    assert (one.of(X), one.next_wake(), one.stations, list(one.addresses)) == (None, None, (), [])
    assert one.due(0, frozenset({"a"})) == Step()


def test_an_address_is_answered_for_in_the_place_of_its_node_and_asked_about_each_period() -> None:
    one = standing(X, Y, V6)
    assert (one.of(X), one.of(V6), one.of(Z)) == (A, A, None)
    assert one.stations == (A,)
    seen = wait(one, 0, 10_000 * MS)
    assert seen.own == {}
    assert seen.hand == []
    assert seen.asked == 10_000 * MS // PERIOD + 1  # once for the node, not once for each address


def test_the_new_speaker_is_handed_everything_until_it_has_taken_it() -> None:
    one = standing(X, Y)
    seen = wait(one, 0, 300 * MS, back=frozenset({"a", "b"}))
    assert seen.hand == [{X: "a", Y: "a"}] * 7  # whatever could not be handed at one moment comes again
    one.end(X)
    one.end(X)
    assert one.of(X) is None
    assert wait(one, 300 * MS, 400 * MS, back=frozenset({"a"})).hand == [{Y: "a"}] * 2
    one.end(Y)
    assert one.next_wake() is None


def test_another_node_that_is_back_is_handed_nothing() -> None:
    assert wait(standing(X), 0, 1000 * MS, back=frozenset({"b"})).hand == []


@pytest.mark.parametrize("dies", [0, 3 * MS, 49 * MS, 500 * MS, 530 * MS])
def test_a_node_that_dies_is_followed_within_a_hold_and_a_period_of_its_last_answer(dies: int) -> None:
    one = standing(X, Y)
    seen = wait(one, 0, 5_000 * MS, dies=dies)
    assert set(seen.own) == {X, Y}
    assert {why for why, _ in seen.own.values()} == {Why.NODE_SILENT}
    assert all(HOLD - PERIOD <= at - dies <= HOLD + PERIOD for _, at in seen.own.values())
    assert (one.of(X), one.next_wake()) == (None, None)


def test_an_answer_from_another_hardware_address_is_none() -> None:
    seen = wait(standing(X), 0, 5_000 * MS, mac=B.mac)
    assert {why for why, _ in seen.own.values()} == {Why.NODE_SILENT}


def test_another_node_s_answers_say_nothing_of_this_one() -> None:
    one = standing(X)
    one.begin(Y, B, HOLD, 0)
    own: dict[bytes, Why] = {}
    for number in range(8):
        step = one.due(number * PERIOD, frozenset())
        one.heard(B.address, B.mac, number * PERIOD + MS)
        own |= step.own
    assert own == {X: Why.NODE_SILENT}
    assert one.of(Y) == B


def test_a_process_that_was_stopped_asks_anew_before_it_judges() -> None:
    one = standing(X)
    wait(one, 0, 1_000 * MS)
    late = 10_000 * MS
    assert one.due(late, frozenset()) == Step(ask=(A,))
    one.heard(A.address, A.mac, late + MS)
    assert wait(one, late, late + 1_000 * MS).own == {}


def test_a_speaker_that_is_not_back_in_time_has_lost_the_address() -> None:
    one = standing(X, Y, now=7 * MS)
    seen = wait(one, 7 * MS, 7 * MS + 2 * LONGEST)
    assert {why for why, _ in seen.own.values()} == {Why.NOT_BACK}
    assert all(LONGEST <= at - 7 * MS <= LONGEST + PERIOD for _, at in seen.own.values())


def test_a_later_address_of_the_same_node_does_not_prolong_the_wait() -> None:
    one = standing(X)
    wait(one, 0, LONGEST // 2)
    one.begin(Y, A, HOLD, LONGEST // 2)
    assert set(wait(one, LONGEST // 2, LONGEST + PERIOD).own) == {X, Y}


def test_the_wait_for_another_restart_of_the_same_node_begins_anew() -> None:
    one = standing(X)
    wait(one, 0, LONGEST - MS)
    one.end(X)  # handed back
    one.begin(X, A, HOLD, LONGEST)
    assert wait(one, LONGEST, LONGEST + LONGEST // 2).own == {}


def test_a_node_that_has_moved_on_the_lan_is_looked_for_where_it_is_now() -> None:
    one = standing(X)
    moved = Station("a", A.address, B.mac)
    one.begin(Y, moved, HOLD, 10 * MS)
    assert (one.of(X), one.of(Y), one.stations) == (moved, moved, (moved,))
    assert wait(one, 10 * MS, 1_000 * MS, mac=B.mac).own == {}


def test_what_the_node_may_not_announce_any_more_is_our_own_at_once() -> None:
    one = standing(X, Y)
    assert one.unfit({X, Z}) == Step(own={X: Why.NOT_ELIGIBLE})
    assert (one.of(X), one.of(Y)) == (None, A)


def test_who_starts_anew_itself_hands_back_what_it_can_and_shows_the_rest_as_its_own() -> None:
    one = standing(X, Y)
    one.begin(Z, B, HOLD, 0)
    step = one.leave(frozenset({"b"}), returning=True)
    assert step == Step(own=dict.fromkeys((X, Y), Why.LEAVING), hand={Z: "b"})
    assert one.stations == (B,)  # until it has taken it


def test_who_goes_for_good_hands_back_what_it_can_and_on_what_is_left() -> None:
    one = standing(X, Y)
    one.begin(Z, B, HOLD, 0)
    assert one.leave(frozenset({"b", "c"}), returning=False) == Step(hand={Z: "b"})
    assert one.of(X) == A


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("begin"), st.sampled_from([X, Y, Z]), st.sampled_from([A, B])),
            st.tuples(st.just("end"), st.sampled_from([X, Y, Z]), st.none()),
            st.tuples(st.just("heard"), st.none(), st.sampled_from([A, B])),
            st.tuples(st.just("due"), st.none(), st.sampled_from([A, B, None])),
            st.tuples(st.just("unfit"), st.sampled_from([X, Y, Z]), st.none()),
        ),
        max_size=60,
    )
)
def test_an_address_is_stood_in_for_or_our_own_and_never_both(
    events: list[tuple[str, bytes | None, Station | None]],
) -> None:
    one, now = StandIn(), 0
    held: set[bytes] = set()
    for what, address, station in events:
        now += 30 * MS
        if what == "begin" and address is not None and station is not None:
            one.begin(address, station, HOLD, now)
            held.add(address)
        elif what == "end" and address is not None:
            one.end(address)
            held.discard(address)
        elif what == "heard" and station is not None:
            one.heard(station.address, station.mac, now)
        else:
            back = frozenset() if station is None else frozenset({station.node})
            step = one.due(now, back) if address is None else one.unfit({address})
            assert step.own.keys() <= held
            held -= step.own.keys()
            assert step.hand.keys() <= held
            assert all(one.of(each) == next(s for s in (A, B) if s.node == node) for each, node in step.hand.items())
        assert set(one.addresses) == held
        assert {one.of(each) for each in held} == set(one.stations)
        assert (one.next_wake() is None) == (not held)
