"""Leadership: never two, soon another, whatever the API server does. In virtual time, against the fake."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from lbprovider.api.core import Lease, LeaseSpec
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import LEASES
from lbprovider.errors import ClusterError, Forbidden, LeaseLost, Unreachable
from lbprovider.kube.lease import DURATION, PERIOD, RENEW_DEADLINE, RETRY_CAP, LeaderLease
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

Clock = Callable[[], float]


def leader(api: FakeApi, clock: Clock, identity: str = "a") -> LeaderLease:
    return LeaderLease(
        api, namespace="ns", name="leader", identity=identity, clock=clock, wall=lambda: 1e9 + clock(), rand=lambda: 0.5
    )


def held(lease: LeaderLease) -> bool:
    """Asked anew each time: mypy takes a property for a value that stays."""
    return lease.held


def stored(api: FakeApi) -> LeaseSpec:
    return api.objects(LEASES)["ns/leader"].spec


def play(story: Callable[[FakeApi, Clock], Coroutine[Any, Any, None]], api: FakeApi | None = None) -> None:
    server = api or FakeApi()
    virtual_time.run(lambda clock: story(server, clock))


async def lost(lease: LeaderLease) -> str:
    with pytest.raises(LeaseLost) as caught:
        await lease.keep()
    assert not held(lease)
    return str(caught.value)


def test_the_first_takes_it_at_once_and_renews() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a = leader(api, clock)
        assert not held(a)
        await a.acquire()
        assert held(a)
        assert clock() == 0
        assert stored(api) == LeaseSpec(
            holder_identity=a.identity,
            lease_duration_seconds=15,
            acquire_time="2001-09-09T01:46:40.000000Z",
            renew_time="2001-09-09T01:46:40.000000Z",
            lease_transitions=1,
        )
        keeping = asyncio.create_task(a.keep())
        await asyncio.sleep(600)
        assert held(a)
        assert len(api.calls) == pytest.approx(600 / PERIOD, abs=5)
        keeping.cancel()

    play(story)


def test_two_of_one_name_are_two() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a, b = leader(api, clock), leader(api, clock)
        await a.acquire()
        waiting = asyncio.create_task(b.acquire())
        await asyncio.sleep(DURATION - PERIOD)
        assert not waiting.done()
        assert not held(b)
        waiting.cancel()

    play(story)


def test_one_of_many_starters_leads() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        all_of_them = [leader(api, clock, f"r{i}") for i in range(5)]
        tasks = [asyncio.create_task(one.acquire()) for one in all_of_them]
        await asyncio.sleep(RENEW_DEADLINE - 1)
        assert sum(held(one) for one in all_of_them) == 1
        for task in tasks:
            task.cancel()

    play(story, FakeApi(latency=0.01))


def test_a_dead_leader_is_followed_after_the_duration_and_no_sooner() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        dead, heir = leader(api, clock), leader(api, clock, "b")
        await dead.acquire()
        await heir.acquire()
        assert DURATION <= clock() <= DURATION + 2 * PERIOD
        assert not held(dead)
        assert stored(api).lease_transitions == 2

    play(story)


def test_a_leader_that_renews_is_waited_for_for_ever() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a, b = leader(api, clock), leader(api, clock, "b")
        await a.acquire()
        keeping, waiting = asyncio.create_task(a.keep()), asyncio.create_task(b.acquire())
        await asyncio.sleep(3600)
        assert (held(a), held(b), waiting.done()) == (True, False, False)
        keeping.cancel()
        waiting.cancel()

    play(story)


def test_a_longer_duration_of_another_version_is_respected() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        spec = LeaseSpec(holder_identity="old", lease_duration_seconds=60)
        api.write(LEASES, Lease(metadata=ObjectMeta(name="leader", namespace="ns"), spec=spec))
        await leader(api, clock).acquire()
        assert 60 <= clock() <= 60 + 2 * PERIOD

    play(story)


def test_what_is_given_up_is_taken_at_the_next_look() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a, b = leader(api, clock), leader(api, clock, "b")
        await a.acquire()
        waiting = asyncio.create_task(b.acquire())
        await asyncio.sleep(5)
        await a.release()
        assert not held(a)
        given_up = clock()
        await waiting
        assert clock() - given_up <= 1.5 * PERIOD
        count = len(api.calls)
        await a.release()  # not ours any more: nothing to do
        assert len(api.calls) == count

    play(story)


@pytest.mark.parametrize("error", [Unreachable("down"), Forbidden("no", status=403)])
def test_a_leader_that_cannot_renew_stops_before_another_starts(error: ClusterError) -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a = leader(api, clock)
        await a.acquire()
        api.fault = lambda _: error
        assert "could not be renewed for 10 s" in await lost(a)
        assert clock() == pytest.approx(RENEW_DEADLINE, abs=0.01)
        await a.release()

    play(story)


def test_what_it_lost_to_an_outage_and_nobody_took_it_takes_again_at_its_next_look() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a = leader(api, clock)
        await a.acquire()
        api.fault = lambda _: Unreachable("down")
        await lost(a)
        await a.release()
        api.fault = lambda _: None
        before = clock()
        await a.acquire()
        assert held(a)
        assert clock() == before
        assert stored(api).lease_transitions == 1

    play(story)


def test_a_server_that_hangs_is_asked_again_before_the_deadline() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a = leader(api, clock)
        await a.acquire()
        api.latency = 1000
        keeping = asyncio.create_task(lost(a))
        await asyncio.sleep(6)
        assert len(api.calls) == 2 + 2  # taken by two; then at 2 s, and again
        await keeping
        assert clock() == pytest.approx(RENEW_DEADLINE, abs=0.01)
        await a.release()
        assert not held(a)

    play(story)


def test_a_slow_answer_counts_from_its_question() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        api.latency = RENEW_DEADLINE - 1  # of the read, then of the write
        a = leader(api, clock)
        await a.acquire()
        assert held(a)
        await asyncio.sleep(1)
        assert not held(a)

    play(story)


def test_held_is_false_after_the_deadline_even_if_nothing_ran() -> None:
    now = 0.0

    async def story(api: FakeApi, _: Clock) -> None:
        nonlocal now
        a = leader(api, lambda: now)
        await a.acquire()
        now = RENEW_DEADLINE - 0.001
        assert held(a)
        now = RENEW_DEADLINE  # the process was stopped, or the machine slept
        assert not held(a)

    play(story)


def test_another_holder_or_a_deletion_ends_it_at_once() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a = leader(api, clock)
        await a.acquire()
        thief = msgspec.structs.replace(stored(api), holder_identity="thief")
        api.write(LEASES, Lease(metadata=ObjectMeta(name="leader", namespace="ns"), spec=thief))
        assert "is held by thief" in await lost(a)
        assert clock() < RENEW_DEADLINE

        api.remove(LEASES, "leader", "ns")
        b = leader(api, clock)
        await b.acquire()
        api.remove(LEASES, "leader", "ns")
        assert "was deleted" in await lost(b)

    play(story)


def test_an_edit_or_a_lost_answer_is_no_loss() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        a = leader(api, clock)
        await a.acquire()
        keeping = asyncio.create_task(a.keep())
        lease = api.objects(LEASES)["ns/leader"]
        labelled = msgspec.structs.replace(lease.metadata, labels={"seen": "by-an-admin"})
        api.write(LEASES, msgspec.structs.replace(lease, metadata=labelled))
        await asyncio.sleep(60)
        assert held(a)
        assert api.objects(LEASES)["ns/leader"].metadata.labels == {"seen": "by-an-admin"}
        keeping.cancel()

    play(story)


def test_waiting_outlives_an_api_server_that_is_down() -> None:
    async def story(api: FakeApi, clock: Clock) -> None:
        api.fault = lambda _: Unreachable("down")
        waiting = asyncio.create_task(leader(api, clock).acquire())
        await asyncio.sleep(24 * 3600)
        assert len(api.calls) < 24 * 3600 / PERIOD * 1.1
        api.fault = lambda _: None
        await asyncio.sleep(RETRY_CAP + 0.1)
        assert waiting.done()

    play(story)


def test_contradictory_times_are_refused() -> None:
    with pytest.raises(ValueError, match="needs period 2 < renew_deadline 20 < duration 15"):
        LeaderLease(FakeApi(), namespace="n", name="l", identity="i", renew_deadline=20, period=2)


class Unruly(FakeApi):
    """Answers late, not at all, or after the deed is done and as if it were not."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(fault=self._before)
        self._rng = rng

    def _before(self, _: Call) -> ClusterError | None:
        return Unreachable("lost on the way there") if self._rng.random() < 0.1 else None

    async def _asked(self, call: Call) -> None:
        await asyncio.sleep(self._rng.choice((0.0, 0.01, 0.5, 3.0, 9.0)))
        await super()._asked(call)

    async def _answered(self, lease: Lease) -> Lease:
        await asyncio.sleep(self._rng.choice((0.0, 0.01, 0.5, 3.0, 9.0)))
        if self._rng.random() < 0.1:
            raise Unreachable("lost on the way back")
        return lease

    async def get(self, *args: Any, **options: Any) -> Any:
        return await self._answered(await super().get(*args, **options))

    async def create(self, *args: Any, **options: Any) -> Any:
        return await self._answered(await super().create(*args, **options))

    async def replace(self, *args: Any, **options: Any) -> Any:
        return await self._answered(await super().replace(*args, **options))


@pytest.mark.parametrize("seed", range(4))
def test_there_are_never_two_leaders(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  (a test's choice)
    candidates: list[LeaderLease] = []
    led = [0, 0, 0]

    async def candidate(number: int, api: FakeApi, clock: Clock) -> None:
        rate, offset = rng.uniform(0.99, 1.01), rng.uniform(0, 1e6)
        while True:
            lease = leader(api, lambda: clock() * rate + offset, f"c{number}")
            candidates[number] = lease
            await lease.acquire()
            led[number] += 1
            with suppress(LeaseLost, TimeoutError):
                async with asyncio.timeout(rng.uniform(1, 200)):
                    await lease.keep()
            if rng.random() < 0.5:
                await lease.release()
            else:  # crashed: the next one has a new identity, and this one says no more
                await asyncio.sleep(rng.uniform(0, 30))

    async def main(clock: Clock) -> None:
        api = Unruly(rng)
        candidates.extend(leader(api, clock) for _ in range(3))
        tasks = [asyncio.create_task(candidate(number, api, clock)) for number in range(3)]
        while clock() < 3000:
            await asyncio.sleep(0.05)
            assert sum(held(one) for one in candidates) <= 1, f"two leaders at {clock()} s, seed {seed}"
            assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()

    virtual_time.run(main)
    assert min(led) > 2, f"nobody was ever replaced, seed {seed}: {led}"
