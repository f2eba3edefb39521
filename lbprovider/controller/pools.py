"""Pools and advertisements: what they come to is decided at once, and written into their status a little later.

Counters change with each address; a pool's status is written at most once a second, and nobody but people reads it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from lbprovider.api.conditions import PoolCondition
from lbprovider.api.core import Node, Service
from lbprovider.api.meta import Struct
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.api.resources import ADVERTISEMENTS, POOLS, Resource
from lbprovider.api.times import rfc3339
from lbprovider.controller.inventory import Change, Inventory, Store
from lbprovider.controller.speakers import Speakers
from lbprovider.deciding.pools import Sight, advertisement_status, pool_status, resolved
from lbprovider.errors import ClusterError, Conflict, KindMissing, NotFound
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.kube import patches
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.events import Recorder
from lbprovider.kube.ports import Api

PERIOD: Final = 1.0
"""Seconds between two writes of one pool's status."""

P = TypeVar("P", IPAddressPool, L2Advertisement)

log = structlog.get_logger(__name__)


class Pools:
    """Keeps the ledger's pools as the API server has them, and says what they come to.

    Args:
        api: the API server.
        inventory: what is known of the cluster.
        ledger: accounts addresses to pools.
        speakers: who registered, with which interfaces.
        recorder: writes Events.
        answering: how the LAN answers for whatever address a pool gives, as a sentence; empty where it doesn't.
        changed: called when pools or advertisements have changed what Services may get.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        api: Api,
        inventory: Inventory,
        ledger: Ledger,
        speakers: Speakers,
        *,
        recorder: Recorder,
        answering: Callable[[str], str],
        changed: Callable[[], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._inventory = inventory
        self._ledger = ledger
        self._speakers = speakers
        self._recorder = recorder
        self._answering = answering
        self._tell = changed
        self._wall = wall
        self._resolved: tuple[L2Advertisement, ...] = ()
        self._due = asyncio.Event()
        self._stale = False
        self._read()
        inventory.pools.subscribe(self._pool_changed)
        inventory.advertisements.subscribe(self._advertisement_changed)
        # What advertisements select by, too.
        inventory.nodes.subscribe(self._labels_changed)
        inventory.services.subscribe(self._labels_changed)
        speakers.subscribe(self.counted)

    def advertisements(self) -> tuple[L2Advertisement, ...]:
        """All L2Advertisements, with the pools that they come to, whether written yet or not."""
        return self._resolved

    def counted(self) -> None:
        """An address was given or freed, or a speaker says something else: statuses are due."""
        self._due.set()

    async def run(self) -> None:
        """Writes what is due, once a second, and less often while the API server doesn't take it; until cancelled.

        Raises:
            KindMissing: a CRD was taken away.
        """
        self._due.set()
        backoff = Backoff(random.random)
        while True:
            await self._due.wait()
            self._due.clear()
            failure: ClusterError | None = None
            self._resolve()
            for pool in list(self._inventory.pools.objects.values()):
                counted = pool_status(pool, self._ledger, self._answering(pool.metadata.name), self._now())
                failure = await self._write(POOLS, self._inventory.pools, pool, counted) or failure
            # While speakers come, nobody knows what interfaces there are; they say when that is over.
            registrations = None if self._speakers.arriving() else self._speakers.registrations
            sight = Sight(self._inventory.known, self._ledger, registrations)
            for advertisement in self._resolved:
                status = advertisement_status(advertisement, sight, self._now())
                failure = (
                    await self._write(ADVERTISEMENTS, self._inventory.advertisements, advertisement, status) or failure
                )
            if failure is None:
                backoff.reset()
                await asyncio.sleep(PERIOD)
            else:
                await asyncio.sleep(max(PERIOD, backoff.pause(failure)))

    def _pool_changed(self, change: Change[IPAddressPool]) -> None:
        old, new = change.old, change.new
        if old is None or new is None or _rules(old) != _rules(new):
            self._refresh()

    def _advertisement_changed(self, change: Change[L2Advertisement]) -> None:
        old, new = change.old, change.new
        if old is None or new is None or old.spec != new.spec:
            self._refresh()

    def _labels_changed(self, change: Change[Node] | Change[Service]) -> None:
        old, new = change.old, change.new
        if old is None or new is None or old.metadata.labels != new.metadata.labels:
            self._due.set()

    def _refresh(self) -> None:
        # Once for all the events at hand: to account everything anew costs as much as there is held.
        if not self._stale:
            self._stale = True
            asyncio.get_running_loop().call_soon(self._read_anew)

    def _read_anew(self) -> None:
        self._stale = False
        self._read()
        self._due.set()
        self._tell()

    def _read(self) -> None:
        pools = PoolSet.of(self._inventory.pools.objects.values())
        for name, problems in pools.refused.items():
            if name not in self._ledger.pools.refused:
                log.warning("pool refused", pool=name, reason=problems[0].reason, message=problems[0].message)
        self._ledger.repool(pools)
        self._resolve()

    def _resolve(self) -> None:
        known = self._inventory.known
        self._resolved = resolved(known.advertisements.values(), known.pools.values(), self._ledger)

    def _now(self) -> str:
        return rfc3339(self._wall())

    async def _write(self, resource: Resource[P], store: Store[P], obj: P, status: Struct) -> ClusterError | None:
        """Writes where it differs; what failed, where that is to be tried less often."""
        stored = store.objects.get(obj.key)
        body = None if stored is None else patches.status(stored, status)
        if body is None or stored is None:
            return None
        meta = stored.metadata
        try:
            written = await self._api.patch(resource, meta.name, body, namespace=meta.namespace, subresource="status")
        except KindMissing:
            raise
        except (Conflict, NotFound):
            self._due.set()  # it has changed or gone meanwhile, and its event may be here already
        except ClusterError as error:
            self._due.set()
            log.warning("status not written", kind=resource.kind, name=meta.name, error=str(error))
            return error
        else:
            store.changed(written)
            self._report(resource, stored, written)
        return None

    def _report(self, resource: Resource[P], before: P, now: P) -> None:
        """One Event for whatever became wrong, though two conditions say it."""
        old = {one.type: one for one in before.status.conditions}
        wrong = (one for one in now.status.conditions if (one.status == "True") != (one.type == PoolCondition.READY))
        new = (one for one in wrong if one.type not in old or old[one.type].reason != one.reason)
        for reason, message in dict.fromkeys((one.reason, one.message) for one in new):
            self._recorder.event(resource, now, "Warning", reason, message)


def _rules(pool: IPAddressPool) -> object:
    meta = pool.metadata
    return (pool.spec, meta.labels, meta.annotations, meta.uid)
