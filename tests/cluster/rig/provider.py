"""lbprovider as it is installed: config/default, applied and looked at with kubectl."""

import os
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from lbprovider.api.names import CONTROLLER_LEASE, object_name
from lbprovider.election.segment import DEFAULT_PERIOD, PERIODS_PER_HOLD
from lbprovider.lab.provider import CONTROLLER, NAMESPACE, SPEAKER
from tests.cluster.rig.kubectl import Kubectl, Object
from tests.e2e.rig.python import ROOT
from tests.e2e.rig.waiting import eventually

HOLD: Final = PERIODS_PER_HOLD * DEFAULT_PERIOD
"""How long promises between speakers last, up to 26 nodes, in nanoseconds."""
WORKLOADS: Final = (f"deployment/{CONTROLLER}", f"daemonset/{SPEAKER}")
IMAGE: Final = "lbprovider:e2e"
"""What our image is called here: no release, so nothing that was pulled is taken for it."""
DEFAULT: Final = ROOT / "config" / "default"


class Provider:
    """lbprovider on a cluster.

    Args:
        kubectl: of the cluster.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        self.ended = set[str]()
        """The uids of the Pods of which a test ended a container; another's that starts again is a finding."""

    def pods(self, component: str = "") -> list[Object]:
        """Our Pods that are not on their way out: of ``controller`` or ``speaker``, else all."""
        selector = "app.kubernetes.io/part-of=lbprovider" + (
            f",app.kubernetes.io/component={component}" if component else ""
        )
        found = self.kubectl.items("pods", f"--namespace={NAMESPACE}", f"--selector={selector}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def speaker(self, node: str) -> Object:
        """The Pod of a node's speaker; LookupError where there is none now."""
        for pod in self.pods("speaker"):
            if pod["spec"]["nodeName"] == node:
                return pod
        raise LookupError(f"no speaker is on {node}")

    def new_speaker(self, node: str, old: Object, *, within: float = 60) -> Object:
        """Wait until another Pod than the old one is a node's speaker, and ready."""

        def ready() -> Object | None:
            pod = self.speaker(node)
            return pod if uid(pod) != uid(old) and is_ready(pod) else None

        return eventually(ready, f"another speaker is ready on {node}", within=within, every=0.1)

    def allocation(self, address: IPv4Address) -> Object:
        return self.kubectl.get("ipallocation", object_name(address))

    def leader(self, address: IPv4Address, *, other_than: str = "") -> str:
        """Wait until an address has a leader, another one than a node if that is named, and name it."""

        def led() -> str | None:
            leader: str | None = self.allocation(address).get("status", {}).get("leader")
            return leader if leader != other_than else None

        described = f"{address} has a leader" + (f" other than {other_than}" if other_than else "")
        return eventually(led, described, every=0.1)

    def leading_controller(self) -> str:
        """The name of the Pod that holds the controllers' Lease; empty while nobody does."""
        lease = self.kubectl.get("lease", CONTROLLER_LEASE, f"--namespace={NAMESPACE}")
        # A replica's identity is its Pod's name and something that no earlier life of the Pod had.
        return (lease["spec"].get("holderIdentity") or "").partition("_")[0]


def uid(pod: Object) -> str:
    found: str = pod["metadata"]["uid"]
    return found


def is_ready(pod: Object) -> bool:
    """Whether it is ready, and stays."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def containers(pods: Sequence[Object]) -> frozenset[str]:
    """The ids of the containers that these Pods have now."""
    return frozenset(
        container["containerID"]
        for pod in pods
        for container in pod["status"].get("containerStatuses", [])
        if container.get("containerID")
    )


def overlay(directory: Path, image: str) -> Path:
    """Write a kustomization of config/default with another image, and nothing else, into an empty folder."""
    name, _, tag = image.partition(":")
    below = os.path.relpath(DEFAULT, directory.resolve())  # kustomize takes no absolute path
    content = f"resources: [{below}]\nimages: [{{name: lbprovider, newName: {name}, newTag: {tag}}}]\n"
    directory.joinpath("kustomization.yaml").write_text(content, encoding="utf-8")
    return directory


def install(kubectl: Kubectl, folder: Path) -> list[str]:
    """Apply config/default through an overlay of it, and give the lines that the overlay changed."""
    shipped, ours = (kubectl("kustomize", str(each)).splitlines() for each in (DEFAULT, folder))
    assert len(shipped) == len(ours), "the overlay adds or takes lines"
    changed = [f"{was.strip()} -> {now.strip()}" for was, now in zip(shipped, ours, strict=True) if was != now]
    kubectl("apply", "--kustomize", str(folder))
    return changed
