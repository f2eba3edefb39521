"""ELECTION.md section 5 (b): each clause of the rules can be taken away, and then some story fails.

``python -m pytest -s`` prints the table: each clause, what was done to it, and which story noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lbprovider.election.guards import ALL, Guards
from tests.sim.clauses import CLAUSES
from tests.sim.mutants import MUTANTS, Mutant
from tests.sim.mutation import Off, Stale, apply
from tests.sim.traces import TRACES


def tell(mutant: Mutant, guards: Guards) -> None:
    module, _, name = mutant.story.partition(":")
    story: Callable[..., Any] = getattr(import_module(module), name)
    wanted = signature(story).parameters
    with TemporaryDirectory() as directory:
        given = {"guards": guards, "tmp_path": Path(directory)}
        story(**{name: value for name, value in given.items() if name in wanted}, **mutant.args)


HOLDS: set[str] = set()
"""Stories that were told already with the rules as they are."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_without_it_a_story_ends_badly(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    told = f"{mutant.story} {mutant.args}"
    if told not in HOLDS:
        tell(mutant, ALL)
        HOLDS.add(told)
    guards = apply(mutant.changes, monkeypatch)
    try:
        tell(mutant, guards)
    except Stale:
        raise
    except (Exception, pytest.fail.Exception) as noticed:  # noqa: BLE001  (it may fail in any way that stories do)
        what = (str(noticed).splitlines() or [""])[0]
        print(f"{mutant.clause} {CLAUSES[mutant.clause]}: {mutant.changes[0]}: {type(noticed).__name__} {what}")  # noqa: T201
    else:
        pytest.fail(f"{mutant.story} doesn't notice that {CLAUSES[mutant.clause]!r} is gone")


def test_every_clause_is_taken_away_by_some_mutant() -> None:
    assert {mutant.clause for mutant in MUTANTS} == CLAUSES.keys()


def test_every_guard_is_switched_off_by_some_mutant() -> None:
    off = {name for mutant in MUTANTS for change in mutant.changes if isinstance(change, Off) for name in change.guards}
    assert off | {name for _, names in TRACES for name in names} == {field.name for field in fields(Guards)}
