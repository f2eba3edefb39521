"""What is refused, in which words: the Status by which kubectl, kopf and our own client tell one thing from another."""

from typing import Any

import pytest

from lbprovider.api.resources import ALLOCATIONS, POOLS, SEGMENTS, SERVICES
from tests.contract.kinds import body, path
from tests.contract.wire import asking, lease, leases, refusal, whole
from tests.e2e.rig.api import Api, Object


@pytest.mark.parametrize(
    ("where", "what", "details"),
    [
        (leases("default", "none"), "leases.coordination.k8s.io", {"group": "coordination.k8s.io", "kind": "leases"}),
        (SERVICES.path("default", "none"), "services", {"kind": "services"}),
        ("/api/v1/nodes/none", "nodes", {"kind": "nodes"}),
        (SEGMENTS.path(name="none"), "segments.lbprovider.io", {"group": "lbprovider.io", "kind": "segments"}),
    ],
)
def test_an_object_that_is_missing_is_named(api: Api, where: str, what: str, details: Object) -> None:
    for method in ("GET", "DELETE"):
        status = refusal(api.ask(method, where), 404, "NotFound")
        assert status["message"] == f'{what} "none" not found'
        assert status["details"] == {"name": "none", **details}


@pytest.mark.parametrize(
    "where",
    [
        "/apis/coordination.k8s.io/v1/namespaces/default/things",
        "/apis/coordination.k8s.io/v9/leases",
        "/api/v1/things",
        leases("default", "a") + "/status",
    ],
)
def test_a_kind_that_is_missing_is_not(api: Api, where: str) -> None:
    answer = api.ask("GET", where)
    assert answer.status == 404
    if answer.headers["Content-Type"].startswith("application/json"):
        assert "name" not in answer.json.get("details", {})
    else:
        assert answer.content == b"404 page not found\n"


@pytest.mark.parametrize("where", ["/apis/nosuch.example.com/v1/things", "/nosuch", "/apis/nosuch.example.com"])
def test_a_path_that_is_missing_is_said_in_plain_words(api: Api, where: str) -> None:
    answer = api.ask("GET", where)
    assert (answer.status, answer.content) == (404, b"404 page not found\n")


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("POST", leases("default", "a")),
        ("PUT", leases("default")),
        ("PATCH", leases("default")),
        ("DELETE", POOLS.path("default", "a", "status")),
    ],
)
def test_a_method_that_can_not_be_is_refused(api: Api, method: str, where: str) -> None:
    refusal(
        api.ask(method, where, {}, kind="merge" if method == "PATCH" else "application/json"), 405, "MethodNotAllowed"
    )


def test_who_comes_second_is_told_so(api: Api, namespace: str) -> None:
    api.create(leases(namespace), lease("a"))
    status = refusal(api.ask("POST", leases(namespace), lease("a")), 409, "AlreadyExists")
    assert status["message"] == 'leases.coordination.k8s.io "a" already exists'
    assert status["details"] == {"name": "a", "group": "coordination.k8s.io", "kind": "leases"}
    allocation = body(ALLOCATIONS, {"address": "192.0.2.77", "pool": "lan"}, "192.0.2.77")
    api.create(ALLOCATIONS.path(), allocation)
    try:
        status = refusal(api.ask("POST", ALLOCATIONS.path(), allocation), 409, "AlreadyExists")
        assert status["details"] == {"name": "192.0.2.77", "group": "lbprovider.io", "kind": "ipallocations"}
    finally:
        api.delete(ALLOCATIONS.path(name="192.0.2.77"))


@pytest.mark.parametrize(
    ("content", "code", "reason", "why"),
    [
        (lease(""), 422, "Invalid", "metadata.name: Required value: name or generateName is required"),
        (
            lease("Not-A-Name"),
            422,
            "Invalid",
            'metadata.name: Invalid value: "Not-A-Name": a lowercase RFC 1123 subdoma',
        ),
        (lease("a", namespace="other"), 400, "BadRequest", "the namespace of the provided object does not match the"),
        (
            lease("a", labels={"b": "c d"}),
            422,
            "Invalid",
            'metadata.labels: Invalid value: "c d": a valid label must be',
        ),
        (
            lease("a", labels={"b c": "d"}),
            422,
            "Invalid",
            'metadata.labels: Invalid value: "b c": name part must consist',
        ),
        (lease("a", labels=["b"]), 400, "BadRequest", "Lease in version"),
        ({**lease("a"), "spec": {"holderIdentity": 5}}, 400, "BadRequest", "holderIdentity of type string"),
        (
            {**lease("a"), "spec": {"leaseDurationSeconds": 0}},
            422,
            "Invalid",
            "spec.leaseDurationSeconds: Invalid value: 0",
        ),
        ({**lease("a"), "spec": {"renewTime": "soon"}}, 400, "BadRequest", "Lease in version"),
        ({**lease("a"), "apiVersion": "v1", "kind": "Node"}, 400, "BadRequest", "Node"),
        (b"{", 400, "BadRequest", ""),
        (b"", 400, "BadRequest", ""),
        (b"[]", 400, "BadRequest", ""),
    ],
)
def test_a_lease_that_can_not_be_is_refused(
    api: Api, namespace: str, *, content: Any, code: int, reason: str, why: str
) -> None:
    assert why in refusal(api.ask("POST", leases(namespace), content), code, reason)["message"]


@pytest.mark.parametrize(
    ("change", "code", "reason", "why"),
    [
        ({"kind": ""}, 400, "BadRequest", "Kind"),
        ({"kind": "Another"}, 422, "Invalid", "must be IPAddressPool"),
        ({"apiVersion": "lbprovider.io/v1"}, 400, "BadRequest", "does not match the expected API version"),
        ({"metadata": {}}, 422, "Invalid", "metadata.name: Required value: name or generateName is required"),
        ({"metadata": {"name": "Lan"}}, 422, "Invalid", 'metadata.name: Invalid value: "Lan"'),
        (
            {"metadata": {"name": "lan", "labels": {"a": "b c"}}},
            422,
            "Invalid",
            'metadata.labels: Invalid value: "b c"',
        ),
        (
            {"spec": {"addresses": "192.0.2.1"}},
            422,
            "Invalid",
            'spec.addresses in body must be of type array: "string"',
        ),
        ({"spec": []}, 422, "Invalid", 'spec in body must be of type object: "array"'),
    ],
)
def test_a_pool_that_can_not_be_is_refused(api: Api, *, change: Object, code: int, reason: str, why: str) -> None:
    content = {**body(POOLS, {"addresses": ["192.0.2.1"]}, "lan"), **change}
    assert why in refusal(api.ask("POST", asking(path(POOLS), dryRun="All"), content), code, reason)["message"]


def test_each_cause_is_told_apart(api: Api) -> None:
    bad = {"addresses": ["lan", "192.0.2.1"], "serviceAllocation": {"priority": -1}}
    status = refusal(api.ask("POST", path(POOLS), body(POOLS, bad, "lan")), 422, "Invalid")
    assert status["message"].startswith('IPAddressPool.lbprovider.io "lan" is invalid: ')
    details = status["details"]
    assert (details["name"], details["group"], details["kind"]) == ("lan", "lbprovider.io", "IPAddressPool")
    causes = {cause["field"]: cause for cause in details["causes"]}
    assert causes["spec.serviceAllocation.priority"]["reason"] == "FieldValueInvalid"
    assert all(cause["message"] and cause["reason"] for cause in details["causes"])


def test_what_is_written_in_no_known_form_is_refused(api: Api, namespace: str) -> None:
    answer = api.ask("POST", leases(namespace), b"a", kind="text/plain")
    assert "accepted media types include: application/json" in refusal(answer, 415, "UnsupportedMediaType")["message"]


def test_a_body_has_a_limit(api: Api, namespace: str) -> None:
    big = lease("a", annotations={"a": "x" * (4 << 20)})
    answer = api.ask("POST", leases(namespace), big)
    assert "limit is 3145728" in refusal(answer, 413, "RequestEntityTooLarge")["message"]
    annotated = lease("a", annotations={"a": "x" * (300 << 10)})
    message = refusal(api.ask("POST", leases(namespace), annotated), 422, "Invalid")["message"]
    assert "metadata.annotations: Too long" in message


def test_an_object_is_put_under_its_own_name(api: Api, namespace: str) -> None:
    made = api.create(leases(namespace), lease("a"))
    answer = api.ask("PUT", leases(namespace, "b"), made)
    assert (
        "the name of the object (a) does not match the name on the URL (b)"
        in (refusal(answer, 400, "BadRequest")["message"])
    )
    answer = api.ask("PUT", leases("default", "a"), made)
    assert "namespace of the provided object does not match" in refusal(answer, 400, "BadRequest")["message"]


def test_an_event_belongs_where_its_object_is(api: Api, namespace: str) -> None:
    about = {"kind": "Service", "namespace": "default", "name": "web"}
    event = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Tested", "type": "Normal"}
    answer = api.ask("POST", f"/api/v1/namespaces/{namespace}/events", event)
    why = 'involvedObject.namespace: Invalid value: "default": does not match event.namespace'
    assert why in refusal(answer, 422, "Invalid")["message"]


def test_a_version_is_taken_as_it_is(api: Api, namespace: str) -> None:
    for kind, where in ((None, leases(namespace)), (POOLS, POOLS.path(namespace))):
        content = lease("a", resourceVersion="5")
        if kind is not None:
            content = whole(kind, {**content, "spec": {"addresses": ["192.0.2.1"]}})
        answer = api.ask("POST", where, content)
        # kube-apiserver calls it a fault of its own.
        assert answer.status == 500
        assert "resourceVersion should not be set on objects to be created" in answer.json["message"]
