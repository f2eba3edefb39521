"""What the admin offers: all IPAddressPools of the controller's namespace, read, checked and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lbprovider.api.names import IPAddress
from lbprovider.api.pool import IPAddressPool, ServiceAllocation
from lbprovider.ipam.ranges import Family, Range
from lbprovider.ipam.reasons import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a pool is refused.

    Args:
        reason: ``INVALID_ENTRY``, ``INVALID_SPEC``, ``OVERLAPPING`` or ``DUPLICATE_NAME``.
        message: one sentence a cluster admin can act on.
    """

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool that counts.

    Args:
        name: of the IPAddressPool.
        pieces: by family, in the order of ``spec.addresses``, excludes taken out.
        careful: IPv4 addresses that end in .0 or .255 are left out too (avoidBuggyIPs).
        auto_assign: whether Services that don't ask for it get addresses from it.
        pinning: ``spec.serviceAllocation``.
        reuse_after: nanoseconds that a freed address is left alone while others are free.
        across_namespaces: whether Services of several namespaces may share an address.
        forced: ``lbprovider.io/force``: addresses that an edit uncovered are let go.
    """

    name: str
    pieces: Mapping[Family, tuple[Range, ...]]
    careful: bool
    auto_assign: bool
    pinning: ServiceAllocation | None
    reuse_after: int
    across_namespaces: bool
    forced: bool

    def size(self, family: Family) -> int:
        """How many addresses of the family it can give, exact."""
        raise NotImplementedError

    def open_to(self, namespace: str, namespace_labels: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        """Whether its pinning lets a Service in."""
        raise NotImplementedError


class PoolSet:
    """The pools that count, in the order in which they are tried, and what is wrong with the others."""

    pools: Mapping[str, Pool]
    """By name, in the order tried: pinned ones by rising priority (0 = none, last), then general ones; then by name."""
    refused: Mapping[str, tuple[Problem, ...]]
    """By name: pools that count for nothing, and why."""

    @classmethod
    def of(cls, pools: Iterable[IPAddressPool]) -> PoolSet:
        """Reads pools of one namespace; a bad one is refused as a whole and never stops the others.

        Of two pools that overlap, the one created first counts (then the first by name), and the other is refused.
        """
        raise NotImplementedError

    def covering(self, address: IPAddress) -> Pool | None:
        """The pool that may give this address: in its ranges, not excluded, not buggy where that is avoided."""
        raise NotImplementedError
