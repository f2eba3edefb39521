"""The patches that everybody sends: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7386), decoding and refusing them.

Pure: what comes in is never changed, what goes out may share parts with it. Refusals have the codes and the words of a
kube-apiserver. Strategic merge patches have a room of their own, :mod:`lbprovider.lab.apiserver.strategic`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

import jsonpatch
import jsonpointer

from lbprovider.lab.apiserver.statuses import Refusal

JSON: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"

_OBJECT: Final = "map[string]interface {}"
_OPERATIONS: Final = "[]handlers.jsonPatchOp"
_OPERATION: Final = "handlers.jsonPatchOp"
_SAID: Final = "the server rejected our request due to an error in our request"
_MOST: Final = 10_000  # operations in a patch, as a kube-apiserver has it


def decode(body: bytes) -> Any:
    """The value that a request's body holds.

    Raises:
        Refusal: 400: it is no JSON.
    """
    try:
        return json.loads(body)
    except UnicodeDecodeError:
        raise _undecodable("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :].strip()
        what = f"invalid character {rest[0]!r} at {error.pos}" if rest else "unexpected end of JSON input"
        raise _undecodable(what) from None


def _undecodable(why: str) -> Refusal:
    return Refusal(400, "BadRequest", f"error decoding patch: {why}")


def _mistaken(given: Any, wanted: str) -> Refusal:
    kinds = {dict: "object", list: "array", str: "string", bool: "bool"}
    kind = kinds.get(type(given), "number")
    return _undecodable(f"json: cannot unmarshal {kind} into Go value of type {wanted}")


def an_object(patch: Any) -> Mapping[str, Any]:
    """What a merge patch of either kind has to be.

    Raises:
        Refusal: 400.
    """
    if patch is None:
        raise Refusal(400, "BadRequest", "Invalid JSON Patch")
    if not isinstance(patch, Mapping):
        raise _mistaken(patch, _OBJECT)
    return patch


# --- RFC 7386


def merge(obj: Mapping[str, Any], patch: Any) -> dict[str, Any]:
    """Apply a JSON Merge Patch.

    Args:
        obj: the object.
        patch: as it was decoded.

    Raises:
        Refusal: 400: the patch is no object.
    """
    return _merged(obj, an_object(patch))


def _merged(target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _merged(merged.get(key), value)
        else:
            merged[key] = value
    return merged


# --- RFC 6902


def json_patch(obj: Mapping[str, Any], operations: Any) -> Any:
    """Apply a JSON Patch.

    A kube-apiserver is more lenient than RFC 6902 in three things, and so is this: ``replace`` sets a member that
    isn't there, ``test`` for null passes for one that isn't there, and a missing ``value`` is null.

    Args:
        obj: the object.
        operations: as they were decoded.

    Returns:
        What came of it; a patch can make anything of an object, so look at it as at a request's body.

    Raises:
        Refusal: 400: no list of operations; 413: too many; 422: one of them failed, so none was done.
    """
    if not isinstance(operations, list):
        raise _mistaken(operations, _OPERATIONS)
    for each in operations:
        if not isinstance(each, dict):
            raise _mistaken(each, _OPERATION)
    if len(operations) > _MOST:
        message = f"The allowed maximum operations in a JSON patch is {_MOST}, got {len(operations)}"
        raise Refusal(413, "RequestEntityTooLarge", message)
    patched: Any = copy.deepcopy(obj)
    try:
        for each in operations:
            for operation in _strict(patched, each):
                patched = jsonpatch.JsonPatch([operation]).apply(patched, in_place=True)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError):
        # jsonpatch says TypeError of a path that leads through a string.
        raise Refusal(422, "Invalid", _SAID, {}) from None
    return patched


def _strict(document: Any, operation: dict[str, Any]) -> list[dict[str, Any]]:
    """What RFC 6902 says for what is meant."""
    verb, path = operation.get("op"), operation.get("path")
    if not path:
        raise jsonpatch.InvalidJsonPatch("the whole object")  # can't be the target of any operation
    if verb not in ("add", "replace", "test"):
        return [operation]
    said = {"value": None, **operation}
    if verb == "add":
        return [said]
    parent, member = jsonpointer.JsonPointer(path).to_last(document)
    missing = isinstance(parent, dict) and member not in parent
    if missing and verb == "replace":
        return [{**said, "op": "add"}]
    return [] if missing and said["value"] is None else [said]
