"""An API server that is far away: every request and every answer takes its time, and so does what watches tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.controller.inventory import Store
from lbprovider.kube.ports import Api, Listed, Unreadable, WatchEvent

T = TypeVar("T", bound=Object)
R = TypeVar("R")
Delay = Callable[[], float]
"""Seconds, drawn anew each time."""


class LateApi:
    """``ports.Api`` on the other side of a slow network; watches are ``LateStore``'s to delay.

    Args:
        api: the API server.
        delay: of each request on its way there, and of each answer on its way back.
    """

    def __init__(self, api: Api, delay: Delay) -> None:
        self._api = api
        self._delay = delay

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        return await self._late(lambda: self._api.get(resource, name, namespace=namespace))

    async def list(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listed[T]:
        return await self._api.list(
            resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector
        )

    def watch(
        self,
        resource: Resource[T],
        resource_version: str,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent[T], None]:
        return self._api.watch(
            resource,
            resource_version,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )

    async def create(self, resource: Resource[T], obj: T) -> T:
        return await self._late(lambda: self._api.create(resource, obj))

    async def replace(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        return await self._late(lambda: self._api.replace(resource, obj, subresource=subresource))

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        strategic: bool = False,
    ) -> T:
        return await self._late(
            lambda: self._api.patch(
                resource, name, body, namespace=namespace, subresource=subresource, strategic=strategic
            )
        )

    async def delete(
        self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "", resource_version: str = ""
    ) -> None:
        await self._late(
            lambda: self._api.delete(
                resource, name, namespace=namespace, uid=uid, resource_version=resource_version
            )
        )  # fmt: skip

    async def _late(self, request: Callable[[], Awaitable[R]]) -> R:
        await asyncio.sleep(self._delay())
        try:
            return await request()
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
