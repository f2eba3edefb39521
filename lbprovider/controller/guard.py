"""The API server as the leader sees it: no write without the Lease, and whether it answers."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.errors import ClusterError, LeaseLost, Unreachable
from lbprovider.kube.ports import Api, Listed, WatchEvent

T = TypeVar("T", bound=Object)
R = TypeVar("R")

SILENT: Final = 10.0
"""Seconds without an answer after which we say that the API server can't be reached."""


class Reach:
    """Whether the API server answers.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failing_since: float | None = None
        self._why = ""

    def why_not(self) -> str:
        """One sentence, empty while it answers."""
        lasting = self._failing_since is not None and self._clock() - self._failing_since >= SILENT
        return self._why if lasting else ""

    async def ask(self, request: Awaitable[R]) -> R:
        """Makes a request, and notes whether there was an answer: a refusal is one."""
        try:
            answer = await request
        except Unreachable as error:
            self._why = str(error)
            if self._failing_since is None:
                self._failing_since = self._clock()
            raise
        except ClusterError:
            self._failing_since = None
            raise
        self._failing_since = None
        return answer


class Guarded:
    """``ports.Api`` whose writes fail once the Lease may be another's: its clock says so, nobody has to tell us.

    Args:
        api: the API server.
        reach: notes whether it answers.
        held: whether we may write now.
    """

    def __init__(self, api: Api, reach: Reach, held: Callable[[], bool] = lambda: True) -> None:
        self._api = api
        self._reach = reach
        self._held = held

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        return await self._reach.ask(self._api.get(resource, name, namespace=namespace))

    async def list(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listed[T]:
        return await self._reach.ask(
            self._api.list(resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector)
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
        self._may_write()
        return await self._reach.ask(self._api.create(resource, obj))

    async def replace(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        self._may_write()
        return await self._reach.ask(self._api.replace(resource, obj, subresource=subresource))

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
        self._may_write()
        return await self._reach.ask(
            self._api.patch(resource, name, body, namespace=namespace, subresource=subresource, strategic=strategic)
        )

    async def delete(
        self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "", resource_version: str = ""
    ) -> None:
        self._may_write()
        await self._reach.ask(
            self._api.delete(resource, name, namespace=namespace, uid=uid, resource_version=resource_version)
        )

    def _may_write(self) -> None:
        if not self._held():
            raise LeaseLost("not written: another replica may be the leader by now")
