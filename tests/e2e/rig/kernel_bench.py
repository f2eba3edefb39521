"""Two network namespaces and a cable, with our kernel ports on one end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from lbprovider.net.datagrams import Datagrams, KernelDatagrams, Received
from lbprovider.net.groups import KernelGroups
from lbprovider.net.links import Link, Links
from lbprovider.net.namespaces import Namespace, forget, names
from lbprovider.net.netlink import KernelLinks
from lbprovider.net.packet import KernelPackets
from lbprovider.net.tap import Tap
from tests.e2e.rig.waiting import eventually
from tests.fakes.net_contract import OURS4, OURS6, PATIENCE, PEER4, PEER6, until

LAN, MANAGEMENT = "lan0", "mgmt0"
OURS, PEER = "lbp-net-ours", "lbp-net-peer"

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """This thread visits another namespace: what it opens meanwhile stays there."""
    with Path("/proc/thread-self/ns/net").open("rb") as home, namespace.path.open("rb") as there:
        assert _libc.setns(there.fileno(), 0) == 0
        try:
            yield
        finally:
            assert _libc.setns(home.fileno(), 0) == 0


class KernelBench:
    """Two namespaces and a cable for the LAN, another one for management."""

    def __init__(self) -> None:
        for name in {OURS, PEER} & set(names()):
            forget(name)
        self.here, self.there = Namespace.create(OURS), Namespace.create(PEER)
        for each in (self.here, self.there):
            each.sysctl("ipv6/conf/default/accept_dad", 0)
            each.sysctl("ipv6/conf/default/router_solicitations", 0)
        self.here.add_veth(LAN, self.there, LAN)
        self.here.add_veth(MANAGEMENT, self.there, MANAGEMENT)
        addresses = (OURS4, OURS6, "198.51.100.1"), (PEER4, PEER6, "198.51.100.2")
        for each, (four, six, management) in zip((self.here, self.there), addresses, strict=True):
            each.add_address(LAN, four, 24)
            each.add_address(LAN, six, 64)
            each.add_address(MANAGEMENT, management, 24)
        self.ours, self.peer = (self._settled(each) for each in (self.here, self.there))
        self.tap = self.there.run(lambda: Tap(LAN))
        self._heard: list[bytes] = []
        self.open_packets, self.open_groups, self.open_datagrams = KernelPackets, KernelGroups, KernelDatagrams

    def _settled(self, namespace: Namespace) -> Link:
        async def look() -> Link:
            async with KernelLinks() as links:
                await until(lambda: len(links.snapshot()[LAN].addresses) == 3)
                return links.snapshot()[LAN]

        return namespace.run(lambda: asyncio.run(look()))

    def close(self) -> None:
        self.tap.close()
        self.here.delete()
        self.there.delete()

    def peer_datagrams(self, link: Link, port: int, received: Received) -> Datagrams:
        with inside(self.there):
            return KernelDatagrams(link, port, received)

    @contextlib.asynccontextmanager
    async def links(self) -> AsyncIterator[Links]:
        async with KernelLinks() as links:
            yield links

    def ask(self, frame: bytes) -> None:
        assert self.tap.send(frame)

    def heard(self) -> list[bytes]:
        self._heard += [each.frame for each in self.tap.receive() if not each.outgoing]
        return self._heard

    def ip(self, *words: str, given: str = "") -> None:
        subprocess.run(["ip", "-n", OURS, *words], input=given, text=True, check=True, timeout=60)

    def down(self) -> None:
        self.here.down(LAN)

    def up(self) -> None:
        self.here.up(LAN)

    def rename(self, name: str) -> None:
        self.ip("link", "set", LAN, "down")
        self.ip("link", "set", LAN, "name", name, "up")

    def set_mac(self, mac: bytes) -> None:
        self.here.set_mac(LAN, mac.hex(":"))

    def add_address(self, address: str) -> None:
        own, _, length = address.partition("/")
        self.here.add_address(LAN, own, int(length))

    def take_away(self) -> None:
        self.ip("link", "del", LAN)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with inside(self.here):  # not in the namespace's own thread: the scenario has that one change things
            asyncio.run(scenario())

    def resolve(self, address: str) -> str:
        """What the peer's kernel makes of an address: its neighbour entry's hardware address and state."""

        def send() -> None:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as opened:
                opened.sendto(b"?", (address, 9))

        self.there.run(send)

        def settled() -> str | None:
            shown = subprocess.run(
                ["ip", "-n", PEER, "neigh", "show", address, "dev", LAN], check=True, capture_output=True, text=True
            ).stdout.split()
            return " ".join(shown[1:]) if shown and shown[-1] != "INCOMPLETE" else None

        return eventually(settled, f"the peer's kernel has made up its mind about {address}", within=PATIENCE)
