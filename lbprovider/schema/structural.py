"""Structural schemas, read once and ready for use. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MISSING: Final = object()
"""Where there is no value: null is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What a schema says of one value, ready for use; fields are called as in OpenAPI.

    Args:
        types: the types that it may have; empty for any.
        additional: of the values of a map; None where there are none.
        preserve: whether fields that aren't named are kept.
        root: whether it is a whole object, with apiVersion, kind and metadata.
        keys: list-map-keys.
    """

    types: tuple[str, ...] = ()
    nullable: bool = False
    default: Any = MISSING
    properties: Mapping[str, Node] = field(default_factory=dict)
    additional: Node | None = None
    items: Node | None = None
    preserve: bool = False
    root: bool = False
    required: tuple[str, ...] = ()
    enum: tuple[Any, ...] = ()
    pattern: re.Pattern[str] | None = None
    format: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    below: bool = False
    min_length: int = 0
    max_length: int | None = None
    min_items: int = 0
    max_items: int | None = None
    min_properties: int = 0
    max_properties: int | None = None
    list_type: str = "atomic"
    keys: tuple[str, ...] = ()

    def of(self, name: str) -> Node | None:
        """What is said of a field, or of an entry of a map; None for one that is unknown."""
        return self.properties.get(name, self.additional)


def compiled(openapi: Mapping[str, Any], *, root: bool = False) -> Node:
    """Read a schema.

    Args:
        openapi: as ``openAPIV3Schema`` has it.
        root: whether it is that of whole objects.
    """
    either = openapi.get("x-kubernetes-int-or-string", False)
    more = openapi.get("additionalProperties")
    return Node(
        types=("integer", "string") if either else tuple(filter(None, [openapi.get("type")])),
        nullable=openapi.get("nullable", False),
        default=openapi.get("default", MISSING),
        properties={name: compiled(openapi["properties"][name]) for name in sorted(openapi.get("properties", {}))},
        additional=compiled(more) if isinstance(more, Mapping) else _ANYTHING if more else None,
        items=compiled(openapi["items"]) if "items" in openapi else None,
        preserve=openapi.get("x-kubernetes-preserve-unknown-fields", False),
        root=root,
        required=tuple(openapi.get("required", ())),
        enum=tuple(openapi.get("enum", ())),
        pattern=re.compile(openapi["pattern"]) if "pattern" in openapi else None,
        format=openapi.get("format", ""),
        minimum=openapi.get("minimum"),
        maximum=openapi.get("maximum"),
        above=openapi.get("exclusiveMinimum", False),
        below=openapi.get("exclusiveMaximum", False),
        min_length=openapi.get("minLength", 0),
        max_length=openapi.get("maxLength"),
        min_items=openapi.get("minItems", 0),
        max_items=openapi.get("maxItems"),
        min_properties=openapi.get("minProperties", 0),
        max_properties=openapi.get("maxProperties"),
        list_type=openapi.get("x-kubernetes-list-type", "atomic"),
        keys=tuple(openapi.get("x-kubernetes-list-map-keys", ())),
    )


_ANYTHING: Final = Node(preserve=True)


def child(path: str, name: str) -> str:
    """The path of a field."""
    return f"{path}.{name}" if path else name


def said(value: Any) -> Sequence[str]:
    """The types that a value has, as schemas name them: the narrower one first."""
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return ("integer", "number")
    if isinstance(value, float) and value.is_integer() and abs(value) < _INT64:
        return ("number", "integer")
    if isinstance(value, (int, float)):
        return ("number",)
    return _TYPES[type(value)]


_INT64: Final = 1 << 63
_TYPES: Final[Mapping[type, Sequence[str]]] = {str: ("string",), list: ("array",), dict: ("object",)}
