"""Which nodes may announce an address, in which order they should, and on which LAN. DESIGN 5, SEMANTICS 1.

A node is looked at in two steps: what it is to all addresses of a pool on a LAN (``NodeView``, ``screen``), and whether
this one's Services can be served from it (``endpoints.Backends``). ``place`` does both, and says why for each node.

Pure and the same everywhere: the order of the input doesn't matter, and hashing is blake2b, never Python's own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from lbprovider.api import names
from lbprovider.api.core import Node
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec
from lbprovider.api.registration import Attachment, Registration
from lbprovider.election.endpoints import ANYWHERE, Backends


class Reason(StrEnum):
    """Why a node may not announce an address."""

    NO_ADVERTISEMENT = "NoAdvertisement"  # no L2Advertisement is for this pool and Service
    NODE_GONE = "NodeGone"  # its speaker's Lease is there yet, the Node is deleted
    NODE_NOT_SELECTED = "NodeNotSelected"  # none of those L2Advertisements selects the node
    DRAINING = "Draining"  # an admin takes its addresses away (lbprovider drain)
    NODE_EXCLUDED = "NodeExcluded"  # KEP-1143's label
    NODE_TO_BE_DELETED = "NodeToBeDeleted"  # the cluster autoscaler's taint
    NODE_NETWORK_UNAVAILABLE = "NodeNetworkUnavailable"  # the Node's condition
    SPEAKER_NOT_REGISTERED = "SpeakerNotRegistered"  # no speaker has ever registered from there
    NOT_ON_SEGMENT = "NotOnSegment"  # no interface of the node is on the LAN, up and with carrier
    INTERFACE_NOT_ADVERTISED = "InterfaceNotAdvertised"  # one is, but the L2Advertisements name others
    NO_ENDPOINTS = "NoEndpoints"  # no endpoint of the address's Services can serve, on whatever node
    NO_LOCAL_ENDPOINT = "NoLocalEndpoint"  # externalTrafficPolicy Local, and none on this node can


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node, as all addresses of one pool on one LAN see it.

    Args:
        name: the Node's name.
        gone: there is no such Node any more.
        ready: its condition Ready; a node that is not ready ranks last, and may serve when nothing else can.
        draining: it has the drain annotation.
        excluded: it has the exclude label, and that is heeded.
        to_be_deleted: it has the autoscaler's taint.
        network_unavailable: its condition NetworkUnavailable.
        advertised: an L2Advertisement is for this address at all.
        selected: one of those selects the node.
        registered: a speaker registered from it.
        attached: an interface of it is on the address's LAN.
        interface_advertised: that interface is one that the L2Advertisements name, or they name none.
        preference: the weights of all ``preferredNodeSelectors`` that match it.
    """

    name: str
    gone: bool = False
    ready: bool = True
    draining: bool = False
    excluded: bool = False
    to_be_deleted: bool = False
    network_unavailable: bool = False
    advertised: bool = True
    selected: bool = True
    registered: bool = True
    attached: bool = True
    interface_advertised: bool = True
    preference: int = 0


_INELIGIBLE: Final[tuple[tuple[Reason, Callable[[NodeView], bool]], ...]] = (
    (Reason.NO_ADVERTISEMENT, lambda node: not node.advertised),
    (Reason.NODE_GONE, lambda node: node.gone),
    (Reason.NODE_NOT_SELECTED, lambda node: not node.selected),
    (Reason.DRAINING, lambda node: node.draining),
    (Reason.NODE_EXCLUDED, lambda node: node.excluded),
    (Reason.NODE_TO_BE_DELETED, lambda node: node.to_be_deleted),
    (Reason.NODE_NETWORK_UNAVAILABLE, lambda node: node.network_unavailable),
    (Reason.SPEAKER_NOT_REGISTERED, lambda node: not node.registered),
    (Reason.NOT_ON_SEGMENT, lambda node: not node.attached),
    (Reason.INTERFACE_NOT_ADVERTISED, lambda node: not node.interface_advertised),
)
"""The first that holds is the reason. What the admin decided comes before what the machine can't, and that before what
the Service lacks."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The nodes that may announce the addresses of a pool on a LAN, as far as those go, and why each other may not."""

    eligible: tuple[NodeView, ...]
    ineligible: Mapping[str, Reason]


@dataclass(frozen=True, slots=True)
class Placement:
    """``ranking``: the nodes that may announce, best first. ``ineligible``: why each of the others may not."""

    ranking: tuple[str, ...] = ()
    ineligible: Mapping[str, Reason] = field(default_factory=dict)


def why_not(node: NodeView) -> Reason | None:
    """Why the node may announce no address of the pool on the LAN; None if it may."""
    return next((reason for reason, holds in _INELIGIBLE if holds(node)), None)


def screen(nodes: Iterable[NodeView]) -> Screened:
    """Each node looked at once for all the addresses of a pool on a LAN."""
    judged = [(node, why_not(node)) for node in nodes]
    return Screened(
        tuple(node for node, reason in judged if reason is None),
        {node.name: reason for node, reason in judged if reason is not None},
    )


def place(
    address: bytes,
    nodes: Iterable[NodeView] | Screened,
    preferred: Sequence[str] = (),
    backends: Backends = ANYWHERE,
    lot: bytes = b"",
) -> Placement:
    """Who may announce ``address`` (packed), best first.

    Ready nodes before others; then those that the controller ``preferred`` (``spec.nodes``) in its order; then by
    preference; then by rendezvous hashing, so that a node that goes or comes moves only its own share of addresses.

    Args:
        address: packed.
        nodes: all that there are, or what ``screen`` made of them.
        preferred: the controller's choice; naming a node makes it no more eligible.
        backends: from where the Services of the address can be served.
        lot: the address that is hashed in the place of this one, so that both families of a Service rank alike.
    """
    screened = nodes if isinstance(nodes, Screened) else screen(nodes)
    eligible, lacking = _backed(screened.eligible, backends)
    place_of = {name: place for place, name in enumerate(preferred)}
    last = len(place_of)
    hashed = lot or address

    def rank(node: NodeView) -> tuple[bool, int, int, int, str]:
        return not node.ready, place_of.get(node.name, last), -node.preference, -_score(node.name, hashed), node.name

    ineligible = {**screened.ineligible, **lacking} if lacking else screened.ineligible
    return Placement(tuple(node.name for node in sorted(eligible, key=rank)), ineligible)


def _backed(eligible: Sequence[NodeView], backends: Backends) -> tuple[Sequence[NodeView], Mapping[str, Reason]]:
    """Those from which the address can be served, and why not the others.

    Endpoints that terminate count only while no node that may announce has a ready one (KEP-1669): so an address moves
    while those of its owner serve yet, and not when they have ended.
    """
    if backends.anywhere:
        return eligible, {}
    if not backends.exist:
        return (), dict.fromkeys((node.name for node in eligible), Reason.NO_ENDPOINTS)
    ready = [node for node in eligible if node.name in backends.ready]
    backed = ready or [node for node in eligible if node.name in backends.leaving]
    here = {node.name for node in backed}
    return backed, {node.name: Reason.NO_LOCAL_ENDPOINT for node in eligible if node.name not in here}


def counts(looked_at: Placement | Screened) -> Mapping[Reason, int]:
    """How many nodes may not announce for each reason, in the order of the reasons."""
    found = Counter(looked_at.ineligible.values())
    return {reason: found[reason] for reason in Reason if reason in found}


def applying(
    advertisements: Iterable[L2Advertisement], pool: str, services: Sequence[Mapping[str, str]]
) -> tuple[L2AdvertisementSpec, ...]:
    """The advertisements that are for an address.

    Args:
        advertisements: all of them; their status names the pools.
        pool: the address's.
        services: the labels of each Service that holds the address.
    """
    return tuple(one.spec for one in advertisements if pool in one.status.pools and _selects(one.spec, services))


def named(
    advertisements: Iterable[L2Advertisement], pool: str, services: Sequence[Mapping[str, str]]
) -> tuple[str, ...] | None:
    """``spec.advertisements`` of an IPAllocation: which of the pool's are for it, sorted, so that ``among`` finds them.

    None where none of them selects Services: then all are, and nothing has to be written.
    """
    of_pool = [one for one in advertisements if pool in one.status.pools]
    if not any(one.spec.service_selectors for one in of_pool):
        return None
    return tuple(sorted(one.metadata.name for one in of_pool if _selects(one.spec, services)))


def among(
    advertisements: Iterable[L2Advertisement], pool: str, chosen: Collection[str] | None
) -> tuple[L2AdvertisementSpec, ...]:
    """The advertisements that are for an address, for who doesn't see Services.

    One that has only now come to select Services counts for all until the controller has said for which: an admin's
    edit must not silence addresses for the time between the two.

    Args:
        advertisements: all of them.
        pool: the address's.
        chosen: its ``spec.advertisements``.
    """
    return tuple(
        one.spec
        for one in advertisements
        if pool in one.status.pools
        and (chosen is None or not one.spec.service_selectors or one.metadata.name in chosen)
    )


def _selects(spec: L2AdvertisementSpec, services: Sequence[Mapping[str, str]]) -> bool:
    return not spec.service_selectors or any(
        selector.matches(labels) for selector in spec.service_selectors for labels in services
    )


def interfaces_named(advertisements: Iterable[L2AdvertisementSpec]) -> frozenset[str] | None:
    """The interfaces that the advertisements name together; None = any, because one of them names none."""
    each = [one.interfaces for one in advertisements]
    return frozenset().union(*each) if all(each) else None


def selecting(node: Node, advertisements: Iterable[L2AdvertisementSpec]) -> list[L2AdvertisementSpec]:
    """The advertisements whose ``nodeSelectors`` select the node; one without any selects all."""
    labels = node.metadata.labels
    return [
        one
        for one in advertisements
        if not one.node_selectors or any(selector.matches(labels) for selector in one.node_selectors)
    ]


def view(
    node: Node,
    registration: Registration | None,
    segment: str,
    advertisements: Sequence[L2AdvertisementSpec],
) -> NodeView:
    """The node, seen from an address.

    Args:
        node: the Node.
        registration: what its speaker registered; None if none has.
        segment: the LAN that the address is announced on.
        advertisements: those that are for the address (``applying``, ``among``).
    """
    labels = node.metadata.labels
    selected_by = selecting(node, advertisements)
    attached = [] if registration is None else [one for one in registration.attachments if one.segment == segment]
    allowed = interfaces_named(selected_by)
    ignored = registration is not None and registration.ignores_exclude_label
    return NodeView(
        name=node.metadata.name,
        ready=node.condition("Ready") == "True",
        draining=names.DRAIN_ANNOTATION in node.metadata.annotations,
        excluded=not ignored and names.EXCLUDE_NODE_LABEL in labels,
        to_be_deleted=any(taint.key == names.TO_BE_DELETED_TAINT for taint in node.spec.taints),
        network_unavailable=node.condition("NetworkUnavailable") == "True",
        advertised=bool(advertisements),
        selected=bool(selected_by),
        registered=registration is not None,
        attached=bool(attached),
        interface_advertised=allowed is None or any(one.interface in allowed for one in attached),
        preference=sum(
            preferred.weight
            for one in selected_by
            for preferred in one.preferred_node_selectors
            if preferred.node_selector.matches(labels)
        ),
    )


def segment_for(
    address: names.IPAddress, registrations: Iterable[Registration], interfaces: frozenset[str] | None
) -> str | None:
    """The name of the Segment that announces an address; None where no registered node is on a LAN that fits.

    Of the interfaces named (None = any): the one whose connected subnet holds the address, the narrowest first; else
    the only LAN named; else the one of the default route. Where nodes differ, most nodes decide, then the name.

    Args:
        address: to be announced.
        registrations: of all speakers.
        interfaces: those that the advertisements name (``interfaces_named``).
    """
    attachments = [
        one
        for registration in registrations
        for one in registration.attachments
        if interfaces is None or one.interface in interfaces
    ]
    fitting = [(prefix, one) for one in attachments if (prefix := _connected(address, one)) is not None]
    if fitting:
        narrowest = max(prefix for prefix, _ in fitting)
        return _most(one for prefix, one in fitting if prefix == narrowest)
    if interfaces is not None and len({one.segment for one in attachments}) == 1:
        return attachments[0].segment
    return _most(one for one in attachments if one.default_route)


def _connected(address: names.IPAddress, attachment: Attachment) -> int | None:
    """The length of the narrowest prefix on the interface that holds the address, None if none does."""
    nets = (ip_network(subnet) for subnet in attachment.subnets)
    return max((net.prefixlen for net in nets if net.version == address.version and address in net), default=None)


def _most(attachments: Iterable[Attachment]) -> str | None:
    count = Counter(one.segment for one in attachments)
    return min(count, key=lambda name: (-count[name], name), default=None)


@lru_cache(maxsize=65536)
def _score(node: str, address: bytes) -> int:
    """Rendezvous (highest random weight) hashing: each node's lot for an address; the highest wins."""
    return int.from_bytes(hashlib.blake2b(node.encode() + b"\0" + address, digest_size=8).digest())
