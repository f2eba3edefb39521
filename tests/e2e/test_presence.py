"""One node on a LAN of real kernels: who else has an address is found out, whoever he is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any

import pytest
from scapy.layers.l2 import ARP, Ether

from lbprovider.api.heartbeat_key import HeartbeatKey
from lbprovider.election.outcome import Lost, ProposeSwap, Won
from lbprovider.election.segment import MemberList, Segment
from lbprovider.errors import HostError
from lbprovider.net.clock import boottime
from lbprovider.net.datagrams import KernelDatagrams
from lbprovider.net.groups import KernelGroups
from lbprovider.net.netlink import KernelLinks
from lbprovider.net.packet import KernelPackets
from lbprovider.speaker.lan import Identity, Lan
from lbprovider.speaker.news import ConflictKind
from lbprovider.speaker.ports import Host, Timer
from lbprovider.wire import arp, ndp
from tests.e2e.rig.kernel_bench import LAN, KernelBench
from tests.fakes.net_contract import PEER4, PORT, VIP4, VIP6, until

FREE4 = bytes((192, 0, 2, 150))
SECOND = 1_000_000_000


@pytest.fixture
def bench() -> Iterator[KernelBench]:
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces and need root", pytrace=False)
    made = KernelBench()
    try:
        yield made
    finally:
        made.close()


@dataclass
class Told:
    """Upstairs that remembers."""

    given: int = 0
    """When the addresses were given out."""
    won: dict[bytes, int] = field(default_factory=dict)
    conflicts: list[tuple[bytes, bytes, ConflictKind]] = field(default_factory=list)

    def changed(self, lan: Lan, changes: Sequence[Won | Lost]) -> None:
        del lan
        self.won.update({each.address: boottime() for each in changes if isinstance(each, Won)})

    def conflict(self, lan: Lan, address: bytes, mac: bytes, kind: ConflictKind) -> None:
        del lan
        self.conflicts.append((address, mac, kind))

    def conflict_over(self, lan: Lan, address: bytes) -> None:
        raise AssertionError(lan.name, address)

    def swap(self, lan: Lan, swap: ProposeSwap) -> None:
        raise AssertionError(lan.name, swap)

    def seen(self, lan: Lan) -> None: ...

    def trouble(self, lan: Lan, error: HostError) -> None:
        raise AssertionError(lan.name) from error

    def broken(self, lan: Lan, error: Exception) -> None:
        raise AssertionError(lan.name) from error


async def owner(told: Told, *addresses: bytes, fresh: bool = True) -> Lan:
    """The only member of a Segment, to whom these addresses are given once it votes."""
    loop = asyncio.get_running_loop()

    def call_at(when: int, callback: Callable[[], None]) -> Timer:
        return loop.call_at(loop.time() + (when - boottime()) / SECOND, callback)

    async def at_once(call: Callable[[], Any]) -> Any:
        return call()

    host = Host(boottime, call_at, KernelDatagrams, KernelPackets, KernelGroups, at_once)
    async with KernelLinks() as links:
        link = links.snapshot()[LAN]
    lan = Lan(
        "lan", link, identity=Identity(node="n1", incarnation=1, cluster="c", port=PORT),
        keys=lambda: (HeartbeatKey(1, b"k" * 32),), host=host, upstairs=told, first_use=lambda _: fresh,
    )  # fmt: skip
    lan.adopt(Segment("uid", "lan", 1, (MemberList(("n1",), 1),)), quorum_read=True)
    lan.attach(link)
    await until(lan.votes)
    told.given = boottime()
    lan.wish(dict.fromkeys(addresses, ("n1",)))
    return lan


def announced(bench: KernelBench, address: bytes) -> list[bytes]:
    """What the peer has heard from us in which we claim an address; probes claim nothing."""
    claims = (arp.gratuitous_request, arp.gratuitous_reply) if len(address) == 4 else (ndp.unsolicited,)
    frames = [build(address, bench.ours.mac) for build in claims]
    return [each for each in bench.heard() if each in frames]


def test_a_host_that_has_the_address_keeps_it_and_a_free_one_is_taken_within_the_time(bench: KernelBench) -> None:
    bench.there.add_address(LAN, "192.0.2.100", 24)
    bench.there.add_address(LAN, str(IPv6Address(VIP6)), 64)
    told = Told()

    async def scenario() -> None:
        lan = await owner(told, VIP4, VIP6, FREE4)
        await until(lambda: FREE4 in told.won and len(told.conflicts) == 2)
        assert told.won[FREE4] - told.given >= 140_000_000
        await until(lambda: len(announced(bench, FREE4)) >= 2)
        assert sorted(told.conflicts) == sorted((each, bench.peer.mac, ConflictKind.PROBE) for each in (VIP4, VIP6))
        assert set(told.won) == {FREE4}
        lan.close()

    bench.run(scenario)
    assert announced(bench, VIP4) == announced(bench, VIP6) == []


def test_a_host_that_comes_later_is_told_of_and_answered(bench: KernelBench) -> None:
    told = Told()

    async def scenario() -> None:
        lan = await owner(told, VIP4, fresh=False)
        await until(lambda: len(announced(bench, VIP4)) >= 2)
        # The peer's kernel says so itself (sysctl arp_notify), when its link comes up.
        bench.there.sysctl(f"ipv4/conf/{LAN}/arp_notify", 1)
        bench.there.add_address(LAN, "192.0.2.100", 24)
        before = len(announced(bench, VIP4))
        bench.there.down(LAN)
        bench.there.up(LAN)
        await until(lambda: told.conflicts)
        assert told.conflicts == [(VIP4, bench.peer.mac, ConflictKind.FOREIGN)]
        await until(lambda: len(announced(bench, VIP4)) > before)
        lan.close()

    bench.run(scenario)


def test_the_gateway_of_the_routes_is_asked_and_heard(bench: KernelBench) -> None:
    bench.here.add_route("default", PEER4)
    told = Told()

    async def scenario() -> None:
        lan = await owner(told)
        await until(lambda: lan.presence.neighbours.answered_at is not None)
        asked = [Ether(each)[ARP] for each in bench.heard() if each[12:14] == b"\x08\x06"]
        assert any((each.op, each.psrc, each.pdst) == (1, "192.0.2.1", PEER4) for each in asked)
        lan.close()

    bench.run(scenario)


def test_three_thousand_ipv6_addresses_are_found_by_a_neighbours_kernel(bench: KernelBench) -> None:
    addresses = [
        bytes.fromhex("20010db8000000000000000000") + (1 << 16 | number).to_bytes(3, "big") for number in range(3000)
    ]
    told = Told()

    async def scenario() -> None:
        lan = await owner(told, *addresses, fresh=False)
        groups = lan._interface._groups
        assert isinstance(groups, KernelGroups)
        await until(lambda: len(groups._joined) == 3000)
        assert len(groups._shards) >= 2
        for each in (addresses[0], addresses[1500], addresses[2999]):
            found = await asyncio.to_thread(bench.resolve, str(IPv6Address(each)))
            assert found == f"lladdr {bench.ours.mac.hex(':')} REACHABLE"
        lan.close()

    bench.run(scenario)
