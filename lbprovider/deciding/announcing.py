"""Which nodes could announce an address, in which order, by which interfaces, and why the others could not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.core import EndpointSlice, Node
from lbprovider.api.names import EXCLUDE_NODE_LABEL, SERVICE_LABEL
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec
from lbprovider.api.registration import Registration
from lbprovider.deciding.known import Known
from lbprovider.election import endpoints, placement
from lbprovider.election.endpoints import Endpoints
from lbprovider.election.placement import NodeView, Placement, Reason
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.ranges import Family, family_of

ADVICE: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.NO_ADVERTISEMENT: "make an L2Advertisement for its pool",
        Reason.NODE_NOT_SELECTED: "let nodeSelectors of an L2Advertisement for its pool select a node",
        Reason.DRAINING: "end the drain of a node (lbprovider undrain)",
        Reason.NODE_EXCLUDED: (
            f"take the label {EXCLUDE_NODE_LABEL} off a node (kubeadm puts it on control planes), "
            "or run the speakers with --ignore-exclude-label"
        ),
        Reason.SPEAKER_NOT_REGISTERED: "see that the speakers run there",
        Reason.NOT_ON_SEGMENT: "no interface that is up has an address in its subnet, nor is one named for it",
        Reason.INTERFACE_NOT_ADVERTISED: "let interfaces of an L2Advertisement for its pool name theirs",
    }
)
"""What to do about the reason that most nodes have."""
_OF_ENDPOINTS: Final = frozenset({Reason.NO_ENDPOINTS, Reason.NO_LOCAL_ENDPOINT})

Backed = Callable[[str, Family], Endpoints]
"""The endpoints of a Service (``namespace/name``) of one family."""


def backed_by(slices: Iterable[EndpointSlice]) -> Backed:
    """The endpoints that EndpointSlices name: those of a Service are one set for each family."""
    found: dict[tuple[str, str], Endpoints] = {}
    for one in slices:
        service = one.metadata.labels.get(SERVICE_LABEL, "")
        key = (f"{one.metadata.namespace}/{service}", one.address_type)
        found[key] = found.get(key, endpoints.NOBODY) | endpoints.of_slice(one)
    return lambda service, family: found.get((service, family), endpoints.NOBODY)


@dataclass(frozen=True, slots=True)
class Announcement:
    """Who could announce an address.

    Args:
        address: in its short form.
        ranking: the nodes that could, best first. A healthy owner stays, whatever its rank.
        excluded: why each other node could not.
        interfaces: of each that could, the interfaces that L2Advertisements name; None: any on the address's LAN.
    """

    address: str
    ranking: tuple[str, ...]
    excluded: Mapping[str, Reason]
    interfaces: Mapping[str, tuple[str, ...] | None]

    @property
    def eligible(self) -> tuple[str, ...]:
        """The nodes that could, by name."""
        return tuple(sorted(self.ranking))

    @property
    def why_not(self) -> Mapping[Reason, int]:
        """How many nodes could not for each reason, in the order of the reasons."""
        return placement.counts(Placement(self.ranking, self.excluded))

    @property
    def lacks_endpoints(self) -> bool:
        """Whether some node could if the Services had endpoints there that can serve."""
        return not _OF_ENDPOINTS.isdisjoint(self.excluded.values())


def nobody_may(address: str, why: Mapping[Reason, int]) -> str:
    """Says that no node may announce an address, and what to do about the reason that most nodes have.

    Args:
        address: in its short form.
        why: how many nodes have each reason, in the order of the reasons; of two that as many have, the first counts.
    """
    each = ", ".join(f"{reason} ({nodes})" for reason, nodes in why.items()) or "there are no Nodes"
    most = max(why, key=lambda reason: why[reason], default=None)
    advice = "" if most is None else ADVICE.get(most, "")
    return f"No node may announce {address}: {each}" + (f"; {advice}." if advice else ".")


def announcement(
    spec: IPAllocationSpec,
    known: Known,
    ledger: Ledger,
    advertisements: Iterable[L2Advertisement],
    *,
    registrations: Mapping[str, Registration] | None,
    backed: Backed | None,
    ignore_exclude_label: bool = False,
) -> Announcement:
    """Looks at each node as the speakers do (``election.placement``).

    Args:
        spec: of the IPAllocation.
        known: what is known of the cluster.
        ledger: who holds what.
        advertisements: all of them, ``resolved``.
        registrations: of the speakers, by node; None: every node is taken to run one that is on the address's LAN.
        backed: the Services' endpoints; None: every Service is taken to be served from every node.
        ignore_exclude_label: whether the speakers heed KEP-1143's label, where ``registrations`` doesn't say.
    """
    address = ip_address(spec.address)
    applying = placement.applying(advertisements, spec.pool, known.labels_of(spec))

    def view(node: Node) -> NodeView:
        if registrations is not None:
            return placement.view(node, registrations.get(node.metadata.name), spec.segment, applying)
        return replace(
            placement.view(node, None, spec.segment, applying),
            registered=True,
            attached=True,
            interface_advertised=True,
            excluded=not ignore_exclude_label and EXCLUDE_NODE_LABEL in node.metadata.labels,
        )

    behind = endpoints.ANYWHERE
    if backed is not None:
        behind = endpoints.backends(
            (claim.external_traffic_policy == "Local", backed(claim.key, family_of(address)))
            for claim in spec.services
        )  # fmt: skip
    views = map(view, known.nodes.values())
    found = placement.place(address.packed, views, spec.nodes, behind, _lot(spec, ledger))
    return Announcement(
        str(address),
        found.ranking,
        found.ineligible,
        {name: _interfaces(known.nodes[name], applying) for name in found.ranking},
    )


def _lot(spec: IPAllocationSpec, ledger: Ledger) -> bytes:
    """Of the addresses that its Services have on its LAN the lowest, IPv4 first: both families rank alike."""
    own = ip_address(spec.address)
    beside = (other for claim in spec.services for other in ledger.held_by(claim.uid))
    on_lan = (other for other in beside if ledger[other].segment == spec.segment)
    return min((own.packed, *(other.packed for other in on_lan)), key=lambda packed: (len(packed), packed))


def _interfaces(node: Node, applying: tuple[L2AdvertisementSpec, ...]) -> tuple[str, ...] | None:
    named = placement.interfaces_named(placement.selecting(node, applying))
    return None if named is None else tuple(sorted(named))
