"""ELECTION.md section 5 (a): the scripted traces. Each ends in two owners without the guards beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lbprovider.election.guards import ALL, Guards
from tests.sim.traces import TRACES
from tests.sim.world import Violation

SCRIPTS = [pytest.param(script, off, id=f"{script.__name__}-{'-'.join(off)}") for script, off in TRACES]


@pytest.mark.parametrize(("script", "off"), SCRIPTS)
def test_with_all_guards_there_is_one_owner(script: Callable[[Guards], None], off: tuple[str, ...]) -> None:
    script(ALL)
    assert off


@pytest.mark.parametrize(("script", "off"), SCRIPTS)
def test_without_the_guard_there_are_two(script: Callable[[Guards], None], off: tuple[str, ...]) -> None:
    with pytest.raises(Violation, match="answer for"):
        script(Guards(**dict.fromkeys(off, False)))
