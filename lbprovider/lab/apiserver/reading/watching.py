"""Watching objects: what a watcher is told of each event, and how what it hasn't read yet is held, up to a bound."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from lbprovider.lab.apiserver import statuses
from lbprovider.lab.apiserver.asked import flag
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.reading.lists import Matches, bad_version, matching, number
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Entry, Event, Expired, Store
from lbprovider.schema.causes import FORBIDDEN, Cause

BOOKMARK_SECONDS: Final = 60.0
"""Between two bookmarks, as a kube-apiserver sends them."""
BACKLOG: Final = 10_000
"""Events that a watcher may be behind; one that reads less is cut, and lists again."""
BACKLOG_BYTES: Final = 16 << 20
"""The same in bytes, for events of big objects."""
_WATCH_SECONDS: Final = (1800, 3600)
"""How long a watch lasts when the request doesn't say, drawn anew each time."""
_INITIAL_END: Final = {"annotations": {"k8s.io/initial-events-end": "true"}}

Encode = Callable[[Mapping[str, Any]], bytes]
"""How the object of an event is shown, where not as it is stored."""


class Watch:
    """One watcher's events, from construction to :meth:`close`.

    Args:
        store: has the objects.
        kind: the kind.
        namespace: where; empty for everywhere.
        query: of the request.
        cut: called when too much waits to be read.
        show: how objects are shown where not as they are stored (a table).
        backlog: events that may wait to be read.

    Attributes:
        seconds: how long it is to last.
        bookmarks: whether it wants them.
        cut: ends its connection.

    Raises:
        Refusal: 400, 500; a version that is too old is an event of the watch.
    """

    def __init__(
        self,
        store: Store,
        kind: Kind,
        namespace: str,
        query: Mapping[str, str],
        *,
        cut: Callable[[], None],
        show: Encode | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        self._store = store
        self._kind = kind
        self._namespace = namespace
        self._matches = matching(kind, query)
        self._show = show
        self._backlog = backlog
        self._waiting: deque[bytes] = deque()
        self._behind = 0  # bytes of events since it was read
        self._woken = asyncio.Event()
        self.bookmarks = flag(query, "allowWatchBookmarks")
        self.seconds = _seconds(query)
        self.cut = cut
        self._unsubscribe: Callable[[], None] = lambda: None
        self._begin(query)
        self._unsubscribe = store.subscribe(kind.resource, self._happened)

    def close(self) -> None:
        """Ends it."""
        self._unsubscribe()
        self._woken.set()

    def wake(self) -> None:
        """Lets :meth:`wait` return."""
        self._woken.set()

    async def wait(self) -> None:
        """Until there is something to send, or :meth:`wake`."""
        await self._woken.wait()
        self._woken.clear()

    def take(self) -> bytes:
        """All lines that wait to be sent."""
        lines = b"".join(self._waiting)
        self._waiting.clear()
        self._behind = 0
        return lines

    def bookmark(self, metadata: Mapping[str, Any] | None = None) -> None:
        """Adds one: all until now has been told."""
        said = {"resourceVersion": str(self._store.version), "creationTimestamp": None, **(metadata or {})}
        obj = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, "metadata": said}
        self._waiting.append(_line("BOOKMARK", msgspec.json.encode(obj) if self._show is None else self._show(obj)))

    def _begin(self, query: Mapping[str, str]) -> None:
        given = query.get("resourceVersion", "")
        if given and not given.isdecimal():
            raise Refusal(500, "", bad_version(given))
        initial = flag(query, "sendInitialEvents")
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            cause = Cause(
                "resourceVersionMatch",
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                FORBIDDEN,
            )
            raise statuses.invalid("meta.k8s.io", "ListOptions", "", [cause])
        if initial or given in ("", "0"):
            self._tell_all()
            if initial:
                self.bookmark(_INITIAL_END)
            return
        try:
            past = self._store.since(self._kind.resource, int(given))
        except Expired as error:
            self._waiting.append(_line("ERROR", msgspec.json.encode(statuses.expired(str(error)).body())))
            self.seconds = 0.0
            return
        for event in past:
            self._tell(event)

    def _tell_all(self) -> None:
        for entry in self._store.entries(self._kind.resource, self._namespace):
            if self._matches is None or self._matches(entry.value):
                self._add("ADDED", entry)

    def _happened(self, event: Event) -> None:
        self._behind += len(event.entry.encoded)
        if len(self._waiting) >= self._backlog or self._behind > BACKLOG_BYTES:
            self._unsubscribe()
            self.cut()
            return
        self._tell(event)
        self._woken.set()

    def _tell(self, event: Event) -> None:
        if self._namespace and event.entry.key.namespace != self._namespace:
            return
        if self._matches is None:
            self._add(event.type, event.entry)
        else:
            self._tell_matching(event, self._matches)

    def _tell_matching(self, event: Event, matches: Matches) -> None:
        entry, previous = event.entry, event.previous
        is_one = event.type != "DELETED" and matches(entry.value)
        was_one = previous is not None and matches(previous.value)
        if is_one:
            self._add("MODIFIED" if was_one else "ADDED", entry)
        elif was_one and previous is not None:
            # What it was when it still matched, with the version from which a next watch goes on.
            version = str(entry.version)
            last = {**previous.value, "metadata": {**previous.value["metadata"], "resourceVersion": version}}
            self._add("DELETED", Entry(entry.key, entry.version, msgspec.json.encode(last), last))

    def _add(self, event_type: str, entry: Entry) -> None:
        self._waiting.append(_line(event_type, entry.encoded if self._show is None else self._show(entry.value)))


def _line(event_type: str, encoded: bytes) -> bytes:
    return b"".join((b'{"type":"', event_type.encode("ascii"), b'","object":', encoded, b"}\n"))


def _seconds(query: Mapping[str, str]) -> float:
    if seconds := number(query, "timeoutSeconds"):
        return float(seconds)
    return random.uniform(*_WATCH_SECONDS)  # noqa: S311  (spreads the ends of watches, hides nothing)
