from collections.abc import Callable

import msgspec
import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.reading.watching import BACKLOG_BYTES, Watch
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Object
from tests.unit.lab_apiserver.house import House, lease

LEASE = kinds.LEASE

Watching = Callable[..., Watch]


def uncut() -> None:
    raise AssertionError("it was read in time")


@pytest.fixture
def watching(house: House) -> Watching:
    def begin(
        namespace: str = "default", *, cut: Callable[[], None] = uncut, backlog: int = 100, **query: str
    ) -> Watch:
        return Watch(house.store, LEASE, namespace, query, cut=cut, backlog=backlog)

    return begin


def told(watch: Watch) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events(watch)]


def events(watch: Watch) -> list[Object]:
    return [msgspec.json.decode(line) for line in watch.take().splitlines()]


def now(house: House) -> str:
    return str(house.store.version)


def test_from_nowhere_it_begins_with_all_that_is_there(house: House, watching: Watching) -> None:
    house.create(LEASE, lease("a"))
    for version in ("", "0"):
        watch = watching(resourceVersion=version)
        assert told(watch) == [("ADDED", "a")]
        house.patch(LEASE, "a", {"metadata": {"labels": {"x": version or "none"}}})
        assert told(watch) == [("MODIFIED", "a")]


def test_from_a_version_it_goes_on_with_what_happened_since(house: House, watching: Watching) -> None:
    house.create(LEASE, lease("a"))
    start = now(house)
    house.create(LEASE, lease("b"))
    house.create(LEASE, lease("elsewhere"), namespace="kube-system")
    house.create(kinds.CONFIG_MAP, {"metadata": {"name": "of-another-kind"}})
    house.delete(LEASE, "a")
    watch = watching(resourceVersion=start)
    assert told(watch) == [("ADDED", "b"), ("DELETED", "a")]
    assert told(watching(namespace="", resourceVersion=start))[1] == ("ADDED", "elsewhere")
    watch.close()
    house.create(LEASE, lease("later"))
    assert told(watch) == []


def test_a_version_too_old_is_an_error_and_the_end(house: House, watching: Watching) -> None:
    watch = watching(resourceVersion="1")
    (error,) = events(watch)
    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert watch.seconds == 0
    assert told(watching(resourceVersion=now(house))) == []


def test_what_enters_a_selector_is_added_and_what_leaves_it_is_deleted_as_it_was(
    house: House, watching: Watching
) -> None:
    watch = watching(labelSelector="x=1", resourceVersion=now(house))
    house.create(LEASE, lease("a"))
    house.patch(LEASE, "a", {"metadata": {"labels": {"x": "1"}}})
    house.patch(LEASE, "a", {"spec": {"holderIdentity": "b"}})
    house.patch(LEASE, "a", {"metadata": {"labels": {"x": "2"}}, "spec": {"holderIdentity": "c"}})
    left = now(house)
    house.delete(LEASE, "a")
    seen = events(watch)
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    gone = seen[-1]["object"]
    assert (gone["metadata"]["labels"], gone["spec"]["holderIdentity"]) == ({"x": "1"}, "b")
    assert gone["metadata"]["resourceVersion"] == left


def test_initial_events_end_with_a_bookmark(house: House, watching: Watching) -> None:
    house.create(LEASE, lease("a"))
    watch = watching(sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true")
    first, mark = events(watch)
    assert (first["type"], mark["type"]) == ("ADDED", "BOOKMARK")
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert mark["object"]["metadata"]["resourceVersion"] == now(house)
    with pytest.raises(Refusal) as caught:
        watching(sendInitialEvents="true")
    assert caught.value.code == 422


def test_a_bookmark_says_how_far_all_was_told(house: House, watching: Watching) -> None:
    watch = watching(resourceVersion=now(house))
    house.create(kinds.CONFIG_MAP, {"metadata": {"name": "of-another-kind"}})
    watch.bookmark()
    (mark,) = events(watch)
    assert mark["object"]["kind"] == "Lease"
    assert mark["object"]["metadata"]["resourceVersion"] == now(house)


def test_who_does_not_read_is_cut_and_costs_no_more(house: House, watching: Watching) -> None:
    cuts: list[str] = []
    watch = watching(cut=lambda: cuts.append("cut"), backlog=3, resourceVersion=now(house))
    for number in range(9):
        house.create(LEASE, lease(f"l{number}"))
    assert cuts == ["cut"]
    assert len(events(watch)) == 3


def test_big_events_wait_in_smaller_numbers(house: House, watching: Watching) -> None:
    house.create(LEASE, lease("a"))
    cuts: list[str] = []
    watch = watching(cut=lambda: cuts.append("cut"), backlog=1000, resourceVersion=now(house))
    read = watching(backlog=1000, resourceVersion=now(house))
    for number in range(100):
        text = f"{number}" + "x" * 200_000
        house.patch(LEASE, "a", {"metadata": {"annotations": {"a.io/big": text}}})
        assert len(read.take()) > 200_000
    assert cuts == ["cut"]
    assert len(watch.take()) <= BACKLOG_BYTES


@pytest.mark.parametrize(("query", "code"), [({"resourceVersion": "x"}, 500), ({"labelSelector": "=="}, 400)])
def test_what_can_not_be_watched(watching: Watching, query: dict[str, str], code: int) -> None:
    with pytest.raises(Refusal) as caught:
        watching(**query)
    assert caught.value.code == code


def test_how_long_it_lasts(watching: Watching) -> None:
    assert watching(timeoutSeconds="7").seconds == 7
    assert 1800 <= watching().seconds <= 3600
