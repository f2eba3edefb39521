"""A foreign host claims what is ours: how often we defend, when it is said, when it is over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lbprovider.announce.conflicts import DEFEND_INTERVAL, QUIET, Conflicts, Look, Verdict

MS = 1_000_000
SECOND = 1000 * MS
START = 50 * SECOND
VIP, OTHER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def test_the_first_claim_is_said_and_defended_and_the_next_ones_cost_nothing() -> None:
    conflicts = Conflicts()
    assert conflicts.claimed(VIP, START) == Verdict(new=True, defend=True)
    for after in (0, MS, 9_999 * MS):
        assert conflicts.claimed(VIP, START + after) == Verdict(new=False, defend=False)
    assert conflicts.claimed(VIP, START + DEFEND_INTERVAL) == Verdict(new=False, defend=True)
    assert conflicts.claimed(VIP, START + DEFEND_INTERVAL + MS) == Verdict(new=False, defend=False)
    assert DEFEND_INTERVAL == 10 * SECOND  # RFC 5227 section 1.1


def test_each_address_has_its_own_episode() -> None:
    conflicts = Conflicts()
    conflicts.claimed(VIP, START)
    assert conflicts.claimed(OTHER, START + MS).new
    assert (VIP in conflicts, OTHER in conflicts) == (True, True)


def test_a_host_that_is_silent_is_asked_for_and_gone_after_three_unanswered_probes() -> None:
    conflicts = Conflicts()
    conflicts.claimed(VIP, START)
    now, probes, look = START, 0, Look()
    while VIP in conflicts:
        wake = conflicts.next_wake()
        assert wake is not None
        assert wake > now
        now = wake
        look = conflicts.look(now, 64)
        probes += len(look.probe)
    assert look == Look(over=(VIP,))
    assert probes == QUIET == 3
    assert now == START + (QUIET + 1) * DEFEND_INTERVAL
    assert conflicts.next_wake() is None
    assert conflicts.claimed(VIP, now).new, "another episode"


def test_one_answer_keeps_the_episode_going() -> None:
    conflicts = Conflicts()
    conflicts.claimed(VIP, START)
    now = START
    for number in range(12):
        now = conflicts.next_wake() or 0
        assert conflicts.look(now, 64).probe == (VIP,)
        if number % 3 == 2:
            # The answer comes when a defence is allowed: all have heard it.
            assert conflicts.claimed(VIP, now + MS) == Verdict(new=False, defend=True)
    assert VIP in conflicts


def test_what_is_lost_is_forgotten() -> None:
    conflicts = Conflicts()
    conflicts.claimed(VIP, START)
    conflicts.end(VIP)
    conflicts.end(VIP)
    assert conflicts.next_wake() is None
    assert conflicts.look(START + 3600 * SECOND, 64) == Look()


@given(
    events=st.lists(
        st.tuples(
            st.integers(0, 15), st.sampled_from([VIP, OTHER]), st.sampled_from(["claim", "claim", "look", "end"])
        ),
        max_size=80,
    )
)
def test_defences_are_ten_seconds_apart_and_looks_come_in_order(events: list[tuple[int, bytes, str]]) -> None:
    conflicts, now = Conflicts(), START
    defended: dict[bytes, int] = {}
    for seconds, address, kind in events:
        now += seconds * SECOND
        if kind == "claim":
            verdict = conflicts.claimed(address, now)
            if verdict.defend and not verdict.new:
                assert now - defended[address] >= DEFEND_INTERVAL
            if verdict.defend:
                defended[address] = now
        elif kind == "look":
            conflicts.look(now, 64)
            wake = conflicts.next_wake()
            assert wake is None or wake > now
        else:
            conflicts.end(address)
        looks = [episode.look_at for episode in conflicts._episodes.values()]
        assert looks == sorted(looks)


def test_no_more_are_asked_for_at_once_than_may_be_sent() -> None:
    conflicts = Conflicts()
    for number in range(10):
        conflicts.claimed(bytes((10, 0, 1, number)), START)
    now = START + DEFEND_INTERVAL
    assert [len(conflicts.look(now, most).probe) for most in (4, 0, 4, 4)] == [4, 0, 4, 2]
