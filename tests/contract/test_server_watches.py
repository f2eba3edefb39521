"""Watches: from where a list ended, with selectors, bookmarks, a table's rows, and an end."""

import itertools
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from lbprovider.api.resources import POOLS
from lbprovider.lab.provider import NAMESPACE
from tests.contract.kinds import Stored
from tests.contract.wire import PARTIAL, TABLE, asking, lease, leases, names, refusal, version, watching
from tests.e2e.rig.api import Api, Object
from tests.e2e.rig.waiting import eventually


def told(events: Iterable[Object]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


def test_a_watch_goes_on_where_a_list_ended(api: Api, namespace: str) -> None:
    path = leases(namespace)
    api.create(path, lease("before"))
    start = version(api.get(path))
    with api.watch(watching(path, resourceVersion=start)) as events:
        made = api.create(path, lease("a"))
        changed = api.patch(f"{path}/a", {"spec": {"holderIdentity": "another"}})
        api.delete(f"{path}/a")
        first, second, third = itertools.islice(events, 3)
    assert first == {"type": "ADDED", "object": {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", **made}}
    assert (second["type"], version(second["object"])) == ("MODIFIED", version(changed))
    assert (third["type"], third["object"]["spec"]) == ("DELETED", changed["spec"])
    # A deletion has a version of its own.
    assert int(version(third["object"])) > int(version(changed))
    with api.watch(watching(path, 1, resourceVersion=version(made))) as events:
        assert told(events) == [("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_from_zero_begins_with_all_that_is_there(api: Api, namespace: str) -> None:
    path = leases(namespace)
    for name in "ab":
        api.create(path, lease(name))
    with api.watch(watching(path, resourceVersion=0)) as events:
        first = told(itertools.islice(events, 2))
        api.delete(f"{path}/a")
        assert sorted(first) == [("ADDED", "a"), ("ADDED", "b")]
        assert told([next(events)]) == [("DELETED", "a")]


def test_a_watch_from_nowhere_begins_with_all_that_is_there(api: Api, namespace: str) -> None:
    path = leases(namespace)

    def told_of(name: str) -> list[tuple[str, str]] | None:
        # A real server on an etcd before 3.5.13 serves this only while the last write of all was to the very kind.
        api.create(path, lease(name))
        with api.watch(watching(path)) as events:
            first = next(events)
            if first["type"] == "ERROR" and first["object"]["code"] == 504:
                return None
            count = len(api.items(path))
            return told([first, *itertools.islice(events, count - 1)])

    seen = eventually(lambda: told_of(f"l{time.monotonic_ns()}"), "the watch begins", within=20)
    assert {kind for kind, _ in seen} == {"ADDED"}
    assert sorted(name for _, name in seen) == names(api.items(path))


def test_a_watch_of_one_object_by_its_name(api: Api, namespace: str) -> None:
    path = leases(namespace)
    start = version(api.get(path))
    with api.watch(watching(path, fieldSelector="metadata.name=mine", resourceVersion=start)) as events:
        api.create(path, lease("other"))
        api.create(path, lease("mine"))
        api.delete(f"{path}/other")
        api.delete(f"{path}/mine")
        assert told(itertools.islice(events, 2)) == [("ADDED", "mine"), ("DELETED", "mine")]


def test_what_no_longer_matches_is_deleted_as_it_was(api: Api, namespace: str) -> None:
    path = leases(namespace)
    start = version(api.create(path, lease("a", labels={"tier": "web"})))
    api.patch(f"{path}/a", {"metadata": {"labels": {"tier": "db"}}, "spec": {"holderIdentity": "db's"}})
    left = api.get(f"{path}/a")
    api.patch(f"{path}/a", {"metadata": {"labels": {"tier": "web"}}})
    with api.watch(watching(path, labelSelector="tier=web", resourceVersion=start)) as events:
        gone, back = itertools.islice(events, 2)
    assert (gone["type"], back["type"]) == ("DELETED", "ADDED")
    assert gone["object"]["metadata"]["labels"] == {"tier": "web"}
    assert gone["object"]["spec"]["holderIdentity"] == "me"
    assert version(gone["object"]) == version(left)
    assert back["object"]["spec"]["holderIdentity"] == "db's"


def test_a_list_and_the_watch_from_it_miss_nothing_and_tell_nothing_twice(api: Api, namespace: str) -> None:
    path = leases(namespace)

    def write(lane: int) -> None:
        for number in range(30):
            name = f"lane-{lane}-{number}"
            api.create(path, lease(name))
            api.patch(f"{path}/{name}", {"spec": {"holderIdentity": "another"}})
            if number % 3:
                api.delete(f"{path}/{name}")

    with ThreadPoolExecutor(4) as pool:
        lanes = [pool.submit(write, lane) for lane in range(4)]
        eventually(lambda: len(api.items(path)) >= 10, "the writers are at it")
        listed = api.get(path)
        known = {item["metadata"]["name"]: version(item) for item in listed["items"]}
        last = int(version(listed))
        with api.watch(watching(path, 60, resourceVersion=version(listed))) as events:
            for lane in lanes:
                lane.result()
            api.create(path, lease("at-last"))
            for event in events:
                name, seen = event["object"]["metadata"]["name"], version(event["object"])
                assert int(seen) > last
                last = int(seen)
                assert (event["type"] == "ADDED") == (name not in known)
                if event["type"] == "DELETED":
                    del known[name]
                else:
                    known[name] = seen
                if name == "at-last":
                    break
    assert known == {item["metadata"]["name"]: version(item) for item in api.items(path)}


def test_a_watch_of_all_namespaces(api: Api, namespace: str) -> None:
    with api.watch(watching(leases(""), resourceVersion=version(api.get(leases(""))))) as events:
        api.create(leases(namespace), lease("here"))
        found = next(event for event in events if event["object"]["metadata"]["namespace"] == namespace)
    assert (found["type"], found["object"]["metadata"]["name"]) == ("ADDED", "here")


def test_a_watch_ends_in_time_and_says_before_how_far_it_came(api: Api, namespace: str) -> None:
    path = leases(namespace)
    start = version(api.create(path, lease("a")))
    with api.watch(watching(path, 6, resourceVersion=start, allowWatchBookmarks="true")) as events:
        api.create(leases("default"), {"metadata": {"generateName": "elsewhere-"}})
        seen = list(events)
    assert {event["type"] for event in seen} == {"BOOKMARK"}
    last = seen[-1]["object"]
    assert (last["kind"], last["apiVersion"]) == ("Lease", "coordination.k8s.io/v1")
    assert int(version(last)) > int(start)
    with api.watch(watching(path, 1, resourceVersion=version(last))) as events:
        assert list(events) == []


def test_a_watch_without_bookmarks_has_none(api: Api, namespace: str) -> None:
    path = leases(namespace)
    start = version(api.create(path, lease("a")))
    with api.watch(watching(path, 3, resourceVersion=start)) as events:
        assert list(events) == []


def test_a_watch_of_tables_names_the_columns_once(api: Api, namespace: str) -> None:
    path = leases(namespace)
    start = version(api.get(path))
    api.create(path, lease("a"))
    api.patch(f"{path}/a", {"spec": {"holderIdentity": "another"}})
    api.delete(f"{path}/a")
    with api.watch(watching(path, 1, resourceVersion=start), accept=TABLE) as events:
        seen = list(events)
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    tables = [event["object"] for event in seen]
    assert {table["kind"] for table in tables} == {"Table"}
    assert [column["name"] for column in tables[0]["columnDefinitions"]] == ["Name", "Holder", "Age"]
    assert [table["columnDefinitions"] for table in tables[1:]] == [None, None]
    assert [table["rows"][0]["cells"][:2] for table in tables] == [["a", "me"], ["a", "another"], ["a", "another"]]
    assert {table["rows"][0]["object"]["kind"] for table in tables} == {"PartialObjectMetadata"}
    assert len({version(table) for table in tables}) == 3


def test_a_watch_of_our_kinds_shows_their_columns(api: Api, stored: Stored) -> None:
    collection = POOLS.path(NAMESPACE)
    start = version(api.get(collection))
    stored(POOLS, {"addresses": ["192.0.2.0/24"]}, "watched")
    with api.watch(watching(collection, resourceVersion=start), accept=TABLE) as events:
        table = next(events)["object"]
    cells = dict(zip((column["name"] for column in table["columnDefinitions"]), table["rows"][0]["cells"], strict=True))
    assert (cells["Name"], cells["Auto Assign"], cells["V4 Assigned"]) == ("watched", True, None)


def test_a_watch_of_metadata_holds_nothing_else(api: Api, namespace: str) -> None:
    path = leases(namespace)
    start = version(api.get(path))
    api.create(path, lease("a"))
    with api.watch(watching(path, resourceVersion=start), accept=PARTIAL) as events:
        event = next(events)
    assert (event["object"]["kind"], event["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "a")
    assert "spec" not in event["object"]


def test_two_watches_tell_the_same(api: Api, namespace: str) -> None:
    path = leases(namespace)
    start = version(api.get(path))
    url = watching(path, resourceVersion=start)
    with api.watch(url) as one, api.watch(url) as other:
        for name in "abc":
            api.create(path, lease(name))
        assert list(itertools.islice(one, 3)) == list(itertools.islice(other, 3))


def test_a_watch_is_told_of_each_object_of_a_collection_that_is_deleted(api: Api, namespace: str) -> None:
    path = leases(namespace)
    for name in "abc":
        api.create(path, lease(name, labels={"kept": str(name == "b")}))
    start = version(api.get(path))
    api.delete(asking(path, labelSelector="kept=False"))
    with api.watch(watching(path, 1, resourceVersion=start)) as events:
        assert sorted(told(events)) == [("DELETED", "a"), ("DELETED", "c")]


@pytest.mark.parametrize(
    "query", [{"labelSelector": "a===b"}, {"fieldSelector": "spec.holderIdentity=me"}], ids=["labels", "fields"]
)
def test_a_watch_that_can_not_be_is_refused(api: Api, namespace: str, query: Mapping[str, object]) -> None:
    refusal(api.ask("GET", watching(leases(namespace), 1, **query)), 400, "BadRequest")
