"""What this node's kube-proxy says of itself, and what counts of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from lbprovider.speaker import proxy
from lbprovider.speaker.proxy import Proxy
from tests.fakes import virtual_time


def heard(answers: Sequence[bool | None], changed: Callable[[Proxy], None] = lambda _: None) -> list[bool]:
    """``healthy`` after each answer, one a second."""
    seen: list[bool] = []

    async def main(_: Callable[[], float]) -> None:
        over = asyncio.Event()

        async def ask() -> bool | None:
            seen.append(kube_proxy.healthy)
            if len(seen) > len(answers):
                over.set()
                await asyncio.Event().wait()
            return answers[len(seen) - 1]

        kube_proxy = Proxy(lambda: changed(kube_proxy))
        task = asyncio.get_running_loop().create_task(kube_proxy.run(ask))
        await over.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    virtual_time.run(main)
    return seen[1:]


@pytest.mark.parametrize(
    ("answers", "healthy"),
    [
        ([None, None], [True, True]),  # nobody listens: nothing is known
        ([True, True], [True, True]),
        ([False, False, True], [False, False, True]),  # a node that has just booted: the first answer counts at once
        ([None, False, True], [True, False, True]),
        ([True, False, True, False], [True, True, True, True]),  # once is not enough where it was healthy
        ([True, False, False, True], [True, True, False, True]),
        ([True, False, None, False], [True, True, True, True]),
        ([False, None], [False, True]),  # it ended: its rules stay in the kernel
    ],
)
def test_what_counts_of_its_answers(answers: list[bool | None], healthy: list[bool]) -> None:
    assert heard(answers) == healthy


def test_each_change_is_told_once() -> None:
    told: list[bool] = []
    heard([True, False, False, False, True, True], lambda kube_proxy: told.append(kube_proxy.healthy))
    assert told == [False, True]


@asynccontextmanager
async def served(answer: Callable[[], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    async def handle(_: web.Request) -> web.StreamResponse:
        return await answer()

    app = web.Application()
    app.router.add_get("/healthz", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/healthz"
    finally:
        await runner.cleanup()


def status(code: int) -> Callable[[], Awaitable[web.StreamResponse]]:
    async def answer() -> web.StreamResponse:
        return web.Response(status=code, text='{"lastUpdated":"","currentTime":""}', headers={"Location": "/healthz"})

    return answer


async def hangs() -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


@pytest.mark.parametrize(("code", "said"), [(200, True), (503, False), (404, None), (302, None), (500, None)])
def test_what_its_port_answers(code: int, said: bool | None) -> None:  # noqa: FBT001  (what is told)
    async def main() -> bool | None:
        async with served(status(code)) as url:
            return await proxy.ask(url)

    assert asyncio.run(main()) is said


def test_a_port_that_is_closed_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "TIMEOUT", 0.05)

    async def main() -> tuple[bool | None, bool | None]:
        async with served(hangs) as url:
            hanging = await proxy.ask(url)
        return hanging, await proxy.ask(url)  # and now nobody listens there

    assert asyncio.run(main()) == (None, None)
