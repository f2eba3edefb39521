"""An object's metadata: what the server sets, what a client may change, and what is wrong with it.

Pure: times are RFC 3339 and given.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from lbprovider.lab.apiserver import kinds, syntax
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.statuses import FORBIDDEN, INVALID, REQUIRED, TOO_LONG, Cause
from lbprovider.lab.apiserver.store import Object

_ANNOTATIONS_BYTES: Final = 256 << 10
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_PREFIX_LENGTH: Final = 63 - _SUFFIX_LENGTH
_SERVERS: Final = ("uid", "resourceVersion", "generation", "selfLink", "managedFields", "creationTimestamp")
"""What only the server sets, apart from a deletion's own fields."""
_FINALIZERS: Final = ("foregroundDeletion", "orphan", "kubernetes")
_UNQUALIFIED: Final = "name is neither a standard finalizer name nor is it fully qualified"
_DELETION: Final = ("deletionTimestamp", "deletionGracePeriodSeconds")


def _path_segment(text: str) -> tuple[str, ...]:
    """Names of RBAC's objects: whatever can stand in a URL."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return tuple(f"may not contain '{each}'" for each in "/%" if each in text)


def _namespace_name(text: str) -> tuple[str, ...]:
    return ("must not contain dots",) if "." in text else syntax.label(text)


_NAMES: Final[Mapping[Kind, Callable[[str], tuple[str, ...]]]] = {
    kinds.NAMESPACE: _namespace_name,
    kinds.SERVICE: syntax.service_name,
    kinds.ROLE: _path_segment,
    kinds.ROLE_BINDING: _path_segment,
    kinds.CLUSTER_ROLE: _path_segment,
    kinds.CLUSTER_ROLE_BINDING: _path_segment,
}
"""What a name may look like; any other is a DNS subdomain."""


def quoted(value: Any) -> str:
    """A value as a kube-apiserver writes it in a sentence."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def wrong(field: str, value: Any, why: str) -> Cause:
    """The commonest of causes."""
    return Cause(field, f"Invalid value: {quoted(value)}: {why}", INVALID)


def required(field: str, why: str = "") -> Cause:
    """A field that is missing."""
    return Cause(field, "Required value" + (f": {why}" if why else ""), REQUIRED)


def for_creation(kind: Kind, given: Mapping[str, Any], namespace: str, now: str) -> Object:
    """The metadata of a new object."""
    metadata = {key: value for key, value in given.items() if key not in _SERVERS and key not in _DELETION}
    if namespace:
        metadata["namespace"] = namespace
    if not metadata.get("name") and metadata.get("generateName"):
        random = "".join(secrets.choice(_SUFFIX) for _ in range(_SUFFIX_LENGTH))
        metadata["name"] = metadata["generateName"][:_PREFIX_LENGTH] + random
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now
    if kind.custom or kind is kinds.CRD:
        metadata["generation"] = 1
    return _tidy(metadata)


def for_update(given: Mapping[str, Any], old: Mapping[str, Any]) -> Object:
    """The metadata of an object that is replaced: what only the server sets stays as it is."""
    metadata = {key: value for key, value in given.items() if key not in _SERVERS}
    kept = (*_SERVERS, *(each for each in _DELETION if each not in metadata), "namespace")
    return _tidy({**metadata, **{key: old[key] for key in kept if key in old}})


def _tidy(metadata: Object) -> Object:
    # As Go's encoder leaves out what is empty.
    empty = ("labels", "annotations", "finalizers", "ownerReferences", "generateName", "name")
    return {key: value for key, value in metadata.items() if value or key not in empty}


def causes(kind: Kind, metadata: Mapping[str, Any]) -> list[Cause]:
    """What is wrong with the metadata of an object, new or not."""
    name = metadata.get("name")
    found: list[Cause] = []
    if not name:
        found.append(required("metadata.name", "name or generateName is required"))
    else:
        check = _NAMES.get(kind, syntax.subdomain)
        if prefix := metadata.get("generateName"):
            found += (wrong("metadata.generateName", prefix, why) for why in check(_masked(prefix)))
        found += (wrong("metadata.name", name, why) for why in check(name))
    found += _labels(metadata.get("labels") or {})
    found += _annotations(metadata.get("annotations") or {})
    found += _owners(metadata.get("ownerReferences") or ())
    finalizers = metadata.get("finalizers") or ()
    for finalizer in finalizers:
        found += (wrong("metadata.finalizers", finalizer, why) for why in syntax.qualified_name(finalizer))
    if not kind.custom:
        found += (
            wrong(f"metadata.finalizers[{index}]", finalizer, _UNQUALIFIED)
            for index, finalizer in enumerate(finalizers)
            if "/" not in finalizer and finalizer not in _FINALIZERS
        )
    return found


def _masked(prefix: str) -> str:
    """A prefix as it is checked: what follows it may make its last dash right."""
    return f"{prefix[:-1]}a" if prefix.endswith("-") and len(prefix) > 1 else prefix


def _labels(labels: Mapping[str, str]) -> Iterator[Cause]:
    for key, value in labels.items():
        yield from (wrong("metadata.labels", key, why) for why in syntax.qualified_name(key))
        yield from (wrong("metadata.labels", value, why) for why in syntax.label_value(value))


def _annotations(annotations: Mapping[str, str]) -> Iterator[Cause]:
    for key in annotations:
        yield from (wrong("metadata.annotations", key, why) for why in syntax.qualified_name(key.lower()))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_BYTES:
        yield Cause("metadata.annotations", f"Too long: may not be more than {_ANNOTATIONS_BYTES} bytes", TOO_LONG)


def _owners(references: Sequence[Mapping[str, Any]]) -> Iterator[Cause]:
    for reference in references:
        for key in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(key):
                said = "version must not be empty" if key == "apiVersion" else "must not be empty"
                yield wrong(f"metadata.ownerReferences.{key}", reference.get(key, ""), said)
    controllers = [each for each in references if each.get("controller")]
    if len(controllers) > 1:
        said = 'Only one reference can have Controller set to true. Found "true" in references for '
        yield wrong(
            "metadata.ownerReferences",
            list(references),
            said + " and ".join(f"{each.get('kind')}/{each.get('name')}" for each in controllers[:2]),
        )


def update_causes(given: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    """What a patch or replacement may not do to metadata.

    Args:
        given: as it would be, before :func:`for_update`.
        old: as it is.
    """
    found = [
        wrong(f"metadata.{key}", given[key], "field is immutable")
        for key in ("uid", *_DELETION)
        if given.get(key) and given[key] != old.get(key)
    ]
    if "deletionTimestamp" in old:
        added = sorted(set(given.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            listed = "[]string{" + ", ".join(quoted(each) for each in added) + "}"
            said = "no new finalizers can be added if the object is being deleted, found new finalizers "
            found.append(Cause("metadata.finalizers", f"Forbidden: {said}{listed}", FORBIDDEN))
    return found
