"""A host on the LAN has addresses of the pool: Services get others, and what was announced stays where it is."""

import dataclasses
import socket
from ipaddress import IPv4Address
from typing import Any

import pytest

from lbprovider.lab.process import Process
from tests.e2e.rig import ours, services
from tests.e2e.rig.backends import Pod
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [2], indirect=True, ids=["nodes=2"])

FIRST = IPv4Address("198.51.100.200")
LIVE = FIRST + 1
TAKEN = [FIRST + number for number in range(2, 12)]
LAST = IPv4Address("198.51.100.219")
NOBODY = IPv4Address("198.51.100.250")
PREFIX = 24
IPS = "lbprovider.io/loadBalancerIPs"


def speak_from(address: IPv4Address) -> None:
    """A host that has the address says something to a neighbour that it has to look for by ARP first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((str(address), 0))
        sender.sendto(b"anybody there?", (str(NOBODY), 9))


@dataclasses.dataclass
class Rig:
    """lbprovider on a cluster; the client of its LAN is the host that has addresses which are not its own."""

    cluster: Cluster
    speakers: dict[str, Process]

    @property
    def mac(self) -> str:
        return self.cluster.lan.client.mac("eth0")

    def squat(self, address: IPv4Address) -> None:
        self.cluster.lan.client.add_address("eth0", str(address), PREFIX)

    def leave(self, address: IPv4Address) -> None:
        self.cluster.lan.client.remove_address("eth0", str(address), PREFIX)

    def service(self, name: str, **annotations: str) -> None:
        services.create(self.cluster, name, {"app": "web"}, annotations=annotations)

    def shows(self, name: str, *addresses: IPv4Address, within: float = 30) -> None:
        wanted = tuple(map(str, addresses))
        eventually(lambda: services.ingress(self.cluster, name) == wanted, f"{name} shows {wanted}", within=within)

    def reason(self, name: str) -> str:
        conditions = self.cluster.api.get(services.path(name))["status"].get("conditions", [])
        said = {one["type"]: f"{one['reason']} {one['status']}" for one in conditions}
        return said.get("lbprovider.io/AddressesAssigned", "")

    def allocation(self, address: IPv4Address) -> dict[str, Any]:
        return ours.allocation(self.cluster, address) or {}

    def conflict(self, address: IPv4Address) -> tuple[str, str]:
        """Whether there is one, and who it is with."""
        status = self.allocation(address).get("status", {})
        said = {one["type"]: one for one in status.get("conditions", [])}.get("Conflict", {})
        return f"{said.get('reason', '')} {said.get('status', '')}", status.get("conflictMAC", "")

    def holders(self, address: IPv4Address) -> list[str] | None:
        found = self.allocation(address)
        return [one["name"] for one in found["spec"].get("services", [])] if found else None

    def pool_answers(self) -> str:
        pool = self.cluster.api.get(f"{ours.GROUP}/namespaces/{ours.NAMESPACE}/ipaddresspools/lan")
        said = {one["type"]: one for one in pool.get("status", {}).get("conditions", [])}["LanAnswersForPool"]
        return f"{said['status']} {said['message']}"

    def described(self, name: str) -> str:
        return self.cluster.kubectl("describe", "service", name)


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Rig:
    ours.install(cluster)
    ours.start_controller(cluster)
    rig = Rig(cluster, {node: ours.start_speaker(cluster, node) for node in cluster.lan.nodes})
    rig.squat(FIRST)
    ours.pool(cluster, "lan", f"{FIRST}-{LAST}")
    ours.advertisement(cluster, "lan", ipAddressPools=["lan"])
    for node in cluster.lan.nodes:
        Pod(cluster, f"web-{node}", node, {"app": "web"})
    return rig


def test_a_service_gets_the_next_address_where_a_host_has_the_first(rig: Rig, report: Report) -> None:
    rig.service("web")
    rig.shows("web", LIVE)
    leader = ours.settled(rig.cluster, LIVE)
    assert rig.holders(FIRST) == []
    assert rig.conflict(FIRST) == ("ProbeAnswered True", rig.mac)
    assert "leader" not in rig.allocation(FIRST)["status"]
    assert rig.reason("web") == "Assigned True"

    def told() -> str | None:
        text = rig.described("web")
        # Several programs say these, in whatever order they get to it.
        return text if all(each in text for each in ("AddressInConflict", "ProbeAnswered", "Unclaimed")) else None

    said = eventually(told, "describe says what became of the first, and who announces the second")
    assert f"{leader} answers on eth0" in said
    report(said[said.index("Events:") :])


def test_a_live_address_stays_whoever_else_claims_it(rig: Rig) -> None:
    leader = ours.settled(rig.cluster, LIVE)
    rig.squat(LIVE)
    rig.cluster.lan.client.run(lambda: speak_from(LIVE))
    eventually(lambda: rig.conflict(LIVE) == ("ForeignAnnouncement True", rig.mac), "the conflict is said")
    assert ours.leader(rig.cluster, LIVE) == leader
    assert services.ingress(rig.cluster, "web") == (str(LIVE),)


def test_a_service_that_asks_for_a_hosts_address_waits_for_it(rig: Rig) -> None:
    rig.squat(LAST)
    rig.service("asks", **{IPS: str(LAST)})
    eventually(lambda: rig.reason("asks") == "AddressInConflict False", "it says why it has none")
    assert services.ingress(rig.cluster, "asks") == ()
    assert rig.holders(LAST) == ["asks"]


def test_after_three_the_pool_says_that_the_lan_answers_for_it(rig: Rig, report: Report) -> None:
    for address in TAKEN:
        rig.squat(address)
    rig.service("many")
    message = eventually(
        lambda: text if (text := rig.pool_answers()).startswith("True") else None, "the pool says so", within=60
    )
    report(message)
    assert rig.mac in message
    eventually(lambda: rig.reason("many") == "LanAnswersForPool False", "so does the Service")
    assert [rig.holders(address) for address in TAKEN[:5]] == [[], [], [], ["many"], None]


def test_what_the_host_gives_back_is_announced(rig: Rig) -> None:
    for address in (LIVE, LAST, *TAKEN):
        rig.leave(address)
    rig.shows("asks", LAST, within=90)
    rig.shows("many", TAKEN[3], within=90)
    for address in (LAST, TAKEN[3]):
        ours.settled(rig.cluster, address)
    assert (rig.reason("asks"), rig.reason("many")) == ("Assigned True", "Assigned True")
    eventually(lambda: rig.pool_answers().startswith("False"), "the pool is well again")
    eventually(lambda: rig.conflict(LIVE) == ("NotSeen False", ""), "nobody else has the live one", within=90)
