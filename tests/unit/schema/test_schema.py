"""Structural schemas; the sentences and results are what a kube-apiserver 1.35 answered."""

import copy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.schema import UNCHECKED, Schema, validation
from tests.fakes.bytecodes import bytecodes

CRDS: Final = Path(__file__).parents[3] / "config" / "crd"
PROPERTIES: Final[dict[str, Any]] = {
    "str": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]*$"},
    "byt": {"type": "string", "maxLength": 4},
    "int": {"type": "integer", "minimum": 1, "maximum": 10},
    "i32": {"type": "integer", "format": "int32"},
    "i64": {"type": "integer", "format": "int64"},
    "num": {"type": "number", "minimum": 0.5, "exclusiveMinimum": True},
    "emx": {"type": "integer", "maximum": 5, "exclusiveMaximum": True},
    "bool": {"type": "boolean"},
    "en": {"type": "string", "enum": ["a", "b"]},
    "ien": {"type": "integer", "enum": [1, 2]},
    "dt": {"type": "string", "format": "date-time"},
    "set": {
        "type": "array",
        "x-kubernetes-list-type": "set",
        "items": {"type": "string"},
        "maxItems": 3,
        "minItems": 1,
    },
    "aset": {
        "type": "array",
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "object",
            "x-kubernetes-map-type": "atomic",
            "properties": {"b": {"type": "string"}, "a": {"type": "integer"}},
        },
    },
    "map": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k", "j"],
        "items": {
            "type": "object",
            "required": ["k"],
            "properties": {
                "k": {"type": "string"},
                "j": {"type": "integer", "default": 7},
                "v": {"type": "string", "maxLength": 2},
            },
        },
    },
    "obj": {
        "type": "object",
        "required": ["y", "x"],
        "properties": {
            "x": {"type": "string", "default": "dx"},
            "y": {"type": "string"},
            "z": {"type": "object", "default": {}, "properties": {"q": {"type": "integer", "default": 3}}},
        },
    },
    "ap": {
        "type": "object",
        "maxProperties": 2,
        "minProperties": 1,
        "additionalProperties": {"type": "integer", "minimum": 1},
    },
    "pres": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"p": {"type": "object", "properties": {"a": {"type": "string"}}}},
    },
    "ios": {"x-kubernetes-int-or-string": True},
    "nul": {"type": "string", "nullable": True, "default": "dn"},
    "nuln": {"type": "string", "nullable": True},
    "nd": {"type": "object", "properties": {"e": {"type": "string", "default": "ee"}}},
    "arr": {
        "type": "array",
        "items": {"type": "object", "properties": {"e": {"type": "string", "default": "ee"}, "n": {"type": "integer"}}},
    },
    "apd": {
        "type": "object",
        "additionalProperties": {"type": "object", "properties": {"e": {"type": "string", "default": "ee"}}},
    },
}
SCHEMA: Final = Schema(
    {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {"type": "object", "properties": PROPERTIES},
            "status": {"type": "object", "properties": {"n": {"type": "integer", "default": 0}}},
        },
    }
)


def whole(spec: Any) -> dict[str, Any]:
    return {"apiVersion": "test.io/v1", "kind": "All", "metadata": {"name": "x"}, "spec": spec}


def stored(spec: Any) -> Any:
    """What would be stored of an object, which has to be right."""
    obj = SCHEMA.default(SCHEMA.prune(whole(spec))[0])
    assert SCHEMA.causes(obj) == ()
    return obj["spec"]


def wrong(spec: Any, old: Any = None) -> list[str]:
    before = None if old is None else SCHEMA.default(whole(old))
    return [str(each) for each in SCHEMA.causes(SCHEMA.default(whole(spec)), before)]


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"str": "a"}, ['spec.str: Invalid value: "a": spec.str in body should be at least 2 chars long']),
        ({"str": "A1"}, ["spec.str: Invalid value: \"A1\": spec.str in body should match '^[a-z]*$'"]),
        ({"str": "ÄÄÄÄÄ"}, ["spec.str: Too long: may not be more than 4 bytes"]),
        ({"str": "A"}, ['spec.str: Invalid value: "A": spec.str in body should be at least 2 chars long']),
        ({"str": 1}, ['spec.str: Invalid value: "integer": spec.str in body must be of type string: "integer"']),
        ({"str": ["a"]}, ['spec.str: Invalid value: "array": spec.str in body must be of type string: "array"']),
        ({"str": {}}, ['spec.str: Invalid value: "object": spec.str in body must be of type string: "object"']),
        ({"str": True}, ['spec.str: Invalid value: "boolean": spec.str in body must be of type string: "boolean"']),
        ({"int": 0}, ["spec.int: Invalid value: 0: spec.int in body should be greater than or equal to 1"]),
        ({"int": 11}, ["spec.int: Invalid value: 11: spec.int in body should be less than or equal to 10"]),
        ({"int": 1.5}, ['spec.int: Invalid value: "number": spec.int in body must be of type integer: "number"']),
        ({"int": True}, ['spec.int: Invalid value: "boolean": spec.int in body must be of type integer: "boolean"']),
        ({"i64": 1 << 63}, ['spec.i64: Invalid value: "number": spec.i64 in body must be of type integer: "number"']),
        ({"num": 0.5}, ["spec.num: Invalid value: 0.5: spec.num in body should be greater than 0.5"]),
        ({"emx": 5}, ["spec.emx: Invalid value: 5: spec.emx in body should be less than 5"]),
        ({"bool": 1}, ['spec.bool: Invalid value: "integer": spec.bool in body must be of type boolean: "integer"']),
        ({"en": 'ä"'}, ['spec.en: Unsupported value: "ä\\"": supported values: "a", "b"']),
        (
            {"en": 1},
            [
                'spec.en: Invalid value: "integer": spec.en in body must be of type string: "integer"',
                'spec.en: Unsupported value: 1: supported values: "a", "b"',
            ],
        ),
        ({"ien": 3}, ['spec.ien: Unsupported value: 3: supported values: "1", "2"']),
        ({"set": []}, ["spec.set: Invalid value: 0: spec.set in body should have at least 1 items"]),
        ({"set": ["a", "b", "c", "d"]}, ["spec.set: Too many: 4: must have at most 3 items"]),
        ({"set": ["a", "b", "a"]}, ['spec.set[2]: Duplicate value: "a"']),
        ({"set": ["a", "a", "a"]}, ['spec.set[1]: Duplicate value: "a"']),
        (
            {"set": ["a", "a", "b", "b", None]},
            [
                'spec.set[4]: Invalid value: "null": spec.set[4] in body must be of type string: "null"',
                "spec.set: Too many: 5: must have at most 3 items",
                'spec.set[1]: Duplicate value: "a"',
                'spec.set[3]: Duplicate value: "b"',
            ],
        ),
        ({"aset": [{"a": 1, "b": "x"}, {"b": "x", "a": 1}]}, ['spec.aset[1]: Duplicate value: {"a":1,"b":"x"}']),
        ({"map": [{"k": "a"}, {"k": "a", "j": 7}]}, ['spec.map[1]: Duplicate value: {"j":7,"k":"a"}']),
        (
            {"map": [{"k": "a"}, {"k": "a"}, {"j": "x"}]},
            [
                'spec.map[2].j: Invalid value: "string": spec.map[2].j in body must be of type integer: "string"',
                "spec.map[2].k: Required value",
                'spec.map[1]: Duplicate value: {"j":7,"k":"a"}',
            ],
        ),
        (
            {"map": ["x"]},
            [
                'spec.map[0]: Invalid value: "string": spec.map[0] in body must be of type object: "string"',
                'spec.map[0]: Invalid value: "x": must be an object for an array of list-type map',
            ],
        ),
        ({"obj": {}}, ["spec.obj.y: Required value"]),
        ({"obj": {"y": None}}, ["spec.obj.y: Required value"]),
        (
            {"obj": {"x": 5}},
            [
                'spec.obj.x: Invalid value: "integer": spec.obj.x in body must be of type string: "integer"',
                "spec.obj.y: Required value",
            ],
        ),
        ({"ap": {"a": None}}, ["spec.ap: Invalid value: 0: spec.ap in body should have at least 1 properties"]),
        (
            {"ap": {"a": 0, "b": 1, "c": 1}},
            [
                "spec.ap: Too many: 3: must have at most 2 items",
                "spec.ap.a: Invalid value: 0: spec.ap.a in body should be greater than or equal to 1",
            ],
        ),
        (
            {"ios": 1.5},
            ['spec.ios: Invalid value: "number": spec.ios in body must be of type integer,string: "number"'],
        ),
        ({"arr": [None]}, ['spec.arr[0]: Invalid value: "null": spec.arr[0] in body must be of type object: "null"']),
        ("x", ['spec: Invalid value: "string": spec in body must be of type object: "string"']),
        ([], ['spec: Invalid value: "array": spec in body must be of type object: "array"']),
        (None, ["spec: Required value"]),
    ],
)
def test_what_is_wrong_and_how_it_is_said(spec: Any, causes: list[str]) -> None:
    assert wrong(spec) == causes


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2025-01-01T00:00:00Z", True),
        ("2025-01-01T00:00:00.1234567Z", True),
        ("2025-01-01T00:00:00+02:00", True),
        ("2025-01-01t00:00:00z", True),
        ("2025-01-01 00:00:00Z", False),
        ("2025-01-01T00:00:00", False),
        ("2025-01-01", False),
        ("2025-13-01T00:00:00Z", False),
        ("2025-02-30T00:00:00Z", False),
        ("2025-01-01T25:00:00Z", False),
        ("yesterday", False),
        ("", False),
    ],
)
def test_times(text: str, *, right: bool) -> None:
    sentence = f'spec.dt: Invalid value: "{text}": spec.dt in body must be of type date-time: "{text}"'
    assert wrong({"dt": text}) == ([] if right else [sentence])


@pytest.mark.parametrize(
    ("spec", "after"),
    [
        ({}, {"nul": "dn"}),
        ({"str": None, "bool": None, "nuln": None, "nul": None}, {"nuln": None, "nul": None}),
        ({"str": "abcd", "byt": "äöüß"}, {"str": "abcd", "byt": "äöüß", "nul": "dn"}),
        ({"i32": 1 << 31, "i64": -(1 << 63), "int": 2.0}, {"i32": 1 << 31, "i64": -(1 << 63), "int": 2, "nul": "dn"}),
        ({"obj": {"y": "1", "x": None}}, {"obj": {"x": "dx", "y": "1", "z": {"q": 3}}, "nul": "dn"}),
        ({"obj": {"y": "1", "z": {"q": None}}}, {"obj": {"x": "dx", "y": "1", "z": {"q": 3}}, "nul": "dn"}),
        ({"obj": None, "nd": None}, {"nul": "dn"}),
        ({"nd": {}}, {"nd": {"e": "ee"}, "nul": "dn"}),
        ({"arr": [{}, {"n": None, "x": 1}]}, {"arr": [{"e": "ee"}, {"e": "ee"}], "nul": "dn"}),
        ({"apd": {"a": {"w": 1}, "b": None}}, {"apd": {"a": {"e": "ee"}}, "nul": "dn"}),
        ({"ios": "x"}, {"ios": "x", "nul": "dn"}),
        (
            {"pres": {"x": {"y": [1, None]}, "p": {"a": "1", "b": "2"}}},
            {"pres": {"x": {"y": [1, None]}, "p": {"a": "1"}}, "nul": "dn"},
        ),
        ({"unknown": {"a": 1}}, {"nul": "dn"}),
    ],
)
def test_what_is_stored(spec: Any, after: Any) -> None:
    assert stored(spec) == after


def test_what_is_unknown_is_named() -> None:
    obj = {
        **whole({"unknown": 1, "arr": [{"x": 1}, {}, {"y": 1, "b": 2}], "apd": {"a.b": {"w": 1}}}),
        "metadata": {"name": "x", "anything": 1},
        "foo": {"a": 1},
    }
    pruned, unknown = SCHEMA.prune(obj)
    assert unknown == ("foo", "spec.apd.a.b.w", "spec.arr[0].x", "spec.arr[2].b", "spec.arr[2].y", "spec.unknown")
    assert pruned == {**whole({"arr": [{}, {}, {}], "apd": {"a.b": {}}}), "metadata": obj["metadata"]}


def test_a_status_gets_its_defaults_only_where_there_is_one() -> None:
    assert SCHEMA.default({**whole({}), "status": {}})["status"] == {"n": 0}
    assert "status" not in SCHEMA.default(whole({}))


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"byt": "abcde", "en": "a"}, []),
        ({"byt": "abcdef"}, ["spec.byt: Too long: may not be more than 4 bytes"]),
        ({"map": [{"k": "new"}, {"k": "a", "v": "long"}]}, []),
        ({"map": [{"k": "a", "v": "longer"}]}, ["spec.map[0].v: Too long: may not be more than 2 bytes"]),
        ({"arr": [{"n": "x"}]}, []),
        (
            {"arr": [{"n": "x"}, {}]},
            ['spec.arr[0].n: Invalid value: "string": spec.arr[0].n in body must be of type integer: "string"'],
        ),
        ({"set": ["a", "a"]}, []),
    ],
)
def test_what_has_not_changed_is_not_looked_at(spec: Any, causes: list[str]) -> None:
    old = {"byt": "abcde", "map": [{"k": "a", "v": "long"}], "arr": [{"n": "x"}], "set": ["a", "a"]}
    assert wrong(spec, old) == causes


def test_rules_that_were_not_evaluated_are_mentioned_where_there_are_any() -> None:
    segment = Schema(openapi("segments"))
    assert segment.causes({"spec": None})[-1] == UNCHECKED
    bound = segment.causes({"spec": {"interface": "eth0", "version": -1}})
    assert [str(each) for each in bound] == [
        "spec.version: Invalid value: -1: spec.version in body should be greater than or equal to 0"
    ]
    assert not validation.blocking(bound)
    assert UNCHECKED not in SCHEMA.causes({})


def openapi(plural: str) -> Any:
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_a_segment_of_four_times_the_members_takes_four_times_as_much() -> None:
    few, many = _work(250), _work(1000)
    # A comparison of each member with each would take sixteen times as much.
    assert 2 * few < many < 8 * few


def _work(members: int) -> int:
    """What a Segment with so many members takes to be read."""
    schema = Schema(openapi("segments"))
    lists = [{"members": [f"node-{number:04}" for number in range(members)], "need": 501}] * 2
    segment = {"spec": {"subnets": ["192.0.2.0/24"], "interface": "", "version": 3, "lists": lists}}

    def read() -> None:
        after = schema.default(schema.prune(segment)[0])
        assert (after, schema.causes(after)) == (segment, ())

    return bytecodes(read)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*PROPERTIES, "a", "k", "e"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*PROPERTIES, "unknown"]), values, max_size=5))
def test_any_object_is_judged_and_stays_as_it_was(spec: dict[str, Any]) -> None:
    before = copy.deepcopy(spec)
    pruned, _ = SCHEMA.prune(whole(spec))
    after = SCHEMA.default(pruned)
    SCHEMA.causes(after)
    assert spec == before
    assert SCHEMA.default(after) == after
    assert SCHEMA.prune(pruned) == (pruned, ())
    assert SCHEMA.causes(after, after) == ()
