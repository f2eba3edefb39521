import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Object
from tests.unit.lab_apiserver.house import GADGETS, LATER, House, gadget, lease

LEASE = kinds.LEASE


def refusal(caught: pytest.ExceptionInfo[Refusal]) -> tuple[int, str]:
    return caught.value.code, caught.value.reason


def test_what_is_created_is_stored_with_what_the_server_says(house: House) -> None:
    made = house.create(LEASE, lease("a", uid="mine", generation=9, creationTimestamp="2000-01-01T00:00:00Z"))
    metadata = made["metadata"]
    assert metadata["creationTimestamp"] == LATER
    assert len(metadata["uid"]) == 36
    assert "generation" not in metadata
    assert metadata["resourceVersion"] == str(house.store.version)
    assert house.get(LEASE, "a") == made
    with pytest.raises(Refusal) as caught:
        house.create(LEASE, lease("a"))
    assert refusal(caught) == (409, "AlreadyExists")


def test_names_are_generated_and_checked(house: House) -> None:
    made = [house.create(LEASE, {"metadata": {"generateName": "x-"}})["metadata"]["name"] for _ in range(5)]
    assert len(set(made)) == 5
    assert all(name.startswith("x-") and len(name) == 7 for name in made)
    with pytest.raises(Refusal, match=r'Lease.coordination.k8s.io "A_b" is invalid: metadata.name: Invalid value'):
        house.create(LEASE, lease("A_b"))


def test_a_namespace_has_to_be_there_and_alive(house: House) -> None:
    with pytest.raises(Refusal) as caught:
        house.create(LEASE, lease("a"), namespace="nowhere")
    assert refusal(caught) == (404, "NotFound")
    house.create(kinds.NAMESPACE, {"metadata": {"name": "going"}})
    house.delete(kinds.NAMESPACE, "going")
    with pytest.raises(Refusal) as caught:
        house.create(LEASE, lease("a"), namespace="going")
    assert refusal(caught) == (403, "Forbidden")


def test_a_replacement_compares_and_swaps(house: House) -> None:
    made = house.create(LEASE, lease("a"))
    changed, new = house.replace(LEASE, "a", {**made, "spec": {"holderIdentity": "b"}})
    assert (changed["spec"], new) == ({"holderIdentity": "b"}, False)
    with pytest.raises(Refusal) as caught:
        house.replace(LEASE, "a", {**made, "spec": {"holderIdentity": "c"}})
    assert refusal(caught) == (409, "Conflict")
    assert house.get(LEASE, "a") == changed


def test_a_lease_that_is_gone_is_made_by_its_replacement_but_not_as_another_one(house: House) -> None:
    made = house.create(LEASE, lease("a"))
    house.delete(LEASE, "a")
    with pytest.raises(Refusal) as caught:
        house.replace(LEASE, "a", made)
    assert refusal(caught) == (409, "Conflict")
    _, new = house.replace(LEASE, "a", lease("a"))
    assert new
    with pytest.raises(Refusal, match="must be specified for an update"):
        house.replace(LEASE, "a", lease("a"))


def test_labels_are_changed_and_identity_is_not(house: House) -> None:
    made = house.create(LEASE, lease("a"))
    changed = house.patch(LEASE, "a", {"metadata": {"labels": {"x": "y"}, "creationTimestamp": "2000-01-01T00:00:00Z"}})
    assert changed["metadata"]["labels"] == {"x": "y"}
    assert changed["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    for identity in ({"uid": "another"}, {"deletionTimestamp": LATER}):
        with pytest.raises(Refusal, match="field is immutable"):
            house.patch(LEASE, "a", {"metadata": identity})
    with pytest.raises(Refusal, match="does not match the name on the URL"):
        house.patch(LEASE, "a", {"metadata": {"name": "b"}})


def test_a_patch_may_say_which_version_it_is_for(house: House) -> None:
    made = house.create(LEASE, lease("a"))
    old = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    house.patch(LEASE, "a", {**old, "spec": {"holderIdentity": "b"}})
    with pytest.raises(Refusal) as caught:
        house.patch(LEASE, "a", {**old, "spec": {"holderIdentity": "c"}})
    assert refusal(caught) == (409, "Conflict")


def test_spec_and_status_are_written_apart(house: House) -> None:
    kind = house.gadgets()
    made = house.create(kind, gadget("g", spec={"size": 1}, status={"ready": True}))
    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    body = {"metadata": {"labels": {"a": "b"}}, "spec": {"size": 5}, "status": {"ready": True}}
    told = house.patch(kind, "g", body, subresource="status")
    assert told["spec"] == {"size": 1, "colour": "red"}
    assert told["status"] == {"ready": True}
    assert "labels" not in told["metadata"]
    assert told["metadata"]["generation"] == 1
    changed = house.patch(kind, "g", {**body, "status": {"ready": False}})
    assert (changed["spec"]["size"], changed["status"]) == (5, {"ready": True})
    assert changed["metadata"]["generation"] == 2


def test_unknown_fields_are_dropped_told_of_or_refused(house: House) -> None:
    kind = house.gadgets()
    odd = {**gadget("g", spec={"size": 1, "weight": 2}), "extra": 1}
    write = house.write(kind, "", odd)
    made = house.writer.create(write)
    assert made["spec"] == {"size": 1, "colour": "red"}
    assert write.options.warnings == ['unknown field "extra"', 'unknown field "spec.weight"']
    with pytest.raises(Refusal, match=r'strict decoding error: unknown field "extra", unknown field "spec.weight"'):
        house.create(kind, {**odd, "metadata": {"name": "h"}}, validation="Strict")
    ignored = house.write(kind, "", {**odd, "metadata": {"name": "h"}}, validation="Ignore")
    house.writer.create(ignored)
    assert ignored.options.warnings == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "couldn't get version/kind; json parse error"),
        (b"", "unexpected end of JSON input"),
        (b"[]", "couldn't get version/kind"),
        ({"kind": "Pod"}, "cannot be handled as a Lease"),
        ({"apiVersion": "v7"}, 'no kind "Lease" is registered for version "v7"'),
        ({"metadata": {"namespace": "other"}}, "the namespace of the provided object does not match"),
        ({"spec": {"leaseDurationSeconds": "5"}}, "cannot unmarshal string into Go struct field LeaseSpec.spec.lease"),
        ({"spec": {"renewTime": "noon"}}, 'parsing time "noon" as'),
    ],
)
def test_what_can_not_be_understood_is_a_bad_request(house: House, content: object, why: str) -> None:
    with pytest.raises(Refusal) as caught:
        house.create(LEASE, content)
    assert caught.value.code == 400
    assert why in caught.value.message


def test_what_came_of_a_patch_has_to_be_an_object_of_the_kind(house: House) -> None:
    kind = house.gadgets()
    house.create(kind, gadget("g", spec={"size": 1}))
    for body in ({"kind": "Other"}, {"apiVersion": "v1"}, {"spec": {"size": 0}}, {"spec": {"size": "big"}}):
        with pytest.raises(Refusal) as caught:
            house.patch(kind, "g", body)
        assert caught.value.code == 422
    with pytest.raises(Refusal) as caught:
        house.patch(kind, "g", {}, content_type="application/strategic-merge-patch+json")
    assert caught.value.code == 415
    with pytest.raises(Refusal, match="no server-side apply"):
        house.patch(kind, "g", {}, content_type="application/apply-patch+yaml")


def test_yaml_is_read_as_json_is(house: House) -> None:
    text = b"metadata: {name: y, annotations: {day: '2026-01-01'}}\nspec: {holderIdentity: b}\n"
    made = house.create(LEASE, text, content_type="application/yaml")
    assert made["metadata"]["annotations"] == {"day": "2026-01-01"}
    with pytest.raises(Refusal) as caught:
        house.create(LEASE, b"a: [", content_type="application/yaml")
    assert caught.value.code == 400


# --- CRDs


def test_a_kind_is_served_while_its_crd_is_there(house: House) -> None:
    kind = house.gadgets()
    crd = house.get(kinds.CRD, "gadgets.example.com")
    assert crd is not None
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["acceptedNames"]["listKind"] == "GadgetList"
    house.patch(kinds.CRD, "gadgets.example.com", {"metadata": {"labels": {"a": "b"}}})
    assert house.served.find("example.com", "v1", "gadgets") is kind
    house.delete(kinds.CRD, "gadgets.example.com")
    house.settle()
    assert house.served.find("example.com", "v1", "gadgets") is None


def version(**change: object) -> Object:
    return {**GADGETS["spec"]["versions"][0], **change}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"group": "other.io"}, "metadata.name"),
        ({"scope": "World"}, "spec.scope"),
        ({"names": {"plural": "gadgets"}}, "spec.names.kind"),
        ({"versions": []}, "spec.versions"),
        ({"versions": [version(), version(name="v2", storage=False)]}, "spec.versions"),
        ({"versions": [version(schema={})]}, "spec.versions[0].schema.openAPIV3Schema"),
        (
            {"versions": [version(schema={"openAPIV3Schema": {"type": "object", "properties": [1]}})]},
            "spec.versions[0].schema.openAPIV3Schema",
        ),
        (
            {"versions": [version(additionalPrinterColumns=[{"name": "A", "jsonPath": ".a", "type": "colour"}])]},
            "spec.versions[0].additionalPrinterColumns[0].type",
        ),
    ],
)
def test_a_crd_that_can_not_be_served_is_refused_before_it_is_stored(house: House, change: Object, field: str) -> None:
    with pytest.raises(Refusal) as caught:
        house.create(kinds.CRD, {**GADGETS, "spec": {**GADGETS["spec"], **change}})
    assert caught.value.code == 422
    assert caught.value.details is not None
    assert field in [cause["field"] for cause in caught.value.details["causes"]]
    assert house.get(kinds.CRD, "gadgets.example.com") is None


# --- other kinds' own rules


def test_secrets_events_and_bindings_get_what_they_did_not_say(house: House) -> None:
    secret = house.create(kinds.SECRET, {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}})
    assert (secret["data"], secret["type"]) == ({"c": "ZA==", "a": "Yg=="}, "Opaque")
    assert "stringData" not in secret
    event = house.create(kinds.EVENT, {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}})
    assert event["source"] == {}
    with pytest.raises(Refusal, match=r"does not match event\.namespace"):
        house.create(kinds.EVENT, {"metadata": {"name": "f"}, "involvedObject": {"namespace": "other"}})
    subjects = [{"kind": "User", "name": "bob"}]
    reference = {"kind": "ClusterRole", "name": "r"}
    binding = house.create(
        kinds.CLUSTER_ROLE_BINDING, {"metadata": {"name": "b"}, "roleRef": reference, "subjects": subjects}
    )
    assert {binding["roleRef"]["apiGroup"], binding["subjects"][0]["apiGroup"]} == {"rbac.authorization.k8s.io"}
    with pytest.raises(Refusal, match="cannot change roleRef"):
        house.patch(kinds.CLUSTER_ROLE_BINDING, "b", {"roleRef": {"name": "other"}})


def test_a_node_registers_with_its_status(house: House) -> None:
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert house.create(kinds.NODE, {"metadata": {"name": "n"}, "status": status})["status"] == status
