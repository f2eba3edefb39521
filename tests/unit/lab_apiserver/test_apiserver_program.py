"""The server as a program: its sockets, its end, and what outlives it."""

import asyncio
import contextlib
import json
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.test_utils import RawTestServer

from lbprovider.lab.apiserver import home
from lbprovider.lab.apiserver.handling import MAX_BODY, Handler
from lbprovider.lab.apiserver.home import Home
from lbprovider.lab.apiserver.server import furnish
from lbprovider.lab.apiserver.store import Object, Store
from lbprovider.lab.process import Process
from lbprovider.lab.waiting import PATIENCE, until

LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
ANYWHERE = ("--listen", "127.0.0.1:0")

Start = Callable[..., Process]


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return home.prepare(tmp_path / "home", addresses=("127.0.0.1",), names=("localhost",))


@pytest.fixture
def start(place: Home, tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as undo:

        def begin(*arguments: str, descriptors: Sequence[int] = ()) -> Process:
            argv = [sys.executable, "-m", "lbprovider.lab.apiserver", "--directory", str(place.directory), *arguments]
            process = Process("apiserver", argv, tmp_path / "log", descriptors=descriptors)
            undo.callback(process.stop)
            return process

        yield begin


def listening(place: Home, process: Process) -> list[str]:
    def there() -> list[str] | None:
        assert process.running, process.tail()
        return place.endpoints()

    return until(there, "the server listens")


def ask(place: Home, endpoint: str, method: str, path: str, body: object = None) -> tuple[int, Object]:
    tls = ssl.create_default_context(cafile=str(place.ca))
    url = urlsplit(endpoint)
    assert url.hostname is not None
    connection = HTTPSConnection(url.hostname, url.port, context=tls, timeout=10)
    try:
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, payload, {"Authorization": f"Bearer {place.admin_token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def lease(name: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"holderIdentity": "a"}}


def test_it_listens_where_it_is_told_and_on_what_it_inherits(place: Home, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        arguments = (*ANYWHERE, *ANYWHERE, "--listen-fd", str(inherited.fileno()))
        process = start(*arguments, descriptors=(inherited.fileno(),))
        endpoints = listening(place, process)
        assert len(set(endpoints)) == 3
        assert endpoints[2] == f"https://127.0.0.1:{inherited.getsockname()[1]}"
        for endpoint in endpoints:
            assert ask(place, endpoint, "GET", "/version")[0] == 200
    assert process.stop() == 0
    assert place.endpoints() is None


def test_what_was_acknowledged_outlives_sigkill(place: Home, start: Start) -> None:
    process = start(*ANYWHERE)
    (endpoint,) = listening(place, process)
    made = [ask(place, endpoint, "POST", LEASES, lease(f"l{number}"))[1] for number in range(20)]
    gone = ask(place, endpoint, "DELETE", f"{LEASES}/l0")[1]
    assert gone["status"] == "Success"
    process.kill()
    place.listening(None)
    (endpoint,) = listening(place, start(*ANYWHERE))
    listed = ask(place, endpoint, "GET", LEASES)[1]
    assert {item["metadata"]["uid"] for item in listed["items"]} == {each["metadata"]["uid"] for each in made[1:]}
    newest = int(made[-1]["metadata"]["resourceVersion"])
    assert int(listed["metadata"]["resourceVersion"]) == newest + 1  # the deletion's
    later = ask(place, endpoint, "POST", LEASES, lease("later"))[1]
    assert int(later["metadata"]["resourceVersion"]) == newest + 2


def test_what_is_too_large_is_refused_and_the_server_goes_on(place: Home, start: Start) -> None:
    (endpoint,) = listening(place, start(*ANYWHERE))
    status, said = ask(place, endpoint, "POST", LEASES, b" " * (MAX_BODY + 1))
    assert (status, said["message"]) == (413, f"Request entity too large: limit is {MAX_BODY}")
    deep = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    assert ask(place, endpoint, "POST", LEASES, deep)[0] == 400
    assert ask(place, endpoint, "GET", LEASES)[0] == 200


@pytest.mark.parametrize("how", ["taken", "no socket", "deaf", "nowhere"])
def test_what_can_not_be_listened_on_is_one_sentence(start: Start, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as deaf, Path("/dev/null").open() as null:
        arguments, said = {
            "taken": (("--listen", f"127.0.0.1:{taken.getsockname()[1]}"), "can't listen on 127.0.0.1:"),
            "no socket": (("--listen-fd", str(null.fileno())), "is no socket"),
            "deaf": (("--listen-fd", str(deaf.fileno())), "doesn't listen"),
            "nowhere": ((), "name at least one --listen or --listen-fd"),
        }[how]
        process = start(*arguments, descriptors=(null.fileno(), deaf.fileno()))
        assert process.wait() in (1, 2)
    assert said in process.tail()
    assert "Traceback" not in process.tail()


def test_tokens_are_for_those_who_exist(place: Home) -> None:
    assert place.token("admin") == place.admin_token
    assert place.token("system:kube-proxy") != place.admin_token
    with pytest.raises(KeyError):
        place.token("nobody")


# --- watches over HTTP


async def lines(response: aiohttp.ClientResponse, count: int) -> list[Object]:
    return [json.loads(await response.content.readline()) for _ in range(count)]


def test_a_watch_gets_bookmarks_and_ends_with_one(place: Home) -> None:
    async def story() -> None:
        store = Store(place.objects)
        handler = Handler(furnish(place, store), bookmark_seconds=0.01)
        headers = {"Authorization": f"Bearer {place.admin_token}"}
        async with RawTestServer(handler) as server, aiohttp.ClientSession(headers=headers) as session:
            query = {"watch": "1", "allowWatchBookmarks": "1", "resourceVersion": str(store.version)}
            async with session.get(server.make_url(LEASES), params=query) as response:
                first, second = await lines(response, 2)
                assert first["type"] == second["type"] == "BOOKMARK"
                async with session.post(server.make_url(LEASES), json=lease("a")) as made:
                    version = (await made.json())["metadata"]["resourceVersion"]
                seen = await lines(response, 1)
                while seen[-1]["type"] == "BOOKMARK":
                    seen += await lines(response, 1)
                assert seen[-1]["type"] == "ADDED"
                (mark,) = await lines(response, 1)
                assert mark["object"]["metadata"]["resourceVersion"] == version
        store.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_the_servers_end_cuts_watches(place: Home) -> None:
    async def story() -> None:
        store = Store(place.objects)
        handler = Handler(furnish(place, store))
        headers = {"Authorization": f"Bearer {place.admin_token}"}
        async with (
            RawTestServer(handler) as server,
            aiohttp.ClientSession(headers=headers) as session,
            session.get(server.make_url(LEASES), params={"watch": "1"}) as response,
        ):
            assert response.status == 200
            handler.close()
            with pytest.raises(aiohttp.ClientError):
                await response.content.readline()
        store.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
