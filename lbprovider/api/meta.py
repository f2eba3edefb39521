"""What all Kubernetes objects share: metadata, owner references, conditions, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of an object: decoded from camelCase, unknown fields ignored, defaults left out when encoded."""


class OwnerReference(Struct, frozen=True):
    """Who is deleted together with this object (garbage collection)."""

    api_version: str
    kind: str
    name: str
    uid: str


class ObjectMeta(Struct, frozen=True):
    """``metadata``. ``resource_version`` is opaque: compared for equality only, and sent back for compare-and-swap."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Object(Struct, frozen=True):
    """Any object of the API server. ``apiVersion`` and ``kind`` are its Resource's, and added when it is sent."""

    metadata: ObjectMeta = ObjectMeta()

    @property
    def key(self) -> str:
        """``namespace/name``, or ``name`` for a cluster-scoped object."""
        return f"{self.metadata.namespace}/{self.metadata.name}" if self.metadata.namespace else self.metadata.name


class Condition(Struct, frozen=True):
    """A condition in the field's standard form (KEP-1623). Times are RFC 3339, UTC, whole seconds."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


def with_condition(conditions: Iterable[Condition], new: Condition, now: str) -> tuple[Condition, ...]:
    """``conditions`` with ``new`` in the place of its type; ``lastTransitionTime`` moves only with the status.

    The result equals the input where nothing changed, so that a caller compares the two to know whether to write.
    """
    old = {condition.type: condition for condition in conditions}
    before = old.get(new.type)
    since = before.last_transition_time if before is not None and before.status == new.status else now
    old[new.type] = msgspec.structs.replace(new, last_transition_time=since)
    return tuple(old.values())


class LabelExpression(Struct, frozen=True):
    """One ``matchExpressions`` entry of a label selector."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(Struct, frozen=True):
    """A label selector; an empty one matches everything, as in Kubernetes."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[LabelExpression, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether all labels and all expressions match."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            _expression_matches(expression, labels) for expression in self.match_expressions
        )


def _expression_matches(expression: LabelExpression, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression.key)
    match expression.operator:
        case "In":
            return value in expression.values
        case "NotIn":
            return value not in expression.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None


def to_builtins(value: Any) -> Any:
    """A struct as dicts, tuples (JSON's arrays), strings, numbers and booleans."""
    return msgspec.to_builtins(value)
