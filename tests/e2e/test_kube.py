"""The API room against a real kube-apiserver: the contract that the fake keeps too, and what no fake can show."""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.core import Lease, LeaseSpec
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, LEASES, NODES, SECRETS, SERVICES
from lbprovider.errors import Forbidden, Invalid, KindMissing, LeaseLost, Unauthorized
from lbprovider.kube.access import Access, from_kubeconfig, in_cluster
from lbprovider.kube.client import PAGE, Client
from lbprovider.kube.events import Recorder
from lbprovider.kube.lease import LeaderLease
from lbprovider.kube.node_lease import NodeLease
from lbprovider.kube.ports import Bookmark, Deleted, Unreadable
from lbprovider.kube.reflector import Reflector
from lbprovider.lab.lan import CONTROL
from lbprovider.net.namespaces import Namespace
from tests.contract.kube_api import CASES, Case, a_version_too_old_is_gone
from tests.e2e.rig import ours
from tests.e2e.rig.cluster import API_PORT, NAMESPACE, Cluster
from tests.e2e.rig.report import Report

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

T = TypeVar("T")
POD = {"KUBERNETES_SERVICE_HOST": str(CONTROL), "KUBERNETES_SERVICE_PORT": str(API_PORT)}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Door:
    """Runs coroutines beside the API server, on a thread of their own."""

    cluster: Cluster
    thread: Namespace

    def use(self, story: Callable[[Client], Awaitable[T]], access: Access | None = None) -> T:
        async def main() -> T:
            chosen = access or await from_kubeconfig(self.cluster.kubeconfig, {})
            async with Client(chosen, user_agent="lbprovider-test") as api:
                return await story(api)

        return self.thread.run(lambda: asyncio.run(main()))

    def account(self, name: str) -> Path:
        return self.cluster.service_account_directory(f"kube-{name}", name)


@pytest.fixture(scope="module")
def door(cluster: Cluster) -> Iterator[Door]:
    ours.install(cluster)
    thread = Namespace(cluster.lan.control.name)
    try:
        yield Door(cluster, thread)
    finally:
        thread.close()


@pytest.fixture
def namespace(door: Door) -> str:
    name = f"kube-{next(_numbers)}"
    door.cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def lease(namespace: str, name: str) -> Lease:
    return Lease(metadata=ObjectMeta(name=name, namespace=namespace), spec=LeaseSpec(holder_identity="me"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_contract(door: Door, namespace: str, case: Case) -> None:
    door.use(lambda api: case(api, namespace))


def test_a_long_list_comes_in_pages_and_a_watch_goes_on_from_it(door: Door, namespace: str, report: Report) -> None:
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

    report(f"{count} Leases listed in {1000 * door.use(story):.0f} ms")


def test_what_a_service_account_may_not_is_said_with_its_role(door: Door) -> None:
    access = in_cluster(door.account(ours.SPEAKER), POD)

    async def story(api: Client) -> None:
        await api.list(SECRETS)

    with pytest.raises(
        Forbidden, match=r"may not list secrets: .*lbprovider-speaker.* a ClusterRole bound to that user"
    ):
        door.use(story, access)


def test_a_bad_token_is_not_accepted(door: Door) -> None:
    directory = door.account(ours.SPEAKER)
    (directory / "token").write_text("nonsense")

    async def story(api: Client) -> None:
        await api.list(NODES)

    with pytest.raises(Unauthorized, match="doesn't accept our credentials"):
        door.use(story, in_cluster(directory, POD))


def test_a_missing_crd_is_no_missing_object(door: Door) -> None:
    other = replace(ALLOCATIONS, plural="nosuchthings", kind="NoSuchThing")

    async def story(api: Client) -> None:
        for ask in (api.list(other), api.get(other, "a"), api.patch(other, "a", {}, subresource="status")):
            with pytest.raises(KindMissing, match=r"kubectl apply -k config/crd"):
                await ask
        elsewhere = replace(other, api_version="nosuchgroup.example/v1")
        with pytest.raises(KindMissing, match="recent enough"):
            await api.list(elsewhere)

    door.use(story)


def test_what_a_schema_refuses_is_said_in_the_servers_words(door: Door) -> None:
    async def story(api: Client) -> None:
        bad = IPAllocation(metadata=ObjectMeta(name="Not-A-Name"), spec=IPAllocationSpec(address="", pool=""))
        await api.create(ALLOCATIONS, bad)

    with pytest.raises(Invalid, match=r"metadata\.name"):
        door.use(story)


def test_a_reflector_outlives_a_restart_of_the_api_server(door: Door, namespace: str, report: Report) -> None:
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

    # The server is started on this thread: what a thread has started ends with it.
    with ThreadPoolExecutor(1) as beside:
        told = beside.submit(door.use, story)
        assert synced.wait(20)
        door.cluster.apiserver.kill()
        assert stale.wait(20)
        door.cluster.restart_apiserver()
        back.set()
        took = told.result()
    assert sink.names == {"before", "after"}
    report(f"caught up {took:.1f} s after the API server was back")
    door.use(lambda api: a_version_too_old_is_gone(api, namespace))


def test_leadership_passes_on(door: Door, namespace: str) -> None:
    async def story(api: Client) -> None:
        a, b = (LeaderLease(api, namespace=namespace, name="leader", identity=name) for name in "ab")
        await a.acquire()
        keeping = asyncio.create_task(a.keep())
        waiting = asyncio.create_task(b.acquire())
        await asyncio.sleep(5)
        assert (a.held, waiting.done()) == (True, False)
        keeping.cancel()
        await a.release()
        async with asyncio.timeout(5):
            await waiting
        assert b.held
        await api.delete(LEASES, "leader", namespace=namespace)
        with pytest.raises(LeaseLost, match="was deleted"):
            await b.keep()

    door.use(story)


def test_a_speaker_registers_with_its_own_rights(door: Door) -> None:
    node = next(iter(door.cluster.lan.nodes))
    access = in_cluster(door.account(ours.SPEAKER), POD)

    async def story(api: Client) -> list[int]:
        return [await NodeLease(api, namespace=NAMESPACE, node=node).start() for _ in range(2)]

    first, second = door.use(story, access)
    assert second == first + 1
    stored = door.cluster.api.get(LEASES.path(NAMESPACE, node))
    owner = stored["metadata"]["ownerReferences"][0]
    assert owner["uid"] == door.cluster.api.get(NODES.path(name=node))["metadata"]["uid"]


def test_kubectl_describe_shows_events_and_their_count(door: Door, namespace: str) -> None:
    access = in_cluster(door.account(ours.CONTROLLER), POD)
    door.cluster.kubectl("create", "service", "loadbalancer", "web", "--tcp=80", "--namespace", namespace)
    now = 0.0

    async def story(api: Client) -> None:
        nonlocal now
        service = await api.get(SERVICES, "web", namespace=namespace)
        recorder = Recorder(api, component="lbprovider-controller", instance="test", clock=lambda: now)
        running = asyncio.create_task(recorder.run())
        for _ in range(2):
            now += 1000
            for _ in range(3):
                recorder.event(SERVICES, service, "Warning", "PoolExhausted", "no address is free")
            await asyncio.sleep(1)
        running.cancel()

    door.use(story, access)
    described = door.cluster.kubectl("describe", "service", "web", "--namespace", namespace)
    assert "PoolExhausted" in described
    assert "(x6 over" in described
    assert "lbprovider-controller" in described


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
