"""Lists: in pages of one state, selected, and refused where they can't be."""

import pytest

from lbprovider.api.resources import NODES
from tests.contract.servers import NODE
from tests.contract.wire import PARTIAL, asking, lease, leases, names, refusal, service, services, version
from tests.e2e.rig.api import Api, Object


@pytest.fixture
def five(api: Api, namespace: str) -> str:
    """The path of a collection of five Leases; a, c and e are even ones."""
    for number, name in enumerate("abcde"):
        api.create(leases(namespace), lease(name, labels={"odd": str(number % 2)}))
    return leases(namespace)


def test_a_list_says_what_it_is(api: Api, five: str) -> None:
    listed = api.get(five)
    assert (listed["kind"], listed["apiVersion"]) == ("LeaseList", "coordination.k8s.io/v1")
    assert names(listed["items"]) == ["a", "b", "c", "d", "e"]
    assert not {"kind", "apiVersion"} & listed["items"][0].keys()
    assert int(version(listed)) >= max(int(version(item)) for item in listed["items"])


def test_pages_show_one_state_whatever_happens_between_them(api: Api, five: str) -> None:
    first = api.get(asking(five, limit=2))
    assert (names(first["items"]), first["metadata"]["remainingItemCount"]) == (["a", "b"], 3)
    api.create(five, lease("bb"))
    api.delete(f"{five}/d")
    api.patch(f"{five}/c", {"spec": {"holderIdentity": "another"}})
    second = api.get(asking(five, limit=2, **{"continue": first["metadata"]["continue"]}))
    assert (names(second["items"]), second["metadata"]["remainingItemCount"]) == (["c", "d"], 1)
    assert second["items"][0]["spec"]["holderIdentity"] == "me"
    third = api.get(asking(five, limit=2, **{"continue": second["metadata"]["continue"]}))
    assert names(third["items"]) == ["e"]
    assert not third["metadata"].get("continue")
    assert "remainingItemCount" not in third["metadata"]
    assert version(first) == version(second) == version(third)
    assert names(api.items(five)) == ["a", "b", "bb", "c", "e"]


def test_pages_cross_namespaces(api: Api, namespace: str, five: str) -> None:
    other = f"{namespace}-other"
    api.create("/api/v1/namespaces", {"metadata": {"name": other}})
    api.create(leases(other), lease("f", labels={"odd": "0"}))
    found: list[Object] = []
    page: Object = {"metadata": {"continue": ""}}
    for _ in range(100):
        token = page["metadata"]["continue"]
        page = api.get(asking(leases(""), limit=1, labelSelector="odd=0", **({"continue": token} if token else {})))
        found += page["items"]
        if not page["metadata"].get("continue"):
            break
    ours = [item for item in found if item["metadata"]["namespace"] in {namespace, other}]
    assert sorted(names(ours)) == ["a", "c", "e", "f"]
    assert five == leases(namespace)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("odd=1", ["b", "d"]),
        ("odd!=1", ["a", "c", "e"]),
        ("odd in (0,1)", ["a", "b", "c", "d", "e"]),
        ("odd notin (0)", ["b", "d"]),
        ("odd", ["a", "b", "c", "d", "e"]),
        ("!odd", []),
        ("odd==0,odd", ["a", "c", "e"]),
    ],
)
def test_a_list_by_labels(api: Api, five: str, selector: str, expected: list[str]) -> None:
    assert names(api.items(asking(five, labelSelector=selector))) == expected
    page = api.get(asking(five, labelSelector=selector, limit=1))
    assert names(page["items"]) == expected[:1]
    assert bool(page["metadata"].get("continue")) == (len(expected) > 1)
    # Nobody has counted how many of those that follow match.
    assert "remainingItemCount" not in page["metadata"]


def test_a_list_by_fields(api: Api, namespace: str, five: str) -> None:
    assert names(api.items(asking(five, fieldSelector="metadata.name=c"))) == ["c"]
    assert names(api.items(asking(five, fieldSelector="metadata.name!=c", labelSelector="odd=0"))) == ["a", "e"]
    everywhere = api.items(asking(leases(""), fieldSelector=f"metadata.namespace={namespace}"))
    assert names(everywhere) == ["a", "b", "c", "d", "e"]
    assert names(api.items(asking(NODES.path(), fieldSelector=f"metadata.name={NODE}"))) == [NODE]
    api.create(services(namespace), service("lb"))
    api.create(services(namespace), service("inner", type="ClusterIP"))
    assert names(api.items(asking(services(namespace), fieldSelector="spec.type=LoadBalancer"))) == ["lb"]


def test_events_are_found_by_their_object(api: Api, namespace: str) -> None:
    events = f"/api/v1/namespaces/{namespace}/events"
    for name in ("web", "shop"):
        about = {"kind": "Service", "namespace": namespace, "name": name, "uid": f"uid-of-{name}"}
        api.create(events, {"metadata": {"name": name}, "involvedObject": about, "reason": "Tested", "type": "Normal"})
    # What kubectl describe asks.
    about_web = f"involvedObject.name=web,involvedObject.namespace={namespace},involvedObject.kind=Service"
    found = api.items(asking(events, fieldSelector=f"{about_web},involvedObject.uid=uid-of-web", limit=500))
    assert names(found) == ["web"]
    assert names(api.items(asking(events, fieldSelector="reason=Tested,type!=Normal"))) == []


def test_a_list_of_what_is_not_there_is_empty(api: Api) -> None:
    listed = api.get(leases("no-such-namespace"))
    assert listed["items"] == []
    assert version(listed)


def test_a_list_from_memory_is_a_list(api: Api, five: str) -> None:
    assert names(api.items(asking(five, resourceVersion=0))) == ["a", "b", "c", "d", "e"]


def test_a_list_may_hold_metadata_only(api: Api, five: str) -> None:
    answer = api.ask("GET", five, accept=PARTIAL.replace("Metadata", "MetadataList"))
    assert answer.json["kind"] == "PartialObjectMetadataList"
    assert names(answer.json["items"]) == ["a", "b", "c", "d", "e"]
    assert not any("spec" in item for item in answer.json["items"])


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"limit": "x"}, '"x"'),
        ({"limit": 1, "continue": "x"}, "continue"),
        (
            {"labelSelector": "odd===1"},
            "unable to parse requirement: found '=', expected: identifier",
        ),
        ({"fieldSelector": "odd"}, "invalid selector: 'odd'; can't understand 'odd'"),
        ({"fieldSelector": "spec.holderIdentity=me"}, '"spec.holderIdentity" is not a known field'),
        ({"resourceVersion": "x"}, 'resourceVersion: Invalid value: "x"'),
    ],
)
def test_a_list_that_can_not_be_is_refused(api: Api, five: str, query: dict[str, object], why: str) -> None:
    assert why in refusal(api.ask("GET", asking(five, **query)), 400, "BadRequest")["message"]


def test_a_page_has_no_version_of_its_own(api: Api, five: str) -> None:
    token = api.get(asking(five, limit=2))["metadata"]["continue"]
    answer = api.ask("GET", asking(five, limit=2, resourceVersion=5, **{"continue": token}))
    assert "resource version is not allowed when using continue" in refusal(answer, 400, "BadRequest")["message"]
