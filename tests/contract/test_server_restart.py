"""A server that ends and comes back: what it has acknowledged is there, and what it has forgotten it says."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lbprovider.api.resources import POOLS
from lbprovider.lab.provider import SPEAKER
from tests.contract.kinds import KINDS, body
from tests.contract.servers import Server
from tests.contract.wire import asking, lease, leases, names, refusal, service, services, version, watching
from tests.e2e.rig.api import Api, Object
from tests.e2e.rig.waiting import eventually


@dataclass(frozen=True)
class Past:
    """What was there before the server forgot its versions."""

    namespace: str
    objects: dict[str, Object]
    """By their paths."""
    old: str
    """A version from before some changes."""
    token: str
    """Of a list that was broken off."""
    speaker: Api


@pytest.fixture(scope="module")
def past(server: Server) -> Iterator[Past]:
    api, namespace = server.api, "contract-past"
    api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    old = version(api.create(leases(namespace), lease("first")))
    for name in "abc":
        api.create(leases(namespace), lease(name))
    token = api.get(asking(leases(namespace), limit=1))["metadata"]["continue"]
    api.patch(leases(namespace, "a"), {"spec": {"holderIdentity": "another"}})
    api.delete(leases(namespace, "b"))
    api.create(services(namespace), service("web"))
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}}
    api.patch(services(namespace, "web", "status"), status)
    api.create(POOLS.path(namespace), {**body(POOLS, {"addresses": ["192.0.2.1"]}), "metadata": {"name": "lan"}})
    speaker = server.api_as(server.token_of(SPEAKER))
    paths = [leases(namespace, "a"), services(namespace, "web"), POOLS.path(namespace, "lan")]
    objects = {path: api.get(path) for path in paths}
    server.forget()
    yield Past(namespace, objects, old, token, speaker)
    api.delete(f"/api/v1/namespaces/{namespace}")


def test_all_objects_are_as_they_were(api: Api, past: Past) -> None:
    for path, before in past.objects.items():
        assert api.get(path) == before
    assert names(api.items(leases(past.namespace))) == ["a", "c", "first"]


def test_kinds_and_rights_are_in_force_at_once(api: Api, past: Past) -> None:
    for kind in KINDS:
        assert api.ask("GET", kind.path()).status == 200
    assert past.speaker.items(KINDS[2].path()) == []
    refusal(past.speaker.ask("GET", services("")), 403, "Forbidden")


def test_versions_go_on_growing(api: Api, past: Past) -> None:
    before = max(int(version(each)) for each in past.objects.values())
    assert int(version(api.create(leases(past.namespace), lease("later")))) > before
    api.delete(leases(past.namespace, "later"))


def test_a_watch_from_before_is_told_that_it_is_too_late(api: Api, past: Past) -> None:
    with api.watch(watching(leases(past.namespace), 20, resourceVersion=past.old)) as events:
        (event,) = events
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", 410)
    assert status["reason"] == "Expired"
    assert "too old resource version" in status["message"]


def test_a_list_that_was_broken_off_can_not_go_on(api: Api, past: Past) -> None:
    answer = api.ask("GET", asking(leases(past.namespace), limit=1, **{"continue": past.token}))
    assert "continue parameter is too old" in refusal(answer, 410, "Expired")["message"]


def test_a_new_list_and_its_watch_are_as_ever(api: Api, past: Past) -> None:
    path = leases(past.namespace)
    page = api.get(asking(path, limit=1))
    assert names(page["items"]) == ["a"]
    rest = api.get(asking(path, **{"continue": page["metadata"]["continue"]}))
    assert names(rest["items"]) == ["c", "first"]
    with api.watch(watching(path, resourceVersion=version(rest))) as events:
        api.create(path, lease("new"))
        api.delete(f"{path}/new")
        assert [event["type"] for event in itertools.islice(events, 2)] == ["ADDED", "DELETED"]


def test_what_was_acknowledged_outlives_a_crash(server: Server, namespace: str) -> None:
    api = server.api
    acknowledged: dict[str, Object] = {}

    def write(lane: int) -> None:
        for number in itertools.count():
            name = f"lane-{lane}-{number}"
            try:
                acknowledged[name] = api.create(leases(namespace), lease(name))
                acknowledged[name] = api.patch(leases(namespace, name), {"spec": {"holderIdentity": "another"}})
            except ConnectionError:
                return

    with ThreadPoolExecutor(4) as pool:
        lanes = [pool.submit(write, lane) for lane in range(4)]
        eventually(lambda: len(acknowledged) >= 100, "a hundred writes were acknowledged")
        server.kill()
        for lane in lanes:
            lane.result()
    server.start()
    stored = {item["metadata"]["name"]: item for item in api.items(leases(namespace))}
    for name, known in acknowledged.items():
        found = stored[name]
        assert found["metadata"]["uid"] == known["metadata"]["uid"]
        # A patch whose answer was cut off may be in force.
        assert int(version(found)) >= int(version(known))
    assert len(stored) <= len(acknowledged) + len(lanes)
