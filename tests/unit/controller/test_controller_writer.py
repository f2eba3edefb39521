from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from lbprovider.controller.tasks import beside
from lbprovider.controller.writer import STOP_TIMEOUT, Urgency, WorkQueue
from lbprovider.errors import LeaseLost, Overloaded, Unreachable
from tests.fakes import virtual_time


def play(story: Callable[[Callable[[], float]], Awaitable[None]]) -> None:
    async def main(clock: Callable[[], float]) -> None:
        await story(clock)

    virtual_time.run(main)


def test_a_key_is_never_worked_on_twice_at_once_and_its_latest_state_wins() -> None:
    async def story(_: Callable[[], float]) -> None:
        active: set[str] = set()
        seen: list[int] = []
        state = 0

        async def work(key: str) -> None:
            assert key not in active
            active.add(key)
            now = state
            await asyncio.sleep(1)
            seen.append(now)
            active.discard(key)

        queue = WorkQueue(work)
        async with beside(queue.run()):
            for state in range(1, 6):  # noqa: B007  (the worker reads it)
                queue.add("a", Urgency.CHANGED)
                await asyncio.sleep(0.1)
            await queue.settled()
        assert seen == [1, 5]

    play(story)


def test_new_ones_go_first_and_each_waits_once() -> None:
    async def story(_: Callable[[], float]) -> None:
        order: list[str] = []

        async def work(key: str) -> None:
            order.append(key)
            await asyncio.sleep(1)

        queue = WorkQueue(work, workers=1)
        for key in "abc":
            queue.add(key, Urgency.RESYNC)
        queue.add("changed", Urgency.CHANGED)
        queue.add("new", Urgency.NEW)
        queue.add("c", Urgency.NEW)
        queue.add("c", Urgency.RESYNC)
        assert len(queue) == 5
        async with beside(queue.run()):
            await queue.settled()
        assert order == ["new", "c", "changed", "a", "b"]
        assert len(queue) == 0

    play(story)


def test_no_more_than_so_many_at_once() -> None:
    async def story(clock: Callable[[], float]) -> None:
        active = most = 0

        async def work(_: int) -> None:
            nonlocal active, most
            active += 1
            most = max(most, active)
            await asyncio.sleep(1)
            active -= 1

        queue = WorkQueue(work, workers=4)
        async with beside(queue.run()):
            for number in range(20):
                queue.add(number, Urgency.NEW)
            await queue.settled()
        assert most == 4
        assert clock() == pytest.approx(5, abs=0.1)

    play(story)


def test_a_failure_is_tried_again_later_each_time_and_the_server_names_the_least() -> None:
    async def story(clock: Callable[[], float]) -> None:
        times: list[float] = []
        failures = [Unreachable("gone"), Unreachable("gone"), Overloaded("busy", retry_after=7.0), ValueError("a bug")]

        async def work(_: str) -> None:
            times.append(clock())
            if len(times) <= len(failures):
                raise failures[len(times) - 1]

        queue = WorkQueue(work, rand=lambda: 0.0)
        async with beside(queue.run()):
            assert queue.add("a", Urgency.NEW)
            await asyncio.sleep(0.01)
            assert not queue.add("a", Urgency.NEW)  # not before its backoff is over
            await queue.settled()
        waits = [later - sooner for sooner, later in pairwise(times)]
        assert waits == pytest.approx([0.05, 0.1, 7.0, 0.4], abs=0.001)

    play(story)


def test_one_that_fails_for_ever_never_stops_the_others() -> None:
    async def story(_: Callable[[], float]) -> None:
        done: list[str] = []

        async def work(key: str) -> None:
            if key == "bad":
                raise ZeroDivisionError
            done.append(key)

        queue = WorkQueue(work, workers=1)
        async with beside(queue.run()):
            queue.add("bad", Urgency.NEW)
            for number in range(10):
                queue.add(f"good-{number}", Urgency.RESYNC)
            await asyncio.sleep(100)
        assert len(done) == 10

    play(story)


@pytest.mark.parametrize(("takes", "ends"), [(1.0, True), (60.0, False)])
def test_what_is_in_flight_has_two_seconds_to_end(takes: float, ends: bool) -> None:  # noqa: FBT001
    async def story(clock: Callable[[], float]) -> None:
        finished: list[str] = []

        async def work(key: str) -> None:
            await asyncio.sleep(takes)
            finished.append(key)

        queue = WorkQueue(work, workers=1)
        async with beside(queue.run()):
            queue.add("in flight", Urgency.NEW)
            queue.add("waits", Urgency.NEW)
            await asyncio.sleep(0.1)
        assert clock() <= 0.1 + STOP_TIMEOUT + 0.01
        assert finished == (["in flight"] if ends else [])

    play(story)


def test_of_tasks_beside_each_other_one_that_fails_ends_all_with_its_own_error() -> None:
    async def story(_: Callable[[], float]) -> None:
        ended: list[str] = []

        async def works() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                ended.append("works")

        async def fails() -> None:
            await asyncio.sleep(1)
            raise LeaseLost("gone")

        async def body() -> None:
            async with beside(works()), beside(fails()):
                try:
                    await asyncio.sleep(1000)
                finally:
                    ended.append("body")

        with pytest.raises(LeaseLost):
            await body()
        assert ended == ["body", "works"]

    play(story)
