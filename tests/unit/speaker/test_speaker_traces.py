"""ELECTION.md section 5 (d): the scripted traces, and a small campaign, through real codecs, seals and Lans."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.member import Member
from lbprovider.speaker import lan
from tests.sim import campaign, minority, traces
from tests.sim.loop import LoopWorld
from tests.sim.script import written
from tests.sim.traces import TRACES
from tests.sim.world import Violation

SCRIPTS = [pytest.param(script, off, id=f"{script.__name__}-{'-'.join(off)}") for script, off in TRACES]


@pytest.fixture(autouse=True)
def _in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (traces, campaign):
        monkeypatch.setattr(module, "World", LoopWorld)


@pytest.mark.parametrize(("script", "off"), SCRIPTS)
def test_with_all_guards_one_node_answers(script: Callable[[Guards], None], off: tuple[str, ...]) -> None:
    script(ALL)
    assert off


@pytest.mark.parametrize(("script", "off"), SCRIPTS)
def test_without_the_guard_two_do(
    script: Callable[[Guards], None], off: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    guards = Guards(**dict.fromkeys(off, False))
    monkeypatch.setattr(lan, "Member", partial(Member, guards=guards))
    with pytest.raises(Violation, match="answer for"):
        script(guards)


@pytest.mark.parametrize("story", minority.STORIES, ids=lambda story: story.__name__)
def test_a_missing_quorum(story: Callable[[Guards], None]) -> None:
    story(ALL)


@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_a_few_random_rounds(nodes: int) -> None:
    for seed in range(3):
        assert campaign.play(written(seed, nodes)).events > 500
