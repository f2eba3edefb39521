"""``net/`` on a real kernel: the ports' contract, and what only a kernel can show."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from lbprovider.announce.responder import Responder
from lbprovider.announce.schedule import frames
from lbprovider.errors import HostError
from lbprovider.net.clock import boottime
from lbprovider.net.datagrams import KernelDatagrams
from lbprovider.net.groups import PORTION, KernelGroups
from lbprovider.net.namespaces import Namespace
from lbprovider.net.netlink import KernelLinks
from lbprovider.net.packet import KernelPackets
from lbprovider.wire import ndp
from tests.e2e.rig.kernel_bench import LAN, MANAGEMENT, PEER, KernelBench, inside
from tests.e2e.rig.waiting import eventually
from tests.fakes.net_contract import (
    OURS4,
    OURS6,
    PATIENCE,
    PEER4,
    PEER6,
    PORT,
    VIP4,
    VIP6,
    NetContract,
    arp_request,
    until,
)

VIP4_TEXT, VIP6_TEXT, OTHER4_TEXT, OTHER6_TEXT = "192.0.2.100", "2001:db8::100", "192.0.2.101", "2001:db8::101"


@pytest.fixture
def bench() -> Iterator[KernelBench]:
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces and need root", pytrace=False)
    made = KernelBench()
    try:
        yield made
    finally:
        made.close()


class TestKernel(NetContract):
    """The contract."""


# --- questions from a real neighbour


def test_a_neighbours_kernel_finds_our_addresses_and_foreign_questions_cost_nothing(bench: KernelBench) -> None:
    responder = Responder(lambda _address, _now: True)
    woken: list[bytes] = []

    def answer(frame: memoryview) -> bytes | None:
        woken.append(bytes(frame))
        return responder.answer(frame, LAN, boottime())

    async def scenario() -> None:
        packets, groups = KernelPackets(bench.ours, answer, lambda: None), KernelGroups(bench.ours)
        for each in (VIP4, VIP6):
            responder.hold(each, LAN, bench.ours.mac)
        packets.listen([VIP4, VIP6])
        groups.listen([VIP4, VIP6])
        groups.work()
        ours = f"lladdr {bench.ours.mac.hex(':')} REACHABLE"
        for address in (VIP4_TEXT, VIP6_TEXT):
            assert await asyncio.to_thread(bench.resolve, address) == ours
        for family in ("ipv4", "ipv6"):
            bench.there.sysctl(f"{family}/neigh/{LAN}/retrans_time_ms", 100)  # from now on it gives up soon
        for address in (OTHER4_TEXT, OTHER6_TEXT):
            assert await asyncio.to_thread(bench.resolve, address) == "FAILED"
        asked = len(woken)
        assert asked == responder.answered == 2
        for number in range(2000):
            bench.ask(arp_request(bench, bytes((192, 0, 2, number % 100))))
        bench.ask(arp_request(bench, VIP4))
        await until(lambda: len(woken) > asked)
        assert len(woken) == asked + 1, "foreign ARP woke us"
        packets.close()
        groups.close()

    bench.run(scenario)


def test_a_gratuitous_announcement_moves_an_address_in_a_neighbours_cache(bench: KernelBench) -> None:
    elsewhere = bytes.fromhex("02aabbccdd99")
    for address in (VIP4_TEXT, VIP6_TEXT):
        command = [
            "ip",
            "-n",
            PEER,
            "neigh",
            "replace",
            address,
            "lladdr",
            elsewhere.hex(":"),
            "dev",
            LAN,
            "nud",
            "stale",
        ]
        subprocess.run(command, check=True)

    async def scenario() -> None:
        packets = KernelPackets(bench.ours, lambda _: None, lambda: None)
        await asyncio.sleep(1.1)  # Linux holds on to an entry for neigh/default/locktime
        for address in (VIP4, VIP6):
            for frame in frames(address, bench.ours.mac):
                assert packets.send(frame)
        packets.close()

    def moved() -> bool:
        shown = subprocess.run(["ip", "-n", PEER, "neigh"], check=True, capture_output=True, text=True).stdout
        ours = [line for line in shown.splitlines() if bench.ours.mac.hex(":") in line]
        return {line.split()[0] for line in ours} >= {VIP4_TEXT, VIP6_TEXT}

    bench.run(scenario)
    eventually(moved, "the neighbour has taken both in")


def test_a_filter_for_many_scattered_addresses_fits_an_old_kernels_limit(bench: KernelBench) -> None:
    scattered = [bytes((10, number // 100, number % 100 * 2, 7)) for number in range(2000)]
    woken: list[bytes] = []

    async def scenario() -> None:
        packets = KernelPackets(bench.ours, lambda frame: woken.append(bytes(frame)), lambda: None)
        packets.listen(scattered)
        packets.listen(scattered[1:])
        bench.ask(arp_request(bench, bytes((192, 0, 2, 1))))
        bench.ask(arp_request(bench, scattered[1234]))
        await until(lambda: woken)
        packets.close()

    limit = Path("/proc/sys/net/core/optmem_max")
    with inside(bench.here), _lowered(limit, 20_480):
        bench.run(scenario)
    assert [each[38:42] for each in woken] == [scattered[1234]]


@contextlib.contextmanager
def _lowered(setting: Path, value: int) -> Iterator[None]:
    before = setting.read_text(encoding="ascii")
    setting.write_text(str(value), encoding="ascii")
    try:
        yield
    finally:
        setting.write_text(before, encoding="ascii")


# --- multicast groups


def _memberships(namespace: Namespace) -> set[str]:
    """The solicited-node groups that the kernel is in on the LAN (/proc/net/igmp6)."""
    table = namespace.run(lambda: Path("/proc/thread-self/net/igmp6").read_text(encoding="ascii"))
    rows = (line.split() for line in table.splitlines())
    return {row[2] for row in rows if row[1] == LAN}


def test_more_groups_than_one_socket_holds(bench: KernelBench) -> None:
    addresses = [
        bytes.fromhex("20010db8000000000000000000") + number.to_bytes(3, "big") for number in range(9000, 14000)
    ]
    groups = KernelGroups(bench.ours)

    def joined() -> int:
        return len(_memberships(bench.here) - own)

    def work() -> int:
        calls = 1
        while groups.work():
            calls += 1
        return calls

    own = _memberships(bench.here)

    with inside(bench.here):
        groups.listen([*addresses, VIP4])
        assert groups.work() is True
        assert joined() == PORTION
        assert _memberships(bench.here) - own == {ndp.solicited_node(each).hex() for each in addresses[:PORTION]}
        work()
        assert joined() == 5000
        bench.down()
        bench.up()
        groups.rejoin()
        assert work() >= 5000 // PORTION
        assert joined() == 5000
        groups.listen(addresses[:10])
        groups.rejoin()
        work()
        assert joined() == 10
        groups.listen([])
        work()
        assert joined() == 0
        groups.listen(addresses[:3])
        work()
        assert joined() == 3
        groups.close()
        assert joined() == 0


def test_an_interface_without_ipv6_is_said_and_the_rest_goes_on(bench: KernelBench) -> None:
    bench.here.sysctl(f"ipv6/conf/{LAN}/disable_ipv6", 1)
    groups = KernelGroups(bench.ours)
    groups.listen([VIP4])
    assert groups.work() is False
    bench.ip("link", "set", LAN, "mtu", "1000")  # below what IPv6 needs: the kernel takes it off the interface
    groups.listen([VIP6])
    with pytest.raises(HostError, match=rf"can't join 1 of 1 IPv6 multicast groups on {LAN}.*disable_ipv6"):
        bench.here.run(groups.work)
    groups.close()


# --- datagrams


def test_heartbeats_leave_by_their_lan_only_marked_and_never_routed(bench: KernelBench) -> None:
    bench.ip("route", "add", "203.0.113.0/24", "via", "198.51.100.2")
    captures = {name: bench.there.run(lambda name=name: _capture(name)) for name in (LAN, MANAGEMENT)}  # type: ignore[misc]
    got: list[tuple[bytes, str]] = []

    async def scenario() -> None:
        ours = KernelDatagrams(bench.ours, PORT, lambda _: None)
        peer = bench.peer_datagrams(bench.peer, PORT, got.extend)
        for to in (PEER4, PEER6):
            assert ours.send(b"beat " + to.encode(), to)
        for to in ("198.51.100.2", "203.0.113.9"):
            ours.send(b"astray", to)
        beats = [(b"beat " + PEER4.encode(), OURS4), (b"beat " + PEER6.encode(), OURS6)]
        await until(lambda: set(beats) <= set(got))
        ours.close()
        peer.close()

    bench.run(scenario)
    seen = [Ether(each) for each in _drain(captures[LAN]) if b"beat" in each]
    assert [(each[IP].ttl, each[IP].tos) for each in seen if IP in each] == [(1, 0xC0)]
    assert [(each[IPv6].hlim, each[IPv6].tc) for each in seen if IPv6 in each] == [(1, 0xC0)]
    assert [each for each in _drain(captures[MANAGEMENT]) if b"beat" in each or b"astray" in each] == []
    for each in captures.values():
        each.close()


def _capture(interface: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(3))
    opened.bind((interface, 3))
    return opened


def _drain(capture: socket.socket) -> list[bytes]:
    return list(iter(lambda: _next(capture), b""))


def _next(capture: socket.socket) -> bytes:
    try:
        return capture.recv(2048)
    except BlockingIOError:
        return b""


# --- links


def test_events_that_the_kernel_dropped_are_made_up_for(bench: KernelBench) -> None:
    batch = "".join(f"addr add 10.1.{number // 250}.{number % 250 + 1}/16 dev {MANAGEMENT}\n" for number in range(3000))

    async def scenario() -> None:
        async with KernelLinks() as links:
            # The loop stands still meanwhile: thousands of events come at once, more than the socket holds.
            bench.ip("-batch", "-", given=batch)
            bench.down()
            bench.up()
            await until(lambda: len(links.snapshot()[MANAGEMENT].addresses) >= 3000)
            told = {}
            async with asyncio.timeout(PATIENCE):
                async for each in links:
                    assert each.after is not None
                    told[each.after.name] = each
                    if {MANAGEMENT, LAN} <= told.keys():
                        break
            after = told[LAN].after
            assert after is not None
            assert after.returns > bench.ours.returns

    bench.run(scenario)


def test_default_routes_are_followed_even_where_the_kernel_is_silent(bench: KernelBench) -> None:
    async def scenario() -> None:
        async with KernelLinks() as links:

            def defaults() -> set[str]:
                return {name for name, link in links.snapshot().items() if link.default_route}

            def gateways() -> list[str]:
                return [str(each) for each in links.snapshot()[LAN].gateways]

            bench.ip("route", "add", "default", "via", "198.51.100.2", "table", "100")  # for some packets only
            bench.here.add_route("default", PEER4)
            await until(lambda: defaults() == {LAN})
            assert gateways() == [PEER4]
            bench.ip("route", "replace", "default", "via", "198.51.100.2")
            await until(lambda: defaults() == {MANAGEMENT})
            bench.here.down(MANAGEMENT)  # takes the route with it, without a word
            await until(lambda: defaults() == set())
            bench.here.add_route("default", PEER6)
            await until(lambda: defaults() == {LAN})
            bench.ip("route", "replace", "default", "nexthop", "via", "192.0.2.9", "nexthop", "via", "192.0.2.8")
            await until(lambda: gateways() == ["192.0.2.8", "192.0.2.9", PEER6])
            bench.ip("-4", "route", "replace", "default", "via", "inet6", PEER6)  # IPv4 by way of an IPv6 router
            await until(lambda: gateways() == [PEER6])

    bench.run(scenario)


# --- capabilities

_ALL_OF_IT = """
import asyncio, sys
from lbprovider.errors import HostError
from lbprovider.net.datagrams import KernelDatagrams
from lbprovider.net.groups import KernelGroups
from lbprovider.net.netlink import KernelLinks
from lbprovider.net.packet import KernelPackets
from lbprovider.wire import ndp

async def main():
    async with KernelLinks() as links:
        link = links.snapshot()["lan0"]
        packets = KernelPackets(link, lambda _: None, lambda: None)
        groups = KernelGroups(link)
        datagrams = KernelDatagrams(link, 7472, lambda *_: None)
        vip = bytes.fromhex("20010db8000000000000000000000100")
        packets.listen([vip])
        groups.listen([vip])
        groups.work()
        groups.rejoin()
        groups.work()
        sent = packets.send(ndp.unsolicited(vip, link.mac)), datagrams.send(b"beat", "192.0.2.2")
        assert sent == (True, True), (packets.failures, datagrams.failures)
try:
    asyncio.run(main())
except HostError as error:
    sys.exit(str(error))
print("all of it")
"""


@pytest.mark.parametrize(
    ("capabilities", "status", "said"),
    [
        pytest.param(["net_raw"], 0, "all of it\n", id="NET_RAW"),
        pytest.param(
            [],
            1,
            "no permission to open a packet socket: add NET_RAW to securityContext.capabilities.add of the speaker's "
            "container\n",
            id="none",
        ),
    ],
)
def test_what_the_daemonset_gives_is_enough(
    bench: KernelBench, capabilities: list[str], status: int, said: str
) -> None:
    command = bench.here.command([sys.executable, "-c", _ALL_OF_IT], capabilities=capabilities)
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (status, said)
