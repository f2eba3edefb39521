from pathlib import Path

import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.statuses import Refusal
from tests.unit.lab_apiserver.house import LATER, House, gadget, lease, owned

LEASE, NAMESPACE = kinds.LEASE, kinds.NAMESPACE


def test_a_deletion_is_answered_and_done(house: House) -> None:
    made = house.create(LEASE, lease("a"))
    answer = house.delete(LEASE, "a")
    assert (answer["kind"], answer["details"]["uid"]) == ("Status", made["metadata"]["uid"])
    with pytest.raises(Refusal) as caught:
        house.delete(LEASE, "a")
    assert caught.value.code == 404


def test_only_what_is_meant_is_deleted(house: House) -> None:
    made = house.create(LEASE, lease("a"))["metadata"]
    for wrong in ({"uid": "other"}, {"version": "1"}):
        with pytest.raises(Refusal) as caught:
            house.delete(LEASE, "a", **wrong)
        assert caught.value.code == 409
    house.delete(LEASE, "a", uid=made["uid"], version=made["resourceVersion"])
    assert house.get(LEASE, "a") is None


def test_a_finalizer_holds_it_until_it_is_taken_away(house: House) -> None:
    house.create(LEASE, lease("a", finalizers=["a.io/hold"]))
    held = house.delete(LEASE, "a")
    assert held["metadata"]["deletionTimestamp"] == LATER
    assert house.delete(LEASE, "a") == held
    with pytest.raises(Refusal, match="no new finalizers can be added"):
        house.patch(LEASE, "a", {"metadata": {"finalizers": ["a.io/hold", "a.io/more"]}})
    events: list[str] = []
    house.store.subscribe(LEASE.resource, lambda event: events.append(event.type))
    house.patch(LEASE, "a", {"metadata": {"finalizers": None}})
    assert house.get(LEASE, "a") is None
    assert events == ["DELETED"]


def test_a_namespace_takes_all_that_is_in_it(house: House) -> None:
    house.create(NAMESPACE, {"metadata": {"name": "n"}})
    house.create(LEASE, lease("a"), namespace="n")
    house.create(LEASE, lease("held", finalizers=["a.io/hold"]), namespace="n")
    going = house.delete(NAMESPACE, "n")
    assert going["status"]["phase"] == "Terminating"
    house.settle()
    assert house.get(LEASE, "a", "n") is None
    assert house.get(NAMESPACE, "n") is not None
    house.patch(LEASE, "held", {"metadata": {"finalizers": None}}, namespace="n")
    house.settle()
    assert house.get(NAMESPACE, "n") is None


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay(house: House, name: str) -> None:
    with pytest.raises(Refusal, match="this namespace may not be deleted"):
        house.delete(NAMESPACE, name)


def test_a_crd_takes_its_objects(house: House) -> None:
    kind = house.gadgets()
    house.create(kind, gadget("g"))
    house.create(kind, gadget("held") | {"metadata": {"name": "held", "finalizers": ["a.io/hold"]}})
    going = house.delete(kinds.CRD, "gadgets.example.com")
    assert "Terminating" in [each["type"] for each in going["status"]["conditions"]]
    house.settle()
    assert house.get(kind, "g") is None
    with pytest.raises(Refusal, match="create not allowed while custom resource definition is terminating"):
        house.create(kind, gadget("new"))
    house.patch(kind, "held", {"metadata": {"finalizers": None}})
    house.settle()
    assert house.get(kinds.CRD, "gadgets.example.com") is None


def test_what_is_owned_goes_with_the_last_of_its_owners(house: House) -> None:
    first, second = (house.create(LEASE, lease(name)) for name in ("first", "second"))
    house.create(LEASE, lease("child", ownerReferences=owned(first, second)))
    child = house.get(LEASE, "child")
    assert child is not None
    house.create(LEASE, lease("grandchild", ownerReferences=owned(child)))
    house.delete(LEASE, "first")
    house.settle()
    child = house.get(LEASE, "child")
    assert child is not None
    assert child["metadata"]["ownerReferences"] == owned(second)
    house.delete(LEASE, "second")
    house.settle()
    assert house.get(LEASE, "child") is None
    assert house.get(LEASE, "grandchild") is None


def test_orphans_stay_and_lose_the_reference(house: House) -> None:
    owner = house.create(LEASE, lease("owner"))
    house.create(LEASE, lease("child", ownerReferences=owned(owner)))
    house.delete(LEASE, "owner", policy="Orphan")
    house.settle()
    child = house.get(LEASE, "child")
    assert child is not None
    assert "ownerReferences" not in child["metadata"]


def test_in_the_foreground_the_owner_goes_last(house: House) -> None:
    owner = house.create(LEASE, lease("owner"))
    house.create(LEASE, lease("child", ownerReferences=owned(owner), finalizers=["a.io/hold"]))
    waiting = house.delete(LEASE, "owner", policy="Foreground")
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    house.settle()
    assert house.get(LEASE, "owner") is not None
    house.patch(LEASE, "child", {"metadata": {"finalizers": None}})
    house.settle()
    assert house.get(LEASE, "owner") is None


def test_what_is_made_for_an_owner_that_is_gone_goes_too(house: House) -> None:
    owner = house.create(LEASE, lease("owner"))
    house.delete(LEASE, "owner")
    house.create(LEASE, lease("child", ownerReferences=owned(owner)))
    house.settle()
    assert house.get(LEASE, "child") is None


def test_the_next_process_does_what_was_left_undone(tmp_path: Path, house: House) -> None:
    owner = house.create(LEASE, lease("owner"))
    house.create(LEASE, lease("child", ownerReferences=owned(owner)))
    house.create(NAMESPACE, {"metadata": {"name": "n"}})
    house.create(LEASE, lease("a"), namespace="n")
    kind = house.gadgets()
    house.create(kind, gadget("g"))
    house.delete(LEASE, "owner")
    house.delete(NAMESPACE, "n")
    house.delete(kinds.CRD, "gadgets.example.com")
    # Killed before it got to what follows.
    again = House(tmp_path)
    again.settle()
    assert again.get(LEASE, "child") is None
    assert again.get(NAMESPACE, "n") is None
    assert again.get(kinds.CRD, "gadgets.example.com") is None
    assert not list(again.store.entries("gadgets.example.com"))
