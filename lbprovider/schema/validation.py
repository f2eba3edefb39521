"""What is wrong with an object, by its schema: in the words of a kube-apiserver, all of it at once.

Pure. On an update what hasn't changed is not looked at ("ratcheting", KEP-4008): a stored object that a schema has
left behind can still be changed elsewhere. Elements of a list are compared with what they were by their keys
(list-type map) or not at all.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from lbprovider.schema import causes as reasons
from lbprovider.schema.causes import Cause
from lbprovider.schema.structural import MISSING, Node, child, said

UNCHECKED: Final = Cause(
    "<nil>",
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing "
    "errors to complete validation",
)
"""Said behind the other causes where an object is too wrong for the CEL rules that its kind has."""

_BLOCKING: Final = {
    reasons.REQUIRED,
    reasons.NOT_SUPPORTED,
    reasons.TOO_LONG,
    reasons.TOO_MANY,
    reasons.TYPE_INVALID,
}


def blocking(causes: Sequence[Cause]) -> bool:
    """Whether an object is too wrong for its rules to be evaluated; duplicates and values out of bounds are not."""
    return any(cause.reason in _BLOCKING for cause in causes)


def causes(root: Node, obj: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> tuple[Cause, ...]:
    """What is wrong with an object; ``old`` is what is stored, on an update."""
    before = MISSING if old is None else old
    return *_wrong(obj, root, "", before), *_repeated(obj, root, "", before)


def quoted(value: Any) -> str:
    """A value as it stands in a cause."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _wrong(value: Any, node: Node, path: str, old: Any) -> Iterator[Cause]:
    if value == old and type(value) is type(old):
        return
    has = said(value)
    fits = not node.types or any(each in node.types for each in has) or (value is None and node.nullable)
    if not fits:
        yield _mistyped(path, has[0], ",".join(node.types))
    if has[0] == "string" and fits:
        yield from _wrong_text(value, node, path)
    elif "number" in has and (fits or node.types == ("integer",)):
        yield from _wrong_number(value, node, path)
    elif has[0] == "array" and fits:
        yield from _wrong_list(value, node, path, old)
    elif has[0] == "object" and fits:
        yield from _wrong_object(value, node, path, old)
    if node.enum and value not in node.enum and not (value is None and node.nullable):
        supported = ", ".join(quoted(each if isinstance(each, str) else quoted(each)) for each in node.enum)
        message = f"Unsupported value: {quoted(value)}: supported values: {supported}"
        yield Cause(path, message, reasons.NOT_SUPPORTED)


def _mistyped(path: str, shown: str, wanted: str) -> Cause:
    message = f"Invalid value: {quoted(shown)}: {_in_body(path)} must be of type {wanted}: {quoted(shown)}"
    return Cause(path, message, reasons.TYPE_INVALID)


def _in_body(path: str) -> str:
    return f"{path} in body"


def _invalid(path: str, value: Any, words: str) -> Cause:
    return Cause(path, f"Invalid value: {quoted(value)}: {_in_body(path)} should {words}")


def _wrong_text(value: str, node: Node, path: str) -> Iterator[Cause]:
    """The first thing that is wrong. Lengths are counted in characters, though the sentence says bytes."""
    if node.max_length is not None and len(value) > node.max_length:
        yield Cause(path, f"Too long: may not be more than {node.max_length} bytes", reasons.TOO_LONG)
    elif len(value) < node.min_length:
        yield _invalid(path, value, f"be at least {node.min_length} chars long")
    elif node.pattern is not None and not node.pattern.search(value):
        yield _invalid(path, value, f"match '{node.pattern.pattern}'")
    elif node.format in _FORMATS and not _FORMATS[node.format](value):
        yield _mistyped(path, value, node.format)


def _wrong_number(value: float, node: Node, path: str) -> Iterator[Cause]:
    low, high = node.minimum, node.maximum
    if high is not None and (value > high or (node.below and value == high)):
        yield _invalid(path, value, f"be less than {'' if node.below else 'or equal to '}{quoted(high)}")
    elif low is not None and (value < low or (node.above and value == low)):
        yield _invalid(path, value, f"be greater than {'' if node.above else 'or equal to '}{quoted(low)}")


def _too_many(path: str, count: int, most: int) -> Cause:
    return Cause(path, f"Too many: {count}: must have at most {most} items", reasons.TOO_MANY)


def _wrong_list(value: list[Any], node: Node, path: str, old: Any) -> Iterator[Cause]:
    if node.items is not None:
        before = _earlier(node, old)
        for at, each in enumerate(value):
            yield from _wrong(each, node.items, f"{path}[{at}]", before(each))
    if len(value) < node.min_items:
        yield _invalid(path, len(value), f"have at least {node.min_items} items")
    if node.max_items is not None and len(value) > node.max_items:
        yield _too_many(path, len(value), node.max_items)


def _earlier(node: Node, old: Any) -> Callable[[Any], Any]:
    """What tells of an element what it was."""
    if node.list_type != "map" or not isinstance(old, list):
        return lambda _: MISSING
    were = {_key(each, node): each for each in old if isinstance(each, Mapping)}
    return lambda each: were.get(_key(each, node), MISSING) if isinstance(each, Mapping) else MISSING


def _key(element: Mapping[str, Any], node: Node) -> str:
    return quoted({key: element[key] for key in node.keys if key in element})


def _wrong_object(value: Mapping[str, Any], node: Node, path: str, old: Any) -> Iterator[Cause]:
    if len(value) < node.min_properties:
        yield _invalid(path, len(value), f"have at least {node.min_properties} properties")
    if node.max_properties is not None and len(value) > node.max_properties:
        yield _too_many(path, len(value), node.max_properties)
    before = old if isinstance(old, Mapping) else {}
    for name in sorted(value):
        known = node.of(name)
        if known is not None:
            yield from _wrong(value[name], known, child(path, name), before.get(name, MISSING))
    for name in node.required:
        if name not in value:
            yield Cause(child(path, name), "Required value", reasons.REQUIRED)


# --- list-type set and map: looked at behind everything else


def _repeated(value: Any, node: Node, path: str, old: Any) -> Iterator[Cause]:
    if value == old:
        return
    if isinstance(value, Mapping):
        before = old if isinstance(old, Mapping) else {}
        for name in sorted(value):
            known = node.of(name)
            if known is not None:
                yield from _repeated(value[name], known, child(path, name), before.get(name, MISSING))
    elif isinstance(value, list) and node.items is not None:
        yield from _repeated_here(value, node, path)
        if node.items.properties or node.items.additional or node.items.items:
            for at, each in enumerate(value):
                yield from _repeated(each, node.items, f"{path}[{at}]", MISSING)


def _repeated_here(value: list[Any], node: Node, path: str) -> Iterator[Cause]:
    """Each value or key that comes twice, once, with the index of the second."""
    if node.list_type == "atomic":
        return
    seen: dict[str, int] = {}
    for at, each in enumerate(value):
        if node.list_type == "map" and not isinstance(each, Mapping):
            message = f"Invalid value: {quoted(each)}: must be an object for an array of list-type map"
            yield Cause(f"{path}[{at}]", message)
            continue
        shown = _key(each, node) if node.list_type == "map" else quoted(each)
        seen[shown] = seen.get(shown, 0) + 1
        if seen[shown] == 2:  # noqa: PLR2004 - the second
            yield Cause(f"{path}[{at}]", f"Duplicate value: {shown}", reasons.DUPLICATE)


# --- formats

_DATE_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def _is_date_time(text: str) -> bool:
    """RFC 3339, section 5.6; without leap seconds, as a kube-apiserver has it."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return False
    try:
        dt.date.fromisoformat(found[1])
    except ValueError:
        return False
    return True


_FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {"date-time": _is_date_time}
