"""What every implementation of the ports of ``net/`` keeps: the same tests for the fakes and for the kernel.

A subclass names its bench: two nodes on one LAN, ``ours`` and ``peer``, and what may happen to our interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_interface
from typing import Any, Protocol

import pytest

from lbprovider.errors import InterfaceGone, PortTaken
from lbprovider.net.datagrams import Datagrams, OpenDatagrams
from lbprovider.net.groups import OpenGroups
from lbprovider.net.links import Link, LinkChange, Links, What
from lbprovider.net.packet import OpenPackets
from lbprovider.wire import arp, ethernet, ndp

PORT = 7472
VIP4, OTHER4 = bytes((192, 0, 2, 100)), bytes((192, 0, 2, 101))
VIP6, OTHER6 = (bytes.fromhex("20010db8000000000000000000000" + end) for end in ("100", "101"))
OURS4, PEER4, OURS6, PEER6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
PATIENCE = 5.0


class Bench(Protocol):
    """Two nodes on a LAN; ours has ``OURS4/24`` and ``OURS6/64``, the peer likewise."""

    ours: Link
    peer: Link

    @property
    def open_packets(self) -> OpenPackets: ...
    @property
    def open_groups(self) -> OpenGroups: ...
    @property
    def open_datagrams(self) -> OpenDatagrams: ...
    @property
    def peer_datagrams(self) -> OpenDatagrams: ...
    def links(self) -> AbstractAsyncContextManager[Links]: ...
    def ask(self, frame: bytes) -> None:
        """The peer sends a frame."""

    def heard(self) -> list[bytes]:
        """The frames of ARP and Neighbor Discovery that the peer has received from us."""

    def down(self) -> None: ...
    def up(self) -> None: ...
    def rename(self, name: str) -> None: ...
    def set_mac(self, mac: bytes) -> None: ...
    def add_address(self, address: str) -> None: ...
    def take_away(self) -> None: ...
    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario on an event loop of the node of ours."""


async def until(condition: Callable[[], object]) -> None:
    """Wait for it, as long as a busy machine may take."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it waits for is the kernel's, or any callback's
            await asyncio.sleep(0.002)


def arp_request(bench: Bench, target: bytes) -> bytes:
    mac, asker = bench.peer.mac, bytes((192, 0, 2, 2))
    return arp.FRAME.pack(ethernet.BROADCAST, mac, ethernet.ARP, arp.REQUEST_HEAD, mac, asker, arp.NOBODY, target)


def solicitation(bench: Bench, target: bytes) -> bytes:
    group, source = ndp.solicited_node(target), ip_interface(PEER6).packed
    head = (
        ndp.group_mac(group),
        bench.peer.mac,
        ethernet.IPV6,
        0x6000_0000,
        24,
        ndp.ICMPV6,
        255,
        source,
        group,
        135,
        0,
    )
    bare = ndp.FRAME.pack(*head, 0, 0, target)
    return ndp.FRAME.pack(*head, ndp.checksum(source, group, bare[ndp.MESSAGE :]), 0, target)


class NetContract:
    """Subclasses give the fixture ``bench``."""

    # --- packets

    def test_listened_for_questions_come_in_and_answers_go_out(self, bench: Bench) -> None:
        asked: list[bytes] = []

        def answer(frame: memoryview) -> bytes | None:
            asked.append(bytes(frame))
            return arp.reply(VIP4, bench.ours.mac, bytes((192, 0, 2, 2)), bench.peer.mac)

        async def scenario() -> None:
            packets = bench.open_packets(bench.ours, answer, lambda: None)
            groups = bench.open_groups(bench.ours)
            questions = [arp_request(bench, VIP4), solicitation(bench, VIP6)]
            others = [
                arp_request(bench, OTHER4),
                solicitation(bench, OTHER6),
                arp.gratuitous_reply(OTHER4, bench.peer.mac),
                ndp.unsolicited(OTHER6, bench.peer.mac),
            ]
            for each in questions:
                bench.ask(each)
            packets.listen([VIP4, VIP6])
            groups.listen([VIP4, VIP6])
            assert groups.work() is False
            for each in [*others, *questions]:
                bench.ask(each)
            await until(lambda: len(asked) == 2)
            assert asked == questions
            await until(
                lambda: bench.heard().count(arp.reply(VIP4, bench.ours.mac, bytes((192, 0, 2, 2)), bench.peer.mac)) == 2
            )
            packets.listen([VIP6])
            for each in questions:
                bench.ask(each)
            await until(lambda: len(asked) == 3)
            assert asked[2] == questions[1]
            packets.close()
            packets.close()
            groups.close()
            groups.close()

        bench.run(scenario)

    def test_what_others_say_of_listened_for_addresses_comes_in_and_what_they_answer_us(self, bench: Bench) -> None:
        heard: list[bytes] = []
        mac, peer4, peer6 = bench.peer.mac, bytes((192, 0, 2, 2)), ip_interface(PEER6).packed
        claims = [
            arp.gratuitous_request(VIP4, mac),
            arp.gratuitous_reply(VIP4, mac),
            arp.request(OTHER4, mac, VIP4),  # speaks as the address, and asks for another
            arp.probe(VIP4, mac),
            ndp.unsolicited(VIP6, mac),
            ndp.probe(VIP6, mac),
        ]
        answers = [
            arp.reply(peer4, mac, bytes((192, 0, 2, 1)), bench.ours.mac),
            ndp.advertisement(peer6, mac, ip_interface(OURS6).packed, bench.ours.mac),
        ]
        others = [arp.gratuitous_reply(peer4, mac), arp.request(OTHER4, mac, peer4), ndp.unsolicited(peer6, mac)]

        async def scenario() -> None:
            packets = bench.open_packets(bench.ours, lambda frame: heard.append(bytes(frame)), lambda: None)
            groups = bench.open_groups(bench.ours)
            packets.listen([VIP4, VIP6])
            groups.listen([VIP4, VIP6])
            assert groups.work() is False
            for each in [*others, *claims, *answers]:
                bench.ask(each)
            wanted = {*claims, *answers}
            await until(lambda: wanted <= set(heard))
            # Our own kernel and the peer's may resolve each other's addresses meanwhile: answers to us, as well.
            assert not set(heard) & set(others)
            packets.close()
            groups.close()

        bench.run(scenario)

    def test_frames_are_sent_until_closed(self, bench: Bench) -> None:
        frames = [arp.gratuitous_request(VIP4, bench.ours.mac), ndp.unsolicited(VIP6, bench.ours.mac)]

        async def scenario() -> None:
            packets = bench.open_packets(bench.ours, lambda _: None, lambda: None)
            assert [packets.send(each) for each in frames] == [True, True]
            await until(lambda: [each for each in bench.heard() if each in frames] == frames)
            packets.close()
            assert packets.send(frames[0]) is False
            assert packets.failures == {"EBADF": 1}

        bench.run(scenario)

    def test_who_can_not_wait_hears_what_has_come(self, bench: Bench) -> None:
        asked: list[bytes] = []

        async def scenario() -> None:
            packets = bench.open_packets(bench.ours, lambda frame: asked.append(bytes(frame)), lambda: None)
            groups = bench.open_groups(bench.ours)
            packets.listen([VIP4, VIP6])
            groups.listen([VIP4, VIP6])
            questions = [arp_request(bench, VIP4), solicitation(bench, VIP6)]
            for each in questions:
                bench.ask(each)
            end = time.monotonic() + PATIENCE
            while len(asked) < len(questions) and time.monotonic() < end:
                packets.hear()  # the loop has no turn
            assert asked == questions
            packets.close()
            packets.hear()
            groups.close()

        bench.run(scenario)

    def test_a_link_that_is_down_loses_frames_and_works_again(self, bench: Bench) -> None:
        asked: list[bytes] = []
        frame = arp.gratuitous_request(VIP4, bench.ours.mac)

        async def scenario() -> None:
            packets = bench.open_packets(
                bench.ours, lambda each: asked.append(bytes(each)), lambda: pytest.fail("gone")
            )
            packets.listen([VIP4])
            bench.down()
            assert packets.send(frame) is False
            assert packets.failures == {"ENETDOWN": 1}
            bench.up()
            assert packets.send(frame) is True
            await until(lambda: frame in bench.heard())
            bench.ask(arp_request(bench, VIP4))
            await until(lambda: asked)
            packets.close()

        bench.run(scenario)

    def test_an_interface_that_is_taken_away_says_so_once(self, bench: Bench) -> None:
        gone: list[bool] = []

        async def scenario() -> None:
            packets = bench.open_packets(bench.ours, lambda _: None, lambda: gone.append(True))
            bench.take_away()
            await until(lambda: gone)
            assert packets.send(arp.gratuitous_request(VIP4, bench.ours.mac)) is False
            packets.close()
            with pytest.raises(InterfaceGone, match=f"{bench.ours.name}: No such device"):
                bench.open_packets(bench.ours, lambda _: None, lambda: None)

        bench.run(scenario)
        assert gone == [True]

    # --- datagrams

    @pytest.mark.parametrize(("ours", "peer"), [(OURS4, PEER4), (OURS6, PEER6)])
    def test_datagrams_arrive_with_their_source(self, bench: Bench, ours: str, peer: str) -> None:
        async def scenario() -> None:
            here: list[tuple[bytes, str]] = []
            there: list[tuple[bytes, str]] = []
            a = bench.open_datagrams(bench.ours, PORT, here.extend)
            b = bench.peer_datagrams(bench.peer, PORT, there.extend)
            await _first(a, peer, there)
            assert b.send(b"back", ours) is True
            end = time.monotonic() + 10
            while not here and time.monotonic() < end:
                a.hear()  # whoever can't wait for the loop's next turn
            assert there[-1] == (b"there", ours)
            assert here == [(b"back", peer)]
            a.close()
            b.close()
            b.close()

        bench.run(scenario)

    def test_a_second_speaker_on_the_node_is_refused(self, bench: Bench) -> None:
        async def scenario() -> None:
            first = bench.open_datagrams(bench.ours, PORT, lambda _: None)
            with pytest.raises(PortTaken, match=r"another speaker runs on this node: UDP port 7472 is in use on"):
                bench.open_datagrams(bench.ours, PORT, lambda _: None)
            first.close()
            bench.open_datagrams(bench.ours, PORT, lambda _: None).close()

        bench.run(scenario)

    def test_what_can_not_be_sent_is_counted_and_never_raised(self, bench: Bench) -> None:
        async def scenario() -> None:
            datagrams = bench.open_datagrams(bench.ours, PORT, lambda _: None)
            assert datagrams.send(b"x", "localhost") is False  # no name is ever looked up
            assert datagrams.failures == {"Other": 1}
            bench.down()
            assert datagrams.send(b"x", PEER4) is False
            assert sum(datagrams.failures.values()) == 2
            bench.take_away()
            assert datagrams.send(b"x", PEER4) is False
            datagrams.close()
            assert datagrams.send(b"x", PEER4) is False
            assert sum(datagrams.failures.values()) == 4
            with pytest.raises(InterfaceGone, match="No such device"):
                bench.open_datagrams(bench.ours, PORT, lambda _: None)

        bench.run(scenario)

    def test_datagrams_go_on_after_the_link_returns(self, bench: Bench) -> None:
        async def scenario() -> None:
            there: list[tuple[bytes, str]] = []
            a = bench.open_datagrams(bench.ours, PORT, lambda _: None)
            b = bench.peer_datagrams(bench.peer, PORT, there.extend)
            bench.down()
            bench.up()
            await _first(a, PEER4, there)
            a.close()
            b.close()

        bench.run(scenario)

    # --- links

    def test_the_interfaces_as_they_are(self, bench: Bench) -> None:
        async def scenario() -> None:
            async with bench.links() as links:
                link = links.snapshot()[bench.ours.name]
                assert link == bench.ours
                assert link.usable
                assert [str(each) for each in link.subnets] == ["192.0.2.0/24", "2001:db8::/64"]

        bench.run(scenario)

    @pytest.mark.parametrize(
        ("act", "what"),
        [
            pytest.param(lambda bench: bench.down(), What.DOWN, id="down"),
            pytest.param(lambda bench: (bench.down(), bench.up()), What.UP, id="flap"),
            pytest.param(lambda bench: bench.add_address("192.0.2.9/24"), What.ADDRESSES, id="address"),
            pytest.param(lambda bench: bench.set_mac(b"\x02\0\0\0\0\x09"), What.MAC, id="MAC"),
            pytest.param(lambda bench: bench.rename("lan9"), What.RENAMED, id="rename"),
            pytest.param(lambda bench: bench.take_away(), What.REMOVED, id="removed"),
        ],
    )
    def test_what_happens_is_told(self, bench: Bench, act: Callable[[Bench], object], what: What) -> None:
        async def scenario() -> None:
            async with bench.links() as links, _following(links) as changes:
                act(bench)
                await until(lambda: any(what in each.what for each in changes))
                told = next(each for each in changes if what in each.what)
                assert told.before is not None
                assert told.before.index == bench.ours.index
                if told.after is None:
                    assert bench.ours.name not in links.snapshot()
                else:
                    assert links.snapshot()[told.after.name].index == bench.ours.index

        bench.run(scenario)

    def test_what_is_not_fetched_is_merged(self, bench: Bench) -> None:
        async def scenario() -> None:
            async with bench.links() as links:
                for number in range(10, 20):
                    bench.down()
                    bench.up()
                    bench.add_address(f"192.0.2.{number}/24")
                await until(lambda: len(links.snapshot()[bench.ours.name].addresses) >= 11)
                async with _following(links) as changes:
                    await until(lambda: changes)
                ours = [each for each in changes if each.before is not None and each.before.index == bench.ours.index]
                assert What.UP in ours[0].what
                assert What.ADDRESSES in ours[0].what
                assert ours[0].after is not None
                assert ours[0].after.returns == bench.ours.returns + 10

        bench.run(scenario)


async def _first(datagrams: Datagrams, to: str, there: list[tuple[bytes, str]]) -> None:
    """Send until one arrives: the first ones may wait for address resolution, or a link that comes up."""

    def sent_and_arrived() -> bool:
        datagrams.send(b"there", to)
        return bool(there)

    await until(sent_and_arrived)


@contextlib.asynccontextmanager
async def _following(links: Links) -> AsyncIterator[list[LinkChange]]:
    changes: list[LinkChange] = []

    async def follow() -> None:
        async for each in links:
            changes.append(each)  # noqa: PERF401 - it never ends

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    try:
        yield changes
    finally:
        task.cancel()
        await _ended(task)


async def _ended(task: Awaitable[None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await task
