"""Strategic merge patches: a merge that knows which lists are merged, and by which key.

Pure. Kubernetes keeps that knowledge in the struct tags of its Go types; here it is a table of the kinds that are
served. Custom kinds have no such patches: a server answers 415.

The directives: ``$patch`` (replace, delete) in objects and elements of lists, ``$retainKeys`` in objects,
``$setElementOrder/LIST`` and ``$deleteFromPrimitiveList/LIST`` beside a list. (Kubernetes' API conventions, and
"Update API Objects in Place Using kubectl patch".)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.writing import patches

_PATCH: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_ORDER: Final = "$setElementOrder/"
_DELETE: Final = "$deleteFromPrimitiveList/"

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Field:
    """How a field is merged.

    Args:
        fields: those of an object's, or of a list's elements', that hold lists to merge, at any depth.
        merged: whether it is a list whose elements are merged; any other list is replaced.
        key: by which of their fields elements are told apart; empty where they are no objects.
    """

    fields: Mapping[str, _Field] = field(default_factory=dict)
    merged: bool = False
    key: str = ""

    def __getitem__(self, name: str) -> _Field:
        return self.fields.get(name, _PLAIN)


_PLAIN: Final = _Field()
_SET: Final = _Field(merged=True)


def _by(key: str, **fields: _Field) -> _Field:
    return _Field(fields, merged=True, key=key)


def _object(**fields: _Field) -> _Field:
    return _Field(fields)


_METADATA: Final = _object(finalizers=_SET, ownerReferences=_by("uid"))
_CONDITIONS: Final = _object(conditions=_by("type"))
_CONTAINERS: Final = _by(
    "name",
    ports=_by("containerPort"),
    env=_by("name"),
    volumeMounts=_by("mountPath"),
    volumeDevices=_by("devicePath"),
)
_KINDS: Final[Mapping[Kind, Mapping[str, _Field]]] = {
    kinds.SERVICE: {"spec": _object(ports=_by("port")), "status": _CONDITIONS},
    kinds.NODE: {"spec": _object(podCIDRs=_SET), "status": _object(conditions=_by("type"), addresses=_by("type"))},
    kinds.POD: {
        "spec": _object(
            containers=_CONTAINERS,
            initContainers=_CONTAINERS,
            ephemeralContainers=_CONTAINERS,
            volumes=_by("name"),
            imagePullSecrets=_by("name"),
            hostAliases=_by("ip"),
            topologySpreadConstraints=_by("topologyKey"),
            schedulingGates=_by("name"),
            resourceClaims=_by("name"),
        ),
        "status": _object(conditions=_by("type"), podIPs=_by("ip"), hostIPs=_by("ip")),
    },
    kinds.NAMESPACE: {"status": _CONDITIONS},
    kinds.SERVICE_ACCOUNT: {"secrets": _by("name")},
}


def merge(obj: Object, patch: Any, kind: Kind) -> dict[str, Any]:
    """Apply a strategic merge patch.

    Args:
        obj: the object.
        patch: as it was decoded.
        kind: its kind, a built-in one.

    Raises:
        Refusal: 400: the patch is no object, or 500, as a kube-apiserver has it: its directives make no sense.
    """
    return _merged(obj, patches.an_object(patch), _object(metadata=_METADATA, **_KINDS.get(kind, {})))


def _senseless(message: str) -> Refusal:
    return Refusal(500, "", message)


def _merged(original: Object, patch: Object, how: _Field) -> dict[str, Any]:
    if _PATCH in patch:
        return _directed(patch)
    merged, patch = _retained(original, patch)
    ordered = [key.removeprefix(_ORDER) for key in patch if key.startswith(_ORDER)]
    for name in ordered:
        found = _ordered(original, patch, name, how[name])
        if found is not None:
            merged[name] = found
    for key, value in patch.items():
        name = key.removeprefix(_DELETE)
        if key != name and name not in ordered:
            _delete(merged, name, value)
    for key, value in patch.items():
        if key.startswith((_ORDER, _DELETE)) or key in ordered:
            continue
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _set(merged.get(key), value, how[key])
    return merged


def _directed(patch: Object) -> dict[str, Any]:
    match patch[_PATCH]:
        case "replace":
            return {key: value for key, value in patch.items() if key != _PATCH}
        case "delete":
            return {}
        case other:
            raise _senseless(f"unknown patch type: {_go(other)} in map: {_go(patch)}")


def _retained(original: Object, patch: Object) -> tuple[dict[str, Any], Object]:
    """What ``$retainKeys`` leaves of an object, and the patch without it."""
    if _RETAIN not in patch:
        return dict(original), patch
    keys = patch[_RETAIN]
    rest = {key: value for key, value in patch.items() if key != _RETAIN}
    if not isinstance(keys, list) or not rest.keys() <= set(filter(_is_text, keys)):
        raise Refusal(400, "BadRequest", "invalid patch format of retainKeys")
    return {key: value for key, value in original.items() if key in keys}, rest


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _set(original: Any, value: Any, how: _Field) -> Any:
    """A field's new value."""
    if isinstance(value, Mapping):
        if isinstance(original, Mapping):
            return _merged(original, value, how)
        return {} if _PATCH in value and value[_PATCH] == "delete" else _clean(value)
    if not isinstance(value, list):
        return value
    if how.merged and isinstance(original, list):
        return _merged_list(original, value, how)
    return [_clean(each) for each in value if not _directs(each)]


def _clean(value: Any) -> Any:
    """What a patch says of something that wasn't there: without directives and nulls."""
    if isinstance(value, Mapping):
        return {
            key: _clean(each)
            for key, each in value.items()
            if each is not None and key not in (_PATCH, _RETAIN) and not key.startswith((_ORDER, _DELETE))
        }
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return value


# --- lists


def _delete(merged: dict[str, Any], name: str, values: Any) -> None:
    """``$deleteFromPrimitiveList``."""
    if isinstance(merged.get(name), list) and isinstance(values, list):
        merged[name] = [each for each in merged[name] if each not in values]


def _ordered(original: Object, patch: Object, name: str, how: _Field) -> list[Any] | None:
    """A list that has a ``$setElementOrder``; None where there is none on either side."""
    order = patch[_ORDER + name]
    given, before = patch.get(name, []), original.get(name)
    for each in (order, given):
        if not isinstance(each, list):
            raise _senseless(f"expected a []interface {{}}, but received a {_type(each)}")
    wanted = [_identity(each, how) for each in order]
    changed = [_identity(each, how) for each in given if not _directs(each)]
    rest = iter(wanted)
    if wanted and not all(each in rest for each in changed):  # each is looked for behind the one before
        raise _senseless(
            f"The order in patch list:\n{_go(given)}\n doesn't match $setElementOrder list:\n{_go(order)}\n"
        )
    if before is None and name not in patch:
        return None
    holder = {name: before or []}
    if _DELETE + name in patch:
        _delete(holder, name, patch[_DELETE + name])
    merged = _merged_list(holder[name], given, how)
    return _arranged(merged, before or [], wanted, how)


def _merged_list(original: list[Any], patch: list[Any], how: _Field) -> list[Any]:
    if len({_sort(each) for each in (*original, *patch)}) > 1:
        raise _senseless(f"list element types are not identical: [{_go(original)} {_go(patch)}]")
    if any(isinstance(each, list) for each in patch):
        raise _senseless("lists of lists are not supported")
    if not how.key:
        if any(isinstance(each, Mapping) for each in patch):
            raise _senseless("cannot merge lists without merge key for []string")
        wanted = list(dict.fromkeys(patch))
        return _arranged(list(dict.fromkeys((*original, *patch))), original, wanted, how)
    original, patch = _special(original, patch, how)
    merged = list(original)
    for each in patch:
        mine = _identity(each, how)
        at = [index for index, item in enumerate(merged) if _identity(item, how) == mine]
        if at:
            merged[at[0]] = _merged(merged[at[0]], each, how)
        else:
            merged.append(_clean(each))
    return _arranged(merged, original, [_identity(each, how) for each in patch], how)


def _special(original: list[Any], patch: list[Any], how: _Field) -> tuple[list[Any], list[Any]]:
    """The list without what elements with ``$patch`` take away, and those of the patch without one."""
    replaced = False
    for each in patch:
        match each.get(_PATCH, ...):
            case "delete":
                mine = _identity(each, how)
                original = [item for item in original if _identity(item, how) != mine]
            case "replace":
                replaced = True
            case "merge":
                raise _senseless("merging lists cannot yet be specified in the patch")
            case other if other is not ...:
                raise _senseless(f"unknown patch type: {_go(other)} in map: {_go(each)}")
    rest = [each for each in patch if not _directs(each)]
    return (rest, []) if replaced else (original, rest)


def _arranged(items: list[Any], before: Sequence[Any], wanted: Iterable[Any], how: _Field) -> list[Any]:
    """Bring a merged list into order.

    What the patch names is in the patch's order and the rest in the order that it had. Where both go together an
    element that the list had stays behind those that were before it; a new one comes as early as it can.
    """
    asked = {each: index for index, each in reversed(list(enumerate(wanted)))}
    had = {each: index for index, each in reversed([(at, _identity(item, how)) for at, item in enumerate(before)])}
    named = sorted((item for item in items if _identity(item, how) in asked), key=_at(asked, how))
    others = [item for item in items if _identity(item, how) not in asked]
    others.sort(key=lambda item: had.get(_identity(item, how), len(had)))
    arranged: list[Any] = []
    while named and others:
        mine, its = had.get(_identity(others[0], how)), had.get(_identity(named[0], how))
        first = mine is not None and its is not None and mine < its
        arranged.append(others.pop(0) if first else named.pop(0))
    return [*arranged, *named, *others]


def _at(order: Mapping[Any, int], how: _Field) -> Callable[[Any], int]:
    return lambda item: order[_identity(item, how)]


def _directs(element: Any) -> bool:
    return isinstance(element, Mapping) and _PATCH in element


def _identity(element: Any, how: _Field) -> Any:
    """What tells an element of a merged list from the others."""
    if not how.key:
        return element if not isinstance(element, (Mapping, list)) else _go(element)
    if not isinstance(element, Mapping):
        raise _senseless(f"expected a map[string]interface {{}}, but received a {_type(element)}")
    if how.key not in element:
        raise _senseless(f"map: {_go(element)} does not contain declared merge key: {how.key}")
    value = element[how.key]
    return value if not isinstance(value, (Mapping, list)) else _go(value)


def _sort(value: Any) -> str:
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


_TYPES: Final = {"str": "string", "dict": "map[string]interface {}", "NoneType": "%!s(<nil>)", "number": "int64"}


def _type(value: Any) -> str:
    return _TYPES.get(_sort(value), _sort(value))


def _go(value: Any) -> str:
    """A value as Go prints it with %v."""
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_go(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go, value))}]"
    words = {None: "<nil>", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
