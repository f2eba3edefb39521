"""lbprovider itself in the rig: its CRDs and RBAC as shipped, and its two programs as the manifests start them."""

import contextlib
import http.client
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from lbprovider.api.names import API_VERSION, object_name
from lbprovider.lab.frames import Address
from lbprovider.lab.lan import CONTROL
from lbprovider.lab.process import Process
from lbprovider.net.namespaces import Namespace
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import API_PORT, NAMESPACE, Cluster
from tests.e2e.rig.python import ROOT, script
from tests.e2e.rig.waiting import eventually

CONFIG: Final = ROOT / "config"
CONTROLLER: Final = "lbprovider-controller"
SPEAKER: Final = "lbprovider-speaker"
CONTROLLER_USER: Final = f"system:serviceaccount:{NAMESPACE}:{CONTROLLER}"
SPEAKER_USER: Final = f"system:serviceaccount:{NAMESPACE}:{SPEAKER}"
HTTP_PORT: Final = 7473
GROUP: Final = f"/apis/{API_VERSION}"


def install(cluster: Cluster, config: Path = CONFIG) -> None:
    """Apply the CRDs and the RBAC and wait until the API server serves our kinds."""
    for folder in ("crd", "rbac"):
        cluster.kubectl("apply", "-k", str(config / folder))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")


def pool(cluster: Cluster, name: str, *addresses: str, **spec: object) -> Object:
    """Create an IPAddressPool."""
    body: Object = {
        "apiVersion": API_VERSION,
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"addresses": list(addresses), **spec},
    }
    return cluster.api.create(f"{GROUP}/namespaces/{NAMESPACE}/ipaddresspools", body)


def advertisement(cluster: Cluster, name: str, **spec: object) -> Object:
    """Create an L2Advertisement."""
    body: Object = {
        "apiVersion": API_VERSION,
        "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
    return cluster.api.create(f"{GROUP}/namespaces/{NAMESPACE}/l2advertisements", body)


def allocation(cluster: Cluster, address: Address) -> Object | None:
    """The IPAllocation of an address, as it is now."""
    return cluster.api.find(f"{GROUP}/ipallocations/{object_name(address)}")


def leader(cluster: Cluster, address: Address) -> str | None:
    """The node that the IPAllocation says has the address, or None."""
    found = allocation(cluster, address) or {}
    return found.get("status", {}).get("leader") or None


def settled(cluster: Cluster, address: Address, *, within: float = 30) -> str:
    """Wait until an address has a leader, and name it; ``within`` in seconds."""
    return eventually(lambda: leader(cluster, address), f"{address} has a leader", within=within)


def start_controller(cluster: Cluster, name: str = "controller-1", arguments: Sequence[str] = ()) -> Process:
    """Start a controller beside the API server, with the token of its ServiceAccount and no capability."""
    kubeconfig = cluster.kubeconfig_of(name, cluster.token_of(CONTROLLER))
    argv = [script("lbprovider"), "controller", "--kubeconfig", str(kubeconfig), "--namespace", NAMESPACE, *arguments]
    return cluster.lan.spawn(name, cluster.lan.control, argv, env=_environment(name), capabilities=())


def start_speaker(
    cluster: Cluster,
    node: str,
    arguments: Sequence[str] = (),
    *,
    capabilities: Sequence[str] | None = ("net_raw",),
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a node's speaker as its Pod would: in the node's network, in-cluster access, CAP_NET_RAW and no other.

    Args:
        cluster: where.
        node: its name.
        arguments: further ones of the speaker.
        capabilities: what it may have; all of root's when None.
        env: set besides what its Pod has.
    """
    name = f"speaker-{node}"
    account = cluster.service_account_directory(name, SPEAKER)
    argv = [script("lbprovider"), "speaker", "--node-name", node, "--namespace", NAMESPACE]
    argv += ["--service-account-dir", str(account), *arguments]
    environment = {
        **_environment(name),
        "NODE_NAME": node,
        "KUBERNETES_SERVICE_HOST": str(CONTROL),
        "KUBERNETES_SERVICE_PORT": str(API_PORT),
        **(env or {}),
    }
    place = cluster.lan.nodes[node].namespace
    return cluster.lan.spawn(name, place, argv, env=environment, capabilities=capabilities)


def health(where: Namespace, path: str = "/readyz", port: int = HTTP_PORT) -> tuple[int, str]:
    """What one of our programs says at its HTTP port: the status and the body; OSError when nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with contextlib.closing(connection):
        connection.sock = where.run(lambda: socket.create_connection(("127.0.0.1", port), timeout=5))
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8")


def _environment(name: str) -> dict[str, str]:
    """What the manifests set, and what any program needs; nothing of the test run's own."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {**kept, "POD_NAME": name, "POD_NAMESPACE": NAMESPACE, "PYTHONUNBUFFERED": "1"}
