"""``ports.Api`` in memory: what controller and speaker tests talk to in place of a server.

As a real one: resourceVersions grow over all kinds, uid and creation are set, updates compare and swap, the status
subresource is apart, an unchanged write makes no event, a watch from a forgotten version is Gone, DELETED comes for
objects that leave a selector. ``write`` and ``remove`` are other clients; ``faults`` what goes wrong next.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from lbprovider.api.core import LoadBalancerStatus, Service, ServiceStatus
from lbprovider.api.managed import ManagedFields, ManagedMeta, ManagedService
from lbprovider.api.meta import Object, to_builtins
from lbprovider.api.resources import SERVICES, Resource
from lbprovider.errors import ClusterError, Conflict, Gone, InvalidObject, NotFound, Unreachable
from lbprovider.kube.ports import Bookmark, Changed, Deleted, Listed, Unreadable, WatchEvent

T = TypeVar("T", bound=Object)
Key = tuple[str, str]  # namespace, name

NOW = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Call:
    """One request, as tests count them."""

    verb: str
    plural: str
    name: str = ""
    namespace: str = ""
    subresource: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class FakeApi:
    """The server. ``fault`` is asked before each request; what it returns is raised.

    Args:
        fault: an error for this call, or None.
        latency: seconds each request takes before it is looked at (use a virtual-time loop).
        manager: the field manager of whoever makes requests; ``write`` is for others. Empty: no managed fields at all.
    """

    fault: Callable[[Call], ClusterError | None] = lambda _call: None
    latency: float = 0.0
    manager: str = "lbprovider-controller"
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.garbled: set[str] = set()
        """Keys of objects, of whatever kind, that nobody can decode."""
        self._version = 100
        self._oldest = self._version
        self._uid = 0
        self._objects: dict[str, dict[Key, Object]] = defaultdict(dict)
        self._history: list[_Entry] = []
        # In order, not by their addresses in memory: what a test sees must come out the same each time.
        self._watchers: dict[asyncio.Event, None] = {}
        self._cut = 0
        self._managers: dict[Key, dict[str, str]] = defaultdict(dict)

    # What other clients do, and what goes wrong.

    def write(self, resource: Resource[T], obj: T, *, manager: str = "kubectl-edit") -> T:
        """Creates or replaces an object whole, status too, whatever its resourceVersion."""
        return self._store(resource, obj, manager)

    def remove(self, resource: Resource[Any], name: str, namespace: str = "") -> None:
        obj = self._objects[str(resource)].pop((namespace, name))
        if resource is SERVICES:
            self._managers.pop((namespace, name), None)
        self._remember(resource, obj, None)

    def objects(self, resource: Resource[T]) -> dict[str, T]:
        """All objects by key (``namespace/name`` or ``name``)."""
        return {obj.key: _typed(resource, obj) for obj in self._objects[str(resource)].values()}

    def forget(self) -> None:
        """Compacts: watches from any earlier version are Gone."""
        self._oldest = self._version

    def cut(self) -> None:
        """Breaks every watch that is open."""
        self._cut += 1
        self._wake()

    # ports.Api

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        await self._asked(Call("get", resource.plural, name, namespace))
        if (current := self._current(resource, namespace, name)).key in self.garbled:
            raise InvalidObject(f"{resource.kind} {current.key}", "can't be read")
        if resource.type is ManagedService:
            return _typed(resource, self._managed(namespace, name))
        return current

    async def list(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listed[T]:
        await self._asked(Call("list", resource.plural, namespace=namespace))
        chosen = _selected(namespace, label_selector, field_selector)
        found = sorted((o for o in self._objects[str(resource)].values() if chosen(o)), key=lambda o: o.key)
        read = tuple(_typed(resource, o) for o in found if o.key not in self.garbled)
        return Listed(read, str(self._version), tuple(_garbled(resource, o) for o in found if o.key in self.garbled))

    async def watch(
        self,
        resource: Resource[T],
        resource_version: str,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent[T], None]:
        await self._asked(Call("watch", resource.plural, namespace=namespace))
        version, cuts = int(resource_version), self._cut
        chosen = _selected(namespace, label_selector, field_selector)
        happened = asyncio.Event()
        self._watchers[happened] = None
        try:
            yield Bookmark(resource_version)
            if version < self._oldest:
                raise Gone(f"too old resource version: {version} ({self._oldest})", status=410, reason="Expired")
            at = 0
            while True:
                while at < len(self._history):
                    entry = self._history[at]
                    at += 1
                    event = _event(resource, entry, chosen) if entry.version > version else None
                    if isinstance(event, Changed) and event.object.key in self.garbled:
                        yield _garbled(resource, event.object)
                    elif event is not None:
                        yield event
                happened.clear()
                await happened.wait()
                if self._cut != cuts:
                    raise Unreachable("the fake cut the watch")
        finally:
            del self._watchers[happened]

    async def create(self, resource: Resource[T], obj: T) -> T:
        meta = obj.metadata
        await self._asked(Call("create", resource.plural, meta.name, meta.namespace))
        if (meta.namespace, meta.name) in self._objects[str(resource)]:
            raise Conflict(f'{resource} "{meta.name}" already exists', status=409, reason="AlreadyExists")
        return self._store(resource, _without_status(obj))

    async def replace(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        meta = obj.metadata
        if not meta.resource_version or not meta.uid:
            raise ValueError(f"{resource.kind} {obj.key} has no resourceVersion or uid to be swapped by")
        await self._asked(Call("update", resource.plural, meta.name, meta.namespace, subresource))
        old = self._current(resource, meta.namespace, meta.name)
        _preconditions(resource, old, meta.uid, meta.resource_version)
        return self._store(resource, _part(old, obj, subresource))

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        strategic: bool = False,
    ) -> T:
        await self._asked(Call("patch", resource.plural, name, namespace, subresource, body))
        old = self._current(resource, namespace, name)
        given = body.get("metadata", {})
        _preconditions(resource, old, given.get("uid", ""), given.get("resourceVersion", ""))
        merged = msgspec.convert(_merged(to_builtins(old), body, strategic=strategic), resource.type)
        return self._store(resource, _part(old, merged, subresource))

    async def delete(
        self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "", resource_version: str = ""
    ) -> None:
        await self._asked(Call("delete", resource.plural, name, namespace))
        old = self._current(resource, namespace, name)
        _preconditions(resource, old, uid, resource_version)
        if old.metadata.finalizers:
            self._store(resource, _with_metadata(old, deletion_timestamp=NOW))
        else:
            self.remove(resource, name, namespace)

    # Inside.

    async def _asked(self, call: Call) -> None:
        self.calls.append(call)
        if self.latency:
            await asyncio.sleep(self.latency)
        error = self.fault(call)
        if error is not None:
            raise error

    def _current(self, resource: Resource[T], namespace: str, name: str) -> T:
        try:
            return _typed(resource, self._objects[str(resource)][namespace, name])
        except KeyError:
            raise NotFound(f'{resource} "{name}" not found', status=404, reason="NotFound") from None

    def _managed(self, namespace: str, name: str) -> ManagedService:
        """As ``managedFields`` are: a part of the status is theirs who changed it last, while it is there."""
        service = self._current(SERVICES, namespace, name)
        parts: dict[str, dict[str, Any]] = defaultdict(dict)
        for part, manager in self._managers[namespace, name].items():
            parts[manager] |= {part: {"f:ingress": {}}} if part == "f:loadBalancer" else {part: {}}
        fields = [
            ManagedFields(manager=manager, subresource="status", time=NOW, fields_v1={"f:status": owned})
            for manager, owned in parts.items()
        ]
        if self.manager:
            fields.append(ManagedFields(manager="kubectl-create", time=NOW, fields_v1={"f:spec": {}}))
        meta = ManagedMeta(**msgspec.structs.asdict(service.metadata), managed_fields=tuple(fields))
        return ManagedService(metadata=meta, spec=service.spec, status=service.status)

    def _manage(self, key: Key, old: Object | None, new: Object, manager: str) -> None:
        if not isinstance(new, Service) or not self.manager:
            return
        before, now = old.status if isinstance(old, Service) else ServiceStatus(), new.status
        managers = self._managers[key]
        for part, was, has in (
            ("f:loadBalancer", before.load_balancer.ingress, now.load_balancer.ingress),
            ("f:conditions", before.conditions, now.conditions),
        ):
            if not has:
                managers.pop(part, None)
            elif was != has:
                managers[part] = manager

    def _store(self, resource: Resource[T], obj: T, manager: str = "") -> T:
        key = (obj.metadata.namespace, obj.metadata.name)
        old = self._objects[str(resource)].get(key)
        if isinstance(obj, Service):
            obj = _typed(resource, _with_ip_mode(obj))
        if old is None:
            self._uid += 1
            uid = obj.metadata.uid or f"uid-{self._uid}"
            obj = _with_metadata(obj, uid=uid, creation_timestamp=obj.metadata.creation_timestamp or NOW, generation=1)
        else:
            same_spec = getattr(old, "spec", None) == getattr(obj, "spec", None)
            kept = old.metadata
            obj = _with_metadata(
                obj,
                uid=kept.uid,
                creation_timestamp=kept.creation_timestamp,
                generation=kept.generation + (0 if same_spec else 1),
                resource_version=kept.resource_version,
            )
            if obj == old:
                return obj
            if obj.metadata.deletion_timestamp and not obj.metadata.finalizers:
                self.remove(resource, obj.metadata.name, obj.metadata.namespace)
                return obj
        obj = _with_metadata(obj, resource_version=str(self._version + 1))
        self._objects[str(resource)][key] = obj
        self._manage(key, old, obj, manager or self.manager)
        self._remember(resource, old, obj)
        return obj

    def _remember(self, resource: Resource[Any], before: Object | None, after: Object | None) -> None:
        self._version += 1
        self._history.append(_Entry(self._version, resource.plural, str(resource), before, after))
        self._wake()

    def _wake(self) -> None:
        for happened in self._watchers:
            happened.set()


@dataclass(frozen=True)
class _Entry:
    version: int
    plural: str
    kind: str
    before: Object | None
    after: Object | None


def _event(resource: Resource[T], entry: _Entry, chosen: Callable[[Object], bool]) -> WatchEvent[T] | None:
    if entry.kind != str(resource):
        return None
    if entry.after is not None and chosen(entry.after):
        return Changed(_typed(resource, entry.after))
    if entry.before is not None and chosen(entry.before):
        return Deleted(_with_metadata(Object(metadata=entry.before.metadata), resource_version=str(entry.version)))
    return None


def _garbled(resource: Resource[Any], obj: Object) -> Unreadable:
    return Unreadable(resource.kind, obj.metadata, "Invalid enum value")


def _typed(resource: Resource[T], obj: Object) -> T:
    """As that resource is decoded: one that reads less of a kind than another gets less."""
    return obj if isinstance(obj, resource.type) else msgspec.convert(to_builtins(obj), resource.type)


def _with_metadata(obj: T, **changes: Any) -> T:
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, **changes))


def _part(old: T, new: T, subresource: str) -> T:
    """What a write to the object, or to its status alone, may change."""
    if not hasattr(old, "status"):
        return new
    kept, taken = (new, old) if not subresource else (old, new)
    return msgspec.structs.replace(kept, status=getattr(taken, "status"))  # noqa: B009  (not every kind has one)


def _without_status(obj: T) -> T:
    """As after a creation: the status of what a client sends is ignored."""
    default = {field.name: field.default for field in msgspec.structs.fields(obj) if field.name == "status"}
    return msgspec.structs.replace(obj, **default)


def _preconditions(resource: Resource[Any], old: Object, uid: str, version: str) -> None:
    for given, actual, what in ((uid, old.metadata.uid, "uid"), (version, old.metadata.resource_version, "version")):
        if given and given != actual:
            raise Conflict(f'{resource} "{old.metadata.name}": {what} is {actual}', status=409, reason="Conflict")


def _with_ip_mode(service: Service) -> Service:
    ingress = tuple(
        msgspec.structs.replace(entry, ip_mode=entry.ip_mode or "VIP") if entry.ip else entry
        for entry in service.status.load_balancer.ingress
    )
    status = msgspec.structs.replace(service.status, load_balancer=LoadBalancerStatus(ingress=ingress))
    return msgspec.structs.replace(service, status=status)


def _all_have(key: str, patch: Any) -> bool:
    return isinstance(patch, list) and all(isinstance(entry, Mapping) and key in entry for entry in patch)


def _merged(old: Any, patch: Any, *, strategic: bool) -> Any:
    """RFC 7396; strategic: lists merge by the type of their entries, as conditions do, or by their name."""
    if not isinstance(patch, Mapping):
        key = next((key for key in ("type", "name") if _all_have(key, patch)), None)
        if not (strategic and key is not None and isinstance(old, list | tuple)):
            return patch
        entries = {entry[key]: entry for entry in old}
        for entry in patch:
            if entry.get("$patch") == "delete":
                entries.pop(entry[key], None)
                continue
            entries[entry[key]] = _merged(entries.get(entry[key]), entry, strategic=strategic)
        return list(entries.values())
    result = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value, strategic=strategic)
    return result


def _selected(namespace: str, label_selector: str, field_selector: str) -> Callable[[Object], bool]:
    """``key``, ``!key``, ``key=value`` and ``metadata.name=value``, with commas; what our programs use."""
    labels = [term.partition("=") for term in label_selector.split(",") if term]
    fields = dict(term.split("=", 1) for term in field_selector.split(",") if term)

    def chosen(obj: Object) -> bool:
        meta = obj.metadata
        return (
            namespace in ("", meta.namespace)
            and all(_fits(meta.labels, *term) for term in labels)
            and fields.get("metadata.name", meta.name) == meta.name
        )

    return chosen


def _fits(labels: Mapping[str, str], key: str, equals: str, value: str) -> bool:
    if key.startswith("!"):
        return key[1:] not in labels
    return key in labels and (not equals or labels[key] == value)
