import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lbprovider.lab.apiserver.store import Event, Expired, Key, Store


def thing(name: str, value: object = 0) -> tuple[Key, dict[str, Any]]:
    return Key("things", "ns", name), {"kind": "Thing", "metadata": {"name": name}, "value": value}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.sqlite"


@pytest.fixture
def store(path: Path) -> Store:
    return Store(path, history=5)


def test_every_write_of_any_kind_has_the_next_version(store: Store) -> None:
    first = store.put(*thing("a"))
    other = store.put(Key("others", "", "a"), {"metadata": {}})
    again = store.put(*thing("a", 1))
    assert [first.version, other.version, again.version] == [1, 2, 3]
    assert again.value["metadata"]["resourceVersion"] == "3"
    assert store.version == 3


def test_a_deletion_has_a_version_of_its_own_and_shows_the_last_state(store: Store) -> None:
    last = store.remove(store.put(*thing("a", 7)))
    assert (last.version, last.value["value"], last.value["metadata"]["resourceVersion"]) == (2, 7, "2")
    assert store.get("things", "ns", "a") is None
    assert store.entries("things") == ()


def test_a_write_that_changes_nothing_makes_no_version_and_no_event(store: Store) -> None:
    seen: list[Event] = []
    first = store.put(*thing("a", {"x": [1]}))
    store.subscribe("things", seen.append)
    assert store.put(*thing("a", {"x": [1]})) is first
    assert (store.version, seen) == (1, [])


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), (0, False), ([1], [True])])
def test_what_python_takes_for_equal_and_json_does_not_is_a_change(store: Store, before: object, after: object) -> None:
    store.put(*thing("a", before))
    assert store.put(*thing("a", after)).version == 2


def test_objects_come_by_namespace_and_name(store: Store) -> None:
    for namespace, name in (("b", "a"), ("a", "z"), ("a", "b")):
        store.put(Key("things", namespace, name), {"metadata": {}})
    assert [entry.key[1:] for entry in store.entries("things")] == [("a", "b"), ("a", "z"), ("b", "a")]
    assert [entry.key.name for entry in store.entries("things", "a")] == ["b", "z"]
    assert {entry.key.name for entry in store.inside("b")} == {"a"}


def test_listeners_hear_of_their_kind_or_of_all_before_the_write_returns(store: Store) -> None:
    of_kind: list[Event] = []
    of_all: list[Event] = []
    end = store.subscribe("things", of_kind.append)
    store.subscribe("", of_all.append)
    entry = store.put(*thing("a"))
    store.put(Key("others", "", "a"), {"metadata": {}})
    changed = store.put(*thing("a", 1))
    end()
    store.remove(changed)
    assert [(event.type, event.previous) for event in of_kind] == [("ADDED", None), ("MODIFIED", entry)]
    assert [event.type for event in of_all] == ["ADDED", "ADDED", "MODIFIED", "DELETED"]


def test_what_happened_since_a_version_is_known_up_to_a_bound(store: Store) -> None:
    for number in range(8):
        store.put(*thing("a", number))
    assert [event.entry.version for event in store.since("things", 5)] == [6, 7, 8]
    assert [event.entry.version for event in store.since("things", 3)] == [4, 5, 6, 7, 8]
    assert store.since("others", 3) == []
    with pytest.raises(Expired, match=r"too old resource version: 2 \(3\)"):
        store.since("things", 2)


def test_big_objects_are_remembered_for_less_long(path: Path) -> None:
    store = Store(path)
    for number in range(20):
        store.put(*thing("a", f"{number}" + "x" * (1 << 20)))
    assert len(store.since("things", 10)) == 10
    with pytest.raises(Expired):
        store.since("things", 1)


def test_forgetting_ends_all_earlier_watches_and_no_later_one(store: Store) -> None:
    store.put(*thing("a"))
    store.forget()
    assert store.since("things", 1) == []
    with pytest.raises(Expired):
        store.since("things", 0)


def test_another_process_goes_on_where_the_last_one_was(path: Path, store: Store) -> None:
    store.put(*thing("a", {"deep": [1, None, True, "é"]}))
    store.remove(store.put(*thing("b")))
    # Not closed: as if it had been killed.
    again = Store(path)
    kept = again.get("things", "ns", "a")
    assert kept is not None
    assert kept.value["value"] == {"deep": [1, None, True, "é"]}
    assert again.version == 3  # the deletion's
    assert again.since("things", 3) == []
    with pytest.raises(Expired):
        again.since("things", 2)
    assert again.put(*thing("c")).version == 4


def test_a_write_that_the_file_refuses_did_not_happen(store: Store) -> None:
    entry = store.put(*thing("a"))
    store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.put(*thing("a", 1))
    with pytest.raises(sqlite3.ProgrammingError):
        store.remove(entry)
    assert store.get("things", "ns", "a") is entry
    assert store.version == 1


def test_history_keeps_bytes_alone(store: Store) -> None:
    first = store.put(*thing("a", 1))
    value = first.value
    store.put(*thing("a", 2))
    assert first.value == value
    assert first.value is not value
