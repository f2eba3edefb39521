"""Random writes on right and wrong conditions, beside a small model of what the API server must answer and keep."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from lbprovider.api.resources import LEASES, POOLS, Resource
from tests.contract.wire import names, version, watching, whole
from tests.e2e.rig.api import Answer, Api, Object
from tests.e2e.rig.report import Report

NAMES: Final = ("a", "b", "c")
STEPS: Final = 250

RIGHT, WRONG, NONE = "right", "wrong", "none"


@dataclass
class Kept:
    """An object as the model knows it: the server's uid and version, and our spec."""

    uid: str
    version: str
    spec: Object


@dataclass
class Model:
    """What the collection must be."""

    kind: Resource[Any]
    objects: dict[str, Kept] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    """What a watch from the beginning must tell: type and name."""

    def keep(self, name: str, answer: Answer) -> None:
        made, known = answer.json, self.objects.get(name)
        if known is None:
            self.events.append(("ADDED", name))
        elif version(made) != known.version:
            assert int(version(made)) > int(known.version)
            self.events.append(("MODIFIED", name))
        self.objects[name] = Kept(made["metadata"]["uid"], version(made), made["spec"])

    def drop(self, name: str) -> None:
        del self.objects[name]
        self.events.append(("DELETED", name))


@dataclass(frozen=True)
class Try:
    """One request, with the conditions that it sets on uid and version."""

    name: str
    spec: Object
    uid: str
    version: str

    def conditions(self, known: Kept | None) -> Object:
        given = {"uid": (self.uid, known.uid if known else "gone"), "resourceVersion": (self.version, "1")}
        if known:
            given["resourceVersion"] = (self.version, known.version)
        wrong = {"uid": "another's", "resourceVersion": "1"}
        return {key: wrong[key] if how == WRONG else right for key, (how, right) in given.items() if how != NONE}


Step = Callable[[Api, str, Model, Try], None]


def create(api: Api, path: str, model: Model, tried: Try) -> None:
    content = whole(model.kind, {"metadata": {"name": tried.name}, "spec": tried.spec})
    answer = api.ask("POST", path, content)
    if tried.name in model.objects:
        assert (answer.status, answer.json["reason"]) == (409, "AlreadyExists")
    else:
        assert answer.status == 201
        model.keep(tried.name, answer)


def replace(api: Api, path: str, model: Model, tried: Try) -> None:
    known = model.objects.get(tried.name)
    metadata = {"name": tried.name, **tried.conditions(known)}
    answer = api.ask("PUT", f"{path}/{tried.name}", whole(model.kind, {"metadata": metadata, "spec": tried.spec}))
    if known is None:
        # A Lease that is missing is created, unless the one that is meant had a uid.
        expected = 404 if model.kind is not LEASES else 409 if tried.uid != NONE else 201
    elif WRONG in {tried.uid, tried.version}:
        expected = 409
    else:
        expected = 422 if tried.version == NONE else 200
    assert answer.status == expected
    if expected < 400:
        model.keep(tried.name, answer)
        assert answer.json["spec"] == {**answer.json["spec"], **tried.spec}


def patch(api: Api, path: str, model: Model, tried: Try) -> None:
    known = model.objects.get(tried.name)
    change = {"metadata": tried.conditions(known), "spec": tried.spec}
    answer = api.ask("PATCH", f"{path}/{tried.name}", change, kind="merge")
    if known is None:
        expected = 404
    elif tried.version == WRONG:
        expected = 409
    else:
        expected = 422 if tried.uid == WRONG else 200
    assert answer.status == expected
    if expected == 200:
        same = known is not None and {**known.spec, **tried.spec} == known.spec
        assert same == (known is not None and version(answer.json) == known.version)
        model.keep(tried.name, answer)


def compare_and_set(api: Api, path: str, model: Model, tried: Try) -> None:
    known = model.objects.get(tried.name)
    uid = tried.conditions(known).get("uid", "nobody's")
    change = [{"op": "test", "path": "/metadata/uid", "value": uid}]
    change += [{"op": "add", "path": f"/spec/{key}", "value": value} for key, value in tried.spec.items()]
    answer = api.ask("PATCH", f"{path}/{tried.name}", change, kind="json")
    expected = 404 if known is None else 200 if tried.uid == RIGHT else 422
    assert answer.status == expected
    if expected == 200:
        model.keep(tried.name, answer)


def delete(api: Api, path: str, model: Model, tried: Try) -> None:
    known = model.objects.get(tried.name)
    answer = api.ask("DELETE", f"{path}/{tried.name}", {"preconditions": tried.conditions(known)})
    expected = 404 if known is None else 409 if WRONG in {tried.uid, tried.version} else 200
    assert answer.status == expected
    if expected == 200:
        model.drop(tried.name)


STEPS_BY_WEIGHT: Final[tuple[tuple[Step, int], ...]] = (
    (create, 3),
    (replace, 4),
    (patch, 4),
    (compare_and_set, 2),
    (delete, 1),
)


def specs(kind: Resource[Any], dice: random.Random) -> Iterator[Object]:
    while True:
        if kind is LEASES:
            yield {"holderIdentity": dice.choice("xyz"), "leaseTransitions": dice.randrange(2)}
        else:
            yield {"addresses": [f"192.0.2.{dice.randrange(4)}"], "autoAssign": dice.random() < 0.5}


@pytest.mark.parametrize("kind", [LEASES, POOLS], ids=str)
def test_random_writes_are_answered_as_the_model_says(
    api: Api, namespace: str, kind: Resource[Any], report: Report
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    report(f"seed {seed}")
    dice = random.Random(seed)  # noqa: S311 - dice, to be thrown again from the seed
    path, model, drawn = kind.path(namespace), Model(kind), specs(kind, dice)
    start = version(api.get(path))
    steps, weights = zip(*STEPS_BY_WEIGHT, strict=True)
    conditions = [RIGHT, RIGHT, WRONG, NONE]
    for number in range(STEPS):
        tried = Try(dice.choice(NAMES), next(drawn), dice.choice(conditions), dice.choice(conditions))
        step = dice.choices(steps, weights)[0]
        before = dict(model.objects)
        try:
            step(api, path, model, tried)
        except AssertionError as error:
            error.add_note(f"seed {seed}, step {number}: {step.__name__} {tried} on {before.get(tried.name)}")
            raise
        found = api.find(f"{path}/{tried.name}")
        assert (found is None) == (tried.name not in model.objects)
        if found is not None:
            kept = model.objects[tried.name]
            assert (found["metadata"]["uid"], version(found), found["spec"]) == (kept.uid, kept.version, kept.spec)
    assert names(api.items(path)) == sorted(model.objects)
    with api.watch(watching(path, resourceVersion=start)) as events:
        told = itertools.islice(events, len(model.events))
        assert [(event["type"], event["object"]["metadata"]["name"]) for event in told] == model.events
