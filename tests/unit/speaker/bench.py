"""Whole speakers in one process, in virtual time: a fake API server, a fake LAN, and a controller of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from lbprovider.api import heartbeat_key, names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.core import Namespace, Node, NodeCondition, NodeStatus, Secret
from lbprovider.api.heartbeat_key import HeartbeatKey
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus
from lbprovider.api.registration import registrations
from lbprovider.api.resources import (
    ADVERTISEMENTS,
    ALLOCATIONS,
    ENDPOINT_SLICES,
    LEASES,
    NAMESPACES,
    NODES,
    SECRETS,
    SEGMENTS,
)
from lbprovider.api.segment import Segment
from lbprovider.election.endpoints import Endpoints, as_slice
from lbprovider.election.membership import next_segment
from lbprovider.kube.ports import Api
from lbprovider.net.bpf.port import OpenFastPath
from lbprovider.net.links import Link
from lbprovider.settings import SpeakerSettings
from lbprovider.speaker.app import Speaker
from lbprovider.speaker.ports import Host
from lbprovider.wire import arp, ethernet
from tests.fakes import virtual_time
from tests.fakes.api_server import FakeApi
from tests.fakes.net import FakeLan, FakeNode

R = TypeVar("R")

NAMESPACE = "lbprovider-system"
SEGMENT = "192.0.2.0-24"
VIP = IPv4Address("192.0.2.100")
CLIENT_MAC, CLIENT = b"\x02\0\0\0\0\xcc", bytes((192, 0, 2, 200))
SECOND = 1_000_000_000
BOOT = 1_000 * SECOND
"""What CLOCK_BOOTTIME shows when a test begins."""


@dataclass(eq=False)
class Running:
    """One node with its speaker."""

    name: str
    link: Link
    net: FakeNode
    speaker: Speaker
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def kill(self) -> None:
        """As SIGKILL: it is gone, and has told nobody."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@dataclass(eq=False)
class Bench:
    """The cluster, from outside."""

    clock: Callable[[], float]
    api: FakeApi = field(default_factory=FakeApi)
    lan: FakeLan = field(default_factory=FakeLan)
    nodes: dict[str, Running] = field(default_factory=dict)
    snapshots: Path | None = None
    """Where each node has a directory for its snapshot; None: none is kept."""
    proxies: dict[str, bool] = field(default_factory=dict)
    """Whether the kube-proxy of a node says that it is healthy; nobody answers where it is not named."""
    fsync: float = 0.01
    """Seconds that a disk takes for anything."""
    open_fast_path: OpenFastPath | None = None
    """What nodes that are started from now on have for a kernel that answers."""

    def __post_init__(self) -> None:
        self.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name="kube-system")))
        keys = heartbeat_key.encode([HeartbeatKey(1, b"k" * 32)])
        where = ObjectMeta(name=names.HEARTBEAT_SECRET, namespace=NAMESPACE)
        self.api.write(SECRETS, Secret(metadata=where, data=keys))
        self.advertise()
        self.back()

    def now(self) -> int:
        return BOOT + int(self.clock() * SECOND)

    def advertise(self, *interfaces: str) -> None:
        self.api.write(
            ADVERTISEMENTS,
            L2Advertisement(
                metadata=ObjectMeta(name="all", namespace=NAMESPACE),
                spec=L2AdvertisementSpec(interfaces=interfaces),
                status=L2AdvertisementStatus(pools=("pool",)),
            ),
        )

    async def ask_proxy(self, node: str) -> bool | None:
        """What a node's kube-proxy says of itself."""
        return self.proxies.get(node)

    def back(self, *nodes: str, leaving: tuple[str, ...] = ()) -> None:
        """Where Service web has endpoints: ready on these nodes (none named: somewhere), terminating on those."""
        known = Endpoints(frozenset(nodes or (() if leaving else ("",))), frozenset(leaving))
        for name, family in (("web-1", "IPv4"), ("web-6", "IPv6")):
            where = ObjectMeta(name=name, namespace="default", labels={names.SERVICE_LABEL: "web"})
            self.api.write(ENDPOINT_SLICES, as_slice(where, family, known))

    def allocate(self, address: IPv4Address | IPv6Address = VIP, *nodes: str, segment: str = SEGMENT) -> IPAllocation:
        service = ServiceClaim(namespace="default", name="web", uid="u1")
        spec = IPAllocationSpec(address=str(address), pool="pool", segment=segment, services=(service,), nodes=nodes)
        return self.api.write(
            ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=names.object_name(address)), spec=spec)
        )

    def allocation(self, address: IPv4Address | IPv6Address = VIP) -> IPAllocation:
        return self.api.objects(ALLOCATIONS)[names.object_name(address)]

    def node(self, number: int, api: Api | None = None, addresses: Sequence[str] = ()) -> Running:
        """Starts a node ``n<number>`` with one interface, or its speaker anew.

        Args:
            number: of the node.
            api: its way to the API server.
            addresses: of its interface, where they are others than usual.
        """
        name = f"n{number}"
        link = Link(
            name="eth0",
            index=number,
            mac=bytes((2, 0, 0, 0, 0, number)),
            up=True,
            carrier=True,
            addresses=tuple(map(ip_interface, addresses or (f"192.0.2.{number}/24",))),
            default_route=True,
        )
        if name not in self.nodes:
            ready = NodeStatus(conditions=(NodeCondition(type="Ready", status="True"),))
            self.api.write(NODES, Node(metadata=ObjectMeta(name=name), status=ready))
        net = self.nodes[name].net if name in self.nodes else FakeNode(self.lan, link)
        ports = net.datagrams, net.packets, net.groups, self.offload, self.open_fast_path
        host = Host(self.now, self.call_at, *ports, ask_proxy=partial(self.ask_proxy, name))
        directory = None if self.snapshots is None else self.snapshots / name
        settings = SpeakerSettings(namespace=NAMESPACE, node_name=name, snapshot_dir=directory)
        speaker, stop = Speaker(settings, api or self.api, net.links, host), asyncio.Event()
        task = asyncio.get_running_loop().create_task(speaker.run(stop, _nowhere))
        self.nodes[name] = Running(name, link, net, speaker, stop, task)
        return self.nodes[name]

    def call_at(self, when: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        # A microsecond late: the loop calls within a nanosecond of its time, and a float is no exact nanosecond.
        return asyncio.get_running_loop().call_at((when - BOOT + 1000) / SECOND, callback)

    async def offload(self, call: Callable[[], Any]) -> Any:
        await asyncio.sleep(self.fsync)
        return call()

    async def control(self) -> None:
        """The controller, as far as Segments go: writes what ``election.membership`` plans."""
        while True:
            known = registrations(self.api.objects(LEASES).values())
            for name in {segment for what in known.values() for segment in what.segments}:
                there = self.api.objects(SEGMENTS).get(name)
                spec = next_segment(name, there.spec if there else None, known).spec
                if spec is not None:
                    made = there or Segment(metadata=ObjectMeta(name=name))
                    self.api.write(SEGMENTS, msgspec.structs.replace(made, spec=spec))
            await asyncio.sleep(0.2)

    async def settled(self, *, members: int, within: float = 30, segment: str = SEGMENT) -> None:
        """Until every speaker is ready and the Segment has that many members."""
        await self.until(lambda: self._members(segment) == members and all(map(_is_ready, self.nodes.values())), within)

    async def kept(self) -> Running:
        """Starts ``n1``; until it is ready alone, and its snapshot says so."""
        node = self.node(1)
        await self.settled(members=1)
        await asyncio.sleep(5)
        return node

    async def three(self) -> None:
        """Starts ``n1`` to ``n3``; until all are members and ready."""
        for number in (1, 2, 3):
            self.node(number)
        await self.settled(members=3)

    async def led(self) -> str:
        """Allocates the address; until it has a leader, who is returned."""
        self.allocate()
        await self.until(lambda: self.allocation().status.leader)
        return self.allocation().status.leader

    def _members(self, segment: str = SEGMENT) -> int:
        there = self.api.objects(SEGMENTS).get(segment)
        return len(there.spec.lists[-1].members) if there is not None and len(there.spec.lists) == 1 else 0

    async def until(self, condition: Callable[[], object], within: float = 30) -> None:
        """Virtual seconds; looks each millisecond."""
        end = self.clock() + within
        while not condition():
            whys = {each.name: each.speaker.why_not_ready() for each in self.nodes.values()}
            assert self.clock() < end, f"not within {within} s: {whys}"
            for each in self.nodes.values():
                if each.task.done():
                    each.task.result()
            await asyncio.sleep(0.001)

    async def ask(self, address: IPv4Address = VIP) -> list[bytes]:
        """The hardware addresses that answer one ARP request."""
        seen = len(self.lan.frames)
        target = address.packed
        self.lan.transmit(
            arp.FRAME.pack(
                ethernet.BROADCAST, CLIENT_MAC, ethernet.ARP, arp.REQUEST_HEAD, CLIENT_MAC, CLIENT, bytes(6), target
            )
        )
        for _ in range(3):
            await asyncio.sleep(0)
        return [frame[6:12] for frame in self.lan.frames[seen:] if frame[:6] == CLIENT_MAC and frame[28:32] == target]

    def announced(self, address: IPv4Address | IPv6Address = VIP, since: int = 0) -> list[bytes]:
        """The hardware addresses of the gratuitous frames for an address, from a frame's number on."""
        return [
            frame[6:12] for frame in self.lan.frames[since:] if frame[:6] != CLIENT_MAC and _sender(frame) == address
        ]


async def _nowhere() -> None:
    """Nobody asks at a port here whether a speaker is ready."""


def _sender(frame: bytes) -> IPv4Address | IPv6Address | None:
    if frame[12:14] == b"\x08\x06":
        parsed = arp.parse(frame)
        return ip_address(parsed.sender) if parsed.is_gratuitous else None
    return IPv6Address(frame[62:78])


def _is_ready(node: Running) -> bool:
    return not node.speaker.why_not_ready()


def run(story: Callable[[Bench], Awaitable[R]], snapshots: Path | None = None) -> R:
    """Runs a story on a bench whose controller is up; all speakers end with it."""

    async def main(clock: Callable[[], float]) -> R:
        bench = Bench(clock, snapshots=snapshots)
        controller = asyncio.get_running_loop().create_task(bench.control())
        try:
            return await story(bench)
        finally:
            controller.cancel()
            for each in bench.nodes.values():
                await each.kill()

    return virtual_time.run(main)
