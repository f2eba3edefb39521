"""The API server as the lab's own story uses it: by calls that wait, and by views that keep themselves up to date.

One thread in the control namespace runs an event loop with a :class:`~lbprovider.kube.client.Client` in it; the story
waits for what it asks of it. Errors are the client's: ``errors.ClusterError``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Self, TypeVar

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.kube.access import Access
from lbprovider.kube.client import Client
from lbprovider.kube.ports import Unreadable
from lbprovider.kube.reflector import Reflector
from lbprovider.lab import objects
from lbprovider.net.namespaces import Namespace

T = TypeVar("T", bound=Object)
R = TypeVar("R")

_START: Final = 10.0
"""Seconds for the loop to run; one request has its own, the client's."""


class Admin:
    """The API server, from construction to :meth:`close`; a context manager.

    Args:
        control: the name of the network namespace that it is reached from.
        access: the server, and who we are.
    """

    def __init__(self, control: str, access: Access) -> None:
        self._place = Namespace(control)
        self._access = access
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Client | None = None
        self._lives: list[asyncio.Task[None]] = []
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._runner = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="admin")
        self._life = self._runner.submit(self._place.run, lambda: asyncio.run(self._live()))
        if not self._ready.wait(_START):
            self._life.result(0)
            raise RuntimeError("the loop of the lab's API client does not run")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _live(self) -> None:
        async with Client(self._access, user_agent="lbprovider-lab") as client:
            self._client, self._loop = client, asyncio.get_running_loop()
            self._ready.set()
            await self._stop.wait()
            views = asyncio.all_tasks() - {asyncio.current_task()}
            for view in views:
                view.cancel()
            await asyncio.gather(*views, return_exceptions=True)

    def close(self) -> None:
        """End the views and the connections."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._life.result()
        self._runner.shutdown()
        self._place.close()

    def _wait(self, request: Callable[[Client], Awaitable[R]]) -> R:
        if self._client is None or self._loop is None:
            raise RuntimeError("Admin is used before its loop runs")

        async def asked(client: Client) -> R:
            return await request(client)

        return asyncio.run_coroutine_threadsafe(asked(self._client), self._loop).result()

    # --- requests

    def get(self, resource: Resource[T], name: str, namespace: str = "") -> T:
        """One object, as it is now."""
        return self._wait(lambda client: client.get(resource, name, namespace=namespace))

    def list(self, resource: Resource[T], namespace: str = "") -> tuple[T, ...]:
        """All objects, of one namespace where it is named."""
        return self._wait(lambda client: client.list(resource, namespace=namespace)).objects

    def create(self, document: Mapping[str, Any]) -> None:
        """Create the object of a manifest."""
        self.create_all([document])

    def create_all(self, documents: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
        """Create the objects of manifests, as many at once as the client has requests in flight, in no order.

        Returns:
            For each, when its request was sent: nanoseconds of the monotonic clock.

        Raises:
            ClusterError: of the first that failed; the others may be there.
        """
        read = [objects.read(each) for each in documents]

        async def every(client: Client) -> Sequence[int]:
            # The client's own bound comes after the clock, so the bound is held here too.
            slots = asyncio.Semaphore(_LANES)

            async def one(resource: Resource[objects.Manifest], content: objects.Manifest) -> int:
                async with slots:
                    sent = time.monotonic_ns()
                    await client.create(resource, content)
                    return sent

            return await asyncio.gather(*(one(*each) for each in read))

        return tuple(self._wait(every))

    def patch_status(self, resource: Resource[T], name: str, status: Mapping[str, Any], namespace: str = "") -> None:
        """Merge into the status of an object."""
        body = {"status": dict(status)}
        self._wait(lambda client: client.patch(resource, name, body, namespace=namespace, subresource="status"))

    def patch(self, resource: Resource[T], name: str, change: Mapping[str, Any], namespace: str = "") -> None:
        """Merge into an object."""
        self._wait(lambda client: client.patch(resource, name, dict(change), namespace=namespace))

    def delete(self, resource: Resource[T], name: str, namespace: str = "") -> None:
        """Delete an object."""
        self._wait(lambda client: client.delete(resource, name, namespace=namespace))

    # --- what runs beside

    def live(self, work: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
        """Have something run in the loop from now until :meth:`close`, which cancels it."""

        async def begin(client: Client) -> None:
            self._lives.append(asyncio.get_running_loop().create_task(work(client)))

        self._wait(begin)

    # --- views

    def follow(self, resource: Resource[T], namespace: str = "") -> View[T]:
        """A view of a collection that is kept up to date from now until :meth:`close`."""
        view = View[T]()

        async def begin(client: Client) -> None:
            # The shortest pauses there are: one client, of a server beside it, needs no spreading after an outage.
            reflector = Reflector(client, resource, namespace=namespace, rand=lambda: 0.0)
            task = asyncio.get_running_loop().create_task(reflector.run(view))
            view.task = task

        self._wait(begin)
        return view


_LANES: Final = 16
"""Requests of a burst in flight: beyond that they only wait in the server."""


class View(Generic[T]):
    """What a collection is like now; written on the loop's thread, read from any."""

    def __init__(self) -> None:
        self.synced = False
        self.task: asyncio.Task[None] | None = None
        self._objects: dict[str, T] = {}
        self._marks: dict[str, int] = {}
        self._mark: Callable[[T], bool] = lambda _: False

    def get(self, key: str) -> T | None:
        """The object of that key, ``namespace/name`` or ``name``; None where there is none."""
        return self._objects.get(key)

    def all(self) -> Mapping[str, T]:
        """Every object by its key, as of this moment."""
        return dict(self._objects)

    def mark(self, when: Callable[[T], bool]) -> None:
        """Note from now on when each object first is as wanted; what was noted before is forgotten."""
        self._mark, self._marks = when, {}

    def marks(self) -> Mapping[str, int]:
        """When each object was first seen as wanted: nanoseconds of the monotonic clock."""
        return dict(self._marks)

    # --- kube.ports.Sink

    def replaced(self, objects_: Sequence[T], unreadable: Sequence[Unreadable]) -> None:
        kept = {each.key: self._objects[each.key] for each in unreadable if each.key in self._objects}
        self._objects = kept | {each.key: each for each in objects_}  # at once: others read it meanwhile
        self._note(objects_)
        self.synced = True

    def changed(self, obj: T) -> None:
        self._objects[obj.key] = obj
        self._note([obj])

    def _note(self, seen: Sequence[T]) -> None:
        now = time.monotonic_ns()
        for each in seen:
            if each.key not in self._marks and self._mark(each):
                self._marks[each.key] = now

    def deleted(self, obj: Object) -> None:
        self._objects.pop(obj.key, None)

    def unreadable(self, obj: Unreadable) -> None:
        """It is there, as it was: the reflector has said so."""
