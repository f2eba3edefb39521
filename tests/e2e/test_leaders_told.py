"""Who leads, why, and why nobody does: in the IPAllocation, on the Service, in the metrics of the winner."""

import dataclasses
from ipaddress import IPv4Address
from typing import Any

import pytest

from lbprovider.api.names import EXCLUDE_NODE_LABEL
from lbprovider.lab.process import Process
from tests.e2e.rig import ours, services
from tests.e2e.rig.backends import Pod
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [3], indirect=True, ids=["nodes=3"])

ADDRESS = IPv4Address("198.51.100.200")


@dataclasses.dataclass
class Rig:
    """lbprovider on a cluster, with a Service ``web`` that has a Pod on every node."""

    cluster: Cluster
    speakers: dict[str, Process]

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (ours.allocation(self.cluster, ADDRESS) or {}).get("status", {})
        return found

    def announced(self) -> str:
        """Reason and status of the condition."""
        said = {one["type"]: one for one in self.status().get("conditions", [])}.get("Announced", {})
        return f"{said.get('reason', '')} {said.get('status', '')}"

    def described(self, *words: str) -> str:
        def all_there() -> str | None:
            text = self.cluster.kubectl("describe", "service", "web")
            return text[text.index("Events:") :] if all(word in text for word in words) else None

        return eventually(all_there, f"describe says {words}")

    def label(self, value: str | None) -> None:
        for node in self.cluster.lan.nodes:
            self.cluster.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {EXCLUDE_NODE_LABEL: value}}})


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Rig:
    ours.install(cluster)
    ours.start_controller(cluster)
    rig = Rig(cluster, {node: ours.start_speaker(cluster, node) for node in cluster.lan.nodes})
    ours.pool(cluster, "lan", f"{ADDRESS}/32")
    ours.advertisement(cluster, "lan", ipAddressPools=["lan"])
    ours.await_members(cluster)  # the first leader's status counts those that there are then
    for node in cluster.lan.nodes:
        Pod(cluster, f"web-{node}", node, {"app": "web"})
    services.create(cluster, "web", {"app": "web"})
    ours.settled(cluster, ADDRESS)
    return rig


def test_a_first_leader_is_told_with_who_else_could_lead(rig: Rig) -> None:
    eventually(lambda: rig.announced() == "Unclaimed True", "it is announced")
    assert rig.status()["eligible"] == 3
    shown = rig.cluster.kubectl("get", "ipallocations")
    assert shown.splitlines()[0].split() == [
        "NAME", "POOL", "NAMESPACE", "SERVICE", "SEGMENT", "LEADER", "SINCE", "REASON", "INTERFACE", "AGE",
    ]  # fmt: skip
    assert "Unclaimed" in shown


def test_a_failover_is_told_with_its_cause_and_how_long_nobody_answered_at_most(rig: Rig, report: Report) -> None:
    eventually(lambda: all(ours.ready(rig.cluster, node) for node in rig.speakers), "all speakers are ready")
    dead = ours.settled(rig.cluster, ADDRESS)
    rig.speakers.pop(dead).kill()
    eventually(lambda: ours.leader(rig.cluster, ADDRESS) not in (None, dead), "another node leads")
    assert rig.announced() == "NodeSilent True"
    events = rig.described("NodeSilent", f"{dead} was heard no longer", "unanswered for at most")
    report(next(line for line in events.splitlines() if "NodeSilent" in line))
    metrics = ours.health(
        rig.cluster.lan.nodes[ours.settled(rig.cluster, ADDRESS)].namespace, path="/metrics"
    )[1]  # fmt: skip
    assert 'lbprovider_address_moves_total{cause="NodeSilent"} 1.0' in metrics
    assert "lbprovider_address_outage_seconds_count 1.0" in metrics


def test_that_no_node_may_announce_is_said_on_the_service(rig: Rig, report: Report) -> None:
    rig.label("")
    eventually(lambda: rig.announced() == "NoEligibleNode False", "it says that nobody may", within=60)
    events = rig.described("NoEligibleNode", "NodeExcluded (3)", "take the label")
    report(next(line for line in events.splitlines() if "NoEligibleNode" in line))
    rig.label(None)
    eventually(lambda: rig.announced().endswith("True"), "it is announced again", within=60)
