"""What the status of an IPAllocation should say of who leads it, and of who else uses the address. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from lbprovider.api.allocation import IneligibleNodes, IPAllocation, IPAllocationStatus
from lbprovider.api.conditions import ANNOUNCED, CONFLICT, NO_ENDPOINTS, PROBE_ANSWERED
from lbprovider.api.meta import Condition, with_condition
from lbprovider.election import placement
from lbprovider.election.placement import Placement
from lbprovider.speaker.causes import Story

NOT_SEEN: Final = "NotSeen"
"""Reason of a condition Conflict that is False."""
WITHOUT_ENDPOINTS: Final = (
    "No endpoint of the Service can serve on a node that may announce the address: nobody announces it until one can."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leadership:
    """That an address is ours. ``since`` is RFC 3339; ``story`` says how it was won.

    ``instead_of`` is the node that this one stands in for with the address, and whose hardware address ``mac`` is.
    """

    leader: str
    interface: str
    mac: str
    since: str
    story: Story
    instead_of: str = ""

    @property
    def message(self) -> str:
        """One sentence."""
        place = f" in the place of {self.instead_of}, which goes on forwarding," if self.instead_of else ""
        return f"{self.leader} answers on {self.interface}{place} with {self.mac}: {self.story.sentence}"


@dataclass(frozen=True, slots=True)
class Clash:
    """That something else on the LAN uses an address; without a ``reason``: no longer."""

    reason: str
    mac: str
    message: str
    at: str


def led(what: Leadership, allocation: IPAllocation, placed: Placement) -> IPAllocationStatus:
    """As it is when a node has won the address; ``placed``: which nodes may announce it, and why not the others."""
    generation = allocation.metadata.generation
    conditions = with_condition(
        _without_conflict(allocation.status.conditions, what.since, generation),
        _condition(ANNOUNCED, what.story.move.value, what.message, generation, holds=True),
        what.since,
    )
    return IPAllocationStatus(
        leader=what.leader,
        interface=what.interface,
        mac=what.mac,
        since=what.since,
        eligible=len(placed.ranking),
        ineligible=_ineligible(placed),
        conditions=conditions,
    )


def without_endpoints(allocation: IPAllocation, placed: Placement, now: str) -> IPAllocationStatus:
    """As it is when its leader gave it up because no endpoint can serve any more; ``now`` is RFC 3339."""
    said = _condition(ANNOUNCED, NO_ENDPOINTS, WITHOUT_ENDPOINTS, allocation.metadata.generation, holds=False)
    new: IPAllocationStatus = msgspec.structs.replace(
        allocation.status,
        eligible=0,
        ineligible=_ineligible(placed),
        conditions=with_condition(allocation.status.conditions, said, now),
    )
    return new


def clashing(clash: Clash, status: IPAllocationStatus, generation: int) -> IPAllocationStatus:
    """As it is when something else on the LAN uses the address, or does no longer."""
    conditions = status.conditions
    if not clash.reason:
        conditions = _without_conflict(conditions, clash.at, generation)
    else:
        said = _condition(CONFLICT, clash.reason, clash.message, generation, holds=True)
        conditions = with_condition(conditions, said, clash.at)
        if clash.reason == PROBE_ANSWERED:
            said = _condition(ANNOUNCED, clash.reason, clash.message, generation, holds=False)
            conditions = with_condition(conditions, said, clash.at)
    new: IPAllocationStatus = msgspec.structs.replace(status, conflict_mac=clash.mac, conditions=conditions)
    return new


def _ineligible(placed: Placement) -> tuple[IneligibleNodes, ...]:
    counts = placement.counts(placed).items()
    return tuple(IneligibleNodes(reason=reason.value, nodes=count) for reason, count in counts)


def _without_conflict(conditions: tuple[Condition, ...], now: str, generation: int) -> tuple[Condition, ...]:
    """As they are, but for a Conflict that was: an IPAllocation that never had one needs no condition to say so."""
    if not any(one.type == CONFLICT and one.status == "True" for one in conditions):
        return conditions
    return with_condition(conditions, _condition(CONFLICT, NOT_SEEN, "", generation, holds=False), now)


def _condition(kind: str, reason: str, message: str, generation: int, *, holds: bool) -> Condition:
    return Condition(
        type=kind,
        status="True" if holds else "False",
        reason=reason,
        message=message,
        observed_generation=generation,
    )
