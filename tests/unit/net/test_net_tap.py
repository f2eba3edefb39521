"""When a frame was seen: the one clock's time out of the other's."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from lbprovider.net.tap import clock_offset

AHEAD = -1_700_000_000_000_000_000
"""What the offset is in truth: the wall clock counts from 1970, the monotonic one from the machine's start."""


def measured(pauses: list[int]) -> int:
    """The offset, by a reader that loses the processor for so many nanoseconds before each reading of a clock."""
    waits: Iterator[int] = iter(pauses)
    now = 5_000_000_000

    def monotonic() -> int:
        nonlocal now
        now += next(waits)
        return now

    return clock_offset(monotonic, lambda: monotonic() - AHEAD)


def test_a_pause_between_the_clocks_dates_no_frame_back() -> None:
    assert measured([0, 90_000, 50, 50, 50, 50, 50, 50, 50]) == AHEAD
    assert measured([0, 50, 90_000, 50, 50, 50, 50, 90_000, 50]) == AHEAD


@given(st.lists(st.integers(0, 1_000_000), min_size=9, max_size=9))
def test_the_error_is_at_most_half_of_the_least_pause(pauses: list[int]) -> None:
    least = min(pauses[at + 1] + pauses[at + 2] for at in (0, 3, 6))
    assert abs(measured(pauses) - AHEAD) <= least // 2 + 1
