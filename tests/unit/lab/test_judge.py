"""What the judge makes of a prober's samples; every time is in milliseconds until :func:`ask` turns it round."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from lbprovider.lab.eyes.judge import MS, PATIENCE, Reply, Samples, Sent, contests, interleaved, judge, unanswered

PERIOD = 2
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
LATENCY = 0.1


def ask(until: float, replies: Iterable[tuple[float, str]], late: Mapping[int, float] | None = None) -> Samples:
    """Requests each 2 ms, some of them late, and these replies."""
    late = late or {}
    sent = [
        Sent(round((due + late.get(due, 0)) * MS), due * MS)
        for due in range(0, round(until), PERIOD)
        if late.get(due, 0) >= 0
    ]
    told = sorted((Reply(round(at * MS), mac) for at, mac in replies), key=lambda reply: reply.at)
    return Samples(PERIOD * MS, tuple(sent), tuple(told))


def answering(mac: str, start: int, end: int, latency: float = LATENCY) -> list[tuple[float, str]]:
    """A responder that answers every request from one time to another."""
    return [(at + latency, mac) for at in range(start, end, PERIOD)]


def test_one_owner_that_answers_all_is_silent_for_a_period() -> None:
    verdict = judge(ask(1000, answering(A, 0, 1000)))
    assert verdict.requests == 500
    assert verdict.unanswered == 0
    assert verdict.silence.length == PERIOD * MS
    assert verdict.macs == (A,)
    assert verdict.contests == ()
    assert verdict.lateness == 0


def test_an_outage_is_measured_from_the_last_reply_to_the_first_one_after() -> None:
    verdict = judge(ask(2000, [*answering(A, 0, 600), *answering(B, 900, 2000)]))
    assert verdict.silence.length == (900 - 598) * MS
    assert verdict.silence.lateness == 0
    assert verdict.unanswered == 150
    assert verdict.macs == (A, B)
    assert verdict.contests == ()


def test_a_silence_that_never_ends_counts_until_the_last_request() -> None:
    verdict = judge(ask(2000, answering(A, 0, 600)))
    assert verdict.silence.length == round((1998 - 598 - LATENCY) * MS)


def test_a_silence_before_the_first_reply_counts_from_the_first_request() -> None:
    assert judge(ask(1000, answering(A, 400, 1000))).silence.end == round((400 + LATENCY) * MS)


def test_nobody_answers() -> None:
    verdict = judge(ask(1000, []))
    assert verdict.silence.length == 998 * MS
    assert verdict.macs == ()
    assert "nobody" in str(verdict)


def test_a_silence_of_the_prober_itself_is_told_apart() -> None:
    # It had no processor from 500 to 540: those requests were never sent, and the next came 40 ms late.
    skipped = dict.fromkeys(range(502, 540, PERIOD), -1.0)
    samples = ask(1000, [*answering(A, 0, 502), *answering(A, 540, 1000)], late={**skipped, 540: 0})
    verdict = judge(samples)
    assert verdict.silence.length == 40 * MS
    assert verdict.silence.lateness == 38 * MS
    assert verdict.unanswered == 0


def test_a_machine_that_stood_still_in_the_midst_of_a_silence_is_told_apart() -> None:
    # It stood still after the request of 502, from 504 to 640, and the prober was the first to wake.
    skipped = dict.fromkeys(range(504, 640, PERIOD), -1.0)
    samples = ask(1000, [*answering(A, 0, 502), (640.2, A), *answering(A, 640, 1000, 0.3)], late=skipped)
    verdict = judge(samples)
    assert verdict.silence.length == round((640.2 - 500.1) * MS)
    assert verdict.silence.lateness == (640 - 502 - 2) * MS


def test_lateness_elsewhere_does_not_excuse_a_silence() -> None:
    skipped = dict.fromkeys(range(202, 280, PERIOD), -1.0)
    verdict = judge(ask(2000, [*answering(A, 0, 202), *answering(A, 280, 600), *answering(A, 900, 2000)], skipped))
    assert verdict.silence.length == 302 * MS
    assert verdict.silence.lateness == 0


def test_jitter_adds_up_to_no_lateness() -> None:
    jitter = dict.fromkeys(range(502, 700, 4), 0.4)
    verdict = judge(ask(1000, [*answering(A, 0, 500), *answering(A, 700, 1000)], jitter))
    assert verdict.silence.length == 202 * MS
    assert verdict.silence.lateness == 0


def test_lateness_is_the_worst_of_all_requests() -> None:
    assert judge(ask(100, answering(A, 0, 100), {40: 1.5, 60: 0.5})).lateness == round(1.5 * MS)


def test_without_a_request_nothing_can_be_said() -> None:
    with pytest.raises(ValueError, match="no request was sent"):
        judge(Samples(PERIOD * MS, (), ()))


def test_two_that_answer_every_request_are_a_contest_for_all_that_time() -> None:
    samples = ask(1000, [*answering(A, 0, 1000), *answering(B, 400, 600, LATENCY + 0.05)])
    (contest,) = contests(samples)
    assert contest.macs == {A, B}
    assert 400 * MS <= contest.start <= 401 * MS
    assert 598 * MS <= contest.end <= 602 * MS


def test_two_that_answer_one_single_request_are_a_contest() -> None:
    samples = ask(1000, [*answering(A, 0, 502), *answering(B, 500, 1000, LATENCY + 0.05)])
    (contest,) = contests(samples)
    assert (contest.start, set(contest.macs)) == (500 * MS, {A, B})


@pytest.mark.parametrize("silent", [0, 300])
def test_a_clean_change_of_owners_is_no_contest(silent: int) -> None:
    assert contests(ask(2000, [*answering(A, 0, 500), *answering(B, 500 + silent, 2000)])) == ()


def test_gratuitous_frames_answer_no_request() -> None:
    told = [Reply(round(at * MS), B, unasked=True) for at in (499.5, 499.6, 515.5, 515.6)]
    clean = ask(1000, [*answering(A, 0, 500), *answering(B, 500, 1000)])
    seen = replace(clean, replies=tuple(sorted([*clean.replies, *told], key=lambda reply: reply.at)))
    assert contests(seen) == ()
    lost = ask(1000, [*answering(A, 0, 496), *answering(B, 500, 1000)])
    seen = replace(lost, replies=tuple(sorted([*lost.replies, *told], key=lambda reply: reply.at)))
    assert [each.at for each in unanswered(seen)] == [496 * MS, 498 * MS]
    amid = replace(clean, replies=tuple(sorted([*clean.replies, Reply(301 * MS, B, unasked=True)], key=lambda r: r.at)))
    (contest,) = contests(amid)  # whoever announces while another answers has it too
    assert contest.macs == {A, B}


def test_the_late_last_reply_of_the_old_owner_is_no_contest() -> None:
    # It answers the request of 498 only at 500.05, just before the new owner answers that of 500.
    samples = ask(1000, [*answering(A, 0, 498), (500.05, A), *answering(B, 500, 1000)])
    assert contests(samples) == ()


def test_a_stale_reply_after_the_new_owner_has_answered_is_a_contest() -> None:
    # A process that woke up and answered what had waited in its socket.
    samples = ask(2000, [*answering(A, 0, 500), *answering(B, 800, 2000), (850.5, A)])
    (contest,) = contests(samples)
    assert contest.macs == {A, B}
    assert contest.start == round(850.5 * MS)


def test_a_responder_that_answers_late_and_all_at_once_has_answered_all() -> None:
    burst = [(560 + index / 100, A) for index in range(30)]
    samples = ask(1000, [*answering(A, 0, 500), *burst, *answering(A, 560, 1000)])
    assert unanswered(samples) == ()
    assert contests(samples) == ()


def test_a_reply_after_the_patience_answers_nothing() -> None:
    # The newest request before it was sent at 500; then the prober stood still.
    skipped = dict.fromkeys(range(502, 700, PERIOD), -1.0)
    for late, lost in ((500 + PATIENCE / MS - 1, 0), (500 + PATIENCE / MS + 1, 1)):
        samples = ask(1000, [*answering(A, 0, 500), (late, A), *answering(A, 700, 1000)], skipped)
        assert len(unanswered(samples)) == lost


def test_an_old_debt_explains_no_second_answer() -> None:
    # Nobody answered from 200 to 300; at 600, long after, two answer one request.
    samples = ask(1000, [*answering(A, 0, 200), *answering(A, 300, 602), *answering(B, 600, 1000, LATENCY + 0.05)])
    assert [contest.start for contest in contests(samples)] == [600 * MS]


def test_the_last_requests_may_still_be_answered() -> None:
    assert unanswered(ask(1000, answering(A, 0, 950))) == ()


def test_an_address_may_move_and_move_back() -> None:
    samples = ask(3000, [*answering(A, 0, 1000), *answering(B, 1000, 2000), *answering(A, 2000, 3000)])
    assert contests(samples) == ()


def test_interleaved_claims_of_a_capture_are_a_contest_without_any_request() -> None:
    claims = [Reply(at * MS, mac) for at, mac in [(0, A), (100, A), (101, B), (102, A), (300, A), (500, B), (700, B)]]
    (contest,) = interleaved(claims)
    assert (contest.start, contest.end) == (101 * MS, 102 * MS)
    assert interleaved(claims[4:]) == ()


def test_a_part_of_the_samples_is_judged_by_itself() -> None:
    samples = ask(2000, [*answering(A, 0, 600), *answering(B, 900, 2000)])
    part = samples.between(1000 * MS, 1500 * MS)
    assert judge(part).unanswered == 0
    assert judge(part).macs == (B,)
