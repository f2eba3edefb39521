"""What the figures of a trial come to; every time is in milliseconds until :func:`seen` turns it round."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from lbprovider.lab.eyes.calls import Call
from lbprovider.lab.eyes.judge import MS, Reply, Samples, Sent
from lbprovider.lab.trials.figures import Seen, figures, misled

HOLD = 250 * MS
PERIOD = 2
CALLS = 20
A, B, STRANGER = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:ff"
STRUCK, HEALED, ENDED = 500, 1500, 2000

Told = tuple[float, str]


def answers(mac: str, start: int, end: int) -> list[Told]:
    return [(at + 0.1, mac) for at in range(start, end, PERIOD)]


def seen(
    replies: Iterable[Told],
    *,
    unasked: Iterable[Told] = (),
    late: range = range(0),
    failed: range = range(0),
    **more: Any,
) -> Seen:
    """A prober and a caller at work for 2 s, these answers and gratuitous frames; nobody asks in ``late``."""
    asked = [at for at in range(0, ENDED, PERIOD) if at not in late]
    told = [Reply(round(at * MS), mac) for at, mac in replies]
    told += [Reply(round(at * MS), mac, unasked=True) for at, mac in unasked]
    told.sort(key=lambda each: each.at)
    prober = Samples(PERIOD * MS, tuple(Sent(at * MS, at * MS) for at in asked), tuple(told))
    calls = [
        Call(at * MS, 0 if at in failed else at * MS + 1, at * MS + 2, "node1", "refused" if at in failed else "")
        for at in range(0, ENDED, CALLS)
    ]
    return Seen(
        began=0,
        struck=STRUCK * MS,
        healed=HEALED * MS,
        ended=ENDED * MS,
        prober=prober,
        switch=more.pop("switch", ()),
        far=more.pop("far", None),
        calls=tuple(calls),
        period=CALLS * MS,
        gratuitous=more.pop("gratuitous", ()),
        owners=more.pop("owners", {}),
        **more,
    )


def test_a_crash_is_silence_and_one_move() -> None:
    found = figures(seen([*answers(A, 0, 500), *answers(B, 740, 2000)]), HOLD)
    assert found.silence.length == (740 - 498) * MS
    assert found.silence.lateness == 0
    assert found.lost == 120
    assert (found.moves, found.contested, found.contested_after) == (1, 0, 0)


def test_a_handover_without_a_gap_loses_nothing_and_moves_once_though_both_answer_for_a_moment() -> None:
    found = figures(seen([*answers(A, 0, 520), *answers(B, 500, 2000)]), HOLD)
    assert found.lost == 0
    assert 18 * MS <= found.contested <= 24 * MS
    assert (found.contested_after, found.moves) == (0, 1)


def test_an_owner_of_old_that_speaks_up_after_healing_is_told_apart() -> None:
    found = figures(seen([*answers(A, 0, 500), *answers(B, 740, 2000), *answers(A, 1600, 1640)]), HOLD)
    assert found.contested == 0
    assert 38 * MS <= found.contested_after <= 44 * MS


def test_an_address_that_goes_back_has_moved_twice() -> None:
    found = figures(seen([*answers(A, 0, 500), *answers(B, 740, 1600), *answers(A, 1600, 2000)]), HOLD)
    assert found.moves == 2


def test_two_that_answer_others_are_seen_on_the_switch_alone() -> None:
    both = tuple(Reply(at * MS, mac) for at, mac in ((600, A), (601, B), (602, A), (603, B)))
    assert figures(seen(answers(A, 0, 2000), switch=both), HOLD).contested == 2 * MS


def test_an_owner_on_each_side_of_a_split_is_a_contest() -> None:
    far = Samples(PERIOD * MS, (), tuple(Reply(round(at * MS), mac) for at, mac in answers(A, 700, 1400)))
    found = figures(seen([*answers(A, 0, 500), *answers(B, 740, 2000)], far=far), HOLD)
    assert 600 * MS <= found.contested <= 700 * MS


def test_the_same_owner_on_both_sides_of_a_split_is_none() -> None:
    far = Samples(PERIOD * MS, (), tuple(Reply(round(at * MS), mac) for at, mac in answers(A, 500, 700)))
    assert figures(seen([*answers(A, 0, 500), *answers(B, 740, 2000)], far=far), HOLD).contested == 0


def test_what_a_stranger_answers_is_no_doing_of_ours() -> None:
    found = figures(seen([*answers(A, 0, 2000), *answers(STRANGER, 600, 1400)], strangers=frozenset({STRANGER})), HOLD)
    assert (found.lost, found.contested, found.moves, found.misled) == (0, 0, 0, 0)


def test_a_stranger_doesnt_fill_our_silence() -> None:
    found = figures(seen([*answers(A, 0, 600), *answers(STRANGER, 500, 2000)], strangers=frozenset({STRANGER})), HOLD)
    assert found.silence.length > 1300 * MS
    assert found.lost > 600


def test_a_prober_that_is_late_says_so() -> None:
    found = figures(seen([*answers(A, 0, 500), *answers(B, 740, 2000)], late=range(600, 650)), HOLD)
    assert found.silence.lateness == 50 * MS
    assert found.late >= 50 * MS


def test_connections_that_fail_are_counted_and_their_gap_is_measured() -> None:
    found = figures(seen(answers(A, 0, 2000), failed=range(600, 700)), HOLD)
    assert found.refused == 5
    assert found.unconnected.length == (700 - 580) * MS


def test_frames_count_from_the_fault_on_and_not_a_strangers() -> None:
    frames = tuple((at * MS, "198.51.100.200", mac) for at, mac in ((100, A), (740, B), (900, B), (950, STRANGER)))
    owners = {"198.51.100.200": A}
    found = figures(seen(answers(A, 0, 2000), gratuitous=frames, owners=owners, strangers=frozenset({STRANGER})), HOLD)
    assert found.gratuitous == 2
    assert found.announced == 240 * MS


@pytest.mark.parametrize(("owners", "after"), [({"x": A, "y": B}, 250), ({"x": B, "y": B}, 0), ({"x": A, "y": A}, 300)])
def test_of_the_addresses_that_moved_the_last_announcement_counts(owners: Mapping[str, str], after: int) -> None:
    frames = ((750 * MS, "x", B), (800 * MS, "y", B), (900 * MS, "x", B), (1600 * MS, "x", A))
    found = figures(seen([*answers(A, 0, 502), *answers(B, 740, 2000)], gratuitous=frames, owners=owners), HOLD)
    assert found.announced == round((after - 0.1) * MS if after else 0)


def test_somebody_who_answers_on_is_seen() -> None:
    assert figures(seen(answers(A, 0, 2000)), HOLD).answered_late
    assert not figures(seen([*answers(A, 0, 700), *answers(A, 1600, 2000)]), HOLD).answered_late


# --- a warm cache


def told(*steps: tuple[int, str, str]) -> tuple[Reply, ...]:
    return tuple(Reply(at * MS, mac, unasked=how == "gratuitous") for at, mac, how in steps)


def test_a_cache_that_is_told_at_once_is_never_wrong() -> None:
    assert misled(told((0, A, "reply"), (500, B, "gratuitous"), (502, B, "reply"), (2000, B, "reply"))) == 0


def test_a_cache_that_is_told_late_was_wrong_until_then() -> None:
    assert misled(told((0, A, "reply"), (500, B, "reply"), (700, B, "gratuitous"), (900, B, "reply"))) == 200 * MS


def test_a_cache_that_is_never_told_is_wrong_to_the_end() -> None:
    """What MetalLB leaves behind in 6 of 6: the winner of old comes back and says nothing."""
    back = told((0, A, "reply"), (500, B, "gratuitous"), (900, B, "reply"), (1000, A, "reply"), (1900, A, "reply"))
    assert misled(back) == 900 * MS


def test_a_cache_is_misled_by_whoever_announces_and_doesnt_answer() -> None:
    assert misled(told((0, A, "reply"), (500, B, "gratuitous"), (510, A, "reply"), (910, A, "reply"))) == 400 * MS


def test_an_address_that_nobody_answers_misleads_nobody() -> None:
    assert misled(()) == 0
