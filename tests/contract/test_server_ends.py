"""How objects end: finalizers, owners, namespaces."""

import pytest

from lbprovider.api.resources import NODES, POOLS
from tests.contract.kinds import Stored, body
from tests.contract.wire import asking, lease, leases, names, refusal, service, services, version, watching
from tests.e2e.rig.api import Api, Object
from tests.e2e.rig.waiting import eventually

HOLD = "example.com/hold"


def owned(by: Object, **more: object) -> list[Object]:
    return [
        {
            "apiVersion": by["apiVersion"],
            "kind": by["kind"],
            "name": by["metadata"]["name"],
            "uid": by["metadata"]["uid"],
            **more,
        }
    ]


def test_a_finalizer_holds_what_is_deleted_until_it_is_taken_away(api: Api, namespace: str) -> None:
    where = leases(namespace, "a")
    made = api.create(leases(namespace), lease("a", finalizers=[HOLD]))
    with api.watch(watching(leases(namespace), resourceVersion=version(made))) as events:
        held = api.delete(where)
        assert held["kind"] == "Lease"
        assert held["metadata"]["deletionTimestamp"]
        assert api.get(where) == held
        # A second one changes nothing, an edit does.
        assert api.delete(where) == held
        edited = api.patch(where, {"spec": {"holderIdentity": "another"}})
        assert edited["metadata"]["deletionTimestamp"] == held["metadata"]["deletionTimestamp"]
        gone = api.patch(where, {"metadata": {"finalizers": None}})
        assert gone["spec"] == {"holderIdentity": "another"}
        assert api.find(where) is None
        told = [next(events) for _ in range(3)]
    assert [event["type"] for event in told] == ["MODIFIED", "MODIFIED", "DELETED"]


def test_what_is_being_deleted_gets_no_new_finalizer(api: Api, namespace: str) -> None:
    where = leases(namespace, "a")
    api.create(leases(namespace), lease("a", finalizers=[HOLD]))
    api.delete(where)
    answer = api.ask("PATCH", where, {"metadata": {"finalizers": [HOLD, "example.com/new"]}}, kind="merge")
    why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"
    assert why in refusal(answer, 422, "Invalid")["message"]
    refusal(api.ask("POST", leases(namespace), lease("a")), 409, "AlreadyExists")
    api.patch(where, {"metadata": {"finalizers": []}})
    assert api.find(where) is None


def test_a_finalizer_holds_a_service_too(api: Api, namespace: str) -> None:
    where = services(namespace, "web")
    api.create(services(namespace), service("web"))
    api.patch(where, {"metadata": {"finalizers": ["service.kubernetes.io/load-balancer-cleanup"]}})
    api.delete(where)
    # The provider's last words reach it.
    told = api.patch(f"{where}/status", {"status": {"loadBalancer": {}}})
    assert told["metadata"]["deletionTimestamp"]
    api.patch(where, {"metadata": {"finalizers": None}})
    assert api.find(where) is None


def test_a_finalizer_holds_a_custom_object_too(api: Api) -> None:
    made = api.create(POOLS.path("default"), {**body(POOLS, {"addresses": ["192.0.2.1"]}), "metadata": held("held")})
    where = POOLS.path("default", "held")
    assert api.delete(where)["metadata"]["uid"] == made["metadata"]["uid"]
    api.patch(where, {"metadata": {"finalizers": None}})
    assert api.find(where) is None


def held(name: str) -> Object:
    return {"name": name, "finalizers": [HOLD]}


def test_what_is_owned_goes_with_its_owner(api: Api, namespace: str) -> None:
    path = leases(namespace)
    owner = api.create(path, lease("owner"))
    api.create(path, lease("child", ownerReferences=owned(owner)))
    api.create(path, lease("grandchild", ownerReferences=owned(api.get(f"{path}/child"))))
    api.create(path, lease("stranger"))
    api.delete(f"{path}/owner")
    eventually(lambda: names(api.items(path)) == ["stranger"], "the owner's descendants are gone")


def test_what_has_another_owner_left_stays(api: Api, namespace: str) -> None:
    path = leases(namespace)
    first, second = (api.create(path, lease(name)) for name in ("first", "second"))
    api.create(path, lease("child", ownerReferences=[*owned(first), *owned(second)]))
    api.create(path, lease("marker", ownerReferences=owned(first)))
    api.delete(f"{path}/first")
    eventually(lambda: api.find(f"{path}/marker") is None, "what only the first one owned is gone")
    assert api.find(f"{path}/child")
    api.delete(f"{path}/second")
    eventually(lambda: names(api.items(path)) == [], "the child of both is gone")


def test_a_nodes_lease_goes_with_its_node(api: Api, namespace: str) -> None:
    node = api.create(NODES.path(), {"metadata": {"name": f"node-{namespace}"}})
    api.create(leases(namespace), lease("registration", ownerReferences=owned(node)))
    api.delete(NODES.path(name=f"node-{namespace}"))
    eventually(lambda: api.find(leases(namespace, "registration")) is None, "the Node's Lease is gone")


def test_an_owner_that_never_was_owns_nothing_for_long(api: Api, namespace: str) -> None:
    ghost = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "ghost", "uid": "0000"}}
    api.create(leases(namespace), lease("haunted", ownerReferences=owned(ghost)))
    eventually(lambda: api.find(leases(namespace, "haunted")) is None, "what nobody owns is gone")


def test_what_is_orphaned_stays(api: Api, namespace: str) -> None:
    path = leases(namespace)
    owner = api.create(path, lease("owner"))
    api.create(path, lease("child", ownerReferences=owned(owner)))
    api.delete(asking(f"{path}/owner", propagationPolicy="Orphan"))
    eventually(lambda: api.find(f"{path}/owner") is None, "the owner is gone")
    child = api.get(f"{path}/child")
    assert "ownerReferences" not in child["metadata"]


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_a_deletion_may_say_how(api: Api, namespace: str, policy: str) -> None:
    path = leases(namespace)
    owner = api.create(path, lease("owner"))
    api.create(path, lease("child", ownerReferences=owned(owner, blockOwnerDeletion=True)))
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy}
    assert api.ask("DELETE", f"{path}/owner", options).status == 200
    eventually(lambda: names(api.items(path)) == [], "both are gone")


def test_an_owner_without_a_name_is_refused(api: Api, namespace: str) -> None:
    nameless = [{"apiVersion": "v1", "kind": "Node", "name": "", "uid": ""}]
    status = refusal(api.ask("POST", leases(namespace), lease("a", ownerReferences=nameless)), 422, "Invalid")
    fields = {cause["field"] for cause in status["details"]["causes"]}
    assert fields == {"metadata.ownerReferences.name", "metadata.ownerReferences.uid"}


def test_a_namespace_goes_with_all_that_is_in_it(api: Api, namespace: str, stored: Stored) -> None:
    where = f"/api/v1/namespaces/{namespace}"
    api.create(leases(namespace), lease("a"))
    api.create(services(namespace), service("web"))
    api.create(POOLS.path(namespace), {**body(POOLS, {"addresses": ["192.0.2.1"]}), "metadata": held("lan")})
    kept = stored(POOLS, {"addresses": ["192.0.2.1"]})
    assert api.get(where)["status"]["phase"] == "Active"
    ending = api.delete(where)
    assert (ending["status"]["phase"], "deletionTimestamp" in ending["metadata"]) == ("Terminating", True)
    late = refusal(api.ask("POST", leases(namespace), lease("late")), 403, "Forbidden")
    assert "because it is being terminated" in late["message"]
    assert late["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    # What is there may still be written.
    api.patch(POOLS.path(namespace, "lan"), {"metadata": {"finalizers": None}})
    eventually(lambda: api.find(where) is None, "the namespace is gone")
    for path in (leases(namespace), services(namespace), POOLS.path(namespace)):
        assert api.items(path) == []
    assert api.get(POOLS.path(kept["metadata"]["namespace"], kept["metadata"]["name"])) == kept
    again = api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    assert again["metadata"]["uid"] != ending["metadata"]["uid"]


def test_the_default_namespace_stays(api: Api) -> None:
    answer = refusal(api.ask("DELETE", "/api/v1/namespaces/default"), 403, "Forbidden")
    assert answer["message"] == 'namespaces "default" is forbidden: this namespace may not be deleted'


def test_nothing_is_created_where_there_is_no_namespace(api: Api) -> None:
    for path, content in (
        (leases("no-such-namespace"), lease("a")),
        (services("no-such-namespace"), service("web")),
        (POOLS.path("no-such-namespace"), {**body(POOLS, {"addresses": ["192.0.2.1"]}), "metadata": {"name": "a"}}),
    ):
        answer = refusal(api.ask("POST", path, content), 404, "NotFound")
        assert answer["message"] == 'namespaces "no-such-namespace" not found'
