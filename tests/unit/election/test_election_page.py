"""docs/election.md: its diagrams are those of the code, and what it names is there."""

from __future__ import annotations

from pathlib import Path

from lbprovider.election.evidence import EPSILON
from lbprovider.election.outcome import LostReason, WonReason
from lbprovider.election.segment import DEFAULT_PERIOD, NS_PER_MS, PERIODS_PER_HOLD
from tests.sim import diagram


def test_the_page_shows_what_the_code_does() -> None:
    page = diagram.PAGE.read_text()
    assert page == diagram.drawn(page), "python -m tests.sim.diagram draws it anew"


def test_every_reason_is_in_the_diagram_once() -> None:
    drawn = diagram.claim()
    assert [drawn.count(f", {reason}") for reason in (*WonReason, *LostReason)] == [1] * (
        len(WonReason) + len(LostReason)
    )


def test_its_figures_are_the_codes() -> None:
    page = diagram.PAGE.read_text()
    assert f"Every {DEFAULT_PERIOD // NS_PER_MS} ms" in page
    assert f"{PERIODS_PER_HOLD * DEFAULT_PERIOD // NS_PER_MS} ms (the *hold*)" in page
    assert f"apart by {EPSILON} %" in page


def test_the_files_that_it_names_are_there() -> None:
    page = diagram.PAGE.read_text()
    for name in ("tests/sim/clauses.py", "tests/sim/mutants.py"):
        assert name in page
        assert (Path(diagram.PAGE).parents[1] / name).exists()
