"""What this node knows of the cluster, and what follows for each LAN: which nodes may announce which address.

Incremental. The status of an IPAllocation is written at each change of leader and seen by all speakers: it costs one
comparison. A change of one address ranks that one anew, and one of a Service's endpoints the addresses of that Service;
a change of a Node, a speaker's Lease or an L2Advertisement those addresses for which some node now looks different.
Ranking is done in portions (``work``), for ten thousand addresses at once would hold up the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import structlog

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import Lease, Node
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.registration import ANNOTATION, Registration, registration
from lbprovider.election import placement
from lbprovider.election.endpoints import Backends, Endpoints, backends
from lbprovider.election.placement import NodeView, Placement, Screened
from lbprovider.errors import InvalidObject
from lbprovider.ipam.ranges import FAMILIES, Family, family_of
from lbprovider.speaker.endpoints import EndpointBook
from lbprovider.speaker.store import Store

Wishes = Mapping[bytes, tuple[str, ...]]
"""Each address (packed) of a LAN, with the nodes that may announce it, best first."""

Registered = Callable[[str, Registration | None], None]
"""Told a node and what its speaker registers now; None: no longer anything."""

log = structlog.get_logger(__name__)


SLICES: Final = 5
"""So many EndpointSlices are read in the time that one address is ranked in."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What addresses have in common for which all nodes look the same: LAN, pool, and the L2Advertisements for them."""

    segment: str
    pool: str
    advertisements: tuple[str, ...] | None


@dataclass(slots=True)
class _Group:
    """The addresses of one kind."""

    nodes: tuple[NodeView, ...] = ()
    screened: Screened = field(default_factory=lambda: Screened((), {}))
    members: set[str] = field(default_factory=set)
    deserted: bool = False
    """It was said that no node may announce them."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where an address is in ``_wishes``, and whose group it is in."""

    kind: _Kind
    address: bytes


class View:
    """The cluster as the API server tells it.

    Args:
        stale: told that there is something for ``work``; often, so it should only set a timer.
        registered: told of each change in what a speaker registers.
        renewed: told of each Lease that comes, and what is another at each renewal; empty: the Lease is gone.

    ``nodes``, ``leases``, ``advertisements``, ``allocations`` and ``endpoints`` are what reflectors feed.
    """

    def __init__(
        self,
        *,
        stale: Callable[[], None],
        registered: Registered,
        renewed: Callable[[str, str], None],
    ) -> None:
        self._stale = stale
        self._registered = registered
        self._renewed = renewed
        self._nodes: dict[str, Node] = {}
        self._annotations: dict[str, str] = {}
        self._registrations: dict[str, Registration] = {}
        self._advertisements: dict[str, L2Advertisement] = {}
        self._allocations: dict[str, IPAllocation] = {}
        self._held: dict[str, frozenset[str]] = {}
        """The addresses of each Service, by ``namespace/name``; by the names of their IPAllocations."""
        self._groups: dict[_Kind, _Group] = {}
        self._placed: dict[str, _Placed] = {}
        self._wishes: dict[str, dict[bytes, tuple[str, ...]]] = {}
        self._regroup = False
        self._dirty: dict[str, None] = {}
        self._changed: set[str] = set()
        self.nodes = Store[Node](self._put_node, self._drop_node)
        self.leases = Store[Lease](self._put_lease, self._drop_lease)
        self.advertisements = Store[L2Advertisement](self._put_advertisement, self._drop_advertisement)
        self.allocations = Store[IPAllocation](self._put_allocation, self._drop_allocation)
        self.endpoints = EndpointBook(changed=self._endpoints_changed, stale=stale)

    def allocation(self, name: str) -> IPAllocation | None:
        """An IPAllocation as last seen."""
        return self._allocations.get(name)

    def registrations(self) -> Mapping[str, Registration]:
        """What each speaker registers, by node."""
        return self._registrations

    def node(self, name: str) -> Node | None:
        """A Node as last seen."""
        return self._nodes.get(name)

    def nodes_known(self) -> tuple[Node, ...]:
        """All Nodes."""
        return tuple(self._nodes.values())

    def advertisements_known(self) -> tuple[L2Advertisement, ...]:
        """All L2Advertisements."""
        return tuple(self._advertisements.values())

    def allocations_known(self) -> tuple[IPAllocation, ...]:
        """All IPAllocations."""
        return tuple(self._allocations.values())

    def endpoints_known(self) -> Mapping[tuple[str, Family], Endpoints]:
        """Those of the Services that hold an address, by ``namespace/name`` and family."""
        return {
            (service, family): known
            for service in self._held
            for family in FAMILIES
            if (known := self.endpoints.of(service, family))
        }

    def placement(self, name: str) -> Placement:
        """Who may announce an address, and why each other node may not, as of the last ``work``.

        Args:
            name: the IPAllocation's. Empty where nobody should announce it: it has no Services or no LAN, or is gone.
        """
        placed = self._placed.get(name)
        return Placement() if placed is None or name not in self._allocations else self._place(name, placed)

    def wishes(self, segment: str) -> Wishes:
        """What is wished for on a LAN, as a copy."""
        return dict(self._wishes.get(segment, {}))

    def take_changed(self) -> frozenset[str]:
        """The LANs whose wishes have changed since the last call."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def work(self, portion: int) -> bool:
        """Ranks up to ``portion`` addresses; whether some are left."""
        if self.endpoints.work(portion * SLICES):
            return True
        if self._regroup:
            self._regroup = False
            for kind, group in self._groups.items():
                if self._look_at_nodes(kind, group):
                    self._dirty.update(dict.fromkeys(group.members))
        for name in list(self._dirty)[:portion]:
            del self._dirty[name]
            self._rank(name)
        return bool(self._dirty)

    # ---- what reflectors tell

    def _put_node(self, node: Node) -> None:
        before = self._nodes.get(node.metadata.name)
        self._nodes[node.metadata.name] = node
        if before is None or _of_node(before) != _of_node(node):
            self._look_again()

    def _drop_node(self, name: str) -> None:
        if self._nodes.pop(name, None) is not None:
            self._look_again()

    def _put_lease(self, lease: Lease) -> None:
        node, annotation = lease.metadata.name, lease.metadata.annotations.get(ANNOTATION, "")
        if lease.spec.renew_time:  # not from the snapshot
            self._renewed(node, f"{lease.metadata.uid} {lease.spec.renew_time}")
        if self._annotations.get(node) == annotation:  # renewed each 10 s by every speaker
            return
        self._annotations[node] = annotation
        now = registration(lease)
        if now is None:
            self._registrations.pop(node, None)
        else:
            self._registrations[node] = now
        self._registered(node, now)
        self._look_again()

    def _drop_lease(self, node: str) -> None:
        self._renewed(node, "")
        self._annotations.pop(node, None)
        if self._registrations.pop(node, None) is not None:
            self._registered(node, None)
            self._look_again()

    def _put_advertisement(self, advertisement: L2Advertisement) -> None:
        name = advertisement.metadata.name
        before = self._advertisements.get(name)
        self._advertisements[name] = advertisement
        if before is None or (before.spec, before.status.pools) != (advertisement.spec, advertisement.status.pools):
            self._look_again()

    def _drop_advertisement(self, name: str) -> None:
        if self._advertisements.pop(name, None) is not None:
            self._look_again()

    def _put_allocation(self, allocation: IPAllocation) -> None:
        name = allocation.metadata.name
        before = self._allocations.get(name)
        self._allocations[name] = allocation
        if before is None or before.spec != allocation.spec:
            self._hold(name, before, allocation)

    def _drop_allocation(self, name: str) -> None:
        before = self._allocations.pop(name, None)
        if before is not None:
            self._hold(name, before, None)

    def _hold(self, name: str, before: IPAllocation | None, now: IPAllocation | None) -> None:
        """The address is new, gone or another's; those that share a Service with it may have another lot now."""
        self._touch(name)
        if before is not None and now is not None and _shares(before) == _shares(now):
            return
        old, new = _services(before), _services(now)
        for service in old | new:
            holds = self._held.get(service, frozenset())
            for other in holds:
                self._touch(other)
            holds = holds | {name} if service in new else holds - {name}
            if holds:
                self._held[service] = holds
            else:
                self._held.pop(service, None)

    def _endpoints_changed(self, service: str) -> None:
        for name in self._held.get(service, ()):
            self._touch(name)

    # ---- ranking

    def _look_again(self) -> None:
        self._regroup = True
        self._stale()

    def _touch(self, name: str) -> None:
        self._dirty[name] = None
        self._stale()

    def _look_at_nodes(self, kind: _Kind, group: _Group) -> bool:
        """Whether some node looks different."""
        nodes = self._node_views(kind)
        if nodes == group.nodes:
            return False
        before = group.screened
        group.nodes, group.screened = nodes, placement.screen(nodes)
        self._say(kind, before, group)
        return True

    def _node_views(self, kind: _Kind) -> tuple[NodeView, ...]:
        advertisements = placement.among(self._advertisements.values(), kind.pool, kind.advertisements)
        gone = self._registrations.keys() - self._nodes.keys()
        return tuple(
            placement.view(
                node,
                self._registrations.get(name),
                kind.segment,
                advertisements,
            )
            for name, node in sorted(self._nodes.items())
        ) + tuple(
            NodeView(name=name, gone=True, attached=False, advertised=bool(advertisements)) for name in sorted(gone)
        )

    def _say(self, kind: _Kind, before: Screened, group: _Group) -> None:
        """Said loudly when no node is left for a pool on a LAN, and when there is one again.

        Not of a LAN that no speaker has come to yet: that is a matter of waiting.
        """
        where = {"pool": kind.pool, "segment": kind.segment}
        if group.screened.eligible:
            if group.deserted:
                log.info("nodes may announce the addresses of a pool again", reason="Eligible", **where)
            group.deserted = False
        elif not group.deserted and (before.eligible or any(node.attached for node in group.nodes)):
            group.deserted = True
            why = {reason.value: nodes for reason, nodes in placement.counts(group.screened).items()}
            log.warning("no node may announce the addresses of a pool", reason="NobodyEligible", nodes=why, **where)

    def _rank(self, name: str) -> None:
        placed = self._placed.get(name)
        wanted = self._wanted(name)
        if placed is not None and placed != wanted:
            self._unplace(name, placed)
        if wanted is None:
            return
        group = self._groups.get(wanted.kind)
        if group is None:
            group = self._groups[wanted.kind] = _Group()
            self._look_at_nodes(wanted.kind, group)
        group.members.add(name)
        self._placed[name] = wanted
        ranking = self._place(name, wanted).ranking
        wishes = self._wishes.setdefault(wanted.kind.segment, {})
        if wishes.get(wanted.address) != ranking:
            wishes[wanted.address] = ranking
            self._changed.add(wanted.kind.segment)

    def _unplace(self, name: str, placed: _Placed) -> None:
        del self._placed[name]
        group = self._groups[placed.kind]
        group.members.discard(name)
        if not group.members:
            del self._groups[placed.kind]
        del self._wishes[placed.kind.segment][placed.address]
        self._changed.add(placed.kind.segment)

    def _place(self, name: str, placed: _Placed) -> Placement:
        return placement.place(
            placed.address,
            self._groups[placed.kind].screened,
            self._allocations[name].spec.nodes,
            self._backends(self._allocations[name], placed.address),
            self._lot(name, placed),
        )

    def _backends(self, allocation: IPAllocation, address: bytes) -> Backends:
        family = family_of(ip_address(address))
        return backends(
            (claim.external_traffic_policy == "Local", self.endpoints.of(claim.key, family))
            for claim in allocation.spec.services
        )

    def _lot(self, name: str, placed: _Placed) -> bytes:
        """Of the addresses that its Services have on this LAN the lowest, IPv4 first: both families rank alike."""
        lot = placed.address
        for service in _services(self._allocations[name]):
            for other in self._held.get(service, ()):
                if other != name and self._allocations[other].spec.segment == placed.kind.segment:
                    lot = min(lot, _packed(other) or lot, key=lambda packed: (len(packed), packed))
        return lot

    def _wanted(self, name: str) -> _Placed | None:
        """Where the address is announced; None where nobody should: no such, no Services any more, no LAN that fits.

        The name is what the API server keeps unique, so it says which address it is.
        """
        allocation = self._allocations.get(name)
        if allocation is None or not allocation.spec.services or not allocation.spec.segment:
            return None
        address = _packed(name)
        if not address:
            return None
        spec = allocation.spec
        return _Placed(_Kind(spec.segment, spec.pool, spec.advertisements), address)


def _services(allocation: IPAllocation | None) -> frozenset[str]:
    return frozenset() if allocation is None else frozenset(claim.key for claim in allocation.spec.services)


def _shares(allocation: IPAllocation) -> tuple[str, frozenset[str]]:
    """What other addresses see of it."""
    return allocation.spec.segment, _services(allocation)


@lru_cache(maxsize=16384)
def _packed(name: str) -> bytes:
    """The address that an IPAllocation is named after; empty where the name is none's."""
    try:
        return names.address_of(name).packed
    except InvalidObject as error:
        log.warning(str(error), reason="InvalidAllocation")
        return b""


def _of_node(node: Node) -> tuple[object, ...]:
    """What placement looks at; a Node's status changes every few minutes for other reasons."""
    return (
        node.metadata.labels,
        names.DRAIN_ANNOTATION in node.metadata.annotations,
        node.spec.taints,
        node.condition("Ready"),
        node.condition("NetworkUnavailable"),
    )
