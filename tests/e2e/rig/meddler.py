"""A man in the middle of the controller and the API server, who knows each request by what it is for.

The controller speaks plain HTTP to him, with its ServiceAccount's token; he speaks TLS to the API server, with the same
token, so what RBAC allows stays as it is. Watches pass chunk by chunk. He has a thread and an event loop of his own;
tests tell him what to do from theirs.

A request's name is RBAC's verb, the kind, and the subresource: ``create ipallocation``, ``update ipallocation``,
``patch service status``, ``update lease``, ``list node``, ``watch ipaddresspool``.
"""

import asyncio
import contextlib
import json
import random
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

from lbprovider.lab import provider
from lbprovider.lab.lan import CONTROL
from lbprovider.lab.process import Process
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import Cluster

T = TypeVar("T")

_LOOPBACK: Final = "127.0.0.1"
_PATH: Final = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?"
)
_VERBS: Final[Mapping[str, str]] = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PASSED: Final = (hdrs.AUTHORIZATION, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)
_REASONS: Final[Mapping[int, str]] = {
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.GONE: "Expired",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
    HTTPStatus.GATEWAY_TIMEOUT: "Timeout",
}
LATELY: Final = 5.0
"""Seconds for which it is known what was under way."""
_GLANCE: Final = 0.5
"""Seconds between two looks whether somebody still listens to a watch."""


class Moment(StrEnum):
    """When something happens to a request."""

    BEFORE = "before"
    """It never reaches the API server."""
    AFTER = "after"
    """The API server has answered, and the controller never hears what."""


@dataclass(slots=True)
class Asked:
    """One request, and what became of it."""

    what: str
    """Verb, kind, subresource."""
    namespace: str
    name: str
    """Of the object; that of its body where it is created."""
    query: Mapping[str, str]
    body: bytes
    agent: str
    at: float
    """When it was read whole: seconds, monotonic."""
    status: int = 0
    """The API server's answer; 0 while there is none, or where the request never got there."""
    answer: bytes = b""
    """The API server's, of a write."""
    ended: float = 0.0
    """When the controller was told, or left alone; 0 while it waits."""

    @property
    def writes(self) -> bool:
        """Whether it changes anything, had it arrived."""
        return self.what.split()[0] not in ("get", "list", "watch")

    def over(self, since: float) -> bool:
        """Whether nothing has come of it any more since then; a watch never counts."""
        return self.what.startswith("watch ") or 0 < self.ended <= since


Applies = Callable[[Asked], bool]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answers in the API server's place."""

    status: int
    retry_after: int | None = None
    """Seconds; no header where None."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Drops the connection."""

    moment: Moment


@dataclass(frozen=True, slots=True)
class Delay:
    """Passes it on, between so many seconds later."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL."""

    moment: Moment
    victim: Callable[[], Process]


@dataclass(frozen=True, slots=True)
class Expire:
    """Answers a watch as the API server does whose history begins later: 200, and an ERROR event with code 410."""


Act = Refuse | Cut | Delay | Kill | Expire


@dataclass(eq=False, slots=True)
class Rule:
    """What is done to which requests, and to which it was done."""

    applies: Applies
    act: Act
    first: int = 1
    """It is done from so manieth on that applies."""
    times: int | None = None
    """It is done so often; without an end where None."""
    met: int = 0
    hit: list[Asked] = field(default_factory=list)

    def takes(self, asked: Asked) -> bool:
        if not self.applies(asked):
            return False
        self.met += 1
        if self.met < self.first or (self.times is not None and len(self.hit) >= self.times):
            return False
        self.hit.append(asked)
        return True


def to(*names: str) -> Applies:
    """Requests of these names; ``*`` in place of a word stands for any."""

    def applies(asked: Asked) -> bool:
        return any(_same(name.split(), asked.what.split()) for name in names)

    return applies


class Meddler:
    """The man in the middle, from ``with`` on; he passes everything on until he is told otherwise.

    Args:
        cluster: whose API server, and where the controller runs.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="meddler")
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._watches: dict[aiohttp.ClientResponse, bool] = {}
        self._rand = random.Random(1)  # noqa: S311 - spreads delays
        self.asked: list[Asked] = []
        """Every request that was read whole, in order."""
        self._over = 0  # where requests begin that may still be under way, or were lately
        self.page: int | None = None
        """Objects a page of each list that is asked for in pages, whatever the controller asked for."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def kubeconfig(self) -> Path:
        """A kubeconfig of the controller's ServiceAccount that leads here."""
        return provider.write_kubeconfig(
            self._cluster.directory / "meddler.kubeconfig",
            server=f"http://{_LOOPBACK}:{self._port}",
            authority=self._cluster.authority,
            user=provider.CONTROLLER,
            token=self._cluster.token_of(provider.CONTROLLER),
        )

    # --- what he does

    @contextlib.contextmanager
    def fault(self, applies: Applies, act: Act, *, first: int = 1, times: int | None = None) -> Iterator[Rule]:
        """Does something to those requests, while the body lasts. Of several faults the latest goes first.

        Args:
            applies: which requests.
            act: what is done.
            first: from so manieth of them on.
            times: so often.
        """
        rule = Rule(applies, act, first, times)
        with self._lock:
            self._rules.insert(0, rule)
        try:
            yield rule
        finally:
            with self._lock:
                self._rules.remove(rule)

    def close_watches(self, *, abruptly: bool) -> None:
        """Ends all watches: as the API server does when their time is over, or as a network does."""
        self._call(self._close(abruptly=abruptly))

    # --- what he saw

    def mark(self) -> int:
        """A place among the requests, for ``since``."""
        return len(self.asked)

    def since(self, mark: int, applies: Applies = lambda _: True) -> list[Asked]:
        """The requests from a mark on, in the order in which they came."""
        return [asked for asked in self.asked[mark:] if applies(asked)]

    def count(self, mark: int, applies: Applies = lambda _: True) -> Counter[str]:
        """How many of each name since a mark."""
        return Counter(asked.what for asked in self.since(mark, applies))

    def quiet(self, seconds: float, applies: Applies) -> bool:
        """Whether none of those requests is under way, nor was for so long, at most ``LATELY``."""
        now = time.monotonic()
        while self._over < len(self.asked) and self.asked[self._over].over(now - LATELY):
            self._over += 1
        return all(asked.over(now - seconds) for asked in self.asked[self._over :] if applies(asked))

    # --- how

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _begin(self) -> None:
        def socket_there(info: tuple[Any, ...]) -> socket.socket:
            return self._cluster.lan.control.run(lambda: socket.socket(info[0], info[1], info[2]))

        trust = ssl.create_default_context(cafile=str(self._cluster.authority))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=0, socket_factory=socket_there),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=_PASSED,
            auto_decompress=False,
        )
        listening = self._cluster.lan.control.run(lambda: socket.create_server((_LOOPBACK, 0)))
        self._port: int = listening.getsockname()[1]
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listening, backlog=512).start()

    async def _end(self) -> None:
        await self._close(abruptly=True)
        await self._runner.cleanup()
        await self._session.close()

    async def _close(self, *, abruptly: bool) -> None:
        for upstream in list(self._watches):
            self._watches[upstream] = abruptly
            upstream.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = _read(request, await request.read())
        with self._lock:
            act = next((rule.act for rule in self._rules if rule.takes(asked)), None)
            self.asked.append(asked)
        try:
            return await self._do(act, request, asked)
        except (aiohttp.ClientError, OSError):
            return _hang_up(request)  # one of the two has gone
        finally:
            asked.ended = time.monotonic()

    async def _do(self, act: Act | None, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        match act:
            case Refuse(status, retry_after):
                return _refusal(status, retry_after)
            case Expire():
                return web.Response(body=json.dumps({"type": "ERROR", "object": _status(HTTPStatus.GONE)}) + "\n")
            case Delay(least, most):
                await asyncio.sleep(self._rand.uniform(least, most))
            case Cut(Moment.BEFORE) | Kill(Moment.BEFORE):
                return _end(act, request)
        response = await self._pass_on(request, asked)
        return _end(act, request) if isinstance(act, Cut | Kill) else response

    async def _pass_on(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        target = URL(f"https://{CONTROL}:{provider.API_PORT}{request.raw_path}", encoded=True)
        if self.page is not None and "limit" in asked.query:
            target = target.update_query(limit=str(self.page))
        headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
        async with self._session.request(
            request.method, target, headers=headers, data=asked.body or None, allow_redirects=False
        ) as upstream:
            asked.status = upstream.status
            if asked.what.startswith("watch "):
                return await self._stream(request, upstream)
            body = await upstream.read()
            if asked.writes:
                asked.answer = body
            return web.Response(status=upstream.status, body=body, headers=_told(upstream))

    async def _stream(self, request: web.BaseRequest, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, headers=_told(upstream))
        await response.prepare(request)
        self._watches[upstream] = False
        try:
            while request.transport is not None and not upstream.content.at_eof():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GLANCE):
                        await response.write(await upstream.content.readany())
        except aiohttp.ClientError:
            if not upstream.closed:
                raise
        finally:
            abruptly = self._watches.pop(upstream)
        if abruptly:
            return _hang_up(request)
        await response.write_eof()
        return response


def _read(request: web.BaseRequest, body: bytes) -> Asked:
    parts = urlsplit(request.raw_path)
    query = dict(parse_qsl(parts.query))
    found = _PATH.fullmatch(parts.path)
    if found is None:  # discovery, which kopf asks for
        return Asked(f"get {parts.path}", "", "", query, body, _agent(request), time.monotonic())
    name, kind = found["name"] or "", found["plural"].removesuffix("s")
    if request.method == "GET":
        verb = "get" if name else "watch" if query.get("watch") in ("1", "true") else "list"
    else:
        verb = _VERBS[request.method]
    if verb == "create":
        name = json.loads(body).get("metadata", {}).get("name", "")
    what = " ".join(word for word in (verb, kind, found["subresource"]) if word)
    return Asked(what, found["namespace"] or "", name, query, body, _agent(request), time.monotonic())


def _agent(request: web.BaseRequest) -> str:
    return request.headers.get(hdrs.USER_AGENT, "")


def _same(wanted: list[str], words: list[str]) -> bool:
    return len(wanted) == len(words) and all(a in ("*", b) for a, b in zip(wanted, words, strict=True))


def _told(upstream: aiohttp.ClientResponse) -> Mapping[str, str]:
    passed = (hdrs.CONTENT_TYPE, hdrs.RETRY_AFTER)
    return {name: upstream.headers[name] for name in passed if name in upstream.headers}


def _end(act: Cut | Kill, request: web.BaseRequest) -> web.Response:
    if isinstance(act, Kill):
        act.victim().kill()
    return _hang_up(request)


def _hang_up(request: web.BaseRequest) -> web.Response:
    """Resets the connection; what is returned is written to nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _refusal(status: int, retry_after: int | None) -> web.Response:
    headers = {} if retry_after is None else {hdrs.RETRY_AFTER: str(retry_after)}
    return web.json_response(_status(status, retry_after), status=status, headers=headers)


def _status(status: int, retry_after: int | None = None) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"the test answers {status}",
        "reason": _REASONS[status],
        "details": {} if retry_after is None else {"retryAfterSeconds": retry_after},
        "code": status,
    }
