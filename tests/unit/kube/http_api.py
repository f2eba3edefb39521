"""A local HTTP server that gives the API server's answers as each test scripts them."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from lbprovider.kube.access import Access

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Token:
    """Credentials of a test; counts how often it was asked."""

    def __init__(self, token: str = "t0ken") -> None:  # noqa: S107  (a test's)
        self.token = token
        self.asked = 0

    async def authorization(self) -> str:
        self.asked += 1
        return f"Bearer {self.token}" if self.token else ""


@asynccontextmanager
async def serving(
    handler: Handler, *, tls: ssl.SSLContext | None = None, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Access]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app, skip_url_asserts=True, host="127.0.0.1", scheme="https" if tls else "http")
    await server.start_server(ssl=tls, shutdown_timeout=0.1)
    try:
        yield Access(f"{server.scheme}://127.0.0.1:{server.port}", Token(), tls=trust)
    finally:
        await server.close()


def answer(body: Any, status: int = 200, **headers: str) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json", headers=headers)


def status(code: int, reason: str, message: str = "said so", **details: Any) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return answer({**body, "details": details} if details else body, code)


def lease(name: str, version: str = "5", holder: str = "me") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "resourceVersion": version}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {"holderIdentity": holder},
    }


def page(*items: Any, version: str = "10", go_on: str = "") -> web.Response:
    return answer({"kind": "LeaseList", "metadata": {"resourceVersion": version, "continue": go_on}, "items": items})


async def stream(request: web.Request, *chunks: bytes) -> web.StreamResponse:
    """A watch that sends these bytes, each in a chunk of its own, and ends."""
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


def event(kind: str, obj: Any) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"
