"""Each change of leader has one cause, and what is known besides the datagrams makes it more exact."""

from __future__ import annotations

from typing import Any

import pytest

from lbprovider.election.outcome import Cause, Won, WonReason
from lbprovider.election.placement import Reason
from lbprovider.speaker.causes import FAILURES, MEANING, Move, Predecessor, story

MS = 1_000_000


def won(cause: Cause, *, of: str = "n2", outage: int = 0) -> Won:
    return Won(bytes(4), WonReason.RELEASED, predecessor=of, cause=cause, outage=outage)


def told(cause: Cause, **known: Any) -> Move:
    return story("n1", won(cause), Predecessor(**known)).move


@pytest.mark.parametrize(
    ("cause", "move"),
    [
        (Cause.NONE, Move.UNCLAIMED),
        (Cause.NODE_SILENT, Move.NODE_SILENT),
        (Cause.DRAINING, Move.DRAIN),
        (Cause.RESTARTING, Move.RESTART),
        (Cause.NOT_ELIGIBLE, Move.NOT_ELIGIBLE),
        (Cause.LOST_QUORUM, Move.QUORUM_LOST),
        (Cause.MOVED, Move.REBALANCE),
    ],
)
def test_what_the_datagrams_alone_tell(cause: Cause, move: Move) -> None:
    assert told(cause) is move


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_its_story_whatever_else_is_known(cause: Cause) -> None:
    for known in (Predecessor(), Predecessor(heard=True, there=False, ready=False, attached=False, why_not="X")):
        found = story("n1", won(cause), known)
        assert found.sentence
        assert "{" not in found.sentence


@pytest.mark.parametrize(
    ("cause", "known", "move"),
    [
        (Cause.NODE_SILENT, {"there": False, "ready": False}, Move.NODE_DEAD),
        (Cause.NODE_SILENT, {"ready": False}, Move.NODE_DEAD),
        (Cause.NODE_SILENT, {"heard": True}, Move.REBOOTED),
        (Cause.NODE_SILENT, {"heard": True, "ready": False}, Move.REBOOTED),
        (Cause.NODE_SILENT, {"attached": False}, Move.LINK_DOWN),
        (Cause.DRAINING, {"attached": False}, Move.LINK_DOWN),
        (Cause.LOST_QUORUM, {"attached": False}, Move.LINK_DOWN),
        (Cause.NOT_ELIGIBLE, {"attached": False, "why_not": Reason.NOT_ON_SEGMENT}, Move.LINK_DOWN),
        (Cause.NOT_ELIGIBLE, {"why_not": Reason.NO_LOCAL_ENDPOINT}, Move.ENDPOINT_GONE),
        (Cause.NOT_ELIGIBLE, {"why_not": Reason.DRAINING}, Move.DRAIN),
        (Cause.NOT_ELIGIBLE, {"why_not": Reason.NODE_EXCLUDED}, Move.NOT_ELIGIBLE),
        (Cause.RESTARTING, {"attached": False, "ready": False}, Move.RESTART),
        (Cause.MOVED, {"stood_in": True}, Move.RETURNED),
    ],
    ids=str,
)
def test_what_else_is_known_makes_it_more_exact(cause: Cause, known: dict[str, Any], move: Move) -> None:
    assert told(cause, **known) is move


def test_a_node_that_takes_back_what_it_had_stopped_to_announce_says_so() -> None:
    found = story("n1", won(Cause.NONE, of="n1", outage=300 * MS), Predecessor())
    assert (found.move, found.outage) == (Move.REGAINED, 300 * MS)
    assert found.sentence == "n1 had it before, and stopped; unanswered for at most 300 ms"


def test_an_address_that_nobody_had_has_no_outage() -> None:
    assert story("n1", won(Cause.NONE, of=""), Predecessor()).outage is None


def test_a_planned_move_has_an_outage_of_nothing_and_says_none() -> None:
    found = story("n1", won(Cause.DRAINING), Predecessor())
    assert (found.outage, found.sentence, found.failure) == (0, "n2 drains", False)


def test_why_a_node_may_not_announce_is_said() -> None:
    found = story("n1", won(Cause.NOT_ELIGIBLE), Predecessor(why_not=Reason.NODE_EXCLUDED))
    assert found.sentence == "n2 may not announce it any more (NodeExcluded)"


def test_milliseconds_are_rounded_up_for_it_is_an_upper_bound() -> None:
    assert story("n1", won(Cause.NODE_SILENT, outage=1), Predecessor()).sentence.endswith("at most 1 ms")


def test_each_word_has_a_sentence_and_only_what_broke_is_a_failure() -> None:
    assert set(MEANING) == set(Move)
    assert not {Move.UNCLAIMED, Move.DRAIN, Move.RESTART, Move.REBALANCE, Move.ENDPOINT_GONE} & FAILURES
