"""Structural schemas of custom kinds: what is pruned, what gets a default, what is refused.

The schema of a CustomResourceDefinition is read once; objects go in and out as plain JSON values and are never
changed. Understood are types, ``properties``, ``additionalProperties``, ``items``, ``required``, ``default``,
``nullable``, ``enum``, ``pattern``, the bounds of strings, numbers, lists and objects, ``format: date-time`` and the
``x-kubernetes-`` extensions for unknown fields, integers or strings and the types of lists. Not evaluated are
``x-kubernetes-validations`` (for our kinds, lbprovider.admission stands in), embedded resources, ``allOf``, ``anyOf``,
``oneOf``, ``not``, ``multipleOf`` and further formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lbprovider.schema import validation
from lbprovider.schema.causes import Cause
from lbprovider.schema.structural import MISSING, Node, child, compiled

_IDENTITY: Final = ("apiVersion", "kind", "metadata")
"""What each object has without its schema saying so; looked at elsewhere."""


class Schema:
    """A custom kind's schema.

    Args:
        openapi: ``spec.versions[].schema.openAPIV3Schema`` of its CustomResourceDefinition.
    """

    def __init__(self, openapi: Mapping[str, Any]) -> None:
        self.root = compiled(openapi, root=True)
        self.has_rules = _has_rules(openapi)

    def prune(self, obj: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Drop the fields that the schema doesn't know; apiVersion, kind and metadata stay.

        Returns:
            The object without them, and their paths as ``spec.ports[0].foo``, in the order in which a kube-apiserver
            names them.
        """
        unknown: list[str] = []
        pruned: dict[str, Any] = _pruned(obj, self.root, "", unknown)
        return pruned, tuple(unknown)

    def default(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Put defaults where nothing is said, or null where that can't be; drop other fields that can't be null."""
        defaulted: dict[str, Any] = _defaulted(obj, self.root)
        return defaulted

    def causes(self, obj: Mapping[str, Any], old: Mapping[str, Any] | None = None) -> tuple[Cause, ...]:
        """What is wrong with an object that was pruned and has its defaults.

        Args:
            obj: it.
            old: what is stored, on an update.

        Returns:
            What a kube-apiserver would answer before it evaluates CEL rules; with
            ``validation.UNCHECKED`` where it would not evaluate those there are.
        """
        found = validation.causes(self.root, obj, old)
        return (*found, validation.UNCHECKED) if self.has_rules and validation.blocking(found) else found


def _has_rules(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return bool(schema.get("x-kubernetes-validations")) or any(map(_has_rules, schema.values()))
    return isinstance(schema, list) and any(map(_has_rules, schema))


def _pruned(value: Any, node: Node, path: str, unknown: list[str]) -> Any:
    if isinstance(value, Mapping):
        return dict(_pruned_fields(value, node, path, unknown))
    if isinstance(value, list) and node.items is not None:
        items = node.items
        return [_pruned(each, items, f"{path}[{at}]", unknown) for at, each in enumerate(value)]
    return value


def _pruned_fields(value: Mapping[str, Any], node: Node, path: str, unknown: list[str]) -> Iterator[tuple[str, Any]]:
    for name in sorted(value):
        known = node.of(name)
        if known is not None:
            yield name, _pruned(value[name], known, child(path, name), unknown)
        elif node.preserve or (node.root and name in _IDENTITY):
            yield name, value[name]
        else:
            unknown.append(child(path, name))


def _defaulted(value: Any, node: Node) -> Any:
    if isinstance(value, Mapping):
        return dict(_defaulted_fields(value, node))
    if isinstance(value, list) and node.items is not None:
        items = node.items
        return [_defaulted(_instead(each, items), items) for each in value]
    return value


def _defaulted_fields(value: Mapping[str, Any], node: Node) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        known = node.of(name)
        if known is None:
            yield name, each
            continue
        given = _instead(each, known)
        if given is not None or known.nullable or not known.types:
            yield name, _defaulted(given, known)
    for name, known in node.properties.items():
        if name not in value and known.default is not MISSING:
            yield name, _defaulted(known.default, known)


def _instead(value: Any, node: Node) -> Any:
    """The default where null can't be."""
    return node.default if value is None and not node.nullable and node.default is not MISSING else value
