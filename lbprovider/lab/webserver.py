"""The small server behind a Service: it says where it runs and whom it sees, so that a client learns who led it there.

Over HTTP any path, and over UDP any datagram, is answered ``{"node": …, "pod": …, "client": …}``, the last being the
address that the server sees the client at. ``python -m lbprovider.lab.webserver`` is the program of a Pod.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Final, cast

from aiohttp import web

from lbprovider.errors import HostError

PORT: Final = 8080
"""TCP and UDP: where the lab's servers listen."""
_SHUTDOWN: Final = 0.2
"""Seconds that an answer may still take when the server stops."""


class WebServer:
    """A server, from :meth:`start` to :meth:`stop`.

    Args:
        node: what to say of where it runs.
        pod: likewise.
    """

    def __init__(self, node: str, pod: str) -> None:
        self._node, self._pod = node, pod
        app = web.Application()
        app.router.add_get("/{path:.*}", self._http)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN)
        self._datagrams: list[asyncio.DatagramTransport] = []

    async def start(self, addresses: Sequence[str], port: int = PORT) -> None:
        """Listen on each of these addresses, on TCP and UDP.

        Raises:
            HostError: one of them is not here, or its port is taken.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for address in addresses:
            try:
                await web.TCPSite(self._runner, host=address, port=port).start()
                transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(address, port))
            except OSError as error:
                await self.stop()
                raise HostError(f"can't listen on {address} port {port}: {error.strerror}") from error
            self._datagrams.append(transport)

    async def stop(self) -> None:
        """Stop listening, and end what is under way."""
        while self._datagrams:
            self._datagrams.pop().close()
        await self._runner.cleanup()

    def answer(self, client: str) -> bytes:
        """What a client gets to read."""
        return json.dumps({"node": self._node, "pod": self._pod, "client": client}).encode()

    async def _http(self, request: web.Request) -> web.Response:
        response = web.Response(body=self.answer(request.remote or ""), content_type="application/json")
        # A connection that stayed open would go on to this node when another one leads.
        response.force_close()
        return response


class _Datagrams(asyncio.DatagramProtocol):
    """Answers each datagram to whoever sent it."""

    def __init__(self, server: WebServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, _: bytes, client: tuple[str, int]) -> None:
        self._transport.sendto(self._server.answer(client[0]), client)


def command(node: str, pod: str, addresses: Sequence[str], port: int = PORT) -> list[str]:
    """The command line of a Pod's server, which prints ``serving`` once it listens."""
    argv = [sys.executable, "-m", __name__, "--node", node, "--pod", pod, "--port", str(port)]
    return [*argv, *addresses]


async def _serve(node: str, pod: str, addresses: Sequence[str], port: int) -> None:
    await WebServer(node, pod).start(addresses, port)
    print("serving", flush=True)  # noqa: T201 - whoever reads the log waits for it
    await asyncio.Event().wait()


def main() -> None:
    """Entry point of the program: it serves until a signal ends it."""
    parser = argparse.ArgumentParser(description="Answer HTTP and UDP with where this runs.")
    parser.add_argument("--node", required=True)
    parser.add_argument("--pod", required=True)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("addresses", nargs="+")
    given = parser.parse_args()
    try:
        asyncio.run(_serve(given.node, given.pod, given.addresses, given.port))
    except HostError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
