"""What this node knows of the cluster, and what follows for each LAN: which nodes may announce which address.

Incremental. The status of an IPAllocation is written at each change of leader and seen by all speakers: it costs one
comparison. A change of one address ranks that one anew; a change of a Node, a speaker's Lease or an L2Advertisement
those addresses for which some node now looks different. Ranking is done in portions (``work``), for ten thousand
addresses at once would hold up the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import Lease, Node
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.registration import ANNOTATION, Registration, registration
from lbprovider.election import placement
from lbprovider.election.placement import NodeView
from lbprovider.errors import InvalidObject
from lbprovider.speaker.store import Store

Wishes = Mapping[bytes, tuple[str, ...]]
"""Each address (packed) of a LAN, with the nodes that may announce it, best first."""

Registered = Callable[[str, Registration | None], None]
"""Told a node and what its speaker registers now; None: no longer anything."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Group:
    """The addresses of one pool on one LAN: for all of them the nodes look the same."""

    nodes: tuple[NodeView, ...] | None = None
    members: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where an address is in ``_wishes``, and whose group it is in."""

    segment: str
    pool: str
    address: bytes


class View:
    """The cluster as the API server tells it.

    Args:
        stale: told that there is something for ``work``; often, so it should only set a timer.
        registered: told of each change in what a speaker registers.
        heed_exclude_label: False where the admin chose to ignore it.

    ``nodes``, ``leases``, ``advertisements`` and ``allocations`` are what reflectors feed.
    """

    def __init__(self, *, stale: Callable[[], None], registered: Registered, heed_exclude_label: bool = True) -> None:
        self._stale = stale
        self._registered = registered
        self._heed_exclude_label = heed_exclude_label
        self._nodes: dict[str, Node] = {}
        self._annotations: dict[str, str] = {}
        self._registrations: dict[str, Registration] = {}
        self._advertisements: dict[str, L2Advertisement] = {}
        self._allocations: dict[str, IPAllocation] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._placed: dict[str, _Placed] = {}
        self._wishes: dict[str, dict[bytes, tuple[str, ...]]] = {}
        self._regroup = False
        self._dirty: dict[str, None] = {}
        self._changed: set[str] = set()
        self.nodes = Store[Node](self._put_node, self._drop_node)
        self.leases = Store[Lease](self._put_lease, self._drop_lease)
        self.advertisements = Store[L2Advertisement](self._put_advertisement, self._drop_advertisement)
        self.allocations = Store[IPAllocation](self._put_allocation, self._drop_allocation)

    def allocation(self, name: str) -> IPAllocation | None:
        """An IPAllocation as last seen."""
        return self._allocations.get(name)

    def registrations(self) -> Mapping[str, Registration]:
        """What each speaker registers, by node."""
        return self._registrations

    def nodes_known(self) -> tuple[Node, ...]:
        """All Nodes."""
        return tuple(self._nodes.values())

    def advertisements_known(self) -> tuple[L2Advertisement, ...]:
        """All L2Advertisements."""
        return tuple(self._advertisements.values())

    def allocations_known(self) -> tuple[IPAllocation, ...]:
        """All IPAllocations."""
        return tuple(self._allocations.values())

    def wishes(self, segment: str) -> Wishes:
        """What is wished for on a LAN, as a copy."""
        return dict(self._wishes.get(segment, {}))

    def take_changed(self) -> frozenset[str]:
        """The LANs whose wishes have changed since the last call."""
        changed, self._changed = frozenset(self._changed), set()
        return changed

    def work(self, portion: int) -> bool:
        """Ranks up to ``portion`` addresses; whether some are left."""
        if self._regroup:
            self._regroup = False
            self._look_at_nodes(self._groups)
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
            self._touch(name)

    def _drop_allocation(self, name: str) -> None:
        if self._allocations.pop(name, None) is not None:
            self._touch(name)

    # ---- ranking

    def _look_again(self) -> None:
        self._regroup = True
        self._stale()

    def _touch(self, name: str) -> None:
        self._dirty[name] = None
        self._stale()

    def _look_at_nodes(self, groups: Iterable[tuple[str, str]]) -> None:
        for segment, pool in groups:
            group = self._groups[segment, pool]
            nodes = self._node_views(segment, pool)
            if nodes != group.nodes:
                group.nodes = nodes
                self._dirty.update(dict.fromkeys(group.members))

    def _node_views(self, segment: str, pool: str) -> tuple[NodeView, ...]:
        advertisements = placement.applying(self._advertisements.values(), pool, ())
        return tuple(
            placement.view(
                node,
                self._registrations.get(name),
                segment,
                advertisements,
                heed_exclude_label=self._heed_exclude_label,
            )
            for name, node in sorted(self._nodes.items())
        )

    def _rank(self, name: str) -> None:
        placed = self._placed.get(name)
        wanted = self._place(name)
        if placed is not None and placed != wanted:
            self._unplace(name, placed)
        if wanted is None:
            return
        group = self._groups.setdefault((wanted.segment, wanted.pool), _Group())
        group.members.add(name)
        self._placed[name] = wanted
        if group.nodes is None:
            group.nodes = self._node_views(wanted.segment, wanted.pool)
        ranking = placement.place(wanted.address, group.nodes, self._allocations[name].spec.nodes).ranking
        wishes = self._wishes.setdefault(wanted.segment, {})
        if wishes.get(wanted.address) != ranking:
            wishes[wanted.address] = ranking
            self._changed.add(wanted.segment)

    def _unplace(self, name: str, placed: _Placed) -> None:
        del self._placed[name]
        group = self._groups[placed.segment, placed.pool]
        group.members.discard(name)
        if not group.members:
            del self._groups[placed.segment, placed.pool]
        del self._wishes[placed.segment][placed.address]
        self._changed.add(placed.segment)

    def _place(self, name: str) -> _Placed | None:
        """Where the address is announced; None where nobody should: no such, no Services any more, no LAN that fits.

        The name is what the API server keeps unique, so it says which address it is.
        """
        allocation = self._allocations.get(name)
        if allocation is None or not allocation.spec.services or not allocation.spec.segment:
            return None
        try:
            address = names.address_of(name)
        except InvalidObject as error:
            log.warning(str(error), reason="InvalidAllocation")
            return None
        return _Placed(allocation.spec.segment, allocation.spec.pool, address.packed)


def _of_node(node: Node) -> tuple[object, ...]:
    """What placement looks at; a Node's status changes every few minutes for other reasons."""
    return node.metadata.labels, node.spec.taints, node.condition("Ready"), node.condition("NetworkUnavailable")
