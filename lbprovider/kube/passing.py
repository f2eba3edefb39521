"""An API server in front of another one: every request is passed on, in one place for who refuses, counts or delays."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.kube.ports import Api, Listed, WatchEvent

T = TypeVar("T", bound=Object)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Outgoing(Generic[R]):
    """A request that is not made yet.

    Args:
        method: the port's.
        resource: what kind it is about.
        send: makes it, and raises what the port says.
    """

    method: Literal["get", "list", "create", "replace", "patch", "delete"]
    resource: Resource[Any]
    send: Callable[[], Awaitable[R]]

    @property
    def writes(self) -> bool:
        """Whether it may change anything: whatever isn't known to read only."""
        return self.method not in ("get", "list")


class Passing:
    """``ports.Api`` that passes everything on as it is; who extends it says in ``_pass`` what else becomes of requests.

    Watches, which go on for minutes and have no one answer, don't come by there.

    Args:
        api: the API server.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    async def _pass(self, request: Outgoing[R]) -> R:
        """The answer to a request; every one comes by here."""
        return await request.send()

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        return await self._pass(Outgoing("get", resource, lambda: self._api.get(resource, name, namespace=namespace)))

    async def list(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listed[T]:
        def send() -> Awaitable[Listed[T]]:
            return self._api.list(
                resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector
            )

        return await self._pass(Outgoing("list", resource, send))

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
        return await self._pass(Outgoing("create", resource, lambda: self._api.create(resource, obj)))

    async def replace(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        def send() -> Awaitable[T]:
            return self._api.replace(resource, obj, subresource=subresource)

        return await self._pass(Outgoing("replace", resource, send))

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
        def send() -> Awaitable[T]:
            return self._api.patch(
                resource, name, body, namespace=namespace, subresource=subresource, strategic=strategic
            )

        return await self._pass(Outgoing("patch", resource, send))

    async def delete(
        self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "", resource_version: str = ""
    ) -> None:
        def send() -> Awaitable[None]:
            return self._api.delete(resource, name, namespace=namespace, uid=uid, resource_version=resource_version)

        return await self._pass(Outgoing("delete", resource, send))
