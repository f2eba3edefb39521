"""The server's life: its rooms, its sockets, and its end."""

from __future__ import annotations

import asyncio
import signal
import ssl
import time
from collections.abc import Sequence
from typing import Any

import structlog
from aiohttp import web

from lbprovider.errors import HostError
from lbprovider.lab.apiserver import bootstrap
from lbprovider.lab.apiserver.access.authentication import Authenticator, read_users
from lbprovider.lab.apiserver.access.authorization import Authorizer
from lbprovider.lab.apiserver.access.reviews import rfc3339
from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.handling import MAX_BODY, Handler, Rooms
from lbprovider.lab.apiserver.home import Home
from lbprovider.lab.apiserver.reading.lists import Reader
from lbprovider.lab.apiserver.services.allocating import Allocator
from lbprovider.lab.apiserver.services.registry import Registry
from lbprovider.lab.apiserver.store import Store
from lbprovider.lab.apiserver.writing.deleter import Deleter
from lbprovider.lab.apiserver.writing.rules import Rules
from lbprovider.lab.apiserver.writing.writer import Writer
from lbprovider.net import listeners

_IDLE = 3600.0
"""Seconds for which an idle connection is kept: longer than clients keep theirs, or one could close under a request."""
_LAST_WORDS = 0.1
"""Seconds that requests in work have at the end. (aiohttp takes 0 for no bound at all.)"""

log = structlog.get_logger(__name__)


def furnish(home: Home, store: Store) -> Rooms:
    """The rooms of a server; called in its loop.

    Args:
        home: its directory.
        store: its objects.
    """

    def now() -> str:
        return rfc3339(time.time())

    bootstrap.fill(store, now())
    served = Served(store)
    deleter = Deleter(store, served, asyncio.get_running_loop().call_soon, now)
    return Rooms(
        store=store,
        served=served,
        authenticator=Authenticator(read_users(home.users), home.tokens_key, store),
        authorizer=Authorizer(store),
        reader=Reader(store),
        writer=Writer(store, served, Rules(served, Registry(Allocator(store))), deleter),
        deleter=deleter,
    )


async def serve(home: Home, listen: Sequence[tuple[str, int]], descriptors: Sequence[int]) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        home: a directory that ``home.prepare`` made.
        listen: addresses and ports, 0 for any free one.
        descriptors: sockets that listen already, by number.

    Raises:
        HostError: an address can't be listened on, or a descriptor is no socket that listens.
    """
    home.listening(None)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = Store(home.objects)
    handler = Handler(furnish(home, store))
    runner = web.ServerRunner(_server(handler), shutdown_timeout=_LAST_WORDS)
    await runner.setup()
    try:
        await _listen(runner, _tls(home), listen, descriptors)
        endpoints = [_endpoint(address) for address in runner.addresses]
        home.listening(endpoints)
        log.info("the lab's API server listens", endpoints=endpoints)
        await stop.wait()
    finally:
        home.listening(None)
        handler.close()
        await runner.cleanup()
        store.close()


def _server(handler: Handler) -> web.Server:
    def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)

    return web.Server(
        handler, request_factory=request, handler_cancellation=True, access_log=None, keepalive_timeout=_IDLE
    )


def _tls(home: Home) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.certificate, home.key)
    return context


async def _listen(
    runner: web.ServerRunner, tls: ssl.SSLContext, listen: Sequence[tuple[str, int]], descriptors: Sequence[int]
) -> None:
    for host, port in listen:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls, reuse_address=True).start()
        except OSError as error:
            raise HostError(f"can't listen on {host}:{port}: {error.strerror}") from error
    for descriptor in descriptors:
        await web.SockSite(runner, listeners.adopt(descriptor), ssl_context=tls).start()


def _endpoint(address: Sequence[Any]) -> str:
    host, port = address[:2]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
