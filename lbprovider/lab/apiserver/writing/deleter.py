"""Deleting objects, and what goes with them: what is in a namespace, what a CRD defines, what has lost its owners.

What follows from a deletion is done after the request is answered, in the loop's next turns, as a cluster's controllers
do it a little later. What is left undone by a process that was killed is taken up by the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbprovider.lab.apiserver import kinds, statuses
from lbprovider.lab.apiserver.custom import registration
from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Entry, Event, Key, Object, Store

FOREGROUND: Final = "foregroundDeletion"
"""The finalizer of an object that waits for its dependents to go first."""
POLICIES: Final = ("Foreground", "Background", "Orphan")
"""What may become of the dependents of an object that is deleted, as a kube-apiserver lists it."""
_IMMORTAL: Final = ("default", "kube-public", "kube-system")
_SHOWN: Final = (kinds.NAMESPACE, kinds.POD, kinds.SERVICE, kinds.SERVICE_ACCOUNT)
"""Kinds whose deletion is answered with the object, not with a Status."""

Soon = Callable[[Callable[[], None]], object]
"""Calls back in one of the loop's next turns."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """How an object is to be deleted.

    Args:
        policy: of its dependents: one of ``POLICIES``.
        uid: the one that it must have, if any.
        version: the resourceVersion that it must have, if any.
        dry_run: all checks, and nothing is deleted.
        now: RFC 3339.
    """

    policy: str
    uid: str
    version: str
    dry_run: bool
    now: str


class Deleter:
    """Deletes objects.

    Args:
        store: has the objects.
        served: knows the kinds.
        soon: calls back later.
        clock: the time, RFC 3339, for what follows from a deletion.
    """

    def __init__(self, store: Store, served: Served, soon: Soon, clock: Callable[[], str]) -> None:
        self._store = store
        self._served = served
        self._soon = soon
        self._clock = clock
        self._uids: set[str] = set()
        self._dependents: dict[str, set[Key]] = defaultdict(set)
        self._foreground: dict[str, Key] = {}  # what waits for its dependents
        self._pending: set[Hashable] = set()
        for entry in store.everything():
            self._note(entry)
        for entry in list(store.everything()):
            self.written(entry)
        store.subscribe("", self._happened)

    def _note(self, entry: Entry) -> None:
        metadata = entry.value["metadata"]
        self._uids.add(metadata["uid"])
        if FOREGROUND in metadata.get("finalizers", ()):
            self._foreground[metadata["uid"]] = entry.key
        for owner in metadata.get("ownerReferences", ()):
            self._dependents[owner["uid"]].add(entry.key)

    def _happened(self, event: Event) -> None:
        if event.previous is not None:
            for owner in event.previous.value["metadata"].get("ownerReferences", ()):
                self._dependents[owner["uid"]].discard(event.entry.key)
                if event.type == "DELETED":
                    self._later(self._last_dependent_gone, owner["uid"])
        if event.type != "DELETED":
            self._note(event.entry)
            return
        uid = event.entry.value["metadata"]["uid"]
        self._uids.discard(uid)
        self._foreground.pop(uid, None)
        if self._dependents.get(uid):
            self._later(self._collect, uid)
        else:
            self._dependents.pop(uid, None)
        if namespace := event.entry.key.namespace:
            self._later(self._empty_namespace, namespace)
        if event.entry.key.resource not in _BUILT_IN:
            self._later(self._empty_crd, event.entry.key.resource)

    def _later(self, what: Callable[[str], None], about: str) -> None:
        """Once, however often it is asked for before it is done."""
        token = what.__name__, about
        if token in self._pending:
            return
        self._pending.add(token)

        def work() -> None:
            self._pending.discard(token)
            what(about)

        self._soon(work)

    # --- requests

    def delete(self, kind: Kind, key: Key, deletion: Deletion) -> Object:
        """DELETE of one object: what to answer.

        Raises:
            Refusal: 403, 404, 409.
        """
        entry = self._store.get(*key)
        if entry is None:
            raise statuses.not_found(kind, key.name)
        if kind is kinds.NAMESPACE and key.name in _IMMORTAL:
            raise statuses.forbidden(kind, key.name, "this namespace may not be deleted")
        _check(kind, entry, deletion)
        last = entry if deletion.dry_run else self._delete(kind, entry, deletion.policy, deletion.now)
        if kind in _SHOWN or (self._store.get(*key) is last and not deletion.dry_run):
            return last.value
        return statuses.deleted(kind, key.name, entry.value["metadata"]["uid"])

    def delete_all(self, kind: Kind, entries: Sequence[Entry], deletion: Deletion) -> None:
        """DELETE of a collection."""
        for entry in entries:
            if not deletion.dry_run and self._store.get(*entry.key) is entry:
                self._delete(kind, entry, deletion.policy, deletion.now)

    def finished(self, entry: Entry, new: Object) -> bool:
        """Whether a write takes the last finalizer from what is being deleted; if so it is gone."""
        metadata = new["metadata"]
        over = "deletionTimestamp" in metadata and not metadata.get("finalizers") and not _emptied_first(entry.key, new)
        if over:
            self._store.remove(entry)
        return over

    def written(self, entry: Entry) -> None:
        """Follows up a write: what is being deleted may go on with it, or all its owners be away."""
        metadata = entry.value["metadata"]
        if "deletionTimestamp" in metadata:
            self._follow(entry)
        owners: Sequence[Mapping[str, Any]] = metadata.get("ownerReferences", ())
        if not any(owner["uid"] in self._uids for owner in owners):
            for owner in owners:
                self._later(self._collect, owner["uid"])

    def _delete(self, kind: Kind, entry: Entry, policy: str, now: str) -> Entry:
        """What is left of the object: as it is with a deletionTimestamp, or its last state."""
        metadata = entry.value["metadata"]
        uid = metadata["uid"]
        if policy == "Orphan":
            for key in list(self._dependents.get(uid, ())):
                self._disown(key, uid)
        if (
            _emptied_first(entry.key, entry.value)
            or metadata.get("finalizers")
            or (policy == "Foreground" and self._blocking(uid))
        ):
            if "deletionTimestamp" in metadata:
                self._follow(entry)
                return entry
            entry = self._store.put(entry.key, _marked(kind, entry.value, now, waits=policy == "Foreground"))
            self._follow(entry)
            return entry
        return self._store.remove(entry)

    def _blocking(self, uid: str) -> bool:
        return any(self._store.get(*key) is not None for key in self._dependents.get(uid, ()))

    # --- what follows

    def _follow(self, entry: Entry) -> None:
        resource, _, name = entry.key
        if resource == kinds.NAMESPACE.resource:
            self._later(self._empty_namespace, name)
        elif resource == kinds.CRD.resource:
            self._later(self._empty_crd, name)
        if FOREGROUND in entry.value["metadata"].get("finalizers", ()):
            self._later(self._collect, entry.value["metadata"]["uid"])

    def _delete_each(self, entries: Iterable[Entry]) -> None:
        for entry in list(entries):
            self._delete(self._served.resource(entry.key.resource), entry, "Background", self._clock())

    def _empty_namespace(self, name: str) -> None:
        entry = self._store.get(kinds.NAMESPACE.resource, "", name)
        if entry is None or "deletionTimestamp" not in entry.value["metadata"]:
            return
        self._delete_each(self._store.inside(name))
        if not any(self._store.inside(name)) and not entry.value["metadata"].get("finalizers"):
            self._store.remove(entry)

    def _empty_crd(self, name: str) -> None:
        entry = self._store.get(kinds.CRD.resource, "", name)
        if entry is None or "deletionTimestamp" not in entry.value["metadata"]:
            return
        self._delete_each(self._store.entries(name))
        if not self._store.entries(name):
            self._unfinalize(entry, registration.CLEANUP)

    def _unfinalize(self, entry: Entry, finalizer: str) -> None:
        metadata = entry.value["metadata"]
        left = [each for each in metadata.get("finalizers", ()) if each != finalizer]
        if left:
            self._store.put(entry.key, {**entry.value, "metadata": {**metadata, "finalizers": left}})
        else:
            self._store.remove(entry)

    def _collect(self, uid: str) -> None:
        """Deletes the dependents of an object that is gone, or that waits for them; others' lose the reference."""
        for key in list(self._dependents.get(uid, ())):
            entry = self._store.get(*key)
            if entry is None:
                continue
            owners = {owner["uid"] for owner in entry.value["metadata"]["ownerReferences"]}
            if owners & self._uids - {uid}:
                self._disown(key, uid)
            else:
                self._delete_each([entry])
        self._last_dependent_gone(uid)

    def _disown(self, key: Key, uid: str) -> None:
        entry = self._store.get(*key)
        if entry is not None:
            metadata = entry.value["metadata"]
            kept = [owner for owner in metadata["ownerReferences"] if owner["uid"] != uid]
            without = {name: value for name, value in metadata.items() if name != "ownerReferences"}
            changed = {**without, "ownerReferences": kept} if kept else without
            self._store.put(key, {**entry.value, "metadata": changed})

    def _last_dependent_gone(self, uid: str) -> None:
        key = self._foreground.get(uid)
        entry = None if key is None or self._blocking(uid) else self._store.get(*key)
        if entry is not None:
            self._unfinalize(entry, FOREGROUND)


_BUILT_IN: Final = frozenset(kind.resource for kind in kinds.BUILT_IN)


def _emptied_first(key: Key, obj: Object) -> bool:
    """Whether other objects go before it."""
    return key.resource == kinds.NAMESPACE.resource or (
        key.resource == kinds.CRD.resource and registration.CLEANUP not in obj["metadata"].get("finalizers", ())
    )


def _marked(kind: Kind, obj: Object, now: str, *, waits: bool) -> Object:
    """An object that is being deleted."""
    metadata = {**obj["metadata"], "deletionTimestamp": now}
    if waits:
        metadata["finalizers"] = [*metadata.get("finalizers", ()), FOREGROUND]
    if kind is kinds.NAMESPACE:
        return {**obj, "metadata": metadata, "status": {**obj["status"], "phase": "Terminating"}}
    if kind is kinds.CRD:
        return registration.terminating({**obj, "metadata": metadata}, now)
    metadata["deletionGracePeriodSeconds"] = 0
    if "generation" in metadata:
        metadata["generation"] += 1
    return {**obj, "metadata": metadata}


def _check(kind: Kind, entry: Entry, deletion: Deletion) -> None:
    uid = entry.value["metadata"]["uid"]
    if deletion.uid and deletion.uid != uid:
        why = (
            f"the UID in the precondition ({deletion.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated"
        )
    elif deletion.version and deletion.version != str(entry.version):
        why = (
            f"the ResourceVersion in the precondition ({deletion.version}) does not match the ResourceVersion in "
            f"record ({entry.version}). The object might have been modified"
        )
    else:
        return
    # In the name of the kind, where all other conflicts name the resource.
    what = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details = {"name": entry.key.name, "group": kind.group, "kind": kind.kind}
    raise Refusal(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {what} "{entry.key.name}": {why}',
        {key: value for key, value in details.items() if value},
    )
