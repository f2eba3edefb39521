"""What becomes free: cool-downs that end, and who gets an address that was freed.

Not everybody who waits is asked at once: for each freed address one Service that would get something by it, the oldest
first. Whoever is overlooked so (a burst of frees and takes) is found by the next sweep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from lbprovider.controller.allocations import Allocations
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.writer import Urgency, WorkQueue
from lbprovider.deciding.conflicts import Conflicts
from lbprovider.deciding.services import Decisions
from lbprovider.errors import ClusterError
from lbprovider.ipam.sharing import forgiven

COOLING_PERIOD: Final = 1.0
"""Seconds between two looks at what has cooled down."""
COOLED_AT_ONCE: Final = 16
"""IPAllocations of cooled addresses deleted in one look: Services that come and go have the API server first."""
YIELD_EACH: Final = 64
"""Services asked between two turns of the event loop."""

log = structlog.get_logger(__name__)


class Freeing:
    """Hands on what is freed.

    Args:
        inventory: what is known of the cluster.
        allocations: the ledger, and who writes it.
        conflicts: what was set aside.
        decisions: who waits, and for what.
        queue: where Services are worked on.
        wall: nanoseconds since 1970: ``releasedAt`` outlives a boot.
    """

    def __init__(
        self,
        inventory: Inventory,
        allocations: Allocations,
        conflicts: Conflicts,
        decisions: Decisions,
        queue: WorkQueue[str],
        *,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._inventory = inventory
        self._allocations = allocations
        self._conflicts = conflicts
        self._decisions = decisions
        self._queue = queue
        self._wall = wall
        self._free = 0
        self._event = asyncio.Event()

    def freed(self) -> None:
        """An address was freed, or has fewer holders."""
        self._free += 1
        self._event.set()

    async def hand_on(self) -> None:
        """Has those looked at who wait for what is freed; until cancelled."""
        while True:
            await self._event.wait()
            self._event.clear()
            free, self._free = self._free, 0
            for asked, key in enumerate(sorted(self._decisions.waiting, key=self._age), start=1):
                if self._decisions.would_gain(key):
                    self._queue.add(key, Urgency.CHANGED)
                    free -= 1
                    if not free:
                        break
                if asked % YIELD_EACH == 0:
                    await asyncio.sleep(0)

    async def cool(self) -> None:
        """Frees what cooled down, or was set aside, for long enough; until cancelled."""
        while True:
            await asyncio.sleep(COOLING_PERIOD)
            now, ledger = self._wall(), self._allocations.ledger
            for address in (*ledger.lapsed(now), *self._conflicts.lapsed(now))[:COOLED_AT_ONCE]:
                spec = ledger.get(address)
                # Some may have it all the same, for they asked for it: it stays theirs.
                held = spec is not None and spec.services
                self._allocations.plan(address, forgiven(spec) if spec is not None and held else None)
                try:
                    await self._allocations.settle(address)
                except ClusterError as error:
                    log.warning("an address is kept for now", address=str(address), error=str(error))
                    break

    def _age(self, key: str) -> tuple[str, str]:
        service = self._inventory.services.objects.get(key)
        return ("" if service is None else service.metadata.creation_timestamp, key)
