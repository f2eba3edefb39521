"""The story: a Service gets an EXTERNAL-IP that answers on the LAN, and moves when the speaker of its node dies."""

import dataclasses
import time
from collections import Counter
from ipaddress import ip_address

import pytest

from lbprovider.api.names import object_name
from lbprovider.election.segment import DEFAULT_PERIOD, PERIODS_PER_HOLD
from lbprovider.lab.eyes.both import Eyes
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.process import Process
from tests.e2e.rig import ours, services
from tests.e2e.rig.backends import Pod
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

BURST = 100
HOLD = PERIODS_PER_HOLD * DEFAULT_PERIOD
ADDRESSES = [ip_address("198.51.100.200"), ip_address("2001:db8:1::c8")]
FAMILIES = pytest.mark.parametrize("address", ADDRESSES, ids=["IPv4", "IPv6"])


@dataclasses.dataclass
class Provider:
    """lbprovider on a cluster, with a dual-stack Service ``web`` that has a Pod on every node."""

    cluster: Cluster
    speakers: dict[str, Process]

    @property
    def nodes(self) -> list[str]:
        return list(self.cluster.lan.nodes)

    def leader(self, address: Address) -> str:
        return ours.settled(self.cluster, address)

    def mac(self, node: str) -> str:
        return self.cluster.lan.nodes[node].mac

    def start_speaker(self, node: str) -> None:
        self.speakers[node] = ours.start_speaker(self.cluster, node)

    def all_ready(self) -> None:
        """Until every speaker votes and is connected, as a member."""
        eventually(lambda: all(ours.ready(self.cluster, node) for node in self.nodes), "every speaker is ready")
        ours.await_members(self.cluster)

    def other_leader(self, address: Address, old: str) -> str:
        """Until the IPAllocation names another node."""

        def other() -> str | None:
            now = ours.leader(self.cluster, address)
            return None if now == old else now

        return eventually(other, f"{address} has another leader than {old}")


@pytest.fixture(scope="module")
def provider(cluster: Cluster) -> Provider:
    ours.install(cluster)
    ours.start_controller(cluster)
    provider = Provider(cluster, {})
    for node in provider.nodes:
        provider.start_speaker(node)
    ours.pool(cluster, "lan", f"{ADDRESSES[0]}-198.51.100.219", f"{ADDRESSES[1]}-2001:db8:1::ff")
    ours.advertisement(cluster, "lan", ipAddressPools=["lan"])
    for node in provider.nodes:
        Pod(cluster, f"web-{node}", node, {"app": "web"})
    services.create(cluster, "web", {"app": "web"}, family_policy="RequireDualStack", families=["IPv4", "IPv6"])
    provider.all_ready()
    eventually(lambda: services.ingress(cluster, "web"), "the Service has its addresses")
    for address in ADDRESSES:
        provider.leader(address)
    return provider


def test_kubectl_shows_the_external_ips_and_who_has_them(provider: Provider) -> None:
    shown = provider.cluster.kubectl("get", "service", "web")
    assert all(str(address) in shown for address in ADDRESSES)
    allocations = provider.cluster.kubectl("get", "ipallocations")
    assert all(object_name(address) in allocations for address in ADDRESSES)
    assert any(node in allocations for node in provider.nodes)


@FAMILIES
def test_a_client_on_the_lan_gets_an_answer_from_every_pod(provider: Provider, address: Address) -> None:
    provider.cluster.lan.client.flush_neighbours("eth0")
    answered = set()

    def every_pod() -> bool:
        answered.add(services.fetch(provider.cluster, address).node)
        return answered == set(provider.nodes)

    eventually(every_pod, f"{address} reaches every Pod")


@FAMILIES
def test_exactly_the_leader_answers(provider: Provider, address: Address) -> None:
    eyes = Eyes(provider.cluster.lan, address)
    eyes.answered()
    eyes.look_on(300)
    eyes.close()
    verdict = eyes.verdict()
    assert verdict.macs == (provider.mac(provider.leader(address)),)
    assert verdict.contests == ()
    assert eyes.contests() == ()


@pytest.mark.parametrize("cluster", [3], indirect=True, ids=["nodes=3"])
@FAMILIES
def test_sigkill_of_the_leaders_speaker_moves_the_address_within_two_holds(
    provider: Provider, address: Address, report: Report
) -> None:
    provider.all_ready()
    old = provider.leader(address)
    eyes = Eyes(provider.cluster.lan, address)
    eyes.answered(by=provider.mac(old))
    eyes.look_on(100)
    provider.speakers[old].kill()
    eyes.answered(other_than=provider.mac(old))
    eyes.look_on(500)
    eyes.close()
    verdict = eyes.verdict()
    report(f"{verdict}, hold {HOLD / MS:.0f} ms")
    new = provider.other_leader(address, old)
    assert verdict.macs == (provider.mac(old), provider.mac(new))
    assert verdict.contests == ()
    assert eyes.contests() == ()
    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness
    assert services.fetch(provider.cluster, address).node in provider.nodes
    provider.start_speaker(old)
    provider.all_ready()


@pytest.mark.parametrize("cluster", [2], indirect=True, ids=["nodes=2"])
@FAMILIES
def test_of_two_nodes_the_one_that_is_left_serves_by_the_api_servers_word(
    provider: Provider, address: Address, report: Report
) -> None:
    old = provider.leader(address)
    eyes = Eyes(provider.cluster.lan, address)
    eyes.answered(by=provider.mac(old))
    provider.speakers[old].kill()
    killed = time.monotonic_ns()
    (other,) = (name for name in provider.cluster.lan.nodes if name != old)
    eyes.answered(since=killed, by=provider.mac(other))
    provider.start_speaker(old)
    provider.all_ready()
    eyes.look_on(300)
    eyes.close()
    verdict = eyes.verdict()
    report(str(verdict))
    assert verdict.silence.length <= 1000 * MS + verdict.silence.lateness
    assert verdict.macs == (provider.mac(old), provider.mac(other)), "who comes back takes nothing back"
    assert verdict.contests == ()
    assert eyes.contests() == ()


@pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])
@FAMILIES
def test_the_only_node_is_silent_until_its_speaker_is_back(
    provider: Provider, address: Address, report: Report
) -> None:
    old = provider.leader(address)
    eyes = Eyes(provider.cluster.lan, address)
    eyes.answered(by=provider.mac(old))
    provider.speakers[old].kill()
    killed = time.monotonic_ns()
    eyes.look_on(4 * HOLD // MS)
    assert eyes.verdict(since=killed + 2 * HOLD).macs == ()
    provider.start_speaker(old)
    started = time.monotonic_ns()
    back = eyes.answered(since=started)
    eyes.look_on(300)
    eyes.close()
    report(f"answered {(back.at - started) / MS:.0f} ms after the new process began")
    assert eyes.verdict().contests == ()
    assert eyes.contests() == ()


@pytest.mark.parametrize("cluster", [3], indirect=True, ids=["nodes=3"])
def test_a_speaker_that_is_stopped_by_sigstop_sends_nothing_stale_when_it_goes_on(
    provider: Provider, report: Report
) -> None:
    address = ADDRESSES[0]
    old = provider.leader(address)
    eyes = Eyes(provider.cluster.lan, address)
    eyes.answered(by=provider.mac(old))
    provider.speakers[old].pause()
    taken = eyes.answered(other_than=provider.mac(old))
    provider.speakers[old].resume()
    eyes.look_on(1000)
    eyes.close()
    verdict = eyes.verdict()
    report(str(verdict))
    assert verdict.macs == (provider.mac(old), taken.mac)
    assert verdict.contests == ()
    assert verdict.silence.length <= 2 * HOLD + verdict.silence.lateness


@pytest.mark.parametrize("cluster", [3], indirect=True, ids=["nodes=3"])
def test_a_burst_of_100_services_costs_three_object_writes_each(provider: Provider, report: Report) -> None:
    cluster = provider.cluster
    ours.pool(cluster, "burst", "198.51.101.0/24", autoAssign=False)
    ours.advertisement(cluster, "burst", ipAddressPools=["burst"])
    mark = cluster.audit.mark()
    for number in range(BURST):
        services.create(cluster, f"burst-{number}", {"app": "web"}, annotations={"lbprovider.io/address-pool": "burst"})

    def led() -> bool:
        every = cluster.api.items(f"{ours.GROUP}/ipallocations")
        burst = [one.get("status", {}) for one in every if one["spec"]["pool"] == "burst"]
        return len(burst) == BURST and all("leader" in status for status in burst)

    eventually(led, "every address has a leader", every=0.2)
    requests = cluster.audit.requests(lambda each: each.user in (ours.CONTROLLER_USER, ours.SPEAKER_USER), since=mark)
    writes = Counter((each.verb, each.resource, each.subresource) for each in requests if each.writes)
    a_service = sum(count for (_, resource, _), count in writes.items() if resource in ("services", "ipallocations"))
    said = ", ".join(f"{count} {verb} {resource}/{sub}".rstrip("/") for (verb, resource, sub), count in writes.items())
    report(
        f"{a_service / BURST:.2f} object writes a Service; {len(requests) - writes.total()} reads; all writes: {said}"
    )
    assert a_service <= 3 * BURST
    assert writes["create", "ipallocations", ""] == BURST


def test_a_deleted_service_is_gone_from_the_wire(provider: Provider) -> None:
    cluster = provider.cluster
    services.create(cluster, "short", {"app": "web"})
    (ingress,) = eventually(lambda: services.ingress(cluster, "short"), "it has an address")
    address = ip_address(ingress)
    eyes = Eyes(cluster.lan, address)
    eyes.answered()
    cluster.api.delete(services.path("short"))
    eventually(lambda: ours.allocation(cluster, address) is None, "its IPAllocation is gone")
    gone = time.monotonic_ns()
    eyes.look_on(2 * HOLD // MS)
    assert eyes.verdict(since=gone + HOLD).macs == ()
    eyes.close()
