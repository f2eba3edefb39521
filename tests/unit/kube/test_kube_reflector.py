"""List, watch, and again, for as long as it takes: in virtual time, against the fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

import pytest
import structlog

from lbprovider.api.core import Lease, LeaseSpec
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import LEASES
from lbprovider.errors import ClusterError, Forbidden, Overloaded, Unreachable
from lbprovider.kube.backoff import CAP, FIRST, LEAST, Backoff
from lbprovider.kube.ports import Bookmark, Listed, Unreadable, WatchEvent
from lbprovider.kube.reflector import STEADY, Reflector
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

DAY = 24 * 3600.0


class Log:
    """A sink that keeps the state as a real one would, and what happened."""

    def __init__(self, raises: str = "") -> None:
        self.state: dict[str, str] = {}
        self.happened: list[str] = []
        self.raises = raises

    def replaced(self, objects: Sequence[Lease], unreadable: Sequence[Unreadable]) -> None:
        self._say(f"replaced {len(objects)}+{len(unreadable)}")
        kept = {one.key: self.state[one.key] for one in unreadable if one.key in self.state}
        self.state = kept | {one.key: one.spec.holder_identity or "" for one in objects}

    def changed(self, obj: Lease) -> None:
        self._say(f"changed {obj.key}")
        self.state[obj.key] = obj.spec.holder_identity or ""

    def deleted(self, obj: Object) -> None:
        self._say(f"deleted {obj.key}")
        self.state.pop(obj.key, None)

    def unreadable(self, unreadable: Unreadable) -> None:
        self._say(f"unreadable {unreadable.key}")

    def _say(self, what: str) -> None:
        self.happened.append(what)
        if what == self.raises:
            self.raises = ""
            raise RuntimeError("a bug of the sink")


def lease(name: str, holder: str = "a", namespace: str = "ns") -> Lease:
    return Lease(metadata=ObjectMeta(name=name, namespace=namespace), spec=LeaseSpec(holder_identity=holder))


def play(
    story: Callable[[FakeApi, Reflector[Lease], Log], Coroutine[Any, Any, None]],
    *,
    api: FakeApi | None = None,
    sink: Log | None = None,
    rand: Callable[[], float] = lambda: 0.5,
) -> Log:
    """Runs a reflector beside the story, which ends it."""
    server, log = api or FakeApi(), sink or Log()

    async def main(clock: Callable[[], float]) -> None:
        reflector = Reflector(server, LEASES, namespace="ns", clock=clock, rand=rand)
        running = asyncio.create_task(reflector.run(log))
        try:
            await story(server, reflector, log)
            assert not running.done()
        finally:
            running.cancel()

    virtual_time.run(main)
    return log


def up(reflector: Reflector[Lease]) -> bool:
    return reflector.error is None and reflector.stale_since is None


async def settle() -> None:
    await asyncio.sleep(0.001)


def test_a_sink_follows_the_collection() -> None:
    async def story(api: FakeApi, reflector: Reflector[Lease], log: Log) -> None:
        assert (reflector.synced, reflector.stale_since) == (False, 0.0)
        api.write(LEASES, lease("a"))
        api.write(LEASES, lease("elsewhere", namespace="other"))
        await reflector.wait_synced()
        assert (reflector.synced, reflector.stale_since) == (True, None)
        api.write(LEASES, lease("b"))
        api.write(LEASES, lease("a", "x"))
        api.remove(LEASES, "b", "ns")
        await settle()
        assert log.state == {"ns/a": "x"}

    log = play(story)
    assert log.happened == ["replaced 1+0", "changed ns/b", "changed ns/a", "deleted ns/b"]


def test_a_cut_watch_goes_on_where_it_was() -> None:
    async def story(api: FakeApi, reflector: Reflector[Lease], log: Log) -> None:
        await reflector.wait_synced()
        api.write(LEASES, lease("a"))
        await asyncio.sleep(STEADY + 1)
        api.cut()
        api.write(LEASES, lease("b"))
        await settle()
        assert isinstance(reflector.error, Unreachable)
        assert reflector.stale_since is not None
        assert reflector.stale_since < 1  # since the last word, not since the cut was seen
        await asyncio.sleep(FIRST)
        assert up(reflector)
        assert log.state == {"ns/a": "a", "ns/b": "a"}
        assert [call.verb for call in api.calls] == ["list", "watch", "watch"]

    assert play(story).happened == ["replaced 0+0", "changed ns/a", "changed ns/b"]


def test_a_forgotten_version_means_a_new_list() -> None:
    async def story(api: FakeApi, reflector: Reflector[Lease], log: Log) -> None:
        api.write(LEASES, lease("a"))
        await reflector.wait_synced()
        await asyncio.sleep(STEADY + 1)
        api.cut()
        api.remove(LEASES, "a", "ns")
        api.write(LEASES, lease("b"))
        api.forget()
        await asyncio.sleep(2)
        assert log.state == {"ns/b": "a"}
        assert [call.verb for call in api.calls] == ["list", "watch", "watch", "list", "watch"]

    assert play(story).happened == ["replaced 1+0", "replaced 1+0"]


@pytest.mark.parametrize("error", [Unreachable("refused"), Forbidden("no", status=403)])
def test_days_without_an_answer_are_survived_with_few_requests(error: ClusterError) -> None:
    async def story(api: FakeApi, reflector: Reflector[Lease], log: Log) -> None:
        await reflector.wait_synced()
        await asyncio.sleep(STEADY + 1)
        api.fault = lambda _: error
        api.cut()
        api.calls.clear()
        await asyncio.sleep(3 * DAY)
        assert reflector.synced
        assert reflector.error is error
        assert reflector.stale_since is not None
        assert reflector.stale_since < STEADY
        # A pause is half of CAP on average (rand is 0.5), and the first ones are shorter.
        assert 3 * DAY / CAP < len(api.calls) < 2 * 3 * DAY / CAP + 20
        api.fault = lambda _: None
        api.write(LEASES, lease("a"))
        await asyncio.sleep(CAP)
        assert log.state == {"ns/a": "a"}
        assert reflector.stale_since is None

    with structlog.testing.capture_logs() as logs:
        play(story)
    # The cut and the outage: said once each, and that it is over.
    assert [entry["log_level"] for entry in logs].count("warning") <= 2
    assert logs[-1]["reason"] == "ClusterAnswers"


class EndsAtOnce(FakeApi):
    """A server that ends each watch as soon as it has accepted it."""

    async def watch(self, resource: Any, resource_version: str, **_: Any) -> AsyncGenerator[WatchEvent[Any], None]:
        self.calls.append(Call("watch", resource.plural))
        yield Bookmark(resource_version)


class ForgetsAtOnce(FakeApi):
    """A server whose watches are always too old."""

    async def list(self, *args: Any, **options: Any) -> Listed[Any]:
        listed: Listed[Any] = await super().list(*args, **options)
        self.write(LEASES, lease("churn", str(len(self.calls))))
        self.forget()
        return listed


@pytest.mark.parametrize("kind", [EndsAtOnce, ForgetsAtOnce])
@pytest.mark.parametrize("rand", [0.0, 0.5, 0.999])
def test_there_is_no_busy_loop(kind: type[FakeApi], rand: float) -> None:
    async def story(api: FakeApi, _: Reflector[Lease], __: Log) -> None:
        await asyncio.sleep(120)
        # Even a hand of zeroes each time leaves LEAST between two attempts of two requests.
        most = 120 / LEAST + 1 if not rand else 120 / (CAP * rand) + 20
        assert 120 / CAP < len(api.calls) <= 2 * most

    play(story, api=kind(), rand=lambda: rand)


def test_a_server_that_ends_watches_in_its_own_time_is_asked_again_at_once() -> None:
    class EndsInTime(FakeApi):
        async def watch(self, resource: Any, resource_version: str, **_: Any) -> AsyncGenerator[WatchEvent[Any], None]:
            self.calls.append(Call("watch", resource.plural))
            yield Bookmark(resource_version)
            await asyncio.sleep(STEADY)

    async def story(api: FakeApi, reflector: Reflector[Lease], _: Log) -> None:
        await asyncio.sleep(STEADY * 10 + 1)
        assert len(api.calls) == 1 + 11
        assert reflector.stale_since is None

    play(story, api=EndsInTime())


def test_an_unreadable_object_is_named_and_the_others_go_on() -> None:
    bad = Unreadable("Lease", ObjectMeta(name="bad", namespace="ns", resource_version="200"), "Expected `str`")

    class HasABadOne(FakeApi):
        async def list(self, *args: Any, **options: Any) -> Listed[Any]:
            listed: Listed[Any] = await super().list(*args, **options)
            return Listed(listed.objects, listed.resource_version, (bad,))

        async def watch(self, *_: Any, **__: Any) -> AsyncGenerator[WatchEvent[Any], None]:
            yield bad
            yield Unreadable("Lease", ObjectMeta(), "nothing")
            await asyncio.Event().wait()

    async def story(api: FakeApi, _: Reflector[Lease], log: Log) -> None:
        log.state["ns/bad"] = "the last good one"
        api.write(LEASES, lease("a"))
        await settle()
        assert log.state == {"ns/bad": "the last good one", "ns/a": "a"}

    with structlog.testing.capture_logs() as logs:
        log = play(story, api=HasABadOne())
    assert log.happened == ["replaced 1+1", "unreadable ns/bad", "unreadable "]
    assert [entry["reason"] for entry in logs] == ["ObjectUnreadable"] * 3


def test_an_unreadable_object_is_told_of_once() -> None:
    bad = Unreadable("Lease", ObjectMeta(name="bad", namespace="ns", resource_version="200"), "Expected `str`")
    asked: list[str] = []

    class HasABadOne(FakeApi):
        async def watch(self, *given: Any, **_: Any) -> AsyncGenerator[WatchEvent[Any], None]:
            asked.append(given[1])
            yield bad
            yield Unreadable("Lease", ObjectMeta(), "no version to go on from")

    async def story(_: FakeApi, __: Reflector[Lease], ___: Log) -> None:
        await asyncio.sleep(FIRST)
        assert asked[:2] == ["100", "200"]

    play(story, api=HasABadOne())


def test_after_a_good_time_the_first_pause_is_short_again() -> None:
    async def story(api: FakeApi, reflector: Reflector[Lease], log: Log) -> None:
        api.fault = lambda _: Unreachable("down")
        await asyncio.sleep(3600)
        api.fault = lambda _: None
        await reflector.wait_synced()
        await asyncio.sleep(STEADY)
        api.cut()
        api.write(LEASES, lease("a"))
        await asyncio.sleep(FIRST)
        assert log.state == {"ns/a": "a"}

    play(story)


def test_a_bug_of_the_sink_on_one_object_does_not_end_the_others() -> None:
    async def story(api: FakeApi, reflector: Reflector[Lease], log: Log) -> None:
        await reflector.wait_synced()
        api.write(LEASES, lease("a"))
        api.write(LEASES, lease("b"))
        await settle()
        assert log.state == {"ns/b": "a"}

    with structlog.testing.capture_logs() as logs:
        play(story, sink=Log(raises="changed ns/a"))
    assert [(entry["object"], entry["log_level"]) for entry in logs] == [("ns/a", "error")]


def test_a_bug_of_the_sink_on_the_list_is_tried_again_and_not_taken_for_synced() -> None:
    async def story(api: FakeApi, reflector: Reflector[Lease], _: Log) -> None:
        await settle()
        assert not reflector.synced
        await reflector.wait_synced()
        assert [call.verb for call in api.calls][:2] == ["list", "list"]

    with structlog.testing.capture_logs() as logs:
        log = play(story, sink=Log(raises="replaced 0+0"))
    assert log.happened == ["replaced 0+0", "replaced 0+0"]
    assert [entry["object"] for entry in logs] == ["all objects"]


def test_pauses_grow_with_full_jitter_and_start_anew() -> None:
    backoff = Backoff(lambda: 0.5)
    assert [backoff.pause() for _ in range(8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    backoff.reset()
    assert backoff.pause() == 0.25
    assert Backoff(lambda: 0.0).pause() == LEAST


def test_a_server_that_names_a_time_is_left_alone_for_it() -> None:
    backoff = Backoff(lambda: 0.5)
    assert backoff.pause(Overloaded("slow", status=429, retry_after=7)) == 7.25
    assert backoff.pause(Overloaded("slow", status=503)) == 0.5
    assert Backoff(lambda: 0.5).pause(Overloaded("slow", retry_after=1e9)) == 120.25
