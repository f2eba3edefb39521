"""The three common forms of patches, on their conditions, and apart for status and spec."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lbprovider.api.resources import POOLS
from tests.contract.kinds import Stored, path
from tests.contract.wire import asking, lease, leases, refusal, service, services, version
from tests.e2e.rig.api import Api, Object


@pytest.fixture
def made(api: Api, namespace: str) -> Object:
    return api.create(leases(namespace), lease("a", labels={"tier": "web", "zone": "1"}))


def test_a_merge_patch_changes_what_it_names_and_null_removes(api: Api, namespace: str, made: Object) -> None:
    patch = {"metadata": {"labels": {"tier": None, "new": "x"}}, "spec": {"leaseDurationSeconds": 5}}
    patched = api.patch(leases(namespace, "a"), patch)
    assert patched["metadata"]["labels"] == {"zone": "1", "new": "x"}
    assert patched["spec"] == {"holderIdentity": "me", "leaseDurationSeconds": 5}
    assert int(version(patched)) > int(version(made))
    cleared = api.patch(leases(namespace, "a"), {"metadata": {"labels": None}, "spec": {"holderIdentity": None}})
    assert ("labels" in cleared["metadata"], cleared["spec"]) == (False, {"leaseDurationSeconds": 5})


def test_a_merge_patch_replaces_lists(api: Api, stored: Stored) -> None:
    stored(POOLS, {"addresses": ["192.0.2.0/24", "198.51.100.0/24"]}, "lists")
    patched = api.patch(path(POOLS, "lists"), {"spec": {"addresses": ["203.0.113.0/24"], "autoAssign": None}})
    # What has a default is never missing.
    assert (patched["spec"]["addresses"], patched["spec"]["autoAssign"]) == (["203.0.113.0/24"], True)


@pytest.mark.parametrize("how", ["merge", "json", "strategic"])
def test_a_patch_that_changes_nothing_makes_no_version(api: Api, namespace: str, made: Object, how: str) -> None:
    same: Any = {"spec": {"holderIdentity": "me"}}
    if how == "json":
        same = [{"op": "replace", "path": "/spec/holderIdentity", "value": "me"}]
    assert api.patch(leases(namespace, "a"), same, how=how) == made


@pytest.mark.parametrize("how", ["merge", "strategic"])
def test_a_patch_holds_its_conditions_in_its_metadata(api: Api, namespace: str, made: Object, how: str) -> None:
    where = leases(namespace, "a")
    change = {"spec": {"holderIdentity": "another"}}
    stale = api.ask("PATCH", where, {**change, "metadata": {"resourceVersion": "1"}}, kind=how)
    assert "the object has been modified" in refusal(stale, 409, "Conflict")["message"]
    other = api.ask("PATCH", where, {**change, "metadata": {"uid": "another's"}}, kind=how)
    status = refusal(other, 422, "Invalid")
    assert 'metadata.uid: Invalid value: "another\'s": field is immutable' in status["message"]
    assert status["details"]["causes"][0]["field"] == "metadata.uid"
    assert api.get(where) == made
    right = {"resourceVersion": version(made), "uid": made["metadata"]["uid"]}
    assert api.patch(where, {**change, "metadata": right}, how=how)["spec"] == {"holderIdentity": "another"}


def test_a_json_patch_is_all_or_nothing(api: Api, namespace: str, made: Object) -> None:
    where = leases(namespace, "a")
    test = {"op": "test", "path": "/spec/holderIdentity", "value": "me"}
    add = {"op": "add", "path": "/spec/leaseDurationSeconds", "value": 5}
    wrong = {"op": "test", "path": "/spec/holderIdentity", "value": "nobody"}
    refusal(api.ask("PATCH", where, [test, add, wrong], kind="json"), 422, "Invalid")
    assert api.get(where) == made
    patched = api.patch(where, [test, add, {"op": "remove", "path": "/metadata/labels/tier"}], how="json")
    assert patched["spec"] == {"holderIdentity": "me", "leaseDurationSeconds": 5}
    assert patched["metadata"]["labels"] == {"zone": "1"}


@pytest.mark.parametrize(
    ("operation", "code", "reason"),
    [
        ({"op": "remove", "path": "/spec/leaseDurationSeconds"}, 422, "Invalid"),
        ({"op": "replace", "path": "/spec/nothing/at/all", "value": 1}, 422, "Invalid"),
        ({"op": "throw", "path": "/spec"}, 422, "Invalid"),
        ({"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}, 409, "Conflict"),
    ],
    ids=["remove what is missing", "no such place", "no such operation", "another version"],
)
def test_a_json_patch_that_can_not_be_is_refused(
    api: Api, namespace: str, *, made: Object, operation: Object, code: int, reason: str
) -> None:
    refusal(api.ask("PATCH", leases(namespace, "a"), [operation], kind="json"), code, reason)
    assert api.get(leases(namespace, "a")) == made


def test_of_many_json_patches_with_the_same_test_one_wins(api: Api, namespace: str, made: Object) -> None:
    where = leases(namespace, "a")
    assert made["spec"]["holderIdentity"] == "me"

    def swap(number: int) -> int:
        test = {"op": "test", "path": "/spec/holderIdentity", "value": "me"}
        take = {"op": "replace", "path": "/spec/holderIdentity", "value": f"racer-{number}"}
        return api.ask("PATCH", where, [test, take], kind="json").status

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(swap, range(8)))
    assert sorted(answers) == [200] + [422] * 7
    assert api.get(where)["spec"]["holderIdentity"] == f"racer-{answers.index(200)}"


def test_concurrent_patches_of_different_fields_all_land(api: Api, namespace: str, made: Object) -> None:
    where = leases(namespace, "a")

    def label(number: int) -> int:
        return api.ask("PATCH", where, {"metadata": {"labels": {f"l{number}": "x"}}}, kind="merge").status

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(label, range(32))) == {200}
    expected = {**made["metadata"]["labels"], **{f"l{number}": "x" for number in range(32)}}
    assert api.get(where)["metadata"]["labels"] == expected


PORTS = [{"name": "http", "port": 80}, {"name": "tls", "port": 443}]


@pytest.fixture
def web(api: Api, namespace: str) -> str:
    """The path of a Service with two ports."""
    api.create(services(namespace), service("web", ports=PORTS))
    return services(namespace, "web")


def ports(answer: Object) -> list[tuple[str, int]]:
    return [(port["name"], port["port"]) for port in answer["spec"]["ports"]]


def test_a_strategic_patch_merges_lists_by_their_keys(api: Api, web: str) -> None:
    nodeports = {port["port"]: port["nodePort"] for port in api.get(web)["spec"]["ports"]}
    patched = api.patch(web, {"spec": {"ports": [{"port": 443, "name": "https"}]}}, how="strategic")
    assert sorted(ports(patched)) == [("http", 80), ("https", 443)]
    assert {port["port"]: port["nodePort"] for port in patched["spec"]["ports"]} == nodeports


def test_a_strategic_patch_deletes_by_key_and_orders(api: Api, web: str) -> None:
    removed = api.patch(web, {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}, how="strategic")
    assert ports(removed) == [("tls", 443)]
    # As kubectl writes it.
    order = [{"port": 8080}, {"port": 443}]
    change = {"spec": {"$setElementOrder/ports": order, "ports": [{"port": 8080, "name": "alt"}]}}
    assert ports(api.patch(web, change, how="strategic")) == [("alt", 8080), ("tls", 443)]


def test_a_strategic_patch_replaces_when_told(api: Api, web: str) -> None:
    whole = {"spec": {"ports": [{"name": "only", "port": 8443}, {"$patch": "replace"}]}}
    assert ports(api.patch(web, whole, how="strategic")) == [("only", 8443)]
    selected = api.patch(web, {"spec": {"selector": {"app": "web", "tier": "front"}}}, how="strategic")
    assert selected["spec"]["selector"] == {"app": "web", "tier": "front"}
    other = api.patch(web, {"spec": {"selector": {"$patch": "replace", "app": "shop"}}}, how="strategic")
    assert other["spec"]["selector"] == {"app": "shop"}


def condition(kind: str, **more: str) -> Object:
    return {
        "type": kind,
        "status": "True",
        "reason": "Tested",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        **more,
    }


def test_conditions_merge_by_type_and_ingress_is_replaced(api: Api, web: str) -> None:
    first = {"conditions": [condition("A"), condition("B")]}
    api.patch(f"{web}/status", {"status": first}, how="strategic")
    ingress = [{"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "192.0.2.2", "ipMode": "VIP"}]
    api.patch(f"{web}/status", {"status": {"loadBalancer": {"ingress": ingress}}}, how="strategic")
    second = {"loadBalancer": {"ingress": ingress[1:]}, "conditions": [condition("B", status="False")]}
    status = api.patch(f"{web}/status", {"status": second}, how="strategic")["status"]
    assert status["loadBalancer"]["ingress"] == ingress[1:]
    assert {each["type"]: each["status"] for each in status["conditions"]} == {"A": "True", "B": "False"}
    third = {"conditions": [{"type": "A", "$patch": "delete"}]}
    status = api.patch(f"{web}/status", {"status": third}, how="strategic")["status"]
    assert [each["type"] for each in status["conditions"]] == ["B"]


def test_a_node_is_ready_or_not_by_a_strategic_patch(api: Api, namespace: str) -> None:
    name = f"node-{namespace}"
    api.create("/api/v1/nodes", {"metadata": {"name": name}})
    try:
        where = f"/api/v1/nodes/{name}/status"
        for kind in ("Ready", "MemoryPressure"):
            api.patch(where, {"status": {"conditions": [condition(kind)]}}, how="strategic")
        unready = {"status": {"conditions": [condition("Ready", status="Unknown")]}}
        told = api.patch(where, unready, how="strategic")["status"]["conditions"]
        assert {each["type"]: each["status"] for each in told} == {"Ready": "Unknown", "MemoryPressure": "True"}
        addresses = [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "InternalIP", "address": "2001:db8::1"}]
        told = api.patch(where, {"status": {"addresses": addresses}})["status"]["addresses"]
        assert told == addresses
    finally:
        api.delete(f"/api/v1/nodes/{name}")


def test_finalizers_merge_and_go_one_by_one(api: Api, namespace: str, made: Object) -> None:
    where = leases(namespace, "a")
    assert "finalizers" not in made["metadata"]
    for one in ("example.com/one", "example.com/two"):
        api.patch(where, {"metadata": {"finalizers": [one]}}, how="strategic")
    assert set(api.get(where)["metadata"]["finalizers"]) == {"example.com/one", "example.com/two"}
    removed = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/one"]}}
    assert api.patch(where, removed, how="strategic")["metadata"]["finalizers"] == ["example.com/two"]
    api.patch(where, {"metadata": {"finalizers": None}})


def test_a_strategic_patch_is_for_built_in_kinds(api: Api, stored: Stored) -> None:
    stored(POOLS, {"addresses": ["192.0.2.1"]}, "custom")
    answer = api.ask("PATCH", path(POOLS, "custom"), {"spec": {}}, kind="strategic")
    refusal(answer, 415, "UnsupportedMediaType")


def test_a_services_status_has_its_own_path(api: Api, web: str) -> None:
    ingress = [{"ip": "192.0.2.1", "ipMode": "VIP"}]
    before = api.get(web)
    told = api.patch(
        f"{web}/status",
        {"status": {"loadBalancer": {"ingress": ingress}}, "spec": {"type": "ClusterIP"}},
        how="strategic",
    )
    assert (told["spec"], told["status"]["loadBalancer"]) == (before["spec"], {"ingress": ingress})
    kept = api.patch(web, {"status": {"loadBalancer": {"ingress": []}}, "metadata": {"labels": {"a": "b"}}})
    assert (kept["status"], kept["metadata"]["labels"]) == (told["status"], {"a": "b"})
    replaced = api.replace(web, {**kept, "status": {}})
    assert replaced["status"] == told["status"]
    swapped = api.replace(f"{web}/status", {**replaced, "status": {"loadBalancer": {}}, "spec": {"type": "ClusterIP"}})
    assert (swapped["spec"], swapped["status"]) == (before["spec"], {"loadBalancer": {}})
    assert api.get(f"{web}/status") == swapped


def test_a_custom_status_patch_leaves_labels_and_finalizers_alone(api: Api, stored: Stored) -> None:
    made = stored(POOLS, {"addresses": ["192.0.2.1"]}, "apart")
    body = {
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/x"]},
        "status": {"ipv4": {"total": 1, "assigned": 0, "available": 1}},
    }
    told = api.patch(path(POOLS, "apart", "status"), body)
    assert told["status"] == body["status"]
    assert told["metadata"].keys() == made["metadata"].keys()


@pytest.mark.parametrize(
    ("change", "code", "reason", "why"),
    [
        ({"metadata": {"name": "b"}}, 400, "BadRequest", "the name of the object (b) does not match the name on the"),
        ({"metadata": {"namespace": "b"}}, 400, "BadRequest", "the namespace of the provided object does not match"),
        ({"metadata": {"labels": {"a": "b c"}}}, 422, "Invalid", 'metadata.labels: Invalid value: "b c"'),
        ({"spec": {"leaseDurationSeconds": 0}}, 422, "Invalid", "spec.leaseDurationSeconds: Invalid value: 0"),
        ({"spec": {"leaseTransitions": -1}}, 422, "Invalid", "spec.leaseTransitions: Invalid value: -1"),
    ],
    ids=["name", "namespace", "label", "duration", "transitions"],
)
@pytest.mark.parametrize("how", ["merge", "strategic"])
@pytest.mark.usefixtures("made")
def test_a_patch_that_makes_what_can_not_be_is_refused(
    api: Api, namespace: str, *, how: str, change: Object, code: int, reason: str, why: str
) -> None:
    answer = api.ask("PATCH", leases(namespace, "a"), change, kind=how)
    assert why in refusal(answer, code, reason)["message"]


@pytest.mark.parametrize(
    ("text", "kind", "code", "reason"),
    [
        (b"{", "merge", 400, "BadRequest"),
        (b"[]", "merge", 400, "BadRequest"),
        (b"[]", "strategic", 400, "BadRequest"),
        (b"{}", "json", 400, "BadRequest"),
        (b"{}", "application/json", 415, "UnsupportedMediaType"),
        (b"{}", "text/plain", 415, "UnsupportedMediaType"),
    ],
)
@pytest.mark.usefixtures("made")
def test_a_patch_that_is_none_is_refused(
    api: Api, namespace: str, *, text: bytes, kind: str, code: int, reason: str
) -> None:
    refusal(api.ask("PATCH", leases(namespace, "a"), text, kind=kind), code, reason)


def test_a_patch_of_what_is_missing_is_not_found(api: Api, namespace: str) -> None:
    for how, change in (("merge", {}), ("strategic", {}), ("json", [])):
        answer = api.ask("PATCH", leases(namespace, "none"), change, kind=how)
        assert refusal(answer, 404, "NotFound")["details"]["name"] == "none"


def test_a_creation_time_is_not_patched(api: Api, namespace: str, made: Object) -> None:
    body = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}}
    assert api.patch(asking(leases(namespace, "a"), fieldManager="test"), body) == made
