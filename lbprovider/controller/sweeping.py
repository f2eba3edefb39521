"""Our own lists: the first, from which everything is adopted, and those that find what the watches lost.

kopf tells of no deletion that happens while it isn't watching: between its list and ours, or before it lists anew after
a 410. So each of its lists, and ten minutes, bring a sweep: our list against what we know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from lbprovider.controller.inventory import Store
from lbprovider.errors import ClusterError, Gone, KindMissing, Overloaded, Unreachable
from lbprovider.kube.ports import Api

PERIOD: Final = 600.0
"""Seconds between two sweeps where nothing calls for one earlier."""
SETTLE: Final = 2.0
"""Seconds between the call for a sweep and its list: kopf tells of each object that it listed."""
RETRY: Final = 5.0
"""Seconds after a list that failed."""

log = structlog.get_logger(__name__)


class Sweeper:
    """Lists what is watched in the whole cluster.

    Args:
        api: the API server.
        stores: in the order of the lists: what refers to objects of another kind comes before them, so that an object
            that a later list lacks is gone for certain.
    """

    def __init__(self, api: Api, stores: Sequence[Store[Any]]) -> None:
        self._api = api
        self._stores = stores
        self._called = asyncio.Event()

    def call(self) -> None:
        """Has a sweep made soon."""
        self._called.set()

    async def fill(self) -> None:
        """The first lists; outlives an API server that is down.

        Raises:
            ClusterError: a kind is missing, or we may not list it.
        """
        while True:
            try:
                await self._list()
            except (Unreachable, Overloaded, Gone) as error:
                log.warning("can't list yet", error=str(error))
                await asyncio.sleep(RETRY)
            else:
                return

    async def run(self, swept: Callable[[], None]) -> None:
        """Sweeps until cancelled.

        Args:
            swept: called after each sweep.

        Raises:
            KindMissing: a CRD was taken away: nothing can be done, and a restart says so at once.
        """
        while True:
            try:
                async with asyncio.timeout(PERIOD):
                    await self._called.wait()
                await asyncio.sleep(SETTLE)
            except TimeoutError:
                pass  # it is time
            self._called.clear()
            try:
                await self._list()
            except KindMissing:
                raise
            except ClusterError as error:
                log.warning("not swept", error=str(error))
                await asyncio.sleep(RETRY)
                self._called.set()
            else:
                swept()

    async def _list(self) -> None:
        for store in self._stores:
            newest = store.newest
            listed = await self._api.list(store.resource)
            vanished = store.swept(listed, newest=newest)
            if vanished:
                log.info("found what had vanished unseen", kind=store.resource.kind, objects=vanished)
