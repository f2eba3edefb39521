"""lbprovider itself in the rig: its CRDs and RBAC as shipped, and its two programs as the manifests start them."""

from http import HTTPStatus
from pathlib import Path
from typing import Final

from lbprovider.api.names import API_VERSION, object_name
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.provider import (
    CONTROLLER,
    NAMESPACE,
    SPEAKER,
    health,
    start_controller,
    start_speaker,
)
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.python import ROOT
from tests.e2e.rig.waiting import eventually

CONFIG: Final = ROOT / "config"
CONTROLLER_USER: Final = f"system:serviceaccount:{NAMESPACE}:{CONTROLLER}"
SPEAKER_USER: Final = f"system:serviceaccount:{NAMESPACE}:{SPEAKER}"
GROUP: Final = f"/apis/{API_VERSION}"

__all__ = ["CONTROLLER", "NAMESPACE", "SPEAKER", "health", "start_controller", "start_speaker"]


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


def ready(cluster: Cluster, node: str) -> bool:
    """Whether a node's speaker votes and is connected; OSError when it doesn't run."""
    return health(cluster.lan.nodes[node].namespace)[0] == HTTPStatus.OK


def await_members(cluster: Cluster) -> None:
    """Wait until every node is on the only list of the only Segment.

    While a former list is still there, the death of one of its members may leave no quorum of it.
    """

    def all_vote() -> bool:
        lists = [each["spec"]["lists"] for each in cluster.api.items(f"{GROUP}/segments")]
        return [[set(each["members"]) for each in some] for some in lists] == [[set(cluster.lan.nodes)]]

    eventually(all_vote, "every node is a member")


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
