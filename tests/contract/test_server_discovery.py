"""Discovery: how kubectl, kopf and others learn what is served, in its plain form and in one go."""

from typing import Any

import pytest

from lbprovider.api.resources import LEASES, NODES, SERVICES, Resource
from tests.contract.kinds import KINDS
from tests.e2e.rig.api import Api, Object

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# As kubectl asks.
KUBECTL = f"{AGGREGATED},{AGGREGATED.replace('v2', 'v2beta1')},application/json"
SERVED = (*KINDS, SERVICES, NODES, LEASES)


def group_version(kind: Resource[Any]) -> tuple[str, str]:
    group, _, version = kind.api_version.rpartition("/")
    return group, version


@pytest.mark.parametrize("kind", SERVED, ids=str)
def test_each_group_lists_its_kinds(api: Api, kind: Resource[Any]) -> None:
    root = "api" if "/" not in kind.api_version else "apis"
    listed = api.get(f"/{root}/{kind.api_version}")
    assert (listed["kind"], listed["groupVersion"]) == ("APIResourceList", kind.api_version)
    found = {each["name"]: each for each in listed["resources"]}
    entry = found[kind.plural]
    assert (entry["kind"], entry["singularName"], entry["namespaced"]) == (
        kind.kind,
        kind.kind.lower(),
        kind.namespaced,
    )
    every = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert set(entry["verbs"]) == every
    if kind is not LEASES:
        assert set(found[f"{kind.plural}/status"]["verbs"]) == {"get", "patch", "update"}
    else:
        assert "leases/status" not in found


def test_the_groups_are_listed_with_their_versions(api: Api) -> None:
    assert api.get("/api")["versions"] == ["v1"]
    listed = api.get("/apis")
    assert listed["kind"] == "APIGroupList"
    found = {each["name"]: each for each in listed["groups"]}
    ours = {"groupVersion": "lbprovider.io/v1beta1", "version": "v1beta1"}
    assert found["lbprovider.io"]["versions"] == [ours]
    assert found["lbprovider.io"]["preferredVersion"] == ours
    needed = {"apiextensions.k8s.io", "authorization.k8s.io", "coordination.k8s.io", "rbac.authorization.k8s.io"}
    assert needed <= found.keys()
    one = api.get("/apis/lbprovider.io")
    assert (one["kind"], one["name"], one["versions"]) == ("APIGroup", "lbprovider.io", [ours])


def aggregated(api: Api, path: str) -> Object:
    answer = api.ask("GET", path, accept=KUBECTL)
    assert answer.status == 200
    # By this kubectl knows that it got what it asked for.
    assert answer.headers["Content-Type"] == AGGREGATED
    assert (answer.json["kind"], answer.json["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    return answer.json


@pytest.mark.parametrize("kind", SERVED, ids=str)
def test_all_is_told_in_one_go(api: Api, kind: Resource[Any]) -> None:
    group, version = group_version(kind)
    groups = {each["metadata"].get("name", ""): each for each in aggregated(api, "/apis" if group else "/api")["items"]}
    versions = {each["version"]: each for each in groups[group]["versions"]}
    found = {each["resource"]: each for each in versions[version]["resources"]}
    entry = found[kind.plural]
    assert entry["responseKind"]["kind"] == kind.kind
    assert entry["scope"] == ("Namespaced" if kind.namespaced else "Cluster")
    assert entry["singularResource"] == kind.kind.lower()
    assert {"get", "list", "watch", "create", "patch"} <= set(entry["verbs"])
    subresources = {each["subresource"] for each in entry.get("subresources", [])}
    assert ("status" in subresources) == (kind is not LEASES)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_our_kinds_have_a_short_name_and_a_category(api: Api, kind: Resource[Any]) -> None:
    listed = {each["name"]: each for each in api.get(f"/apis/{kind.api_version}")["resources"]}
    group = next(each for each in aggregated(api, "/apis")["items"] if each["metadata"]["name"] == "lbprovider.io")
    told = {each["resource"]: each for each in group["versions"][0]["resources"]}
    defined = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}")["spec"]["names"]
    for entry in (listed[kind.plural], told[kind.plural]):
        assert (entry["shortNames"], entry["categories"]) == (defined["shortNames"], ["lbprovider"])


def test_services_are_all_there_is_to_see(api: Api) -> None:
    listed = {each["name"]: each for each in api.get("/api/v1")["resources"]}
    assert (listed["services"]["shortNames"], listed["services"]["categories"]) == (["svc"], ["all"])
    assert listed["nodes"]["shortNames"] == ["no"]
    assert (listed["serviceaccounts/token"]["kind"], listed["serviceaccounts/token"]["verbs"]) == (
        "TokenRequest",
        ["create"],
    )


def test_the_version_is_told(api: Api) -> None:
    told = api.get("/version")
    assert (told["major"], told["minor"]) == ("1", "35")
    assert told["gitVersion"].startswith("v1.35.")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_it_says_that_it_is_well(api: Api, path: str) -> None:
    assert api.text(path) == "ok"


def test_the_schemas_of_our_kinds_are_told(api: Api) -> None:
    index = api.get("/openapi/v3")["paths"]
    found = api.get(index["apis/lbprovider.io/v1beta1"]["serverRelativeURL"])
    schemas = found["components"]["schemas"]
    pool = next(
        schema
        for schema in schemas.values()
        if {"group": "lbprovider.io", "version": "v1beta1", "kind": "IPAddressPool"}
        in schema.get("x-kubernetes-group-version-kind", [])
    )
    assert pool["properties"]["spec"]["properties"]["autoAssign"]["default"] is True
    path = "/apis/lbprovider.io/v1beta1/namespaces/{namespace}/ipaddresspools/{name}"
    parameters = {each.get("name") for each in found["paths"][path]["patch"]["parameters"]}
    assert "fieldValidation" in parameters  # or kubectl asks the server for no validation
