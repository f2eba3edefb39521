"""OpenAPI v3: what kubectl needs to know of kinds to have the server validate them, and to explain them.

Pure. Custom kinds are described in full, by their own schemas. Of built-in ones there is what they can be asked for:
kubectl knows their fields itself, and merges lists of theirs by its own table rather than by ours. OpenAPI v2 has
nothing in it: kubectl asks for it when it changes what it has applied and goes on without, but won't apply a
``kind: List`` where there is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.writing import patches

V2: Final = b"\x0a\x032.0"
"""What is at ``/openapi/v2``: the protobuf of a document that says its version (``swagger``, field 1) and no more."""
V2_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_GVK: Final = "x-kubernetes-group-version-kind"
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_JSON: Final = "application/json"

Document = dict[str, Any]


def index(kinds: Iterable[Kind]) -> Document:
    """What is at ``/openapi/v3``; kubectl keeps each document until its hash here changes.

    Args:
        kinds: all that are served.
    """
    served: dict[str, list[Kind]] = {}
    for kind in kinds:
        served.setdefault(f"{'apis' if kind.group else 'api'}/{kind.api_version}", []).append(kind)
    paths = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(of)}"} for path, of in served.items()}
    return {"paths": paths}


def _hash(kinds: Iterable[Kind]) -> str:
    return hashlib.sha512(json.dumps(document(kinds)).encode()).hexdigest().upper()


def document(kinds: Iterable[Kind]) -> Document:
    """What is at ``/openapi/v3/api/VERSION`` or ``/openapi/v3/apis/GROUP/VERSION``.

    Args:
        kinds: those of that group and version.
    """
    served = list(kinds)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "lab"},
        "paths": {path: item for kind in served for path, item in _paths(kind).items()},
        "components": {"schemas": {_META: _OBJECT_META, **{_name(kind): _schema(kind) for kind in served}}},
    }


def _gvk(kind: Kind) -> dict[str, str]:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _name(kind: Kind) -> str:
    """As ``io.lbprovider.v1beta1.IPAddressPool``."""
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind]).lstrip(".")


# --- schemas

_STRING: Final = {"type": "string"}
_BOOLEAN: Final = {"type": "boolean"}
_STRINGS: Final = {"type": "object", "additionalProperties": _STRING}
_TIME: Final = {"type": "string", "format": "date-time"}
_NUMBER: Final = {"type": "integer", "format": "int64"}
_OBJECT_META: Final[Document] = {
    "description": "What every object has.",
    "type": "object",
    "properties": {
        "annotations": {"description": "Notes of programs, by name.", **_STRINGS},
        "creationTimestamp": {"description": "When it was created; set by the server.", **_TIME},
        "deletionGracePeriodSeconds": {"description": "How long it may take to go.", **_NUMBER},
        "deletionTimestamp": {"description": "When it was asked to go.", **_TIME},
        "finalizers": {
            "description": "Who has to let go of it before it is gone.",
            "type": "array",
            "items": _STRING,
            "x-kubernetes-list-type": "set",
        },
        "generateName": {"description": "What its name begins with where the server chooses one.", **_STRING},
        "generation": {"description": "Grows with each change of its spec.", **_NUMBER},
        "labels": {"description": "What it is selected by.", **_STRINGS},
        "name": {"description": "Its name, unique in its namespace.", **_STRING},
        "namespace": {"description": "Its namespace.", **_STRING},
        "ownerReferences": {
            "description": "Without these it goes too.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["apiVersion", "kind", "name", "uid"],
                "properties": {
                    **dict.fromkeys(("apiVersion", "kind", "name", "uid"), _STRING),
                    **dict.fromkeys(("controller", "blockOwnerDeletion"), _BOOLEAN),
                },
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
        },
        "resourceVersion": {"description": "Changes with each change; compared on an update.", **_STRING},
        "uid": {"description": "Tells it from a later object of the same name.", **_STRING},
    },
}
_IDENTITY: Final[Document] = {
    "apiVersion": {"description": "The group and version of its kind.", **_STRING},
    "kind": {"description": "Its kind.", **_STRING},
    "metadata": {
        "description": "What every object has: name, namespace, labels and more.",
        "allOf": [{"$ref": f"#/components/schemas/{_META}"}],
    },
}


def _schema(kind: Kind) -> Document:
    own = dict(kind.openapi or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    return {**own, "properties": {**own.get("properties", {}), **_IDENTITY}, _GVK: [_gvk(kind)]}


# --- paths


def _parameter(name: str, description: str, sort: str = "string") -> Document:
    return {"name": name, "in": "query", "description": description, "schema": {"type": sort, "uniqueItems": True}}


_WRITING: Final = [
    _parameter("dryRun", "All: say what would come of it, and keep nothing."),
    _parameter("fieldManager", "Who writes."),
    _parameter("fieldValidation", "What is done about unknown fields: Ignore, Warn or Strict."),
]
_VERBS: Final[Mapping[str, tuple[str, bool, tuple[str, ...]]]] = {
    "create": ("post", False, (_JSON,)),
    "list": ("get", False, ()),
    "deletecollection": ("delete", False, ()),
    "get": ("get", True, ()),
    "update": ("put", True, (_JSON,)),
    "patch": ("patch", True, (patches.JSON, patches.MERGE)),
    "delete": ("delete", True, ()),
}
"""What is asked for, by which method, whether of one object, and the media types of what is sent."""


def _paths(kind: Kind) -> dict[str, Document]:
    root = f"/{'apis' if kind.group else 'api'}/{kind.api_version}"
    collection = f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    paths: dict[str, Document] = {}
    for verb in kind.verbs:
        if verb in _VERBS:
            method, named, _ = _VERBS[verb]
            paths.setdefault(f"{collection}/{{name}}" if named else collection, {})[method] = _operation(kind, verb)
    if kind.namespaced and "list" in kind.verbs:
        paths[f"{root}/{kind.plural}"] = {"get": _operation(kind, "list")}
    return paths


def _operation(kind: Kind, verb: str) -> Document:
    _, _, media_types = _VERBS[verb]
    schema = {"schema": {"$ref": f"#/components/schemas/{_name(kind)}"}}
    sent: Document = {}
    if media_types:
        sent["requestBody"] = {"required": True, "content": dict.fromkeys(media_types, schema)}
        sent["parameters"] = _WRITING
    return {
        "operationId": f"{verb}{''.join(part.capitalize() for part in _name(kind).split('.'))}",
        **sent,
        "responses": {"200": {"description": "OK", "content": {_JSON: schema}}},
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        _GVK: _gvk(kind),
    }
