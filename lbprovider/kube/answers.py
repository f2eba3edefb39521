"""What the API server's answers, and the lack of one, mean: the table from HTTP and transport to ``errors``."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from lbprovider.api.meta import Struct
from lbprovider.api.names import GROUP
from lbprovider.api.resources import Resource
from lbprovider.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KindMissing,
    NotFound,
    Overloaded,
    Unauthorized,
    Unreachable,
)

_CLIENT_ERRORS: Final = 400
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500

_MESSAGE_LIMIT: Final = 1000
"""Characters of a server's own words that we repeat; a proxy's page can be long."""


class Cause(Struct, frozen=True):
    """One reason among several, with the field that it is about."""

    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(Struct, frozen=True):
    """What a Status is about."""

    name: str = ""
    kind: str = ""
    retry_after_seconds: int = 0
    causes: tuple[Cause, ...] = ()


class Status(Struct, frozen=True):
    """meta/v1 Status: how the API server says that something went wrong."""

    code: int = 0
    message: str = ""
    reason: str = ""
    details: StatusDetails | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, as far as a message names it. ``verb`` is RBAC's."""

    verb: str
    resource: Resource[Any]
    server: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}/{self.subresource}" if self.subresource else str(self.resource)
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}" + (f" {self.name!r}" if self.name else "") + where


@contextmanager
def mapped(request: Request) -> Iterator[None]:
    """Turns whatever the transport or the decoder raises into ``Unreachable``."""
    server = request.server
    try:
        yield
    except (ssl.SSLError, aiohttp.ClientSSLError) as error:
        raise Unreachable(
            f"can't {request}: TLS to {server} failed: {_words(error)}; check the CA certificate and the clock"
        ) from error
    except TimeoutError as error:
        raise Unreachable(f"can't {request}: {server} didn't answer in time; is the API server overloaded?") from error
    except aiohttp.ClientConnectorError as error:
        raise Unreachable(
            f"can't {request}: no connection to {server}: {error.os_error.strerror or error.os_error}; is it up?"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"can't {request}: the connection to {server} broke: {_words(error)}") from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise garbage(request, _words(error)) from error


def garbage(request: Request, why: str) -> Unreachable:
    """An answer with a good status that isn't what the Kubernetes API would say."""
    return Unreachable(
        f"can't {request}: {request.server} answered with something else than the Kubernetes API does ({why}); "
        "is there a proxy before it?"
    )


def refusal(request: Request, code: int, body: bytes, headers: Mapping[str, str]) -> ClusterError:
    """The error that an answer other than 2xx stands for."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.MsgspecError, UnicodeError):
        # Plain text, as "404 page not found", or a proxy's page.
        status = Status(message=" ".join(body.decode(errors="replace").split()))
    return refused(request, code, status, headers)


def refused(request: Request, code: int, status: Status, headers: Mapping[str, str]) -> ClusterError:
    """As ``refusal``, with the Status decoded; ``headers`` may name when to ask again."""
    given: Any = {"status": code, "reason": status.reason}
    if code < _CLIENT_ERRORS:
        return Unreachable(f"can't {request}: {request.server} answered {code}, as no API server does", **given)
    said = status.message[:_MESSAGE_LIMIT] or f"HTTP status {code}"
    if code == _TOO_MANY or code >= _SERVER_ERRORS:
        return Overloaded(f"can't {request}: {said}", retry_after=_retry_after(status, headers), **given)
    if code == _NOT_FOUND and (status.details is None or not status.details.name):
        return KindMissing(_kind_missing(request), **given)
    if status.details is not None and any(cause.field == "metadata.uid" for cause in status.details.causes):
        # How a uid in a patch is refused that isn't the object's: as an edit of a field that can't be edited.
        return Conflict(f"can't {request}: it is another object of that name by now", **given)
    error, explain = _REFUSALS.get(code, (Invalid, _as_said))
    return error(explain(request, said), **given)


def _as_said(request: Request, said: str) -> str:
    return f"can't {request}: {said}"


def _unauthorized(request: Request, said: str) -> str:
    return f"can't {request}: {request.server} doesn't accept our credentials (expired, or of another cluster?): {said}"


def _forbidden(request: Request, said: str) -> str:
    if " cannot " not in said:
        # Admission, quota, or a namespace that is being deleted: RBAC has no part in it.
        return f"can't {request}: {said}"
    role = f"a Role in namespace {request.namespace} or a ClusterRole" if request.namespace else "a ClusterRole"
    return f"may not {request}: {said}; {role} bound to that user must allow it (ours are in config/rbac)"


_REFUSALS: Final[Mapping[int, tuple[type[ClusterError], Callable[[Request, str], str]]]] = {
    401: (Unauthorized, _unauthorized),
    403: (Forbidden, _forbidden),
    404: (NotFound, _as_said),
    409: (Conflict, _as_said),
    410: (Gone, _as_said),
}
"""What a status means, and how it is said; any other 4xx is Invalid: the request itself is at fault."""


def _kind_missing(request: Request) -> str:
    resource = request.resource
    advice = (
        "apply config/crd (kubectl apply -k config/crd)"
        if resource.api_version.startswith(f"{GROUP}/")
        else "is it a Kubernetes API server, and recent enough?"
    )
    return f"can't {request}: {request.server} doesn't serve {resource.kind} {resource.api_version}; {advice}"


def _retry_after(status: Status, headers: Mapping[str, str]) -> float | None:
    named = headers.get("Retry-After", "")
    if named.isdecimal():  # the API server sends seconds; a proxy's date would need a clock to compare with
        return float(named)
    return float(status.details.retry_after_seconds) or None if status.details else None


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:_MESSAGE_LIMIT] or type(error).__name__
