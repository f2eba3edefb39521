"""The verdicts of trials: what meets its target passes, and each planted miss fails or is void."""

from dataclasses import replace

import pytest

from lbprovider.lab.eyes.judge import MS, Silence
from lbprovider.lab.trials.figures import Figures
from lbprovider.lab.trials.runner import Bounds
from lbprovider.lab.trials.target import CRASH, NOTHING, PLANNED, RESTART, UNSERVED, WITNESS, Target
from lbprovider.lab.trials.verdicts import Sample, Verdict, misses, of_run, of_trial, still

HOLD = 250 * MS


def gap(length: int, late: int = 0) -> Silence:
    return Silence(0, length * MS, late * MS)


GOOD = Figures(
    silence=gap(240),
    lost=120,
    contested=0,
    contested_after=0,
    misled=0,
    unconnected=gap(260),
    refused=10,
    cut=1,
    gratuitous=8,
    announced=240 * MS,
    moves=1,
    late=3 * MS,
    answered_late=True,
)
PERFECT = replace(GOOD, silence=gap(4), lost=0, unconnected=gap(25), refused=0, announced=0)


def missed(seen: Figures, target: Target, addresses: int = 1) -> list[str]:
    return [each.what for each in misses(seen, target, HOLD, addresses)]


def sample(seen: Figures | None, target: Target = CRASH, problem: str = "") -> Sample:
    found = () if seen is None else misses(seen, target, HOLD, 1)
    late = still(target, HOLD)
    return Sample(number=1, figures=seen, hold=HOLD, still=late, cause="", load=0.5, problem=problem, misses=found)


def test_a_crash_within_its_target_passes() -> None:
    assert missed(GOOD, CRASH) == []


@pytest.mark.parametrize(("silent", "late", "ok"), [(300, 0, True), (301, 0, False), (315, 15, True), (316, 15, False)])
def test_a_silence_of_more_than_a_fifth_over_hold_fails_but_for_the_probers_own_lateness(
    silent: int, late: int, *, ok: bool
) -> None:
    assert (missed(replace(GOOD, silence=gap(silent, late)), CRASH) == []) is ok


def test_a_planned_move_may_lose_nothing() -> None:
    assert missed(replace(PERFECT, contested=500 * MS), PLANNED) == []
    assert missed(replace(PERFECT, lost=1), PLANNED) == ["requests unanswered"]
    assert missed(replace(PERFECT, refused=1), PLANNED) == ["new connections failed"]
    assert missed(replace(PERFECT, contested=501 * MS), PLANNED) == ["two MACs"]


def test_outside_a_planned_move_two_may_never_answer() -> None:
    assert missed(replace(GOOD, contested=1), CRASH) == ["two MACs"]
    assert missed(replace(PERFECT, moves=0, contested=1), NOTHING) == ["two MACs"]


def test_after_healing_not_even_a_planned_move_excuses_two() -> None:
    assert missed(replace(PERFECT, contested_after=1), PLANNED) == ["two MACs after healing"]


def test_a_fault_that_is_none_of_the_owners_moves_nothing() -> None:
    assert missed(replace(PERFECT, moves=1), NOTHING) == ["moves"]
    assert missed(replace(PERFECT, moves=0), NOTHING) == []


def test_a_warm_cache_must_be_told() -> None:
    assert missed(replace(GOOD, misled=900 * MS), CRASH) == ["a warm cache was misled for"]


def test_every_address_is_announced_in_time_and_many_take_a_little_longer() -> None:
    late = replace(GOOD, announced=390 * MS)
    assert missed(late, CRASH) == ["the last address was announced after"]
    assert missed(late, CRASH, addresses=100) == []


def test_connections_come_back_as_soon_as_answers_do() -> None:
    assert missed(replace(GOOD, unconnected=gap(351)), CRASH) == ["no new connection for"]
    assert missed(replace(GOOD, unconnected=gap(351, 5)), CRASH) == []


def test_the_witness_takes_a_second() -> None:
    slow = replace(GOOD, silence=gap(990), unconnected=gap(1010), announced=980 * MS)
    assert missed(slow, WITNESS) == []
    assert missed(replace(slow, silence=gap(1001)), WITNESS) == ["silence"]


def test_where_nobody_may_serve_it_is_silence_that_is_asked_for() -> None:
    silent = replace(GOOD, silence=gap(3000), moves=0, answered_late=False)
    assert missed(silent, UNSERVED) == []
    assert missed(replace(silent, answered_late=True), UNSERVED) == ["answered"]


# --- samples, trials, runs

LATE = replace(GOOD, late=21 * MS)


def test_a_sample_of_a_prober_that_was_late_is_void_whatever_it_says() -> None:
    assert sample(GOOD).verdict is Verdict.OK
    assert sample(replace(GOOD, late=20 * MS)).verdict is Verdict.OK
    assert sample(LATE).verdict is Verdict.VOID
    assert sample(replace(LATE, silence=gap(900))).verdict is Verdict.VOID
    assert sample(replace(GOOD, silence=gap(900))).verdict is Verdict.FAILED


def test_a_prober_may_be_later_where_more_time_is_given() -> None:
    slow = replace(GOOD, silence=gap(1300))
    for target, least in ((RESTART, 166), (WITNESS, 66), (PLANNED, 20), (CRASH, 20)):
        assert still(target, HOLD) // MS == least
    assert sample(replace(slow, late=160 * MS), RESTART).verdict is Verdict.OK
    assert sample(replace(slow, late=170 * MS), RESTART).verdict is Verdict.VOID
    assert sample(replace(slow, silence=gap(2501), late=160 * MS), RESTART).verdict is Verdict.FAILED


def test_no_lateness_excuses_two_owners_or_a_trial_that_broke_off() -> None:
    assert sample(replace(LATE, contested=MS)).verdict is Verdict.FAILED
    assert sample(LATE, problem="not within 8 s").verdict is Verdict.FAILED
    assert sample(None, problem="no lab").verdict is Verdict.FAILED


def test_the_worst_sample_counts() -> None:
    good, bad, void = sample(GOOD), sample(replace(GOOD, silence=gap(900))), sample(LATE)
    assert of_trial([good, good], 2) is Verdict.OK
    assert of_trial([good, bad, good], 3) is Verdict.FAILED
    assert of_trial([void, good, void, good], 2) is Verdict.OK
    assert of_trial([void, good, void, void], 2) is Verdict.VOID


def test_more_than_a_tenth_of_void_samples_void_the_run_and_a_failure_stays_one() -> None:
    good, void = sample(GOOD), sample(LATE)
    assert of_run([Verdict.OK] * 9, [good] * 9 + [void]) is Verdict.OK
    assert of_run([Verdict.OK], [void, good]) is Verdict.OK
    assert of_run([Verdict.OK] * 18, [good] * 18 + [void] * 2) is Verdict.OK
    assert of_run([Verdict.OK] * 17, [good] * 17 + [void] * 2) is Verdict.VOID
    assert of_run([Verdict.OK, Verdict.VOID], [good] * 99 + [void]) is Verdict.VOID
    assert of_run([Verdict.FAILED, Verdict.VOID], [good, void]) is Verdict.FAILED


def test_void_samples_are_taken_again_until_the_run_is_void_whatever_comes() -> None:
    good, void = sample(GOOD), sample(LATE)
    bounds = Bounds(1, 20)
    assert bounds.more([])
    assert not bounds.more([good])
    assert bounds.more([void, void])
    assert not bounds.more([void, void, void])
    for _ in range(3):
        bounds.took(void)
    assert not bounds.more([void])
    assert bounds.more([])
