"""IPAddressPool and L2Advertisement: what an admin writes. Field names as MetalLB has them, and more."""

from __future__ import annotations

import msgspec

from lbprovider.api.meta import Condition, LabelSelector, Object, Struct


class ServiceAllocation(Struct, frozen=True):
    """Pins a pool: only Services that match may use it. ``priority``: lower goes first, 0 means none."""

    priority: int = 0
    namespaces: tuple[str, ...] = ()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()


class IPAddressPoolSpec(Struct, frozen=True):
    """``spec`` of an IPAddressPool.

    ``addresses`` and ``exclude_addresses`` hold CIDRs, ``start-end`` ranges or single addresses. ``reuse_after`` is a
    duration as Kubernetes writes it (``90s``, ``10m``, ``1h30m``): how long a freed address is left alone.
    """

    addresses: tuple[str, ...] = ()
    exclude_addresses: tuple[str, ...] = ()
    auto_assign: bool = True
    avoid_buggy_ips: bool = msgspec.field(name="avoidBuggyIPs", default=False)
    service_allocation: ServiceAllocation | None = None
    reuse_after: str = "0s"
    allow_sharing_across_namespaces: bool = False


class FamilyCount(Struct, frozen=True):
    """Addresses of one family; saturated at 2**63 − 1 where a pool is larger."""

    total: int
    assigned: int
    available: int


class IPAddressPoolStatus(Struct, frozen=True):
    """``status`` of an IPAddressPool; written by the controller."""

    ipv4: FamilyCount | None = None
    ipv6: FamilyCount | None = None
    conditions: tuple[Condition, ...] = ()


class IPAddressPool(Object, frozen=True):
    """Addresses to give out."""

    spec: IPAddressPoolSpec = IPAddressPoolSpec()
    status: IPAddressPoolStatus = IPAddressPoolStatus()


class PreferredNodes(Struct, frozen=True):
    """Nodes to prefer; the weights (1–100) of all entries that match a node add up."""

    weight: int
    node_selector: LabelSelector


class L2AdvertisementSpec(Struct, frozen=True):
    """``spec`` of an L2Advertisement: which pools, from which nodes, on which interfaces."""

    ip_address_pools: tuple[str, ...] = msgspec.field(name="ipAddressPools", default=())
    ip_address_pool_selectors: tuple[LabelSelector, ...] = msgspec.field(name="ipAddressPoolSelectors", default=())
    node_selectors: tuple[LabelSelector, ...] = ()
    interfaces: tuple[str, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()
    preferred_node_selectors: tuple[PreferredNodes, ...] = ()


class L2AdvertisementStatus(Struct, frozen=True):
    """``status`` of an L2Advertisement; written by the controller.

    ``pools`` is what the spec's names and selectors come to. Speakers read it there and never watch pools, whose
    counters change with every allocation.
    """

    pools: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class L2Advertisement(Object, frozen=True):
    """Says that the addresses of pools are announced by ARP and NDP; without one, nothing is."""

    spec: L2AdvertisementSpec = L2AdvertisementSpec()
    status: L2AdvertisementStatus = L2AdvertisementStatus()
