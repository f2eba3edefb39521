"""What the processes say of themselves: log lines, metrics, health.

Metrics are defined here, so that names, labels and their bounds can be read in one place; the rooms set them. A label
takes its values from a closed list (reasons, verbs, codes) or from the nodes of the cluster: nothing that a tenant or a
host on the LAN can make up.
"""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lbprovider import __version__
from lbprovider.errors import HostError, PortTaken

REGISTRY: Final = CollectorRegistry()

API_REQUESTS: Final = Counter(
    "lbprovider_api_requests", "Requests to the API server", ["verb", "code"], registry=REGISTRY
)

ANSWERS: Final = Counter(
    "lbprovider_answers", "ARP requests and Neighbor Solicitations answered", ["family"], registry=REGISTRY
)
KERNEL_ANSWERS: Final = Counter(
    "lbprovider_kernel_answers", "The same, answered by the kernel itself (--fast-path=bpf)", ["family"],
    registry=REGISTRY,
)  # fmt: skip
QUESTIONS_DROPPED: Final = Counter(
    "lbprovider_questions_dropped", "Questions of the LAN that got no answer", ["reason"], registry=REGISTRY
)
ANNOUNCEMENTS: Final = Counter(
    "lbprovider_announcements", "Gratuitous ARP and unsolicited Neighbor Advertisement frames sent", registry=REGISTRY
)
PROBES: Final = Counter(
    "lbprovider_probes", "Frames sent to find out whether another host has an address of ours", registry=REGISTRY
)
LEADER_CHANGES: Final = Counter(
    "lbprovider_leader_changes", "Addresses won and lost by this node", ["change", "reason"], registry=REGISTRY
)
MOVES: Final = Counter(
    "lbprovider_address_moves", "Addresses that came to this node, by cause (docs/conditions.md)", ["cause"],
    registry=REGISTRY,
)  # fmt: skip
OUTAGE: Final = Histogram(
    "lbprovider_address_outage_seconds",
    "For how long at most nobody answered for an address that came to this node; 0: a planned move", registry=REGISTRY,
    buckets=(0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 1, 2, 5, 10, 60),
)  # fmt: skip
CONFLICTS: Final = Counter(
    "lbprovider_conflicts", "Addresses of this node that something else answered for or announced", ["reason"],
    registry=REGISTRY,
)  # fmt: skip
OWNED: Final = Gauge(
    "lbprovider_owned_addresses", "Addresses that this node answers for", ["segment"], registry=REGISTRY
)
SUPPORT_MARGIN: Final = Gauge(
    "lbprovider_support_margin_seconds", "How long what is owned may go on being answered if nothing more is heard",
    ["segment"], registry=REGISTRY,
)  # fmt: skip
HEARTBEATS: Final = Counter(
    "lbprovider_heartbeats", "Datagrams of other speakers that counted", ["peer"], registry=REGISTRY
)
HEARTBEATS_DROPPED: Final = Counter(
    "lbprovider_heartbeats_dropped", "Datagrams that changed nothing", ["reason"], registry=REGISTRY
)
SNAPSHOT: Final = Gauge(
    "lbprovider_snapshot_kept", "Whether what a restart needs while the API server is down is on disk: 1 or 0",
    registry=REGISTRY,
)  # fmt: skip
LOOP_LAG: Final = Histogram(
    "lbprovider_loop_lag_seconds", "How late timers ran", registry=REGISTRY,
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1),
)  # fmt: skip

REVIEWS: Final = Counter(
    "lbprovider_webhook_reviews", "Edits of pools and advertisements that the webhook was asked about",
    ["resource", "verdict"], registry=REGISTRY,
)  # fmt: skip
CERTIFICATE: Final = Gauge(
    "lbprovider_webhook_certificate_expiry_timestamp_seconds",
    "When the certificate that the webhook shows ends, in seconds since 1970; 0: it shows none", registry=REGISTRY,
)  # fmt: skip

BUILD: Final = Gauge("lbprovider_build_info", "The version, as a label; always 1", ["version"], registry=REGISTRY)
BUILD.labels(version=__version__).set(1)


def configure_logging(level: str = "INFO") -> None:
    """Logs to stderr: JSON lines, or coloured text on a terminal.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
    """
    terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries (kopf, aiohttp) log through the standard library: warnings only, in the same form.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class HealthServer:
    """/healthz, /readyz and /metrics over plain HTTP.

    Args:
        port: TCP port, 0 for any free one.
        not_ready: why the process is not ready, one sentence; empty when it is.
    """

    def __init__(self, port: int, not_ready: Callable[[], str]) -> None:
        self._port = port
        self._not_ready = not_ready
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> int:
        """Listens; returns the port.

        Raises:
            PortTaken: another process listens there.
            HostError: it can't be listened on.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, port=self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            kind = PortTaken if error.errno == errno.EADDRINUSE else HostError
            raise kind(f"can't serve health on TCP port {self._port}: {error.strerror}; see --http-port") from error
        address = self._runner.addresses[0]
        return int(address[1])

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        why = self._not_ready()
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
