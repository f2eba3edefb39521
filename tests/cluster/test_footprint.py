"""What lbprovider takes of a cluster: memory of each Pod, and the size of the image."""

import pytest

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider
from tests.cluster.rig.web import SERVICES
from tests.e2e.rig.report import Report

MOST = {"controller": 100.0, "speaker": 90.0}
"""MB resident: about half as much again as they take now, so that a leak or a heavy import is noticed."""


@pytest.mark.usefixtures("web")
def test_memory_with_three_services(provider: Provider, kubectl: Kubectl, report: Report) -> None:
    assert len(SERVICES) == 3
    for component, most in MOST.items():
        resident = {
            pod["metadata"]["name"]: _resident(kubectl, pod["metadata"]["name"]) for pod in provider.pods(component)
        }
        for name, taken in resident.items():
            report(f"{name}: {taken:.0f} MB resident")
        assert all(10 < taken < most for taken in resident.values())


def test_the_size_of_the_image(kubectl: Kubectl, cluster: Cluster, provider: Provider, report: Report) -> None:
    (image,) = {pod["spec"]["containers"][0]["image"] for pod in provider.pods()}
    sizes = {
        node["metadata"]["name"]: each["sizeBytes"]
        for node in kubectl.items("nodes")
        for each in node["status"]["images"]
        if any(name.endswith(image) for name in each["names"])
    }
    report(f"{image}: {max(sizes.values()) / 1e6:.0f} MB, as the nodes say")
    assert set(sizes) == set(cluster.nodes)


def _resident(kubectl: Kubectl, pod: str) -> float:
    """MB of process 1."""
    status = kubectl("exec", f"--namespace={NAMESPACE}", pod, "--", "cat", "/proc/1/status")
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024
