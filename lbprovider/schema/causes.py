"""One thing that is wrong with an object, in the words of a kube-apiserver (meta/v1 StatusCause)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

INVALID: Final = "FieldValueInvalid"
REQUIRED: Final = "FieldValueRequired"
DUPLICATE: Final = "FieldValueDuplicate"
NOT_SUPPORTED: Final = "FieldValueNotSupported"
TOO_LONG: Final = "FieldValueTooLong"
TOO_MANY: Final = "FieldValueTooMany"
TYPE_INVALID: Final = "FieldValueTypeInvalid"
FORBIDDEN: Final = "FieldValueForbidden"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object.

    Args:
        field: its path, as ``spec.addresses[1]``.
        message: what is wrong, without the field: ``Invalid value: "x": is no address``.
        reason: one of the constants here.
    """

    field: str
    message: str
    reason: str = INVALID

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def quoted(value: Any) -> str:
    """A value as a kube-apiserver writes it in a sentence."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def wrong(field: str, value: Any, why: str) -> Cause:
    """The commonest of causes."""
    return Cause(field, f"Invalid value: {quoted(value)}: {why}", INVALID)


def required(field: str, why: str = "") -> Cause:
    """A field that is missing."""
    return Cause(field, "Required value" + (f": {why}" if why else ""), REQUIRED)
