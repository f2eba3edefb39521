"""Whoever should reach an EXTERNAL-IP does: a client behind a router, Pods, and the nodes themselves."""

import pytest

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider
from tests.cluster.rig.web import CLUSTER, LOCAL, SERVICES, SOME_LOCAL, Web
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [3, 1], indirect=True, ids=["nodes=3", "nodes=1"])

NAMED = [name for name, (_, policy) in SERVICES.items() if policy == "Local"]


def test_kubectl_shows_the_external_ips(web: Web, kubectl: Kubectl, cluster: Cluster) -> None:
    addresses = list(web.addresses.values())

    assert sorted(addresses) == list(cluster.addresses[: len(SERVICES)]), "the lowest free ones of the pool"
    shown = kubectl("get", "services", f"--namespace={workloads.NAMESPACE}")
    assert all(str(address) in shown for address in addresses)
    count = kubectl.get("ipaddresspool", "lan", f"--namespace={NAMESPACE}")["status"]["ipv4"]
    assert count["assigned"] == len(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_the_client_outside_reaches_every_backend(web: Web, provider: Provider, service: str) -> None:
    app, policy = SERVICES[service]
    address = web.addresses[service]
    leader = provider.leader(address)
    behind = {leader} if policy == "Local" else set(web.backends(app))
    seen = set[str]()

    def every_backend() -> bool:
        seen.update(answer.node for answer in web.outside.ask(address))
        return seen == behind

    eventually(every_backend, f"{service} is served by {sorted(behind)}")


@pytest.mark.parametrize("service", NAMED)
def test_under_policy_local_a_pod_sees_the_clients_own_address(web: Web, cluster: Cluster, service: str) -> None:
    answers = web.outside.ask(web.addresses[service])

    assert {answer.client for answer in answers} == {str(cluster.client)}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("asker", ["pod", "host", "everywhere", "some"])
def test_pods_and_nodes_reach_it_from_every_node(web: Web, service: str, asker: str) -> None:
    places = web.places(asker)

    for place in places:
        answers = place.ask(web.addresses[service])
        assert {answer.node for answer in answers} <= set(web.backends(SERVICES[service][0]))
    assert len(places) == len(web.backends(asker))


def test_these_are_the_nodes_that_such_traps_know(
    web: Web, provider: Provider, cluster: Cluster, report: Report
) -> None:
    """What the test above covers: a leader with and without a backend, and others of both kinds."""
    some = set(web.backends("some"))
    kinds = {
        service: {
            (node == provider.leader(web.addresses[service]), node in set(web.backends(SERVICES[service][0])))
            for node in cluster.nodes
        }
        for service in SERVICES
    }
    report(f"kinds of nodes as (leads, has a backend): {kinds}; {len(some)} nodes have one of 'some'")

    if len(cluster.nodes) == 1:
        assert all(found == {(True, True)} for found in kinds.values())
    else:
        assert kinds[CLUSTER] == {(True, False), (False, True)}
        assert kinds[SOME_LOCAL] == {(True, True), (False, True), (False, False)}
        assert kinds[LOCAL] == {(True, True), (False, True)}
