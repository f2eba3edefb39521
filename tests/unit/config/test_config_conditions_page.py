"""The page on conditions has every word that we say, and no other; who meets one in a terminal will search for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbprovider.api import conditions
from lbprovider.api.conditions import (
    AdvertisementCondition,
    AdvertisementReason,
    PoolCondition,
    PoolReason,
    SegmentCondition,
    SegmentReason,
    ServiceReason,
)
from lbprovider.controller import announcing
from lbprovider.election.membership import Why
from lbprovider.election.placement import Reason as PlacementReason
from lbprovider.ipam.reasons import QUIET, Reason
from lbprovider.speaker import noticing, statuses
from lbprovider.speaker.causes import FAILURES, Move
from lbprovider.telemetry import REGISTRY

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGE = (DOCS / "conditions.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+?)$(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))

OF_EXPLAIN = {Reason.AUTO_ASSIGN_OFF, Reason.NOT_BOTH_FAMILIES}
"""Why a pool was passed over: in messages, never the reason of a condition."""
OF_POOLS = {Reason.INVALID_ENTRY, Reason.INVALID_SPEC, Reason.OVERLAPPING, Reason.DUPLICATE_NAME}
"""What is wrong with a pool; nothing of a Service."""
OF_NODES = {noticing.READY, noticing.NOT_READY, noticing.STRICT_ARP}
OF_ANNOUNCED = {
    *Move, conditions.NO_ELIGIBLE_NODE, conditions.NO_ENDPOINTS, conditions.PROBE_ANSWERED, announcing.ELIGIBLE_AGAIN,
}  # fmt: skip
OF_CONFLICT = {conditions.PROBE_ANSWERED, conditions.FOREIGN_ANNOUNCEMENT, statuses.NOT_SEEN}

WORDS: dict[str, set[str]] = {
    "On a Service: `lbprovider.io/AddressesAssigned`": {
        *(set(Reason) - QUIET - OF_EXPLAIN - OF_POOLS), *ServiceReason,
    },
    "On an IPAllocation": {conditions.ANNOUNCED, conditions.CONFLICT, *OF_ANNOUNCED, *OF_CONFLICT},
    "On an IPAddressPool": {
        *OF_POOLS, *PoolCondition, *PoolReason, Reason.EXHAUSTED, Reason.STRANDED, Reason.LAN_ANSWERS_FOR_POOL,
    },
    "On an L2Advertisement": {*AdvertisementCondition, *AdvertisementReason},
    "On a Segment": {*SegmentCondition, *SegmentReason, Why.NODES_UNHEARD},
    "Events": {
        ServiceReason.STATUS_CORRECTED, Reason.ASSIGNED, Reason.ADDRESS_IN_CONFLICT, conditions.ANNOUNCED,
        conditions.CONFLICT, conditions.NO_ELIGIBLE_NODE, conditions.NO_ENDPOINTS, conditions.PROBE_ANSWERED,
        conditions.FOREIGN_ANNOUNCEMENT,
    },
    "On a Node": OF_NODES,
}  # fmt: skip
"""By section, every type and reason that the code has for it."""


@pytest.mark.parametrize("section", WORDS)
def test_a_section_has_the_words_of_the_code_and_no_other(section: str) -> None:
    assert set(re.findall(r"`([A-Z][A-Za-z0-9]+)`", SECTIONS[section])) == {str(word) for word in WORDS[section]}


def test_every_section_but_that_on_metrics_is_looked_at() -> None:
    assert SECTIONS.keys() - WORDS.keys() == {"Metrics"}


def test_each_reason_of_a_service_has_a_row_that_says_what_to_do() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.*?) ?\|$", SECTIONS[next(iter(WORDS))], re.MULTILINE)
    missing = {Reason.ASSIGNED, ServiceReason.STATUS_CORRECTED}  # all is well; an Event
    assert {reason for reason, _, advice in rows if advice} == WORDS[next(iter(WORDS))] - missing


def loose(tree: ast.Module) -> Iterator[str]:
    """Types and reasons of conditions and Events that are written out where they are used."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in {"Condition", "_condition"}:
            given = [*call.args, *(one.value for one in call.keywords if one.arg in {"type", "reason"})]
        elif name in {"event", "of_node", "of_address"}:
            given = call.args[-2:-1]
        else:
            continue
        for each in given:
            for inner in ast.walk(each):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    text = inner.value
                    if re.fullmatch(r"[A-Z][A-Za-z]+", text) and text not in {"True", "False", "Unknown"}:
                        yield f"{name}({text!r}) on line {inner.lineno}"


@pytest.mark.parametrize("room", ["controller", "deciding", "speaker", "planning", "election"])
def test_no_word_is_made_up_where_it_is_said(room: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {what}"
        for path in (ROOT / "lbprovider" / room).rglob("*.py")
        for what in loose(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


def test_the_page_says_which_changes_of_leader_are_warnings() -> None:
    for move in Move:
        (row,) = re.findall(rf"^\| `{move}` \|.*$", PAGE, re.MULTILINE)
        assert row.endswith("| yes |") == (move in FAILURES), move


@pytest.mark.parametrize(("name", "kind"), sorted((metric.name, metric.type) for metric in REGISTRY.collect()))
def test_the_page_on_conditions_has_every_metric(name: str, kind: str) -> None:
    assert f"`{name}_total`" in PAGE if kind == "counter" else f"`{name}`" in PAGE


def test_the_page_has_no_metric_that_there_is_not() -> None:
    known = {f"{one.name}_total" if one.type == "counter" else one.name for one in REGISTRY.collect()}
    assert set(re.findall(r"`(lbprovider_\w+)`", PAGE)) == known


def test_the_page_on_objects_has_every_reason_of_a_node() -> None:
    page = (DOCS / "objects.md").read_text(encoding="utf-8")
    assert {reason for reason in PlacementReason if f"`{reason}`" not in page} == set()
