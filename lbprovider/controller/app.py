"""The controller's process: credentials, health, leadership, signals."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from lbprovider.api import names
from lbprovider.controller import startup
from lbprovider.controller.guard import Guarded, Reach
from lbprovider.controller.inventory import Inventory
from lbprovider.controller.leading import lead
from lbprovider.controller.tasks import beside
from lbprovider.controller.watching import Watches
from lbprovider.controller.webhook import app as webhook
from lbprovider.errors import LeaseLost
from lbprovider.kube.access import Access, from_kubeconfig, in_cluster
from lbprovider.kube.client import Client
from lbprovider.kube.lease import LeaderLease
from lbprovider.settings import SERVICE_ACCOUNT_DIR, ControllerSettings
from lbprovider.telemetry import HealthServer

log = structlog.get_logger(__name__)


class _Stop(Exception):
    """SIGTERM or SIGINT."""


class _Readiness:
    """Ready: standing by, or leading with everything adopted; in both cases with an API server that answers."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self.why = "starting"

    def not_ready(self) -> str:
        return self.why or self._reach.why_not()


async def serve(settings: ControllerSettings) -> None:
    """Runs the controller until SIGTERM or SIGINT.

    Raises:
        UsageError: the kubeconfig can't be used, or there is none.
        HostError: the port of the health server is taken.
        ClusterError: the API server can't be reached, lacks our CRDs, or refuses what we must do.
    """
    access = (
        await from_kubeconfig(settings.kubeconfig, os.environ)
        if settings.kubeconfig is not None
        else in_cluster(SERVICE_ACCOUNT_DIR, os.environ)
    )
    reach = Reach()
    readiness = _Readiness(reach)
    health = HealthServer(settings.http_port, readiness.not_ready)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Client(access, user_agent=names.CONTROLLER_MANAGER) as client:
        try:
            async with beside(_raise(stop)):
                await startup.check(Guarded(client, reach), settings.namespace, webhook=settings.webhook)
                port = await health.start()
                log.info("started", identity=settings.identity, namespace=settings.namespace, http_port=port)
                # One for all terms: what this very process held, and nobody took meanwhile, needs not run out first.
                lease = LeaderLease(
                    Guarded(client, reach),
                    namespace=settings.namespace,
                    name=names.CONTROLLER_LEASE,
                    identity=settings.identity,
                )
                async with beside(*_webhook(Guarded(client, reach), settings)):
                    while True:
                        await _term(lease, access, client, reach, readiness, settings=settings)
        except _Stop:
            log.info("stopped")
        finally:
            await health.stop()


def _webhook(api: Guarded, settings: ControllerSettings) -> tuple[Coroutine[Any, Any, None], ...]:
    """Of every replica, whether it leads or not."""
    return (webhook.serve(api, settings.namespace, settings.webhook_port),) if settings.webhook else ()


async def _term(
    lease: LeaderLease,
    access: Access,
    client: Client,
    reach: Reach,
    readiness: _Readiness,
    *,
    settings: ControllerSettings,
) -> None:
    """Waits for the Lease, and leads until it is lost or we end."""
    readiness.why = ""
    log.info("standing by", lease=names.CONTROLLER_LEASE)
    await lease.acquire()
    readiness.why = "adopting what there is"

    def adopted() -> None:
        readiness.why = ""

    def watch(inventory: Inventory, relisted: Callable[[], None]) -> Coroutine[Any, Any, None]:
        stores = (inventory.services, inventory.namespaces, inventory.nodes, inventory.segments, inventory.allocations)
        return Watches(access, stores, relisted).run()

    api = Guarded(client, reach, lambda: lease.held)
    try:
        async with beside(lease.keep()):
            await startup.ensure_heartbeat_key(api, settings.namespace)
            await lead(api, settings, watch, adopted)
    except LeaseLost as error:
        log.warning("no longer leading", error=str(error))
    finally:
        await lease.release()


async def _raise(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _Stop
