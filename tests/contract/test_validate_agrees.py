"""``lbprovider validate`` says no where the API server does: of random manifests, their metadata and unknown fields."""

import http
import json
from collections import Counter
from typing import Any, Final

import pytest

from lbprovider import shipped
from lbprovider.admission import Refusal
from lbprovider.admission.manifests import judged
from lbprovider.api.names import DEFAULT_CLASS
from lbprovider.api.resources import ALLOCATIONS, Resource
from lbprovider.cli.validating import validated
from lbprovider.deciding.known import Scope
from lbprovider.documents import Document, Reading
from lbprovider.lab.provider import NAMESPACE
from lbprovider.schema import Schema
from tests.contract.kinds import DRY, KINDS, STATUSES, Stored, body, path
from tests.contract.random_specs import CASES, RIGHT, Chance, name_for, slipped
from tests.contract.test_admission_agrees import beyond_cel
from tests.e2e.rig.api import Api, ApiError, Object
from tests.e2e.rig.report import Report

SEEDS: Final = 2
OBJECTS: Final = 100
"""So many objects of each kind for each seed."""
STRICT: Final = f"{DRY}&fieldValidation=Strict"
"""As kubectl asks."""

_METADATA: Final[tuple[Object, ...]] = (
    {"name": "Lan"}, {"name": ""}, {"name": None}, {"name": 7}, {"name": "a" * 254}, {"name": "a..b"},
    {"generateName": "x-"}, {"name": None, "generateName": "x-"}, {"name": None, "generateName": "X-"},
    {"labels": {"a b": "c"}}, {"labels": {"a": "-"}}, {"labels": {"a": 1}}, {"labels": {"a": None}}, {"labels": []},
    {"labels": {"example.com/a": "b" * 63}}, {"labels": {"example.com/a": "b" * 64}},
    {"annotations": {"a/b/c": ""}}, {"annotations": {"A": "ä"}}, {"annotations": {"a": True}},
    {"annotations": {"a": "b" * (256 << 10)}}, {"finalizers": ["a"]}, {"finalizers": ["example.com/a"]},
    {"finalizers": "a"}, {"finalizers": ["a b"]}, {"nmae": "x"}, {"creationTimestamp": None},
    {"creationTimestamp": "now"}, {"generation": "1"}, {"ownerReferences": [{}]},
    {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "b", "controler": True}]},
    {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "a", "uid": "b"}]},
)  # fmt: skip
"""What may be written into an object's metadata."""
_STATUS: Final[tuple[object, ...]] = ({"x": 1}, {"conditions": "none"}, {"conditions": []}, {}, None, "lost")
"""What may be written for its status, which is left out when it is made."""


@pytest.fixture(scope="module")
def kinds() -> dict[str, Schema]:
    return shipped.schemas()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("what", [name for name, (_, _, before) in CASES.items() if before is None])
def test_validate_and_the_api_server_refuse_the_same_manifests(
    api: Api, kinds: dict[str, Schema], report: Report, what: str, seed: int
) -> None:
    kind, make, _ = CASES[what]
    chance = Chance(f"manifests of {what} {seed}")
    seen: Counter[str] = Counter()
    for _ in range(OBJECTS):
        raw = manifest(chance, kind, make(chance))
        theirs = answer(api, kind, raw)
        mine = judged(raw, kinds[kind.kind], namespaced=kind.namespaced)[1]
        assert mine if theirs else all(map(beyond, mine)), (raw, theirs, mine)
        found = validated(
            Reading((Document("x.yaml", 1, None, raw),), ()), kinds, NAMESPACE, Scope(DEFAULT_CLASS, default_class=True)
        )
        lines = [finding.text for finding in found.findings]
        assert found.refused is bool(mine) or "overlap; keep each address" in lines[0], (raw, lines)
        assert all(any(str(each) in line for line in lines) for each in mine), (raw, lines)
        seen["refused" if theirs else "taken"] += 1
    report(f"of {OBJECTS}, seed {seed}: " + ", ".join(f"{count} {word}" for word, count in sorted(seen.items())))
    assert min(seen["refused"], seen["taken"]) > OBJECTS / 20, "nearly all fare alike"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_objects_as_the_api_server_gives_them_are_right(
    api: Api, stored: Stored, kinds: dict[str, Schema], kind: Resource[Any]
) -> None:
    name, spec, status = STATUSES[kind]
    stored(kind, spec, name)
    api.patch(path(kind, name, "status"), {"status": status})
    raw = api.get(path(kind, name))
    assert raw["status"]
    assert judged(raw, kinds[kind.kind], namespaced=kind.namespaced)[1] == ()


def manifest(chance: Chance, kind: Resource[Any], spec: Object) -> Object:
    """One that is right as often as its spec is, or with a slip anywhere in it."""
    raw = body(kind, spec, name_for(chance, spec) if kind is ALLOCATIONS else "")
    if chance.random() < RIGHT / 2:
        return raw
    return chance.choice(
        (
            lambda: {**raw, "metadata": {**raw["metadata"], **chance.choice(_METADATA)}},
            lambda: {**raw, "metadata": chance.choice(([], "x", 5))},
            lambda: {**raw, **slipped(chance, spec)},
            lambda: {**raw, "spec": {**spec, "adresses": []}},
            lambda: {**raw, "status": chance.choice(_STATUS)},
            lambda: {**raw, "spce": spec},
        )
    )()


def beyond(refusal: Refusal) -> bool:
    return isinstance(refusal.value, str) and beyond_cel(refusal)


def answer(api: Api, kind: Resource[Any], raw: Object) -> str:
    """Why the API server refuses it, empty where it takes it."""
    try:
        api.create(path(kind) + STRICT, raw)
    except ApiError as error:
        if error.status not in {http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise
        message: str = json.loads(str(error).partition(": ")[2])["message"]
        return message
    return ""
