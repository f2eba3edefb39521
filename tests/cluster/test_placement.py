"""Where the controller's replicas are: on two nodes, where there are two."""

from collections.abc import Iterator

import pytest

from lbprovider.lab.provider import CONTROLLER, NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider

UPDATES = 3
"""Which node comes first is chance where several are as good."""


@pytest.fixture
def two_nodes(cluster: Cluster, kubectl: Kubectl) -> Iterator[None]:
    """All others are cordoned."""
    others = cluster.nodes[2:]
    kubectl("cordon", *others)
    yield
    kubectl("uncordon", *others)


@pytest.mark.usefixtures("two_nodes")
def test_updates_leave_the_controllers_on_two_nodes(provider: Provider, kubectl: Kubectl) -> None:
    for _ in range(UPDATES):
        kubectl("rollout", "restart", f"--namespace={NAMESPACE}", f"deployment/{CONTROLLER}")
        kubectl.rolled_out(NAMESPACE, f"deployment/{CONTROLLER}")
        places = [pod["spec"]["nodeName"] for pod in provider.pods("controller")]
        assert len(places) == len(set(places)) == 2
