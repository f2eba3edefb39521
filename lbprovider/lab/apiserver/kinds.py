"""The kinds that are served: a description of each, and those that are there without any CRD.

Pure: what a custom kind is like is read from its CustomResourceDefinition elsewhere (``registration``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
"""What can be done with a kind whose objects are kept."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """A kind, and where it is served. Compared by identity: a CRD that is edited makes another one.

    Args:
        group: its API group, empty for the core's.
        version: the one version that is served.
        kind: as in manifests.
        plural: as in URLs.
        singular: as kubectl takes it and says it.
        namespaced: whether its objects live in namespaces.
        list_kind: the kind of a list of them.
        short_names: as ``svc``.
        categories: as ``all``.
        verbs: RBAC's words, in discovery's order.
        has_status: whether there is ``/status``, and the object's own path leaves the status alone.
        openapi: the structural schema of a custom kind as its CRD has it; None for a built-in one.
        columns: ``additionalPrinterColumns`` of a custom kind as its CRD has them.
        custom: whether a CRD defines it.
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    list_kind: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    has_status: bool = False
    openapi: Mapping[str, Any] | None = None
    columns: tuple[Mapping[str, Any], ...] = ()
    custom: bool = False

    @property
    def api_version(self) -> str:
        """``v1`` or ``group/version``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """``services`` or ``leases.coordination.k8s.io``: how a refusal names it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def stored(self) -> bool:
        """Whether its objects are kept; a review is a question only."""
        return "get" in self.verbs


def _kind(
    api_version: str,
    kind: str,
    plural: str,
    *,
    namespaced: bool = True,
    short: str = "",
    categories: tuple[str, ...] = (),
    verbs: tuple[str, ...] = VERBS,
    has_status: bool = False,
) -> Kind:
    group, _, version = api_version.rpartition("/")
    return Kind(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        namespaced=namespaced,
        list_kind=f"{kind}List",
        short_names=tuple(short.split()),
        categories=categories,
        verbs=verbs,
        has_status=has_status,
    )


CONFIG_MAP: Final = _kind("v1", "ConfigMap", "configmaps", short="cm")
ENDPOINTS: Final = _kind("v1", "Endpoints", "endpoints", short="ep")
EVENT: Final = _kind("v1", "Event", "events", short="ev")
NAMESPACE: Final = _kind(
    "v1",
    "Namespace",
    "namespaces",
    namespaced=False,
    short="ns",
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
    has_status=True,
)
NODE: Final = _kind("v1", "Node", "nodes", namespaced=False, short="no", has_status=True)
POD: Final = _kind("v1", "Pod", "pods", short="po", categories=("all",), has_status=True)
SECRET: Final = _kind("v1", "Secret", "secrets")
SERVICE_ACCOUNT: Final = _kind("v1", "ServiceAccount", "serviceaccounts", short="sa")
SERVICE: Final = _kind("v1", "Service", "services", short="svc", categories=("all",), has_status=True)
CRD: Final = _kind(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
    short="crd crds",
    categories=("api-extensions",),
    has_status=True,
)
ACCESS_REVIEW: Final = _kind(
    "authorization.k8s.io/v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
    verbs=("create",),
)
LEASE: Final = _kind("coordination.k8s.io/v1", "Lease", "leases")
ENDPOINT_SLICE: Final = _kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
CLUSTER_ROLE_BINDING: Final = _kind(
    "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
CLUSTER_ROLE: Final = _kind("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False)
ROLE_BINDING: Final = _kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
ROLE: Final = _kind("rbac.authorization.k8s.io/v1", "Role", "roles")

BUILT_IN: Final = (
    CONFIG_MAP,
    ENDPOINTS,
    EVENT,
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
    CRD,
    ACCESS_REVIEW,
    LEASE,
    ENDPOINT_SLICE,
    CLUSTER_ROLE_BINDING,
    CLUSTER_ROLE,
    ROLE_BINDING,
    ROLE,
)
"""All kinds that need no CRD, by group and then by plural name."""

SUBRESOURCES: Final[Mapping[Kind, tuple[str, ...]]] = {SERVICE_ACCOUNT: ("token",)}
"""Those besides ``status``; a ServiceAccount's ``token`` takes a TokenRequest of authentication.k8s.io/v1 (create)."""
