"""An object's metadata: what the server sets, what a client may change, and what is wrong with it.

Pure: times are RFC 3339 and given.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.store import Object
from lbprovider.schema import metadata as judging
from lbprovider.schema import syntax
from lbprovider.schema.causes import FORBIDDEN, Cause, quoted, wrong

_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_PREFIX_LENGTH: Final = 63 - _SUFFIX_LENGTH
_SERVERS: Final = ("uid", "resourceVersion", "generation", "selfLink", "managedFields", "creationTimestamp")
"""What only the server sets, apart from a deletion's own fields."""
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


def causes(kind: Kind, metadata: Mapping[str, Any]) -> tuple[Cause, ...]:
    """What is wrong with the metadata of an object, new or not."""
    return judging.causes(metadata, _NAMES.get(kind, syntax.subdomain), custom=kind.custom)


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
