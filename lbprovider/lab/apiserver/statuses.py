"""How a request is refused: meta/v1 Status, with its codes, reasons and wording as a kube-apiserver's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class Refusal(Exception):
    """A request that is refused; the server answers with :meth:`body` and ``code``.

    Args:
        code: the HTTP status.
        reason: the machine's word, as ``NotFound``.
        message: the sentence.
        details: as meta/v1 StatusDetails has them: name, group, kind, uid, causes, retryAfterSeconds.
    """

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """The Status object."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details is not None:
            status["details"] = dict(self.details)
        return status


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> Refusal:
    """422: the object as a whole was understood and can't be.

    Args:
        group: its API group, empty for the core's.
        kind: its kind.
        name: its name.
        causes: at least one.
    """
    said = [str(cause) for cause in causes]
    what = f"{kind}.{group}" if group else kind
    listed = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    details = {
        "name": name,
        "group": group,
        "kind": kind,
        "causes": [{"reason": each.reason, "message": each.message, "field": each.field} for each in causes],
    }
    return Refusal(422, "Invalid", f'{what} "{name}" is invalid: {listed}', details)
