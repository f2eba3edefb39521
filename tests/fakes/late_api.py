"""An API server that is far away: every request and every answer takes its time, and so does what watches tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from lbprovider.api.meta import Object
from lbprovider.controller.inventory import Store
from lbprovider.kube.passing import Outgoing, Passing
from lbprovider.kube.ports import Api, Unreadable

R = TypeVar("R")
Delay = Callable[[], float]
"""Seconds, drawn anew each time."""


class LateApi(Passing):
    """``ports.Api`` on the other side of a slow network; lists are in time, and watches are ``LateStore``'s to delay.

    Args:
        api: the API server.
        delay: of each request on its way there, and of each answer on its way back.
    """

    def __init__(self, api: Api, delay: Delay) -> None:
        super().__init__(api)
        self._delay = delay

    async def _pass(self, request: Outgoing[R]) -> R:
        if request.method == "list":
            return await request.send()
        await asyncio.sleep(self._delay())
        try:
            return await request.send()
        finally:
            await asyncio.sleep(self._delay())


class LateStore:
    """A store's ear for watches: it hears everything later, and in order.

    Args:
        store: who is told.
        delay: of each event, from when it could have been told.
    """

    def __init__(self, store: Store[Any], delay: Delay) -> None:
        self._store = store
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._last = 0.0
        self.resource = store.resource

    def replaced(self, objects: Sequence[Any], unreadable: Sequence[Unreadable]) -> None:
        self._store.replaced(objects, unreadable)  # it is asked for, and says how old it is

    def changed(self, obj: Any) -> None:
        self._later(lambda: self._store.changed(obj))

    def deleted(self, obj: Object) -> None:
        self._later(lambda: self._store.deleted(obj))

    def unreadable(self, unreadable: Unreadable) -> None:
        self._later(lambda: self._store.unreadable(unreadable))

    def _later(self, tell: Callable[[], None]) -> None:
        # Timers of one instant run in no promised order, so each is a little later than the one before.
        self._last = max(self._last + 1e-6, self._loop.time() + self._delay())
        self._loop.call_at(self._last, tell)
