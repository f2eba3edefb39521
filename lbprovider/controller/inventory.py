"""What the controller knows of the cluster: one store a kind, fed by watches, by sweeps and by our own writes.

These arrive in any order: a watch may tell of a state that our own write has already replaced, and a list may have been
made before a deletion that we saw. The order is that of the resourceVersions, which the API server promises to be
decimal numbers that grow (KEP-5504; they always were).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import msgspec
import structlog

from lbprovider.api import resources
from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import Lease, Namespace, Node, Service
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.api.resources import Resource
from lbprovider.api.segment import Segment
from lbprovider.deciding.known import Known
from lbprovider.kube.ports import Listed, Unreadable

T = TypeVar("T", bound=Object)

MAX_TOMBSTONES: Final = 65_536
"""Deletions remembered a kind until the next sweep; each is two short strings."""

log = structlog.get_logger(__name__)


def older(version: str, than: str) -> bool:
    """Whether one resourceVersion is before another of the same kind; unlike ones are not: what came last counts."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


def _after(version: str, than: str) -> bool:
    return version != than and not older(version, than)


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """One object before and after; ``old`` is None for a new one, ``new`` for one that is gone.

    Both are None where one is gone that could never be read.
    """

    key: str
    old: T | None
    new: T | None


class Store(Generic[T]):
    """All objects of one kind, by key; a ``kube.ports.Sink``.

    An object that can't be decoded keeps counting as it was last read, and is said once.

    Args:
        resource: the kind.
    """

    def __init__(self, resource: Resource[T]) -> None:
        self.resource = resource
        self._objects: dict[str, T] = {}
        self.objects: Mapping[str, T] = MappingProxyType(self._objects)
        self._tombstones: dict[str, str] = {}
        self._unreadable: dict[str, Unreadable] = {}
        self.unreadables: Mapping[str, Unreadable] = MappingProxyType(self._unreadable)
        self._listeners: list[Callable[[Change[T]], None]] = []
        self._newest = ""
        self.swept_at = ""
        """The resourceVersion of our own last list: what is not here by then is not there, or is younger."""

    def subscribe(self, listener: Callable[[Change[T]], None]) -> None:
        """Calls ``listener`` after each change of what we decode; it must not block."""
        self._listeners.append(listener)

    @property
    def newest(self) -> str:
        """The highest resourceVersion seen; a list that is made later and tells a lower one is of a restored server."""
        return self._newest

    def changed(self, obj: T) -> None:
        version = obj.metadata.resource_version
        old = self._objects.get(obj.key)
        buried = self._tombstones.get(obj.key)
        if buried is not None and not _after(version, buried):
            return
        if old is not None and older(version, old.metadata.resource_version):
            return
        self._put(obj.key, old, obj)

    def deleted(self, obj: Object) -> None:
        old = self._objects.get(obj.key)
        version = obj.metadata.resource_version
        if old is not None and older(version, old.metadata.resource_version):
            return
        self._bury(obj.key, version)

    def unreadable(self, unreadable: Unreadable) -> None:
        before = self._unreadable.get(unreadable.key)
        self._unreadable[unreadable.key] = unreadable
        if before is None or before.problem != unreadable.problem:
            log.warning("an object can't be read", problem=str(unreadable))

    def replaced(self, objects: Sequence[T], unreadable: Sequence[Unreadable]) -> None:
        """All that there is, as a reflector listed it."""
        self._settle(objects, unreadable)

    def swept(self, listed: Listed[T], *, newest: str) -> int:
        """Takes a list of our own as the truth; returns how many objects had vanished unseen.

        Args:
            listed: what there is.
            newest: ``Store.newest`` as it was when the list was asked for.
        """
        at = self.swept_at = listed.resource_version
        if older(at, newest):
            log.warning(
                "the API server went back in time: restored from a backup?",
                kind=self.resource.kind, seen=newest, now=at,
            )  # fmt: skip
            self._tombstones.clear()
            self._newest = ""
            for obj in listed.objects:
                self._put(obj.key, self._objects.get(obj.key), obj)
            return self._settle(listed.objects, listed.unreadable)
        vanished = self._settle(listed.objects, listed.unreadable, at)
        for key in [key for key, version in self._tombstones.items() if older(version, at)]:
            del self._tombstones[key]
        return vanished

    def _settle(self, objects: Iterable[T], unreadable: Sequence[Unreadable], at: str = "") -> int:
        there = {one.key for one in unreadable}
        for obj in objects:
            there.add(obj.key)
            self.changed(obj)
        for one in unreadable:
            self.unreadable(one)
        # What is newer than the list was made after it.
        vanished = [
            (key, obj.metadata.resource_version)
            for key, obj in self._objects.items()
            if key not in there and not (at and older(at, obj.metadata.resource_version))
        ]
        for key, version in vanished:
            self._bury(key, at or version)
        return len(vanished)

    def _put(self, key: str, old: T | None, new: T) -> None:
        self._objects[key] = new
        self._unreadable.pop(key, None)
        self._saw(new.metadata.resource_version)
        if old is None or _without_version(old) != _without_version(new):
            self._tell(Change(key, old, new))

    def _bury(self, key: str, version: str) -> None:
        self._saw(version)
        unread = self._unreadable.pop(key, None)
        if len(self._tombstones) >= MAX_TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]
        self._tombstones[key] = version
        old = self._objects.pop(key, None)
        if old is not None or unread is not None:
            self._tell(Change(key, old, None))

    def _saw(self, version: str) -> None:
        if not self._newest or older(self._newest, version):
            self._newest = version

    def _tell(self, change: Change[T]) -> None:
        for listener in self._listeners:
            listener(change)


def _without_version(obj: T) -> T:
    meta: ObjectMeta = msgspec.structs.replace(obj.metadata, resource_version="")
    return msgspec.structs.replace(obj, metadata=meta)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything, by kind. Its objects are frozen, and its mappings live: read them, then decide, without waiting."""

    services: Store[Service] = field(default_factory=lambda: Store(resources.SERVICES))
    namespaces: Store[Namespace] = field(default_factory=lambda: Store(resources.NAMESPACES))
    nodes: Store[Node] = field(default_factory=lambda: Store(resources.NODES))
    pools: Store[IPAddressPool] = field(default_factory=lambda: Store(resources.POOLS))
    advertisements: Store[L2Advertisement] = field(default_factory=lambda: Store(resources.ADVERTISEMENTS))
    leases: Store[Lease] = field(default_factory=lambda: Store(resources.LEASES))
    segments: Store[Segment] = field(default_factory=lambda: Store(resources.SEGMENTS))
    allocations: Store[IPAllocation] = field(default_factory=lambda: Store(resources.ALLOCATIONS))

    @property
    def known(self) -> Known:
        """What decisions are made on."""
        return Known(
            services=self.services.objects,
            namespaces=self.namespaces.objects,
            nodes=self.nodes.objects,
            pools=self.pools.objects,
            advertisements=self.advertisements.objects,
        )
