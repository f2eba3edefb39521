"""Quorum reads and swaps of Segments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from lbprovider.api import segment as objects
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import SEGMENTS
from lbprovider.election.outcome import ProposeSwap
from lbprovider.election.segment import MemberList, Segment
from lbprovider.errors import Unreachable
from lbprovider.speaker.segments import Segments
from tests.fakes import virtual_time
from tests.fakes.api_server import FakeApi

NAME = "192.0.2.0-24"


def run(story: Callable[[FakeApi, Segments], Coroutine[Any, Any, None]]) -> None:
    async def main(_: Callable[[], float]) -> None:
        api = FakeApi()
        await story(api, Segments(api, lambda _: None, rand=lambda: 0.5))

    virtual_time.run(main)


def write(api: FakeApi, version: int = 1, *members: str) -> Segment:
    one = objects.MemberList(members=members or ("n1",), need=1)
    spec = objects.SegmentSpec(subnets=("192.0.2.0/24",), heartbeat_period=100, version=version, lists=(one,))
    stored = api.write(SEGMENTS, objects.Segment(metadata=ObjectMeta(name=NAME), spec=spec))
    return Segment(stored.metadata.uid, NAME, version, (MemberList(members or ("n1",), 1),))


def proposal(there: Segment) -> ProposeSwap:
    return ProposeSwap(
        there.version,
        Segment(there.uid, NAME, there.version + 1, (MemberList(("n1", "n2"), 2), MemberList(("n2",), 1))),
    )


def test_a_swap_writes_the_lists_and_nothing_else() -> None:
    async def story(api: FakeApi, segments: Segments) -> None:
        there = write(api, 3)
        swapped = await segments.swap(NAME, proposal(there))
        spec = api.objects(SEGMENTS)[NAME].spec
        assert (spec.version, spec.subnets, spec.heartbeat_period) == (4, ("192.0.2.0/24",), 100)
        assert [(one.members, one.need) for one in spec.lists] == [(("n1", "n2"), 2), (("n2",), 1)]
        assert swapped == proposal(there).new

    run(story)


def test_a_swap_that_no_longer_stands_writes_nothing_and_tells_what_does() -> None:
    async def story(api: FakeApi, segments: Segments) -> None:
        old = write(api, 3)
        now = write(api, 4, "n1", "n3")
        api.calls.clear()
        assert await segments.swap(NAME, proposal(old)) == now
        api.remove(SEGMENTS, NAME)
        anew = write(api, 3)
        assert anew.uid != old.uid
        assert await segments.swap(NAME, proposal(old)) == anew
        assert [call.verb for call in api.calls] == ["get", "get"]

    run(story)


def test_a_swap_that_is_overtaken_loses() -> None:
    async def story(api: FakeApi, segments: Segments) -> None:
        there = write(api, 3)
        api.latency = 1
        swap = asyncio.get_running_loop().create_task(segments.swap(NAME, proposal(there)))
        await asyncio.sleep(1.5)
        write(api, 4, "n1", "n3")
        assert await swap is None
        assert api.objects(SEGMENTS)[NAME].spec.lists[0].members == ("n1", "n3")

    run(story)


def test_an_api_server_that_is_away_loses_a_swap_and_nothing_else() -> None:
    async def story(api: FakeApi, segments: Segments) -> None:
        there = write(api, 3)
        api.fault = lambda _: Unreachable("refused")
        assert await segments.swap(NAME, proposal(there)) is None

    run(story)


def test_a_read_outlives_an_api_server_that_is_away_and_a_segment_that_is_not_there_yet() -> None:
    async def story(api: FakeApi, segments: Segments) -> None:
        api.fault = lambda _: Unreachable("refused")
        read = asyncio.get_running_loop().create_task(segments.read(NAME, lambda: True))
        await asyncio.sleep(60)
        api.fault = lambda _: None
        await asyncio.sleep(60)
        there = write(api)
        assert await asyncio.wait_for(read, 10) == there

    run(story)


def test_a_read_that_nobody_wants_any_more_ends() -> None:
    async def story(api: FakeApi, segments: Segments) -> None:
        wanted = True
        api.fault = lambda _: Unreachable("refused")
        read = asyncio.get_running_loop().create_task(segments.read(NAME, lambda: wanted))
        await asyncio.sleep(60)
        wanted = False
        assert await asyncio.wait_for(read, 10) is None

    run(story)


def test_only_what_election_looks_at_is_told() -> None:
    async def story(api: FakeApi, segments: Segments) -> None:
        write(api)
        told: list[str] = []
        segments = Segments(api, told.append)
        there = api.objects(SEGMENTS)[NAME]
        segments.sink.changed(there)
        segments.sink.changed(msgspec.structs.replace(there, status=objects.SegmentStatus(live=1, members=1)))
        assert told == [NAME]
        segments.sink.changed(msgspec.structs.replace(there, spec=objects.SegmentSpec()))
        assert segments.get(NAME) is None
        segments.sink.replaced([], [])
        assert told == [NAME] * 3

    run(story)
