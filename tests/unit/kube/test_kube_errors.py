"""Every failure below us comes out as one of ``errors``, with a sentence that an admin can act on."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import client_exceptions, web
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from lbprovider import errors
from lbprovider.api.core import Lease
from lbprovider.api.resources import ALLOCATIONS, LEASES, SERVICES
from lbprovider.errors import ClusterError, LbproviderError, Overloaded, Unreachable
from lbprovider.kube.access import Access
from lbprovider.kube.answers import Request, mapped
from lbprovider.kube.client import Client
from tests.unit.kube.certificates import authority, server_context
from tests.unit.kube.http_api import Token, answer, serving, status

REQUEST = Request("get", LEASES, "https://api:6443", "ns", "a")
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_KEY = ConnectionKey("api", 6443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)
_URL = URL("https://api:6443")
_INFO = RequestInfo(_URL, "GET", CIMultiDictProxy(CIMultiDict()), _URL)
_RESPONSE = (_INFO, ())
_OS = OSError(111, "Connection refused")

# How each is made; the test below fails when aiohttp has one that is not here.
AIOHTTP: dict[type[Exception], tuple[Any, ...]] = {
    client_exceptions.ClientError: ("x",),
    client_exceptions.ClientResponseError: _RESPONSE,
    client_exceptions.ContentTypeError: _RESPONSE,
    client_exceptions.WSServerHandshakeError: _RESPONSE,
    client_exceptions.ClientHttpProxyError: _RESPONSE,
    client_exceptions.TooManyRedirects: _RESPONSE,
    client_exceptions.ClientConnectionError: ("x",),
    client_exceptions.ClientConnectionResetError: ("x",),
    client_exceptions.ClientOSError: (104, "reset"),
    client_exceptions.ClientConnectorError: (_KEY, _OS),
    client_exceptions.ClientProxyConnectionError: (_KEY, _OS),
    client_exceptions.ClientConnectorDNSError: (_KEY, _OS),
    client_exceptions.UnixClientConnectorError: ("/run/x", _KEY, _OS),
    client_exceptions.ServerConnectionError: ("x",),
    client_exceptions.ServerDisconnectedError: ("x",),
    client_exceptions.ServerTimeoutError: ("x",),
    client_exceptions.ConnectionTimeoutError: ("x",),
    client_exceptions.SocketTimeoutError: ("x",),
    client_exceptions.ServerFingerprintMismatch: (b"a", b"b", "api", 6443),
    client_exceptions.ClientSSLError: (_KEY, _OS),
    client_exceptions.ClientConnectorSSLError: (_KEY, _OS),
    client_exceptions.ClientConnectorCertificateError: (_KEY, ssl.SSLCertVerificationError("x")),
    client_exceptions.ClientPayloadError: ("x",),
    client_exceptions.InvalidURL: (_URL,),
    client_exceptions.InvalidUrlClientError: (_URL,),
    client_exceptions.RedirectClientError: (_URL,),
    client_exceptions.NonHttpUrlClientError: (_URL,),
    client_exceptions.InvalidUrlRedirectClientError: (_URL,),
    client_exceptions.NonHttpUrlRedirectClientError: (_URL,),
    client_exceptions.UploadAbortedError: ("x",),
}
# A TypeError for the wrong use of a WebSocket, of which we have none.
NEVER_OURS = {client_exceptions.WSMessageTypeError}
OTHERS: tuple[Exception, ...] = (
    TimeoutError(),
    ssl.SSLError(1, "x"),
    ssl.SSLEOFError(8, "x"),
    ssl.SSLCertVerificationError(1, "x"),
    ConnectionResetError(104, "x"),
    BrokenPipeError(),
    OSError(24, "Too many open files"),
    msgspec.DecodeError("x"),
    msgspec.ValidationError("x"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
)


def test_every_exception_of_aiohttp_is_in_the_table() -> None:
    known = {
        value
        for _, value in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(value, Exception) and value.__module__ == client_exceptions.__name__
    }
    assert known - NEVER_OURS == set(AIOHTTP)


@pytest.mark.parametrize(
    "lower", [*(kind(*args) for kind, args in AIOHTTP.items()), *OTHERS], ids=lambda error: type(error).__name__
)
def test_every_lower_error_is_mapped(lower: Exception) -> None:
    def fails() -> None:
        with mapped(REQUEST):
            raise lower

    with pytest.raises(Unreachable, match=r"can't get leases\.coordination\.k8s\.io 'a' in namespace ns: ") as caught:
        fails()
    assert caught.value.__cause__ is lower
    assert "\n" not in str(caught.value)


def test_our_own_errors_and_bugs_pass() -> None:
    for error in (errors.Gone("x"), RuntimeError("bug"), asyncio.CancelledError()):
        with pytest.raises(type(error)), mapped(REQUEST):
            raise error


@asynccontextmanager
async def raw_server(talk: Raw) -> AsyncIterator[Access]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1")
    try:
        yield Access(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Token())
    finally:
        server.close()


async def ask(access: Access, timeout: float = 5) -> Lease:  # noqa: ASYNC109  (the client's own is what is tested)
    async with Client(access, user_agent="test", timeout=timeout) as api:
        return await api.get(LEASES, "a", namespace="ns")


def sends(data: bytes) -> Raw:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return talk


async def says_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize(
    ("talk", "message"),
    [
        (sends(b""), "the connection to http://127.0.0.1:.* broke"),
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "the connection to http://127.0.0.1:.* broke"),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "the connection to http://127.0.0.1:.* broke"),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"), "something else than the Kubernetes API"),
        (
            sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc"),
            "something else than the Kubernetes API",
        ),
        (sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "the connection to http"),
        (sends(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), "answered 302"),
        (says_nothing, "didn't answer in time"),
    ],
)
def test_a_broken_server_is_unreachable(talk: Raw, message: str) -> None:
    async def main() -> None:
        async with raw_server(talk) as access:
            await ask(access, timeout=0.15 if talk is says_nothing else 5)

    with pytest.raises(Unreachable, match=message):
        asyncio.run(main())


def test_a_refused_connection_names_the_server() -> None:
    async def main() -> None:
        async with raw_server(says_nothing) as access:
            pass
        await ask(access)

    with pytest.raises(Unreachable, match=r"no connection to http://127\.0\.0\.1:\d+: .*; is it up\?"):
        asyncio.run(main())


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    with pytest.raises(Unreachable, match=r"no connection to http://no-such-host\.invalid"):
        asyncio.run(ask(Access("http://no-such-host.invalid:1", Token())))


def test_tls_that_is_not_trusted_is_said(tmp_path: Path) -> None:
    ours, other = authority(tmp_path / "ours"), authority(tmp_path / "other")

    async def handler(_: web.Request) -> web.StreamResponse:
        return answer({"metadata": {"name": "a"}})

    async def main(trust: ssl.SSLContext) -> Lease:
        async with serving(handler, tls=server_context(ours, tmp_path), trust=trust) as access:
            return await ask(access)

    assert asyncio.run(main(ssl.create_default_context(cafile=ours.certificate))).metadata.name == "a"
    with pytest.raises(Unreachable, match=r"TLS to https://127\.0\.0\.1:\d+ failed: .*; check the CA certificate"):
        asyncio.run(main(ssl.create_default_context(cafile=other.certificate)))


def test_tls_with_a_server_that_has_none_is_said() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        async with raw_server(talk) as access:
            await ask(Access(access.server.replace("http", "https"), Token(), tls=ssl.create_default_context()))

    with pytest.raises(Unreachable, match="TLS to https"):
        asyncio.run(main())


USER = 'User "system:serviceaccount:lbprovider-system:speaker"'


@pytest.mark.parametrize(
    ("response", "kind", "message"),
    [
        (status(401, "Unauthorized"), errors.Unauthorized, "doesn't accept our credentials"),
        (
            status(403, "Forbidden", f'leases is forbidden: {USER} cannot get resource "leases"', name="a"),
            errors.Forbidden,
            r"may not get .* 'a' in namespace ns: .*speaker\" cannot get .*; a Role in namespace ns or a ClusterRole ",
        ),
        (
            status(403, "Forbidden", "exceeded quota: leases"),
            errors.Forbidden,
            r"can't get leases.*: exceeded quota: leases$",
        ),
        (status(404, "NotFound", 'leases "a" not found', name="a"), errors.NotFound, 'leases "a" not found'),
        (web.Response(text="404 page not found\n", status=404), errors.KindMissing, "doesn't serve Lease"),
        (status(404, "NotFound", "the server could not find"), errors.KindMissing, "recent enough"),
        (status(409, "AlreadyExists", "exists", name="a"), errors.Conflict, "exists"),
        (status(410, "Expired", "too old"), errors.Gone, "too old"),
        (status(400, "BadRequest", "no"), errors.Invalid, "no"),
        (status(405, "MethodNotAllowed", "no"), errors.Invalid, "no"),
        (status(422, "Invalid", "spec.address: must be"), errors.Invalid, "spec.address: must be"),
        (
            status(422, "Invalid", "no", name="a", causes=[{"field": "metadata.uid", "message": "immutable"}]),
            errors.Conflict,
            "it is another object of that name by now",
        ),
        (status(429, "TooManyRequests", "slow"), errors.Overloaded, "slow"),
        (web.Response(text="<html>\n bad gateway</html>", status=502), errors.Overloaded, "<html> bad gateway</html>"),
        (web.Response(body=b"", status=503), errors.Overloaded, "HTTP status 503"),
        (web.Response(body=b"\xff" * 5000, status=599), errors.Overloaded, "\ufffd{1000}$"),
    ],
    ids=lambda value: str(value) if isinstance(value, web.Response) else "",
)
def test_each_refusal_has_its_error(response: web.Response, kind: type[ClusterError], message: str) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return response

    async def main() -> None:
        async with serving(handler) as access:
            await ask(access)

    with pytest.raises(LbproviderError, match=message) as caught:
        asyncio.run(main())
    assert type(caught.value) is kind
    assert caught.value.status == response.status
    assert "\n" not in str(caught.value)


def test_a_missing_crd_says_what_to_apply() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text="404 page not found\n", status=404)

    async def main() -> None:
        async with serving(handler) as access, Client(access, user_agent="test") as api:
            await api.list(ALLOCATIONS)

    with pytest.raises(errors.KindMissing, match=r"doesn't serve IPAllocation .*kubectl apply -k config/crd"):
        asyncio.run(main())


def test_a_cluster_wide_refusal_names_a_cluster_role() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return status(403, "Forbidden", f'{USER} cannot list resource "services" at the cluster scope')

    async def main() -> None:
        async with serving(handler) as access, Client(access, user_agent="test") as api:
            await api.list(SERVICES)

    with pytest.raises(errors.Forbidden, match=r"may not list services: .*; a ClusterRole bound to that user"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({}, {}, None),
    ],
)
def test_when_to_ask_again_is_kept(headers: dict[str, str], details: dict[str, Any], seconds: float | None) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        response = status(429, "TooManyRequests", **details)
        response.headers.update(headers)
        return response

    async def main() -> None:
        async with serving(handler) as access:
            await ask(access)

    with pytest.raises(Overloaded) as caught:
        asyncio.run(main())
    assert caught.value.retry_after == seconds
