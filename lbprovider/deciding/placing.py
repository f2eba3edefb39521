"""Where an address is announced: ``segment`` (LAN), ``advertisements`` and ``nodes`` of its IPAllocation's spec.

An even spread with preferences first: the eligible nodes that are the first choice of the fewest addresses, as it is
when the address is given. It never changes for a live address unless all of its nodes are gone: moving an address costs
its connections. Left empty, rendezvous hashing spreads too (``election.placement``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final, Protocol

import msgspec

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec
from lbprovider.api.registration import Registration
from lbprovider.deciding.known import Known
from lbprovider.election import placement
from lbprovider.election.placement import NodeView

PREFERRED: Final = 3
"""Nodes written into an IPAllocation: the owner to be, and two that follow it."""


class Lans(Protocol):
    """Who announces from where."""

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """What the speakers registered, by node."""
        ...

    def arriving(self) -> bool:
        """Whether speakers are coming and going just now."""
        ...

    def on(self, segment: str) -> frozenset[str]:
        """The nodes with a speaker on that LAN."""
        ...


class Placing:
    """Places addresses.

    Args:
        known: what is known of the cluster.
        lans: who registered.
        advertisements: with the pools that they come to.
        loads: of how many addresses each node is the first choice.
    """

    def __init__(
        self,
        known: Known,
        lans: Lans,
        advertisements: Callable[[], tuple[L2Advertisement, ...]],
        loads: Mapping[str, int],
    ) -> None:
        self._known = known
        self._lans = lans
        self._advertisements = advertisements
        self._loads = loads

    def place(self, spec: IPAllocationSpec, beside: tuple[str, ...] = (), *, fresh: bool) -> IPAllocationSpec:
        """Fills in the LAN where the named one is none, and nodes where it is new or all of them are gone.

        Which L2Advertisements are for it is said each time: labels of Services and advertisements change.

        Args:
            spec: of the IPAllocation.
            beside: the nodes of the Service's other address: both families belong on one, where both can be.
            fresh: nobody has the address yet.
        """
        labels = self._known.labels_of(spec)
        applying = placement.applying(self._advertisements(), spec.pool, labels)
        named = placement.named(self._advertisements(), spec.pool, labels)
        segment = spec.segment
        if self._unfit(spec, applying):
            segment = self._segment(spec, applying) or segment
        nodes = spec.nodes
        # While speakers arrive, the first of them would become everybody's first choice.
        if segment and (fresh or segment != spec.segment or self._deserted(spec)) and not self._lans.arriving():
            nodes = self._nodes(spec, segment, applying, beside) or nodes
        if (segment, nodes, named) == (spec.segment, spec.nodes, spec.advertisements):
            return spec
        return msgspec.structs.replace(spec, segment=segment, nodes=nodes, advertisements=named)

    def misplaced(self, spec: IPAllocationSpec) -> bool:
        """Whether a live address has no LAN or none of its nodes any more, and there is something to be done."""
        if not spec.services:
            return False
        applying = placement.applying(self._advertisements(), spec.pool, self._known.labels_of(spec))
        return (self._deserted(spec) or self._unfit(spec, applying)) and self.place(spec, fresh=False) != spec

    def _unfit(self, spec: IPAllocationSpec, applying: tuple[L2AdvertisementSpec, ...]) -> bool:
        """Whether the address has no LAN; or nobody is on it any more, or by no interface that is advertised.

        The second of these after an admin's edit, or when a LAN was renumbered. While speakers come and go it is too
        early to say.
        """
        if not spec.segment:
            return True
        named = placement.interfaces_named(applying)
        return not self._lans.arriving() and not any(
            one.segment == spec.segment and (named is None or one.interface in named)
            for registration in self._lans.registrations.values()
            for one in registration.attachments
        )

    def _deserted(self, spec: IPAllocationSpec) -> bool:
        return bool(spec.nodes) and self._lans.on(spec.segment).isdisjoint(spec.nodes)

    def _segment(self, spec: IPAllocationSpec, applying: tuple[L2AdvertisementSpec, ...]) -> str:
        named = placement.interfaces_named(applying)
        found = placement.segment_for(ip_address(spec.address), self._lans.registrations.values(), named)
        return found or ""

    def _nodes(
        self,
        spec: IPAllocationSpec,
        segment: str,
        applying: tuple[L2AdvertisementSpec, ...],
        beside: tuple[str, ...],
    ) -> tuple[str, ...]:
        registrations = self._lans.registrations
        views: dict[str, NodeView] = {
            node.metadata.name: placement.view(node, registrations.get(node.metadata.name), segment, applying)
            for node in self._known.nodes.values()
        }
        ranking = placement.place(ip_address(spec.address).packed, views.values()).ranking

        def load(name: str) -> tuple[bool, int, int]:
            return (not views[name].ready, -views[name].preference, self._loads.get(name, 0))

        # One of them that can't be here for a while is no reason to part the families.
        both = tuple(name for name in beside if name in ranking)
        rest = sorted((name for name in ranking if name not in both), key=load)
        return (*both, *rest)[:PREFERRED]
