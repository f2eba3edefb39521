"""From which nodes a Service can be served: its EndpointSlices, as placement sees them. Pure; SEMANTICS 1, KEP-1669."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lbprovider.api.core import Endpoint, EndpointConditions, EndpointSlice
from lbprovider.api.meta import ObjectMeta

UNKNOWN: Final = ""
"""Stands for the node of an endpoint that names none."""

_NONE: Final[frozenset[str]] = frozenset()
_READY: Final = EndpointConditions(ready=True)
_LEAVING: Final = EndpointConditions(ready=False, serving=True)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The nodes of a Service's endpoints that can serve, ``UNKNOWN`` for those that name none.

    Args:
        ready: those of endpoints that are ready.
        leaving: those of endpoints that are no longer ready and serve yet: they terminate.
    """

    ready: frozenset[str] = _NONE
    leaving: frozenset[str] = _NONE

    def __bool__(self) -> bool:
        """Whether one can serve, anywhere."""
        return bool(self.ready or self.leaving)

    def __or__(self, other: Endpoints) -> Endpoints:
        return Endpoints(_shared(self.ready | other.ready), _shared(self.leaving | other.leaving))


NOBODY: Final = Endpoints()


def of_slice(one: EndpointSlice) -> Endpoints:
    """What one slice says; those of a Service are one set (``|``) for each family.

    An endpoint whose ``ready`` is unset is ready, and a ready one counts whatever its ``serving`` says.
    """
    ready: set[str] = set()
    leaving: set[str] = set()
    for endpoint in one.endpoints or ():
        conditions = endpoint.conditions
        if conditions.ready is None or conditions.ready:
            ready.add(endpoint.node_name or UNKNOWN)
        elif conditions.serving:
            leaving.add(endpoint.node_name or UNKNOWN)
    if not ready and not leaving:
        return NOBODY
    return Endpoints(_shared(frozenset(ready)), _shared(frozenset(leaving)))


def as_slice(metadata: ObjectMeta, family: str, known: Endpoints) -> EndpointSlice:
    """A slice that comes to the same: one endpoint for each node and state."""
    return EndpointSlice(
        metadata=metadata,
        address_type=family,
        endpoints=tuple(
            Endpoint(node_name=node or None, conditions=conditions)
            for conditions, nodes in ((_READY, known.ready), (_LEAVING, known.leaving))
            for node in sorted(nodes)
        ),
    )


@lru_cache(maxsize=4096)
def _shared(nodes: frozenset[str]) -> frozenset[str]:
    """The same set once: ten thousand slices are on a few nodes."""
    return nodes


@dataclass(frozen=True, slots=True)
class Backends:
    """From which nodes an address can be served, all of its Services together.

    Args:
        exist: an endpoint can serve, anywhere.
        anywhere: whatever node the traffic arrives at, it gets to one.
        ready: else, the nodes with a ready endpoint of their own (``UNKNOWN`` is no node's name),
        leaving: and those with one that terminates and serves yet.
    """

    exist: bool = True
    anywhere: bool = True
    ready: frozenset[str] = _NONE
    leaving: frozenset[str] = _NONE


ANYWHERE: Final = Backends()
NOWHERE: Final = Backends(exist=False, anywhere=False)


def backends(services: Iterable[tuple[bool, Endpoints]]) -> Backends:
    """What the Services of an address have.

    One that has an endpoint is enough: Services that share an address under policy Local have the same ones, for they
    have the same selector (SEMANTICS "Sharing"), and under policy Cluster each would be reached from any node.

    Args:
        services: of each, whether its ``externalTrafficPolicy`` is Local, and its endpoints.
    """
    ready, leaving, exist = _NONE, _NONE, False
    for local, endpoints in services:
        if not endpoints:
            continue
        if not local:
            return ANYWHERE
        exist, ready, leaving = True, ready | endpoints.ready, leaving | endpoints.leaving
    if not exist:
        return NOWHERE
    return Backends(exist=True, anywhere=False, ready=ready, leaving=leaving)
