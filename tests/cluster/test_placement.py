"""Where the controller's replicas are: on two nodes as soon as there are two."""

from collections.abc import Iterator

import pytest

from lbprovider.lab.provider import CONTROLLER, NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider


@pytest.fixture
def uncordoned(cluster: Cluster, kubectl: Kubectl) -> Iterator[None]:
    """After the test all nodes take Pods again."""
    yield
    kubectl("uncordon", *cluster.nodes)


@pytest.mark.usefixtures("uncordoned")
def test_controllers_that_had_to_share_a_node_are_on_two_after_an_update(
    cluster: Cluster, provider: Provider, kubectl: Kubectl
) -> None:
    first, second, *_ = cluster.nodes
    kubectl("cordon", *(node for node in cluster.nodes if node != first))
    assert update(provider, kubectl) == [first, first]
    kubectl("uncordon", second)
    assert update(provider, kubectl) == sorted([first, second])


def update(provider: Provider, kubectl: Kubectl) -> list[str]:
    """Start both anew, and tell the nodes that they are on then."""
    kubectl("rollout", "restart", f"--namespace={NAMESPACE}", f"deployment/{CONTROLLER}")
    kubectl.rolled_out(NAMESPACE, f"deployment/{CONTROLLER}")
    return sorted(pod["spec"]["nodeName"] for pod in provider.pods("controller"))
