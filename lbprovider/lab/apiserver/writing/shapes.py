"""What fields the built-in kinds have, and of what type: what a kube-apiserver knows from its Go structs.

Pure. What the lab keeps but does not look into (Pods, the status of a Node, the schemas in a CRD) is taken as it comes
below the first fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.schema import shapes
from lbprovider.schema.shapes import META, STRINGS, ListOf, MapOf, Shape, Struct, strings

_REFERENCE: Final = Struct(
    "ObjectReference", strings("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)
_LOCAL_REFERENCE: Final = Struct("LocalObjectReference", strings("name"))
_CONDITION: Final = Struct(
    "Condition",
    {
        **strings("type", "status", "reason", "message"),
        "observedGeneration": "int64",
        "lastTransitionTime": "time",
    },
)
_SERVICE_PORT: Final = Struct(
    "ServicePort",
    {
        **strings("name", "protocol", "appProtocol"),
        "port": "int32",
        "targetPort": "intstr",
        "nodePort": "int32",
    },
)
_SERVICE_SPEC: Final = Struct(
    "ServiceSpec",
    {
        **strings(
            "clusterIP",
            "type",
            "sessionAffinity",
            "loadBalancerIP",
            "externalName",
            "externalTrafficPolicy",
            "ipFamilyPolicy",
            "loadBalancerClass",
            "internalTrafficPolicy",
            "trafficDistribution",
        ),
        "ports": ListOf(_SERVICE_PORT),
        "selector": STRINGS,
        "clusterIPs": ListOf("string"),
        "externalIPs": ListOf("string"),
        "loadBalancerSourceRanges": ListOf("string"),
        "healthCheckNodePort": "int32",
        "publishNotReadyAddresses": "bool",
        "sessionAffinityConfig": Struct(
            "SessionAffinityConfig", {"clientIP": Struct("ClientIPConfig", {"timeoutSeconds": "int32"})}
        ),
        "ipFamilies": ListOf("string"),
        "allocateLoadBalancerNodePorts": "bool",
    },
)
_INGRESS: Final = Struct(
    "LoadBalancerIngress",
    {
        **strings("ip", "hostname", "ipMode"),
        "ports": ListOf(Struct("PortStatus", {"port": "int32", "protocol": "string", "error": "string"})),
    },
)
_SERVICE_STATUS: Final = Struct(
    "ServiceStatus",
    {
        "loadBalancer": Struct("LoadBalancerStatus", {"ingress": ListOf(_INGRESS)}),
        "conditions": ListOf(_CONDITION),
    },
)
_TAINT: Final = Struct("Taint", {**strings("key", "value", "effect"), "timeAdded": "time"})
_NODE_SPEC: Final = Struct(
    "NodeSpec",
    {
        **strings("podCIDR", "providerID", "externalID"),
        "podCIDRs": ListOf("string"),
        "unschedulable": "bool",
        "taints": ListOf(_TAINT),
        "configSource": "any",
    },
)
_LEASE_SPEC: Final = Struct(
    "LeaseSpec",
    {
        **strings("holderIdentity", "strategy", "preferredHolder"),
        "leaseDurationSeconds": "int32",
        "leaseTransitions": "int32",
        "acquireTime": "micro",
        "renewTime": "micro",
    },
)
_RULE: Final = Struct(
    "PolicyRule",
    {each: ListOf("string") for each in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")},
)
_SUBJECT: Final = Struct("Subject", strings("kind", "apiGroup", "name", "namespace"))
_ROLE_REF: Final = Struct("RoleRef", strings("apiGroup", "kind", "name"))
_BINDING: Final[Mapping[str, Shape]] = {"subjects": ListOf(_SUBJECT), "roleRef": _ROLE_REF}

_CRD_NAMES: Final = Struct(
    "CustomResourceDefinitionNames",
    {
        **strings("plural", "singular", "kind", "listKind"),
        "shortNames": ListOf("string"),
        "categories": ListOf("string"),
    },
)
_CRD_COLUMN: Final = Struct(
    "CustomResourceColumnDefinition",
    {**strings("name", "type", "format", "description", "jsonPath"), "priority": "int32"},
)
_CRD_VERSION: Final = Struct(
    "CustomResourceDefinitionVersion",
    {
        **strings("name", "deprecationWarning"),
        **dict.fromkeys(("served", "storage", "deprecated"), "bool"),
        "schema": Struct("CustomResourceValidation", {"openAPIV3Schema": "any"}),
        "subresources": Struct("CustomResourceSubresources", {"status": "any", "scale": "any"}),
        "additionalPrinterColumns": ListOf(_CRD_COLUMN),
        "selectableFields": "any",
    },
)
_CRD_SPEC: Final = Struct(
    "CustomResourceDefinitionSpec",
    {
        **strings("group", "scope"),
        "names": _CRD_NAMES,
        "versions": ListOf(_CRD_VERSION),
        "conversion": "any",
        "preserveUnknownFields": "bool",
    },
)

_FIELDS: Final[Mapping[Kind, Mapping[str, Shape]]] = {
    kinds.ACCESS_REVIEW: {
        "spec": Struct(
            "SelfSubjectAccessReviewSpec",
            {
                "resourceAttributes": Struct(
                    "ResourceAttributes",
                    {
                        **strings("namespace", "verb", "group", "version", "resource", "subresource", "name"),
                        "fieldSelector": "any",
                        "labelSelector": "any",
                    },
                ),
                "nonResourceAttributes": Struct("NonResourceAttributes", strings("path", "verb")),
            },
        ),
        "status": "any",
    },
    kinds.CONFIG_MAP: {"data": STRINGS, "binaryData": MapOf("bytes"), "immutable": "bool"},
    kinds.CLUSTER_ROLE: {"rules": ListOf(_RULE), "aggregationRule": "any"},
    kinds.CLUSTER_ROLE_BINDING: _BINDING,
    kinds.CRD: {"spec": _CRD_SPEC, "status": "any"},
    kinds.ENDPOINTS: {"subsets": "any"},
    kinds.ENDPOINT_SLICE: {"addressType": "string", "endpoints": "any", "ports": "any"},
    kinds.EVENT: {
        **strings("reason", "message", "type", "action", "reportingComponent", "reportingInstance"),
        "involvedObject": _REFERENCE,
        "related": _REFERENCE,
        "source": Struct("EventSource", strings("component", "host")),
        "firstTimestamp": "time",
        "lastTimestamp": "time",
        "eventTime": "micro",
        "count": "int32",
        "series": Struct("EventSeries", {"count": "int32", "lastObservedTime": "micro"}),
    },
    kinds.LEASE: {"spec": _LEASE_SPEC},
    kinds.NAMESPACE: {"spec": Struct("NamespaceSpec", {"finalizers": ListOf("string")}), "status": "any"},
    kinds.NODE: {"spec": _NODE_SPEC, "status": "any"},
    kinds.POD: {"spec": "any", "status": "any"},
    kinds.ROLE: {"rules": ListOf(_RULE)},
    kinds.ROLE_BINDING: _BINDING,
    kinds.SECRET: {"data": MapOf("bytes"), "stringData": STRINGS, "type": "string", "immutable": "bool"},
    kinds.SERVICE: {"spec": _SERVICE_SPEC, "status": _SERVICE_STATUS},
    kinds.SERVICE_ACCOUNT: {
        "secrets": ListOf(_REFERENCE),
        "imagePullSecrets": ListOf(_LOCAL_REFERENCE),
        "automountServiceAccountToken": "bool",
    },
}
_SHAPES: Final[Mapping[Kind, Struct]] = {
    kind: Struct(kind.kind, {"kind": "string", "apiVersion": "string", "metadata": META, **fields})
    for kind, fields in _FIELDS.items()
}


def read(kind: Kind, value: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """An object of a built-in kind as that kind's fields hold it, and the paths of those that it doesn't have.

    Raises:
        shapes.TypeMismatch: a value isn't of its field's type.
    """
    return shapes.read(value, _SHAPES[kind])
