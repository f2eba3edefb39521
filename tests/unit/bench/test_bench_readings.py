"""What the benches read of a process and of a speaker's metrics."""

import os

import pytest

from bench.readings import Said, Usage


def lags(*counts: int) -> dict[str, float]:
    bounds = ("0.001", "0.02", "1.0", "+Inf")
    return {f'lbprovider_loop_lag_seconds_bucket{{le="{each}"}}': n for each, n in zip(bounds, counts, strict=True)}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 1), (0.9, 1), (0.99, 20), (0.999, 1000), (1, float("inf"))])
def test_a_share_of_the_timers_is_as_late_as_its_bucket_allows(share: float, expected: float) -> None:
    assert Said(lags(90_000, 99_000, 99_999, 100_000)).lag(share) == expected


def test_changes_are_counted_by_kind_and_since_the_first_look() -> None:
    name = 'lbprovider_leader_changes_total{{change="{}",reason="{}"}}'
    before = Said({name.format("Lost", "DeadlinePassed"): 2, name.format("Won", "Released"): 7})
    now = Said({**before.samples, name.format("Lost", "DeadlinePassed"): 3, name.format("Lost", "TakenOver"): 1})
    assert now.since(before).changes("Lost") == 2
    assert now.since(before).changes("Won") == 0


def test_heartbeats_of_all_peers_count_together() -> None:
    said = Said({'lbprovider_heartbeats_total{peer="n2"}': 40, 'lbprovider_heartbeats_total{peer="n3"}': 2, "x": 1})
    assert said.heartbeats == 42


def test_a_process_has_used_no_more_than_the_time_that_passed() -> None:
    before = Usage.of(os.getpid())
    sum(range(200_000))
    share = Usage.of(os.getpid()).since(before)
    assert 0 < share.cpu <= 101
    assert share.waited >= 0
