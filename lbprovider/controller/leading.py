"""One term as the leader: list, adopt, and only then allocate; then keep everything as it should be.

What watches is started first and stopped last; what writes is started last and stopped first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, ServiceClaim
from lbprovider.controller.allocations import Allocations
from lbprovider.controller.announcing import Announcing
from lbprovider.controller.freeing import Freeing
from lbprovider.controller.inventory import Change, Inventory
from lbprovider.controller.pools import Pools
from lbprovider.controller.segments import Segments
from lbprovider.controller.services import Services
from lbprovider.controller.speakers import Speakers
from lbprovider.controller.sweeping import Sweeper
from lbprovider.controller.tasks import beside
from lbprovider.controller.writer import Urgency
from lbprovider.deciding.book import Book
from lbprovider.deciding.conflicts import Conflicts
from lbprovider.deciding.known import Scope
from lbprovider.deciding.placing import Placing
from lbprovider.deciding.services import Decisions
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.kube.events import Recorder
from lbprovider.kube.ports import Api
from lbprovider.kube.reflector import Reflector
from lbprovider.settings import ControllerSettings

log = structlog.get_logger(__name__)

Watch = Callable[[Inventory, Callable[[], None]], Coroutine[Any, Any, None]]
"""Feeds the stores of cluster-wide kinds until cancelled; calls back when it lists anew."""


async def lead(api: Api, settings: ControllerSettings, watch: Watch, adopted: Callable[[], None]) -> None:
    """Leads until cancelled.

    Args:
        api: the API server; refuses writes once the Lease is lost.
        settings: of the controller.
        watch: feeds what lives in the whole cluster; ``watching.Watches`` does.
        adopted: called when everything that there was is known, and work begins.

    Raises:
        ClusterError: a CRD or a permission was taken away.
    """
    inventory = Inventory()
    recorder = Recorder(api, component="lbprovider-controller", instance=settings.identity)
    # IPAllocations name Services, and so are listed before them.
    wide = (inventory.allocations, inventory.segments, inventory.nodes, inventory.namespaces, inventory.services)
    sweeper = Sweeper(api, wide)
    own = settings.namespace
    pools = Reflector(api, inventory.pools.resource, namespace=own)
    advertisements = Reflector(api, inventory.advertisements.resource, namespace=own)
    leases = Reflector(api, inventory.leases.resource, namespace=own, label_selector=names.SPEAKER_LABEL)
    async with beside(
        watch(inventory, sweeper.call),
        pools.run(inventory.pools),
        advertisements.run(inventory.advertisements),
        leases.run(inventory.leases),
        recorder.run(),
    ):
        await sweeper.fill()
        for reflector in (pools, advertisements, leases):
            await reflector.wait_synced()
        work = Work(api, inventory, recorder, settings)
        work.services.adopt()
        log.info("adopted", allocations=len(work.ledger), services=len(inventory.services.objects))
        adopted()
        async with beside(sweeper.run(work.swept), *work.writers()):
            await asyncio.get_running_loop().create_future()


class Work:
    """All parts that decide and write, put together over one inventory.

    Args:
        api: the API server.
        inventory: filled.
        recorder: writes Events.
        settings: of the controller.
    """

    def __init__(self, api: Api, inventory: Inventory, recorder: Recorder, settings: ControllerSettings) -> None:
        self._inventory = inventory
        self.ledger = Ledger(PoolSet.of(inventory.pools.objects.values()))
        book = Book(self.ledger)
        # The ledger is brought up to date first, then whoever decides on it hears of the change.
        self._allocations = Allocations(
            api, inventory.allocations, book, changed=self._claimed, freed=self._freed, shared=self._shared
        )
        self._conflicts = Conflicts(book.set_aside)
        for name, allocation in inventory.allocations.objects.items():
            self._conflicts.learn(name, allocation)
        inventory.allocations.subscribe(self._conflict_changed)
        clock = asyncio.get_running_loop().time
        speakers = Speakers(inventory.leases, clock)
        self._pools = Pools(
            api,
            inventory,
            self.ledger,
            speakers,
            recorder=recorder,
            answering=self._conflicts.answering,
            changed=self._look_again,
        )
        self._placing = Placing(inventory.known, speakers, self._pools.advertisements, book.loads)
        decisions = Decisions(
            inventory.known,
            book,
            self._allocations.plan,
            places=self._placing,
            conflicts=self._conflicts,
            scope=Scope(settings.lb_class, settings.default_class),
            wall=time.time,
        )
        self.services = Services(
            api, inventory, self._allocations, decisions, worked_on=self._worked_on, recorder=recorder, clock=clock
        )
        self._freeing = Freeing(inventory, self._allocations, self._conflicts, decisions, self.services.queue)
        self._segments = Segments(
            api, inventory, speakers, self._pools, self.ledger, recorder=recorder, placed=self._replace, clock=clock
        )
        self._announcing = Announcing(api, inventory, speakers, self._pools.advertisements, recorder=recorder)
        inventory.allocations.subscribe(self._allocation_changed)

    def writers(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What writes, each until cancelled."""
        return (
            self.services.queue.run(),
            self._freeing.hand_on(),
            self._freeing.cool(),
            self._pools.run(),
            self._segments.run(),
            self._announcing.run(),
        )

    def swept(self) -> None:
        """Everything was listed: what names a Service that isn't there is left over for certain."""
        for address in self.ledger:
            if (spec := self.ledger.get(address)) is not None:
                self.services.claimed(spec.services, urgency=Urgency.RESYNC, certain=True)
        self._look_again()

    def _claimed(self, claims: tuple[ServiceClaim, ...]) -> None:
        self.services.claimed(claims)

    def _conflict_changed(self, change: Change[IPAllocation]) -> None:
        if self._conflicts.learn(change.key, change.new):
            self._claimed(() if change.new is None else change.new.spec.services)

    def _freed(self) -> None:
        self._freeing.freed()

    def _worked_on(self, key: str, took: bool) -> None:  # noqa: FBT001  (a callback)
        self._freeing.worked_on(key, took=took)

    def _shared(self, key: str) -> None:
        self._freeing.shared(key)

    def _look_again(self) -> None:
        self.services.look_again()
        self._segments.look()
        self._announcing.look()

    def _replace(self) -> None:
        """Speakers or advertisements came or went: some addresses find a LAN or a node only now."""
        for address in self.ledger:
            spec = self.ledger.get(address)
            if spec is not None and self._placing.misplaced(spec):
                for claim in spec.services:
                    self.services.queue.add(claim.key, Urgency.CHANGED)

    def _allocation_changed(self, change: Change[IPAllocation]) -> None:
        self._pools.counted()
        if change.new is not None and change.new.spec.segment not in ("", *self._inventory.segments.objects):
            self._segments.look()
