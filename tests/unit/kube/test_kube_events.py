"""Events: on change, counted when repeated, and never in anybody's way. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import structlog

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.core import Event, EventSource, ObjectReference, Service
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, EVENTS, SERVICES
from lbprovider.errors import Forbidden, LbproviderError, Overloaded, Unreachable
from lbprovider.kube import events as module
from lbprovider.kube.events import ATTEMPTS, COUNT_EACH, MESSAGE_LIMIT, Recorder
from tests.fakes import virtual_time
from tests.fakes.api_server import FakeApi

WEB = Service(metadata=ObjectMeta(name="web", namespace="shop", uid="web-uid", resource_version="7"))
Story = Callable[[FakeApi, Recorder], Coroutine[Any, Any, None]]


def play(story: Story) -> FakeApi:
    api = FakeApi()

    async def main(clock: Callable[[], float]) -> None:
        recorder = Recorder(
            api,
            component="lbprovider-test",
            instance="pod-1",
            clock=clock,
            wall=lambda: 1e9 + clock(),
            rand=lambda: 0.5,
        )
        running = asyncio.create_task(recorder.run())
        await story(api, recorder)
        assert not running.done()
        running.cancel()

    virtual_time.run(main)
    return api


def said(recorder: Recorder, message: str = "no address is free", service: Service = WEB) -> None:
    recorder.event(SERVICES, service, "Warning", "PoolExhausted", message)


async def settle() -> None:
    await asyncio.sleep(0.001)


def found(api: FakeApi) -> list[Event]:
    return list(api.objects(EVENTS).values())


def test_an_event_is_what_describe_looks_for() -> None:
    async def story(_: FakeApi, recorder: Recorder) -> None:
        said(recorder)
        await settle()

    (event,) = found(play(story))
    assert event.metadata.namespace == "shop"
    assert event.metadata.name.startswith("web.")
    assert event.involved_object == ObjectReference(
        kind="Service", name="web", namespace="shop", uid="web-uid", resource_version="7", api_version="v1"
    )
    assert (event.type, event.reason, event.message) == ("Warning", "PoolExhausted", "no address is free")
    assert event.source == EventSource(component="lbprovider-test", host="pod-1")
    assert (event.reporting_component, event.reporting_instance) == ("lbprovider-test", "pod-1")
    assert (event.count, event.first_timestamp, event.last_timestamp) == (1, *["2001-09-09T01:46:40Z"] * 2)


def test_an_event_about_a_cluster_scoped_object_is_in_default() -> None:
    async def story(_: FakeApi, recorder: Recorder) -> None:
        allocation = IPAllocation(metadata=ObjectMeta(name="192.0.2.1"), spec=IPAllocationSpec("192.0.2.1", "p"))
        recorder.event(ALLOCATIONS, allocation, "Normal", "Announced", "m" * 5000)
        await settle()

    (event,) = found(play(story))
    assert event.metadata.namespace == "default"
    assert event.involved_object.api_version == "lbprovider.io/v1beta1"
    assert len(event.message) == MESSAGE_LIMIT


def test_the_same_again_is_counted_at_most_once_a_minute() -> None:
    async def story(api: FakeApi, recorder: Recorder) -> None:
        for _ in range(300):
            said(recorder)
            await asyncio.sleep(1)
        assert len(api.calls) <= 1 + 300 / COUNT_EACH
        (event,) = found(api)
        assert 200 < event.count <= 300
        assert event.last_timestamp > event.first_timestamp

    play(story)


def test_other_messages_reasons_and_objects_are_other_events() -> None:
    async def story(_: FakeApi, recorder: Recorder) -> None:
        said(recorder)
        said(recorder, "another message")
        recorder.event(SERVICES, WEB, "Warning", "AnotherReason", "no address is free")
        # A later Service of the same name is another one.
        said(recorder, service=Service(metadata=ObjectMeta(name="web", namespace="shop", uid="later")))
        await settle()

    assert len(found(play(story))) == 4


def test_an_event_that_has_expired_is_made_again() -> None:
    async def story(api: FakeApi, recorder: Recorder) -> None:
        said(recorder)
        await asyncio.sleep(COUNT_EACH)
        api.remove(EVENTS, found(api)[0].metadata.name, "shop")
        said(recorder)
        await settle()
        assert [event.count for event in found(api)] == [2]

    play(story)


def test_a_server_that_is_away_for_a_moment_is_asked_again() -> None:
    async def story(api: FakeApi, recorder: Recorder) -> None:
        failures: list[LbproviderError] = [Unreachable("down"), Overloaded("slow", status=429, retry_after=5)]
        api.fault = lambda _: failures.pop() if failures else None  # type: ignore[return-value,assignment]
        said(recorder)
        await asyncio.sleep(10)
        assert len(api.calls) == 3
        assert len(found(api)) == 1

    play(story)


@pytest.mark.parametrize("error", [Forbidden("may not", status=403), Unreachable("down")])
def test_a_failure_is_logged_once_and_reaches_nobody(error: Any) -> None:
    async def story(api: FakeApi, recorder: Recorder) -> None:
        api.fault = lambda _: error
        for number in range(10):
            said(recorder, f"m{number}")
        await asyncio.sleep(60)
        assert len(api.calls) == 10 * (ATTEMPTS if isinstance(error, Unreachable) else 1)
        api.fault = lambda _: None
        said(recorder, "later")
        await settle()
        assert [event.message for event in found(api)] == ["later"]

    with structlog.testing.capture_logs() as logs:
        play(story)
    assert [entry["reason"] for entry in logs] == [type(error).__name__]


def test_queue_and_cache_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE", 10)
    monkeypatch.setattr(module, "KNOWN", 20)

    async def story(api: FakeApi, recorder: Recorder) -> None:
        for number in range(100):
            said(recorder, f"m{number}")
        await settle()
        assert [event.message for event in found(api)] == [f"m{number}" for number in range(10)]
        said(recorder, "m99")  # dropped before, so it is written as soon as it is said again
        await settle()
        assert len(found(api)) == 11
        for number in range(200, 300):
            said(recorder, f"m{number}")
            await settle()
        assert len(found(api)) == 111
        assert len(recorder._known) == 20

    with structlog.testing.capture_logs() as logs:
        play(story)
    assert [entry["reason"] for entry in logs] == ["EventsDropped"]
