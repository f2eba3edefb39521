"""Where the endpoints of each Service are: a reflector's sink for the EndpointSlices of the whole cluster.

There may be ten thousand of them, a few hundred of which matter: those of Services that hold an address. So little is
kept of each (two sets of node names), a list is taken in by portions, and nobody is told of a change that comes to the
same: that a Pod has another address, that one more is ready on a node that has one, that a Service has more slices.

Each family is for itself, as it is for kube-proxy: what arrives for an IPv4 address goes to IPv4 endpoints only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from lbprovider.api import names
from lbprovider.api.core import EndpointSlice
from lbprovider.api.meta import Object
from lbprovider.election.endpoints import NOBODY, Endpoints, of_slice
from lbprovider.kube.ports import Unreadable

_Of = tuple[str, str]
"""A Service (``namespace/name``) and a family."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one slice says, and of what."""

    of: _Of
    endpoints: Endpoints


class EndpointBook:
    """What there is of endpoints.

    Args:
        changed: told the ``namespace/name`` of a Service whose endpoints come to something else than before.
        stale: told that a list came, and there is something for ``work``.
    """

    def __init__(self, *, changed: Callable[[str], None], stale: Callable[[], None]) -> None:
        self._changed = changed
        self._stale = stale
        self._parts: dict[str, _Part] = {}
        self._slices: dict[_Of, tuple[str, ...]] = {}
        self._services: dict[_Of, Endpoints] = {}
        self._unread: dict[str, EndpointSlice | None] = {}

    def of(self, service: str, family: str) -> Endpoints:
        """The endpoints of one family (``IPv4``, ``IPv6``) of a Service, by its ``namespace/name``."""
        return self._services.get((service, family), NOBODY)

    # ---- a sink

    def replaced(self, objects: Sequence[EndpointSlice], unreadable: Sequence[Unreadable]) -> None:
        there = {one.key for one in unreadable}
        # One whose very name can't be read could be any that is missing.
        gone = () if "" in there else self._parts.keys() | self._unread.keys()
        listed: dict[str, EndpointSlice | None] = {one.key: one for one in objects}
        self._unread = {**{key: None for key in gone if key not in there}, **listed}
        self._stale()

    def changed(self, obj: EndpointSlice) -> None:
        self._unread.pop(obj.key, None)
        self._take(obj.key, obj)

    def deleted(self, obj: Object) -> None:
        self._unread.pop(obj.key, None)
        self._take(obj.key, None)

    def unreadable(self, unreadable: Unreadable) -> None:
        """Keeps what was known; the reflector has said so."""

    # ---- what it comes to

    def work(self, portion: int) -> bool:
        """Reads up to ``portion`` slices of a list; whether some are left."""
        for key in list(self._unread)[:portion]:
            self._take(key, self._unread.pop(key))
        return bool(self._unread)

    def _take(self, key: str, one: EndpointSlice | None) -> None:
        before, now = self._parts.get(key), _part(one)
        if before == now:
            return
        if now is None:
            del self._parts[key]
        else:
            self._parts[key] = now
        for of in {part.of for part in (before, now) if part is not None}:
            others = tuple(name for name in self._slices.get(of, ()) if name != key)
            mine = (key,) if now is not None and now.of == of else ()
            self._merge(of, (*others, *mine))

    def _merge(self, of: _Of, slices: tuple[str, ...]) -> None:
        endpoints = reduce(or_, (self._parts[name].endpoints for name in slices), NOBODY)
        if slices:
            self._slices[of] = slices
        else:
            self._slices.pop(of, None)
        if endpoints == self.of(*of):
            return
        if endpoints:
            self._services[of] = endpoints
        else:
            del self._services[of]
        self._changed(of[0])


def _part(one: EndpointSlice | None) -> _Part | None:
    """None: none, or one that belongs to no Service."""
    service = "" if one is None else one.metadata.labels.get(names.SERVICE_LABEL, "")
    if one is None or not service:
        return None
    return _Part((f"{one.metadata.namespace}/{service}", one.address_type), of_slice(one))
