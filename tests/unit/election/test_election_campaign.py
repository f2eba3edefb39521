"""The campaign in short: what once failed is played again, a few seeds are new, and its tools do what they say."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.outcome import LostReason
from tests.sim import campaign
from tests.sim.coverage import ELSEWHERE, OUTCOMES
from tests.sim.rounds import chunk
from tests.sim.script import Action, Script, Setup, parse, written

REGRESSIONS = [parse(line) for line in (Path(campaign.__file__).parent / "regressions.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("script", REGRESSIONS, ids=lambda script: script.why)
def test_what_failed_once_holds(script: Script) -> None:
    campaign.play(script)


def test_a_few_rounds_of_each_size() -> None:
    tally = chunk(1_000_000)
    assert tally.failed is None, campaign.report(tally.failed)
    assert tally.rounds == 20


def test_a_script_is_a_line_and_the_same_each_time() -> None:
    script = written(3, 5)
    assert parse(script.line()) == script == written(3, 5)
    assert "\n" not in script.line()
    assert campaign.play(script) == campaign.play(parse(script.line()))


def test_what_fails_is_made_short() -> None:
    """Without the silence after a start, and of all that happens in a round, two votes of one node are enough."""
    guards = Guards(r7_silence=False, r7_quorum_read=False, r6_lapsed_grants=False, r11_passed=False)
    script = next(one for one in (written(seed, 3) for seed in range(200)) if campaign.fails(one, guards))
    told = campaign.report(script, guards)
    line = told.splitlines()[-1]
    assert "Violation: seed" in told
    assert len(parse(line).actions) < len(script.actions) / 4
    assert campaign.fails(parse(line), guards)
    assert not campaign.fails(parse(line), ALL)


def test_a_script_says_what_happens() -> None:
    setup = Setup(nodes=2, members=2, rankings=(("a", "b"),))
    script = Script(
        seed=1, setup=setup, actions=(Action(400, "crash", ("a",)), Action(900.5, "isolate", (("a", "b"),)))
    )
    assert str(script).splitlines()[1:] == ["  400.000 ms  crash a", "  900.500 ms  isolate a,b"]


def test_the_table_has_a_line_for_each_reason_to_lose() -> None:
    assert {f"Lost/{reason}" for reason in LostReason} <= OUTCOMES.keys() | ELSEWHERE.keys()
    assert fields(Guards)
