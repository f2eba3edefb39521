"""The HTTP side: who asks, may he, what for; and the answer.

Between reading a request's body and answering it nothing waits, so each request sees and makes one state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from lbprovider.lab.apiserver import kinds, statuses
from lbprovider.lab.apiserver.access import reviews
from lbprovider.lab.apiserver.access.authentication import Authenticator, User
from lbprovider.lab.apiserver.access.authorization import Authorizer
from lbprovider.lab.apiserver.access.impersonation import impersonated
from lbprovider.lab.apiserver.asked import Asked, parse
from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.publishing import documents, negotiating
from lbprovider.lab.apiserver.reading.lists import Reader, list_body
from lbprovider.lab.apiserver.reading.watching import BOOKMARK_SECONDS, Watch
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Key, Object, Store
from lbprovider.lab.apiserver.tables import printing as tables
from lbprovider.lab.apiserver.writing import bodies
from lbprovider.lab.apiserver.writing.deleter import POLICIES, Deleter, Deletion
from lbprovider.lab.apiserver.writing.writer import Write, Writer
from lbprovider.schema.causes import NOT_SUPPORTED, Cause

MAX_BODY: Final = 3 << 20
"""Bytes of a request's body, as a kube-apiserver takes them."""
_TOO_LARGE: Final = f"Request entity too large: limit is {MAX_BODY}"
_WITH_BODY: Final = ("POST", "PUT", "PATCH", "DELETE")
_SUBRESOURCE_VERBS: Final[Mapping[str, Sequence[str]]] = {"status": ("get", "patch", "update"), "token": ("create",)}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rooms:
    """What answers requests."""

    store: Store
    served: Served
    authenticator: Authenticator
    authorizer: Authorizer
    reader: Reader
    writer: Writer
    deleter: Deleter


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read.

    Args:
        request: it.
        asked: what its line says.
        query: its query.
        user: who asks.
        payload: its body.
        kind: the kind of the resource.
    """

    request: web.BaseRequest
    asked: Asked
    query: Mapping[str, str]
    user: User
    payload: bytes
    kind: Kind

    @property
    def key(self) -> Key:
        """The object that is asked for."""
        return Key(self.kind.resource, self.namespace, self.asked.name)

    @property
    def namespace(self) -> str:
        """The namespace of what is asked for; a Namespace is in none, though RBAC sees it in itself."""
        return self.asked.namespace if self.kind.namespaced else ""

    @property
    def content_type(self) -> str:
        """Of the body."""
        return self.request.headers.get("Content-Type", "")


class Handler:
    """Answers requests.

    Args:
        rooms: do the work.
        bookmark_seconds: between two bookmarks of a watch.
        clock: seconds since 1970.
    """

    def __init__(
        self, rooms: Rooms, *, bookmark_seconds: float = BOOKMARK_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._rooms = rooms
        self._documents = documents.Documents(rooms.served)
        self._bookmark_seconds = bookmark_seconds
        self._clock = clock
        self._columns: dict[Kind, Any] = {}
        self._watches: set[Watch] = set()
        self._verbs: Mapping[str, Callable[[Call], Awaitable[web.StreamResponse]]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_all,
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request."""
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return negotiating.answer(refusal.body(), refusal.code)
        except web.HTTPRequestEntityTooLarge:
            too_large = Refusal(413, "RequestEntityTooLarge", _TOO_LARGE)
            return negotiating.answer(too_large.body(), too_large.code)
        except RecursionError:
            deep = statuses.bad_request("the body is nested too deeply")
            return negotiating.answer(deep.body(), deep.code)
        except ConnectionError:
            raise
        except Exception as error:  # a bug of ours on one request must not end the server of the others
            log.exception("a bug in the lab's API server", method=request.method, path=request.path)
            bug = Refusal(500, "InternalError", f"Internal error occurred: {error!r}")
            return negotiating.answer(bug.body(), bug.code)

    def close(self) -> None:
        """Cuts all watches: they would last for minutes."""
        for watch in self._watches:
            watch.cut()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        query = dict(request.query)
        asked = parse(request.method, request.path, query)
        sender = self._rooms.authenticator.user(request.headers.get("Authorization", ""), self._clock())
        user = impersonated(sender, request.headers.items(), self._rooms.authorizer.check)
        self._rooms.authorizer.check(user, asked)
        payload = await request.read() if request.method in _WITH_BODY else b""
        if not asked.plural:
            return self._documents.answer(request.method, request.path, request.headers.get("Accept", ""))
        kind = self._rooms.served.find(asked.group, asked.version, asked.plural)
        if kind is None or not _in_its_place(kind, asked):
            return self._nowhere(asked)
        call = Call(request, asked, query, user, payload, kind)
        self._check_method(call)
        return await self._verbs[asked.verb](call)

    def _nowhere(self, asked: Asked) -> web.Response:
        built_in = any((kind.group, kind.version) == (asked.group, asked.version) for kind in kinds.BUILT_IN)
        if not built_in:
            return negotiating.text("404 page not found\n", 404)
        missing = Refusal(404, "NotFound", "the server could not find the requested resource", {})
        return negotiating.answer(missing.body(), missing.code)

    def _check_method(self, call: Call) -> None:
        asked, kind = call.asked, call.kind
        if asked.subresource:
            allowed: Sequence[str] = _SUBRESOURCE_VERBS.get(asked.subresource, ())
            served = asked.subresource in kinds.SUBRESOURCES.get(kind, ("status",) if kind.has_status else ())
            if not served and kind.custom:
                raise statuses.not_found(kind, asked.name)
            if not served:
                raise Refusal(404, "NotFound", "the server could not find the requested resource", {})
        else:
            everywhere = kind.namespaced and not asked.namespace
            allowed = [each for each in kind.verbs if not everywhere or each in ("list", "watch")]
            unnamed = asked.verb in ("update", "patch") and not asked.name
            if unnamed or (asked.verb == "create" and asked.name):
                raise statuses.not_allowed()
        if asked.verb not in allowed:
            raise statuses.not_allowed()

    # --- reading

    async def _get(self, call: Call) -> web.StreamResponse:
        entry = self._rooms.reader.get(call.kind, call.key)
        form = _form(call)
        if form:
            metadata = {"resourceVersion": str(entry.version)}
            return negotiating.answer(self._shown(call, form, [entry.value], metadata))
        return negotiating.answer(entry.encoded)

    async def _list(self, call: Call) -> web.StreamResponse:
        form = _form(call)
        loop = asyncio.get_running_loop()
        page = self._rooms.reader.list(call.kind, call.namespace, call.query, loop.time())
        if form:
            return negotiating.answer(self._shown(call, form, [each.value for each in page.entries], page.metadata()))
        return negotiating.answer(list_body(call.kind, page))

    def _shown(
        self, call: Call, form: str, objects: list[Object], metadata: Object, *, definitions: bool = True
    ) -> Object:
        if form == negotiating.PARTIAL:
            items = [tables.partial(each) for each in objects]
            if call.asked.verb == "get":
                return items[0]
            head = {"kind": "PartialObjectMetadataList", "apiVersion": tables.API_VERSION}
            return {**head, "metadata": metadata, "items": items}
        columns = self._columns.get(call.kind)
        if columns is None:
            columns = self._columns[call.kind] = tables.columns_of(call.kind)
        include = call.query.get("includeObject", "")
        return tables.table(columns, objects, self._clock(), metadata, include=include, definitions=definitions)

    async def _watch(self, call: Call) -> web.StreamResponse:
        transport = call.request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        form = _form(call)
        described = False

        def show(obj: Mapping[str, Any]) -> bytes:
            nonlocal described
            if form == negotiating.PARTIAL:
                return msgspec.json.encode(tables.partial(dict(obj)))
            metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            table = self._shown(call, form, [dict(obj)], metadata, definitions=not described)
            described = True
            return msgspec.json.encode(table)

        watch = Watch(
            self._rooms.store,
            call.kind,
            call.namespace,
            call.query,
            cut=transport.abort,
            show=show if form else None,
        )
        # A kind that goes or changes takes its watches with it: whoever watches lists again, and hears of it.
        forget = self._rooms.store.subscribe(kinds.CRD.resource, lambda _: watch.wake())
        self._watches.add(watch)
        try:
            return await self._stream(call, watch)
        finally:
            self._watches.discard(watch)
            forget()
            watch.close()

    def _is_served(self, kind: Kind) -> bool:
        return self._rooms.served.find(kind.group, kind.version, kind.plural) is kind

    async def _stream(self, call: Call, watch: Watch) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        response = web.StreamResponse(headers={"Content-Type": negotiating.JSON})
        await response.prepare(call.request)
        end = loop.time() + watch.seconds
        bookmark = loop.time() + self._bookmark_seconds
        while True:
            now = loop.time()
            over = now >= end or not self._is_served(call.kind)
            if watch.bookmarks and (over or now >= bookmark) and watch.seconds:
                watch.bookmark()
                bookmark = now + self._bookmark_seconds
            if lines := watch.take():
                await response.write(lines)
            if over:
                await response.write_eof()
                return response
            timer = loop.call_at(min(end, bookmark) if watch.bookmarks else end, watch.wake)
            try:
                await watch.wait()
            finally:
                timer.cancel()

    # --- writing

    def _write(self, call: Call, options: str) -> Write:
        asked = bodies.options(call.query, options)
        now = reviews.rfc3339(self._clock())
        return Write(call.kind, call.key, call.asked.subresource, call.payload, call.content_type, asked, now)

    async def _create(self, call: Call) -> web.StreamResponse:
        if call.asked.subresource:
            account = self._rooms.reader.get(call.kind, call.key).value
            request = bodies.parse(call.payload, call.content_type, "TokenRequest")
            answer = reviews.issue(self._rooms.authenticator, account, request, self._clock())
            return negotiating.answer(answer, 201)
        write = self._write(call, "CreateOptions")
        if not call.kind.stored:
            review = bodies.decoded(call.kind, self._rooms.served, call.payload, call.content_type, write.options)
            return negotiating.answer(reviews.access(self._rooms.authorizer, call.user, review), 201)
        return self._told(call, self._rooms.writer.create(write), write, 201)

    async def _update(self, call: Call) -> web.StreamResponse:
        write = self._write(call, "UpdateOptions")
        stored, new = self._rooms.writer.replace(write)
        return self._told(call, stored, write, 201 if new else 200)

    async def _patch(self, call: Call) -> web.StreamResponse:
        write = self._write(call, "PatchOptions")
        return self._told(call, self._rooms.writer.patch(write), write, 200)

    def _told(self, call: Call, stored: Object, write: Write, code: int) -> web.Response:
        form = _form(call)
        if form:
            metadata = {"resourceVersion": stored["metadata"].get("resourceVersion", "")}
            body: Object | bytes = self._shown(call, form, [stored], metadata)
        else:
            entry = (
                None
                if write.options.dry_run
                else self._rooms.store.get(call.kind.resource, call.namespace, stored["metadata"]["name"])
            )
            body = entry.encoded if entry is not None and entry.value is stored else stored
        response = negotiating.answer(body, code)
        for warning in write.options.warnings:
            response.headers.add("Warning", f"299 - {msgspec.json.encode(warning).decode()}")
        return response

    # --- deleting

    async def _delete(self, call: Call) -> web.StreamResponse:
        answer = self._rooms.deleter.delete(call.kind, call.key, self._deletion(call))
        return negotiating.answer(answer)

    async def _delete_all(self, call: Call) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        deletion = self._deletion(call)
        page = self._rooms.reader.list(call.kind, call.namespace, call.query, loop.time())
        self._rooms.deleter.delete_all(call.kind, page.entries, deletion)
        return negotiating.answer(list_body(call.kind, page))

    def _deletion(self, call: Call) -> Deletion:
        body = bodies.parse(call.payload, call.content_type, "DeleteOptions") if call.payload else {}
        if body.get("kind", "DeleteOptions") != "DeleteOptions":
            raise statuses.bad_request(f'no kind "{body["kind"]}" is registered for version "meta.k8s.io/v1"')
        conditions = body.get("preconditions") or {}
        policy = body.get("propagationPolicy") or call.query.get("propagationPolicy") or "Background"
        if policy not in POLICIES:
            listed = ", ".join(f'"{each}"' for each in (*POLICIES, "nil"))
            said = f'Unsupported value: "{policy}": supported values: {listed}'
            cause = Cause("propagationPolicy", said, NOT_SUPPORTED)
            raise statuses.invalid("meta.k8s.io", "DeleteOptions", "", [cause])
        dry_run = bodies.options(call.query, "DeleteOptions").dry_run or body.get("dryRun") == ["All"]
        now = reviews.rfc3339(self._clock())
        return Deletion(policy, conditions.get("uid", ""), conditions.get("resourceVersion", ""), dry_run, now)


def _in_its_place(kind: Kind, asked: Asked) -> bool:
    if kind.namespaced:
        return bool(asked.namespace) or not asked.name or asked.verb in ("list", "watch")
    return not asked.namespace or kind is kinds.NAMESPACE


def _form(call: Call) -> str:
    return negotiating.form(call.request.headers.get("Accept", ""))
