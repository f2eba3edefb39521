"""Our kinds as an administrator with kubectl meets them on a real API server."""

import json
from typing import Any

import pytest
import yaml

from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, Resource
from lbprovider.lab.provider import NAMESPACE
from tests.contract.kinds import KINDS, STATUSES, Stored, body, path
from tests.e2e.rig import ours
from tests.e2e.rig.api import Api
from tests.e2e.rig.cluster import Cluster

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])


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
        "REASON": "NodeSilent",
        "INTERFACE": "eth0",
    },
}
BY_STATUS = pytest.mark.parametrize("kind", KINDS, ids=str)


@BY_STATUS
def test_kubectl_get_shows_what_matters(cluster: Cluster, api: Api, stored: Stored, kind: Resource[Any]) -> None:
    name, spec, status = STATUSES[kind]
    stored(kind, spec, name)
    api.patch(path(kind, name, "status"), {"status": status})
    (short,) = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}")["spec"]["names"]["shortNames"]
    row = table(cluster.kubectl("get", short, "-n", NAMESPACE, name))
    age, since = row.pop("AGE"), row.pop("SINCE", "")
    assert row == COLUMNS[kind]
    assert age.endswith("s")
    assert bool(since) is (kind is ALLOCATIONS)
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


@pytest.mark.usefixtures("api")
def test_all_that_is_shipped_and_every_example_is_taken(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--dry-run=server", "-k", str(ours.CONFIG / "default"))
    examples = sorted((ours.CONFIG.parent / "examples").glob("*.yaml"))
    # Who only rehearses has no namespace afterwards, and nothing in one that isn't there can be rehearsed.
    for made in (each for example in examples for each in yaml.safe_load_all(example.read_text(encoding="utf-8"))):
        if made["kind"] == "Namespace":
            cluster.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    for example in examples:
        applied = cluster.kubectl("apply", "--dry-run=server", "-f", str(example))
        assert applied.count("(server dry run)") >= 3, example.name


def test_a_field_that_is_not_there_is_refused(cluster: Cluster, api: Api) -> None:
    misspelt = body(POOLS, {"addresses": ["192.0.2.1"], "autoassign": False})
    with pytest.raises(RuntimeError, match=r'unknown field "spec\.autoassign"'):
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(misspelt))
    assert api.items(path(POOLS)) == []
