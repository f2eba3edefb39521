"""The API room against an API server: the contract that the fake keeps too, and what no fake can show."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.core import Lease, LeaseSpec
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, EVENTS, LEASES, NODES, SECRETS, SERVICES
from lbprovider.errors import Forbidden, Invalid, KindMissing, LeaseLost, Unauthorized
from lbprovider.kube.access import in_cluster
from lbprovider.kube.client import PAGE, Client
from lbprovider.kube.events import Recorder
from lbprovider.kube.lease import LeaderLease
from lbprovider.kube.node_lease import NodeLease
from lbprovider.kube.ports import Bookmark, Changed, Deleted, Unreadable
from lbprovider.kube.reflector import Reflector
from lbprovider.lab.provider import CONTROLLER, SPEAKER
from lbprovider.lab.provider import NAMESPACE as SYSTEM
from tests.contract.kube_api import CASES, Case, a_version_too_old_is_gone
from tests.contract.servers import NODE, Server
from tests.e2e.rig.report import Report


def lease(namespace: str, name: str) -> Lease:
    return Lease(metadata=ObjectMeta(name=name, namespace=namespace), spec=LeaseSpec(holder_identity="me"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_contract(server: Server, namespace: str, case: Case) -> None:
    server.use(lambda api: case(api, namespace))


def test_a_long_list_comes_in_pages_and_a_watch_goes_on_from_it(server: Server, namespace: str, report: Report) -> None:
    count = 2 * PAGE + 1

    async def story(api: Client) -> float:
        await asyncio.gather(*(api.create(LEASES, lease(namespace, f"l{number}")) for number in range(count)))
        loop = asyncio.get_running_loop()
        began = loop.time()
        listed = await api.list(LEASES, namespace=namespace)
        took = loop.time() - began
        assert len({one.key for one in listed.objects}) == count
        await api.delete(LEASES, "l7", namespace=namespace)
        async with (
            asyncio.timeout(20),
            aclosing(api.watch(LEASES, listed.resource_version, namespace=namespace)) as events,
        ):
            event = await anext(events)
            while isinstance(event, Bookmark):
                event = await anext(events)
        assert isinstance(event, Deleted)
        assert event.object.metadata.name == "l7"
        return took

    report(f"{count} Leases listed in {1000 * server.use(story):.0f} ms")


def test_what_a_service_account_may_not_is_said_with_its_role(server: Server) -> None:
    access = in_cluster(server.account(SPEAKER), server.environ)

    async def story(api: Client) -> None:
        await api.list(SECRETS)

    with pytest.raises(
        Forbidden, match=r"may not list secrets: .*lbprovider-speaker.* a ClusterRole bound to that user"
    ):
        server.use(story, access)


def test_a_bad_token_is_not_accepted(server: Server) -> None:
    directory = server.account(SPEAKER)
    (directory / "token").write_text("nonsense")

    async def story(api: Client) -> None:
        await api.list(NODES)

    with pytest.raises(Unauthorized, match="doesn't accept our credentials"):
        server.use(story, in_cluster(directory, server.environ))


def test_a_missing_crd_is_no_missing_object(server: Server) -> None:
    other = replace(ALLOCATIONS, plural="nosuchthings", kind="NoSuchThing")

    async def story(api: Client) -> None:
        for ask in (api.list(other), api.get(other, "a"), api.patch(other, "a", {}, subresource="status")):
            with pytest.raises(KindMissing, match=r"kubectl apply -k config/crd"):
                await ask
        elsewhere = replace(other, api_version="nosuchgroup.example/v1")
        with pytest.raises(KindMissing, match="recent enough"):
            await api.list(elsewhere)

    server.use(story)


def test_what_a_schema_refuses_is_said_in_the_servers_words(server: Server) -> None:
    async def story(api: Client) -> None:
        bad = IPAllocation(metadata=ObjectMeta(name="Not-A-Name"), spec=IPAllocationSpec(address="", pool=""))
        await api.create(ALLOCATIONS, bad)

    with pytest.raises(Invalid, match=r"metadata\.name"):
        server.use(story)


def test_a_reflector_outlives_a_restart_of_the_api_server(server: Server, namespace: str, report: Report) -> None:
    sink = Names()
    synced, stale, back = threading.Event(), threading.Event(), threading.Event()

    async def story(api: Client) -> float:
        await api.create(LEASES, lease(namespace, "before"))
        reflector = Reflector(api, LEASES, namespace=namespace)
        running = asyncio.create_task(reflector.run(sink))
        await _until(lambda: reflector.synced)
        synced.set()
        await _until(lambda: reflector.stale_since is not None)
        stale.set()
        await _until(back.is_set)
        began = time.monotonic()
        await api.create(LEASES, lease(namespace, "after"))
        await _until(lambda: "after" in sink.names and reflector.stale_since is None)
        running.cancel()
        return time.monotonic() - began

    with ThreadPoolExecutor(1) as beside:
        told = beside.submit(server.use, story)
        assert synced.wait(20)
        server.kill()
        assert stale.wait(20)
        server.start()
        back.set()
        took = told.result()
    assert sink.names == {"before", "after"}
    report(f"caught up {took:.1f} s after the API server was back")
    server.use(lambda api: a_version_too_old_is_gone(api, namespace))


def test_leadership_passes_on(server: Server, namespace: str) -> None:
    async def story(api: Client) -> None:
        a, b = (
            LeaderLease(
                api, namespace=namespace, name="leader", identity=name, duration=3, renew_deadline=2, period=0.2
            )
            for name in "ab"
        )
        await a.acquire()
        keeping = asyncio.create_task(a.keep())
        waiting = asyncio.create_task(b.acquire())
        await renewed(api, namespace, "leader", 20)  # longer than its duration: without them b would have it by then
        assert (a.held, waiting.done()) == (True, False)
        keeping.cancel()
        await a.release()
        async with asyncio.timeout(5):
            await waiting
        assert b.held
        await api.delete(LEASES, "leader", namespace=namespace)
        with pytest.raises(LeaseLost, match="was deleted"):
            await b.keep()

    server.use(story)


async def renewed(api: Client, namespace: str, name: str, times: int) -> None:
    """Until a Lease has changed that often."""
    listed = await api.list(LEASES, namespace=namespace)
    seen = 0
    stream = api.watch(LEASES, listed.resource_version, namespace=namespace, field_selector=f"metadata.name={name}")
    async with asyncio.timeout(60), aclosing(stream) as events:
        async for event in events:
            seen += isinstance(event, Changed)
            if seen == times:
                return
    raise AssertionError(f"the watch ended after {seen} renewals")


def test_a_speaker_registers_with_its_own_rights(server: Server) -> None:
    access = in_cluster(server.account(SPEAKER), server.environ)

    async def story(api: Client) -> list[int]:
        return [await NodeLease(api, namespace=SYSTEM, node=NODE).start() for _ in range(2)]

    first, second = server.use(story, access)
    assert second == first + 1
    stored = server.api.get(LEASES.path(SYSTEM, NODE))
    owner = stored["metadata"]["ownerReferences"][0]
    assert owner["uid"] == server.api.get(NODES.path(name=NODE))["metadata"]["uid"]


def test_events_are_counted(server: Server, namespace: str) -> None:
    access = in_cluster(server.account(CONTROLLER), server.environ)
    ports = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    made = server.api.create(SERVICES.path(namespace), {"metadata": {"name": "web"}, "spec": ports})
    now = 0.0

    async def story(api: Client) -> None:
        nonlocal now
        service = await api.get(SERVICES, "web", namespace=namespace)
        recorder = Recorder(api, component="lbprovider-controller", instance="test", clock=lambda: now)
        running = asyncio.create_task(recorder.run())
        for written in (3, 6):
            now += 1000
            for _ in range(3):
                recorder.event(SERVICES, service, "Warning", "PoolExhausted", "no address is free")
            await _until(partial(_counted, server, namespace, written))
        running.cancel()

    server.use(story, access)
    about = f"involvedObject.uid={made['metadata']['uid']},involvedObject.name=web,involvedObject.kind=Service"
    (event,) = server.api.items(f"{EVENTS.path(namespace)}?fieldSelector={about}")
    assert (event["reason"], event["source"]["component"]) == ("PoolExhausted", "lbprovider-controller")


def _counted(server: Server, namespace: str, count: int) -> bool:
    return [event["count"] for event in server.api.items(EVENTS.path(namespace))] == [count]


class Names:
    """A sink of names."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def replaced(self, objects: Sequence[Lease], unreadable: Sequence[Unreadable]) -> None:
        assert not unreadable
        self.names = {one.metadata.name for one in objects}

    def changed(self, obj: Lease) -> None:
        self.names.add(obj.metadata.name)

    def deleted(self, obj: Object) -> None:
        self.names.discard(obj.metadata.name)

    def unreadable(self, unreadable: Unreadable) -> None:
        raise AssertionError(str(unreadable))


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.05)
