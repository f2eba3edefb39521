"""Getting and listing objects: selectors, and pages that all show the state at the first one's version."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lbprovider.lab.apiserver import statuses
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.reading import selectors
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Entry, Key, Object, Store
from lbprovider.schema.causes import FORBIDDEN, NOT_SUPPORTED, Cause, quoted

SNAPSHOTS: Final = 64
"""Lists of which pages can still be asked for, at a time."""
SNAPSHOT_SECONDS: Final = 300.0
"""For how long; a kube-apiserver's etcd forgets in as much."""
_MATCHES: Final = ("Exact", "NotOlderThan", "")
_STALE: Final = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You must start a new list without the continue parameter."
)

Matches = Callable[[Object], bool]


class _Token(msgspec.Struct, frozen=True):
    snapshot: str
    start: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    entries: Sequence[Entry]
    version: int
    born: float


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list.

    Args:
        entries: its objects.
        version: the resourceVersion of the whole list.
        go_on: the token of the next page, empty on the last one.
        remaining: how many objects follow; None where a selector was given, as a kube-apiserver doesn't count those.
    """

    entries: Sequence[Entry]
    version: int
    go_on: str = ""
    remaining: int | None = None

    def metadata(self) -> Object:
        """The list's metadata."""
        metadata: Object = {"resourceVersion": str(self.version)}
        if self.go_on:
            metadata["continue"] = self.go_on
            if self.remaining is not None:
                metadata["remainingItemCount"] = self.remaining
        return metadata


class Reader:
    """Gets and lists objects.

    Args:
        store: has the objects.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()

    def get(self, kind: Kind, key: Key) -> Entry:
        """One object.

        Raises:
            Refusal: 404.
        """
        entry = self._store.get(*key)
        if entry is None:
            raise statuses.not_found(kind, key.name)
        return entry

    def select(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> Sequence[Entry]:
        """All objects that a query's selectors match.

        Raises:
            Refusal: 400.
        """
        entries = self._store.entries(kind.resource, namespace)
        matches = matching(kind, query)
        return entries if matches is None else [entry for entry in entries if matches(entry.value)]

    def list(self, kind: Kind, namespace: str, query: Mapping[str, str], now: float) -> Page:
        """A page of a list.

        Args:
            kind: the kind.
            namespace: where; empty for everywhere.
            query: of the request.
            now: seconds, monotonic.

        Raises:
            Refusal: 400, 410, 504.
        """
        limit = number(query, "limit")
        if query.get("continue"):
            if query.get("resourceVersion", "0") not in ("", "0"):
                raise statuses.bad_request("specifying resource version is not allowed when using continue")
            snapshot_id, start = self._read(query["continue"])
            snapshot = self._snapshots.get(snapshot_id)
            if snapshot is None or now - snapshot.born > SNAPSHOT_SECONDS:
                raise statuses.expired(_STALE)
        else:
            self._check_version(query)
            snapshot_id, start = secrets.token_hex(8), 0
            snapshot = _Snapshot(self.select(kind, namespace, query), self._store.version, now)
        end = start + limit if limit else len(snapshot.entries)
        left = len(snapshot.entries) - end
        if left <= 0:
            return Page(snapshot.entries[start:], snapshot.version)
        self._keep(snapshot_id, snapshot, now)
        selective = query.get("labelSelector") or query.get("fieldSelector")
        token = base64.urlsafe_b64encode(msgspec.json.encode(_Token(snapshot_id, end))).decode("ascii").rstrip("=")
        return Page(snapshot.entries[start:end], snapshot.version, token, None if selective else left)

    def _check_version(self, query: Mapping[str, str]) -> None:
        given, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
        if match not in _MATCHES:
            listed = ", ".join(quoted(each) for each in _MATCHES)
            said = f"Unsupported value: {quoted(match)}: supported values: {listed}"
            raise _unlistable(Cause("resourceVersionMatch", said, NOT_SUPPORTED))
        if match and not given:
            said = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
            raise _unlistable(Cause("resourceVersionMatch", said, FORBIDDEN))
        if not given:
            return
        if not given.isdecimal():
            raise statuses.bad_request(f"invalid resource version: {bad_version(given)}")
        if int(given) > self._store.version:
            raise too_large(int(given), self._store.version)
        if match == "Exact" and int(given) != self._store.version:
            raise statuses.expired(f"The resourceVersion for the provided list is too old: {given}")

    def _keep(self, snapshot_id: str, snapshot: _Snapshot, now: float) -> None:
        self._snapshots[snapshot_id] = snapshot
        while len(self._snapshots) > SNAPSHOTS or now - next(iter(self._snapshots.values())).born > SNAPSHOT_SECONDS:
            self._snapshots.popitem(last=False)

    @staticmethod
    def _read(token: str) -> tuple[str, int]:
        try:
            read = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=_Token)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            raise statuses.bad_request("invalid continue token: continue key is not valid") from None
        return read.snapshot, read.start


def matching(kind: Kind, query: Mapping[str, str]) -> Matches | None:
    """Whether an object is one that a query selects; None where it selects all.

    Raises:
        Refusal: 400.
    """
    label_text, field_text = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if not label_text and not field_text:
        return None
    labels, fields = selectors.labels(label_text), selectors.fields(field_text, kind)
    return lambda obj: fields(obj) and labels(obj["metadata"].get("labels", {}))


def _unlistable(cause: Cause) -> Refusal:
    return statuses.invalid("meta.k8s.io", "ListOptions", "", [cause])


def bad_version(given: str) -> str:
    """How a kube-apiserver says that this is no resourceVersion."""
    why = f"strconv.ParseUint: parsing {quoted(given)}: invalid syntax"
    return f"resourceVersion: Invalid value: {quoted(given)}: {why}"


def too_large(version: int, current: int) -> Refusal:
    """504: a version that is still to come."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details: Object = {"causes": [cause], "retryAfterSeconds": 1}
    return Refusal(504, "Timeout", f"Too large resource version: {version}, current: {current}", details)


def number(query: Mapping[str, str], name: str) -> int:
    """A parameter that is a number; 0 where it isn't given, or negative.

    Raises:
        Refusal: 400.
    """
    given = query.get(name, "0") or "0"
    if not given.removeprefix("-").isdecimal():
        raise statuses.bad_request(f"strconv.ParseInt: parsing {quoted(given)}: invalid syntax")
    return max(0, int(given))


def list_body(kind: Kind, page: Page) -> bytes:
    """A page as JSON; objects of built-in kinds leave out the kind and version that the list says already."""
    metadata = {"continue": "", **page.metadata()} if kind.custom else page.metadata()
    head = msgspec.json.encode({"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": metadata})
    if kind.custom:
        items = [entry.encoded for entry in page.entries]
    else:
        said = len(_head(kind))
        items = [b"{" + entry.encoded[said:] for entry in page.entries]
    return b"".join((head[:-1], b',"items":[', b",".join(items), b"]}"))


def _head(kind: Kind) -> bytes:
    head: dict[str, Any] = {"kind": kind.kind, "apiVersion": kind.api_version}
    return msgspec.json.encode(head)[:-1] + b","
