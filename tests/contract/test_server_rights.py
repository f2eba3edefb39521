"""Who may do what: tokens, Roles down to one object and one subresource, and a review that says the same."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from lbprovider.api.resources import SEGMENTS
from tests.contract.servers import Server
from tests.contract.wire import asking, lease, leases, names, refusal, service, services, version, watching
from tests.e2e.rig.api import Api, ApiError, Object
from tests.e2e.rig.waiting import eventually

RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

RULES: Final[list[Object]] = [
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["mine"],
        "verbs": ["get", "list", "watch", "update"],
    },
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {"apiGroups": [""], "resources": ["services/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
]


@dataclass(frozen=True)
class Someone:
    """A ServiceAccount of a namespace, and the server as it sees it."""

    user: str
    namespace: str
    api: Api


@pytest.fixture
def bob(server: Server, namespace: str) -> Someone:
    """A ServiceAccount without any rights."""
    server.api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "bob"}})
    user = f"system:serviceaccount:{namespace}:bob"
    return Someone(user, namespace, server.api_as(server.token_of("bob", namespace)))


@pytest.fixture
def clerk(api: Api, bob: Someone) -> Someone:
    """The same with a Role."""
    path = f"{RBAC}/namespaces/{bob.namespace}"
    api.create(f"{path}/roles", {"metadata": {"name": "clerk"}, "rules": RULES})
    api.create(f"{path}/rolebindings", binding("Role", "clerk", bob))
    eventually(lambda: may(bob, "create", "leases"), "the Role is in force")
    return bob


def binding(kind: str, name: str, someone: Someone) -> Object:
    subject = {"kind": "ServiceAccount", "name": "bob", "namespace": someone.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    return {"metadata": {"name": f"{name}-{someone.namespace}"}, "roleRef": reference, "subjects": [subject]}


def may(someone: Someone, verb: str, resource: str, name: str = "", namespace: str | None = None) -> bool:
    plural, _, subresource = resource.partition("/")
    about = {
        "verb": verb,
        "group": "coordination.k8s.io" if plural == "leases" else "",
        "resource": plural,
        "subresource": subresource,
        "name": name,
        "namespace": someone.namespace if namespace is None else namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": about},
    }
    allowed: bool = someone.api.create(REVIEWS, review)["status"]["allowed"]
    return allowed


def test_nobody_may_do_what_no_rule_says(bob: Someone) -> None:
    where = f'in API group "coordination.k8s.io" in the namespace "{bob.namespace}"'
    for method, path, content, verb, name in (
        ("GET", leases(bob.namespace), None, "list", ""),
        ("GET", leases(bob.namespace, "a"), None, "get", "a"),
        ("GET", watching(leases(bob.namespace), 1), None, "watch", ""),
        ("POST", leases(bob.namespace), lease("a"), "create", ""),
        ("PUT", leases(bob.namespace, "a"), lease("a"), "update", "a"),
        ("PATCH", leases(bob.namespace, "a"), {}, "patch", "a"),
        ("DELETE", leases(bob.namespace, "a"), None, "delete", "a"),
        ("DELETE", leases(bob.namespace), None, "deletecollection", ""),
    ):
        status = refusal(bob.api.ask(method, path, content, kind="merge"), 403, "Forbidden")
        what = 'leases.coordination.k8s.io "a"' if name else "leases.coordination.k8s.io"
        assert status["message"] == (f'{what} is forbidden: User "{bob.user}" cannot {verb} resource "leases" {where}')
        named = {"name": name} if name else {}
        assert status["details"] == {**named, "group": "coordination.k8s.io", "kind": "leases"}


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (leases(""), 'cannot list resource "leases" in API group "coordination.k8s.io" at the cluster scope'),
        (SEGMENTS.path(), 'cannot list resource "segments" in API group "lbprovider.io" at the cluster scope'),
        ("/api/v1/nodes", 'cannot list resource "nodes" in API group "" at the cluster scope'),
        # Whoever may not ask doesn't learn whether there is such a kind.
        ("/apis/nosuch.example.com/v1/things", 'cannot list resource "things" in API group "nosuch.example.com" at'),
        ("/metrics", 'cannot get path "/metrics"'),
    ],
)
def test_a_refusal_says_what_is_missing(bob: Someone, path: str, what: str) -> None:
    assert f'User "{bob.user}" {what}' in refusal(bob.api.ask("GET", path), 403, "Forbidden")["message"]


def test_a_subresource_is_named_in_the_refusal(bob: Someone) -> None:
    answer = bob.api.ask("PATCH", services(bob.namespace, "web", "status"), {}, kind="merge")
    message = refusal(answer, 403, "Forbidden")["message"]
    assert f'services "web" is forbidden: User "{bob.user}" cannot patch resource "services/status"' in message


@pytest.mark.parametrize("path", ["/version", "/api", "/apis", "/apis/lbprovider.io/v1beta1", "/openapi/v3", "/readyz"])
def test_everybody_may_look_round(bob: Someone, path: str) -> None:
    assert bob.api.ask("GET", path).status == 200


def test_who_is_unknown_may_nothing(server: Server, namespace: str) -> None:
    stranger = server.api_as("nonsense")
    for path in (leases(namespace), "/version"):
        assert refusal(stranger.ask("GET", path), 401, "Unauthorized")["message"] == "Unauthorized"
    nobody = server.api_as(None)
    message = refusal(nobody.ask("GET", leases(namespace)), 403, "Forbidden")["message"]
    assert 'User "system:anonymous" cannot list resource "leases"' in message
    assert nobody.text("/readyz") == "ok"


def test_a_role_may_name_objects(clerk: Someone) -> None:
    path = leases(clerk.namespace)
    assert refusal(clerk.api.ask("GET", f"{path}/mine"), 404, "NotFound")
    made = clerk.api.create(path, lease("mine"))
    assert clerk.api.create(path, lease("other"))
    assert clerk.api.get(f"{path}/mine") == made
    swapped = clerk.api.replace(f"{path}/mine", {**made, "spec": {"holderIdentity": "clerk"}})
    for method, where, content in (
        ("GET", f"{path}/other", None),
        ("PUT", f"{path}/other", lease("other")),
        ("DELETE", f"{path}/mine", None),
        ("PATCH", f"{path}/mine", {}),
        ("GET", path, None),
        ("GET", asking(path, fieldSelector="metadata.name=other"), None),
    ):
        refusal(clerk.api.ask(method, where, content, kind="merge"), 403, "Forbidden")
    # One named object may be listed and watched by its name.
    assert names(clerk.api.items(asking(path, fieldSelector="metadata.name=mine"))) == ["mine"]
    watch = watching(path, fieldSelector="metadata.name=mine", resourceVersion=version(made))
    with clerk.api.watch(watch) as events:
        event = next(events)
    assert (event["type"], version(event["object"])) == ("MODIFIED", version(swapped))
    with pytest.raises(ApiError, match="403"), clerk.api.watch(watching(path, 1)):
        pass


def test_a_subresource_is_a_right_of_its_own(api: Api, clerk: Someone) -> None:
    where = services(clerk.namespace, "web")
    api.create(services(clerk.namespace), service("web"))
    ingress = [{"ip": "192.0.2.1", "ipMode": "VIP"}]
    told = clerk.api.patch(f"{where}/status", {"status": {"loadBalancer": {"ingress": ingress}}})
    assert told["status"]["loadBalancer"]["ingress"] == ingress
    assert clerk.api.get(where) == told
    refusal(clerk.api.ask("PATCH", where, {"metadata": {"labels": {"a": "b"}}}, kind="merge"), 403, "Forbidden")
    refusal(clerk.api.ask("GET", f"{where}/status"), 403, "Forbidden")


def test_a_role_ends_at_its_namespace(api: Api, clerk: Someone) -> None:
    refusal(clerk.api.ask("POST", leases("default"), lease("a")), 403, "Forbidden")
    assert not may(clerk, "create", "leases", namespace="default")
    api.delete(f"{RBAC}/namespaces/{clerk.namespace}/rolebindings/clerk-{clerk.namespace}")
    eventually(lambda: not may(clerk, "create", "leases"), "the Role is in force no more")
    refusal(clerk.api.ask("POST", leases(clerk.namespace), lease("late")), 403, "Forbidden")


def test_a_cluster_role_holds_everywhere_or_where_it_is_bound(api: Api, bob: Someone) -> None:
    name = f"reader-{bob.namespace}"
    rules = [
        {"apiGroups": ["lbprovider.io"], "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["*"]},
    ]
    api.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    try:
        here = binding("ClusterRole", name, bob)
        api.create(f"{RBAC}/namespaces/{bob.namespace}/rolebindings", here)
        eventually(lambda: may(bob, "delete", "services"), "the binding is in force here")
        refusal(bob.api.ask("GET", SEGMENTS.path()), 403, "Forbidden")
        refusal(bob.api.ask("GET", services("")), 403, "Forbidden")
        assert bob.api.items(services(bob.namespace)) == []
        everywhere = binding("ClusterRole", name, bob)
        api.create(f"{RBAC}/clusterrolebindings", everywhere)
        eventually(lambda: may(bob, "list", "services", namespace=""), "the binding is in force everywhere")
        assert isinstance(bob.api.items(SEGMENTS.path()), list)
        assert names(bob.api.items(services("default"))) == ["kubernetes"]
        refusal(bob.api.ask("POST", SEGMENTS.path(), {}), 403, "Forbidden")
    finally:
        api.delete(f"{RBAC}/clusterroles/{name}")
        api.ask("DELETE", f"{RBAC}/clusterrolebindings/{name}-{bob.namespace}")


# By verb and resource as a review takes them, the request that they stand for.
WISHES: Final[dict[tuple[str, str, str], Callable[[Someone], int]]] = {
    ("get", "leases", "mine"): lambda who: who.api.ask("GET", leases(who.namespace, "mine")).status,
    ("get", "leases", "other"): lambda who: who.api.ask("GET", leases(who.namespace, "other")).status,
    ("list", "leases", ""): lambda who: who.api.ask("GET", leases(who.namespace)).status,
    ("create", "leases", ""): lambda who: who.api.ask("POST", leases(who.namespace), lease("new")).status,
    ("delete", "leases", "mine"): lambda who: who.api.ask("DELETE", leases(who.namespace, "mine")).status,
    ("patch", "services/status", "web"): lambda who: (
        who.api.ask("PATCH", services(who.namespace, "web", "status"), {}, kind="merge").status
    ),
    ("patch", "services", "web"): lambda who: (
        who.api.ask("PATCH", services(who.namespace, "web"), {}, kind="merge").status
    ),
}


@pytest.mark.parametrize(("verb", "resource", "name"), WISHES)
def test_a_review_says_what_would_happen(clerk: Someone, verb: str, resource: str, name: str) -> None:
    allowed = may(clerk, verb, resource, name)
    assert (WISHES[verb, resource, name](clerk) != 403) == allowed


def test_an_admin_may_do_anything(server: Server) -> None:
    admin = Someone("admin", "default", server.api)
    assert may(admin, "delete", "services")
    assert may(admin, "whatever", "leases", namespace="")


def test_a_token_is_of_one_account_and_ends(server: Server, bob: Someone) -> None:
    path = f"/api/v1/namespaces/{bob.namespace}/serviceaccounts"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 900}}
    answer = server.api.ask("POST", f"{path}/bob/token", request)
    assert (answer.status, answer.json["kind"]) == (201, "TokenRequest")
    assert answer.json["spec"]["expirationSeconds"] == 900
    assert answer.json["status"]["expirationTimestamp"].endswith("Z")
    middle = answer.json["status"]["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    assert claims["sub"] == bob.user
    assert claims["exp"] - claims["iat"] == 900
    message = refusal(server.api.ask("POST", f"{path}/nobody/token", request), 404, "NotFound")["message"]
    assert message == 'serviceaccounts "nobody" not found'
    short = {**request, "spec": {"expirationSeconds": 5}}
    why = "spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes"
    assert why in refusal(server.api.ask("POST", f"{path}/bob/token", short), 422, "Invalid")["message"]
    refusal(bob.api.ask("POST", f"{path}/bob/token", request), 403, "Forbidden")


def test_a_token_that_was_tampered_with_is_none(server: Server, bob: Someone) -> None:
    head, middle, signature = server.token_of("bob", bob.namespace).split(".")
    claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    claims["sub"] = f"system:serviceaccount:{bob.namespace}:boss"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    refusal(server.api_as(f"{head}.{forged}.{signature}").ask("GET", "/version"), 401, "Unauthorized")


def test_a_binding_keeps_to_its_role(api: Api, clerk: Someone) -> None:
    where = f"{RBAC}/namespaces/{clerk.namespace}/rolebindings/clerk-{clerk.namespace}"
    answer = api.ask("PATCH", where, {"roleRef": {"name": "boss"}}, kind="merge")
    assert "cannot change roleRef" in refusal(answer, 422, "Invalid")["message"]
