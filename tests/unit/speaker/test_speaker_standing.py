"""Speakers that start anew while another one stands in: what clients on the LAN see of it. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_address, ip_interface

import msgspec
import pytest

from lbprovider.announce.standin import LONGEST
from lbprovider.api.core import NodeSpec
from lbprovider.api.resources import ALLOCATIONS, NODES
from lbprovider.wire import arp
from tests.unit.speaker.bench import CLIENT_MAC, SECOND, VIP, Bench, Running, run

HOLD = 0.25
PERIOD = 0.05
AWAY = 3.0
"""Seconds that a Pod takes to be replaced."""
FINE = 0.002
"""Seconds between two questions where something happens."""
AVAILABLE = 1.0
"""Seconds that a Pod is to be ready before the next one is replaced: the DaemonSet's minReadySeconds."""


@dataclass
class Client:
    """Who asks for the address all the time: what it was told, in turns, and how often nothing."""

    bench: Bench
    address: IPv4Address = VIP
    told: list[bytes] = field(default_factory=list)
    unanswered: int = 0

    async def ask(self) -> bytes | None:
        seen = len(self.bench.lan.frames)
        await self.bench.ask(self.address)
        replies = [
            arp.parse(frame)
            for frame in self.bench.lan.frames[seen:]
            if frame[:6] == CLIENT_MAC and frame[28:32] == self.address.packed
        ]
        assert len(replies) <= 2
        macs = {reply.sender_mac for reply in replies}
        self.unanswered += not macs
        for mac in sorted(macs):
            if self.told[-1:] != [mac]:
                self.told.append(mac)
        return replies[0].source if replies else None

    async def asking(self, seconds: float, every: float = 0.01) -> None:
        end = self.bench.clock() + seconds
        while self.bench.clock() < end:
            await self.ask()
            await asyncio.sleep(every)

    async def until(self, condition: Callable[[], object], within: float) -> None:
        end = self.bench.clock() + within
        while not condition():
            assert self.bench.clock() < end
            await self.asking(FINE, FINE)


def up(bench: Bench, count: int) -> Callable[[], Awaitable[None]]:
    async def start() -> None:
        for number in range(1, count + 1):
            bench.node(number)
        await bench.settled(members=count)

    return start


async def end(bench: Bench, name: str, client: Client) -> Running:
    """SIGTERM; until the process is gone."""
    leaver = bench.nodes.pop(name)
    leaver.stop.set()
    await client.until(leaver.task.done, within=10)
    await leaver.task
    return leaver


async def restart(bench: Bench, name: str, client: Client, away: float = AWAY) -> None:
    """A rolling update's part: SIGTERM, a new Pod, until that is ready."""
    leaver = await end(bench, name, client)
    bench.nodes[name] = leaver  # its node is still there
    await client.asking(away, every=0.05)
    bench.node(int(name[1:]))
    await client.until(lambda: not bench.nodes[name].speaker.why_not_ready(), within=20)
    await client.asking(0.2, FINE)
    await client.asking(AVAILABLE, every=0.05)


def number(name: str) -> bytes:
    return bytes((2, 0, 0, 0, 0, int(name[1:])))


@pytest.mark.parametrize("count", [2, 3])
def test_a_rolling_update_is_not_seen_by_clients_at_all(count: int) -> None:
    async def story(bench: Bench) -> None:
        await up(bench, count)()
        leader = await bench.led()
        client = Client(bench)
        await client.asking(5.5, every=0.1)
        announced = len(bench.lan.frames)
        for name in sorted(bench.nodes):
            await restart(bench, name, client)
        await client.asking(1)
        assert client.unanswered == 0
        assert client.told == [number(leader)]
        assert set(bench.announced(since=announced)) <= {number(leader)}
        assert await client.ask() == number(leader)  # it has its own back
        await bench.until(lambda: bench.allocation().status.leader == leader)
        assert bench.allocation().status.conditions[0].reason == "Returned"

    run(story)


def test_many_addresses_of_both_families_are_handed_back_each_to_its_node() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leaders = {
            ip_address(f"{prefix}{last}"): f"n{1 + last % 3}"
            for prefix in ("192.0.2.", "2001:db8::")
            for last in range(100, 115)
        }
        for address, leader in leaders.items():
            bench.allocate(address, leader)
        await bench.until(lambda: all(bench.allocation(each).status.leader for each in leaders))
        client = Client(bench)
        for name in ("n1", "n2", "n3"):
            await restart(bench, name, client)
        await asyncio.sleep(1)
        assert {each: bench.allocation(each).status.leader for each in leaders} == leaders

    run(story)


def test_while_it_stands_in_the_frame_comes_from_its_own_port_and_nothing_is_announced() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        client = Client(bench)
        await client.asking(5.5, every=0.1)
        before = len(bench.lan.frames)
        await end(bench, leader, client)
        for _ in range(100):
            source = await client.ask()
            assert source is not None
            assert source != number(leader)
            await asyncio.sleep(0.01)
        assert client.told == [number(leader)]
        assert bench.announced(since=before) == []
        status = bench.allocation().status
        assert status.leader != leader
        assert status.mac == number(leader).hex(":")
        assert status.conditions[0].message == (
            f"{status.leader} answers on eth0 in the place of {leader}, which goes on forwarding, with {status.mac}: "
            f"the speaker of {leader} restarts, and handed it over before"
        )

    run(story)


@pytest.mark.parametrize("goes", ["power", "cable"])
def test_a_node_that_dies_while_it_is_stood_in_for_is_followed_as_after_any_crash(goes: str) -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        client = Client(bench)
        gone = await end(bench, leader, client)
        await client.asking(1)
        before = len(bench.lan.frames)
        if goes == "power":
            gone.net.powered = False
        else:
            bench.lan.cut.add(gone.link.mac)
        died = bench.clock()
        await client.until(lambda: client.told != [number(leader)], within=HOLD + 2 * PERIOD)
        assert bench.clock() - died >= HOLD - PERIOD
        assert client.unanswered == 0
        await client.asking(0.5)
        assert set(bench.announced(since=before)) == {client.told[-1]}
        (_, own) = client.told
        await bench.until(lambda: bench.allocation().status.mac == own.hex(":"), within=2)
        assert bench.allocation().status.conditions[0].reason == "NodeSilent"

    run(story)


def test_a_speaker_that_does_not_come_back_loses_its_addresses_after_a_minute_and_takes_nothing_back() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        client = Client(bench)
        gone = await end(bench, leader, client)
        await client.asking(LONGEST / SECOND - 1, every=0.1)
        assert client.told == [number(leader)]
        await client.asking(2)
        assert len(client.told) == 2
        assert client.unanswered == 0
        bench.nodes[leader] = gone
        bench.node(int(leader[1:]))
        await bench.settled(members=3)
        await client.asking(2)
        assert len(client.told) == 2

    run(story)


@pytest.mark.parametrize("how", ["cordoned", "annotated", "not ready"])
def test_a_speaker_whose_node_goes_hands_on_in_the_ordinary_way(how: str) -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        client = Client(bench)
        node = bench.api.objects(NODES)[leader]
        if how == "cordoned":
            node = msgspec.structs.replace(node, spec=NodeSpec(unschedulable=True))
        elif how == "annotated":
            metadata = msgspec.structs.replace(node.metadata, annotations={"lbprovider.io/drain": "true"})
            node = msgspec.structs.replace(node, metadata=metadata)
        else:
            node = msgspec.structs.replace(node, status=msgspec.structs.replace(node.status, conditions=()))
        bench.api.write(NODES, node)
        await client.asking(0.2)
        before = len(bench.lan.frames)
        await end(bench, leader, client)
        await client.asking(1)
        assert client.unanswered == 0
        assert number(leader) not in client.told[-1:]
        if how != "annotated":
            assert set(bench.announced(since=before)) == {client.told[-1]}

    run(story)


def test_an_address_that_the_node_may_not_announce_any_more_is_not_kept_for_it() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        client = Client(bench)
        await end(bench, leader, client)
        await client.asking(0.5)
        bench.api.remove(NODES, leader)
        await client.asking(0.5)
        assert client.unanswered == 0
        assert client.told[0] == number(leader)
        assert len(client.told) == 2

    run(story)


def test_whoever_stands_in_and_has_to_go_too_moves_the_address_once_and_has_it_stood_in_for() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        first = await bench.led()
        client = Client(bench)
        one = await end(bench, first, client)
        await client.asking(0.5)
        second = f"n{(await client.ask() or b'x')[-1]}"
        two = await end(bench, second, client)
        await client.asking(1)
        assert client.unanswered == 0
        assert client.told == [number(first), number(second)]
        bench.nodes |= {first: one, second: two}
        bench.node(int(second[1:]))
        bench.node(int(first[1:]))
        await client.until(lambda: bench.allocation().status.leader == second, within=20)
        await bench.settled(members=3)
        await client.asking(1)
        assert client.unanswered == 0
        assert client.told == [number(first), number(second)]

    run(story)


@pytest.mark.parametrize("count", [2, 3])
def test_whoever_stands_in_and_goes_as_soon_as_the_node_is_back_is_not_stood_in_for_with_its_address(
    count: int,
) -> None:
    async def story(bench: Bench) -> None:
        await up(bench, count)()
        first = await bench.led()
        client = Client(bench)
        one = await end(bench, first, client)
        await client.asking(0.5)
        second = bench.allocation().status.leader
        assert second != first
        bench.nodes[first] = one
        bench.node(int(first[1:]))
        await client.until(lambda: not bench.nodes[first].speaker.why_not_ready(), within=20)
        assert bench.allocation().status.leader == second  # it isn't handed back yet
        await end(bench, second, client)
        await client.asking(1)
        assert client.unanswered == 0
        assert client.told == [number(first)]
        assert await client.ask() == number(first)

    run(story)


def test_whoever_stands_in_and_dies_is_followed_as_any_owner() -> None:
    async def story(bench: Bench) -> None:
        for each in range(1, 6):
            bench.node(each)
        await bench.settled(members=5)
        leader = await bench.led()
        client = Client(bench)
        await end(bench, leader, client)
        await client.asking(0.5)
        second = f"n{(await client.ask() or b'x')[-1]}"
        await bench.nodes.pop(second).kill()
        died = bench.clock()
        while await client.ask() in (None, number(second)):
            await client.asking(FINE, FINE)
        assert bench.clock() - died <= HOLD + PERIOD
        await client.asking(0.5)
        assert client.told[0] == number(leader)
        assert client.told[-1] not in (number(leader), number(second))

    run(story)


def test_a_node_that_comes_back_with_another_hardware_address_announces_that() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        client = Client(bench)
        gone = await end(bench, leader, client)
        await client.asking(0.1)
        other = bytes((2, 0, 0, 0, 9, 9))
        gone.net.links.set(replace(gone.link, mac=other))
        await client.asking(1)
        (_, second) = client.told
        assert second not in (number(leader), other)  # nobody is at the old one: an ordinary move
        bench.nodes[leader] = gone
        bench.node(int(leader[1:]))
        await bench.settled(members=3)
        await client.asking(1)
        assert client.told == [number(leader), second]
        assert client.unanswered == 0

    run(story)


def test_a_node_on_no_common_subnet_is_not_stood_in_for() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        for name, each in bench.nodes.items():
            if name != leader:
                alone = (ip_interface(f"{each.link.addresses[0].ip}/32"),)
                each.net.links.set(replace(each.link, addresses=alone))
        client = Client(bench)
        await client.asking(0.5)
        await end(bench, leader, client)
        await client.asking(0.5)
        assert client.unanswered == 0
        assert client.told[-1] != number(leader)

    run(story)


def test_an_address_that_nobody_needs_any_more_is_answered_by_nobody() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = await bench.led()
        client = Client(bench)
        await end(bench, leader, client)
        bench.api.remove(ALLOCATIONS, str(VIP))
        await asyncio.sleep(0.2)
        assert await client.ask() is None

    run(story)
