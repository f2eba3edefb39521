"""What the lab's API server says of its kinds; the documents are a kube-apiserver 1.35's of the same kinds."""

import dataclasses
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import VERBS, Kind
from lbprovider.lab.apiserver.publishing import discovery, openapi

POOL: Final = Kind(
    group="lbprovider.io",
    version="v1beta1",
    kind="IPAddressPool",
    plural="ipaddresspools",
    singular="ipaddresspool",
    namespaced=True,
    list_kind="IPAddressPoolList",
    short_names=("ipp",),
    categories=("lbprovider",),
    has_status=True,
    custom=True,
    openapi={
        "description": "A pool.",
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": {"type": "object", "description": "What it holds."}},
    },
)
SERVED: Final = (*kinds.BUILT_IN, POOL)
STATUS: Final = ["get", "patch", "update"]


def test_the_groups() -> None:
    assert discovery.versions()["versions"] == ["v1"]
    found = {each["name"]: each for each in discovery.groups(SERVED)["groups"]}
    assert set(found) == {
        "apiextensions.k8s.io",
        "authorization.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "lbprovider.io",
        "rbac.authorization.k8s.io",
    }
    version = {"groupVersion": "lbprovider.io/v1beta1", "version": "v1beta1"}
    one = {"name": "lbprovider.io", "versions": [version], "preferredVersion": version}
    assert found["lbprovider.io"] == one
    assert discovery.group(SERVED, "lbprovider.io") == {"kind": "APIGroup", "apiVersion": "v1", **one}


def test_the_kinds_of_a_group() -> None:
    assert discovery.resources(SERVED, "lbprovider.io", "v1beta1") == {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "lbprovider.io/v1beta1",
        "resources": [
            {
                "name": "ipaddresspools",
                "singularName": "ipaddresspool",
                "namespaced": True,
                "kind": "IPAddressPool",
                "verbs": list(VERBS),
                "shortNames": ["ipp"],
                "categories": ["lbprovider"],
            },
            {
                "name": "ipaddresspools/status",
                "singularName": "",
                "namespaced": True,
                "kind": "IPAddressPool",
                "verbs": STATUS,
            },
        ],
    }
    core = discovery.resources(SERVED, "", "v1")
    assert core is not None
    assert core["groupVersion"] == "v1"
    found = {each["name"]: each for each in core["resources"]}
    assert found["serviceaccounts/token"] == {
        "name": "serviceaccounts/token",
        "singularName": "",
        "namespaced": True,
        "group": "authentication.k8s.io",
        "version": "v1",
        "kind": "TokenRequest",
        "verbs": ["create"],
    }
    assert found["nodes"]["namespaced"] is False
    assert "leases" not in found


def test_what_is_not_served_has_no_document() -> None:
    assert discovery.group(SERVED, "nope.io") is None
    assert discovery.group(SERVED, "") is None
    assert discovery.resources(SERVED, "lbprovider.io", "v9") is None
    assert discovery.resources(SERVED, "nope.io", "v1") is None


def test_all_in_one_document() -> None:
    core = discovery.aggregated(SERVED, core=True)
    assert (core["kind"], core["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    ((group,), others) = core["items"], discovery.aggregated(SERVED, core=False)["items"]
    assert group["metadata"] == {}
    assert {"version": "v1", "freshness": "Current"}.items() <= group["versions"][0].items()
    (service,) = (each for each in group["versions"][0]["resources"] if each["resource"] == "services")
    of = {"group": "", "version": "v1", "kind": "Service"}
    assert service == {
        "resource": "services",
        "responseKind": of,
        "scope": "Namespaced",
        "singularResource": "service",
        "verbs": list(VERBS),
        "shortNames": ["svc"],
        "categories": ["all"],
        "subresources": [{"subresource": "status", "responseKind": of, "verbs": STATUS}],
    }
    (pools,) = (each for each in others if each["metadata"] == {"name": "lbprovider.io"})
    assert [each["resource"] for each in pools["versions"][0]["resources"]] == ["ipaddresspools"]
    (lease,) = next(each for each in others if each["metadata"]["name"] == "coordination.k8s.io")["versions"]
    assert not {"shortNames", "categories", "subresources"} & set(lease["resources"][0])


def test_the_index_of_openapi_changes_with_its_documents() -> None:
    index = openapi.index(SERVED)["paths"]
    assert set(index) == {
        "api/v1",
        "apis/apiextensions.k8s.io/v1",
        "apis/authorization.k8s.io/v1",
        "apis/coordination.k8s.io/v1",
        "apis/discovery.k8s.io/v1",
        "apis/lbprovider.io/v1beta1",
        "apis/rbac.authorization.k8s.io/v1",
    }
    url = index["apis/lbprovider.io/v1beta1"]["serverRelativeURL"]
    assert url.startswith("/openapi/v3/apis/lbprovider.io/v1beta1?hash=")
    assert openapi.index(SERVED)["paths"] == index
    fewer = openapi.index(kinds.BUILT_IN)["paths"]
    assert "apis/lbprovider.io/v1beta1" not in fewer
    assert fewer["api/v1"] == index["api/v1"]
    assert openapi.index((*kinds.BUILT_IN, dataclasses.replace(POOL, openapi={})))["paths"] != index


def document(path: str) -> Any:
    return openapi.document(each for each in SERVED if each.api_version == path.split("/", 1)[1])


def test_a_custom_kind_is_described_in_full() -> None:
    found = document("apis/lbprovider.io/v1beta1")
    schema = found["components"]["schemas"]["io.lbprovider.v1beta1.IPAddressPool"]
    assert schema["description"] == "A pool."
    assert schema["required"] == ["spec"]
    assert set(schema["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    of = {"group": "lbprovider.io", "version": "v1beta1", "kind": "IPAddressPool"}
    assert schema["x-kubernetes-group-version-kind"] == [of]
    (metadata,) = schema["properties"]["metadata"]["allOf"]
    assert metadata["$ref"].removeprefix("#/components/schemas/") in found["components"]["schemas"]


def test_every_object_can_be_validated_by_the_server() -> None:
    for path, resource in (
        ("apis/lbprovider.io/v1beta1", "ipaddresspools"),
        ("api/v1", "services"),
        ("apis/coordination.k8s.io/v1", "leases"),
    ):
        paths = document(path)["paths"]
        patch = paths[f"/{path}/namespaces/{{namespace}}/{resource}/{{name}}"]["patch"]
        assert "fieldValidation" in [each["name"] for each in patch["parameters"]]
        # Without it kubectl merges lists as it knows them itself, and our schemas lack the keys.
        assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
        assert {"get", "post", "delete"} == set(paths[f"/{path}/namespaces/{{namespace}}/{resource}"])
        assert {"get"} == set(paths[f"/{path}/{resource}"])


def test_the_old_openapi_is_there_and_empty() -> None:
    field, length, *text = openapi.V2
    assert (field >> 3, field & 7, length, bytes(text)) == (1, 2, 3, b"2.0")


def test_a_review_can_only_be_asked_for() -> None:
    paths = document("apis/authorization.k8s.io/v1")["paths"]
    assert {path: set(item) for path, item in paths.items()} == {
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {"post"}
    }
