"""Types and reasons of conditions that more than one room knows; docs/conditions.md has each with what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

ANNOUNCED: Final = "Announced"
"""Of an IPAllocation: a node answers for the address. Its reason says how that node came to it, or why none does."""
NO_ELIGIBLE_NODE: Final = "NoEligibleNode"
"""Why none does: none may, whatever the Service's endpoints."""
NO_ENDPOINTS: Final = "NoEndpoints"
"""Why none does: those that may have no endpoint of the Service that can serve."""
CONFLICT: Final = "Conflict"
"""Of an IPAllocation: something else on the LAN uses the address."""
PROBE_ANSWERED: Final = "ProbeAnswered"
"""It answered before the address was announced for the first time (RFC 5227 section 2.1)."""
FOREIGN_ANNOUNCEMENT: Final = "ForeignAnnouncement"
"""It answers for, or announces, the address beside its leader (RFC 5227 section 2.4)."""


class ServiceReason(StrEnum):
    """What is said of a Service besides ``ipam.reasons``: what others do to its status."""

    FOREIGN_CONTROLLER = "ForeignController"
    """Another writer keeps changing ``status.loadBalancer``, and is left to it. In the condition, and an Event."""
    ALLOCATION_REFUSED = "AllocationRefused"
    """The API server refuses its IPAllocation, and will each time. In the condition, and an Event."""
    STATUS_CORRECTED = "StatusCorrected"
    """Another writer changed ``status.loadBalancer``, and it was put right. An Event."""


class PoolCondition(StrEnum):
    """Types of an IPAddressPool's conditions."""

    READY = "Ready"
    """It counts; else it is refused as a whole, with a reason of ``ipam.reasons``."""
    OVERLAPPING = "Overlapping"
    """It is refused because it overlaps another pool, which the message names, or itself."""
    EXHAUSTED = "Exhausted"
    """No address of a family is left."""
    STRANDED = "Stranded"
    """Live addresses came from it that no pool covers any more."""
    LAN_ANSWERS_FOR_POOL = "LanAnswersForPool"
    """Something on the LAN answers for whatever address it gives."""


class PoolReason(StrEnum):
    """Why a condition of an IPAddressPool is as it should be; where it isn't, the reason is one of ``ipam.reasons``."""

    READY = "Ready"
    DISJOINT = "Disjoint"
    AVAILABLE = "Available"
    COVERED = "Covered"
    QUIET = "Quiet"


class AdvertisementCondition(StrEnum):
    """Types of an L2Advertisement's conditions."""

    READY = "Ready"
    """All that it names is there, and whatever it selects by selects something."""


class AdvertisementReason(StrEnum):
    """Reasons of an L2Advertisement's condition, the one to say first before the others."""

    POOL_MISSING = "PoolMissing"
    SELECTS_NOTHING = "SelectsNothing"
    SELECTS_NO_NODE = "SelectsNoNode"
    INTERFACE_MISSING = "InterfaceMissing"
    SELECTS_NO_SERVICE = "SelectsNoService"
    READY = "Ready"


class SegmentCondition(StrEnum):
    """Types of a Segment's conditions."""

    NODES_UNHEARD = "NodesUnheard"
    """Registered speakers aren't heard by the members."""
    SERVING_WITHOUT_QUORUM = "ServingWithoutQuorum"
    """Fewer than half of the members were left, and these serve (ELECTION.md rule 19)."""


class SegmentReason(StrEnum):
    """Reasons of a Segment's conditions, besides ``NodesUnheard`` itself."""

    ALL_HEARD = "AllHeard"
    QUORUM = "Quorum"
    QUORUM_LOST = "QuorumLost"
