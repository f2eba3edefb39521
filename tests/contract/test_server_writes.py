"""Creating, replacing and deleting: what is kept, what the server adds, and on which conditions."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from lbprovider.api.resources import POOLS, Resource
from lbprovider.lab.provider import NAMESPACE
from tests.contract.kinds import Stored, body, path
from tests.contract.wire import asking, lease, leases, names, refusal, service, services, version, whole
from tests.e2e.rig.api import Api, Object

UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_what_is_created_gets_a_uid_a_version_and_a_time(api: Api, namespace: str) -> None:
    made = api.create(leases(namespace), lease("a", labels={"b": "c"}, annotations={"d": "e"}))
    metadata = made["metadata"]
    assert (made["kind"], made["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")
    assert (metadata["name"], metadata["namespace"]) == ("a", namespace)
    assert (metadata["labels"], metadata["annotations"]) == ({"b": "c"}, {"d": "e"})
    assert UUID.fullmatch(metadata["uid"])
    assert metadata["resourceVersion"].isdecimal()
    assert TIME.fullmatch(metadata["creationTimestamp"])
    assert made["spec"] == {"holderIdentity": "me"}
    assert api.get(leases(namespace, "a")) == made


def test_what_only_the_server_says_is_not_taken_from_a_client(api: Api, namespace: str) -> None:
    wished = {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "deletionTimestamp": "2001-01-01T00:00:00Z"}
    made = api.create(leases(namespace), lease("a", generation=7, selfLink="/x", **wished))
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["creationTimestamp"] > "2001-01-01T00:00:00Z"
    assert not {"deletionTimestamp", "selfLink"} & made["metadata"].keys()


def test_a_name_is_generated(api: Api, namespace: str) -> None:
    made = [api.create(leases(namespace), {"metadata": {"generateName": "some-"}}) for _ in range(8)]
    found = {each["metadata"]["name"] for each in made}
    assert len(found) == 8
    assert all(re.fullmatch(r"some-[a-z0-9]{5}", name) for name in found)


def test_every_write_has_a_later_version(api: Api, namespace: str) -> None:
    path = leases(namespace)
    first = api.create(path, lease("a"))
    second = api.create(path, lease("b"))
    third = api.patch(f"{path}/a", {"spec": {"holderIdentity": "another"}})
    versions = [int(version(each)) for each in (first, second, third)]
    assert versions == sorted(set(versions))
    assert int(version(api.get(path))) >= versions[-1]


def test_a_replacement_is_the_whole_object(api: Api, namespace: str) -> None:
    made = api.create(leases(namespace), lease("a", labels={"b": "c"}))
    wanted = {"metadata": {"name": "a", "resourceVersion": version(made)}, "spec": {"leaseDurationSeconds": 5}}
    replaced = api.replace(leases(namespace, "a"), wanted)
    assert replaced["spec"] == {"leaseDurationSeconds": 5}
    assert "labels" not in replaced["metadata"]
    assert replaced["metadata"]["uid"] == made["metadata"]["uid"]
    assert replaced["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]


def test_a_replacement_that_changes_nothing_makes_no_version(api: Api, namespace: str) -> None:
    made = api.create(leases(namespace), lease("a"))
    assert api.replace(leases(namespace, "a"), made) == made


def test_a_lease_that_is_missing_is_created_by_its_replacement(api: Api, namespace: str) -> None:
    answer = api.ask("PUT", leases(namespace, "a"), lease("a"))
    assert answer.status == 201
    assert api.get(leases(namespace, "a")) == answer.json
    assert api.ask("PUT", leases(namespace, "b"), lease("b", resourceVersion="5")).status == 201
    refusal(api.ask("PUT", leases(namespace, "c"), lease("c", uid="another's")), 409, "Conflict")
    assert names(api.items(leases(namespace))) == ["a", "b"]


def test_a_pool_that_is_missing_is_not_created_by_its_replacement(api: Api) -> None:
    answer = api.ask("PUT", path(POOLS, "none"), body(POOLS, {"addresses": ["192.0.2.1"]}, "none"))
    assert refusal(answer, 404, "NotFound")["message"] == 'ipaddresspools.lbprovider.io "none" not found'


@pytest.mark.parametrize(
    ("metadata", "code", "reason", "why"),
    [
        ({"resourceVersion": "1"}, 409, "Conflict", "the object has been modified; please apply your changes to the"),
        ({"uid": "another's"}, 409, "Conflict", "UID in precondition: another's"),
        ({}, 422, "Invalid", "metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
    ],
    ids=["version", "uid", "neither"],
)
@pytest.mark.parametrize("custom", [False, True], ids=["Lease", "IPAddressPool"])
def test_a_replacement_on_a_wrong_condition_is_refused(
    api: Api, namespace: str, stored: Stored, *, custom: bool, metadata: Object, code: int, reason: str, why: str
) -> None:
    if custom:
        made = stored(POOLS, {"addresses": ["192.0.2.0/24"]})
        where, kind = path(POOLS, made["metadata"]["name"]), "ipaddresspools.lbprovider.io"
    else:
        made = api.create(leases(namespace), lease("a"))
        where, kind = leases(namespace, "a"), "leases.coordination.k8s.io"
    name = made["metadata"]["name"]
    wanted = {**made, "metadata": {"name": name, "labels": {"a": "b"}, **metadata}}
    status = refusal(api.ask("PUT", where, wanted), code, reason)
    assert f'{kind} "{name}"' in status["message"]
    assert why in status["message"]
    assert status["details"]["name"] == name
    assert api.get(where) == made


def test_a_service_may_be_replaced_unseen(api: Api, namespace: str) -> None:
    made = api.create(services(namespace), service("web", ipFamilyPolicy="PreferDualStack"))
    replaced = api.replace(services(namespace, "web"), service("web", ports=[{"port": 8080}]))
    assert replaced["spec"]["ports"][0]["port"] == 8080
    # What the server gave it stays.
    for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        assert replaced["spec"][field] == made["spec"][field]
    assert replaced["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][0]["nodePort"]


def test_a_deletion_says_whom_it_took(api: Api, namespace: str) -> None:
    made = api.create(leases(namespace), lease("a"))
    answer = api.delete(leases(namespace, "a"))
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    uid = made["metadata"]["uid"]
    assert answer["details"] == {"name": "a", "group": "coordination.k8s.io", "kind": "leases", "uid": uid}
    message = refusal(api.ask("DELETE", leases(namespace, "a")), 404, "NotFound")["message"]
    assert message == 'leases.coordination.k8s.io "a" not found'


def test_a_deleted_service_is_answered_with_itself(api: Api, namespace: str) -> None:
    made = api.create(services(namespace), service("web"))
    gone = api.delete(services(namespace, "web"))
    assert (gone["kind"], gone["metadata"]["uid"]) == ("Service", made["metadata"]["uid"])
    assert api.find(services(namespace, "web")) is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"uid": "another's"}, "the UID in the precondition (another's) does not match the UID in record"),
        ({"resourceVersion": "1"}, "the ResourceVersion in the precondition (1) does not match the ResourceVersion"),
    ],
    ids=["uid", "version"],
)
def test_a_deletion_on_a_wrong_condition_is_refused(api: Api, namespace: str, wrong: Object, why: str) -> None:
    made = api.create(leases(namespace), lease("a"))
    where = leases(namespace, "a")
    options = {"kind": "DeleteOptions", "apiVersion": "v1"}
    assert why in refusal(api.ask("DELETE", where, {**options, "preconditions": wrong}), 409, "Conflict")["message"]
    assert api.get(where) == made
    right = {"uid": made["metadata"]["uid"], "resourceVersion": version(made)}
    assert api.ask("DELETE", where, {**options, "preconditions": right}).status == 200
    assert api.find(where) is None


def test_a_deletion_in_no_known_way_is_refused(api: Api, namespace: str) -> None:
    made = api.create(leases(namespace), lease("a"))
    where = leases(namespace, "a")
    why = 'propagationPolicy: Unsupported value: "Some": supported values: "Foreground", "Background", "Orphan"'
    for answer in (
        api.ask("DELETE", asking(where, propagationPolicy="Some")),
        api.ask("DELETE", where, {"propagationPolicy": "Some"}),
    ):
        assert why in refusal(answer, 422, "Invalid")["message"]
    assert api.get(where) == made


def test_a_collection_is_deleted_by_labels(api: Api, namespace: str) -> None:
    path = leases(namespace)
    for name in "abc":
        api.create(path, lease(name, labels={"kept": str(name == "b")}))
    answer = api.delete(asking(path, labelSelector="kept=False"))
    assert (answer["kind"], names(answer["items"])) == ("LeaseList", ["a", "c"])
    assert names(api.items(path)) == ["b"]


DRY: Final[Mapping[str, tuple[str, str, Any]]] = {
    "create": ("POST", "", lease("b")),
    "replace": ("PUT", "/a", {"spec": {"holderIdentity": "another"}}),
    "patch": ("PATCH", "/a", {"spec": {"holderIdentity": "another"}}),
    "delete": ("DELETE", "/a", None),
    "delete a collection": ("DELETE", "", None),
}


@pytest.mark.parametrize("what", DRY)
def test_a_dry_run_answers_and_leaves_nothing(api: Api, namespace: str, what: str) -> None:
    path = leases(namespace)
    made = api.create(path, lease("a"))
    method, name, content = DRY[what]
    if method == "PUT":
        content = {**content, "metadata": made["metadata"]}
    kind = "merge" if method == "PATCH" else "application/json"
    answer = api.ask(method, asking(f"{path}{name}", dryRun="All"), content, kind=kind)
    assert answer.status == (201 if method == "POST" else 200)
    if method in {"PUT", "PATCH"}:
        assert answer.json["spec"] == {"holderIdentity": "another"}
    if method == "POST":
        assert answer.json["metadata"]["uid"]
        assert "resourceVersion" not in answer.json["metadata"]
    if what == "delete":
        assert (answer.json["kind"], answer.json["status"]) == ("Status", "Success")
    assert api.items(path) == [{key: value for key, value in made.items() if key not in {"kind", "apiVersion"}}]


def test_a_dry_run_is_refused_as_the_real_one_would_be(api: Api, namespace: str) -> None:
    path = leases(namespace)
    api.create(path, lease("a"))
    refusal(api.ask("POST", asking(path, dryRun="All"), lease("a")), 409, "AlreadyExists")
    why = 'dryRun: Unsupported value: ["Some"]: supported values: "All"'
    assert why in refusal(api.ask("POST", asking(path, dryRun="Some"), lease("b")), 422, "Invalid")["message"]


def test_unknown_fields_are_refused_when_asked_for_and_dropped_else(api: Api, namespace: str) -> None:
    odd = {**lease("odd"), "spec": {"holderIdentity": "me", "holder": "me"}, "state": {}}
    strict = refusal(api.ask("POST", asking(leases(namespace), fieldValidation="Strict"), odd), 400, "BadRequest")
    assert 'strict decoding error: unknown field "spec.holder", unknown field "state"' in strict["message"]
    for mild in ("Warn", "Ignore"):
        made = api.create(asking(leases(namespace), fieldValidation=mild, dryRun="All"), odd)
        assert (made["spec"], "state" in made) == ({"holderIdentity": "me"}, False)


def test_unknown_fields_of_our_kinds_are_refused_when_asked_for_and_dropped_else(api: Api) -> None:
    odd = body(POOLS, {"addresses": ["192.0.2.1"], "autoassign": False}, "odd")
    strict = api.ask("POST", asking(path(POOLS), fieldValidation="Strict", dryRun="All"), odd)
    assert 'unknown field "spec.autoassign"' in refusal(strict, 400, "BadRequest")["message"]
    assert "autoassign" not in api.create(asking(path(POOLS), dryRun="All"), odd)["spec"]
    api.create(path(POOLS), body(POOLS, {"addresses": ["192.0.2.1"]}, "odd"))
    try:
        where = asking(path(POOLS, "odd"), fieldValidation="Strict", dryRun="All")
        patched = api.ask("PATCH", where, {"spec": {"autoassign": False}}, kind="merge")
        assert 'unknown field "spec.autoassign"' in refusal(patched, 422, "Invalid")["message"]
    finally:
        api.delete(path(POOLS, "odd"))


def test_a_warning_names_what_was_dropped(api: Api) -> None:
    odd = body(POOLS, {"addresses": ["192.0.2.1"], "autoassign": False}, "odd")
    answer = api.ask("POST", asking(path(POOLS), fieldValidation="Warn", dryRun="All"), odd)
    assert 'unknown field \\"spec.autoassign\\"' in answer.headers["Warning"]


@pytest.mark.parametrize("kind", [POOLS], ids=str)
def test_the_generation_counts_changes_of_the_spec(api: Api, stored: Stored, kind: Resource[Any]) -> None:
    made = stored(kind, {"addresses": ["192.0.2.0/24"]}, "counted")
    where = kind.path(NAMESPACE, "counted")
    assert made["metadata"]["generation"] == 1
    assert api.patch(where, {"metadata": {"labels": {"a": "b"}}})["metadata"]["generation"] == 1
    assert api.patch(where, {"spec": {"autoAssign": False}})["metadata"]["generation"] == 2
    assert api.patch(where, {"spec": {"autoAssign": False}})["metadata"]["generation"] == 2
    status = {"status": {"ipv4": {"total": 1, "assigned": 1, "available": 0}}}
    assert api.patch(f"{where}/status", status)["metadata"]["generation"] == 2
    seen = api.get(where)
    replaced = api.replace(where, whole(kind, {**seen, "status": {}, "spec": {**seen["spec"], "autoAssign": True}}))
    assert (replaced["metadata"]["generation"], replaced["status"]) == (3, seen["status"])


def test_a_manifest_may_be_yaml(api: Api, namespace: str) -> None:
    text = b"metadata: {name: written}\nspec:\n  holderIdentity: me\n"
    answer = api.ask("POST", leases(namespace), text, kind="application/yaml")
    assert (answer.status, answer.json["spec"]) == (201, {"holderIdentity": "me"})
