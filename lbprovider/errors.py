"""Every error that lbprovider raises, in one tree.

::

    LbproviderError
    ├── UserError              somebody asked for what can't be: said on the object or the terminal, never a traceback
    │   ├── InvalidObject      a field of a Kubernetes object that can't be used
    │   ├── InvalidDocument    the same in a file of manifests: names file, document and field
    │   └── UsageError         a flag, a setting, a file
    ├── HostError              this node can't do it: no capability, no room in the kernel
    │   ├── InterfaceGone      the interface is not there any more: netlink says so too
    │   └── PortTaken          a port is in use: whoever has it may yet end
    ├── WireError              bytes from the LAN that are not what they should be: dropped and counted
    └── ClusterError           the API server's answer, or none: retried with backoff and counted
        ├── Unreachable        no answer: refused, reset, timed out, TLS
        ├── Unauthorized       401
        ├── Forbidden          403: names verb and resource
        ├── NotFound           404
        │   └── KindMissing    404 for a whole kind: its CRD is not there
        ├── Conflict           409: somebody was faster (AlreadyExists, or another resourceVersion)
        ├── Gone               410: the resourceVersion is too old, list again
        ├── Invalid            400, 422: the API server refuses the object; its message says why
        ├── Overloaded         429, 5xx: ``retry_after`` in seconds where the server named it
        └── LeaseLost          a Lease that we held is another's, or could not be renewed in time

Anything else that is raised is a bug of ours: logged with its context, while the other addresses go on.
"""

from __future__ import annotations

import json


class LbproviderError(Exception):
    """The root: ``str()`` of any of these is one sentence that an admin can act on."""


class UserError(LbproviderError):
    """Somebody asked for what can't be."""


class InvalidObject(UserError):
    """A field of a Kubernetes object can't be used.

    Args:
        where: the object and field, as ``IPAddressPool lbprovider-system/lan spec.addresses[1]``.
        what: what is wrong with it, naming the value where ``value`` doesn't.
        advice: what to do about it; empty where ``what`` says it already.
        value: what the field holds, said before ``what`` in JSON's quotes; None where ``what`` needs none.
    """

    def __init__(self, where: str, what: str, advice: str = "", *, value: str | None = None) -> None:
        named = "" if value is None else f"{json.dumps(value, ensure_ascii=False)} "
        super().__init__(f"{where}: {named}{what}" + (f"; {advice}" if advice else ""))
        self.where = where
        self.what = what
        self.advice = advice
        self.value = value


class InvalidDocument(UserError):
    """A document of a file of manifests can't be used, or the whole file.

    Args:
        file: as it was named, ``standard input`` for that.
        number: which document of it, the first is 1; None where the whole file is meant.
        field: its path, as ``spec.addresses[1]``; empty where the whole document is meant.
        what: what is wrong; a sentence with file, document and field before it.
        advice: what to do about it; empty where ``what`` says it already.
        item: which item of a List, the first is 0; None where the document is no List.
        line: of the file, the first is 1; None where it isn't known.
    """

    def __init__(
        self,
        file: str,
        number: int | None,
        field: str,
        what: str,
        advice: str = "",
        *,
        item: int | None = None,
        line: int | None = None,
    ) -> None:
        place = [file]
        place += [] if number is None else [f"document {number}"]
        place += [] if item is None else [f"item {item}"]
        place += [] if line is None else [f"line {line}"]
        parts = [", ".join(place), *([field] if field else []), what]
        super().__init__(": ".join(parts) + (f"; {advice}" if advice else ""))
        self.file = file
        self.number = number
        self.field = field
        self.what = what
        self.advice = advice
        self.item = item
        self.line = line


class UsageError(UserError):
    """A flag, a setting or a file that can't be used."""


class HostError(LbproviderError):
    """This node can't do what was asked."""


class InterfaceGone(HostError):
    """The interface was taken away, or has another name by now."""


class PortTaken(HostError):
    """Another process holds a port of this node."""


class WireError(LbproviderError):
    """Bytes that are not what they should be.

    Args:
        reason: a CamelCase word, the label of the drop counter.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClusterError(LbproviderError):
    """The API server's answer, or none.

    Args:
        message: one sentence.
        status: the HTTP status, 0 without an answer.
        reason: the ``reason`` of the API server's Status object, as ``AlreadyExists``.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Unreachable(ClusterError):
    """No answer."""


class Unauthorized(ClusterError):
    """401: the credentials are not accepted."""


class Forbidden(ClusterError):
    """403: RBAC lacks a rule."""


class NotFound(ClusterError):
    """404: no such object."""


class KindMissing(NotFound):
    """404: the API server doesn't serve the kind (CRD missing)."""


class Conflict(ClusterError):
    """409: the object exists already, or has another resourceVersion."""


class Gone(ClusterError):
    """410: the resourceVersion is too old."""


class Invalid(ClusterError):
    """400 or 422: refused by schema, CEL rule or admission."""


class Overloaded(ClusterError):
    """429 or 5xx: ask again later.

    Args:
        message: one sentence.
        status: the HTTP status.
        reason: the Status object's reason.
        retry_after: seconds that the server asked for, None where it named none.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, status=status, reason=reason)
        self.retry_after = retry_after


class LeaseLost(ClusterError):
    """A Lease that we held is another's, or could not be renewed in time: stop what it allowed."""
