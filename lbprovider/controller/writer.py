"""Work by key: many at once, one key never twice at once, new Services before old ones, failures again later."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from enum import IntEnum
from typing import Final, Generic, TypeVar

import structlog

from lbprovider.errors import ClusterError, Overloaded

K = TypeVar("K", bound=Hashable)

WORKERS: Final = 16
"""Writes in flight: from 8 to 32 a burst takes equally long, more gain nothing (measured)."""
BACKOFF_FIRST: Final = 0.05
BACKOFF_MOST: Final = 30.0
"""Seconds before a failed key's first and its longest wait; each is twice the one before."""
STOP_TIMEOUT: Final = 2.0
"""Seconds that a write in flight has to end by itself when we stop."""

log = structlog.get_logger(__name__)


class Urgency(IntEnum):
    """Who goes first."""

    NEW = 0
    """Somebody waits for an address."""
    CHANGED = 1
    """Something differs from what was written."""
    RESYNC = 2
    """Looked at again, mostly with nothing to do."""


class WorkQueue(Generic[K]):
    """Keys to work on, and the workers that do.

    A key that is added while it waits stays once, at the more urgent place; one that is added while it is worked on
    is worked on again. A ``ClusterError`` puts the key off, longer each time, and any other exception too: that is a
    bug, logged with its key, and the others go on. So the queue never holds more than one entry a key.

    Args:
        work: does what a key needs, from the newest state there is.
        workers: how many keys at once.
        rand: 0 to 1, for jitter.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[None]],
        *,
        workers: int = WORKERS,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._work = work
        self._workers = workers
        self._rand = rand
        self._lanes: tuple[OrderedDict[K, None], ...] = tuple(OrderedDict() for _ in Urgency)
        self._waiting: dict[K, Urgency] = {}
        self._active: dict[K, asyncio.Task[None]] = {}
        self._again: dict[K, Urgency] = {}
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._running = False
        self._settled = asyncio.Event()
        self._settled.set()

    def __len__(self) -> int:
        """How many keys wait, are worked on or are put off."""
        return len(self._waiting.keys() | self._active.keys() | self._timers.keys())

    def add(self, key: K, urgency: Urgency) -> bool:
        """Has the key worked on: at once if a worker is free, and not before its backoff is over.

        Returns:
            False where it is put off, and worked on when that is over.
        """
        self._settled.clear()
        if key in self._active:
            self._again[key] = min(urgency, self._again.get(key, urgency))
        elif key not in self._timers:
            before = self._waiting.get(key)
            if before is None or urgency < before:
                if before is not None:
                    del self._lanes[before][key]
                self._waiting[key] = urgency
                self._lanes[urgency][key] = None
                self._fill()
        return key not in self._timers

    async def run(self) -> None:
        """Works until cancelled; then what is in flight has two seconds to end."""
        self._running = True
        self._fill()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._running = False
            for timer in self._timers.values():
                timer.cancel()
            if tasks := list(self._active.values()):
                _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    async def settled(self) -> None:
        """Until nothing waits, is worked on or is put off."""
        await self._settled.wait()

    def _fill(self) -> None:
        while self._running and len(self._active) < self._workers and (key := self._next()) is not None:
            self._active[key] = asyncio.create_task(self._one(key))

    def _next(self) -> K | None:
        for lane in self._lanes:
            if lane:
                key, _ = lane.popitem(last=False)
                del self._waiting[key]
                return key
        return None

    async def _one(self, key: K) -> None:
        delay = None
        try:
            await self._work(key)
            self._failures.pop(key, None)
        except ClusterError as error:
            delay = self._put_off(key, error.retry_after if isinstance(error, Overloaded) else None)
            log.warning("put off", key=str(key), seconds=round(delay, 2), error=str(error))
        except Exception:
            delay = self._put_off(key, None)
            log.exception("put off by a bug in lbprovider", key=str(key), seconds=round(delay, 2))
        finally:
            del self._active[key]
        self._finished(key, delay)

    def _put_off(self, key: K, asked: float | None) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        backoff = min(BACKOFF_FIRST * 2.0 ** min(failures - 1, 16), BACKOFF_MOST)
        # Jitter only adds: what the API server asked for is the least that it gets.
        return max(backoff, asked or 0.0) * (1 + self._rand() / 2)

    def _finished(self, key: K, delay: float | None) -> None:
        again = self._again.pop(key, None)
        if not self._running:
            return
        if delay is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(delay, self._due, key)
        elif again is not None:
            self.add(key, again)
        self._fill()
        if not (self._waiting or self._active or self._timers):
            self._settled.set()

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key, Urgency.CHANGED)
