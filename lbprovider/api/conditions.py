"""Types and reasons of the conditions that one program writes and another reads."""

from __future__ import annotations

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
