"""``lbprovider speaker``: boots the agent in an order that is safe, and ends it in one that loses nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from lbprovider.api import names
from lbprovider.api.registration import Registration
from lbprovider.api.resources import NAMESPACES
from lbprovider.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    HostError,
    KindMissing,
    Overloaded,
    Unauthorized,
    Unreachable,
)
from lbprovider.kube.access import in_cluster
from lbprovider.kube.backoff import Backoff
from lbprovider.kube.client import Client
from lbprovider.kube.events import Recorder
from lbprovider.kube.node_lease import NodeLease
from lbprovider.kube.ports import Api
from lbprovider.net.bpf.kernel import open_fast_path
from lbprovider.net.clock import boottime
from lbprovider.net.datagrams import KernelDatagrams
from lbprovider.net.groups import KernelGroups
from lbprovider.net.links import Links, lan_links
from lbprovider.net.netlink import KernelLinks
from lbprovider.net.packet import KernelPackets
from lbprovider.settings import FastPathKind, OnQuorumLoss, SpeakerSettings
from lbprovider.speaker.agent import Agent
from lbprovider.speaker.attachments import assign, attachments
from lbprovider.speaker.files import SnapshotFile
from lbprovider.speaker.keeper import Keeper
from lbprovider.speaker.keys import Keyring
from lbprovider.speaker.knowledge import Knowledge
from lbprovider.speaker.lan import Identity
from lbprovider.speaker.leaving import leave
from lbprovider.speaker.noticing import Noticing
from lbprovider.speaker.ports import Host, Timer
from lbprovider.speaker.presence import Manner
from lbprovider.speaker.proxy import Proxy, ask
from lbprovider.speaker.reporter import Reporter
from lbprovider.speaker.segments import Segments
from lbprovider.speaker.snapshot import Kept, Snapshot
from lbprovider.speaker.succession import after_former
from lbprovider.speaker.telling import Teller, own_node
from lbprovider.speaker.view import View
from lbprovider.speaker.witnesses import Witnesses, looking
from lbprovider.telemetry import HealthServer

T = TypeVar("T")

_NS: Final = 1_000_000_000
_RETRY_CAP: Final = 5.0
"""Seconds between two tries of what the start waits for."""
_DOWN: Final = 5.0
"""Seconds without an answer after which the API server is down for a start that has a snapshot (ELECTION.md C7)."""
_HOPELESS: Final = (Unauthorized, Forbidden, KindMissing)
"""What waiting doesn't mend: said as one sentence, and the process ends."""

log = structlog.get_logger(__name__)


async def serve(settings: SpeakerSettings) -> None:
    """Runs the speaker until SIGTERM or SIGINT.

    Raises:
        UsageError: not in a Pod, no ServiceAccount token.
        HostError: CAP_NET_RAW is missing, the UDP or the health port is taken, the snapshot was another cluster's.
        ClusterError: a permission or a CRD is missing, or another speaker of this node has started.
    """
    access = in_cluster(settings.service_account_dir, os.environ)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with KernelLinks() as links, Client(access, user_agent="lbprovider-speaker") as api:
        speaker = Speaker(settings, api, links, _kernel(settings))
        health = HealthServer(settings.http_port, speaker.why_not_ready)

        async def listen() -> None:
            log.info("started", node=settings.node_name, http_port=await health.start())

        try:
            await speaker.run(stop, listen)
        finally:
            await health.stop()


def _kernel(settings: SpeakerSettings) -> Host:
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
        # One at a time and in order; its thread is started by the first.
        offload=partial(loop.run_in_executor, ThreadPoolExecutor(1, "disk")),
        open_fast_path=open_fast_path if settings.fast_path is FastPathKind.BPF else None,
        ask_proxy=ask,
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
        self._proxy = Proxy(self._proxy_changed)
        self._identity = Identity(
            node=settings.node_name, incarnation=0, cluster="", port=settings.heartbeat_port
        )  # fmt: skip
        directory = settings.snapshot_dir
        self._keeper = Keeper(
            SnapshotFile(directory) if directory is not None else None,
            offload=host.offload,
            compose=lambda: self._known.snapshot(self._identity, {} if self._agent is None else self._agent.members()),
            voting=lambda name: self._agent is not None and self._agent.votes(name),
            changed=self._durable,
        )
        self._witnesses = Witnesses(
            settings.node_name, host.clock, last_resort=settings.on_quorum_loss is OnQuorumLoss.LEASE
        )
        view = View(
            stale=self._stale,
            registered=self._registered,
            renewed=self._witnesses.renewed,
        )
        self._known = Knowledge(
            api,
            settings.namespace,
            segments=Segments(api, self._segment_changed),
            keyring=Keyring(self._keeper.touch),
            view=view,
        )
        seconds: Callable[[], float] = lambda: host.clock() / _NS  # noqa: E731
        recorder = Recorder(api, component="lbprovider-speaker", instance=settings.node_name, clock=seconds)
        self._teller = Teller(recorder, lambda: own_node(view, settings.node_name), clock=seconds)
        self._reporter = Reporter(api, view, node=settings.node_name, teller=self._teller, wall=time.time)
        self._noticing = Noticing(
            self._teller,
            why_not_ready=self.why_not_ready,
            interfaces=links.snapshot,
            lans=lambda: [link.name for link in lan_links(links.snapshot(), settings.excluded_interfaces)],
        )
        self._lease = NodeLease(
            api,
            namespace=settings.namespace,
            node=settings.node_name,
            ignores_exclude_label=settings.ignore_exclude_label,
            clock=seconds,
        )

    def _check_host(self) -> None:
        """Says at once what this node can't do, and above all before a Lease is taken from a speaker that can.

        Raises:
            PortTaken: the UDP port is.
            HostError: CAP_NET_RAW is missing.
        """
        for link in lan_links(self._links.snapshot(), self._settings.excluded_interfaces):
            self._host.open_packets(link, lambda _: None, lambda: None).close()
            self._host.open_datagrams(link, self._settings.heartbeat_port, lambda _: None).close()

    async def run(self, stop: asyncio.Event, listen: Callable[[], Awaitable[None]]) -> None:
        """Until ``stop``; then drains.

        Args:
            stop: set from outside.
            listen: has ``why_not_ready`` asked at a port of this node from now on.

        Raises:
            LbproviderError: as ``serve``.
        """
        try:
            self._start(stop.wait(), self._live(listen))
            await self._first_end()
            await self._drain()
        finally:
            await self._end()

    def why_not_ready(self) -> str:
        """For the readiness probe: one sentence, empty when ready."""
        return self._why or ("" if self._agent is None else self._agent.why_not_ready())

    # ---- the start

    async def _live(self, listen: Callable[[], Awaitable[None]]) -> None:
        async def begin() -> None:
            self._check_host()
            await listen()

        await after_former(begin, self._waits)
        restored, lease = await self._begin()
        await self._serve(restored, lease)

    async def _begin(self) -> tuple[Mapping[str, Kept], Coroutine[Any, Any, None]]:
        """From the API server, or from what a former life left; the Segments of that, and what keeps the Lease."""
        stored = await self._keeper.load(self._settings.node_name)
        self._start(*self._known.watching())
        try:
            async with asyncio.timeout(None if stored is None else _DOWN):
                await self._known.first_lists(_HOPELESS, self._waits)
                system = await self._insist(lambda: self._api.get(NAMESPACES, "kube-system"))
            cluster = system.metadata.uid
            if stored is not None and stored.cluster != cluster:
                self._keeper.disown(
                    f"the snapshot is of cluster {stored.cluster}, this is {cluster}; starting as if there were none"
                )
                stored = None
            await self._first_key()
            self._register()
            async with asyncio.timeout(None if stored is None else _DOWN):
                last = 0 if stored is None else stored.incarnation
                incarnation = await self._insist(lambda: self._lease.start(last))
        except TimeoutError:
            if stored is None:  # it has no timeout
                raise
            await self._restore(stored)
            return {one.segment.metadata.name: one for one in stored.segments}, self._confirmed()
        log.info("registered", incarnation=incarnation)
        await self._identify(cluster, incarnation)
        return {}, self._lease.run()

    async def _first_key(self) -> None:
        where = f"{self._settings.namespace}/{names.HEARTBEAT_SECRET}"
        self._waits(f"waits for the Secret {where}, which the controller makes")
        if not self._known.keyring.keys():
            log.warning(self._why)
        await self._known.keyring.wait()

    def _register(self) -> None:
        links = lan_links(self._links.snapshot(), self._settings.excluded_interfaces)
        self._lease.register(attachments(assign(links, self._known.segments.all), {}, ()))

    async def _restore(self, stored: Snapshot) -> None:
        """The API server is down: goes on from what a former life of this speaker knew (DESIGN section 5).

        What changed meanwhile isn't known: an address that was freed is answered until the API server is back. Whom to
        vote with is known: no version was reported before the snapshot had it, and newer ones come with datagrams.
        """
        log.warning("the API server is down: going on from the snapshot", problem=self._why)
        self._known.restore(stored)
        await self._first_key()
        self._register()
        # The later, where the Lease was read but perhaps not written.
        incarnation = max(stored.incarnation + 1, self._lease.incarnation)
        self._lease.resume(incarnation)
        await self._identify(stored.cluster, incarnation)
        log.info("restored", incarnation=incarnation, addresses=len(stored.allocations))

    async def _confirmed(self) -> None:
        """Once the API server is back: it must be that of the cluster that this life began in."""
        backoff, cluster = Backoff(random.random), ""
        while not cluster:
            try:
                cluster = (await self._api.get(NAMESPACES, "kube-system")).metadata.uid
            except ClusterError as error:
                await asyncio.sleep(backoff.pause(error))
        if cluster != self._identity.cluster:
            await self._keeper.remove()
            raise HostError(
                f"the snapshot in {self._settings.snapshot_dir} was of cluster {self._identity.cluster}, this node is "
                f"in {cluster}: it is removed, and this speaker ends to start without"
            )
        await self._lease.run()

    async def _identify(self, cluster: str, incarnation: int) -> None:
        """Who this speaker is, and never again another one."""
        self._identity = replace(self._identity, cluster=cluster, incarnation=incarnation)
        await self._keeper.reserve(incarnation, self._waits)

    def _waits(self, why: str) -> None:
        self._why = why

    async def _serve(self, restored: Mapping[str, Kept], lease: Coroutine[Any, Any, None]) -> None:
        self._agent = Agent(
            self._identity,
            host=self._host,
            keys=self._known.keyring.keys,
            excluded=self._settings.excluded_interfaces,
            segments=self._known.segments,
            view=self._known.view,
            reporter=self._reporter,
            keeper=self._keeper,
            restored=restored,
            register=self._lease.register,
            manner=Manner(per_second=self._settings.gratuitous_pps, probe=self._settings.probe),
        )
        self._why = ""
        self._start(lease, self._keeper.run(), self._failed(self._agent))
        self._start(self._reporter.run(), self._teller.run(), self._noticing.run())
        self._start(looking(partial(self._agent.look, self._witnesses)))
        if self._host.ask_proxy is not None:
            self._start(self._proxy.run(self._host.ask_proxy))
        # What is there by now stays: without it a collection has little to look at, and takes little time.
        gc.collect()
        gc.freeze()
        self._agent.links_changed(self._links.snapshot())
        self._agent.stale()
        async for _ in self._links:
            self._agent.links_changed(self._links.snapshot())

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(random.random, cap=_RETRY_CAP)
        while True:
            try:
                return await ask()
            except (Unreachable, Overloaded, Conflict) as error:
                self._waits(str(error))
                log.warning(self._why)
                await asyncio.sleep(backoff.pause(error))

    # ---- what the API server tells, before there is an agent and after

    def _segment_changed(self, name: str) -> None:
        if self._agent is not None:
            self._agent.segment_changed(name)
        self._keeper.touch()

    def _stale(self) -> None:
        if self._agent is not None:
            self._agent.stale()
        self._keeper.touch()

    def _registered(self, node: str, what: Registration | None) -> None:
        if self._agent is not None:
            self._agent.registered(node, what)

    def _proxy_changed(self) -> None:
        if self._agent is not None:
            self._agent.forwards(able=self._proxy.healthy)

    def _durable(self) -> None:
        if self._agent is not None:
            self._agent.durable()

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
        node = self._known.view.node(self._settings.node_name)
        await leave(agent, node, self._lease.told)

    async def _end(self) -> None:
        if self._agent is not None:
            self._agent.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
