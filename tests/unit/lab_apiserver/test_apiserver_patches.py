"""JSON Patch and JSON Merge Patch in the lab's API server; codes and sentences are a kube-apiserver 1.35's."""

import contextlib
import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.writing import patches

BROKEN = "the server rejected our request due to an error in our request"
SERVICE: dict[str, Any] = {
    "kind": "Service",
    "metadata": {"name": "web", "labels": {"a": "b", "x/y": "z"}},
    "spec": {"ports": [{"port": 80}, {"port": 81}]},
}
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from("abc"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return value


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch that makes one of the other."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        if isinstance(value, dict):
            mine = before.get(key)
            patch[key] = difference(mine if isinstance(mine, dict) else {}, value)
        else:
            patch[key] = value
    return patch


@given(objects, objects.map(without_nulls))
def test_a_merge_patch_of_a_difference_gives_what_was_wanted(before: dict[str, Any], after: dict[str, Any]) -> None:
    given_ = copy.deepcopy(before)
    patch = difference(before, after)
    merged = patches.merge(before, patch)
    assert merged == after
    assert patches.merge(merged, patch) == merged
    assert before == given_


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        (None, "Invalid JSON Patch"),
        ([], "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ("x", "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}"),
        (1, "error decoding patch: json: cannot unmarshal number into Go value of type map[string]interface {}"),
        (True, "error decoding patch: json: cannot unmarshal bool into Go value of type map[string]interface {}"),
    ],
)
def test_a_merge_patch_is_an_object(patch: Any, sentence: str) -> None:
    with pytest.raises(Refusal) as error:
        patches.merge(SERVICE, patch)
    assert (error.value.code, error.value.reason, error.value.message) == (400, "BadRequest", sentence)


@given(objects, objects)
def test_a_json_patch_of_a_difference_gives_what_was_wanted(before: dict[str, Any], after: dict[str, Any]) -> None:
    given_ = copy.deepcopy(before)
    operations = jsonpatch.make_patch(before, after).patch
    assert patches.json_patch(before, operations) == after
    assert before == given_


@pytest.mark.parametrize(
    ("operation", "where", "value"),
    [
        ({"op": "add", "path": "/metadata/labels/c", "value": "d"}, "labels", {"a": "b", "x/y": "z", "c": "d"}),
        ({"op": "remove", "path": "/metadata/labels/x~1y"}, "labels", {"a": "b"}),
        ({"op": "replace", "path": "/metadata/labels/a", "value": "c"}, "labels", {"a": "c", "x/y": "z"}),
        ({"op": "replace", "path": "/metadata/labels/new", "value": "c"}, "labels", {"a": "b", "x/y": "z", "new": "c"}),
        (
            {"op": "copy", "from": "/metadata/labels/a", "path": "/metadata/labels/x~1y"},
            "labels",
            {"a": "b", "x/y": "b"},
        ),
        ({"op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/x~1y"}, "labels", {"x/y": "b"}),
        ({"op": "test", "path": "/metadata/labels", "value": {"x/y": "z", "a": "b"}}, "name", "web"),
        ({"op": "test", "path": "/metadata/annotations", "value": None}, "name", "web"),
        ({"op": "test", "path": "/metadata/annotations"}, "name", "web"),
        ({"op": "add", "path": "/metadata/name"}, "name", None),
    ],
)
def test_what_json_patches_do(operation: dict[str, Any], where: str, value: Any) -> None:
    assert patches.json_patch(SERVICE, [operation])["metadata"][where] == value


def test_operations_see_what_those_before_them_did() -> None:
    added = {"op": "add", "path": "/spec/ports/-", "value": {"port": 82}}
    tested = {"op": "test", "path": "/spec/ports/2/port", "value": 82}
    assert len(patches.json_patch(SERVICE, [added, tested])["spec"]["ports"]) == 3


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/metadata/labels/a", "value": "c"},
        {"op": "test", "path": "/metadata/labels/a"},
        {"op": "test", "path": "/nope/x", "value": None},
        {"op": "remove", "path": "/metadata/labels/x"},
        {"op": "remove", "path": "/spec/ports/5"},
        {"op": "add", "path": "/metadata/foo/x", "value": "1"},
        {"op": "add", "path": "/spec/ports/9", "value": {}},
        {"op": "add", "path": "/metadata/name/b", "value": "1"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "", "value": {}},
        {"op": "replace", "path": "/spec/ports/x", "value": 1},
        {"op": "replace", "path": "/nope/x", "value": 1},
        {"op": "move", "from": "/x", "path": "/y"},
        {"op": "move", "path": "/y"},
        {"op": "frob", "path": "/metadata"},
        {"op": ["add"], "path": "/metadata"},
        {"op": "add", "path": 1},
        {"path": "/a"},
        {},
    ],
)
def test_a_json_patch_that_fails(operation: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as error:
        patches.json_patch(SERVICE, [operation])
    refusal = error.value
    assert (refusal.code, refusal.reason, refusal.message, refusal.details) == (422, "Invalid", BROKEN, {})


@pytest.mark.parametrize(
    ("operations", "sentence"),
    [
        ({"a": 1}, "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ("x", "json: cannot unmarshal string into Go value of type []handlers.jsonPatchOp"),
        ([1], "json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
    ],
)
def test_a_json_patch_is_a_list_of_operations(operations: Any, sentence: str) -> None:
    with pytest.raises(Refusal) as error:
        patches.json_patch(SERVICE, operations)
    assert (error.value.code, error.value.message) == (400, f"error decoding patch: {sentence}")


def test_a_json_patch_has_a_bound() -> None:
    with pytest.raises(Refusal, match=r"maximum operations in a JSON patch is 10000, got 10001") as error:
        patches.json_patch(SERVICE, [{"op": "test", "path": "/x"}] * 10_001)
    assert error.value.code == 413


pointers = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "-1", "01", "~0", "~", ""]), max_size=3).map(
    lambda parts: "".join(f"/{each}" for each in parts)
)
operations_ = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]),
        "path": pointers | values,
        "from": pointers | values,
        "value": values,
    },
)


@given(objects, st.lists(operations_, max_size=4))
def test_any_operations_work_or_are_refused_and_change_nothing_of_ours(
    before: dict[str, Any], operations: list[dict[str, Any]]
) -> None:
    given_ = copy.deepcopy(before)
    with contextlib.suppress(Refusal):
        patches.json_patch(before, operations)
    assert before == given_


def test_a_body_that_is_no_json() -> None:
    assert patches.decode(b'{"a": [1]}') == {"a": [1]}
    for body, why in ((b'{"a"', "unexpected end of JSON input"), (b"[x]", "invalid character"), (b"\xff", "not UTF-8")):
        with pytest.raises(Refusal, match=rf"^error decoding patch: .*{why}") as error:
            patches.decode(body)
        assert error.value.code == 400
