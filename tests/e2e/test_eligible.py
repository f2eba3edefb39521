"""Who may announce, on a real cluster: endpoints as kube-controller-manager has them, kube-proxy, labels of Nodes."""

import sys
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import pytest

from lbprovider.api.names import EXCLUDE_NODE_LABEL
from lbprovider.lab.eyes.both import Eyes
from lbprovider.lab.eyes.calls import Call
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import Reply
from lbprovider.lab.eyes.traffic import Traffic
from lbprovider.lab.process import Process
from tests.e2e.rig import nodes, ours, services
from tests.e2e.rig.backends import Pod
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [3], indirect=True, ids=["nodes=3"])

FIRST = ip_address("198.51.100.200")
UNHEALTHY = f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)
http.server.HTTPServer(("0.0.0.0", {nodes.HEALTH_PORT}), Handler).serve_forever()
"""
"""What a kube-proxy says that can't serve."""


@pytest.fixture(scope="module")
def provider(cluster: Cluster) -> Iterator[Cluster]:
    """lbprovider with a pool, three speakers that are members, and one address that makes the LAN a Segment."""
    ours.install(cluster)
    ours.start_controller(cluster)
    speakers: list[Process] = [ours.start_speaker(cluster, node) for node in cluster.lan.nodes]
    ours.pool(cluster, "lan", f"{FIRST}-198.51.100.219")
    ours.advertisement(cluster, "lan", ipAddressPools=["lan"])
    ours.await_members(cluster)
    yield cluster
    for each in speakers:
        assert each.running, each.tail()


def address_of(cluster: Cluster, name: str) -> Address:
    (address,) = eventually(lambda: services.ingress(cluster, name), f"Service {name} has its address")
    return ip_address(address)


def leads(cluster: Cluster, address: Address, node: str) -> None:
    eventually(lambda: ours.leader(cluster, address) == node, f"{node} has {address}")


def calls(cluster: Cluster, address: Address) -> Traffic:
    """New connections, all the while; from when each node would serve them."""
    eventually(lambda: services.served(cluster, address), f"every node serves {address}")
    return Traffic(lambda *argv: cluster.lan.client.command(argv), address, services.PORT, cluster.directory)


def label(cluster: Cluster, node: str, value: str | None) -> None:
    cluster.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {EXCLUDE_NODE_LABEL: value}}})


def test_local_follows_a_pod_that_terminates_and_loses_no_connection(provider: Cluster, report: Report) -> None:
    first = Pod(provider, "local-1", "node1", {"app": "local"})
    services.create(provider, "local", {"app": "local"}, policy="Local")
    address = address_of(provider, "local")
    leads(provider, address, "node1")
    second = Pod(provider, "local-2", "node2", {"app": "local"})
    eyes = Eyes(provider.lan, address)
    eyes.answered()
    with calls(provider, address) as traffic:
        eyes.look_on(1000)
        began = time.monotonic_ns()
        first.terminate()
        moved = eyes.answered(since=began, by=provider.lan.nodes["node2"].mac)
        eyes.look_on(1000)
        first.gone()
        eyes.look_on(1000)
        called = traffic.end()
    eyes.close()
    verdict = eyes.verdict()
    report(f"{verdict}; {called}; moved {(moved.at - began) / 1e6:.0f} ms after the Pod's deletion was asked for")
    assert verdict.unanswered == 0
    assert verdict.macs == tuple(provider.lan.nodes[node].mac for node in ("node1", "node2"))
    assert called.failed == ()
    assert under_way(called.cut, moved)
    second.set_ready(ready=False)
    eventually(lambda: silent(provider, address), "nobody answers for a Service without an endpoint")
    second.set_ready(ready=True)
    leads(provider, address, "node2")
    second.gone()


def under_way(cut: Iterable[Call], moved: Reply) -> bool:
    """Whether each of these connections had begun when the address moved: their state is the former node's."""
    return all(call.at < moved.at < call.ended for call in cut)


def silent(cluster: Cluster, address: Address) -> bool:
    # One connection that still got through would keep the client's entry alive, and that entry the next one: kube-proxy
    # forwards whatever comes, whoever announces.
    cluster.lan.client.flush_neighbours("eth0")
    try:
        services.fetch(cluster, address, timeout=0.3)
    except OSError:
        return True
    return False


def test_a_label_takes_addresses_off_a_node_and_loses_no_connection(provider: Cluster, report: Report) -> None:
    pods = [Pod(provider, f"any-{node}", node, {"app": "any"}) for node in provider.lan.nodes]
    services.create(provider, "any", {"app": "any"})
    address = address_of(provider, "any")
    old = ours.settled(provider, address)
    eyes = Eyes(provider.lan, address)
    eyes.answered()
    with calls(provider, address) as traffic:
        began = time.monotonic_ns()
        label(provider, old, "")
        moved = eyes.answered(since=began, other_than=provider.lan.nodes[old].mac)
        eventually(lambda: ours.leader(provider, address) not in {None, old}, "another node has it")
        label(provider, old, None)
        eyes.look_on(1000)
        called = traffic.end()
    eyes.close()
    report(f"{eyes.verdict()}; {called}")
    assert eyes.verdict().unanswered == 0
    assert len(eyes.verdict().macs) == 2
    assert called.failed == ()
    assert under_way(called.cut, moved)
    for pod in pods:
        pod.gone()


def test_a_node_whose_kube_proxy_can_not_serve_hands_its_addresses_on(provider: Cluster, report: Report) -> None:
    pods = [Pod(provider, f"proxied-{node}", node, {"app": "proxied"}) for node in provider.lan.nodes]
    services.create(provider, "proxied", {"app": "proxied"})
    address = address_of(provider, "proxied")
    old = ours.settled(provider, address)
    eyes = Eyes(provider.lan, address)
    eyes.answered()
    place = provider.lan.nodes[old].namespace
    provider.proxies[old].stop()  # its rules stay
    said = provider.lan.spawn(f"unhealthy-{old}", place, [sys.executable, "-c", UNHEALTHY])
    began = time.monotonic_ns()
    moved = eventually(lambda: ours.leader(provider, address) not in {None, old}, "another node has it")
    assert moved
    report(f"moved {(time.monotonic_ns() - began) / 1e9:.1f} s after kube-proxy said that it can't serve")
    said.stop()
    provider.start_proxy(old)
    eyes.look_on(500)
    eyes.close()
    assert eyes.verdict().unanswered == 0
    for pod in pods:
        pod.gone()


def test_an_advertisement_that_selects_services_announces_no_other(provider: Cluster) -> None:
    pods = [Pod(provider, f"chosen-{node}", node, {"app": "chosen"}) for node in provider.lan.nodes]
    ours.pool(provider, "some", "198.51.100.230-198.51.100.239")
    ours.advertisement(provider, "some", ipAddressPools=["some"], serviceSelectors=[{"matchLabels": {"tier": "front"}}])
    services.create(provider, "chosen", {"app": "chosen"}, annotations={"lbprovider.io/address-pool": "some"})
    address = address_of(provider, "chosen")
    allocation = eventually(lambda: ours.allocation(provider, address), "it has an IPAllocation")
    assert allocation["spec"]["advertisements"] == []
    assert ours.leader(provider, address) is None
    provider.api.patch(services.path("chosen"), {"metadata": {"labels": {"tier": "front"}}})
    ours.settled(provider, address)
    provider.api.patch(services.path("chosen"), {"metadata": {"labels": {"tier": None}}})
    eventually(lambda: silent(provider, address), "nobody answers any more")
    for pod in pods:
        pod.gone()
