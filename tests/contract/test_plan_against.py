"""``lbprovider plan --against`` a cluster: what its API server says is where the plan begins, and stays as it is."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lbprovider.api.resources import ALLOCATIONS, POOLS, SERVICES
from lbprovider.documents import written
from lbprovider.lab.provider import NAMESPACE as SYSTEM
from tests.contract.kinds import Stored
from tests.contract.servers import NODE, Server
from tests.e2e.rig.api import Api, Object


def planned(server: Server, directory: Path, *manifests: Object) -> Object:
    """The program's JSON, with the admin's kubeconfig."""
    account = server.admin()
    host, port = server.environ["KUBERNETES_SERVICE_HOST"], server.environ["KUBERNETES_SERVICE_PORT"]
    cluster = {"server": f"https://{host}:{port}", "certificate-authority": str(account / "ca.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"tokenFile": str(account / "token")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (directory / "config").write_text(json.dumps(config), encoding="utf-8")
    (directory / "given.yaml").write_text(written(manifests), encoding="utf-8")
    argv = [
        str(Path(sys.executable).parent / "lbprovider"), "plan", "-o", "json",
        "--against", str(directory / "config"), "-f", str(directory / "given.yaml"),
    ]  # fmt: skip
    found = server.beside(lambda: subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False))
    assert found.returncode in (0, 2), found.stderr
    said: Object = json.loads(found.stdout)
    return said


@pytest.fixture
def services(api: Api, namespace: str) -> Iterator[Callable[..., Object]]:
    """Makes Services that are gone after the test, for the next plan would be about them too."""
    made = []

    def make(name: str) -> Object:
        made.append(SERVICES.path(namespace, name))
        return api.create(SERVICES.path(namespace), service(namespace, name))

    yield make
    for path in made:
        api.delete(path)


def service(namespace: str, name: str, **spec: Any) -> Object:
    whole = {"type": "LoadBalancer", "ports": [{"port": 80}], "allocateLoadBalancerNodePorts": False, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": whole}


def pool(namespace: str, addresses: str) -> Object:
    """For nobody else."""
    return {"addresses": [addresses], "serviceAllocation": {"namespaces": [namespace]}}


def held(service: Object) -> Object:
    about = service["metadata"]
    claim = {"namespace": about["namespace"], "name": about["name"], "uid": about["uid"], "ports": [{"port": 80}]}
    return {"address": "198.51.100.4", "pool": "plan", "services": [claim]}


def of(said: Object, namespace: str) -> dict[str, list[str]]:
    return {one["name"]: one["ingress"] for one in said["services"] if one["namespace"] == namespace}


def test_a_plan_begins_with_what_the_cluster_has(
    *, server: Server, api: Api, namespace: str, stored: Stored, services: Callable[..., Object], tmp_path: Path
) -> None:
    """One that holds an address, one that shows one, one that waits; and one that a file adds."""
    stored(POOLS, pool(namespace, "198.51.100.1-198.51.100.4"), "plan")
    stored(ALLOCATIONS, held(services("holds")), "198.51.100.4")
    services("shows")
    shown = {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.3"}]}}}
    api.patch(SERVICES.path(namespace, "shows", "status"), shown)
    services("waits")
    before = api.get(SERVICES.path(namespace, "waits"))

    said = planned(server, tmp_path, service(namespace, "new"))

    assert of(said, namespace) == {
        "holds": ["198.51.100.4"], "shows": ["198.51.100.3"], "waits": ["198.51.100.1"], "new": ["198.51.100.2"],
    }  # fmt: skip
    changed = {(one["object"], one["field"]): (one["before"], one["after"]) for one in said["changes"]}
    assert changed[f"Service {namespace}/waits", "ingress"] == ([], ["198.51.100.1"])
    assert changed[f"Service {namespace}/new", "ingress"] == (None, ["198.51.100.2"])
    assert (f"Service {namespace}/shows", "ingress") not in changed
    assert api.get(SERVICES.path(namespace, "waits")) == before
    assert [each["name"] for each in said["pools"]] == ["plan"]


def test_a_file_replaces_what_the_cluster_has(
    *, server: Server, api: Api, namespace: str, stored: Stored, services: Callable[..., Object], tmp_path: Path
) -> None:
    """A pool that shrinks under a Service that holds an address: it is kept, and said."""
    stored(POOLS, pool(namespace, "198.51.100.1-198.51.100.4"), "plan")
    stored(ALLOCATIONS, held(services("holds")), "198.51.100.4")
    smaller = {
        "apiVersion": POOLS.api_version,
        "kind": POOLS.kind,
        "metadata": {"name": "plan", "namespace": SYSTEM},
        "spec": pool(namespace, "198.51.100.1"),
    }

    said = planned(server, tmp_path, smaller, service(namespace, "holds", sessionAffinity="ClientIP"))

    (found,) = (one for one in said["services"] if one["namespace"] == namespace)
    assert (found["ingress"], found["reason"]) == (["198.51.100.4"], "Stranded")
    assert api.get(POOLS.path(SYSTEM, "plan"))["spec"]["addresses"] == ["198.51.100.1-198.51.100.4"]
    (announced,) = (one for one in said["announcements"] if one["address"] == "198.51.100.4")
    assert announced["excluded"] == {NODE: "NoAdvertisement"}
