"""Kubernetes' protobuf, read into JSON values: kubectl sends nothing else where it knows a kind itself.

Pure. Read are the kinds that ``kubectl create`` has commands for, ``kubectl auth can-i`` and ``kubectl create token``;
answers may always be JSON. The numbers are those of generated.proto in k8s.io/api and k8s.io/apimachinery 0.35; what
only a server sets (managedFields, times, a new object's status) is passed over.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"

_VARINT: Final = 0
_BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}
"""Bytes of the wire types that Kubernetes doesn't use; a reader has to pass over them."""
_LONGEST: Final = 10
"""Bytes of a number of 64 bits."""


class Unreadable(ValueError):
    """A body is not what its media type says; ``str()`` says why."""


class UnknownKind(ValueError):
    """A body is of a kind that is not read from protobuf."""


@dataclass(frozen=True, slots=True)
class _Message:
    fields: Mapping[int, tuple[str, _Shape]]
    """By number: the name in JSON, and what is there."""


@dataclass(frozen=True, slots=True)
class _List:
    of: _Shape


@dataclass(frozen=True, slots=True)
class _Map:
    of: _Shape


_Shape = _Message | _List | _Map | str
"""A word is a scalar: string, int, bool, bytes or intstr. With a ``?`` it is a pointer in Go, so that an empty one says
something; without, an empty one is sent though nobody said it."""


def _message(**fields: tuple[int, _Shape]) -> _Message:
    return _Message({number: (name, shape) for name, (number, shape) in fields.items()})


def _strings(*names: str) -> _Message:
    """A message of strings that are numbered from 1 on."""
    return _message(**{name: (number, "string") for number, name in enumerate(names, 1)})


_STRINGS: Final = _List("string")
_OWNER: Final = _message(
    kind=(1, "string"),
    name=(3, "string"),
    uid=(4, "string"),
    apiVersion=(5, "string"),
    controller=(6, "bool?"),
    blockOwnerDeletion=(7, "bool?"),
)
_METADATA: Final = _message(
    name=(1, "string"),
    generateName=(2, "string"),
    namespace=(3, "string"),
    uid=(5, "string"),
    resourceVersion=(6, "string"),
    labels=(11, _Map("string")),
    annotations=(12, _Map("string")),
    ownerReferences=(13, _List(_OWNER)),
    finalizers=(14, _STRINGS),
)
_SERVICE_PORT: Final = _message(
    name=(1, "string"),
    protocol=(2, "string"),
    port=(3, "int"),
    targetPort=(4, "intstr"),
    nodePort=(5, "int"),
    appProtocol=(6, "string?"),
)
_SERVICE_SPEC: Final = _message(
    ports=(1, _List(_SERVICE_PORT)),
    selector=(2, _Map("string")),
    clusterIP=(3, "string"),
    type=(4, "string"),
    externalIPs=(5, _STRINGS),
    sessionAffinity=(7, "string"),
    loadBalancerIP=(8, "string"),
    loadBalancerSourceRanges=(9, _STRINGS),
    externalName=(10, "string"),
    externalTrafficPolicy=(11, "string"),
    healthCheckNodePort=(12, "int"),
    publishNotReadyAddresses=(13, "bool"),
    sessionAffinityConfig=(14, _message(clientIP=(1, _message(timeoutSeconds=(1, "int?"))))),
    ipFamilyPolicy=(17, "string?"),
    clusterIPs=(18, _STRINGS),
    ipFamilies=(19, _STRINGS),
    allocateLoadBalancerNodePorts=(20, "bool?"),
    loadBalancerClass=(21, "string?"),
    internalTrafficPolicy=(22, "string?"),
    trafficDistribution=(23, "string?"),
)
_REFERENCE: Final = _strings("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_RULE: Final = _message(
    **{
        name: (number, _STRINGS)
        for number, name in enumerate(("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), 1)
    }
)
_BINDING: Final[Mapping[str, tuple[int, _Shape]]] = {
    "subjects": (2, _List(_strings("kind", "apiGroup", "name", "namespace"))),
    "roleRef": (3, _strings("apiGroup", "kind", "name")),
}
_ACCESS: Final = _message(
    resourceAttributes=(1, _strings("namespace", "verb", "group", "version", "resource", "subresource", "name")),
    nonResourceAttributes=(2, _strings("path", "verb")),
)
_TOKEN: Final = _message(
    audiences=(1, _STRINGS),
    boundObjectRef=(3, _strings("kind", "apiVersion", "name", "uid")),
    expirationSeconds=(4, "int?"),
)
_RBAC: Final = "rbac.authorization.k8s.io/v1"
_KINDS: Final[Mapping[tuple[str, str], _Message]] = {
    (api_version, kind): _message(metadata=(1, _METADATA), **fields)
    for api_version, kind, fields in (
        ("v1", "Namespace", {"spec": (2, _message(finalizers=(1, _STRINGS)))}),
        ("v1", "Service", {"spec": (2, _SERVICE_SPEC)}),
        (
            "v1",
            "ServiceAccount",
            {
                "secrets": (2, _List(_REFERENCE)),
                "imagePullSecrets": (3, _List(_strings("name"))),
                "automountServiceAccountToken": (4, "bool?"),
            },
        ),
        (
            "v1",
            "ConfigMap",
            {"data": (2, _Map("string")), "binaryData": (3, _Map("bytes")), "immutable": (4, "bool?")},
        ),
        (
            "v1",
            "Secret",
            {
                "data": (2, _Map("bytes")),
                "type": (3, "string"),
                "stringData": (4, _Map("string")),
                "immutable": (5, "bool?"),
            },
        ),
        (_RBAC, "ClusterRole", {"rules": (2, _List(_RULE))}),
        (_RBAC, "ClusterRoleBinding", _BINDING),
        (_RBAC, "Role", {"rules": (2, _List(_RULE))}),
        (_RBAC, "RoleBinding", _BINDING),
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview", {"spec": (2, _ACCESS)}),
        ("authentication.k8s.io/v1", "TokenRequest", {"spec": (2, _TOKEN)}),
    )
}
_ENVELOPE: Final = _message(typeMeta=(1, _strings("apiVersion", "kind")), raw=(2, "raw"), contentEncoding=(3, "string"))


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body, as it would be in JSON.

    Raises:
        Unreadable: it is no Kubernetes protobuf.
        UnknownKind: it is, of a kind that isn't read.
    """
    if not body.startswith(_MAGIC):
        raise Unreadable("it does not begin as Kubernetes' protobuf does")
    envelope = _read(body[len(_MAGIC) :], _ENVELOPE)
    identity = envelope.get("typeMeta", {})
    api_version, kind = identity.get("apiVersion", ""), identity.get("kind", "")
    message = _KINDS.get((api_version, kind))
    if message is None or envelope.get("contentEncoding"):
        raise UnknownKind(f"{kind} of {api_version}")
    return {"apiVersion": api_version, "kind": kind, **_read(envelope.get("raw", b""), message)}


def _read(data: bytes, message: _Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _values(data):
        if number not in message.fields:
            continue
        name, shape = message.fields[number]
        match shape:
            case _List(of):
                found.setdefault(name, []).append(_value(value, of))
            case _Map(of):
                entry = _read(
                    _bytes(value), _message(key=(1, "string?"), value=(2, of if of == "bytes" else "string?"))
                )
                found.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
            case _:
                one = _value(value, shape)
                if one or (isinstance(shape, str) and shape.endswith("?")):
                    found[name] = one
    return found


def _value(value: int | bytes, shape: _Shape) -> Any:
    if isinstance(shape, _Message):
        return _read(_bytes(value), shape)
    if not isinstance(shape, str):
        raise Unreadable("a list within a list")
    return _SCALARS[shape.removesuffix("?")](value)


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise Unreadable("a number where bytes belong")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("text that is not UTF-8") from None


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise Unreadable("bytes where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def _either(value: int | bytes) -> int | str:
    """An IntOrString."""
    found = _read(_bytes(value), _message(type=(1, "int"), intVal=(2, "int"), strVal=(3, "string")))
    chosen: int | str = found.get("strVal", "") if found.get("type") else found.get("intVal", 0)
    return chosen


_SCALARS: Final[Mapping[str, Callable[[int | bytes], Any]]] = {
    "string": _text,
    "int": _number,
    "bool": lambda value: bool(_number(value)),
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode("ascii"),
    "raw": _bytes,
    "intstr": _either,
}


# --- the wire format (protobuf.dev/programming-guides/encoding)


def _values(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, by number."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise Unreadable(f"a field of type {wire}")
        if at + length > len(data):
            raise Unreadable("it ends in the middle of a field")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index, byte in enumerate(data[at : at + _LONGEST]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return number & 0xFFFF_FFFF_FFFF_FFFF, at + index + 1
    raise Unreadable("a number that does not end")
