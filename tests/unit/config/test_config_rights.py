"""The check that finds a right that nothing needs: it must itself be right, or too much would be granted for good."""

from typing import Any

import pytest

from tests.e2e.rig.audit import Request
from tests.e2e.rig.rights import ANY, FORBIDDEN, Right, granted, unused

HOME = "lbprovider-system"
USER = f"system:serviceaccount:{HOME}:speaker"


def request(**changes: Any) -> Request:
    asked: dict[str, Any] = {
        "verb": "list",
        "user": USER,
        "group": "lbprovider.io",
        "resource": "ipallocations",
        "namespace": "",
        "name": "",
        "subresource": "",
        "status": 200,
        "received": "2026-01-01T00:00:00.000000Z",
    }
    return Request(**asked | changes)


def right(**changes: str) -> Right:
    given = {"user": USER, "verb": "list", "resource": "ipallocations.lbprovider.io", "scope": ANY, "name": ANY}
    return Right(**given | changes)


def role(kind: str, rules: list[dict[str, Any]], namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": "speaker"} if namespace is None else {"name": "speaker", "namespace": namespace}
    return {"kind": kind, "metadata": metadata, "rules": rules}


def binding(of: str, subject: dict[str, str], namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": "speaker"} if namespace is None else {"name": "speaker", "namespace": namespace}
    kind = "ClusterRoleBinding" if namespace is None else "RoleBinding"
    return {"kind": kind, "metadata": metadata, "roleRef": {"kind": of, "name": "speaker"}, "subjects": [subject]}


ACCOUNT = {"kind": "ServiceAccount", "name": "speaker", "namespace": HOME}
LEASES = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["a", "b"], "verbs": ["get"]}
STATUS = {"apiGroups": ["lbprovider.io"], "resources": ["ipallocations", "ipallocations/status"], "verbs": ["patch"]}
NODES = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]}


def test_a_rule_is_as_many_rights_as_it_has_verbs_resources_and_names() -> None:
    objects = [role("Role", [LEASES], HOME), binding("Role", ACCOUNT, HOME)]
    leases = "leases.coordination.k8s.io"
    assert granted(objects, USER) == {Right(USER, "get", leases, HOME, name) for name in ("a", "b")}


def test_resources_are_named_as_kubectl_takes_them() -> None:
    objects = [role("ClusterRole", [STATUS, NODES]), binding("ClusterRole", ACCOUNT)]
    assert {each.resource for each in granted(objects, USER)} == {
        "ipallocations.lbprovider.io",
        "ipallocations.lbprovider.io/status",
        "nodes",
    }


def test_a_role_binding_grants_a_cluster_role_in_its_own_namespace_only() -> None:
    objects = [role("ClusterRole", [NODES]), binding("ClusterRole", ACCOUNT, HOME)]
    assert {each.scope for each in granted(objects, USER)} == {HOME}


@pytest.mark.parametrize(
    "subject",
    [
        {"kind": "ServiceAccount", "name": "speaker", "namespace": "elsewhere"},
        {"kind": "ServiceAccount", "name": "another", "namespace": HOME},
        {"kind": "User", "name": "speaker"},
    ],
    ids=["another namespace", "another name", "a user"],
)
def test_what_others_are_granted_is_not_ours(subject: dict[str, str]) -> None:
    assert granted([role("ClusterRole", [NODES]), binding("ClusterRole", subject)], USER) == frozenset()


def test_a_right_that_was_asked_for_is_needed() -> None:
    assert unused([right()], [request()]) == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"verb": "watch"},
        {"user": f"system:serviceaccount:{HOME}:controller"},
        {"group": "metallb.io"},
        {"resource": "segments"},
        {"subresource": "status"},
        {"status": FORBIDDEN},
    ],
    ids=str,
)
def test_another_request_needs_another_right(changes: dict[str, Any]) -> None:
    assert unused([right()], [request(**changes)]) == {right()}


def test_an_answer_that_says_no_for_another_reason_needed_the_right() -> None:
    assert unused([right()], [request(status=404)]) == frozenset()


def test_a_right_on_one_object_is_needed_by_requests_for_that_one() -> None:
    key = right(name="key")
    assert unused([key], [request(name="key")]) == frozenset()
    assert unused([key], [request(name="another"), request()]) == {key}


def test_a_right_in_the_whole_cluster_is_needed_outside_of_the_own_namespace_only() -> None:
    here = right(scope=HOME)
    assert unused([right(), here], [request(namespace=HOME)]) == {right()}
    assert unused([right(), here], [request(namespace="shop")]) == {here}
    assert unused([right(), here], [request()]) == {here}


def test_a_right_says_what_it_is() -> None:
    assert str(right(name="key", scope=HOME)) == (
        "speaker: list ipallocations.lbprovider.io key in namespace lbprovider-system"
    )
    assert str(right()) == "speaker: list ipallocations.lbprovider.io * in the whole cluster"
