"""What the benches read of a process and of a speaker's metrics."""

import os
import time

import pytest

from bench.readings import Said, Share, Usage

NS_PER_S = 1_000_000_000


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


def test_shares_are_of_the_time_between_two_looks() -> None:
    before = Usage(at=7 * NS_PER_S, ran=NS_PER_S, waited=0, wakes=100)
    share = Usage(at=9 * NS_PER_S, ran=NS_PER_S + NS_PER_S // 2, waited=NS_PER_S // 10, wakes=140).since(before)
    assert share == Share(cpu=25, waited=5, wakes=20)


def test_a_process_that_works_has_used_a_processor() -> None:
    # The kernel may account tick by tick, and then in a short time for more than has passed: so it works until told.
    before = Usage.of(os.getpid())
    deadline = time.monotonic() + 10
    while (now := Usage.of(os.getpid())).ran == before.ran and time.monotonic() < deadline:
        sum(range(10_000))
    assert now.ran > before.ran
    assert now.at > before.at
    assert now.waited >= before.waited
    assert now.wakes >= before.wakes
