"""``lbprovider speaker``: boots the agent in an order that is safe, and ends it in one that loses nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import structlog

from lbprovider.api import names
from lbprovider.api.registration import Registration
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, LEASES, NAMESPACES, NODES, SECRETS, SEGMENTS
from lbprovider.errors import Conflict, Forbidden, KindMissing, Overloaded, Unauthorized, Unreachable
from lbprovider.kube.access import in_cluster
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.client import Client
from lbprovider.kube.node_lease import NodeLease
from lbprovider.kube.ports import Api
from lbprovider.kube.reflector import Reflector
from lbprovider.net.clock import boottime
from lbprovider.net.datagrams import KernelDatagrams
from lbprovider.net.groups import KernelGroups
from lbprovider.net.links import Links, lan_links
from lbprovider.net.netlink import KernelLinks
from lbprovider.net.packet import KernelPackets
from lbprovider.settings import SpeakerSettings
from lbprovider.speaker.agent import Agent
from lbprovider.speaker.attachments import assign, attachments
from lbprovider.speaker.keys import Keyring
from lbprovider.speaker.lan import Identity
from lbprovider.speaker.ports import Host, Timer
from lbprovider.speaker.reporter import Reporter
from lbprovider.speaker.segments import Segments
from lbprovider.speaker.view import View
from lbprovider.telemetry import HealthServer

T = TypeVar("T")

_NS: Final = 1_000_000_000
_LOOK: Final = 0.25
"""Seconds between two looks at what a reflector waits for."""
_RETRY_CAP: Final = 5.0
"""Seconds between two tries of what the start waits for."""
_DRAIN_SPARE: Final = 1.0
"""Seconds beyond 2·hold after which draining ends even if something of ours were wrong: Kubernetes would kill us."""
_HOPELESS: Final = (Unauthorized, Forbidden, KindMissing)
"""What waiting doesn't mend: said as one sentence, and the process ends."""

log = structlog.get_logger(__name__)


async def serve(settings: SpeakerSettings) -> None:
    """Runs the speaker until SIGTERM or SIGINT.

    Raises:
        UsageError: not in a Pod, no ServiceAccount token.
        HostError: CAP_NET_RAW is missing, the UDP or the health port is taken.
        ClusterError: a permission or a CRD is missing, or another speaker of this node has started.
    """
    access = in_cluster(settings.service_account_dir, os.environ)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with KernelLinks() as links, Client(access, user_agent="lbprovider-speaker") as api:
        speaker = Speaker(settings, api, links, _kernel())
        speaker.check_host()
        health = HealthServer(settings.http_port, speaker.why_not_ready)
        port = await health.start()
        log.info("started", node=settings.node_name, http_port=port)
        try:
            await speaker.run(stop)
        finally:
            await health.stop()


def _kernel() -> Host:
    loop = asyncio.get_running_loop()

    def call_at(when: int, callback: Callable[[], None]) -> Timer:
        # The loop's clock stands still while the machine is suspended: who is called looks at ours (C5).
        return loop.call_at(loop.time() + (when - boottime()) / _NS, callback)

    return Host(
        clock=boottime,
        call_at=call_at,
        open_datagrams=KernelDatagrams,
        open_packets=KernelPackets,
        open_groups=KernelGroups,
    )


class Speaker:
    """One life of the speaker.

    Args:
        settings: see there.
        api: the API server.
        links: the interfaces of this node.
        host: its clock and kernel.
    """

    def __init__(self, settings: SpeakerSettings, api: Api, links: Links, host: Host) -> None:
        self._settings = settings
        self._api = api
        self._links = links
        self._host = host
        self._why = "starting"
        self._agent: Agent | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._ended = asyncio.Event()
        self._keyring = Keyring()
        self._segments = Segments(api, self._segment_changed)
        self._view = View(
            stale=self._stale, registered=self._registered, heed_exclude_label=not settings.ignore_exclude_label
        )
        self._reporter = Reporter(api, self._view.allocation, wall=time.time)
        self._lease = NodeLease(
            api, namespace=settings.namespace, node=settings.node_name, clock=lambda: host.clock() / _NS
        )

    def check_host(self) -> None:
        """Says at once what this node can't do, and above all before a Lease is taken from a speaker that can.

        Raises:
            HostError: CAP_NET_RAW is missing, or the UDP port is taken.
        """
        for link in lan_links(self._links.snapshot(), self._settings.excluded_interfaces):
            self._host.open_packets(link, lambda _: None, lambda: None).close()
            self._host.open_datagrams(link, self._settings.heartbeat_port, lambda _, __: None).close()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; then drains.

        Raises:
            LbproviderError: as ``serve``.
        """
        try:
            self._start(stop.wait(), self._live())
            await self._first_end()
            await self._drain()
        finally:
            await self._end()

    def why_not_ready(self) -> str:
        """For the readiness probe: one sentence, empty when ready."""
        return self._why or ("" if self._agent is None else self._agent.why_not_ready())

    # ---- the start

    async def _live(self) -> None:
        own = self._settings.namespace
        watched: list[tuple[Reflector[Any], Any]] = [
            (Reflector(self._api, SEGMENTS), self._segments.sink),
            (Reflector(self._api, NODES), self._view.nodes),
            (Reflector(self._api, LEASES, namespace=own, label_selector=names.SPEAKER_LABEL), self._view.leases),
            (Reflector(self._api, ADVERTISEMENTS, namespace=own), self._view.advertisements),
            (Reflector(self._api, ALLOCATIONS), self._view.allocations),
        ]
        one = f"metadata.name={names.HEARTBEAT_SECRET}"
        watched.append((Reflector(self._api, SECRETS, namespace=own, field_selector=one), self._keyring.sink))
        self._start(*(reflector.run(sink) for reflector, sink in watched))
        for reflector, _ in watched:
            await self._synced(reflector)
        cluster = await self._insist(lambda: self._api.get(NAMESPACES, "kube-system"))
        self._why = f"waits for the Secret {own}/{names.HEARTBEAT_SECRET}, which the controller makes"
        if not self._keyring.keys():
            log.warning(self._why)
        await self._keyring.wait()
        on = assign(lan_links(self._links.snapshot(), self._settings.excluded_interfaces), self._segments.all)
        self._lease.register(attachments(on, {}, ()))
        incarnation = await self._insist(self._lease.start)
        log.info("registered", incarnation=incarnation)
        await self._serve(cluster.metadata.uid, incarnation)

    async def _serve(self, cluster: str, incarnation: int) -> None:
        self._agent = Agent(
            Identity(
                node=self._settings.node_name,
                incarnation=incarnation,
                cluster=cluster,
                port=self._settings.heartbeat_port,
            ),
            host=self._host,
            keys=self._keyring.keys,
            excluded=self._settings.excluded_interfaces,
            segments=self._segments,
            view=self._view,
            reporter=self._reporter,
            register=self._lease.register,
        )
        self._why = ""
        self._start(self._lease.run(), self._reporter.run(), self._failed(self._agent))
        # What is there by now stays: without it a collection has little to look at, and takes little time.
        gc.collect()
        gc.freeze()
        self._agent.links_changed(self._links.snapshot())
        self._agent.stale()
        async for _ in self._links:
            self._agent.links_changed(self._links.snapshot())

    async def _synced(self, reflector: Reflector[Any]) -> None:
        while not reflector.synced:
            if isinstance(reflector.error, _HOPELESS):
                raise reflector.error
            self._why = str(reflector.error or "waits for the API server's first lists")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await reflector.wait_synced()

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(random.random, cap=_RETRY_CAP)
        while True:
            try:
                return await ask()
            except (Unreachable, Overloaded, Conflict) as error:
                self._why = str(error)
                log.warning(self._why)
                await asyncio.sleep(backoff.pause(error))

    # ---- what the API server tells, before there is an agent and after

    def _segment_changed(self, name: str) -> None:
        if self._agent is not None:
            self._agent.segment_changed(name)

    def _stale(self) -> None:
        if self._agent is not None:
            self._agent.stale()

    def _registered(self, node: str, what: Registration | None) -> None:
        if self._agent is not None:
            self._agent.registered(node, what)

    # ---- the end

    def _start(self, *work: Coroutine[Any, Any, Any]) -> None:
        for each in work:
            task = asyncio.get_running_loop().create_task(each)
            task.add_done_callback(lambda _: self._ended.set())
            self._tasks.append(task)

    async def _first_end(self) -> None:
        """Until we are told to stop, or one of our tasks fails: none of the others ends by itself."""
        await self._ended.wait()
        for task in self._tasks:
            if task.done():
                task.result()

    async def _failed(self, agent: Agent) -> None:
        await agent.failed

    async def _drain(self) -> None:
        agent, self._why = self._agent, "draining"
        if agent is None:
            return
        log.info("draining", addresses=agent.owned)
        agent.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * agent.hold / _NS + _DRAIN_SPARE):
                await agent.idle.wait()
        log.info("drained", left=agent.owned)

    async def _end(self) -> None:
        if self._agent is not None:
            self._agent.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
