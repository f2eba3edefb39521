"""The rig itself: what it shows of a cluster and a LAN when none of our programs runs."""

import functools
import http
import itertools
import signal
import socket
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lbprovider.lab.eyes.both import Eyes
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.eyes.traffic import Traffic
from lbprovider.lab.lan import CONTROL, Lan
from lbprovider.lab.provider import API_PORT
from lbprovider.net import namespaces
from tests.e2e.rig import nodes, ours, planted, services
from tests.e2e.rig.api import Api, ApiError
from tests.e2e.rig.backends import Pod
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.controlplane import API_SERVICE
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

ADDRESSES = [ip_address("198.51.100.240"), ip_address("2001:db8:1::f0")]
FAMILIES = pytest.mark.parametrize("address", ADDRESSES, ids=["IPv4", "IPv6"])
TWO_NODES = pytest.mark.parametrize("cluster", [2], indirect=True, ids=["nodes=2"])


@pytest.fixture
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    with Lan(2, tmp_path_factory.mktemp("lan")) as made:
        yield made


def test_the_control_plane_is_up_and_every_node_is_ready(cluster: Cluster) -> None:
    ready = {
        node["metadata"]["name"]
        for node in cluster.api.items("/api/v1/nodes")
        for condition in node["status"]["conditions"]
        if (condition["type"], condition["status"]) == ("Ready", "True")
    }
    assert ready == set(cluster.lan.nodes)
    assert "v1.35" in cluster.kubectl("version")


def test_a_node_reaches_the_api_server_at_the_address_of_its_service(cluster: Cluster) -> None:
    token = eventually(lambda: cluster.token_of("default", "kube-system"), "kube-system has its ServiceAccount")

    def dial() -> socket.socket:
        return socket.create_connection((str(API_SERVICE), 443), timeout=30)

    for node in cluster.lan.nodes.values():
        api = Api(functools.partial(node.namespace.run, dial), str(API_SERVICE), cluster.authority, token)
        ready = functools.partial(api.text, "/readyz")
        assert eventually(ready, f"{node.name} reaches {API_SERVICE}") == "ok"
        api.close()


def test_a_client_reaches_a_service_through_kube_proxy_on_whichever_node_has_its_address(cluster: Cluster) -> None:
    pods = [Pod(cluster, f"web-{node}", node, {"app": "web"}) for node in cluster.lan.nodes]
    services.create(cluster, "web", {"app": "web"}, family_policy="RequireDualStack", families=["IPv4", "IPv6"])
    services.set_ingress(cluster, "web", *ADDRESSES)
    try:
        for node, address in itertools.product(cluster.lan.nodes, ADDRESSES):
            owner = planted.responder(cluster.lan, node, address)
            cluster.lan.client.flush_neighbours("eth0")
            seen: set[str] = set()

            def every_pod(address: Address = address, seen: set[str] = seen) -> bool:
                seen.add(services.fetch(cluster, address).node)
                return seen == set(cluster.lan.nodes)

            eventually(every_pod, f"{address} on {node} reaches every Pod")
            owner.stop()
    finally:
        cluster.api.delete(services.path("web"))
        for pod in pods:
            pod.gone()


@TWO_NODES
def test_with_policy_local_the_pod_sees_the_client_and_no_other_node_serves(cluster: Cluster) -> None:
    address = ADDRESSES[0]
    pod = Pod(cluster, "local", "node1", {"app": "local"})
    services.create(cluster, "local", {"app": "local"}, policy="Local")
    services.set_ingress(cluster, "local", address)
    try:
        owner = planted.responder(cluster.lan, "node1", address)
        cluster.lan.client.flush_neighbours("eth0")
        answer = eventually(lambda: services.fetch(cluster, address), "node1 serves")
        assert (answer.node, answer.client) == ("node1", str(cluster.lan.client_address4))
        owner.stop()
        planted.responder(cluster.lan, "node2", address)
        cluster.lan.client.flush_neighbours("eth0")
        with pytest.raises(OSError, match=r"timed out|refused|unreachable"):
            services.fetch(cluster, address, timeout=0.5)
    finally:
        cluster.api.delete(services.path("local"))
        pod.gone()


@TWO_NODES
def test_endpoints_follow_a_pod_that_is_ready_terminating_and_gone(cluster: Cluster) -> None:
    pod = Pod(cluster, "flow", "node2", {"app": "flow"})
    services.create(cluster, "flow", {"app": "flow"})

    def conditions() -> list[tuple[bool, bool, bool]]:
        slices = cluster.api.items(
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=flow"
        )
        states = (endpoint["conditions"] for each in slices for endpoint in each["endpoints"] or [])
        return [(state["ready"], state["serving"], state["terminating"]) for state in states]

    eventually(lambda: conditions() == [(True, True, False)], "the endpoint is ready")
    pod.set_ready(ready=False)
    eventually(lambda: conditions() == [(False, False, False)], "the endpoint is not ready")
    pod.set_ready(ready=True)
    eventually(lambda: conditions() == [(True, True, False)], "the endpoint is ready again")
    pod.terminate()
    eventually(lambda: conditions() == [(False, True, True)], "the endpoint is terminating and serves")
    pod.gone()
    eventually(lambda: conditions() == [], "the endpoint is gone")
    cluster.api.delete(services.path("flow"))


@TWO_NODES
def test_a_client_that_keeps_calling_tells_which_calls_failed(cluster: Cluster) -> None:
    address = ADDRESSES[0]
    pod = Pod(cluster, "called", "node1", {"app": "called"})
    services.create(cluster, "called", {"app": "called"})
    services.set_ingress(cluster, "called", address)
    planted.responder(cluster.lan, "node1", address)
    cluster.lan.client.flush_neighbours("eth0")
    eventually(lambda: services.fetch(cluster, address), "it serves")
    with Traffic(lambda *argv: cluster.lan.client.command(argv), address, services.PORT, cluster.directory) as traffic:
        eventually(lambda: len(traffic.calls()) >= 20, "twenty calls have ended")
        assert not [call for call in traffic.calls() if call.error]
        cluster.lan.cut_cable("node1")
        eventually(lambda: any(call.error for call in traffic.calls()), "a call fails")
        cluster.lan.heal("node1")
        healed = time.monotonic_ns()
        eventually(lambda: any(call.at > healed and call.node for call in traffic.calls()), "a call gets through again")
        assert traffic.end().calls
    cluster.api.delete(services.path("called"))
    pod.gone()


@TWO_NODES
def test_the_audit_log_counts_requests_and_knows_what_was_never_written(cluster: Cluster) -> None:
    mark = cluster.audit.mark()
    services.create(cluster, "counted", {"app": "counted"})
    services.create(cluster, "untouched", {"app": "counted"})
    services.set_ingress(cluster, "counted", ADDRESSES[0])
    by_admin = cluster.audit.requests(
        lambda each: each.user == "admin" and each.resource == "services" and each.writes, since=mark
    )
    assert [(each.verb, each.name, each.subresource, each.status) for each in by_admin] == [
        ("create", "counted", "", 201),
        ("create", "untouched", "", 201),
        ("patch", "counted", "status", 200),
    ]
    cluster.api.delete(services.path("counted"))
    cluster.api.delete(services.path("untouched"))


@TWO_NODES
def test_management_can_be_cut_without_the_lan_and_the_lan_without_management(cluster: Cluster) -> None:
    place = cluster.lan.nodes["node1"].namespace
    dial = f"import socket; socket.create_connection(('{CONTROL}', {API_PORT}), 0.5)"

    def to_api() -> bool:
        return cluster.lan.spawn("dial", place, [sys.executable, "-c", dial]).wait() == 0

    eyes = Eyes(cluster.lan, cluster.lan.nodes["node1"].address4)  # the node's own kernel answers for it
    eyes.answered()
    eventually(to_api, "node1 reaches the API server")
    cluster.lan.cut_management("node1")
    assert not to_api()
    eyes.answered(since=time.monotonic_ns())
    cluster.lan.heal("node1")
    cluster.lan.cut_cable("node1")
    unplugged = time.monotonic_ns() + 10 * MS  # what is under way may still arrive
    eventually(to_api, "node1 reaches the API server again")
    eyes.look_on(200)
    assert eyes.verdict(since=unplugged).macs == ()
    assert place.carrier("eth0")
    cluster.lan.heal("node1")
    eyes.answered(since=unplugged)
    eyes.close()


@TWO_NODES
def test_a_node_without_power_is_gone_and_comes_back(cluster: Cluster) -> None:
    address = ADDRESSES[0]
    pod = Pod(cluster, "powered", "node1", {"app": "powered"})
    services.create(cluster, "powered", {"app": "powered"})
    services.set_ingress(cluster, "powered", address)
    owner = planted.responder(cluster.lan, "node1", address)
    cluster.lan.client.flush_neighbours("eth0")
    eventually(lambda: services.fetch(cluster, address), "it serves")
    cluster.lan.power_off("node1")
    assert owner.wait() == -signal.SIGKILL
    assert pod.server.wait() == -signal.SIGKILL
    assert not cluster.lan.nodes["node1"].namespace.carrier("eth0")
    with pytest.raises(OSError, match=r"timed out|unreachable"):
        services.fetch(cluster, address, timeout=0.5)
    cluster.lan.heal("node1")
    cluster.start_proxy("node1")
    pod.serve()
    planted.responder(cluster.lan, "node1", address)
    eventually(lambda: services.fetch(cluster, address), "it serves again")
    cluster.api.delete(services.path("powered"))
    pod.gone()


@TWO_NODES
def test_the_api_server_can_crash_and_come_back_with_all_that_it_knew(cluster: Cluster) -> None:
    services.create(cluster, "kept", {"app": "kept"})
    cluster.apiserver.kill()
    with pytest.raises(OSError, match=r"refused|reset|RemoteDisconnected"):
        cluster.api.get(services.path("kept"))
    cluster.restart_apiserver()
    mark = cluster.audit.mark()
    cluster.api.delete(services.path("kept"))
    assert cluster.audit.requests(lambda each: each.name == "kept" and each.verb == "delete", since=mark)


@TWO_NODES
def test_the_manifests_apply_as_shipped_and_a_speaker_can_make_no_allocation(cluster: Cluster) -> None:
    ours.install(cluster)
    assert ours.pool(cluster, "lan", "198.51.100.200-198.51.100.220")["spec"]["autoAssign"] is True
    speaker = cluster.api_as(ours.SPEAKER)
    allocations = f"{ours.GROUP}/ipallocations"
    assert speaker.items(allocations) == []
    body = {
        "apiVersion": "lbprovider.io/v1beta1",
        "kind": "IPAllocation",
        "metadata": {"name": "198.51.100.200"},
        "spec": {"address": "198.51.100.200", "pool": "lan"},
    }
    with pytest.raises(ApiError) as refused:
        speaker.create(allocations, body)
    assert refused.value.status == http.HTTPStatus.FORBIDDEN
    assert cluster.api_as(ours.CONTROLLER).create(allocations, body)["spec"]["pool"] == "lan"
    assert ours.allocation(cluster, ip_address("198.51.100.200")) is not None
    assert ours.leader(cluster, ip_address("198.51.100.200")) is None


@TWO_NODES
def test_a_node_can_be_called_not_ready(cluster: Cluster) -> None:
    for ready, status in ((False, "Unknown"), (True, "True")):
        nodes.set_ready(cluster.api, "node2", ready=ready)
        conditions = cluster.api.get("/api/v1/nodes/node2")["status"]["conditions"]
        assert [(each["type"], each["status"]) for each in conditions] == [("Ready", status)]


def test_pulling_the_cable_takes_the_carrier_and_putting_it_back_returns_it(lan: Lan) -> None:
    place = lan.nodes["node1"].namespace
    lan.link_down("node1")
    eventually(lambda: not place.carrier("eth0"), "the carrier is gone")
    lan.heal("node1")
    eventually(lambda: place.carrier("eth0"), "the carrier is back")


@FAMILIES
def test_the_prober_measures_a_planted_gap(lan: Lan, address: Address, report: Report) -> None:
    owner = planted.responder(lan, "node1", address)
    eyes = Eyes(lan, address)
    eyes.answered()
    owner.pause()
    paused = time.monotonic_ns()
    eyes.look_on(300)
    resumed = time.monotonic_ns()
    owner.resume()
    eyes.answered(since=resumed)
    eyes.look_on(100)
    eyes.close()
    verdict = eyes.verdict()
    report(f"planted gap of {(resumed - paused) / MS:.1f} ms: {verdict}")
    # What else is on this machine may keep the responder from the processor for a while after SIGCONT.
    assert resumed - paused <= verdict.silence.length <= resumed - paused + verdict.silence.lateness + 50 * MS
    assert verdict.macs == (lan.nodes["node1"].mac,)
    assert verdict.contests == ()


@FAMILIES
def test_two_planted_responders_are_seen_by_the_prober_and_by_the_capture(
    lan: Lan, address: Address, report: Report
) -> None:
    first, second = (lan.nodes[node].mac for node in ("node1", "node2"))
    eyes = Eyes(lan, address)
    planted.responder(lan, "node1", address)
    eyes.answered(by=first)
    eyes.look_on(200)
    assert eyes.verdict().contests == ()
    assert eyes.contests() == ()
    planted.responder(lan, "node2", address)
    eyes.answered(by=second)
    eyes.look_on(200)
    eyes.close()
    verdict = eyes.verdict()
    report(f"two responders: {verdict}")
    both = frozenset({first, second})
    assert [contest.macs for contest in verdict.contests] == [both]
    assert [contest.macs for contest in eyes.contests()] == [both]


@FAMILIES
def test_a_change_of_owners_is_no_contest(lan: Lan, address: Address) -> None:
    old, new = (lan.nodes[node].mac for node in ("node1", "node2"))
    eyes = Eyes(lan, address)
    owner = planted.responder(lan, "node1", address)
    eyes.answered(by=old)
    owner.kill()
    planted.responder(lan, "node2", address)
    eyes.answered(by=new)
    eyes.look_on(100)
    eyes.close()
    assert eyes.verdict().macs == (old, new)
    assert eyes.verdict().contests == ()
    assert eyes.contests() == ()


def test_a_program_gets_only_the_capabilities_that_it_is_given(lan: Lan) -> None:
    place = lan.nodes["node1"].namespace
    shown = lan.spawn("capabilities", place, ["grep", "CapEff", "/proc/self/status"], capabilities=["net_raw"])
    assert shown.wait() == 0
    assert shown.tail().split() == ["CapEff:", "0000000000002000"]  # CAP_NET_RAW is number 13


def test_a_killed_run_leaves_nothing_that_the_next_one_does_not_sweep(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("killed")
    begin = (
        "import pathlib, signal, sys; from lbprovider.lab.lan import Lan;"
        f"lan = Lan(1, pathlib.Path({str(directory)!r}));"
        "sleeper = lan.spawn('sleeper', lan.nodes['node1'].namespace, ['sleep', '1000']);"
        "print(lan.switch.name, sleeper.pid, flush=True); signal.pause()"
    )
    with Lan(1, directory) as outer:
        run = outer.spawn("run", outer.control, [sys.executable, "-c", begin])
        switch, sleeper = eventually(lambda: run.tail().split() if run.running else None, "the run stands")[-2:]
        run.send(signal.SIGKILL)
        run.wait()
        eventually(lambda: not Path("/proc", sleeper).exists(), "what it had started is gone")
    with Lan(1, directory):
        assert switch not in namespaces.names()
