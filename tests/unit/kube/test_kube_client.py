"""Requests as they are on the wire, and what comes of the answers."""

from __future__ import annotations

import asyncio
import json
import select
import ssl
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lbprovider.api.core import Event, EventSource, Lease, LeaseSpec, ObjectReference
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, EVENTS, LEASES, NODES, SERVICES
from lbprovider.errors import Gone, InvalidObject, Unreachable
from lbprovider.kube import client as module
from lbprovider.kube.access import Access
from lbprovider.kube.client import Client
from lbprovider.kube.ports import Bookmark, Changed, Deleted, Listed, Unreadable, WatchEvent
from lbprovider.telemetry import REGISTRY
from tests.unit.kube.certificates import authority, server_context
from tests.unit.kube.http_api import Handler, Token, answer, event, lease, page, serving, status, stream


def client(access: Access, **options: Any) -> Client:
    return Client(access, user_agent="lbprovider-test", rand=lambda: 0.5, **options)


def listed(handler: Handler, **given: Any) -> Listed[Lease]:
    async def main() -> Listed[Lease]:
        async with serving(handler) as access, client(access) as api:
            return await api.list(LEASES, **given)

    return asyncio.run(main())


async def watched(handler: Handler, version: str = "7", **options: Any) -> list[WatchEvent[Lease]]:
    async with (
        asyncio.timeout(20),
        serving(handler) as access,
        client(access, **options) as api,
        aclosing(api.watch(LEASES, version, namespace="ns")) as events,
    ):
        return [one async for one in events]


def test_each_verb_is_the_request_that_the_api_server_knows() -> None:
    seen: list[tuple[str, str, dict[str, str], str, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.text()
        kind = request.headers.get("Content-Type", "")
        seen.append((request.method, request.path, dict(request.query), kind, json.loads(body) if body else None))
        assert request.headers["Authorization"] == "Bearer t0ken"
        assert request.headers["User-Agent"].startswith("lbprovider-test/")
        return answer(lease("a"))

    async def main() -> None:
        async with serving(handler) as access, client(access) as api:
            await api.get(LEASES, "a", namespace="ns")
            made = Lease(metadata=ObjectMeta(name="a", namespace="ns"), spec=LeaseSpec(holder_identity="me"))
            await api.create(LEASES, made)
            await api.replace(LEASES, await api.get(LEASES, "a", namespace="ns"))
            await api.patch(LEASES, "a", {"spec": {}}, namespace="ns")
            await api.patch(SERVICES, "a", {"status": {}}, namespace="ns", subresource="status", strategic=True)
            await api.delete(NODES, "a", uid="u", resource_version="9")

    asyncio.run(main())
    leases = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
    whole = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {"holderIdentity": "me"},
    }
    stored = {**whole, "metadata": {"name": "a", "namespace": "ns", "uid": "uid-a", "resourceVersion": "5"}}
    deletion = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u", "resourceVersion": "9"}}
    assert seen == [
        ("GET", f"{leases}/a", {}, "", None),
        ("POST", leases, {}, "application/json", whole),
        ("GET", f"{leases}/a", {}, "", None),
        ("PUT", f"{leases}/a", {}, "application/json", stored),
        ("PATCH", f"{leases}/a", {}, "application/merge-patch+json", {"spec": {}}),
        (
            "PATCH",
            "/api/v1/namespaces/ns/services/a/status",
            {},
            "application/strategic-merge-patch+json",
            {"status": {}},
        ),
        ("DELETE", "/api/v1/nodes/a", {}, "application/json", deletion),
    ]


def test_a_token_is_asked_for_with_each_request() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return answer(lease(request.headers.get("Authorization", "none")))

    async def main() -> list[str]:
        async with serving(handler) as access, client(access) as api:
            token = access.credentials
            assert isinstance(token, Token)
            names = []
            for value in ("one", "two", ""):
                token.token = value
                names.append((await api.get(LEASES, "x")).metadata.name)
            return names

    assert asyncio.run(main()) == ["Bearer one", "Bearer two", "none"]


def test_a_list_follows_its_pages_and_keeps_the_last_version() -> None:
    queries: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        queries.append(dict(request.query))
        number = len(queries)
        return page(lease(f"l{number}"), version="10", go_on="more" if number < 3 else "")

    found = listed(handler, namespace="ns", label_selector="a=b", field_selector="metadata.name=c")
    assert [one.metadata.name for one in found.objects] == ["l1", "l2", "l3"]
    assert found.resource_version == "10"
    first = {"limit": "500", "labelSelector": "a=b", "fieldSelector": "metadata.name=c"}
    assert queries == [first, {**first, "continue": "more"}, {**first, "continue": "more"}]


def test_a_list_that_lost_its_place_is_asked_for_in_one_piece() -> None:
    queries: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        queries.append(dict(request.query))
        if "continue" in request.query:
            return status(410, "Expired", "The provided continue parameter is too old")
        if "limit" in request.query:
            return page(lease("a"), go_on="more")
        return page(lease("a"), lease("b"), version="11")

    found = listed(handler, label_selector="a=b")
    assert [one.metadata.name for one in found.objects] == ["a", "b"]
    assert found.resource_version == "11"
    assert queries[-1] == {"labelSelector": "a=b"}


def test_a_list_that_is_refused_in_one_piece_too_is_gone() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return status(410, "Expired", "too old")

    with pytest.raises(Gone, match="too old"):
        listed(handler)


def test_one_bad_object_is_named_and_the_others_arrive() -> None:
    bad = lease("bad")
    bad["spec"] = {"holderIdentity": 7}
    worse = {"metadata": "no"}

    async def handler(_: web.Request) -> web.StreamResponse:
        return page(lease("a"), bad, worse, lease("b"))

    found = listed(handler)
    assert [one.metadata.name for one in found.objects] == ["a", "b"]
    named, nameless = found.unreadable
    assert (named.key, named.metadata.uid) == ("ns/bad", "uid-bad")
    assert "$.spec.holderIdentity" in str(named)
    assert str(nameless).startswith("Lease without a name can't be read")


@pytest.mark.parametrize("body", [{"error": "login"}, {"items": []}, {"metadata": {}, "items": []}, [], 7])
def test_json_of_something_else_is_never_an_empty_collection(body: Any) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return answer(body)

    with pytest.raises(Unreachable, match="something else than the Kubernetes API"):
        listed(handler)


def test_a_bad_object_that_was_asked_for_names_its_field() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/named"):
            return answer({"metadata": {"name": "named", "namespace": "ns"}, "spec": {"type": 3}})
        return answer({"some": "page"})

    async def main() -> None:
        async with serving(handler) as access, client(access) as api:
            with pytest.raises(InvalidObject, match=r"Service ns/named: can't be read: .*\$\.spec\.type"):
                await api.get(SERVICES, "named", namespace="ns")
            with pytest.raises(Unreachable, match="an object without a name"):
                await api.get(SERVICES, "other", namespace="ns")

    asyncio.run(main())


def test_a_watch_tells_what_happens() -> None:
    queries: list[dict[str, str]] = []
    bad = lease("bad", "9")
    bad["spec"] = []
    bookmark = {"metadata": {"resourceVersion": "12", "creationTimestamp": None}, "spec": {}}

    async def handler(request: web.Request) -> web.StreamResponse:
        queries.append(dict(request.query))
        return await stream(
            request,
            event("ADDED", lease("a", "8")) + event("MODIFIED", bad),
            event("DELETED", {**bad, "metadata": {**bad["metadata"], "resourceVersion": "11"}}),
            event("BOOKMARK", bookmark),
        )

    events = asyncio.run(watched(handler))
    assert queries == [{"watch": "1", "resourceVersion": "7", "allowWatchBookmarks": "true", "timeoutSeconds": "360"}]
    accepted, added, unreadable, deleted, last = events
    assert accepted == Bookmark("7")
    assert isinstance(added, Changed)
    assert added.object.key == "ns/a"
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.key, unreadable.metadata.resource_version) == ("ns/bad", "9")
    assert isinstance(deleted, Deleted)
    assert (deleted.object.key, deleted.object.metadata.resource_version) == ("ns/bad", "11")
    assert last == Bookmark("12")


def test_events_are_put_together_however_the_bytes_arrive() -> None:
    big = lease("big", "8", holder="x" * 700_000)  # more than any buffer of aiohttp's
    text = event("ADDED", big) + b"\n" + event("ADDED", lease("small", "9", holder="ü"))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream(request, *(text[i : i + 50_021] for i in range(0, len(text), 50_021)))

    events = [one.object for one in asyncio.run(watched(handler)) if isinstance(one, Changed)]
    assert [(one.metadata.name, len(one.spec.holder_identity or "")) for one in events] == [
        ("big", 700_000),
        ("small", 1),
    ]


def test_an_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 1 << 20)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream(request, *(b"x" * 100_000 for _ in range(20)))

    with pytest.raises(Unreachable, match="a watch event of more than 1 MiB"):
        asyncio.run(watched(handler))


@pytest.mark.parametrize("how", ["status", "event"])
def test_a_version_too_old_is_gone_both_ways(how: str) -> None:
    told = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (5)"}

    async def handler(request: web.Request) -> web.StreamResponse:
        return answer(told, 410) if how == "status" else await stream(request, event("ERROR", told))

    with pytest.raises(Gone, match="too old resource version") as caught:
        asyncio.run(watched(handler))
    assert caught.value.status == 410


def test_a_watch_cut_within_an_event_is_a_broken_connection() -> None:
    line = event("ADDED", lease("a", "8"))

    async def politely(request: web.Request) -> web.StreamResponse:
        return await stream(request, line, line[:20])

    async def abruptly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line[:20])
        assert request.transport is not None
        request.transport.close()
        return response

    for handler in (politely, abruptly):
        with pytest.raises(Unreachable):
            asyncio.run(watched(handler))


def test_a_watch_that_falls_silent_ends_to_be_begun_again() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(event("ADDED", lease("a", "8")))
        await asyncio.Event().wait()
        return response

    # No failure: the API server sends no bookmark of a kind that nobody changes.
    assert [type(told) for told in asyncio.run(watched(handler, watch_silence=0.1))] == [Bookmark, Changed]


def test_a_server_that_takes_no_watch_is_taken_for_dead() -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    with pytest.raises(Unreachable, match="didn't answer in time"):
        asyncio.run(watched(handler, watch_silence=0.1))


def test_a_watch_never_waits_behind_requests() -> None:
    async def main() -> None:
        waiting = 0
        full, release = asyncio.Event(), asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            nonlocal waiting
            if "watch" in request.query:
                return await stream(request, event("ADDED", lease("a", "8")))
            waiting += 1
            if waiting == module.MAX_REQUESTS:
                full.set()
            await release.wait()
            return answer(lease("a"))

        async with serving(handler) as access, client(access) as api:
            requests = [asyncio.create_task(api.get(LEASES, "a")) for _ in range(module.MAX_REQUESTS + 20)]
            await full.wait()
            async with aclosing(api.watch(LEASES, "7")) as events:
                seen = [one async for one in events]
            assert len(seen) == 2
            assert waiting == module.MAX_REQUESTS
            release.set()
            await asyncio.gather(*requests)
            assert waiting == module.MAX_REQUESTS + 20

    asyncio.run(main())


def test_requests_are_counted_by_verb_and_code() -> None:
    def count(verb: str, code: str) -> float:
        return REGISTRY.get_sample_value("lbprovider_api_requests_total", {"verb": verb, "code": code}) or 0.0

    async def handler(request: web.Request) -> web.StreamResponse:
        return status(404, "NotFound", name="a") if request.method == "GET" else answer(lease("a"))

    async def main() -> None:
        async with serving(handler) as access, client(access) as api:
            with pytest.raises(Exception, match="said so"):
                await api.get(LEASES, "a")
            await api.patch(LEASES, "a", {})
        async with client(access) as api:
            with pytest.raises(Unreachable):
                await api.get(LEASES, "a")

    before = [count("get", "404"), count("patch", "200"), count("get", "none")]
    asyncio.run(main())
    assert [count("get", "404"), count("patch", "200"), count("get", "none")] == [one + 1 for one in before]


def test_what_is_sent_names_its_kind_and_leaves_out_what_is_empty() -> None:
    made = Event(
        metadata=ObjectMeta(name="e", namespace="ns"),
        involved_object=ObjectReference(kind="Service", name="web", namespace="ns"),
        reason="Assigned",
        message="m",
        type="Normal",
        source=EventSource(component="c"),
        first_timestamp="t",
        last_timestamp="t",
        count=1,
    )
    sent = json.loads(module.encode(EVENTS, made))
    assert (sent["apiVersion"], sent["kind"], sent["count"]) == ("v1", "Event", 1)
    assert sent["metadata"] == {"name": "e", "namespace": "ns"}
    assert sent["involvedObject"] == {"kind": "Service", "name": "web", "namespace": "ns"}


def test_names_with_dots_and_digits_are_paths() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.path == "/apis/lbprovider.io/v1beta1/ipallocations/192.0.2.10/status"
        spec = {"address": "192.0.2.10", "pool": "p"}
        return answer({"metadata": {"name": "192.0.2.10"}, "spec": spec})

    async def main() -> None:
        async with serving(handler) as access, client(access) as api:
            assert (await api.patch(ALLOCATIONS, "192.0.2.10", {}, subresource="status")).spec.pool == "p"

    asyncio.run(main())


def test_a_watch_that_is_left_is_cut_though_the_server_never_says_goodbye(tmp_path: Path) -> None:
    ours = authority(tmp_path)
    deafened: list[asyncio.Transport] = []

    async def deaf(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.pause_reading()
        deafened.append(request.transport)
        await asyncio.sleep(3600)
        return response

    async def main() -> None:
        trust = ssl.create_default_context(cafile=ours.certificate)
        async with serving(deaf, tls=server_context(ours, tmp_path), trust=trust) as access:
            async with client(access) as api, aclosing(api.watch(LEASES, "1")) as events:
                assert await anext(events) == Bookmark("1")
            await asyncio.sleep(0)
            ended = select.poll()
            ended.register(deafened[0].get_extra_info("socket").fileno(), select.POLLRDHUP)
            assert ended.poll(1000)
            deafened[0].abort()

    asyncio.run(main())
