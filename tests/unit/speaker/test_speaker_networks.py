"""Whole speakers on LANs of every kind, whose interfaces change: who answers then, and that nothing is lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_interface

import msgspec
import pytest

from lbprovider.api.resources import SEGMENTS
from lbprovider.api.segment import MemberList
from lbprovider.net.links import Link
from lbprovider.wire import ethernet, ndp
from tests.unit.speaker.bench import CLIENT_MAC, SEGMENT, VIP, Bench, run

OTHER = IPv4Address("198.51.100.100")
OTHER_SEGMENT = "198.51.100.0-24"


async def answered(bench: Bench, address: IPv4Address = VIP) -> set[str]:
    macs = set(await bench.ask(address))
    return {f"n{mac[5]}" for mac in macs}


async def never_silent(bench: Bench, seconds: float, address: IPv4Address = VIP) -> set[str]:
    """Who answers at the end, after some seconds in which each question was answered by one."""
    until, last = bench.clock() + seconds, set[str]()
    while bench.clock() < until:
        last = await answered(bench, address)
        assert len(last) == 1
        await asyncio.sleep(0.005)
    return last


def renumber(bench: Bench, name: str, *addresses: str) -> None:
    links = bench.nodes[name].net.links
    links.set(replace(links.snapshot()["eth0"], addresses=tuple(map(ip_interface, addresses))))


@pytest.mark.parametrize("who", ["its owner", "a voter"])
def test_dhcp_gives_a_node_another_address_of_the_subnet_and_nobody_notices(who: str) -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        owner = await bench.led()
        name = owner if who == "its owner" else min(set(bench.nodes) - {owner})
        renumber(bench, name, "192.0.2.77/24")
        assert await never_silent(bench, 6) == {owner}
        assert not any(each.speaker.why_not_ready() for each in bench.nodes.values())

    run(story)


def test_all_nodes_are_renumbered_one_by_one_and_nobody_notices() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        owner = await bench.led()
        for number, name in enumerate(bench.nodes):
            renumber(bench, name, f"192.0.2.{70 + number}/24")
            assert await never_silent(bench, 2) == {owner}

    run(story)


def test_a_lease_that_runs_out_for_a_while_costs_the_node_its_addresses_and_the_lan_nothing() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        owner = await bench.led()
        renumber(bench, owner)
        await asyncio.sleep(1)
        (other,) = await never_silent(bench, 1)
        assert other != owner
        renumber(bench, owner, f"192.0.2.{owner[1]}/24")
        assert await never_silent(bench, 5) == {other}
        assert not bench.nodes[owner].speaker.why_not_ready()
        assert set(bench.api.objects(SEGMENTS)) == {SEGMENT}

    run(story)


@pytest.mark.parametrize(
    ("addresses", "segment"),
    [
        ("2001:db8:5::{}/64", "2001-db8-5-0-0-0-0-0-64"),
        ("fe80::{}/64", "interface-eth0"),  # no address of its own but the one that each interface has
    ],
    ids=["IPv6 only", "link-local only"],
)
def test_a_lan_without_ipv4_announces_both_families(addresses: str, segment: str) -> None:
    async def story(bench: Bench) -> None:
        six = IPv6Address("2001:db8:5::100")
        for number in (1, 2, 3):
            bench.node(number, addresses=(addresses.format(number),))
        await bench.settled(members=3, segment=segment)
        bench.allocate(VIP, "n2", segment=segment)
        bench.allocate(six, "n2", segment=segment)
        await bench.until(lambda: {bench.allocation(each).status.leader for each in (VIP, six)} == {"n2"})
        assert await answered(bench) == {"n2"}
        assert await asked_by_neighbour_discovery(bench, six) == {"n2"}
        await bench.nodes["n2"].kill()
        await asyncio.sleep(1)
        (other,) = await never_silent(bench, 1)
        assert await asked_by_neighbour_discovery(bench, six) == {other}  # both families are on one node

    run(story)


async def asked_by_neighbour_discovery(bench: Bench, address: IPv6Address) -> set[str]:
    seen = len(bench.lan.frames)
    bench.lan.transmit(solicitation(address.packed))
    for _ in range(3):
        await asyncio.sleep(0)
    return {f"n{frame[11]}" for frame in bench.lan.frames[seen:] if frame[:6] == CLIENT_MAC}


def solicitation(target: bytes) -> bytes:
    """RFC 4861 section 4.3, without an option: of a host that looks whether anybody has the address."""
    group = ndp.solicited_node(target)
    head = (
        ndp.group_mac(group), CLIENT_MAC, ethernet.IPV6, 6 << 28, 24, ndp.ICMPV6, 255,
        IPv6Address("2001:db8:5::cc").packed, group, ndp.SOLICITATION, 0,
    )  # fmt: skip
    bare = ndp.FRAME.pack(*head, 0, 0, target)
    return ndp.FRAME.pack(*head, ndp.checksum(head[7], group, bare[ndp.MESSAGE :]), 0, target)


def second_lan(number: int, *, usable: bool = True) -> Link:
    return Link(
        name="eth1",
        index=10 + number,
        mac=bytes((2, 0, 0, 0, 1, number)),
        up=True,
        carrier=usable,
        addresses=(ip_interface(f"198.51.100.{number}/24"),),
    )


async def two_lans(bench: Bench) -> None:
    """Three nodes on two LANs each, and an address on each LAN, both answered by n1."""
    for number in (1, 2, 3):
        bench.node(number).net.links.set(second_lan(number))
    await bench.settled(members=3)
    await bench.settled(members=3, segment=OTHER_SEGMENT)
    bench.allocate(VIP, "n1", "n2", "n3")
    bench.allocate(OTHER, "n1", "n2", "n3", segment=OTHER_SEGMENT)
    await bench.until(lambda: {bench.allocation(each).status.leader for each in (VIP, OTHER)} == {"n1"})


async def both(bench: Bench) -> tuple[set[str], set[str]]:
    return await answered(bench), await answered(bench, OTHER)


Fault = Callable[[Bench], None]


def carrier_lost(bench: Bench) -> None:
    bench.nodes["n1"].net.links.set(second_lan(1, usable=False))


def taken_away(bench: Bench) -> None:
    bench.nodes["n1"].net.take_away(11)


def cut_behind_the_switch(bench: Bench) -> None:
    bench.lan.cut.add(second_lan(1).mac)


@pytest.mark.parametrize("fault", [carrier_lost, taken_away, cut_behind_the_switch])
def test_a_node_that_loses_one_lan_keeps_the_other(fault: Fault) -> None:
    async def story(bench: Bench) -> None:
        await two_lans(bench)
        assert await both(bench) == ({"n1"}, {"n1"})
        fault(bench)
        until = bench.clock() + 1
        while bench.clock() < until:
            assert await answered(bench) == {"n1"}
            await asyncio.sleep(0.002)
        assert await both(bench) == ({"n1"}, {"n2"})
        await asyncio.sleep(5)
        assert bench.allocation(OTHER).status.leader == "n2"
        assert bench.allocation().status.leader == "n1"

    run(story)


def replaced_unseen(bench: Bench) -> None:
    """Netlink told of another interface of that name; the kernel has taken it away again before anybody opens it."""
    bench.nodes["n1"].net.take_away(11)
    seen(bench, replace(second_lan(1), index=99))


def back(bench: Bench) -> None:
    bench.nodes["n1"].net.links.set(second_lan(1))
    seen(bench, second_lan(1))


def seen(bench: Bench, link: Link) -> None:
    """What n1 knows of its interfaces is this besides eth0."""
    agent = bench.nodes["n1"].speaker._agent
    assert agent is not None
    agent.links_changed({"eth0": bench.nodes["n1"].link, link.name: link})


def test_an_interface_that_goes_before_it_is_opened_ends_nothing() -> None:
    async def story(bench: Bench) -> None:
        await two_lans(bench)
        replaced_unseen(bench)
        assert await never_silent(bench, 1) == {"n1"}
        back(bench)
        await bench.settled(members=3, segment=OTHER_SEGMENT)

    run(story)


def test_a_new_interface_that_goes_before_it_is_opened_ends_nothing() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        bench.allocate(VIP, "n1")
        await bench.until(lambda: bench.allocation().status.leader == "n1")
        for number in (2, 3):
            bench.nodes[f"n{number}"].net.links.set(second_lan(number))
        await bench.settled(members=2, segment=OTHER_SEGMENT)
        seen(bench, second_lan(1))
        assert await never_silent(bench, 1) == {"n1"}
        back(bench)
        await bench.settled(members=3, segment=OTHER_SEGMENT)

    run(story)


def test_a_node_without_an_interface_on_a_lan_is_ready_once_the_others_have_it_off_the_list() -> None:
    async def story(bench: Bench) -> None:
        await two_lans(bench)
        node = bench.nodes["n1"]
        taken_away(bench)
        await asyncio.sleep(60)
        assert node.speaker.why_not_ready() == f"Segment {OTHER_SEGMENT}: the interface is gone"
        there = bench.api.objects(SEGMENTS)[OTHER_SEGMENT]
        lists = (MemberList(("n2", "n3"), 2),)
        spec = msgspec.structs.replace(there.spec, version=there.spec.version + 1, lists=lists)
        bench.api.write(SEGMENTS, msgspec.structs.replace(there, spec=spec))
        await asyncio.sleep(1)
        assert node.speaker.why_not_ready() == ""
        back(bench)
        await bench.settled(members=3, segment=OTHER_SEGMENT)

    run(story)


def test_a_lan_that_comes_back_takes_nothing_back_and_serves_again_when_it_is_needed() -> None:
    async def story(bench: Bench) -> None:
        await two_lans(bench)
        carrier_lost(bench)
        await asyncio.sleep(1)
        bench.nodes["n1"].net.links.set(second_lan(1))
        await asyncio.sleep(2)
        assert await both(bench) == ({"n1"}, {"n2"})
        await bench.nodes["n2"].kill()
        await asyncio.sleep(1)
        assert await both(bench) == ({"n1"}, {"n1"})

    run(story)


def test_a_new_interface_on_a_new_lan_is_used_without_a_restart() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        for number in (1, 2, 3):
            bench.nodes[f"n{number}"].net.links.set(second_lan(number))
        bench.allocate(OTHER, segment=OTHER_SEGMENT)
        await bench.until(lambda: bench.allocation(OTHER).status.leader)
        assert await answered(bench, OTHER) == {bench.allocation(OTHER).status.leader}

    run(story)


def test_an_address_in_no_connected_subnet_is_announced_on_its_segment() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        elsewhere = IPv4Address("203.0.113.5")
        bench.allocate(elsewhere, "n2")
        await bench.until(lambda: bench.allocation(elsewhere).status.leader == "n2")
        assert await answered(bench, elsewhere) == {"n2"}

    run(story)


def test_interfaces_of_the_advertisement_say_who_may_announce() -> None:
    async def story(bench: Bench) -> None:
        await two_lans(bench)
        bench.advertise("eth0")
        await asyncio.sleep(0.5)
        assert await both(bench) == ({"n1"}, set())
        bench.advertise("eth1")
        await asyncio.sleep(0.5)
        assert await both(bench) == (set(), {"n1"})
        bench.advertise()
        await asyncio.sleep(0.5)
        assert await both(bench) == ({"n1"}, {"n1"})

    run(story)
