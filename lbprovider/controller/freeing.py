"""What becomes free: cool-downs that end, and who gets an address that was freed.

Not everybody who waits is asked at once: for each freed address one Service that would get something by it, the oldest
first, and the next one where that one took nothing after all; and where others than before may join a shared address,
those who have its key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from lbprovider.api import names
from lbprovider.api.names import IPAddress
from lbprovider.controller.allocations import Allocations
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.writer import Urgency, WorkQueue
from lbprovider.deciding.conflicts import Conflicts
from lbprovider.deciding.services import Decisions
from lbprovider.errors import ClusterError, InvalidObject, LeaseLost, Overloaded, Unauthorized, Unreachable
from lbprovider.ipam.sharing import forgiven

COOLING_PERIOD: Final = 1.0
"""Seconds between two looks at what has cooled down."""
COOLED_AT_ONCE: Final = 16
"""IPAllocations of cooled addresses deleted in one look while Services come and go: those have the API server first."""
KEPT: Final = 30.0
"""Seconds before one is tried again that the API server refused to delete."""
YIELD_EACH: Final = 64
"""Services asked between two turns of the event loop."""

_OUTAGE: Final = (Unreachable, Overloaded, Unauthorized, LeaseLost)
"""Nothing else would be taken either."""

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
        self._keys: set[str] = set()
        # Who was asked for something that was freed, and has not been worked on since; who was, and took nothing.
        self._asked: set[str] = set()
        self._passed: set[str] = set()
        # Until when not to try again, by address.
        self._kept: dict[IPAddress, float] = {}
        self._event = asyncio.Event()

    def freed(self) -> None:
        """An address was freed, or has fewer holders."""
        self._passed.clear()
        self._free += 1
        self._event.set()

    def shared(self, key: str) -> None:
        """Others than before may join an address of this sharing key."""
        self._keys.add(key)
        self._event.set()

    def worked_on(self, key: str, *, took: bool) -> None:
        """A Service was worked on; whether it took an address that nobody had."""
        if key in self._asked:
            self._asked.remove(key)
            if not took:
                self._passed.add(key)
                self._free += 1
                self._event.set()

    async def hand_on(self) -> None:
        """Has those looked at who wait for what is freed; until cancelled."""
        while True:
            await self._event.wait()
            self._event.clear()
            free, self._free = self._free, 0
            keys, self._keys = self._keys, set()
            for asked, key in enumerate(sorted(self._decisions.waiting, key=self._age), start=1):
                if not free and not keys:
                    break
                offered = free > 0 and key not in self._asked and key not in self._passed
                may = offered or self._sharing_key(key) in keys
                if may and self._decisions.would_gain(key) and self._queue.add(key, Urgency.CHANGED) and offered:
                    self._asked.add(key)
                    free -= 1
                if asked % YIELD_EACH == 0:
                    await asyncio.sleep(0)

    async def cool(self) -> None:
        """Frees what cooled down, or was set aside, for long enough; until cancelled."""
        while True:
            await asyncio.sleep(COOLING_PERIOD)
            try:
                await self._forget()
            except ClusterError as error:
                log.warning("addresses are kept for now", error=str(error))

    async def _forget(self) -> None:
        """Deletes the IPAllocations that are over, a few where Services wait to be worked on.

        Raises:
            ClusterError: the API server takes nothing just now; one that it refuses doesn't stop the others.
        """
        now, time_of_day, ledger = asyncio.get_running_loop().time(), self._wall(), self._allocations.ledger
        over = {
            address: ledger.get(address)
            for address in (*ledger.lapsed(time_of_day), *self._conflicts.lapsed(time_of_day))
        }
        self._kept = {address: until for address, until in self._kept.items() if address in over}
        tried = 0
        for address, spec in over.items():
            # Another one by now: it was given meanwhile, or somebody else wrote it.
            if spec is None or ledger.get(address) is not spec or self._kept.get(address, 0) > now:
                continue
            if tried >= COOLED_AT_ONCE and len(self._queue):
                return
            tried += 1
            # Some may have it all the same, for they asked for it: it stays theirs.
            self._allocations.plan(address, forgiven(spec) if spec.services else None)
            try:
                await self._allocations.settle(address)
            except ClusterError as error:
                # In an outage too, the next look begins with another one: it may be this one's alone.
                self._kept[address] = now + KEPT
                if isinstance(error, _OUTAGE):
                    raise
                log.warning("an address is kept for now", address=str(address), error=str(error))

    def _age(self, key: str) -> tuple[str, str]:
        service = self._inventory.services.objects.get(key)
        return ("" if service is None else service.metadata.creation_timestamp, key)

    def _sharing_key(self, key: str) -> str:
        service = self._inventory.services.objects.get(key)
        try:
            said = None if service is None else names.alias(service.metadata.annotations, names.ALLOW_SHARED_IP)
        except InvalidObject:
            return ""  # which its condition says
        return said or ""
