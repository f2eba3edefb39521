"""What fields the built-in kinds have, and of what type: what a kube-apiserver knows from its Go structs.

Pure. A field that isn't there is dropped and told of; a value of the wrong type refuses the object, in the words of
Go's JSON decoder, which is what users know. What the lab keeps but does not look into (Pods, the status of a Node, the
schemas in a CRD) is taken as it comes below the first fields.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind


@dataclass(frozen=True, slots=True, eq=False)
class _Struct:
    name: str
    fields: Mapping[str, _Shape]


@dataclass(frozen=True, slots=True, eq=False)
class _List:
    of: _Shape


@dataclass(frozen=True, slots=True, eq=False)
class _Map:
    of: _Shape


_Shape = _Struct | _List | _Map | str
"""A word stands for a scalar: the Go type, or ``any`` for what is taken as it comes."""

_LIMITS: Final = {"int32": 1 << 31, "int64": 1 << 63}

T = TypeVar("T")


def _strings(*names: str) -> dict[str, _Shape]:
    return dict.fromkeys(names, "string")


_STRINGS: Final = _Map("string")
_OWNER: Final = _Struct(
    "OwnerReference",
    {**_strings("apiVersion", "kind", "name", "uid"), "controller": "bool", "blockOwnerDeletion": "bool"},
)
_META: Final = _Struct(
    "ObjectMeta",
    {
        **_strings("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"),
        "generation": "int64",
        "creationTimestamp": "time",
        "deletionTimestamp": "time",
        "deletionGracePeriodSeconds": "int64",
        "labels": _STRINGS,
        "annotations": _STRINGS,
        "ownerReferences": _List(_OWNER),
        "finalizers": _List("string"),
        "managedFields": "any",
    },
)
_REFERENCE: Final = _Struct(
    "ObjectReference", _strings("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
)
_LOCAL_REFERENCE: Final = _Struct("LocalObjectReference", _strings("name"))
_CONDITION: Final = _Struct(
    "Condition",
    {
        **_strings("type", "status", "reason", "message"),
        "observedGeneration": "int64",
        "lastTransitionTime": "time",
    },
)
_SERVICE_PORT: Final = _Struct(
    "ServicePort",
    {
        **_strings("name", "protocol", "appProtocol"),
        "port": "int32",
        "targetPort": "intstr",
        "nodePort": "int32",
    },
)
_SERVICE_SPEC: Final = _Struct(
    "ServiceSpec",
    {
        **_strings(
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
        "ports": _List(_SERVICE_PORT),
        "selector": _STRINGS,
        "clusterIPs": _List("string"),
        "externalIPs": _List("string"),
        "loadBalancerSourceRanges": _List("string"),
        "healthCheckNodePort": "int32",
        "publishNotReadyAddresses": "bool",
        "sessionAffinityConfig": _Struct(
            "SessionAffinityConfig", {"clientIP": _Struct("ClientIPConfig", {"timeoutSeconds": "int32"})}
        ),
        "ipFamilies": _List("string"),
        "allocateLoadBalancerNodePorts": "bool",
    },
)
_INGRESS: Final = _Struct(
    "LoadBalancerIngress",
    {
        **_strings("ip", "hostname", "ipMode"),
        "ports": _List(_Struct("PortStatus", {"port": "int32", "protocol": "string", "error": "string"})),
    },
)
_SERVICE_STATUS: Final = _Struct(
    "ServiceStatus",
    {
        "loadBalancer": _Struct("LoadBalancerStatus", {"ingress": _List(_INGRESS)}),
        "conditions": _List(_CONDITION),
    },
)
_TAINT: Final = _Struct("Taint", {**_strings("key", "value", "effect"), "timeAdded": "time"})
_NODE_SPEC: Final = _Struct(
    "NodeSpec",
    {
        **_strings("podCIDR", "providerID", "externalID"),
        "podCIDRs": _List("string"),
        "unschedulable": "bool",
        "taints": _List(_TAINT),
        "configSource": "any",
    },
)
_LEASE_SPEC: Final = _Struct(
    "LeaseSpec",
    {
        **_strings("holderIdentity", "strategy", "preferredHolder"),
        "leaseDurationSeconds": "int32",
        "leaseTransitions": "int32",
        "acquireTime": "micro",
        "renewTime": "micro",
    },
)
_RULE: Final = _Struct(
    "PolicyRule",
    {each: _List("string") for each in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")},
)
_SUBJECT: Final = _Struct("Subject", _strings("kind", "apiGroup", "name", "namespace"))
_ROLE_REF: Final = _Struct("RoleRef", _strings("apiGroup", "kind", "name"))
_BINDING: Final[Mapping[str, _Shape]] = {"subjects": _List(_SUBJECT), "roleRef": _ROLE_REF}

_CRD_NAMES: Final = _Struct(
    "CustomResourceDefinitionNames",
    {
        **_strings("plural", "singular", "kind", "listKind"),
        "shortNames": _List("string"),
        "categories": _List("string"),
    },
)
_CRD_COLUMN: Final = _Struct(
    "CustomResourceColumnDefinition",
    {**_strings("name", "type", "format", "description", "jsonPath"), "priority": "int32"},
)
_CRD_VERSION: Final = _Struct(
    "CustomResourceDefinitionVersion",
    {
        **_strings("name", "deprecationWarning"),
        **dict.fromkeys(("served", "storage", "deprecated"), "bool"),
        "schema": _Struct("CustomResourceValidation", {"openAPIV3Schema": "any"}),
        "subresources": _Struct("CustomResourceSubresources", {"status": "any", "scale": "any"}),
        "additionalPrinterColumns": _List(_CRD_COLUMN),
        "selectableFields": "any",
    },
)
_CRD_SPEC: Final = _Struct(
    "CustomResourceDefinitionSpec",
    {
        **_strings("group", "scope"),
        "names": _CRD_NAMES,
        "versions": _List(_CRD_VERSION),
        "conversion": "any",
        "preserveUnknownFields": "bool",
    },
)

_FIELDS: Final[Mapping[Kind, Mapping[str, _Shape]]] = {
    kinds.ACCESS_REVIEW: {
        "spec": _Struct(
            "SelfSubjectAccessReviewSpec",
            {
                "resourceAttributes": _Struct(
                    "ResourceAttributes",
                    {
                        **_strings("namespace", "verb", "group", "version", "resource", "subresource", "name"),
                        "fieldSelector": "any",
                        "labelSelector": "any",
                    },
                ),
                "nonResourceAttributes": _Struct("NonResourceAttributes", _strings("path", "verb")),
            },
        ),
        "status": "any",
    },
    kinds.CONFIG_MAP: {"data": _STRINGS, "binaryData": _Map("bytes"), "immutable": "bool"},
    kinds.CLUSTER_ROLE: {"rules": _List(_RULE), "aggregationRule": "any"},
    kinds.CLUSTER_ROLE_BINDING: _BINDING,
    kinds.CRD: {"spec": _CRD_SPEC, "status": "any"},
    kinds.ENDPOINTS: {"subsets": "any"},
    kinds.ENDPOINT_SLICE: {"addressType": "string", "endpoints": "any", "ports": "any"},
    kinds.EVENT: {
        **_strings("reason", "message", "type", "action", "reportingComponent", "reportingInstance"),
        "involvedObject": _REFERENCE,
        "related": _REFERENCE,
        "source": _Struct("EventSource", _strings("component", "host")),
        "firstTimestamp": "time",
        "lastTimestamp": "time",
        "eventTime": "micro",
        "count": "int32",
        "series": _Struct("EventSeries", {"count": "int32", "lastObservedTime": "micro"}),
    },
    kinds.LEASE: {"spec": _LEASE_SPEC},
    kinds.NAMESPACE: {"spec": _Struct("NamespaceSpec", {"finalizers": _List("string")}), "status": "any"},
    kinds.NODE: {"spec": _NODE_SPEC, "status": "any"},
    kinds.POD: {"spec": "any", "status": "any"},
    kinds.ROLE: {"rules": _List(_RULE)},
    kinds.ROLE_BINDING: _BINDING,
    kinds.SECRET: {"data": _Map("bytes"), "stringData": _STRINGS, "type": "string", "immutable": "bool"},
    kinds.SERVICE: {"spec": _SERVICE_SPEC, "status": _SERVICE_STATUS},
    kinds.SERVICE_ACCOUNT: {
        "secrets": _List(_REFERENCE),
        "imagePullSecrets": _List(_LOCAL_REFERENCE),
        "automountServiceAccountToken": "bool",
    },
}
_SHAPES: Final[Mapping[Kind, _Struct]] = {
    kind: _Struct(kind.kind, {"kind": "string", "apiVersion": "string", "metadata": _META, **fields})
    for kind, fields in _FIELDS.items()
}


class TypeMismatch(ValueError):
    """A value isn't of its field's type; the message is Go's."""


@dataclass(slots=True)
class _Reader:
    unknown: list[str] = field(default_factory=list)

    def read(self, value: Any, shape: _Shape, path: str, where: str) -> Any:
        """The value with known fields only; ``path`` has indices, ``where`` is as Go's decoder says it."""
        if isinstance(shape, str):
            return _scalar(value, shape, where)
        if isinstance(shape, _List):
            items = _typed(value, list, shape, where)
            return [self.read(item, shape.of, f"{path}[{index}]", where) for index, item in enumerate(items)]
        fields = _typed(value, dict, shape, where)
        if isinstance(shape, _Map):
            return {key: self.read(item, shape.of, f"{path}.{key}", where) for key, item in fields.items()}
        return self._struct(fields, shape, path, where)

    def _struct(self, value: Mapping[str, Any], shape: _Struct, path: str, where: str) -> dict[str, Any]:
        known: dict[str, Any] = {}
        inner = where.partition(".")[2]
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            if name not in shape.fields:
                self.unknown.append(below)
            elif item is not None:
                said = f"{inner}.{name}" if inner else name
                of = shape.fields[name]
                read = self.read(item, of, below, f"{shape.name}.{said}")
                if read or not isinstance(of, (_List, _Map)):  # Go leaves out lists and maps with nothing in them
                    known[name] = read
        return known


def _typed(value: Any, wanted: type[T], shape: _Shape, where: str) -> T:
    if not isinstance(value, wanted):
        raise _mismatch(value, where, _go(shape))
    return value


def read(kind: Kind, value: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """An object of a built-in kind as that kind's fields hold it, and the paths of those that it doesn't have.

    Raises:
        TypeMismatch: a value isn't of its field's type.
    """
    reader = _Reader()
    known = reader.read(value, _SHAPES[kind], "", "")
    return known, tuple(reader.unknown)


def read_metadata(value: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The same of the metadata of an object of a custom kind.

    Raises:
        TypeMismatch: a value isn't of its field's type.
    """
    if not isinstance(value, dict):
        raise TypeMismatch(f"json: cannot unmarshal {_json(value)} into Go value of type v1.ObjectMeta")
    reader = _Reader()
    known = reader.read(value, _META, "", "")
    return known, tuple(f"metadata.{each}" for each in reader.unknown)


def _scalar(value: Any, shape: str, where: str) -> Any:
    if shape == "any" or (shape == "intstr" and isinstance(value, str)):
        return value
    if shape in ("int32", "int64", "intstr"):
        limit = _LIMITS.get(shape, 1 << 31)
        if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
            raise _mismatch(value, where, "int32" if shape == "intstr" else shape)
        return value
    if not isinstance(value, str if shape != "bool" else bool):
        raise _mismatch(
            value, where, {"time": "v1.Time", "micro": "v1.MicroTime", "bytes": "[]uint8"}.get(shape, shape)
        )
    if isinstance(value, str) and shape in ("time", "micro"):
        return _time(value, micro=shape == "micro")
    if isinstance(value, str) and shape == "bytes":
        _check_base64(value)
    return value


def _time(value: str, *, micro: bool) -> str:
    layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
    wrong = TypeMismatch(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise wrong from None
    if moment.tzinfo is None:
        raise wrong
    stored = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return stored.isoformat(timespec="microseconds" if micro else "seconds") + "Z"


def _check_base64(value: str) -> None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        at = next((index for index, each in enumerate(value) if each not in alphabet), len(value))
        raise TypeMismatch(f"illegal base64 data at input byte {at}") from None


def _go(shape: _Shape) -> str:
    match shape:
        case _Struct(name):
            return f"v1.{name}"
        case _List(of):
            return f"[]{_go(of)}"
        case _Map(of):
            return f"map[string]{_go(of)}"
    return {"bytes": "[]uint8", "any": "interface {}"}.get(shape, shape)


def _json(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case float():
            return f"number {value}"
        case int():
            return "number"
        case dict():
            return "object"
    return "array"


def _mismatch(value: Any, where: str, go: str) -> TypeMismatch:
    if "." not in where and not where:
        return TypeMismatch(f"json: cannot unmarshal {_json(value)} into Go value of type {go}")
    return TypeMismatch(f"json: cannot unmarshal {_json(value)} into Go struct field {where} of type {go}")
