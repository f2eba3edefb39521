import base64

import msgspec
import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.reading.lists import SNAPSHOT_SECONDS, SNAPSHOTS, Page, Reader, list_body
from lbprovider.lab.apiserver.statuses import Refusal
from tests.unit.lab_apiserver.house import House, gadget, lease

LEASE = kinds.LEASE


@pytest.fixture
def reader(house: House) -> Reader:
    for number in range(7):
        labels = {"parity": "odd" if number % 2 else "even"}
        house.create(LEASE, lease(f"l{number}", labels=labels))
    return Reader(house.store)


def names(page: Page) -> list[str]:
    return [entry.key.name for entry in page.entries]


def test_pages_show_the_state_at_the_first_ones_version(house: House, reader: Reader) -> None:
    first = reader.list(LEASE, "default", {"limit": "3"}, 0.0)
    assert (names(first), first.remaining) == (["l0", "l1", "l2"], 4)
    house.delete(LEASE, "l4")
    house.create(LEASE, lease("l3a"))
    house.patch(LEASE, "l5", {"spec": {"holderIdentity": "new"}})
    second = reader.list(LEASE, "default", {"limit": "3", "continue": first.go_on}, 1.0)
    again = reader.list(LEASE, "default", {"limit": "3", "continue": first.go_on}, 1.0)
    assert names(second) == names(again) == ["l3", "l4", "l5"]
    assert second.entries[2].value["spec"] == {"holderIdentity": "a"}
    last = reader.list(LEASE, "default", {"limit": "3", "continue": second.go_on}, 1.0)
    assert (names(last), last.go_on) == (["l6"], "")
    assert first.version == second.version == last.version < house.store.version


def test_a_page_that_is_asked_for_too_late_is_gone(reader: Reader) -> None:
    first = reader.list(LEASE, "default", {"limit": "3"}, 0.0)
    go_on = {"limit": "3", "continue": first.go_on}
    assert names(reader.list(LEASE, "default", go_on, SNAPSHOT_SECONDS))
    with pytest.raises(Refusal) as caught:
        reader.list(LEASE, "default", go_on, SNAPSHOT_SECONDS + 1)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


def test_lists_that_are_begun_push_the_oldest_out(reader: Reader) -> None:
    tokens = [reader.list(LEASE, "default", {"limit": "3"}, 0.0).go_on for _ in range(SNAPSHOTS + 1)]
    with pytest.raises(Refusal):
        reader.list(LEASE, "default", {"continue": tokens[0]}, 0.0)
    assert names(reader.list(LEASE, "default", {"continue": tokens[1]}, 0.0)) == ["l3", "l4", "l5", "l6"]


def test_selectors_choose_and_are_not_counted(reader: Reader) -> None:
    odd = reader.list(LEASE, "", {"labelSelector": "parity=odd", "limit": "2"}, 0.0)
    assert (names(odd), odd.remaining) == (["l1", "l3"], None)
    assert odd.go_on
    assert names(reader.list(LEASE, "default", {"fieldSelector": "metadata.name=l3"}, 0.0)) == ["l3"]
    assert names(reader.list(LEASE, "kube-system", {}, 0.0)) == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"continue": "%%%"}, 400),
        ({"continue": base64.b64encode(b"{}").decode()}, 400),
        ({"limit": "many"}, 400),
        ({"resourceVersion": "x"}, 400),
        ({"resourceVersion": "1", "continue": "abc"}, 400),
        ({"labelSelector": "=="}, 400),
        ({"fieldSelector": "spec.x=1"}, 400),
        ({"resourceVersion": "1000000"}, 504),
        ({"resourceVersion": "1", "resourceVersionMatch": "Exact"}, 410),
    ],
)
def test_what_can_not_be_listed(reader: Reader, query: dict[str, str], code: int) -> None:
    with pytest.raises(Refusal) as caught:
        reader.list(LEASE, "default", query, 0.0)
    assert caught.value.code == code


def test_items_of_built_in_kinds_leave_out_what_the_list_says(house: House, reader: Reader) -> None:
    listed = msgspec.json.decode(list_body(LEASE, reader.list(LEASE, "default", {"limit": "1"}, 0.0)))
    assert listed["kind"] == "LeaseList"
    assert listed["metadata"]["remainingItemCount"] == 6
    stored = house.get(LEASE, "l0")
    assert stored is not None
    assert {**stored, **listed["items"][0]} == stored
    assert "kind" not in listed["items"][0]
    kind = house.gadgets()
    made = house.create(kind, gadget("g"))
    custom = msgspec.json.decode(list_body(kind, reader.list(kind, "", {}, 0.0)))
    assert custom["items"] == [made]
