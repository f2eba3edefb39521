"""How a request is refused: meta/v1 Status, with its codes, reasons and wording as a kube-apiserver's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.schema.causes import Cause


class Refusal(Exception):
    """A request that is refused; the server answers with :meth:`body` and ``code``.

    Args:
        code: the HTTP status.
        reason: the machine's word, as ``NotFound``; empty where a kube-apiserver has none.
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
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = dict(self.details)
        status["code"] = self.code
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
    details = _details(
        name=name,
        group=group,
        kind=kind,
        causes=[{"reason": each.reason, "message": each.message, "field": each.field} for each in causes],
    )
    return Refusal(422, "Invalid", f'{what} "{name}" is invalid: {listed}', details)


def bad_request(message: str) -> Refusal:
    """400: what was sent can't be understood."""
    return Refusal(400, "BadRequest", message)


def unsupported(media_types: Sequence[str]) -> Refusal:
    """415: the body is in a form that is not read.

    Args:
        media_types: those that are.
    """
    listed = ", ".join(media_types)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return Refusal(415, "UnsupportedMediaType", message)


def not_found(kind: Kind, name: str) -> Refusal:
    """404: there is no object of that name."""
    return Refusal(404, "NotFound", f'{kind.resource} "{name}" not found', _of(kind, name))


def already_exists(kind: Kind, name: str) -> Refusal:
    """409: there is one already."""
    return Refusal(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _of(kind, name))


def conflict(kind: Kind, name: str, why: str) -> Refusal:
    """409: it is not, or no longer, the object that was meant."""
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return Refusal(409, "Conflict", message, _of(kind, name))


def forbidden(kind: Kind, name: str, why: str, causes: Sequence[Mapping[str, str]] = ()) -> Refusal:
    """403 for a reason other than missing rights."""
    details = {**_of(kind, name), **({"causes": list(causes)} if causes else {})}
    return Refusal(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', details)


def not_allowed() -> Refusal:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", message, {})


def expired(message: str) -> Refusal:
    """410: a version that is no longer known."""
    return Refusal(410, "Expired", message)


def deleted(kind: Kind, name: str, uid: str) -> dict[str, Any]:
    """The Status that answers a deletion."""
    details = {**_of(kind, name), "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _of(kind: Kind, name: str) -> dict[str, Any]:
    return _details(name=name, group=kind.group, kind=kind.plural)


def _details(**given: Any) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value}
