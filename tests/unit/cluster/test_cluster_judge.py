"""The judge of a client's connections: what it calls silence, and what it lets nobody hide."""

import pytest

from lbprovider.lab.eyes.calls import Call, judge
from lbprovider.lab.eyes.judge import MS

PERIOD = 20 * MS


def good(at: int, took: int = 2, node: str = "node1") -> Call:
    return Call(at * MS, at * MS + 1, (at + took) * MS, node, "")


def failed(at: int, opened: int = 0) -> Call:
    return Call(at * MS, opened * MS, (at + 900) * MS, "", "TimeoutError()")


def test_without_a_fault_the_silence_is_a_period() -> None:
    verdict = judge([good(at) for at in range(0, 200, 20)], PERIOD)
    assert (verdict.silence.length, verdict.silence.lateness) == (20 * MS, 0)
    assert verdict.failed == verdict.cut == ()


def test_failed_connections_are_silence_from_the_last_answer_to_the_next() -> None:
    calls = [good(0), good(20), *(failed(at) for at in range(40, 300, 20)), good(300), good(320)]
    verdict = judge(calls, PERIOD)
    assert (verdict.silence.start, verdict.silence.end) == (22 * MS, 302 * MS)
    assert len(verdict.failed) == 13


def test_a_connection_that_waited_is_silence_though_it_came_to_success() -> None:
    verdict = judge([good(0), good(20, took=400), good(40, took=380), good(420)], PERIOD)
    assert verdict.silence.length == 418 * MS
    assert verdict.slowest == 400 * MS
    assert verdict.failed == ()


def test_one_slow_connection_among_others_is_none() -> None:
    verdict = judge([good(0), good(20, took=100), *(good(at) for at in range(40, 200, 20))], PERIOD)
    assert verdict.silence.length == 40 * MS
    assert verdict.slowest == 100 * MS


def test_a_client_that_asks_nobody_says_so() -> None:
    verdict = judge([good(0), good(20), good(220), good(240)], PERIOD)
    assert (verdict.silence.length, verdict.silence.lateness) == (200 * MS, 180 * MS)
    assert verdict.lateness == 180 * MS


def test_an_outage_that_never_ends_counts_up_to_the_last_try() -> None:
    verdict = judge([good(0), *(failed(at) for at in range(20, 520, 20))], PERIOD)
    assert verdict.silence.length == 498 * MS


def test_a_cut_connection_is_told_from_one_that_was_not_opened() -> None:
    verdict = judge([good(0), failed(20, opened=21), failed(40), good(60)], PERIOD)
    assert [call.at for call in verdict.cut] == [20 * MS]
    assert [call.at for call in verdict.failed] == [40 * MS]


def test_who_answered_is_told_in_turns() -> None:
    verdict = judge([good(0), good(20, node="node2"), good(40, node="node2"), good(60)], PERIOD)
    assert verdict.nodes == ("node1", "node2", "node1")
    assert verdict.led_by("node1", "node2", "node1")
    assert not verdict.led_by("node1", "node2")


def test_on_a_machine_that_stood_still_it_is_not_judged_who_led() -> None:
    verdict = judge([good(0), good(20, node="node2"), good(91)], PERIOD)
    assert not verdict.calm
    assert verdict.led_by("node1")


def test_of_nothing_nothing_can_be_said() -> None:
    with pytest.raises(ValueError, match="nothing can be said"):
        judge([], PERIOD)
