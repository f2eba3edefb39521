"""Where an address is announced: ``segment`` (LAN), ``advertisements`` and ``nodes`` of its IPAllocation's spec.

An even spread with preferences first: the eligible nodes that are the first choice of the fewest addresses, as it is
when the address is given. It never changes for a live address unless all of its nodes are gone: moving an address costs
its connections. Left empty, rendezvous hashing spreads too (``election.placement``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.speakers import Speakers
from lbprovider.election import placement
from lbprovider.election.placement import NodeView

PREFERRED: Final = 3
"""Nodes written into an IPAllocation: the owner to be, and two that follow it."""


class Placing:
    """Places addresses.

    Args:
        inventory: what is known of the cluster.
        speakers: who registered.
        advertisements: with the pools that they come to.
        loads: of how many addresses each node is the first choice.
    """

    def __init__(
        self,
        inventory: Inventory,
        speakers: Speakers,
        advertisements: Callable[[], tuple[L2Advertisement, ...]],
        loads: Mapping[str, int],
    ) -> None:
        self._inventory = inventory
        self._speakers = speakers
        self._advertisements = advertisements
        self._loads = loads

    def place(self, spec: IPAllocationSpec, beside: tuple[str, ...] = (), *, fresh: bool) -> IPAllocationSpec:
        """Fills in the LAN where none is named, and nodes where the address is new there, or all of its nodes are gone.

        Which L2Advertisements are for it is said each time: labels of Services and advertisements change.

        Args:
            spec: of the IPAllocation.
            beside: the nodes of the Service's other address: both families belong on one, where both can be.
            fresh: nobody has the address yet.
        """
        labels = self._labels(spec)
        applying = placement.applying(self._advertisements(), spec.pool, labels)
        named = placement.named(self._advertisements(), spec.pool, labels)
        segment = spec.segment or self._segment(spec, applying)
        nodes = spec.nodes
        # While speakers arrive, the first of them would become everybody's first choice.
        if segment and (fresh or not spec.segment or self._deserted(spec)) and not self._speakers.arriving():
            nodes = self._nodes(spec, segment, applying, beside) or nodes
        if (segment, nodes, named) == (spec.segment, spec.nodes, spec.advertisements):
            return spec
        return msgspec.structs.replace(spec, segment=segment, nodes=nodes, advertisements=named)

    def misplaced(self, spec: IPAllocationSpec) -> bool:
        """Whether a live address has no LAN, or none of its nodes any more, and there is something to be done."""
        return (
            bool(spec.services) and (not spec.segment or self._deserted(spec)) and self.place(spec, fresh=False) != spec
        )

    def _deserted(self, spec: IPAllocationSpec) -> bool:
        return bool(spec.nodes) and self._speakers.on(spec.segment).isdisjoint(spec.nodes)

    def _segment(self, spec: IPAllocationSpec, applying: tuple[L2AdvertisementSpec, ...]) -> str:
        named = placement.interfaces_named(applying)
        found = placement.segment_for(ip_address(spec.address), self._speakers.registrations.values(), named)
        return found or ""

    def _nodes(
        self,
        spec: IPAllocationSpec,
        segment: str,
        applying: tuple[L2AdvertisementSpec, ...],
        beside: tuple[str, ...],
    ) -> tuple[str, ...]:
        registrations = self._speakers.registrations
        views: dict[str, NodeView] = {
            node.metadata.name: placement.view(node, registrations.get(node.metadata.name), segment, applying)
            for node in self._inventory.nodes.objects.values()
        }
        ranking = placement.place(ip_address(spec.address).packed, views.values()).ranking

        def load(name: str) -> tuple[bool, int, int]:
            return (not views[name].ready, -views[name].preference, self._loads.get(name, 0))

        # One of them that can't be here for a while is no reason to part the families.
        both = tuple(name for name in beside if name in ranking)
        rest = sorted((name for name in ranking if name not in both), key=load)
        return (*both, *rest)[:PREFERRED]

    def _labels(self, spec: IPAllocationSpec) -> list[Mapping[str, str]]:
        services = self._inventory.services.objects
        return [services[claim.key].metadata.labels for claim in spec.services if claim.key in services]
