"""The page on conditions has every word that we say; whoever meets one in a terminal will search for it there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lbprovider.api import conditions
from lbprovider.controller import announcing
from lbprovider.election.placement import Reason as PlacementReason
from lbprovider.ipam.reasons import QUIET, Reason
from lbprovider.speaker import noticing, statuses
from lbprovider.speaker.causes import FAILURES, Move
from lbprovider.telemetry import REGISTRY

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "conditions.md").read_text(encoding="utf-8")
OF_EXPLAIN = {Reason.AUTO_ASSIGN_OFF, Reason.NOT_BOTH_FAMILIES}
"""Why a pool was passed over: in messages, never the reason of a condition."""


@pytest.mark.parametrize(
    "word",
    [
        *(reason for reason in Reason if reason not in QUIET | OF_EXPLAIN),
        *Move,
        *(value for name, value in vars(conditions).items() if name.isupper()),
        announcing.ELIGIBLE_AGAIN,
        statuses.NOT_SEEN,
        noticing.READY,
        noticing.NOT_READY,
        noticing.STRICT_ARP,
    ],
    ids=str,
)
def test_the_page_on_conditions_has_every_word(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_the_page_says_which_changes_of_leader_are_warnings() -> None:
    for move in Move:
        (row,) = re.findall(rf"^\| `{move}` \|.*$", PAGE, re.MULTILINE)
        assert row.endswith("| yes |") == (move in FAILURES), move


@pytest.mark.parametrize(("name", "kind"), sorted((metric.name, metric.type) for metric in REGISTRY.collect()))
def test_the_page_on_conditions_has_every_metric(name: str, kind: str) -> None:
    assert f"`{name}_total`" in PAGE if kind == "counter" else f"`{name}`" in PAGE


def test_the_page_on_objects_has_every_reason_of_a_node() -> None:
    page = (DOCS / "objects.md").read_text(encoding="utf-8")
    assert {reason for reason in PlacementReason if f"`{reason}`" not in page} == set()
