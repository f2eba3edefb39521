"""Says of an address that no node may announce it: then it has no leader, and no speaker can say so.

Looked at is what all addresses of a pool on a LAN have in common: Nodes, registrations, L2Advertisements. Not whether
a Service has endpoints: that comes and goes with every roll-out, shows in the Service itself, and would have the
controller hold every EndpointSlice of the cluster. Said a few seconds late and at a bounded rate, for most of it passes
by itself: speakers that start, a label on its way to another node.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec
import structlog

from lbprovider.api.allocation import IneligibleNodes, IPAllocation, IPAllocationStatus
from lbprovider.api.conditions import ANNOUNCED, NO_ELIGIBLE_NODE
from lbprovider.api.core import Node
from lbprovider.api.meta import Condition, with_condition
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.resources import ALLOCATIONS, SERVICES
from lbprovider.api.times import rfc3339
from lbprovider.controller.inventory import Change, Inventory
from lbprovider.controller.speakers import Speakers
from lbprovider.deciding.announcing import nobody_may
from lbprovider.election import placement
from lbprovider.election.placement import Reason
from lbprovider.errors import ClusterError, Conflict, KindMissing, NotFound
from lbprovider.kube import patches
from lbprovider.kube.events import Recorder
from lbprovider.kube.ports import Api

SETTLE: Final = 5.0
"""Seconds between a change and the look at it."""
PAUSE: Final = 0.1
"""Seconds between two writes."""
YIELD_EACH: Final = 256
"""IPAllocations looked at between two turns of the event loop."""
ELIGIBLE_AGAIN: Final = "EligibleNodes"
"""Reason of a condition Announced that is Unknown: some node may announce again, and none has said yet that it does."""

Counts = Mapping[Reason, int]

log = structlog.get_logger(__name__)


class Announcing:
    """Keeps the condition Announced of what can't be announced.

    Args:
        api: the API server.
        inventory: what is known of the cluster.
        speakers: who registered.
        advertisements: with the pools that they come to.
        recorder: writes Events.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        api: Api,
        inventory: Inventory,
        speakers: Speakers,
        advertisements: Callable[[], tuple[L2Advertisement, ...]],
        *,
        recorder: Recorder,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._inventory = inventory
        self._speakers = speakers
        self._advertisements = advertisements
        self._recorder = recorder
        self._wall = wall
        self._due = asyncio.Event()
        speakers.subscribe(self.look)
        inventory.nodes.subscribe(self._node_changed)
        inventory.allocations.subscribe(self._allocation_changed)

    def look(self) -> None:
        """Something that eligibility depends on has changed."""
        self._due.set()

    async def run(self) -> None:
        """Says what is to be said; until cancelled.

        Raises:
            KindMissing: the CRD of IPAllocations was taken away.
        """
        self._due.set()
        while True:
            await self._due.wait()
            await asyncio.sleep(SETTLE)
            self._due.clear()
            # Without any speaker nothing is announced at all, which is no matter of single addresses; and while they
            # come and go it is too early. Both call ``look`` when it is over.
            if self._speakers.registrations and not self._speakers.arriving():
                await self._look_at_all()

    def _node_changed(self, change: Change[Node]) -> None:
        del change  # a Node's heartbeats are among them: that costs one look in a while, and no write
        self._due.set()

    def _allocation_changed(self, change: Change[IPAllocation]) -> None:
        old, new = change.old, change.new
        if new is not None and (old is None or old.spec != new.spec):
            self._due.set()

    async def _look_at_all(self) -> None:
        found: dict[object, Counts | None] = {}
        for number, allocation in enumerate(list(self._inventory.allocations.objects.values()), start=1):
            spec = allocation.spec
            if spec.services:
                kind = (spec.pool, spec.segment, spec.advertisements)
                if kind not in found:
                    found[kind] = self._why_none(allocation)
                await self._say(allocation, found[kind])
            if number % YIELD_EACH == 0:
                await asyncio.sleep(0)

    def _why_none(self, allocation: IPAllocation) -> Counts | None:
        """How many nodes may not announce it, and why; None where one may."""
        spec, registrations = allocation.spec, self._speakers.registrations
        applying = placement.among(self._advertisements(), spec.pool, spec.advertisements)
        screened = placement.screen(
            placement.view(node, registrations.get(node.metadata.name), spec.segment, applying)
            for node in self._inventory.nodes.objects.values()
        )
        return None if screened.eligible else placement.counts(screened)

    async def _say(self, allocation: IPAllocation, why: Counts | None) -> None:
        before = allocation.condition(ANNOUNCED)
        said = before is not None and before.reason == NO_ELIGIBLE_NODE
        if why is None and not said:
            return
        status = self._none(allocation, why) if why is not None else self._some(allocation)
        body = patches.status(allocation, status)
        if body is None:
            return
        try:
            written = await self._api.patch(ALLOCATIONS, allocation.metadata.name, body, subresource="status")
        except KindMissing:
            raise
        except (Conflict, NotFound):
            self._due.set()  # it has changed or gone meanwhile, perhaps because a node leads it now
        except ClusterError as error:
            self._due.set()
            log.warning("status not written", kind=ALLOCATIONS.kind, name=allocation.metadata.name, error=str(error))
        else:
            self._inventory.allocations.changed(written)
            if why is not None and not said:
                self._tell(written)
        await asyncio.sleep(PAUSE)

    def _tell(self, allocation: IPAllocation) -> None:
        condition = allocation.condition(ANNOUNCED)
        message = "" if condition is None else condition.message
        log.warning(message, reason=NO_ELIGIBLE_NODE)
        for claim in allocation.spec.services:
            service = self._inventory.services.objects.get(claim.key)
            if service is not None and service.metadata.uid == claim.uid:
                self._recorder.event(SERVICES, service, "Warning", NO_ELIGIBLE_NODE, message)

    def _none(self, allocation: IPAllocation, why: Counts) -> IPAllocationStatus:
        message = nobody_may(allocation.spec.address, why)
        counts = tuple(IneligibleNodes(reason=reason.value, nodes=count) for reason, count in why.items())
        return self._status(allocation, "False", NO_ELIGIBLE_NODE, message, counts)

    def _some(self, allocation: IPAllocation) -> IPAllocationStatus:
        message = "A node may announce the address again; none has said yet that it does."
        return self._status(allocation, "Unknown", ELIGIBLE_AGAIN, message, ())

    def _status(
        self,
        allocation: IPAllocation,
        status: Literal["False", "Unknown"],
        reason: str,
        message: str,
        ineligible: tuple[IneligibleNodes, ...],
    ) -> IPAllocationStatus:
        condition = Condition(
            type=ANNOUNCED,
            status=status,
            reason=reason,
            message=message,
            observed_generation=allocation.metadata.generation,
        )
        new: IPAllocationStatus = msgspec.structs.replace(
            allocation.status,
            eligible=0,
            ineligible=ineligible,
            conditions=with_condition(allocation.status.conditions, condition, rfc3339(self._wall())),
        )
        return new
