"""A cluster of one node: nobody takes over, so all that is promised is that it comes back."""

import pytest

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.power import Power
from tests.cluster.rig.provider import Provider
from tests.cluster.rig.web import LOCAL, SERVICES, Web
from tests.e2e.rig.report import Report

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])


def test_both_controllers_are_on_it(cluster: Cluster, provider: Provider) -> None:
    assert [pod["spec"]["nodeName"] for pod in provider.pods("controller")] == 2 * list(cluster.nodes)


def test_its_speaker_is_deleted_and_serves_again(
    web: Web, cluster: Cluster, provider: Provider, kubectl: Kubectl, report: Report
) -> None:
    (node,) = cluster.nodes
    old = provider.speaker(node)
    with web.traffic(LOCAL) as traffic:
        kubectl("delete", "pod", f"--namespace={NAMESPACE}", old["metadata"]["name"])
        provider.new_speaker(node, old)
        traffic.answered(50)
        report(str(traffic.end()))
    for service in SERVICES:
        web.outside.ask(web.addresses[service])


def test_the_node_dies_and_serves_again(web: Web, cluster: Cluster, switch: Power, report: Report) -> None:
    (node,) = cluster.nodes
    with web.traffic(LOCAL) as traffic:
        switch.kill(node)
        with pytest.raises(RuntimeError, match="error"):
            web.outside.ask(web.addresses[LOCAL], 1, patience=1)
        switch.start(node)
        traffic.answered(50)
        report(str(traffic.end()))
    for service in SERVICES:
        web.outside.ask(web.addresses[service])
