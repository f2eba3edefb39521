"""The CRDs that are shipped, as ``validate`` reads them."""

from lbprovider import shipped
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS


def test_each_of_our_kinds_has_a_schema_that_can_be_read() -> None:
    schemas = shipped.schemas()
    assert schemas.keys() == {each.kind for each in (POOLS, ADVERTISEMENTS, SEGMENTS, ALLOCATIONS)}
    for schema in schemas.values():
        assert schema.has_rules
        assert schema.prune({"spec": {"x": 1}, "x": 2})[1] == ("spec.x", "x")


def test_each_has_a_status_of_its_own() -> None:
    # Only so is the status left out when an object is made, and nothing wrong with it then refuses the object.
    crds = [each for each in shipped.manifests() if each["kind"] == "CustomResourceDefinition"]
    assert [each["spec"]["versions"][0]["subresources"] for each in crds] == [{"status": {}}] * 4


def test_the_scope_of_each_is_the_one_that_its_resource_has() -> None:
    crds = [each["spec"] for each in shipped.manifests() if each["kind"] == "CustomResourceDefinition"]
    namespaced = {each.kind: each.namespaced for each in (POOLS, ADVERTISEMENTS, SEGMENTS, ALLOCATIONS)}
    assert {each["names"]["kind"]: each["scope"] == "Namespaced" for each in crds} == namespaced
