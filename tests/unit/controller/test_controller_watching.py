"""What can be seen of kopf without an API server; tests/e2e/test_controller.py has it watch a real one."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from pytest_mock import MockerFixture

from lbprovider.api.resources import SERVICES, Resource
from lbprovider.controller import watching
from lbprovider.controller.inventory import Store
from lbprovider.controller.watching import BATCH
from lbprovider.kube.access import Access
from lbprovider.kube.ports import Unreadable
from tests.fakes import virtual_time


class Nobody:
    async def authorization(self) -> str:
        return ""


def test_what_kopf_would_import_for_nothing_stays_out_and_can_be_imported_later() -> None:
    program = (
        "import sys; import lbprovider.controller.app; print('pydantic' in sys.modules);"
        "import kubernetes.aio.config; print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"metadata": {"name": "web", "namespace": "ns"}, "spec": {"type": 7}}, "ns/web"),
        ({"metadata": {"name": 7}}, ""),
        ({"metadata": None}, ""),
        ({}, ""),
    ],
)
def test_what_can_not_be_read_is_named_as_far_as_it_can(raw: dict[str, Any], key: str) -> None:
    read = watching._read(SERVICES, raw)
    if raw:
        assert isinstance(read, Unreadable)
    assert read.key == key


def test_events_are_handed_over_in_order_and_in_batches_and_none_after_the_stop() -> None:
    async def main() -> None:
        operator = watching._Operator(Access("http://nowhere", Nobody()), asyncio.get_running_loop())
        got: list[int] = []
        turns: list[int] = []

        def take(number: int) -> None:
            got.append(number)
            if number == BATCH - 1:
                asyncio.get_running_loop().call_soon(lambda: turns.append(len(got)))

        for number in range(BATCH + 10):
            operator._post(take, number)
        for _ in range(5):
            await asyncio.sleep(0)
        assert got == list(range(BATCH + 10))
        assert turns == [BATCH]  # others had their turn between two batches
        operator.stop()
        operator._post(take, -1)
        for _ in range(5):
            await asyncio.sleep(0)
        assert -1 not in got

    asyncio.run(main())


def test_kopf_is_told_to_touch_nothing() -> None:
    settings = watching._settings()
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    # It takes its finalizer off whatever it finds it on: nobody may have this one.
    assert settings.persistence.finalizer == "lbprovider.io/never-set"


def test_objects_are_decoded_in_our_thread_alone(mocker: MockerFixture) -> None:
    # Two threads that meet one type for the first time kill the process: see watching._Operator.
    decoded_in: list[int] = []

    def read(resource: Resource[Any], raw: Mapping[str, Any]) -> Any:
        decoded_in.append(threading.get_ident())
        return msgspec.convert(raw, type=resource.type)

    mocker.patch.object(watching, "_read", side_effect=read)

    async def main() -> None:
        store = Store(SERVICES)
        relisted: list[bool] = []
        operator = watching._Operator(Access("http://nowhere", Nobody()), asyncio.get_running_loop())
        operator.watch(store, lambda: relisted.append(True))
        (handler,) = operator._registry._watching.get_all_handlers()
        told: Any = handler.fn  # kopf calls it with more than we look at
        for kind in (None, "ADDED", "DELETED"):
            raw = {"metadata": {"name": f"web-{kind}", "namespace": "ns", "resourceVersion": "1"}}
            await asyncio.to_thread(lambda event: asyncio.run(told(event=event)), {"type": kind, "object": raw})
        await asyncio.sleep(0)
        assert set(store.objects) == {"ns/web-None", "ns/web-ADDED"}
        assert relisted == [True]

    asyncio.run(main())
    assert decoded_in == [threading.get_ident()] * 3


def test_who_takes_its_end_for_another_s_is_told_again() -> None:
    # As kopf's watches do when one of them fails for good: it waited for the others for ever, and told of nothing more.
    async def main(clock: Callable[[], float]) -> None:
        async def stubborn() -> None:
            for _ in range(3):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.get_running_loop().create_future()

        insisting = asyncio.create_task(watching._insist())
        ending, other = asyncio.create_task(stubborn()), asyncio.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait([ending], timeout=10 * watching.INSIST)
        assert clock() <= 4 * watching.INSIST
        assert not other.cancelling()
        insisting.cancel()
        other.cancel()

    virtual_time.run(main)


def test_kopf_insists_on_its_end(mocker: MockerFixture) -> None:
    insisted: list[bool] = []

    async def operating(**_: Any) -> None:
        names = [task.get_coro().__name__ for task in asyncio.all_tasks()]  # type: ignore[union-attr]
        insisted.append("_insist" in names)

    mocker.patch("lbprovider.controller.watching.kopf.operator", side_effect=operating)

    async def main() -> None:
        await watching._Operator(Access("http://nowhere", Nobody()), asyncio.get_running_loop()).run()

    asyncio.run(main())
    assert insisted == [True]


def test_a_watch_that_ends_at_once_is_not_begun_again_in_a_loop() -> None:
    async def main(clock: Callable[[], float]) -> None:
        pace = watching._Pace()
        began: dict[str, list[float]] = {"services": [], "nodes": []}

        async def watch(kind: str) -> None:
            for _ in range(3):
                await pace.turn(kind)
                began[kind].append(round(clock(), 3))

        await asyncio.gather(watch("services"), watch("nodes"))
        await asyncio.sleep(60)
        await watch("nodes")
        each = watching.WATCH_EACH
        assert began["services"] == [0, each, 2 * each]
        first = began["nodes"][3]
        # After a watch of a minute the next begins at once.
        assert began["nodes"][3:] == [first, first + each, first + 2 * each]
        assert first == round(2 * each + 60, 3)

    virtual_time.run(main)
