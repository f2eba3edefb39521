"""Our kinds on a real API server: what of them is status, and what kubectl shows."""

from typing import Any

import pytest

from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, Resource
from tests.e2e.kinds import KINDS, LAN, THREE, Stored, claim, path, said
from tests.e2e.rig.api import Api, ApiError, Object
from tests.e2e.rig.cluster import NAMESPACE, Cluster

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])


READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Accepted",
    "message": "",
    "lastTransitionTime": "2025-01-01T00:00:00Z",
    "observedGeneration": 1,
}
STATUSES: dict[Resource[Any], tuple[str, Object, Object]] = {
    POOLS: (
        "lan",
        {"addresses": ["192.0.2.0/24"]},
        {"ipv4": {"total": 256, "assigned": 3, "available": 253}, "conditions": [READY]},
    ),
    ADVERTISEMENTS: ("lan", {"interfaces": ["eth0"]}, {"pools": ["lan"], "conditions": [READY]}),
    SEGMENTS: (
        "192.0.2.0-24",
        {**LAN, "version": 3, "lists": [THREE]},
        {"live": 2, "members": 3, "conditions": [READY]},
    ),
    ALLOCATIONS: (
        "192.0.2.10",
        {"address": "192.0.2.10", "pool": "lan", "segment": "192.0.2.0-24", "services": [claim("1")]},
        {
            "leader": "n1",
            "interface": "eth0",
            "mac": "02:00:00:00:00:01",
            "since": "2025-01-01T00:00:00Z",
            "conditions": [READY],
        },
    ),
}
COLUMNS: dict[Resource[Any], dict[str, str]] = {
    POOLS: {
        "NAME": "lan",
        "AUTO ASSIGN": "true",
        "V4 ASSIGNED": "3",
        "V4 AVAILABLE": "253",
        "V6 ASSIGNED": "",
        "V6 AVAILABLE": "",
        "READY": "True",
    },
    ADVERTISEMENTS: {"NAME": "lan", "POOLS": '["lan"]', "INTERFACES": '["eth0"]', "READY": "True"},
    SEGMENTS: {
        "NAME": "192.0.2.0-24",
        "SUBNETS": '["192.0.2.0/24","2001:db8::/64"]',
        "MEMBERS": "3",
        "LIVE": "2",
        "VERSION": "3",
    },
    ALLOCATIONS: {
        "NAME": "192.0.2.10",
        "POOL": "lan",
        "NAMESPACE": "shop",
        "SERVICE": "web",
        "SEGMENT": "192.0.2.0-24",
        "LEADER": "n1",
        "INTERFACE": "eth0",
    },
}
BY_STATUS = pytest.mark.parametrize("kind", KINDS, ids=str)


@BY_STATUS
def test_a_status_is_written_by_its_own_path_only(api: Api, stored: Stored, kind: Resource[Any]) -> None:
    name, spec, status = STATUSES[kind]
    made = stored(kind, spec, name)
    generation = made["metadata"]["generation"]
    untouched = api.patch(path(kind, name), {"status": status})
    assert untouched.get("status", {}).get("conditions") is None
    written = api.patch(path(kind, name, "status"), {"status": status, "spec": {"pool": "ignored"}})
    assert (written["status"], written["spec"]) == (status, made["spec"])
    assert written["metadata"]["generation"] == generation


@BY_STATUS
def test_a_condition_is_one_for_each_type(api: Api, stored: Stored, kind: Resource[Any]) -> None:
    name, spec, _ = STATUSES[kind]
    stored(kind, spec, name)
    with pytest.raises(ApiError) as error:
        api.patch(path(kind, name, "status"), {"status": {"conditions": [READY, READY]}})
    assert 'status.conditions[1]: Duplicate value: {"type":"Ready"}' in said(error.value)


@BY_STATUS
def test_kubectl_get_shows_what_matters(cluster: Cluster, api: Api, stored: Stored, kind: Resource[Any]) -> None:
    name, spec, status = STATUSES[kind]
    stored(kind, spec, name)
    api.patch(path(kind, name, "status"), {"status": status})
    (short,) = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}")["spec"]["names"]["shortNames"]
    row = table(cluster.kubectl("get", short, "-n", NAMESPACE, name))
    age = row.pop("AGE")
    assert row == COLUMNS[kind]
    assert age.endswith("s")
    wide = table(cluster.kubectl("get", short, "-n", NAMESPACE, name, "-o", "wide"))
    assert row.items() <= wide.items()
    assert len(wide) > len(row)


def table(text: str) -> dict[str, str]:
    """The only row of a table, by its columns."""
    header, only = text.rstrip("\n").split("\n")
    starts = [at for at, _ in enumerate(header) if header[at] != " " and (at == 0 or header[at - 2 : at].isspace())]
    starts = [at for at in starts if at == 0 or header[at - 3 : at] == "   "]
    return {header[at:end].strip(): only[at:end].strip() for at, end in zip(starts, [*starts[1:], None], strict=True)}


def test_one_word_lists_them_all(cluster: Cluster, stored: Stored) -> None:
    for kind, (name, spec, _) in STATUSES.items():
        stored(kind, spec, name)
    listed = cluster.kubectl("get", "lbprovider", "-n", NAMESPACE, "-o", "name").split()
    assert sorted(listed) == sorted(
        f"{kind.kind.lower()}.lbprovider.io/{name}" for kind, (name, _, _) in STATUSES.items()
    )


@pytest.mark.usefixtures("api")
def test_kubectl_explain_reads_well(cluster: Cluster) -> None:
    text = " ".join(cluster.kubectl("explain", "ipp.spec.addresses").split())
    assert "each entry a CIDR (192.0.2.0/24), a range (192.0.2.10-192.0.2.20) or a single address" in text
    for kind in KINDS:
        assert "<no description>" not in cluster.kubectl("explain", kind.plural, "--recursive=false")
