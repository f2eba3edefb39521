"""Where the objects are: in memory, each version encoded once, and written through to one SQLite file.

One counter over all kinds gives the resourceVersions. A write is in the file before it is acknowledged, so that a
process that is killed and started again goes on; it does not outlive the machine. What happened is remembered for
watches, up to a bound. Used from one thread; nothing here waits.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

HISTORY: Final = 10_000
"""Events that are remembered, over all kinds."""
HISTORY_BYTES: Final = 16 << 20
"""Encoded bytes of them, whatever their number: big objects are remembered for less long."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deleted (version INTEGER NOT NULL);
"""

Object = dict[str, Any]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Expired(Exception):
    """What happened since that version is no longer known."""

    def __init__(self, version: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {version} ({oldest})")


class Key(NamedTuple):
    """Which object: ``resource`` is ``Kind.resource``, ``namespace`` empty for a cluster-scoped one."""

    resource: str
    namespace: str
    name: str


class Entry:
    """One version of one object. Nobody changes its value.

    Args:
        key: which object.
        version: its resourceVersion.
        encoded: it, as JSON.
        value: it, decoded; None to decode it when it is asked for.
    """

    __slots__ = ("_value", "encoded", "key", "version")

    def __init__(self, key: Key, version: int, encoded: bytes, value: Object | None = None) -> None:
        self.key = key
        self.version = version
        self.encoded = encoded
        self._value = value

    @property
    def value(self) -> Object:
        """The object."""
        if self._value is None:
            self._value = msgspec.json.decode(self.encoded)
        return self._value

    def fold(self) -> None:
        """Keeps only the bytes: a version that is history is seldom looked into."""
        self._value = None


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an object.

    Args:
        type: what.
        entry: the object since; for a deletion its last state, with the deletion's own version.
        previous: the object before, if there was one.
    """

    type: EventType
    entry: Entry
    previous: Entry | None


Listener = Callable[[Event], None]


class Store:
    """All objects, by key.

    Args:
        path: the SQLite file, made if it isn't there.
        history: events that are remembered.
    """

    def __init__(self, path: Path, *, history: int = HISTORY) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(_SCHEMA)
        self._objects: dict[str, dict[tuple[str, str], Entry]] = defaultdict(dict)
        self._ordered: dict[str, tuple[Entry, ...]] = {}
        self._listeners: dict[str, dict[object, Listener]] = defaultdict(dict)
        self._limit = history
        self._history: deque[Event] = deque()
        self._bytes = 0
        self.version = self._load()
        self._oldest = self.version

    def _load(self) -> int:
        for resource, namespace, name, version, body in self._database.execute(
            "SELECT resource, namespace, name, version, body FROM objects"
        ):
            self._objects[resource][namespace, name] = Entry(Key(resource, namespace, name), version, body)
        ((version,),) = self._database.execute(
            "SELECT coalesce(max(version), 0) FROM (SELECT version FROM objects UNION ALL SELECT version FROM deleted)"
        )
        return int(version)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # --- reading

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        """The object as it is now."""
        return self._objects[resource].get((namespace, name))

    def entries(self, resource: str, namespace: str = "") -> tuple[Entry, ...]:
        """All objects of a kind, or those in a namespace, by namespace and name."""
        ordered = self._ordered.get(resource)
        if ordered is None:
            held = self._objects[resource]
            ordered = self._ordered[resource] = tuple(held[key] for key in sorted(held))
        if namespace:
            return tuple(entry for entry in ordered if entry.key.namespace == namespace)
        return ordered

    def inside(self, namespace: str) -> Iterator[Entry]:
        """All objects in a namespace, of whatever kind."""
        for resource in list(self._objects):
            yield from self.entries(resource, namespace)

    def everything(self) -> Iterator[Entry]:
        """All objects of all kinds."""
        for resource in list(self._objects):
            yield from self.entries(resource)

    # --- writing

    def put(self, key: Key, value: Mapping[str, Any]) -> Entry:
        """Stores an object with a resourceVersion of its own, unless it is stored like that already.

        Returns:
            the entry that holds now.
        """
        held = self._objects[key.resource]
        previous = held.get(key[1:])
        if previous is not None and _same(previous, value):
            return previous
        version = self.version + 1
        entry = _entry(key, version, value)
        self._database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", (*key, version, entry.encoded))
        held[key[1:]] = entry
        self._happened(Event("ADDED" if previous is None else "MODIFIED", entry, previous))
        return entry

    def remove(self, entry: Entry) -> Entry:
        """Deletes the object.

        Returns:
            its last state, with the deletion's own version.
        """
        version = self.version + 1
        last = _entry(entry.key, version, entry.value)
        with self._transaction():
            self._database.execute("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", entry.key)
            self._database.execute("DELETE FROM deleted")
            self._database.execute("INSERT INTO deleted VALUES (?)", (version,))
        del self._objects[entry.key.resource][entry.key[1:]]
        self._happened(Event("DELETED", last, entry))
        last.fold()
        return last

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        except sqlite3.Error:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _happened(self, event: Event) -> None:
        self.version = event.entry.version
        resource = event.entry.key.resource
        self._ordered.pop(resource, None)
        self._history.append(event)
        self._bytes += len(event.entry.encoded)
        while len(self._history) > self._limit or self._bytes > HISTORY_BYTES:
            self._forget()
        for listener in tuple(self._listeners[resource].values()):
            listener(event)
        for listener in tuple(self._listeners[""].values()):
            listener(event)
        if event.previous is not None:
            event.previous.fold()

    def _forget(self) -> None:
        forgotten = self._history.popleft().entry
        self._oldest = forgotten.version
        self._bytes -= len(forgotten.encoded)

    # --- watching

    def forget(self) -> None:
        """Forgets all that has happened: watches from before now are too old."""
        while self._history:
            self._forget()
        self._oldest = self.version

    def since(self, resource: str, version: int) -> list[Event]:
        """What happened to objects of a kind after a version.

        Raises:
            Expired: that is no longer known.
        """
        if version < self._oldest:
            raise Expired(version, self._oldest)
        found = []
        for event in reversed(self._history):
            if event.entry.version <= version:
                break
            if event.entry.key.resource == resource:
                found.append(event)
        found.reverse()
        return found

    def subscribe(self, resource: str, listener: Listener) -> Callable[[], None]:
        """Calls back with each event of a kind, or of all for an empty ``resource``, before the write returns.

        Returns:
            what ends it.
        """
        token = object()
        self._listeners[resource][token] = listener

        def end() -> None:
            self._listeners[resource].pop(token, None)

        return end


def _entry(key: Key, version: int, value: Mapping[str, Any]) -> Entry:
    stored = {**value, "metadata": {**value["metadata"], "resourceVersion": str(version)}}
    return Entry(key, version, msgspec.json.encode(stored), stored)


def _same(entry: Entry, value: Mapping[str, Any]) -> bool:
    stored = entry.value
    wanted = {**value, "metadata": {**value["metadata"], "resourceVersion": str(entry.version)}}
    # Python takes 1, 1.0 and true for equal; JSON does not.
    return stored == wanted and (
        msgspec.json.encode(stored, order="deterministic") == msgspec.json.encode(wanted, order="deterministic")
    )
