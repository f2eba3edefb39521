"""What a server holds at its very first start: the namespaces, its own Service, and the rights that everybody has."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.services.allocating import NETWORKS
from lbprovider.lab.apiserver.store import Key, Object, Store

_NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
_RBAC: Final = "rbac.authorization.k8s.io"
_EVERYBODY: Final = ("system:authenticated", "system:unauthenticated")
_HEALTH: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_ROLES: Final[Mapping[str, tuple[Sequence[Mapping[str, Sequence[str]]], Sequence[str]]]] = {
    "cluster-admin": (
        (
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ),
        ("system:masters",),
    ),
    "system:basic-user": (
        ({"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"], "verbs": ["create"]},),
        _EVERYBODY[:1],
    ),
    "system:discovery": (
        (
            {
                "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_HEALTH],
                "verbs": ["get"],
            },
        ),
        _EVERYBODY[:1],
    ),
    "system:public-info-viewer": (({"nonResourceURLs": list(_HEALTH), "verbs": ["get"]},), _EVERYBODY),
}
"""ClusterRoles and the groups that they are bound to, by the names that a kube-apiserver gives them."""


def fill(store: Store, now: str) -> None:
    """Stores the first objects, if there are none; watches begin after them.

    Args:
        store: the server's.
        now: RFC 3339.
    """
    if any(store.everything()):
        return
    for kind, namespace, obj in _first(now):
        store.put(Key(kind.resource, namespace, obj["metadata"]["name"]), obj)
    store.forget()


def _first(now: str) -> Iterator[tuple[Kind, str, Object]]:
    def made(kind: Kind, name: str, namespace: str = "", **fields: Any) -> tuple[Kind, str, Object]:
        metadata = {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": now}
        if namespace:
            metadata["namespace"] = namespace
        labels = fields.pop("labels", None)
        head = {"kind": kind.kind, "apiVersion": kind.api_version}
        return kind, namespace, {**head, "metadata": {**metadata, **({"labels": labels} if labels else {})}, **fields}

    for name in _NAMESPACES:
        labels = {"kubernetes.io/metadata.name": name}
        yield made(
            kinds.NAMESPACE, name, labels=labels, spec={"finalizers": ["kubernetes"]}, status={"phase": "Active"}
        )
    yield made(
        kinds.SERVICE,
        "kubernetes",
        "default",
        labels={"component": "apiserver", "provider": "kubernetes"},
        spec=_service(),
        status={"loadBalancer": {}},
    )
    for name, (rules, groups) in _ROLES.items():
        subjects = [{"kind": "Group", "apiGroup": _RBAC, "name": group} for group in groups]
        reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
        yield made(kinds.CLUSTER_ROLE, name, rules=list(rules))
        yield made(kinds.CLUSTER_ROLE_BINDING, name, subjects=subjects, roleRef=reference)


def _service() -> Object:
    family, network = next(iter(NETWORKS.items()))
    address = str(network[1])
    return {
        "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 6443}],
        "clusterIP": address,
        "clusterIPs": [address],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": [family],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }
