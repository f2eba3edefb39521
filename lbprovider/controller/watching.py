"""kopf, which watches the kinds that live in the whole cluster; the only module that imports it.

Of kopf we use ``on.event`` and nothing else: no finalizers, no annotations, no PATCH of anything (FACTS.md section 3).

It runs in a thread and event loop of its own. In ours it would take SIGTERM from us, and at its end wait for, and then
cancel, every task that is younger than itself (``kopf._core.reactor.running``): our writers, our Lease, our server.

What it doesn't tell is left to the caller's sweeps: a deletion between two of its lists. ``relisted`` is called when it
lists a kind again. Pools, advertisements and Leases are watched by ``kube.Reflector``, for a kopf operator watches
either namespaces or the whole cluster, and those three we may read in our own namespace only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec
import structlog
from aiohttp import hdrs

from lbprovider import __version__
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import Resource
from lbprovider.controller.inventory import Store
from lbprovider.kube.access import Access
from lbprovider.kube.ports import Unreadable

# kopf imports the Kubernetes client where it is installed, only to know its objects when a handler returns one: 17 MB
# and a quarter of a second in every replica, for nothing. Where it can't be imported, kopf goes on without.
_loaded = sys.modules.get("kubernetes")
sys.modules["kubernetes"] = None  # type: ignore[assignment]  # how Python says that a module is not to be found
try:
    import kopf
finally:
    if _loaded is None:
        del sys.modules["kubernetes"]
    else:
        sys.modules["kubernetes"] = _loaded

RESTART_FIRST: Final = 1.0
RESTART_MOST: Final = 30.0
"""Seconds before kopf is started again after it failed: the first time, and at most."""
STOP_TIMEOUT: Final = 3.0
"""Seconds that kopf has to end; it took 2 with 200 busy handlers (FACTS.md section 3)."""
INSIST: Final = 1.0
"""Seconds after which a task of kopf's that was told to end, and hasn't, is told again."""
WATCH_EACH: Final = 1.0
"""Seconds between two beginnings of a watch of one kind: kopf begins the next at once, whatever ended the last."""
BATCH: Final = 256
"""Events that our loop takes over at a time, so that a list of thousands doesn't hold up the Lease."""

log = structlog.get_logger(__name__)


class Watches:
    """Feeds stores by kopf's watches.

    Args:
        access: the API server.
        stores: what is watched, in the whole cluster.
        relisted: called for each object of a list that kopf made, at its start and after a gap in its watch.
    """

    def __init__(self, access: Access, stores: Sequence[Store[Any]], relisted: Callable[[], None]) -> None:
        self._access = access
        self._stores = stores
        self._relisted = relisted

    async def run(self) -> None:
        """Watches until cancelled; whatever ends kopf (403, 404, 500 for a minute), it is started again."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            error = await self._operate()
            failures = 1 if loop.time() - started > RESTART_MOST else failures + 1
            delay = min(RESTART_FIRST * 2.0 ** min(failures - 1, 8), RESTART_MOST) * (1 + random.random() / 2)  # noqa: S311
            log.warning("kopf ended and is started again", seconds=round(delay, 1), error=_sentence(error))
            await asyncio.sleep(delay)
            # It tells of nothing where a kind was not served: a sweep will.
            self._relisted()

    async def _operate(self) -> BaseException | None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        operator = _Operator(self._access, loop)
        for store in self._stores:
            operator.watch(store, self._relisted)

        def thread() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(operator.run())
            except BaseException as failure:  # noqa: BLE001  (a thread hands over whatever ended it)
                error = failure
            with contextlib.suppress(RuntimeError):  # our loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set_result, error)

        # A daemon: should kopf hang, the process ends without it.
        threading.Thread(target=thread, name="kopf", daemon=True).start()
        try:
            return await asyncio.shield(ended)
        finally:
            operator.stop()
            if not ended.done():
                await asyncio.wait([ended], timeout=STOP_TIMEOUT)


class _Operator:
    """One run of kopf. ``run``, ``_login`` and what kopf calls run in its thread, the rest in ours.

    Objects are decoded in ours: msgspec prepares a type at its first use, and a thread that meets one half prepared by
    another dies of a segmentation fault (msgspec 0.22, ``StructInfo``).
    """

    def __init__(self, access: Access, ours: asyncio.AbstractEventLoop) -> None:
        self._access = access
        self._ours = ours
        self._theirs: asyncio.AbstractEventLoop | None = None
        self._flag = asyncio.Event()
        self._stopped = False
        self._mail: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._posted = False
        self._registry = kopf.OperatorRegistry()
        kopf.on.login(registry=self._registry, id="access")(self._login)

    def watch(self, store: Store[Any], relisted: Callable[[], None]) -> None:
        resource = store.resource
        group, _, version = resource.api_version.rpartition("/")

        def arrived(kind: str | None, raw: Mapping[str, Any]) -> None:
            read = _read(resource, raw)
            if kind == "DELETED":
                store.deleted(Object(metadata=read.metadata))
            elif isinstance(read, Unreadable):
                store.unreadable(read)
            else:
                store.changed(read)
            if kind is None:
                relisted()

        # async, though it awaits nothing: kopf runs other functions in a pool of threads.
        async def told(event: Mapping[str, Any], **_: Any) -> None:
            self._post(arrived, event["type"], event["object"])

        kopf.on.event(group, version, resource.plural, registry=self._registry, id=resource.plural)(told)

    def stop(self) -> None:
        """Has kopf end, and hears no more of it."""
        self._stopped = True
        if self._theirs is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended
                self._theirs.call_soon_threadsafe(self._flag.set)

    async def run(self) -> None:
        self._theirs = asyncio.get_running_loop()
        insisting = asyncio.create_task(_insist())  # older than kopf, which ends all that is younger than itself
        try:
            if not self._stopped:
                await kopf.operator(
                    registry=self._registry,
                    settings=_settings(),
                    standalone=True,
                    clusterwide=True,
                    stop_flag=self._flag,
                )
        finally:
            insisting.cancel()

    def _post(self, deliver: Callable[..., None], *args: Any) -> None:
        self._mail.append((deliver, args))
        # Read after the append, and cleared before the mail is taken out: so nothing is left lying.
        if not self._posted:
            self._posted = True
            with contextlib.suppress(RuntimeError):  # our loop is closed: nobody listens any more
                self._ours.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._posted = False
        for _ in range(min(BATCH, len(self._mail))):
            deliver, args = self._mail.popleft()
            if not self._stopped:
                deliver(*args)
        if self._mail and not self._posted:
            self._posted = True
            self._ours.call_soon(self._deliver)

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=self._access.server, aiohttp_session=self._session())

    def _session(self) -> aiohttp.ClientSession:
        """A session that names us anew in each request: tokens are rotated."""
        access, paced = self._access, _Pace()

        async def authorized(
            request: aiohttp.ClientRequest, send: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
        ) -> aiohttp.ClientResponse:
            # In our loop, where the credentials belong: an exec plugin's process, or a lock.
            who = asyncio.run_coroutine_threadsafe(access.credentials.authorization(), self._ours)
            if authorization := await asyncio.wrap_future(who):
                request.headers[hdrs.AUTHORIZATION] = authorization
            if access.tls_server_name is not None:
                request.server_hostname = access.tls_server_name
            if "watch" in request.url.query:
                await paced.turn(request.url.path)
            return await send(request)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=True if access.tls is None else access.tls),
            headers={hdrs.USER_AGENT: f"lbprovider-controller/{__version__} kopf", hdrs.ACCEPT_ENCODING: "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(authorized,),
            proxy=access.proxy,
        )


class _Pace:
    """Lets nobody do the same again within ``WATCH_EACH``."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    async def turn(self, what: str) -> None:
        """Waits until it may be done; several who wait go one after the other."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next.get(what, now))
        self._next[what] = at + WATCH_EACH
        await asyncio.sleep(at - now)


async def _insist() -> None:
    """Cancels again whoever was cancelled and goes on.

    When one of its watches fails for good, kopf cancels the others and waits for them. One that is just between two
    requests takes that for the end of the request, watches on, and kopf would wait for ever: nobody would be told of
    anything again, nor that kopf has failed (kopf 1.45, ``stream``).
    """
    asked: set[asyncio.Task[Any]] = set()
    while True:
        await asyncio.sleep(INSIST)
        ending = {task for task in asyncio.all_tasks() if task.cancelling()}
        for task in ending & asked:
            task.cancel()
        asked = ending


def _read(resource: Resource[Any], raw: Mapping[str, Any]) -> Any:
    try:
        return msgspec.convert(raw, type=resource.type)
    except msgspec.ValidationError as error:
        try:
            metadata = msgspec.convert(raw.get("metadata"), type=ObjectMeta)
        except msgspec.ValidationError:
            metadata = ObjectMeta()
        return Unreadable(resource.kind, metadata, str(error))


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf compares each object with its last state for the handlers that we don't have, and copies it for that."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        raise AssertionError("kopf stores this for handlers that we don't have")


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = _NoDiffs()
    # kopf takes its finalizer off whatever it finds it on, even where another operator of kopf's put it.
    settings.persistence.finalizer = "lbprovider.io/never-set"
    # A stop that hangs must not end in a SIGKILL to this process.
    settings.process.ultimate_exiting_timeout = None
    # Each object that was seen lately keeps a task; a list of 10,000 makes as many.
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 0.5
    # It warns that signals are not its own here, each time; that is what we want.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    # An error for each attempt of each watch while the API server is away. The reflectors say once that it is, and what
    # lasts (a 403, a 500 for a minute) ends kopf, which is said above.
    logging.getLogger("kopf._cogs.clients.watching").setLevel(logging.CRITICAL)
    return settings


def _sentence(error: BaseException | None) -> str:
    if error is None:
        return "it stopped by itself"
    return " ".join(str(error).split())[:1000] or type(error).__name__
