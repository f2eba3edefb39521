"""The fakes keep the contract of the ports, as the kernel does (tests/e2e/test_net.py)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest

from lbprovider.net.links import Link, Links
from tests.fakes.net import FakeLan, FakeNode
from tests.fakes.net_contract import OURS4, OURS6, PEER4, PEER6, NetContract


def _link(index: int, *addresses: str) -> Link:
    return Link(
        name="eth0",
        index=index,
        mac=bytes((2, 0, 0, 0, 0, index)),
        up=True,
        carrier=True,
        addresses=tuple(map(ip_interface, addresses)),
    )


class FakeBench:
    def __init__(self) -> None:
        self.ours, self.peer = _link(1, f"{OURS4}/24", f"{OURS6}/64"), _link(2, f"{PEER4}/24", f"{PEER6}/64")
        self.lan = FakeLan()
        self.node, other = FakeNode(self.lan, self.ours), FakeNode(self.lan, self.peer)
        self.open_packets, self.open_groups = self.node.packets, self.node.groups
        self.open_datagrams, self.peer_datagrams = self.node.datagrams, other.datagrams

    @contextlib.asynccontextmanager
    async def links(self) -> AsyncIterator[Links]:
        yield self.node.links

    def ask(self, frame: bytes) -> None:
        self.lan.transmit(frame)

    def heard(self) -> list[bytes]:
        return [each for each in self.lan.frames if each[6:12] == self.ours.mac]

    def _set(self, **fields: Any) -> None:
        link = self.node.links.find(self.ours.index)
        assert link is not None
        self.node.links.set(replace(link, **fields))

    def down(self) -> None:
        self._set(up=False, carrier=False)

    def up(self) -> None:
        self._set(up=True, carrier=True)

    def rename(self, name: str) -> None:
        self._set(name=name)

    def set_mac(self, mac: bytes) -> None:
        self._set(mac=mac)

    def add_address(self, address: str) -> None:
        link = self.node.links.find(self.ours.index)
        assert link is not None
        self._set(addresses=(*link.addresses, ip_interface(address)))

    def take_away(self) -> None:
        self.node.take_away(self.ours.index)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(scenario())


@pytest.fixture
def bench() -> FakeBench:
    return FakeBench()


class TestFakes(NetContract):
    pass
