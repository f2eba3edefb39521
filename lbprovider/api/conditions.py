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
    STATUS_CORRECTED = "StatusCorrected"
    """Another writer changed ``status.loadBalancer``, and it was put right. An Event."""
