"""Until objects of a kind are as they should be, told by a watch: to the millisecond, and without asking again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.errors import UserError
from lbprovider.kube.ports import Api, Unreadable
from lbprovider.kube.reflector import Reflector

T = TypeVar("T", bound=Object)

Look = Callable[[Mapping[str, T]], str]
"""What is still waited for, as the end of a sentence; empty when nothing is. Gets the objects by key."""

LISTED: Final = 30.0
"""Seconds for the API server to list a kind."""


async def until(
    api: Api,
    resource: Resource[T],
    look: Look[T],
    *,
    within: float,
    namespace: str = "",
    label_selector: str = "",
) -> None:
    """Waits for what ``look`` says.

    Args:
        api: the API server.
        resource: of what kind.
        look: asked at each change.
        within: seconds.
        namespace: empty for all.
        label_selector: as kubectl's.

    Raises:
        UserError: it isn't so in time; with what is missing.
    """
    async with watching(api, resource, look, namespace=namespace, label_selector=label_selector) as wait:
        await wait(within)


@asynccontextmanager
async def watching(
    api: Api, resource: Resource[T], look: Look[T], *, namespace: str = "", label_selector: str = ""
) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
    """As ``until``, beginning to look before whatever is waited for is set off.

    Yields:
        What waits; it takes the seconds, and raises as ``until`` does.

    Raises:
        UserError: the API server doesn't list the kind.
    """
    mirror = _Mirror(look)
    reflector = Reflector(api, resource, namespace=namespace, label_selector=label_selector)
    task = asyncio.create_task(reflector.run(mirror))

    async def wait(within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await mirror.until_nothing_is_missing()
        except TimeoutError:
            why = mirror.missing or str(reflector.error or f"the API server has not listed {resource} yet")
            raise UserError(f"after {within:g} s {why}") from None

    try:
        try:
            async with asyncio.timeout(LISTED):
                await reflector.wait_synced()
        except TimeoutError:
            raise UserError(f"after {LISTED:g} s the API server has not listed {resource}: {reflector.error}") from None
        yield wait
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Mirror(Generic[T]):
    """A reflector's sink that asks after each change."""

    def __init__(self, look: Look[T]) -> None:
        self.missing = "nothing was listed"
        self._look = look
        self._changed = asyncio.Event()
        self._objects: dict[str, T] = {}
        self._unreadable: dict[str, Unreadable] = {}

    async def until_nothing_is_missing(self) -> None:
        """As it is now, not as it was at some time."""
        while self.missing:
            self._changed.clear()
            await self._changed.wait()

    def replaced(self, objects: Sequence[T], unreadable: Sequence[Unreadable]) -> None:
        self._objects = {one.key: one for one in objects}
        self._unreadable = {one.key: one for one in unreadable}
        self._ask()

    def changed(self, obj: T) -> None:
        self._unreadable.pop(obj.key, None)
        self._objects[obj.key] = obj
        self._ask()

    def deleted(self, obj: Object) -> None:
        self._unreadable.pop(obj.key, None)
        self._objects.pop(obj.key, None)
        self._ask()

    def unreadable(self, unreadable: Unreadable) -> None:
        self._unreadable[unreadable.key] = unreadable
        self._ask()

    def _ask(self) -> None:
        # What can't be read is there all the same: it must not pass for gone.
        self.missing = next((str(one) for one in self._unreadable.values()), "") or self._look(self._objects)
        self._changed.set()
