"""The webhook's server, over TLS on the loopback."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from lbprovider.api.webhook import AdmissionRequest
from lbprovider.controller.webhook import handshake, keeping, making, serving
from lbprovider.controller.webhook.certificates import Generation, bundle
from lbprovider.controller.webhook.judging import Outcome, Verdict
from lbprovider.controller.webhook.serving import PATH, ReviewServer
from lbprovider.errors import PortTaken
from lbprovider.telemetry import REGISTRY

HOSTS = keeping.hosts("lbprovider-system")
FIRST, SECOND = (making.make(HOSTS, time.time()) for _ in range(2))
ASKED = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "7",
        "operation": "CREATE",
        "namespace": "lbprovider-system",
        "resource": {"group": "lbprovider.io", "version": "v1beta1", "resource": "ipaddresspools"},
        "object": {"metadata": {"name": "lan"}},
    },
}


async def refuse(_: AdmissionRequest) -> Verdict:
    return Verdict(Outcome.REFUSED, "no, because")


@asynccontextmanager
async def server(
    review: Callable[[AdmissionRequest], Awaitable[Verdict]] = refuse, shown: Generation = FIRST
) -> AsyncIterator[ReviewServer]:
    made = ReviewServer(0, review)
    await made.show(shown)
    try:
        yield made
    finally:
        await made.stop()


class Resolver(aiohttp.abc.AbstractResolver):
    """Every name is this machine, as for an API server that resolves the Service by itself."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        return [
            aiohttp.abc.ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def apiserver(*believed: Generation, reuse: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """Believes certain authorities, and looks for the name of the Service."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle(believed).decode())
    connector = aiohttp.TCPConnector(ssl=context, resolver=Resolver(), force_close=not reuse)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def url(of: ReviewServer, path: str = PATH) -> str:
    return f"https://{HOSTS[0]}:{of.port}{path}"


def test_a_review_is_answered() -> None:
    async def story() -> None:
        async with server() as one, apiserver(FIRST) as api, api.post(url(one), json=ASKED) as answer:
            assert answer.status == 200
            assert answer.content_type == "application/json"
            assert await answer.json() == {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "response": {
                    "uid": "7",
                    "allowed": False,
                    "status": {"code": 403, "reason": "Forbidden", "message": "no, because"},
                },
            }

    asyncio.run(story())


@pytest.mark.parametrize("name", HOSTS)
def test_it_is_believed_by_each_name_of_the_service(name: str) -> None:
    async def story() -> None:
        async with server() as one, apiserver(FIRST) as api:
            answer = await api.post(f"https://{name}:{one.port}{PATH}", json=ASKED)
            assert answer.status == 200

    asyncio.run(story())


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "no AdmissionReview"),
        (b"{}", 400, "no AdmissionReview"),
        (b"\xff\xfe", 400, "no AdmissionReview"),
        (b"[" * 100_000, 400, "no AdmissionReview"),
        (json.dumps({**ASKED, "apiVersion": "admission.k8s.io/v1beta1"}).encode(), 400, "admission.k8s.io/v1 "),
        (json.dumps({**ASKED, "request": None}).encode(), 400, "with a request"),
        (b"x" * (serving.MOST_BYTES + 1), 413, ""),
    ],
    ids=["nothing", "empty", "bytes", "deep", "another version", "no request", "too much"],
)
def test_what_is_no_review_gets_a_sentence_and_nothing_of_our_insides(body: bytes, status: int, said: str) -> None:
    async def story() -> None:
        async with server() as one, apiserver(FIRST) as api:
            async with api.post(url(one), data=io.BytesIO(body)) as answer:
                assert answer.status == status
                text = await answer.text()
                assert said in text
                assert "Traceback" not in text
                assert ".py" not in text
            async with api.post(url(one), json=ASKED) as answer:
                assert answer.status == 200

    asyncio.run(story())


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", PATH, 405), ("POST", "/", 404), ("GET", "/metrics", 404)]
)
def test_it_serves_nothing_else(method: str, path: str, status: int) -> None:
    async def story() -> None:
        async with server() as one, apiserver(FIRST) as api, api.request(method, url(one, path)) as answer:
            assert answer.status == status

    asyncio.run(story())


def test_old_tls_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=FIRST.pems.authority.decode())

    async def story(version: ssl.TLSVersion) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = version
        async with server() as one:
            _, writer = await asyncio.open_connection("127.0.0.1", one.port, ssl=context, server_hostname=HOSTS[0])
            writer.close()

    asyncio.run(story(ssl.TLSVersion.TLSv1_2))
    asyncio.run(story(ssl.TLSVersion.TLSv1_3))
    assert handshake.server_context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() -> None:
    async def story() -> None:
        async with (
            server() as one,
            apiserver(FIRST) as old,
            apiserver(FIRST, SECOND, reuse=False) as both,
            apiserver(SECOND) as new,
        ):
            async with old.post(url(one), json=ASKED) as answer:
                await answer.read()
            port = one.port
            async with both.post(url(one), json=ASKED) as answer:
                await answer.read()
            await one.show(SECOND)
            assert one.port == port
            for api in (old, both, new, both, old):
                async with api.post(url(one), json=ASKED) as answer:
                    assert answer.status == 200
            async with apiserver(FIRST) as later:
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await later.post(url(one), json=ASKED)

    asyncio.run(story())


def test_reviews_that_go_on_while_it_changes_all_succeed() -> None:
    async def story() -> None:
        async with server() as one, apiserver(FIRST, SECOND, reuse=False) as api:

            async def ask() -> int:
                async with api.post(url(one), json=ASKED) as answer:
                    return answer.status

            asking = [asyncio.create_task(ask()) for _ in range(30)]
            for at in range(10):
                await one.show((FIRST, SECOND)[at % 2])
                await asyncio.sleep(0)
                asking += [asyncio.create_task(ask()) for _ in range(3)]
            assert set(await asyncio.gather(*asking)) == {200}

    asyncio.run(story())


def test_a_peer_that_takes_its_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "READ_TIMEOUT", 0.1)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.get_running_loop().create_future()

    async def story() -> None:
        async with server() as one, apiserver(FIRST) as api, api.post(url(one), data=slowly()) as answer:
            assert answer.status == 408

    asyncio.run(story())


def test_who_holds_connections_open_locks_nobody_out_and_ends_no_review(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 4)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=FIRST.pems.authority.decode())

    async def story() -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def slow(_: AdmissionRequest) -> Verdict:
            begun.set()
            await may_end.wait()
            return Verdict(Outcome.ALLOWED)

        async with server(slow) as one, apiserver(FIRST) as api:
            asking = asyncio.create_task(api.post(url(one), json=ASKED))
            await begun.wait()
            idle = [
                await asyncio.open_connection("127.0.0.1", one.port, ssl=context, server_hostname=HOSTS[0])
                for _ in range(3)
            ]
            may_come = asyncio.create_task(api.post(url(one), json=ASKED))
            async with asyncio.timeout(10):
                assert await idle[0][0].read() == b"", "the oldest idle one made way"
            may_end.set()
            assert [(await each).status for each in (asking, may_come)] == [200, 200]
            for _, writer in idle:
                writer.close()

    asyncio.run(story())


def test_a_review_in_flight_is_answered_before_it_ends() -> None:
    async def story() -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        async def slow(_: AdmissionRequest) -> Verdict:
            begun.set()
            await may_end.wait()
            return Verdict(Outcome.ALLOWED)

        async with server(slow) as one, apiserver(FIRST) as api:
            asking = asyncio.create_task(api.post(url(one), json=ASKED))
            await begun.wait()
            stopping = asyncio.create_task(one.stop())
            await asyncio.sleep(0)
            may_end.set()
            assert (await asking).status == 200
            await stopping

    asyncio.run(story())


def test_a_port_that_is_taken_is_said_and_can_be_tried_again() -> None:
    async def story() -> None:
        with socket.create_server(("", 0)) as taken:
            port = taken.getsockname()[1]
            one = ReviewServer(port, refuse)
            with pytest.raises(PortTaken, match=f"{port}.*--webhook-port"):
                await one.show(FIRST)
        await one.show(FIRST)
        assert one.port == port
        await one.stop()

    asyncio.run(story())


def test_the_end_of_the_certificate_is_a_metric() -> None:
    def expiry() -> float | None:
        return REGISTRY.get_sample_value("lbprovider_webhook_certificate_expiry_timestamp_seconds")

    async def story() -> None:
        async with server():
            assert expiry() == FIRST.ends
        assert expiry() == 0

    asyncio.run(story())
