"""The controller on a real API server, without speakers: who gets an address, what is written, and what never is."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lbprovider.lab.process import Process
from lbprovider.lab.provider import NAMESPACE
from tests.e2e.rig import ours, services
from tests.e2e.rig.api import Object
from tests.e2e.rig.audit import Request
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

CONDITION = "lbprovider.io/AddressesAssigned"
POOL_OF = "lbprovider.io/address-pool"
BURST = 100


class Rig:
    """A cluster with lbprovider installed, and the controller that runs now."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        ours.install(cluster)
        ours.advertisement(cluster, "all")
        self.start()

    def start(self, name: str = "controller-1", *arguments: str) -> Process:
        self.controller = ours.start_controller(self.cluster, name, arguments)
        return self.controller

    def pool(self, name: str, *addresses: str) -> None:
        """A pool for those only that name it, so that tests don't take each other's addresses."""
        ours.pool(self.cluster, name, *addresses, autoAssign=False)

    def service(self, name: str, pool: str, **spec: Any) -> Object:
        return services.create(self.cluster, name, {"app": name}, annotations={POOL_OF: pool}, **spec)

    def delete(self, name: str) -> None:
        self.cluster.api.delete(services.path(name))

    def assigned(self, name: str, *, within: float = 30) -> tuple[str, ...]:
        return eventually(lambda: services.ingress(self.cluster, name), f"{name} has an address", within=within)

    def condition(self, name: str) -> Object:
        found: list[Object] = self.cluster.api.get(services.path(name))["status"].get("conditions", [])
        return next((each for each in found if each["type"] == CONDITION), {})

    def events(self, name: str) -> list[Object]:
        every = self.cluster.api.items("/api/v1/namespaces/default/events")
        return [each for each in every if each["involvedObject"]["name"] == name]

    def held(self) -> dict[str, list[str]]:
        """The names of the Services that hold each address."""
        every = self.cluster.api.items(f"{ours.GROUP}/ipallocations")
        return {each["spec"]["address"]: [one["name"] for one in each["spec"].get("services", [])] for each in every}

    def writes(self, since: int) -> tuple[Request, ...]:
        """The controller's object writes that were accepted: Events are counted apart, and Leases are its own."""
        return self.cluster.audit.requests(
            lambda each: (
                each.user == ours.CONTROLLER_USER
                and each.writes
                and each.resource not in ("events", "leases", "selfsubjectaccessreviews")
            ),
            since=since,
        )

    def wrote(self, since: int, least: int) -> list[Request]:
        """Its writes of Services and IPAllocations, so many or more.

        What everybody can read already is in the log a moment later.
        """

        def found() -> list[Request]:
            return [each for each in self.writes(since) if each.resource in ("services", "ipallocations")]

        eventually(lambda: len(found()) >= least, f"{least} writes are in the log")
        return found()

    def logged(self, event: str, name: str = "controller-1") -> list[Object]:
        lines = (self.cluster.directory / f"{name}.log").read_text(encoding="utf-8").splitlines()
        return [entry for line in lines if (entry := json.loads(line))["event"] == event]


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Rig:
    return Rig(cluster)


def test_a_service_gets_an_external_ip_with_two_writes(rig: Rig) -> None:
    rig.pool("first", "198.51.100.10-198.51.100.11")
    eventually(lambda: ours.health(rig.cluster.lan.control)[0] == 200, "the controller is ready")
    mark = rig.cluster.audit.mark()
    rig.service("web", "first")
    assert rig.assigned("web") == ("198.51.100.10",)
    assert "198.51.100.10" in rig.cluster.kubectl("get", "service", "web")
    shown = rig.cluster.api.get(services.path("web"))["status"]
    assert shown["loadBalancer"]["ingress"] == [{"ip": "198.51.100.10", "ipMode": "VIP"}]
    assert rig.condition("web")["reason"] == "Assigned"
    assert rig.condition("web")["lastTransitionTime"]
    wrote = rig.wrote(mark, 2)
    assert [(each.verb, each.resource, each.subresource, each.status) for each in wrote] == [
        ("create", "ipallocations", "", 201),
        ("patch", "services", "status", 200),
    ]


def test_both_families_come_and_go_together(rig: Rig) -> None:
    rig.pool("dual", "198.51.100.20", "2001:db8:1::20")
    rig.service("dual", "dual", family_policy="RequireDualStack", families=["IPv6", "IPv4"])
    assert rig.assigned("dual") == ("2001:db8:1::20", "198.51.100.20")
    assert rig.held()["2001:db8:1::20"] == ["dual"]
    rig.delete("dual")
    eventually(lambda: not {"198.51.100.20", "2001:db8:1::20"} & rig.held().keys(), "its addresses are free")


def test_an_exhausted_pool_is_said_once_and_a_freed_address_goes_to_who_waits(rig: Rig) -> None:
    rig.pool("small", "198.51.100.30")
    rig.service("lucky", "small")
    rig.assigned("lucky")
    rig.service("waits", "small")
    said = eventually(lambda: rig.condition("waits"), "waits has a condition")
    assert (said["status"], said["reason"]) == ("False", "Exhausted")
    assert "small" in said["message"]
    assert rig.assigned("lucky") == ("198.51.100.30",)
    (event,) = eventually(lambda: rig.events("waits"), "waits has an Event")
    assert (event["type"], event["reason"], event.get("count", 1)) == ("Warning", "Exhausted", 1)
    assert event["message"] == said["message"]
    rig.delete("lucky")
    assert rig.assigned("waits") == ("198.51.100.30",)
    assert rig.condition("waits")["status"] == "True"
    rig.delete("waits")


def test_what_is_not_ours_is_never_patched(rig: Rig) -> None:
    mark = rig.cluster.audit.mark()
    names: dict[str, Object] = {
        "other-class": {"loadBalancerClass": "example.com/other"},
        "cluster-ip": {"type": "ClusterIP", "externalTrafficPolicy": None},
        "node-port": {"type": "NodePort"},
        "headless": {"type": "ClusterIP", "clusterIP": "None", "externalTrafficPolicy": None},
    }
    for name, spec in names.items():
        rig.service(name, "first", **spec)
    external = {"type": "ExternalName", "externalName": "example.com"}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "external-name"}, "spec": external}
    rig.cluster.api.create("/api/v1/namespaces/default/services", body)
    for name in (*names, "external-name"):
        rig.cluster.api.patch(services.path(name), {"metadata": {"labels": {"seen": "twice"}}})
    # What comes after them in the same watch has been dealt with, so they have been seen.
    rig.service("after", "first")
    rig.assigned("after")
    for name in (*names, "external-name"):
        rig.delete(name)
    rig.delete("after")
    eventually(lambda: "after" not in str(rig.held()), "the last one is let go")
    assert {each.name for each in rig.writes(mark) if each.resource == "services"} == {"after"}


def test_a_change_of_type_takes_address_and_condition_back(rig: Rig) -> None:
    rig.pool("typed", "198.51.100.40")
    rig.service("typed", "typed")
    rig.assigned("typed")
    rig.cluster.api.patch(services.path("typed"), {"spec": {"type": "ClusterIP", "externalTrafficPolicy": None}})
    eventually(lambda: "198.51.100.40" not in rig.held(), "its address is free")
    eventually(lambda: not rig.condition("typed"), "our condition is gone")
    assert services.ingress(rig.cluster, "typed") == ()
    rig.cluster.api.patch(services.path("typed"), {"spec": {"type": "LoadBalancer"}})
    assert rig.assigned("typed") == ("198.51.100.40",)
    rig.delete("typed")


def test_a_status_edited_by_hand_is_corrected(rig: Rig) -> None:
    services.set_ingress(rig.cluster, "web", "203.0.113.99")  # type: ignore[arg-type]  # a tenant's lie
    eventually(lambda: services.ingress(rig.cluster, "web") == ("198.51.100.10",), "the status is ours again")
    assert "203.0.113.99" not in rig.held()


def test_pools_and_advertisements_say_what_they_come_to(rig: Rig) -> None:
    def status(kind: str, name: str) -> Object:
        path = f"{ours.GROUP}/namespaces/{NAMESPACE}/{kind}/{name}"
        found: Object = rig.cluster.api.get(path).get("status", {})
        return found

    def conditions(kind: str, name: str) -> dict[str, tuple[str, str]]:
        return {each["type"]: (each["status"], each["reason"]) for each in status(kind, name).get("conditions", [])}

    expected = {"total": 2, "assigned": 1, "available": 1}
    eventually(lambda: status("ipaddresspools", "first").get("ipv4") == expected, "the pool counts")
    assert conditions("ipaddresspools", "first")["Ready"] == ("True", "Ready")
    rig.pool("overlap", "198.51.100.11-198.51.100.12")
    overlapping = ("False", "Overlapping")
    eventually(lambda: conditions("ipaddresspools", "overlap").get("Ready") == overlapping, "the overlap is said")
    eventually(lambda: "first" in status("l2advertisements", "all").get("pools", []), "the advertisement has its pools")
    ours.advertisement(rig.cluster, "astray", ipAddressPools=["nowhere"])
    missing = ("False", "PoolMissing")
    eventually(lambda: conditions("l2advertisements", "astray").get("Ready") == missing, "the missing pool is said")


def test_a_burst_of_100_costs_two_writes_each(rig: Rig, report: Report) -> None:
    rig.pool("burst", "198.51.101.0/24")
    mark = rig.cluster.audit.mark()
    began = time.monotonic()
    for number in range(BURST):
        rig.service(f"burst-{number:03}", "burst")
    created = time.monotonic()

    def given() -> int:
        every = rig.cluster.api.items("/api/v1/namespaces/default/services")
        return sum(bool(each["status"]["loadBalancer"]) for each in every if "burst-" in each["metadata"]["name"])

    eventually(lambda: given() == BURST, "all have an address", within=60, every=0.1)
    done = time.monotonic()
    wrote = rig.wrote(mark, 2 * BURST)
    others = [each for each in rig.writes(mark) if each.resource not in ("services", "ipallocations")]
    report(
        f"{BURST} Services made in {created - began:.2f} s, all with an address {done - created:.2f} s later; "
        f"{len(wrote) / BURST:.2f} object writes a Service, {len(others)} of pools"
    )
    assert len(wrote) == 2 * BURST
    assert all(each.status in (200, 201) for each in wrote)
    assert len({address for address, names in rig.held().items() if "burst-" in str(names)}) == BURST
    assert len(others) <= (done - began) + 3  # a pool's counters at most once a second


def test_sigterm_ends_it_at_once_and_a_restart_adopts_without_a_write(rig: Rig, report: Report) -> None:
    for number in range(BURST // 2):
        rig.delete(f"burst-{number:03}")
    began = time.monotonic()
    rig.controller.send(signal.SIGTERM)  # amid the releases
    assert rig.controller.wait() == 0, rig.controller.tail()
    stopped = time.monotonic() - began
    assert stopped < 5
    assert rig.logged("stopped")
    before = {name: services.ingress(rig.cluster, name) for name in ("web", *(f"burst-{n:03}" for n in range(50, 100)))}
    mark = rig.cluster.audit.mark()
    rig.service("new", "burst")
    began = time.monotonic()
    rig.start("controller-2")
    rig.assigned("new")
    report(
        f"SIGTERM amid {BURST // 2} releases: ended in {stopped:.2f} s; "
        f"a new Service was served {time.monotonic() - began:.2f} s after the next one's start"
    )
    left = {f"burst-{number:03}" for number in range(BURST // 2)}
    eventually(lambda: not any(left & set(names) for names in rig.held().values()), "what was deleted is let go")
    assert {name: services.ingress(rig.cluster, name) for name in before} == before
    assert {each.name for each in rig.writes(mark) if each.resource == "services"} == {"new"}


def test_of_two_replicas_one_leads_and_the_other_takes_over(rig: Rig, report: Report) -> None:
    second = ours.start_controller(rig.cluster, "controller-3", ["--http-port", "7474"])
    eventually(lambda: ours.health(rig.cluster.lan.control, port=7474)[0] == 200, "the second stands by, ready")
    assert not rig.logged("adopted", "controller-3")
    rig.controller.kill()
    began = time.monotonic()
    rig.service("orphan", "burst")
    rig.assigned("orphan", within=40)
    report(f"SIGKILL of the leader: a new Service was served after {time.monotonic() - began:.1f} s")
    third = ours.start_controller(rig.cluster, "controller-4")
    eventually(lambda: rig.logged("standing by", "controller-4"), "another stands by")
    began = time.monotonic()
    assert second.stop() == 0
    rig.service("handed-over", "burst")
    rig.assigned("handed-over")
    report(f"SIGTERM of the leader: a new Service was served after {time.monotonic() - began:.1f} s")
    rig.controller = third


def test_an_api_server_that_was_away_costs_nothing(rig: Rig) -> None:
    rig.service("before", "burst")
    before = rig.assigned("before")
    rig.cluster.apiserver.kill()
    rig.cluster.restart_apiserver()
    rig.delete("before")
    rig.service("after-outage", "burst")
    assert rig.assigned("after-outage", within=60)
    eventually(lambda: before[0] not in rig.held() or "before" not in rig.held()[before[0]], "its address is free")
    assert rig.controller.running


def _ends(process: Process, *said: str) -> None:
    """It ends by itself with one sentence and no traceback."""
    assert process.wait(40) not in (0, None)
    lines = process.log.read_text(encoding="utf-8").splitlines()
    assert lines[-1].startswith("lbprovider: "), process.tail()
    assert not any("Traceback" in line for line in lines)
    assert [line for line in lines if not line.startswith("{")] == lines[-1:]
    for part in said:
        assert part in lines[-1]


def test_a_broken_kubeconfig_is_one_sentence(rig: Rig, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("apiVersion: v1\nkind: Config\nclusters: [", encoding="utf-8")
    _ends(ours.start_controller(rig.cluster, "broken", ["--kubeconfig", str(broken)]), "kubeconfig", str(broken))


def test_a_missing_permission_is_one_sentence(rig: Rig) -> None:
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/lbprovider-controller"
    rules = rig.cluster.api.get(role)["rules"]
    lacking = [each for each in rules if "services/status" not in each["resources"]]
    rig.cluster.api.patch(role, {"rules": lacking})
    try:
        _ends(ours.start_controller(rig.cluster, "forbidden"), "may not patch services/status", "config/rbac")
    finally:
        rig.cluster.api.patch(role, {"rules": rules})


def test_a_missing_crd_is_one_sentence(rig: Rig) -> None:
    rig.controller.stop()
    rig.cluster.kubectl("delete", "crd", "ipallocations.lbprovider.io")
    _ends(ours.start_controller(rig.cluster, "lacking"), "IPAllocation", "config/crd")
