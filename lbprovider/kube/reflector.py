"""Keeps somebody's view of a collection up to date: list in pages, watch, and again, for as long as it takes."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final, Generic, TypeVar

import structlog

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.errors import ClusterError, Gone
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.ports import Api, Bookmark, Changed, Deleted, Sink, Unreadable, WatchEvent

STEADY: Final = 10.0
"""Seconds that a watch must have lasted to count as a success. One that ends sooner is paused after as if it had
failed, or a server that ends each watch at once would be asked in a loop."""

_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=Object)


class Reflector(Generic[T]):
    """Feeds a sink with a collection.

    Args:
        api: the API server.
        resource: what is watched.
        namespace: in which namespace; empty for all.
        label_selector: as ``kubectl --selector``.
        field_selector: as ``kubectl --field-selector``.
        clock: seconds, monotonic.
        rand: uniform in [0, 1).

    Attributes:
        synced: the sink has had a full list.
        stale_since: by ``clock``, since when the sink may be behind; None while the watch is up.
        error: the last failure, None while the watch is up.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        clock: Callable[[], float] = time.monotonic,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self.stale_since: float | None = clock()
        self.error: ClusterError | None = None
        self._synced = asyncio.Event()
        self._api = api
        self._resource = resource
        self._scope = {"namespace": namespace, "label_selector": label_selector, "field_selector": field_selector}
        self._clock = clock
        self._backoff = Backoff(rand)
        self._version = ""  # where the next watch goes on; empty: list first
        self._accepted = math.inf  # since when this watch is up
        self._heard = clock()  # when the API server last said anything
        self._log = _log.bind(kind=resource.kind)

    @property
    def synced(self) -> bool:
        """Whether the sink has had a full list."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Until the sink has had a full list."""
        await self._synced.wait()

    async def run(self, sink: Sink[T]) -> None:
        """Feeds the sink until cancelled; no answer of the API server ends it.

        A sink that raises on one object is a bug of ours: logged, and the other objects go on.
        """
        while True:
            failure: ClusterError | None = None
            self._accepted = math.inf
            try:
                if not self._version:
                    await self._list(sink)
                if self._version:
                    await self._watch(sink)
            except ClusterError as error:
                failure = error
                self._failed(error)
            steady = self._clock() - self._accepted >= STEADY
            if steady:
                self._backoff.reset()
            if failure is not None or not steady:
                await asyncio.sleep(self._backoff.pause(failure))

    async def _list(self, sink: Sink[T]) -> None:
        listed = await self._api.list(self._resource, **self._scope)
        for unreadable in listed.unreadable:
            self._log.error(str(unreadable), reason="ObjectUnreadable")
        with self._guarded("all objects"):
            sink.replaced(listed.objects, listed.unreadable)
            self._version = listed.resource_version
            self._synced.set()
            self._up()

    async def _watch(self, sink: Sink[T]) -> None:
        async with aclosing(self._api.watch(self._resource, self._version, **self._scope)) as events:
            async for event in events:
                self._accepted = min(self._accepted, self._clock())
                self._up()
                self._deliver(sink, event)

    def _deliver(self, sink: Sink[T], event: WatchEvent[T]) -> None:
        match event:
            case Changed(obj):
                self._version = obj.metadata.resource_version
                with self._guarded(obj.key):
                    sink.changed(obj)
            case Deleted(obj):
                self._version = obj.metadata.resource_version
                with self._guarded(obj.key):
                    sink.deleted(obj)
            case Unreadable(metadata=metadata):
                # Without a version (not even metadata could be read) the next watch tells of it once more.
                self._version = metadata.resource_version or self._version
                self._log.error(str(event), reason="ObjectUnreadable")
                with self._guarded(event.key):
                    sink.unreadable(event)
            case Bookmark(version):
                self._version = version

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception:  # noqa: BLE001  (a sink's bug on one object must not end the others; it is logged whole)
            self._log.exception("a bug in lbprovider: what the API server said is passed by", object=what)

    def _up(self) -> None:
        self._heard = self._clock()
        self.stale_since = None
        if self.error is not None:
            self._log.info("the API server answers again", reason="ClusterAnswers")
            self.error = None

    def _failed(self, error: ClusterError) -> None:
        if isinstance(error, Gone):
            self._version = ""
        if self.stale_since is None:
            self.stale_since = self._heard
        if type(error) is not type(self.error):
            # Once for each kind of failure, not once for each attempt of an outage that lasts for days.
            self._log.warning(str(error), reason=type(error).__name__)
        self.error = error
