"""An API server as a controller has it that dies: slow, failing, and cut off between any two writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import EVENTS, Resource
from lbprovider.errors import ClusterError, Conflict, Overloaded, Unreachable
from lbprovider.kube.ports import Listed, WatchEvent
from tests.fakes.api_server import FakeApi

T = TypeVar("T", bound=Object)
R = TypeVar("R")

FAULTS: Final[Mapping[str, Callable[[], ClusterError]]] = {
    "409": lambda: Conflict("somebody was faster, says the test", status=409, reason="Conflict"),
    "429": lambda: Overloaded("too many, says the test", retry_after=1.0),
    "500": lambda: Overloaded("broken, says the test"),
    "no connection": lambda: Unreachable("refused, says the test"),
    "answer lost": lambda: Unreachable("timed out, says the test"),
}
"""What becomes of a write; the last one takes effect all the same."""


class MortalApi:
    """``ports.Api`` of one controller.

    Args:
        api: the API server.
        random: how long requests and answers are on their way.
        wrote: called after each write that took effect.
    """

    def __init__(self, api: FakeApi, random: Random, wrote: Callable[[], None]) -> None:
        self.faults: list[str] = []
        """Of the next writes; empty for one that works."""
        self.dies_after: int | None = None
        """So many more writes; None for never."""
        self._api = api
        self._random = random
        self._wrote = wrote

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        await self._travel()
        return await self._api.get(resource, name, namespace=namespace)

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
        return await self._write(resource, lambda: self._api.create(resource, obj))

    async def replace(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        return await self._write(resource, lambda: self._api.replace(resource, obj, subresource=subresource))

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
        return await self._write(
            resource,
            lambda: self._api.patch(
                resource, name, body, namespace=namespace, subresource=subresource, strategic=strategic
            ),
        )

    async def delete(
        self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "", resource_version: str = ""
    ) -> None:
        await self._write(
            resource,
            lambda: self._api.delete(resource, name, namespace=namespace, uid=uid, resource_version=resource_version),
        )

    async def _write(self, resource: Resource[Any], request: Callable[[], Awaitable[R]]) -> R:
        if resource is EVENTS:
            return await request()
        await self._travel()
        if self.dies_after is not None:
            if not self.dies_after:
                raise Unreachable("dead, says the test")
            self.dies_after -= 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault and fault != "answer lost":
            raise _failure(fault)
        answer = await request()
        self._wrote()
        await self._travel()
        if fault:
            raise _failure(fault)
        return answer

    async def _travel(self) -> None:
        if self.dies_after == 0:
            raise Unreachable("dead, says the test")
        await asyncio.sleep(self._random.choice((0.0, 0.001, 0.01)))


def _failure(fault: str) -> ClusterError:
    return FAULTS[fault]()
