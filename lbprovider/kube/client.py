"""Requests to the API server over aiohttp; implements ``ports.Api``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from lbprovider import __version__
from lbprovider.api.meta import Object, ObjectMeta, Struct, to_builtins
from lbprovider.api.resources import Resource
from lbprovider.errors import Gone, InvalidObject, Unreachable
from lbprovider.kube.access import Access
from lbprovider.kube.answers import Request, Status, garbage, mapped, refusal, refused
from lbprovider.kube.ports import Bookmark, Changed, Deleted, Listed, Unreadable, WatchEvent
from lbprovider.telemetry import API_REQUESTS

PAGE: Final = 500
"""Objects asked for at a time, as kubectl and client-go do."""
MAX_REQUESTS: Final = 32
"""Requests in flight; more gain nothing on the API server that was measured. Watches count apart, one a reflector."""
TIMEOUT: Final = 30.0
"""Seconds for one request and its answer."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds for TCP and TLS."""
WATCH_SILENCE: Final = 90.0
"""Seconds without a byte after which a watch is begun anew, where it was. The API server sends a bookmark each minute,
but only for a kind of which something has changed lately (1.35, custom resources)."""
WATCH_SECONDS: Final = (240, 480)
"""How long the server keeps a watch open (``timeoutSeconds``), drawn anew each time, so that clients spread."""
MAX_LINE: Final = 32 << 20
"""Bytes of one watch event. etcd takes 1.5 MB per object; JSON with escapes is a few times that at most."""

MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"

T = TypeVar("T", bound=Object)


class _ListMeta(Struct, frozen=True):
    # Required, as items are: some proxy's JSON must never look like a collection with nothing in it.
    resource_version: str
    go_on: str = msgspec.field(name="continue", default="")


class _Page(Struct, frozen=True):
    metadata: _ListMeta
    # null where a server has nothing to list
    items: tuple[msgspec.Raw, ...] | None


class _Line(Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Head(Struct, frozen=True):
    metadata: ObjectMeta = ObjectMeta()


class _BookmarkHead(Struct, frozen=True):
    # Not ObjectMeta: a bookmark's creationTimestamp is null.
    metadata: _ListMeta


_page: Final = msgspec.json.Decoder(_Page)
_line: Final = msgspec.json.Decoder(_Line)
_head: Final = msgspec.json.Decoder(_Head)
_bookmark: Final = msgspec.json.Decoder(_BookmarkHead)


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


class Client:
    """``ports.Api`` over HTTP; an async context manager.

    Args:
        access: the server, and who we are.
        user_agent: ``lbprovider-controller``, …; the API server makes the field manager's name of it.
        timeout: seconds for a request and its answer.
        watch_silence: seconds without a byte after which a watch ends as if the server had ended it.
        rand: uniform in [0, 1).
    """

    def __init__(
        self,
        access: Access,
        *,
        user_agent: str,
        timeout: float = TIMEOUT,
        watch_silence: float = WATCH_SILENCE,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._access = access
        self._user_agent = f"{user_agent}/{__version__}"
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, CONNECT_TIMEOUT))
        self._watch_timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=watch_silence)
        self._rand = rand
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No limit here: _slots bounds the requests, and a watch must never wait behind them.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=True if self._access.tls is None else self._access.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Compressed lists cost both sides more than the LAN between them.
            headers={"User-Agent": self._user_agent, "Accept": "application/json", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        """See ``ports.Api.get``."""
        asked = self._asked("get", resource, namespace, name)
        return _one(resource, asked, await self._request("GET", asked))

    async def list(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Listed[T]:
        """See ``ports.Api.list``."""
        asked = self._asked("list", resource, namespace)
        reader = _Reader(resource)
        query = {"limit": str(PAGE), **_selectors(label_selector, field_selector)}
        while True:
            try:
                body = await self._request("GET", asked, query=query)
            except Gone:
                if "continue" not in query:
                    raise
                # It forgot where the pages stood, and may forget again each time: then in one piece, however large.
                reader, query = _Reader(resource), _selectors(label_selector, field_selector)
                continue
            with mapped(asked):
                page = _page.decode(body)
            for raw in page.items or ():
                reader.read(raw)
            if not page.metadata.go_on:
                return Listed(tuple(reader.objects), page.metadata.resource_version, tuple(reader.unreadable))
            query["continue"] = page.metadata.go_on

    async def watch(
        self,
        resource: Resource[T],
        resource_version: str,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[WatchEvent[T], None]:
        """See ``ports.Api.watch``."""
        asked = self._asked("watch", resource, namespace)
        least, most = WATCH_SECONDS
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(least + int(self._rand() * (most - least))),
            **_selectors(label_selector, field_selector),
        }
        with mapped(asked):
            async with self._answer("GET", asked, query=query) as response:
                yield Bookmark(resource_version)
                try:
                    async for line in _lines(response.content, asked):
                        yield _event(resource, asked, line)
                except aiohttp.SocketTimeoutError:
                    # The server is dead, or nobody has changed anything of that kind for a while. Whoever begins the
                    # watch again learns which.
                    return

    async def create(self, resource: Resource[T], obj: T) -> T:
        """See ``ports.Api.create``."""
        asked = self._asked("create", resource, obj.metadata.namespace)
        return _one(resource, asked, await self._request("POST", asked, body=encode(resource, obj)))

    async def replace(self, resource: Resource[T], obj: T, *, subresource: str = "") -> T:
        """See ``ports.Api.replace``."""
        if not obj.metadata.resource_version or not obj.metadata.uid:
            raise ValueError(f"{resource.kind} {obj.key} has no resourceVersion or uid to be swapped by")
        asked = self._asked("update", resource, obj.metadata.namespace, obj.metadata.name, subresource)
        return _one(resource, asked, await self._request("PUT", asked, body=encode(resource, obj)))

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
        """See ``ports.Api.patch``."""
        asked = self._asked("patch", resource, namespace, name, subresource)
        kind = STRATEGIC_PATCH if strategic else MERGE_PATCH
        return _one(
            resource, asked, await self._request("PATCH", asked, body=msgspec.json.encode(body), content_type=kind)
        )

    async def delete(
        self, resource: Resource[T], name: str, *, namespace: str = "", uid: str = "", resource_version: str = ""
    ) -> None:
        """See ``ports.Api.delete``."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {key: value for key, value in conditions.items() if value},
        }
        await self._request("DELETE", self._asked("delete", resource, namespace, name), body=msgspec.json.encode(body))

    def _asked(
        self, verb: str, resource: Resource[Any], namespace: str = "", name: str = "", subresource: str = ""
    ) -> Request:
        scope = namespace if resource.namespaced else ""
        return Request(verb, resource, self._access.server, scope, name, subresource)

    async def _request(
        self,
        method: str,
        asked: Request,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        async with self._slots:
            with mapped(asked):
                async with self._answer(method, asked, query=query, body=body, content_type=content_type) as response:
                    return await response.read()

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        asked: Request,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("Client is used outside its context")
        headers = {"Content-Type": content_type} if body is not None else {}
        authorization = await self._access.credentials.authorization()
        if authorization:
            headers["Authorization"] = authorization
        path = asked.resource.path(asked.namespace, asked.name, asked.subresource)
        code = "none"
        try:
            response = await self._session.request(
                method,
                URL(self._access.server + path),
                params=query,
                data=body,
                headers=headers,
                timeout=self._watch_timeout if asked.verb == "watch" else self._timeout,
                allow_redirects=False,
                proxy=self._access.proxy,
                server_hostname=self._access.tls_server_name,
            )
            code = str(response.status)
        finally:
            API_REQUESTS.labels(verb=asked.verb, code=code).inc()
        async with response:
            if not 200 <= response.status < 300:  # noqa: PLR2004  (2xx)
                raise refusal(asked, response.status, await response.read(), response.headers)
            try:
                yield response
            finally:
                _cut(response)


def _cut(response: aiohttp.ClientResponse) -> None:
    """Ends the connection of an answer that is left before its end, as every watch is.

    At once: TLS would first wait for the server's goodbye, and outlive the session, which doesn't wait for it.
    """
    connection = response.connection  # None once all is read
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


def encode(resource: Resource[T], obj: T) -> bytes:
    """The object as JSON, with the apiVersion and kind that structs don't carry."""
    return msgspec.json.encode({"apiVersion": resource.api_version, "kind": resource.kind, **to_builtins(obj)})


def _one(resource: Resource[T], asked: Request, body: bytes) -> T:
    decoder: msgspec.json.Decoder[T] = _decoder(resource.type)
    with mapped(asked):
        try:
            obj = decoder.decode(body)
        except msgspec.ValidationError as error:
            bad = _unreadable(resource, body, error)
            raise InvalidObject(f"{resource.kind} {bad.key}", f"can't be read: {bad.problem}") from error
    if resource.stored and not obj.metadata.name:
        raise garbage(asked, "an object without a name")
    return obj


class _Reader(Generic[T]):
    """Decodes one by one, so that one bad object is named and the others arrive."""

    def __init__(self, resource: Resource[T]) -> None:
        self._resource = resource
        self.objects: list[T] = []
        self.unreadable: list[Unreadable] = []

    def read(self, raw: msgspec.Raw) -> None:
        try:
            self.objects.append(_decoder(self._resource.type).decode(raw))
        except msgspec.MsgspecError as error:
            self.unreadable.append(_unreadable(self._resource, raw, error))


def _unreadable(resource: Resource[Any], raw: bytes | msgspec.Raw, error: Exception) -> Unreadable:
    try:
        metadata = _head.decode(raw).metadata
    except msgspec.MsgspecError:
        # Not even that: it has no name that we could say.
        metadata = ObjectMeta()
    return Unreadable(resource.kind, metadata, str(error))


def _event(resource: Resource[T], asked: Request, line: bytes) -> WatchEvent[T]:
    event = _line.decode(line)
    match event.type:
        case "ADDED" | "MODIFIED":
            try:
                return Changed(_decoder(resource.type).decode(event.object))
            except msgspec.MsgspecError as error:
                return _unreadable(resource, event.object, error)
        case "DELETED":
            return Deleted(Object(metadata=_head.decode(event.object).metadata))
        case "BOOKMARK":
            return Bookmark(_bookmark.decode(event.object).metadata.resource_version)
        case "ERROR":
            status = msgspec.json.decode(event.object, type=Status)
            raise refused(asked, status.code, status, {})
        case other:
            raise garbage(asked, f"a watch event of the type {other[:40]!r}")


async def _lines(content: aiohttp.StreamReader, asked: Request) -> AsyncIterator[bytes]:
    """Lines of any length up to ``MAX_LINE``: aiohttp's own readline refuses those beyond its buffer."""
    parts = bytearray()
    seen = 0
    async for chunk in content.iter_any():
        parts += chunk
        while (end := parts.find(b"\n", seen)) >= 0:
            line = bytes(parts[:end])
            del parts[: end + 1]
            seen = 0
            if line:
                yield line
        seen = len(parts)
        if seen > MAX_LINE:
            raise garbage(asked, f"a watch event of more than {MAX_LINE >> 20} MiB")
    if parts:
        raise Unreachable(f"can't {asked}: {asked.server} ended the watch in the middle of an event")


def _selectors(label: str, field: str) -> dict[str, str]:
    given = {"labelSelector": label, "fieldSelector": field}
    return {key: value for key, value in given.items() if value}
