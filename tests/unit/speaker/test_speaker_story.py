"""Whole speakers over a fake LAN and a fake API server, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address, ip_interface

import pytest

from lbprovider.api.resources import ALLOCATIONS, SEGMENTS
from lbprovider.election.outcome import Output
from lbprovider.errors import Unreachable
from tests.unit.speaker.bench import CLIENT_MAC, SEGMENT, VIP, Bench, run

HOLD = 0.25
PERIOD = 0.05


def mac(number: int) -> bytes:
    return bytes((2, 0, 0, 0, 0, number))


def test_a_single_node_boots_is_given_a_segment_wins_answers_and_announces() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        node = bench.node(1)
        assert node.speaker.why_not_ready() == "starting"
        await bench.settled(members=1)
        assert bench.api.objects(SEGMENTS)[SEGMENT].spec.lists[0].members == ("n1",)
        await bench.until(lambda: bench.allocation().status.leader)
        assert await bench.ask() == [mac(1)]
        status = bench.allocation().status
        assert (status.leader, status.interface, status.mac) == ("n1", "eth0", "02:00:00:00:00:01")
        assert [(one.type, one.status, one.reason) for one in status.conditions] == [("Announced", "True", "Unclaimed")]
        await asyncio.sleep(5)
        # Both forms of ARP, at 0, 0.015, 0.1, 1.1, 2.5 and 4.9 s.
        assert bench.announced() == [mac(1)] * 12
        writes = [call for call in bench.api.calls if call.plural == ALLOCATIONS.plural and call.verb == "patch"]
        assert len(writes) == 1

    run(story)


def test_nothing_is_answered_before_the_silence_is_over_and_the_segment_was_read() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        bench.node(1)
        await bench.until(lambda: SEGMENT in bench.api.objects(SEGMENTS))
        began = bench.clock()
        while not await bench.ask():  # noqa: ASYNC110  (what it waits for is on the wire)
            await asyncio.sleep(0.001)
        # 5 · 50 ms from the bind of the port, which comes after the Segment.
        assert bench.clock() - began >= HOLD

    run(story)


def test_three_speakers_one_answers_and_when_it_dies_another_does_within_hold_and_a_period() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        await bench.led()
        (owner,) = await bench.ask()
        dead = f"n{owner[-1]}"
        assert bench.allocation().status.leader == dead
        before = len(bench.lan.frames)
        await bench.nodes.pop(dead).kill()
        died = bench.clock()
        while not (answers := await bench.ask()):
            assert bench.clock() - died <= HOLD + PERIOD
            await asyncio.sleep(0.001)
        assert answers != [owner]
        assert set(bench.announced(since=before)) == set(answers)
        await bench.until(lambda: bench.allocation().status.leader == f"n{answers[0][-1]}", within=1)
        assert bench.allocation().status.conditions[0].reason == "NodeSilent"

    run(story)


def test_never_do_two_answer_while_each_dies_and_returns_in_turn() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        bench.allocate()
        for number in (1, 2, 3):
            await bench.until(lambda: bench.allocation().status.leader)
            await bench.nodes[f"n{number}"].kill()
            for _ in range(400):
                assert len(await bench.ask()) <= 1
                await asyncio.sleep(0.002)
            assert len(await bench.ask()) == 1
            bench.node(number)
            for _ in range(600):
                assert len(await bench.ask()) == 1
                await asyncio.sleep(0.002)

    run(story)


def test_sigterm_hands_the_address_on_without_a_question_left_unanswered() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leaver = bench.nodes.pop(await bench.led())
        leaver.stop.set()
        while not leaver.task.done():
            assert await bench.ask()
            await asyncio.sleep(0.0005)
        await leaver.task
        for _ in range(100):
            (answer,) = await bench.ask()
            assert answer != leaver.link.mac
            await asyncio.sleep(0.002)

    run(story)


def test_what_was_asked_before_the_successor_had_the_address_is_answered_however_busy_the_owner_was() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        leader = bench.nodes[await bench.led()]
        (packets,) = (each for each in bench.lan.packets if each.node is leader.net)
        packets.busy = True
        assert await bench.ask() == []
        seen = len(bench.lan.frames)
        leader.stop.set()
        await leader.task
        told = [frame for frame in bench.lan.frames[seen:] if frame[:6] == CLIENT_MAC and frame[28:32] == VIP.packed]
        assert [frame[6:12] for frame in told] == [leader.link.mac]

    run(story)


def test_the_last_speaker_ends_at_once_for_nobody_can_take_over() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        node = bench.node(1)
        await bench.until(lambda: bench.allocation().status.leader)
        began = bench.clock()
        node.stop.set()
        await node.task
        assert bench.clock() - began < PERIOD
        assert await bench.ask() == []
        del bench.nodes["n1"]

    run(story)


def test_a_link_that_goes_down_moves_the_address_and_takes_nothing_back_when_it_returns() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        node = bench.nodes[await bench.led()]
        node.net.links.set(replace(node.link, carrier=False))
        await bench.until(lambda: bench.allocation().status.leader != node.name, within=1)
        assert node.speaker.why_not_ready() == f"Segment {SEGMENT}: eth0 is down"
        before = len(bench.lan.frames)
        node.net.links.set(node.link)
        await bench.settled(members=3)
        await asyncio.sleep(5)
        (answer,) = await bench.ask()
        assert answer != node.link.mac
        assert node.link.mac not in bench.announced(since=before)

    run(story)


def test_a_link_that_returns_before_anybody_took_over_announces_again() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        node = bench.node(1)
        await bench.until(lambda: bench.allocation().status.leader)
        await asyncio.sleep(10)
        before = len(bench.lan.frames)
        node.net.links.set(replace(node.link, carrier=False))
        await asyncio.sleep(0.1)
        assert await bench.ask() == []
        node.net.links.set(node.link)
        await asyncio.sleep(0.05)
        assert bench.announced(since=before) == [mac(1)] * 4  # and once more after 15 ms
        assert await bench.ask() == [mac(1)]

    run(story)


def test_another_hardware_address_is_answered_and_announced_at_once() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        node = bench.node(1)
        await bench.until(lambda: bench.allocation().status.leader)
        before = len(bench.lan.frames)
        node.net.links.set(replace(node.link, mac=mac(9)))
        await asyncio.sleep(0.01)
        assert await bench.ask() == [mac(9)]
        assert set(bench.announced(since=before)) == {mac(9)}

    run(story)


def test_an_interface_that_is_unplugged_and_returns_under_another_index_serves_again() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        node = bench.node(1)
        await bench.until(lambda: bench.allocation().status.leader)
        node.net.take_away(1)
        await asyncio.sleep(0.1)
        assert node.speaker.why_not_ready() == "no interface of this node is a LAN: each is excluded or has no address"
        node.net.links.set(replace(node.link, index=7))
        await bench.settled(members=1)
        await asyncio.sleep(0.1)
        assert await bench.ask() == [mac(1)]

    run(story)


def test_an_address_that_is_released_is_answered_no_more() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        bench.node(1)
        await bench.until(lambda: bench.allocation().status.leader)
        bench.api.remove(ALLOCATIONS, str(VIP))
        await asyncio.sleep(0.1)
        assert await bench.ask() == []

    run(story)


def test_a_speaker_that_drains_joins_no_further_lan() -> None:
    async def story(bench: Bench) -> None:
        bench.allocate()
        node = bench.node(1)
        await bench.settled(members=1)
        agent = node.speaker._agent
        assert agent is not None
        agent.drain(returning=False)
        second = replace(node.link, index=2, name="eth1", mac=mac(8), addresses=(ip_interface("203.0.113.1/24"),))
        node.net.links.set(second)
        await bench.until(lambda: "203.0.113.0-24" in bench.api.objects(SEGMENTS))
        await asyncio.sleep(1)
        assert [each.index for each in bench.lan.datagrams] == [1]

    run(story)


def test_a_peer_is_reached_where_its_lease_says_before_it_was_ever_heard() -> None:
    async def story(bench: Bench) -> None:
        one = bench.node(1)
        await bench.settled(members=1)
        two = bench.node(2)
        bench.lan.cut.add(two.link.mac)
        await asyncio.sleep(2)
        agent = one.speaker._agent
        assert agent is not None
        assert agent._lans[SEGMENT]._peers._addresses == {"n2": "192.0.2.2"}
        assert agent.why_not_ready() == ""

    run(story)


def test_a_bug_in_a_step_ends_the_speaker_and_its_answers_at_once_and_another_takes_over() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        node = bench.nodes.pop(await bench.led())
        agent = node.speaker._agent
        assert agent is not None

        def broken(now: int) -> Output:
            raise RuntimeError(f"a bug at {now}")

        agent._lans[SEGMENT].member.tick = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="a bug"):
            await asyncio.wait_for(node.task, 1)
        assert await bench.ask() == []
        await asyncio.sleep(HOLD + PERIOD)
        assert len(await bench.ask()) == 1

    run(story)


def test_of_two_lans_only_the_one_that_a_node_loses_moves_its_addresses() -> None:
    async def story(bench: Bench) -> None:
        second = {}
        for number in (1, 2, 3):
            node = bench.node(number)
            here = (ip_interface(f"203.0.113.{number}/24"),)
            second[number] = replace(
                node.link, index=10 + number, name="eth1", mac=mac(10 + number), addresses=here, default_route=False
            )
            node.net.links.set(second[number])
        await bench.settled(members=3)
        other = IPv4Address("203.0.113.100")
        bench.allocate(VIP, "n1")
        bench.allocate(other, "n1", segment="203.0.113.0-24")
        await bench.until(lambda: bench.allocation(other).status.leader)
        await asyncio.sleep(5)
        assert (await bench.ask(VIP), await bench.ask(other)) == ([mac(1)], [mac(11)])
        bench.nodes["n1"].net.links.set(replace(second[1], carrier=False))
        await asyncio.sleep(1)
        assert await bench.ask(VIP) == [mac(1)]
        (answer,) = await bench.ask(other)
        assert answer in {mac(12), mac(13)}
        assert bench.allocation(other).status.interface == "eth1"

    run(story)


def test_live_speakers_lose_nothing_while_the_api_server_is_away() -> None:
    async def story(bench: Bench) -> None:
        await bench.three()
        await bench.led()
        down(bench)
        for _ in range(200):
            assert len(await bench.ask()) == 1
            await asyncio.sleep(0.3)
        assert not any(each.speaker.why_not_ready() for each in bench.nodes.values())

    run(story)


def down(bench: Bench) -> None:
    bench.api.fault = lambda _: Unreachable("refused")
    bench.api.cut()
