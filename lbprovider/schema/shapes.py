"""What fields an object has, and of what type, where a kube-apiserver knows it from its Go structs.

A field that isn't there is dropped and told of; a value of the wrong type refuses the object, in the words of Go's JSON
decoder, which is what users know. Metadata is such a part of every object, whatever its kind's schema.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar


@dataclass(frozen=True, slots=True, eq=False)
class Struct:
    """An object with these fields; ``name`` is Go's for it."""

    name: str
    fields: Mapping[str, Shape]


@dataclass(frozen=True, slots=True, eq=False)
class ListOf:
    """A list, and what is in it."""

    of: Shape


@dataclass(frozen=True, slots=True, eq=False)
class MapOf:
    """An object with any keys, and what their values are."""

    of: Shape


Shape = Struct | ListOf | MapOf | str
"""A word stands for a scalar: the Go type, or ``any`` for what is taken as it comes."""

_LIMITS: Final = {"int32": 1 << 31, "int64": 1 << 63}

T = TypeVar("T")


def strings(*names: str) -> dict[str, Shape]:
    """Fields that are text."""
    return dict.fromkeys(names, "string")


STRINGS: Final = MapOf("string")
_OWNER: Final = Struct(
    "OwnerReference",
    {**strings("apiVersion", "kind", "name", "uid"), "controller": "bool", "blockOwnerDeletion": "bool"},
)
META: Final = Struct(
    "ObjectMeta",
    {
        **strings("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"),
        "generation": "int64",
        "creationTimestamp": "time",
        "deletionTimestamp": "time",
        "deletionGracePeriodSeconds": "int64",
        "labels": STRINGS,
        "annotations": STRINGS,
        "ownerReferences": ListOf(_OWNER),
        "finalizers": ListOf("string"),
        "managedFields": "any",
    },
)


class TypeMismatch(ValueError):
    """A value isn't of its field's type; the message is Go's."""


@dataclass(slots=True)
class _Reader:
    unknown: list[str] = field(default_factory=list)

    def read(self, value: Any, shape: Shape, path: str, where: str) -> Any:
        """The value with known fields only; ``path`` has indices, ``where`` is as Go's decoder says it."""
        if isinstance(shape, str):
            return _scalar(value, shape, where)
        if isinstance(shape, ListOf):
            items = _typed(value, list, shape, where)
            return [self.read(item, shape.of, f"{path}[{index}]", where) for index, item in enumerate(items)]
        fields = _typed(value, dict, shape, where)
        if isinstance(shape, MapOf):
            return {key: self.read(item, shape.of, f"{path}.{key}", where) for key, item in fields.items()}
        return self._struct(fields, shape, path, where)

    def _struct(self, value: Mapping[str, Any], shape: Struct, path: str, where: str) -> dict[str, Any]:
        known: dict[str, Any] = {}
        inner = where.partition(".")[2]
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            if name not in shape.fields:
                self.unknown.append(below)
            elif item is not None:
                said = f"{inner}.{name}" if inner else name
                of = shape.fields[name]
                read = self.read(item, of, below, f"{shape.name}.{said}")
                if read or not isinstance(of, (ListOf, MapOf)):  # Go leaves out lists and maps with nothing in them
                    known[name] = read
        return known


def _typed(value: Any, wanted: type[T], shape: Shape, where: str) -> T:
    if not isinstance(value, wanted):
        raise _mismatch(value, where, _go(shape))
    return value


def read(value: Mapping[str, Any], shape: Struct) -> tuple[dict[str, Any], tuple[str, ...]]:
    """An object as the fields of its shape hold it, and the paths of those that it doesn't have.

    Raises:
        TypeMismatch: a value isn't of its field's type.
    """
    reader = _Reader()
    known = reader.read(value, shape, "", "")
    return known, tuple(reader.unknown)


def read_metadata(value: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The same of an object's metadata.

    Raises:
        TypeMismatch: a value isn't of its field's type.
    """
    if not isinstance(value, dict):
        raise TypeMismatch(f"json: cannot unmarshal {_json(value)} into Go value of type v1.ObjectMeta")
    known, unknown = read(value, META)
    return known, tuple(f"metadata.{each}" for each in unknown)


_NOTHING: Final = {"string": "", "bool": False, "int32": 0, "int64": 0}


def _scalar(value: Any, shape: str, where: str) -> Any:
    if value is None and shape in _NOTHING:  # in a list or a map, where Go's decoder puts what it begins with
        return _NOTHING[shape]
    if shape == "any" or (shape == "intstr" and isinstance(value, str)):
        return value
    if shape in ("int32", "int64", "intstr"):
        limit = _LIMITS.get(shape, 1 << 31)
        if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
            raise _mismatch(value, where, "int32" if shape == "intstr" else shape)
        return value
    if not isinstance(value, str if shape != "bool" else bool):
        raise _mismatch(
            value, where, {"time": "v1.Time", "micro": "v1.MicroTime", "bytes": "[]uint8"}.get(shape, shape)
        )
    if isinstance(value, str) and shape in ("time", "micro"):
        return _time(value, micro=shape == "micro")
    if isinstance(value, str) and shape == "bytes":
        _check_base64(value)
    return value


def _time(value: str, *, micro: bool) -> str:
    layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
    wrong = TypeMismatch(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise wrong from None
    if moment.tzinfo is None:
        raise wrong
    stored = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return stored.isoformat(timespec="microseconds" if micro else "seconds") + "Z"


def _check_base64(value: str) -> None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        at = next((index for index, each in enumerate(value) if each not in alphabet), len(value))
        raise TypeMismatch(f"illegal base64 data at input byte {at}") from None


def _go(shape: Shape) -> str:
    match shape:
        case Struct(name):
            return f"v1.{name}"
        case ListOf(of):
            return f"[]{_go(of)}"
        case MapOf(of):
            return f"map[string]{_go(of)}"
    return {"bytes": "[]uint8", "any": "interface {}"}.get(shape, shape)


def _json(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case float():
            return f"number {value}"
        case int():
            return "number"
        case dict():
            return "object"
    return "array"


def _mismatch(value: Any, where: str, go: str) -> TypeMismatch:
    if "." not in where and not where:
        return TypeMismatch(f"json: cannot unmarshal {_json(value)} into Go value of type {go}")
    return TypeMismatch(f"json: cannot unmarshal {_json(value)} into Go struct field {where} of type {go}")
