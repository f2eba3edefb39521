"""The webhook's HTTPS server: AdmissionReviews in, AdmissionReviews out; bounded in everything that a peer decides."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from lbprovider.api.webhook import AdmissionRequest, AdmissionResponse, AdmissionReview, ReviewStatus
from lbprovider.controller.webhook import handshake
from lbprovider.controller.webhook.certificates import Generation
from lbprovider.controller.webhook.judging import Outcome, Verdict
from lbprovider.errors import HostError, PortTaken
from lbprovider.telemetry import CERTIFICATE

PATH: Final = "/validate"
VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

MOST_BYTES: Final = 8 << 20
"""Of one request: an object before and after, of which etcd takes 1.5 MB each, with room for JSON's escapes."""
MOST_CONNECTIONS: Final = 64
"""API servers keep a few each. For one more, the oldest that is idle makes way."""
READ_TIMEOUT: Final = 2.0
"""Seconds in which a request has to be here, once it has begun; the API server gives the whole review 3."""
HANDSHAKE_TIMEOUT: Final = 5.0
"""Seconds for TLS."""
KEEPALIVE: Final = 120.0
"""Seconds that an idle connection is kept: longer than the API server does (90), which so never writes into a closed
one."""
LINGERING: Final = 1.0
"""Seconds for which the rest of a request that was too long is read and dropped, so that its sender hears why."""
STOP_TIMEOUT: Final = 2.0
"""Seconds that reviews in flight have when we end."""

_review: Final = msgspec.json.Decoder(AdmissionReview)


class ReviewServer:
    """Listens from the first certificate on.

    Args:
        port: TCP port on all addresses; 0 for any free one.
        review: judges.
    """

    def __init__(self, port: int, review: Callable[[AdmissionRequest], Awaitable[Verdict]]) -> None:
        self._wanted = port
        self._review = review
        self._context = handshake.server_context()
        self._shown: Generation | None = None
        self._server: asyncio.Server | None = None
        self._busy: set[web.RequestHandler] = set()
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post(PATH, self._validate)
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=KEEPALIVE, shutdown_timeout=STOP_TIMEOUT, lingering_time=LINGERING
        )

    @property
    def port(self) -> int:
        """Where it listens; 0 while it doesn't."""
        if self._server is None:
            return 0
        # One socket a family, in no certain order; where any free port is wanted, each has found its own. IPv4's first.
        return int(min((each.getsockname() for each in self._server.sockets), key=len)[1])

    async def show(self, generation: Generation) -> None:
        """Shows this certificate to whoever connects from now on; listens, if it doesn't yet.

        Raises:
            PortTaken: another process listens there.
            HostError: it can't be listened on.
        """
        if generation != self._shown:
            handshake.show(self._context, generation.pems)
            self._shown = generation
        if self._server is None:
            await self._listen()
        CERTIFICATE.set(generation.ends)

    async def stop(self) -> None:
        """Ends what is idle at once, and what is in flight soon."""
        if self._server is not None:
            self._server.close()
            self._server = None
        CERTIFICATE.set(0)
        await self._runner.cleanup()

    async def _listen(self) -> None:
        if self._runner.server is None:
            await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol, port=self._wanted, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
            )
        except OSError as error:
            kind = PortTaken if error.errno == errno.EADDRINUSE else HostError
            raise kind(
                f"can't serve the webhook on TCP port {self._wanted}: {error.strerror}; see --webhook-port"
            ) from error

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None:
            raise RuntimeError("a connection to a server that was never set up")
        connections = server.connections
        if len(connections) >= MOST_CONNECTIONS:
            idle = next((each for each in connections if each not in self._busy), None)
            if idle is not None:
                idle.force_close()
        return server()

    async def _validate(self, http: web.Request) -> web.Response:
        self._busy.add(http.protocol)
        try:
            return await self._answer(http)
        finally:
            self._busy.discard(http.protocol)

    async def _answer(self, http: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                body = await http.read()
        except TimeoutError:
            return web.Response(status=408, text=f"the review was not here within {READ_TIMEOUT:g} s\n")
        try:
            asked = _review.decode(body)
        except (msgspec.MsgspecError, UnicodeError) as error:
            return web.Response(status=400, text=f"this is no {KIND}: {error}\n")
        if (asked.api_version, asked.kind) != (VERSION, KIND) or asked.request is None:
            return web.Response(status=400, text=f"this is no {KIND} of {VERSION} with a request\n")
        answer = answered(asked.request.uid, await self._review(asked.request))
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def answered(uid: str, verdict: Verdict) -> AdmissionReview:
    """The answer to the review of that uid."""
    refused = verdict.outcome is Outcome.REFUSED
    status = ReviewStatus(code=403, reason="Forbidden", message=verdict.message) if refused else None
    response = AdmissionResponse(uid=uid, allowed=not refused, status=status, warnings=verdict.warnings)
    return AdmissionReview(api_version=VERSION, kind=KIND, response=response)
