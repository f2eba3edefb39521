"""Kubernetes Events: what ``kubectl describe`` shows beneath an object."""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import msgspec
import structlog

from lbprovider.api.core import Event, EventSource, ObjectReference
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import EVENTS, Resource
from lbprovider.api.times import rfc3339
from lbprovider.errors import Conflict, LbproviderError, NotFound, Overloaded, Unreachable
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.ports import Api

QUEUE: Final = 1024
"""Reports that wait to be written; more are dropped, as the conditions say the same."""
KNOWN: Final = 4096
"""Events whose repetition is recognised; the one that was repeated longest ago is forgotten first."""
COUNT_EACH: Final = 60.0
"""Seconds between two writes of one Event's count."""
ATTEMPTS: Final = 3
"""How often a write is tried while the API server doesn't answer."""
MESSAGE_LIMIT: Final = 1024
"""Characters of a message: the API server refuses more."""
NAME_LIMIT: Final = 230
"""Characters of the object's name in the Event's, which ends in a time and has 253."""
CLUSTER_SCOPED: Final = "default"
"""The namespace of Events about cluster-scoped objects, as in Kubernetes itself."""

_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=Object)


@dataclass(slots=True)
class _Known:
    """An Event that was reported: its object in the API server, once there is one, and how often since."""

    event: Event
    count: int = 1
    written: int = 0
    written_at: float = 0.0
    queued: bool = True


class Recorder:
    """Writes Events, best effort: it never blocks, fails or slows down whoever reports.

    Args:
        api: the API server.
        component: ``lbprovider-controller`` or ``lbprovider-speaker``.
        instance: the Pod or node.
        clock: seconds, monotonic.
        wall: seconds since 1970, for the timestamps that people read.
        rand: uniform in [0, 1).
    """

    def __init__(
        self,
        api: Api,
        *,
        component: str,
        instance: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._api = api
        self._component = component
        self._instance = instance
        self._clock = clock
        self._wall = wall
        self._rand = rand
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._queue: asyncio.Queue[_Known] = asyncio.Queue(QUEUE)
        self._named = 0
        self._complained: set[str] = set()

    def event(
        self, resource: Resource[T], obj: T, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Reports something that happened to an object; the same again within a minute is only counted."""
        key = (resource.kind, obj.metadata.uid or obj.key, reason, message)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._new(resource, obj, kind, reason, message)
            if len(self._known) > KNOWN:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
            known.count += 1
            if known.queued or self._clock() - known.written_at < COUNT_EACH:
                # The next repetition after that minute writes this one's count too.
                return
            known.queued = True
        try:
            self._queue.put_nowait(known)
        except asyncio.QueueFull:
            # Forgotten too: said again, it is a new one.
            del self._known[key]
            self._complain("EventsDropped", f"more than {QUEUE} Events wait to be written: more are dropped")

    async def run(self) -> None:
        """Writes what was reported, until cancelled."""
        while True:
            known = await self._queue.get()
            known.queued = False
            try:
                await self._write(known)
            except LbproviderError as error:
                # Best effort: the object's condition says the same.
                self._complain(type(error).__name__, f"Events are not written: {error}")
            known.written_at = self._clock()

    async def _write(self, known: _Known) -> None:
        backoff = Backoff(self._rand)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._put(known)
            except (Unreachable, Overloaded) as error:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(backoff.pause(error))
            else:
                return

    async def _put(self, known: _Known) -> None:
        count = known.count
        metadata = known.event.metadata
        if known.written:
            body = {"count": count, "lastTimestamp": self._now()}
            try:
                await self._api.patch(EVENTS, metadata.name, body, namespace=metadata.namespace)
            except NotFound:
                # Events live for an hour: it starts anew.
                known.written = 0
        if not known.written:
            event = msgspec.structs.replace(known.event, count=count, last_timestamp=self._now())
            try:
                await self._api.create(EVENTS, event)
            except Conflict:
                # An attempt of ours whose answer was lost.
                _log.debug("the Event is there already", reason="EventExists", name=metadata.name)
        known.written = count

    def _new(
        self, resource: Resource[T], obj: T, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> _Known:
        now = self._now()
        about = ObjectReference(
            kind=resource.kind,
            name=obj.metadata.name,
            api_version=resource.api_version,
            namespace=obj.metadata.namespace,
            uid=obj.metadata.uid,
            resource_version=obj.metadata.resource_version,
        )
        self._named += 1
        return _Known(
            Event(
                metadata=ObjectMeta(
                    name=f"{obj.metadata.name[:NAME_LIMIT]}.{int(self._wall() * 1e9) + self._named:x}",
                    namespace=obj.metadata.namespace or CLUSTER_SCOPED,
                ),
                involved_object=about,
                reason=reason,
                message=message[:MESSAGE_LIMIT],
                type=kind,
                source=EventSource(component=self._component, host=self._instance),
                first_timestamp=now,
                last_timestamp=now,
                reporting_component=self._component,
                reporting_instance=self._instance,
            )
        )

    def _now(self) -> str:
        return rfc3339(self._wall())

    def _complain(self, reason: str, message: str) -> None:
        """Once for each reason, or a missing RBAC rule would fill the log."""
        if reason not in self._complained:
            self._complained.add(reason)
            _log.warning(message, reason=reason)
