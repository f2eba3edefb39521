"""Whoever should reach an EXTERNAL-IP does: a client behind a router, Pods, and the nodes themselves."""

from typing import Final

import pytest

from lbprovider.lab.provider import NAMESPACE
from tests.cluster.backends import Cluster
from tests.cluster.rig import workloads
from tests.cluster.rig.kubectl import Kubectl
from tests.cluster.rig.provider import Provider
from tests.cluster.rig.web import CLUSTER, LOCAL, SERVICES, SOME_LOCAL, Web
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [3, 1], indirect=True, ids=["nodes=3", "nodes=1"])

NAMED = [name for name, (_, policy) in SERVICES.items() if policy == "Local"]

_KINDS: Final = {
    LOCAL: {(True, True), (False, True)},
    CLUSTER: {(True, False), (False, True)},
    SOME_LOCAL: {(True, True), (False, True), (False, False)},
}
"""Of nodes, for each Service: whether it leads, and whether it has a backend."""


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
    seen = set[str]()

    def every_backend() -> bool:
        answered = {answer.node for answer in web.outside.ask(address)}
        seen.update(answered)
        return answered == {provider.leader(address)} if policy == "Local" else seen == set(web.backends(app))

    eventually(every_backend, f"{service} is served by {'its leader' if policy == 'Local' else 'all backends'}")


@pytest.mark.parametrize("service", NAMED)
def test_under_policy_local_a_pod_sees_the_clients_own_address(web: Web, cluster: Cluster, service: str) -> None:
    answers = web.outside.ask(web.addresses[service])

    assert {answer.client for answer in answers} == {str(cluster.client)}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("asker", ["pod", "host", "everywhere", "some"])
def test_pods_and_nodes_reach_it_from_every_node(web: Web, service: str, asker: str) -> None:
    web.keep_off_the_leader()
    places = web.places(asker)

    for place in places:
        answers = place.ask(web.addresses[service])
        assert {answer.node for answer in answers} <= set(web.backends(SERVICES[service][0]))
    assert len(places) == len(web.backends(asker))


def test_these_are_the_nodes_that_such_traps_know(web: Web, provider: Provider, cluster: Cluster) -> None:
    """What the test above covers: a leader with and without a backend, and others of both kinds."""
    web.keep_off_the_leader()
    expected = _KINDS if len(cluster.nodes) > 1 else {service: {(True, True)} for service in SERVICES}

    def kinds() -> dict[str, set[tuple[bool, bool]]]:
        found = {}
        for service, (app, _) in SERVICES.items():
            leader, backends = provider.leader(web.addresses[service]), set(web.backends(app))
            found[service] = {(node == leader, node in backends) for node in cluster.nodes}
        return found

    eventually(lambda: kinds() == expected, f"nodes are of these kinds: {expected}")
