"""Whether this node's kube-proxy says that it can serve, asked once a second at its health port (KEP-3836).

A node that has just booted can't forward to any Pod before kube-proxy has written its rules, and says so there; so does
one that the cluster autoscaler is about to delete. Many data planes have no such port, and a kube-proxy may bind it to
another address than loopback: where nobody answers, nothing is known, and the node counts as healthy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import aiohttp
import structlog

URL: Final = "http://127.0.0.1:10256/healthz"
"""kube-proxy's ``healthzBindAddress`` as it is by default; the speaker lives in the node's own network."""
PERIOD: Final = 1.0
"""Seconds between two questions."""
TIMEOUT: Final = 0.8
"""Seconds for an answer."""
TWICE: Final = 2
"""Answers in a row that make a healthy kube-proxy unhealthy: moving its addresses costs their connections."""

_MEANS: Final[Mapping[int, bool]] = {HTTPStatus.OK: True, HTTPStatus.SERVICE_UNAVAILABLE: False}

Ask = Callable[[], Awaitable[bool | None]]
"""Whether it is healthy; None where nobody answers."""

log = structlog.get_logger(__name__)


class Proxy:
    """kube-proxy of this node, as its answers have it.

    Args:
        changed: told when ``healthy`` is another; it must not block.

    ``healthy`` is False only while it answers that it is not. The node should then take no address, and hand on what it
    has where somebody else can take it.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.healthy = True
        self._changed = changed
        self._answered = False
        self._bad = 0

    async def run(self, ask: Ask) -> None:
        """Asks until cancelled."""
        while True:
            self._heard(await ask())
            await asyncio.sleep(PERIOD)

    def _heard(self, answer: bool | None) -> None:  # noqa: FBT001  (the answer itself)
        if answer is None:
            # A kube-proxy that is started anew is away for a moment, and its rules stay in the kernel.
            self._bad = 0
            self._become(healthy=True)
            return
        self._bad = 0 if answer else self._bad + 1
        if answer:
            self._become(healthy=True)
        elif self._bad >= TWICE or not self._answered:
            self._become(healthy=False)
        self._answered = True

    def _become(self, *, healthy: bool) -> None:
        if healthy == self.healthy:
            return
        self.healthy = healthy
        if healthy:
            log.info("kube-proxy is healthy again: this node may take addresses", reason="ProxyHealthy")
        else:
            log.warning("kube-proxy is not healthy: this node takes no address", reason="ProxyUnhealthy", url=URL)
        self._changed()


async def ask(url: str = URL) -> bool | None:
    """What it says; nothing, where it accepts the question and doesn't answer, or something else listens there.

    Over a connection of its own each time: whatever answers next may be another process.
    """
    try:
        async with aiohttp.request("GET", url, timeout=aiohttp.ClientTimeout(TIMEOUT), allow_redirects=False) as said:
            return _MEANS.get(said.status)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
