"""The token bucket that all who send on one LAN share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.announce.pace import FRAMES_PER_SECOND, Pace

SECOND = 1_000_000_000
START = 50 * SECOND


def round_of(pace: Pace, now: int, *wanted: int) -> list[bool]:
    pace.begin(now)
    return [pace.take(each, now) for each in wanted]


def test_a_burst_after_a_quiet_time_is_a_sixteenth_of_a_second() -> None:
    pace = Pace(160)
    assert round_of(pace, START, *[1] * 11) == [True] * 10 + [False]
    assert FRAMES_PER_SECOND == 4_000


def test_what_needs_one_frame_does_not_overtake_what_needs_two() -> None:
    pace = Pace(10)
    assert round_of(pace, START, 2, 2, 1) == [True, False, False]
    # A tenth of a second later there is room for one frame, and the first in line still needs two.
    assert round_of(pace, START + SECOND // 10, 2, 1) == [False, False]
    assert round_of(pace, START + SECOND // 5, 2, 1) == [True, False]


def test_the_room_is_what_may_still_be_taken() -> None:
    pace = Pace(160)
    assert round_of(pace, START, 2, 2) == [True, True]
    assert pace.room(START) == 6
    assert round_of(pace, START, *[1] * 7) == [True] * 6 + [False]
    assert pace.room(START) == 0


@pytest.mark.parametrize("per_second", [1, 10, 4000])
def test_when_it_is_ready_two_frames_may_go(per_second: int) -> None:
    pace = Pace(per_second)
    now = START
    while round_of(pace, now, 2) == [True]:
        pass
    ready = pace.ready_at()
    assert round_of(pace, ready - 1, 2) == [False]
    assert round_of(pace, ready, 2) == [True]


@given(steps=st.lists(st.tuples(st.integers(0, SECOND), st.integers(1, 2)), max_size=60), rate=st.integers(1, 5000))
def test_the_rate_is_never_exceeded_by_more_than_a_burst(steps: list[tuple[int, int]], rate: int) -> None:
    pace, now, sent = Pace(rate), START, 0
    for passed, frames in steps:
        now += passed
        sent += frames * round_of(pace, now, frames).count(True)
    burst = max(2, rate // 16)
    assert sent <= burst + (now - START) / (SECOND // rate) + 1e-6
