"""Schema, admission and the API server refuse the same objects, field by field and in the same words.

On a real API server that is lbprovider.admission against the CEL rules of config/crd, and the lab's reading of schemas
against the real one's; on the lab's, what the server makes of both.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from lbprovider import shipped
from lbprovider.admission import OMITTED, Refusal, refusals
from lbprovider.api.resources import ALLOCATIONS, POOLS, Resource
from lbprovider.schema import UNCHECKED, Schema
from tests.contract.kinds import DRY, Stored, body, path
from tests.contract.random_specs import CASES, Chance, name_for, slipped
from tests.e2e.rig.api import Api, ApiError, Object
from tests.e2e.rig.report import Report

SEEDS: Final = 2
OBJECTS: Final = 100
"""So many objects of each kind for each seed."""

Said = set[tuple[str, str]]
"""Fields, and what is wrong with them."""


@pytest.fixture(scope="module")
def schemas() -> dict[str, Schema]:
    """By kind, as the lab reads them."""
    return shipped.schemas()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("what", CASES)
def test_admission_and_the_api_server_refuse_the_same(
    api: Api, stored: Stored, report: Report, what: str, seed: int
) -> None:
    kind, make, before = CASES[what]
    chance = Chance(f"{what} {seed}")
    old = None if before is None else stored(kind, before, fixed_name(kind))
    seen: Counter[str] = Counter()
    for _ in range(OBJECTS):
        spec = make(chance)
        if old is None:
            new = body(kind, spec, name_for(chance, spec) if kind is ALLOCATIONS else "")
            theirs = refused(api.create, path(kind) + DRY, new)
        else:
            new = {**old, "spec": spec}
            theirs = refused(api.replace, path(kind, old["metadata"]["name"]) + DRY, new)
        seen["beyond CEL"] += compared(refusals(kind.kind, new, old), theirs, new)
        seen["refused" if theirs else "taken"] += 1
    say(report, seed, seen)
    assert min(seen["refused"], seen["taken"]) > OBJECTS / 10, "nearly all objects fare alike"


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("what", [name for name, (_, _, before) in CASES.items() if before is None])
def test_schema_and_admission_together_refuse_what_the_api_server_refuses(
    api: Api, schemas: dict[str, Schema], report: Report, what: str, seed: int
) -> None:
    kind, make, _ = CASES[what]
    chance = Chance(f"slips in {what} {seed}")
    schema = schemas[kind.kind]
    seen: Counter[str] = Counter()
    for _ in range(OBJECTS):
        right = make(chance)
        new = body(kind, right, name_for(chance, right) if kind is ALLOCATIONS else "")
        new = {**{name: value for name, value in new.items() if name != "spec"}, **slipped(chance, right)}
        theirs = refused(api.create, path(kind) + DRY, new)
        read = schema.default(schema.prune(new)[0])
        causes = schema.causes(read)
        by_schema = {(each.field, plain(each.message)) for each in causes}
        assert by_schema <= theirs, (new, by_schema - theirs)
        mine = () if UNCHECKED in causes else refusals(kind.kind, read, None)
        seen["beyond CEL"] += compared(mine, theirs - by_schema, new)
        seen["taken" if not theirs else "refused by the schema" if by_schema else "refused by a rule"] += 1
    say(report, seed, seen)
    assert seen["refused by the schema"] > OBJECTS / 10, "nearly all slips may be"


def fixed_name(kind: Resource[Any]) -> str:
    return "2001-db8-0-0-0-0-0-5" if kind is ALLOCATIONS else ""


def say(report: Report, seed: int, seen: Counter[str]) -> None:
    report(f"of {OBJECTS}, seed {seed}: " + ", ".join(f"{count} {word}" for word, count in sorted(seen.items())))


def refused(ask: Callable[[str, Object], object], where: str, new: Object) -> Said:
    """What the API server says is wrong."""
    try:
        ask(where, new)
    except ApiError as error:
        status = json.loads(str(error).partition(": ")[2])
        return {(cause["field"], plain(cause["message"])) for cause in status["details"]["causes"]}
    return set()


def plain(message: str) -> str:
    """The message with what it quotes as JSON has it: Go quotes as Python does, and unprintable text otherwise."""
    return re.sub(_QUOTED, lambda found: json.dumps(ast.literal_eval(found[0])), message)


def compared(mine: tuple[Refusal, ...], theirs: Said, new: Object) -> int:
    """How many of ours the API server can't see; fails where anything else differs."""
    beyond = 0
    for field in {field for field, _ in theirs} | {each.field for each in mine}:
        said = [each for each in mine if each.field == field]
        heard = [message for where, message in theirs if where == field]
        if not heard:
            assert all(map(beyond_cel, said)), (new, said)
            beyond += len(said)
            continue
        # Of several faults of one entry the parser finds the first.
        assert said, (new, field, heard)
        assert all(any(same(one, other) for other in heard) for one in said), (new, said, heard)
    return beyond


_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'


def same(mine: Refusal, theirs: str) -> bool:
    """Whether both say the same of the same value; admission may go on with advice."""
    shown = "" if mine.value is OMITTED else f" {json.dumps(mine.value)}:"
    return f"Invalid value:{shown} {mine.message}".startswith(theirs)


def beyond_cel(mine: Refusal) -> bool:
    """What CEL can't see: the order of IPv6 addresses, and what lies between the first and the last."""
    if not re.fullmatch(r"spec\.(addresses|excludeAddresses)\[\d+\]", mine.field):
        return False
    if mine.message.startswith("ends before it starts"):
        return ":" in mine.value
    ends = mine.value.split("/")[:1] if "/" in mine.value else mine.value.split("-")
    return mine.message.startswith("holds ") and not refusals(POOLS.kind, {"spec": {"addresses": ends}}, None)
