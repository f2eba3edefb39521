"""The server behind the lab's Services, and the visitor that reads what it says; on this machine's loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from ipaddress import IPv4Address, ip_address
from typing import Any, cast

import pytest

from lbprovider.errors import HostError
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.visitor import Answer, fetch
from lbprovider.lab.webserver import WebServer
from lbprovider.net.namespaces import Namespace

LOCAL = IPv4Address("127.0.0.1")
PATIENCE = 10.0


class Here:
    """Dials as a namespace does, but from where the test is."""

    def dial(self, address: Address, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((str(address), port), timeout)


HERE = cast("Namespace", Here())


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind((str(LOCAL), 0))
        return int(taken.getsockname()[1])


async def on_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.to_thread(function, *arguments)


def ask_by_udp(address: str, port: int) -> bytes:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asker:
        asker.settimeout(PATIENCE)
        asker.connect((address, port))
        asker.send(b"?")
        return asker.recv(4096)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_it_says_where_it_is_and_whom_it_sees(address: str) -> None:
    async def main() -> None:
        server, port = WebServer("node1", "web"), free_port()
        await server.start([address], port)
        try:
            assert await on_thread(fetch, HERE, ip_address(address), port) == Answer("node1", "web", address)
            said = await on_thread(ask_by_udp, address, port)
            assert said == f'{{"node": "node1", "pod": "web", "client": "{address}"}}'.encode()
        finally:
            await server.stop()
        with pytest.raises(ConnectionRefusedError):
            await on_thread(fetch, HERE, ip_address(address), port)

    asyncio.run(main())


def test_a_connection_is_for_one_answer() -> None:
    def two_requests(port: int) -> bytes:
        with closing(HERE.dial(LOCAL, port, PATIENCE)) as connection:
            connection.sendall(b"GET /any/path HTTP/1.1\r\nHost: web\r\n\r\n" * 2)
            said = bytearray()
            while piece := connection.recv(4096):
                said += piece
            return bytes(said)

    async def main() -> None:
        server, port = WebServer("node1", "web"), free_port()
        await server.start([str(LOCAL)], port)
        try:
            said = await on_thread(two_requests, port)
        finally:
            await server.stop()
        assert said.count(b"HTTP/1.1 200 OK") == 1
        assert b"Connection: close" in said

    asyncio.run(main())


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    async def main() -> None:
        first, second, port = WebServer("node1", "web"), WebServer("node2", "web"), free_port()
        await first.start([str(LOCAL)], port)
        try:
            with pytest.raises(HostError, match=rf"can't listen on 127\.0\.0\.1 port {port}: .*in use"):
                await second.start([str(LOCAL)], port)
        finally:
            await first.stop()

    asyncio.run(main())


# --- a visitor and others' servers


@contextmanager
def saying(content: bytes) -> Iterator[int]:
    """A server that says this to the first who calls, whatever they ask; its port."""
    with socket.create_server((str(LOCAL), 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as caller:
                caller.recv(4096)
                caller.sendall(content)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(PATIENCE)


def http(status: str, body: bytes, length: int | None = None) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no whole answer"),
        (b"SSH-2.0-OpenSSH\r\n", "no whole answer"),
        (http("200 OK", b'{"node": "node1"', length=100), "no server of the lab"),
        (http("404 Not Found", b"{}"), "answered 404 Not Found"),
        (http("200 OK", b"<html>"), "no server of the lab"),
        (http("200 OK", b'{"node": "node1"}'), "no server of the lab"),
        (http("200 OK", b"[]"), "no server of the lab"),
    ],
)
def test_anything_but_a_whole_answer_of_ours_is_an_oserror(content: bytes, why: str) -> None:
    with saying(content) as port, pytest.raises(OSError, match=why):
        fetch(HERE, LOCAL, port)


def test_silence_times_out() -> None:
    with socket.create_server((str(LOCAL), 0)) as listening, pytest.raises(TimeoutError):
        fetch(HERE, LOCAL, listening.getsockname()[1], timeout=0.05)
