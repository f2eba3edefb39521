"""The objects that a plan is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import EndpointSlice, Lease
from lbprovider.deciding.known import Known, Scope
from lbprovider.planning.result import Problem

Raw = Mapping[str, Any]
RawKey = tuple[str, str]
"""Kind, and ``namespace/name`` or ``name``."""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of controller and speakers that decide.

    Args:
        namespace: that lbprovider runs in, with its pools.
        scope: which Services are ours.
        ignore_exclude_label: whether speakers announce from nodes with KEP-1143's label.
    """

    namespace: str
    scope: Scope
    ignore_exclude_label: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Everything that counts, completed and typed.

    Args:
        known: Services in the order of the input, each with a namespace, a uid and its families; their namespaces;
            Nodes; pools and advertisements of our namespace.
        allocations: the IPAllocations, claimed by the uids of ``known``.
        slices: EndpointSlices; None where the input has none, and every Service is taken to be served everywhere.
        leases: of the speakers; none where every Node is taken to run one that is on every LAN.
        raws: the same objects as they were written, in the order of the input.
        complete: whether these are all objects of a cluster, so that a Service that isn't here is gone.
        unreadable: keys of Services that are on the cluster and can't be read: they keep what they hold.
        unserved: keys of Services that aren't on the cluster yet: they are taken to be served everywhere.
        problems: what was left out, and why.
    """

    known: Known
    allocations: tuple[IPAllocation, ...] = ()
    slices: tuple[EndpointSlice, ...] | None = None
    leases: tuple[Lease, ...] = ()
    raws: Mapping[RawKey, Raw] = field(default_factory=dict)
    complete: bool = False
    unreadable: frozenset[str] = frozenset()
    unserved: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
