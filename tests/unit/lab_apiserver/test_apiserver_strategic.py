"""Strategic merge patches in the lab's API server; what comes of each is what a kube-apiserver 1.35 made of it."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.writing import strategic

Object = dict[str, Any]


def conditions(*types: str, status: str = "True") -> list[Object]:
    return [{"type": each, "status": status} for each in types]


NODE: Object = {
    "metadata": {"name": "n1", "finalizers": ["a/b", "a/c"], "labels": {"a": "b"}},
    "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}], "podCIDRs": ["10.0.0.0/24"]},
    "status": {
        "conditions": conditions("A", "B"),
        "addresses": [
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "InternalIP", "address": "192.0.2.2"},
            {"type": "Hostname", "address": "n1"},
        ],
        "nodeInfo": {"architecture": "amd64"},
    },
}


def patched(patch: Object) -> Object:
    return strategic.merge(NODE, patch, kinds.NODE)


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ({"conditions": conditions("C")}, conditions("C", "A", "B")),
        ({"conditions": conditions("B", status="False")}, [*conditions("A"), *conditions("B", status="False")]),
        ({"conditions": [{"type": "B", "reason": "Why"}]}, [*conditions("A"), {**conditions("B")[0], "reason": "Why"}]),
        ({"conditions": [{"type": "B", "status": None}]}, [*conditions("A"), {"type": "B"}]),
        ({"conditions": [{"type": "A", "$patch": "delete"}]}, conditions("B")),
        ({"conditions": [{"$patch": "replace"}, *conditions("Z")]}, conditions("Z")),
        ({"conditions": [{"type": "A", "$retainKeys": ["type", "reason"], "reason": "x"}]}, None),
        ({"$setElementOrder/conditions": [{"type": "B"}, {"type": "A"}]}, conditions("B", "A")),
        (
            {"$setElementOrder/conditions": [{"type": "C"}, {"type": "B"}], "conditions": conditions("C")},
            conditions("C", "A", "B"),
        ),
        (
            {
                "$setElementOrder/conditions": [{"type": "B"}, {"type": "A"}],
                "conditions": [{"type": "A", "$patch": "delete"}],
            },
            conditions("B"),
        ),
        ({"$setElementOrder/conditions": [], "conditions": conditions("C")}, conditions("A", "B", "C")),
    ],
)
def test_conditions_are_merged_by_type(patch: Object, after: list[Object] | None) -> None:
    wanted = after or [{"type": "A", "reason": "x"}, *conditions("B")]
    assert patched({"status": patch})["status"]["conditions"] == wanted


def test_addresses_are_merged_by_type_though_a_type_may_come_twice() -> None:
    after = patched({"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]}})
    assert [each["address"] for each in after["status"]["addresses"]] == ["192.0.2.9", "192.0.2.2", "n1"]


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ({"finalizers": ["a/d", "a/b"]}, ["a/d", "a/b", "a/c"]),
        ({"$deleteFromPrimitiveList/finalizers": ["a/b", "a/x"]}, ["a/c"]),
        (
            {"$setElementOrder/finalizers": ["a/c"], "$deleteFromPrimitiveList/finalizers": ["a/b"]},
            ["a/c"],
        ),
        ({"$setElementOrder/finalizers": ["a/c", "a/b"]}, ["a/c", "a/b"]),
        ({"finalizers": []}, ["a/b", "a/c"]),
    ],
)
def test_finalizers_are_a_set(patch: Object, after: list[str]) -> None:
    assert patched({"metadata": patch})["metadata"]["finalizers"] == after


def test_owners_are_merged_by_uid() -> None:
    service: Object = {"metadata": {"ownerReferences": [{"uid": "1", "name": "a"}]}}
    patch = {"metadata": {"ownerReferences": [{"uid": "2", "name": "b"}, {"uid": "1", "controller": True}]}}
    merged = strategic.merge(service, patch, kinds.SERVICE)["metadata"]["ownerReferences"]
    assert merged == [{"uid": "2", "name": "b"}, {"uid": "1", "name": "a", "controller": True}]


def test_ports_are_merged_and_ingress_is_replaced() -> None:
    service: Object = {
        "spec": {"ports": [{"port": 80, "name": "http", "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    }
    patch = {
        "spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 443}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}]}},
    }
    after = strategic.merge(service, patch, kinds.SERVICE)
    assert after["spec"]["ports"] == [
        {"port": 80, "name": "http", "nodePort": 30080, "targetPort": 8080},
        {"port": 443},
    ]
    assert after["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.2"}]


@pytest.mark.parametrize(
    ("patch", "path", "after"),
    [
        ({"spec": {"taints": [{"key": "b"}]}}, ("spec", "taints"), [{"key": "b"}]),
        ({"spec": {"podCIDRs": ["2001:db8::/64"]}}, ("spec", "podCIDRs"), ["2001:db8::/64", "10.0.0.0/24"]),
        ({"spec": {"taints": None}}, ("spec", "taints"), None),
        ({"metadata": {"labels": {"a": None, "c": "d"}}}, ("metadata", "labels"), {"c": "d"}),
        ({"metadata": {"labels": {"$patch": "replace", "z": "1"}}}, ("metadata", "labels"), {"z": "1"}),
        ({"metadata": {"labels": {"$patch": "delete"}}}, ("metadata", "labels"), {}),
        ({"status": {"nodeInfo": {"$retainKeys": ["x"], "x": "1"}}}, ("status", "nodeInfo"), {"x": "1"}),
        ({"metadata": {"annotations": {"a": "b", "c": None}}}, ("metadata", "annotations"), {"a": "b"}),
        (
            {"status": {"images": [{"names": ["a"], "$patch": "delete"}, {"names": ["b"]}]}},
            ("status", "images"),
            [{"names": ["b"]}],
        ),
    ],
)
def test_everything_else_is_as_in_a_merge_patch(patch: Object, path: tuple[str, str], after: Any) -> None:
    outer, inner = path
    assert patched(patch)[outer].get(inner) == after


@pytest.mark.parametrize(
    ("patch", "code", "sentence"),
    [
        (
            {"conditions": [{"status": "y"}]},
            500,
            "map: map[status:y] does not contain declared merge key: type",
        ),
        ({"$patch": "foo"}, 500, "unknown patch type: foo in map: map[$patch:foo]"),
        (
            {"conditions": [{"$patch": "foo", "type": "A"}]},
            500,
            "unknown patch type: foo in map: map[$patch:foo type:A]",
        ),
        (
            {"$setElementOrder/conditions": [{"type": "A"}], "conditions": [{"type": "B"}]},
            500,
            ("The order in patch list:\n[map[type:B]]\n doesn't match $setElementOrder list:\n[map[type:A]]\n"),
        ),
        ({"$setElementOrder/conditions": "x"}, 500, "expected a []interface {}, but received a string"),
        (
            {"conditions": ["x"]},
            500,
            ("list element types are not identical: [[map[status:True type:A] map[status:True type:B]] [x]]"),
        ),
        ({"nodeInfo": {"$retainKeys": ["a"], "b": "1"}}, 400, "invalid patch format of retainKeys"),
        ({"nodeInfo": {"$retainKeys": "a"}}, 400, "invalid patch format of retainKeys"),
    ],
)
def test_directives_that_make_no_sense(patch: Object, code: int, sentence: str) -> None:
    with pytest.raises(Refusal) as error:
        patched({"status": patch})
    assert (error.value.code, error.value.message) == (code, sentence)


def test_a_strategic_merge_patch_is_an_object() -> None:
    with pytest.raises(Refusal, match="cannot unmarshal array") as error:
        strategic.merge(NODE, [], kinds.NODE)
    assert error.value.code == 400


types = st.lists(st.sampled_from("ABCDE"), unique=True)
statuses = st.sampled_from(["True", "False", "Unknown"])


@st.composite
def statuses_of(draw: st.DrawFn) -> Object:
    made = [{"type": each, "status": draw(statuses)} for each in draw(types)]
    return {"status": {"conditions": made}}


def difference(before: list[Object], after: list[Object]) -> Object:
    """What kubectl would send to make one list of conditions the other."""
    had, wanted = ({each["type"]: each for each in side} for side in (before, after))
    gone = [{"type": each, "$patch": "delete"} for each in had if each not in wanted]
    changed = [each for each in after if had.get(each["type"]) != each]
    order = [{"type": each["type"]} for each in after]
    return {"status": {"$setElementOrder/conditions": order, "conditions": [*changed, *gone]}}


@given(statuses_of(), statuses_of())
def test_a_patch_of_a_difference_gives_what_was_wanted(before: Object, after: Object) -> None:
    given_ = copy.deepcopy(before)
    patch = difference(before["status"]["conditions"], after["status"]["conditions"])
    merged = strategic.merge(before, patch, kinds.SERVICE)
    assert merged == after
    assert strategic.merge(merged, patch, kinds.SERVICE) == merged
    assert before == given_
