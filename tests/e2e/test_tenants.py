"""Who may write all in a namespace, Services' statuses too, on a real API server: what it gets, and what is said."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.rig import ours, services
from tests.e2e.rig.api import Api, ApiError, Object
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.meanwhile import meanwhile
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

CONDITION = "lbprovider.io/AddressesAssigned"
IPS = "lbprovider.io/loadBalancerIPs"
KEY = "lbprovider.io/allow-shared-ip"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
THEIRS = "203.0.113.7"
WANTED: Mapping[str, tuple[str, bool]] = {
    "pinned-away": ("198.51.100.50", False),
    "held-by-another": ("198.51.100.10", False),
    "excluded": ("198.51.100.14", False),
    "buggy": ("198.51.101.0", False),
    "outside": ("203.0.113.1", False),
    "shared-elsewhere": ("198.51.100.11", False),
    "in-conflict": ("198.51.100.12", False),
    "cooling": ("198.51.102.1", True),
    "on-request": ("198.51.102.5", True),
}
"""What a tenant is after, and whether it may have that by asking for it."""


class Rig:
    """A cluster with the controller, pools, a victim's Services, and a tenant with all rights in its namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        ours.install(cluster)
        self.started = 0
        self.start()
        for name in ("victims", "mallory"):
            cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        every: Object = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        account: Object = {"kind": "ServiceAccount", "name": "mallory", "namespace": "mallory"}
        reference: Object = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"}
        cluster.api.create("/api/v1/namespaces/mallory/serviceaccounts", {"metadata": {"name": "mallory"}})
        cluster.api.create(f"{RBAC}/namespaces/mallory/roles", {"metadata": {"name": "all"}, "rules": [every]})
        cluster.api.create(
            f"{RBAC}/namespaces/mallory/rolebindings",
            {"metadata": {"name": "all"}, "roleRef": reference, "subjects": [account]},
        )
        self.mallory: Api = cluster.api_as("mallory", "mallory")
        ours.pool(cluster, "lan", "198.51.100.10-198.51.100.29", excludeAddresses=["198.51.100.14"])
        ours.pool(cluster, "gold", "198.51.100.50", serviceAllocation={"namespaces": ["victims"]})
        ours.pool(cluster, "careful", "198.51.101.0/24", avoidBuggyIPs=True, autoAssign=False)
        ours.pool(cluster, "asked", "198.51.102.0/24", autoAssign=False, reuseAfter="10m")
        self.victim("plain", {IPS: "198.51.100.10"})
        self.victim("shared", {IPS: "198.51.100.11", KEY: "dns"}, port=53)
        self.victim("unlucky", {IPS: "198.51.100.12"})
        self.victim("leaves", {IPS: "198.51.102.1"})
        # What a speaker says of an address that something on the LAN answered for, before anybody asked for it.
        path = f"{ours.GROUP}/ipallocations/198.51.100.12"
        cluster.api.patch(services.path("unlucky", "victims"), {"metadata": {"annotations": {IPS: None}}})
        said = {"type": "Conflict", "status": "True", "reason": "ProbeAnswered"}
        cluster.api.patch(f"{path}/status", {"status": {"conflictMAC": "02:00:00:00:00:ee", "conditions": [said]}})
        eventually(lambda: not cluster.api.get(path)["spec"].get("services"), "it is set aside")
        cluster.api.delete(services.path("leaves", "victims"))
        cooling = f"{ours.GROUP}/ipallocations/198.51.102.1"
        eventually(lambda: cluster.api.get(cooling)["spec"].get("releasedAt"), "the other cools down")

    def start(self) -> None:
        self.started += 1
        self.controller = ours.start_controller(self.cluster, f"controller-{self.started}")

    def victim(self, name: str, annotations: Mapping[str, str], port: int = 80) -> None:
        ports = [{"port": port, "protocol": "TCP"}]
        services.create(self.cluster, name, {}, annotations=annotations, namespace="victims", ports=ports)
        asked = (annotations[IPS],)
        eventually(lambda: services.ingress(self.cluster, name, "victims") == asked, f"{name} has its address")

    def create(self, name: str, annotations: Mapping[str, str] | None = None) -> None:
        body: Object = {
            "metadata": {"name": name, "annotations": {KEY: "dns", **(annotations or {})}},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 5353, "protocol": "TCP"}]},
        }
        self.mallory.create("/api/v1/namespaces/mallory/services", body)

    def lie(self, name: str, *addresses: str, manager: str = "mallory") -> None:
        ingress = [{"ip": each} for each in addresses] or None
        status = {"status": {"loadBalancer": {"ingress": ingress}}}
        self.mallory.patch(f"{services.path(name, 'mallory')}/status?fieldManager={manager}", status)

    def shown(self, name: str) -> tuple[str, ...]:
        return services.ingress(self.cluster, name, "mallory")

    def reason(self, name: str) -> str:
        found: list[Object] = self.cluster.api.get(services.path(name, "mallory"))["status"].get("conditions", [])
        return next((str(one["reason"]) for one in found if one["type"] == CONDITION), "")

    def holders(self, *namespaces: str) -> dict[str, list[str]]:
        """The names of the Services that hold each address, of all namespaces or of these."""
        return {
            each["spec"]["address"]: [
                one["name"]
                for one in each["spec"].get("services", [])
                if not namespaces or one["namespace"] in namespaces
            ]
            for each in self.cluster.api.items(f"{ours.GROUP}/ipallocations")
        }

    def events(self, name: str) -> list[tuple[str, str]]:
        every = self.cluster.api.items("/api/v1/namespaces/mallory/events")
        return [(each["reason"], each["message"]) for each in every if each["involvedObject"]["name"] == name]

    def settled(self, *names: str) -> None:
        """All of these have been looked at, and show what they hold."""

        def agree() -> bool:
            held: dict[str, set[str]] = {}
            for address, holders in self.holders("mallory").items():
                for name in holders:
                    held.setdefault(name, set()).add(address)
            return all(self.reason(name) and set(self.shown(name)) == held.get(name, set()) for name in names)

        eventually(agree, f"{names} show what they hold")

    def judge(self, *, prefix: str) -> None:
        names = [f"{prefix}-{what}" for what in WANTED]
        self.settled(*names)
        holders = self.holders()
        got = {what: f"{prefix}-{what}" in holders.get(address, []) for what, (address, _) in WANTED.items()}
        assert got == {what: may for what, (_, may) in WANTED.items()}
        adopted = [
            each["spec"]["address"]
            for each in self.cluster.api.items(f"{ours.GROUP}/ipallocations")
            if each["spec"].get("adopted")
        ]
        assert adopted == []  # each is probed for before it is announced
        for name in names:
            self.mallory.delete(services.path(name, "mallory"))
        eventually(lambda: not any(set(names) & set(each) for each in self.holders().values()), "all are let go")

    @contextlib.contextmanager
    def insisting(self, name: str, *addresses: str) -> Iterator[None]:
        """Another controller, which wants the status of a Service so."""

        def insist() -> None:
            with contextlib.suppress(ApiError):
                if self.shown(name) != addresses:
                    self.lie(name, *addresses, manager="servicelb")

        with meanwhile(insist, every=0.1):
            yield

    def writes(self, since: int) -> int:
        """The controller's writes to the tenant's statuses."""
        return len(
            self.cluster.audit.requests(
                lambda each: each.user == ours.CONTROLLER_USER and each.writes and each.namespace == "mallory"
                and each.resource == "services", since=since,
            )
        )  # fmt: skip


@pytest.fixture(scope="module")
def rig(cluster: Cluster) -> Rig:
    return Rig(cluster)


def test_what_a_tenant_gets_by_asking(rig: Rig) -> None:
    for what, (address, _) in WANTED.items():
        rig.create(f"asks-{what}", {IPS: address})
    rig.judge(prefix="asks")


def test_a_status_written_before_our_first_look_gets_no_more(rig: Rig) -> None:
    # Whether the controller or the lie is faster: what may not be had by asking is not had.
    wanted = {f"races-{what}": address for what, (address, may) in WANTED.items() if not may}
    for name, address in wanted.items():
        rig.create(name)
        rig.lie(name, address)
    rig.settled(*wanted)
    holders = rig.holders()
    assert [name for name, address in wanted.items() if name in holders.get(address, [])] == []
    for name in wanted:
        rig.mallory.delete(services.path(name, "mallory"))


def test_a_status_written_while_no_controller_runs_gets_no_more(rig: Rig) -> None:
    rig.controller.kill()
    for what, (address, _) in WANTED.items():
        rig.create(f"waits-{what}")
        rig.lie(f"waits-{what}", address)
    rig.start()
    rig.judge(prefix="waits")


def test_of_two_tenants_that_show_one_address_one_has_it(rig: Rig) -> None:
    rig.controller.kill()
    services.create(rig.cluster, "twin", {}, namespace="victims")
    rig.cluster.api.patch(
        f"{services.path('twin', 'victims')}/status",
        {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.25"}]}}},
    )
    time.sleep(1.1)  # creation times are whole seconds, and the older one has it
    rig.create("twin")
    rig.lie("twin", "198.51.100.25")
    rig.start()
    rig.settled("twin")
    assert services.ingress(rig.cluster, "twin", "victims") == ("198.51.100.25",)
    assert rig.shown("twin") != ("198.51.100.25",)
    rig.cluster.api.delete(services.path("twin", "victims"))
    rig.mallory.delete(services.path("twin", "mallory"))


def test_a_changed_status_is_put_right_and_its_writer_named(rig: Rig) -> None:
    rig.create("lies")
    rig.settled("lies")
    (ours_,) = rig.shown("lies")
    rig.lie("lies", THEIRS)
    eventually(lambda: rig.shown("lies") == (ours_,), "it is ours again")
    told = ("StatusCorrected", f'"mallory" changed status.loadBalancer to {THEIRS}; it is {ours_} again.')
    eventually(lambda: told in rig.events("lies"), "it is said")
    rig.lie("lies")
    eventually(lambda: rig.shown("lies") == (ours_,), "it is ours again")
    eventually(lambda: any("to nothing; it is" in message for _, message in rig.events("lies")), "that is said too")
    assert rig.holders()[ours_] == ["lies"]


def test_an_endless_writer_is_named_and_left_until_the_spec_changes(rig: Rig, report: Report) -> None:
    rig.create("fought-for")
    rig.settled("fought-for")
    (ours_,) = rig.shown("fought-for")
    mark, began = rig.cluster.audit.mark(), time.monotonic()
    with rig.insisting("fought-for", THEIRS):
        eventually(lambda: rig.reason("fought-for") == "ForeignController", "it is named")
        named = time.monotonic() - began
        # What everybody can read already is in the log a moment later.
        eventually(lambda: rig.writes(mark) >= 4, "three corrections and the condition are in the log")
        report(f"an endless writer: named after {named:.1f} s and {rig.writes(mark)} writes")
        assert rig.writes(mark) == 4
        told = eventually(
            lambda: [said for why, said in rig.events("fought-for") if why == "ForeignController"], "told"
        )
        (said,) = told
        assert '"servicelb" keeps changing' in said
        assert rig.holders()[ours_] == ["fought-for"]
        mark = rig.cluster.audit.mark()
        rig.controller.kill()
        rig.start()
        # Made last, and looked at: so was the other.
        rig.create("after")
        rig.settled("after")
        time.sleep(3)
        assert rig.writes(mark) == 1
        assert rig.shown("fought-for") == (THEIRS,)
    rig.mallory.patch(services.path("fought-for", "mallory"), {"spec": {"externalTrafficPolicy": "Local"}})
    eventually(lambda: rig.shown("fought-for") == (ours_,), "it is taken up again")
    eventually(lambda: rig.reason("fought-for") == "Assigned", "the condition says so")


def test_who_wipes_the_whole_status_is_left_alone_too(rig: Rig) -> None:
    rig.create("wiped")
    rig.settled("wiped")
    (ours_,) = rig.shown("wiped")
    path = services.path("wiped", "mallory")

    def wipe() -> None:
        with contextlib.suppress(ApiError):
            found: Any = rig.mallory.get(path)
            if found["status"] != {"loadBalancer": {}}:
                rig.mallory.replace(f"{path}/status?fieldManager=broom", {**found, "status": {}})

    with meanwhile(wipe, every=0.1):
        eventually(lambda: "ForeignController" in [reason for reason, _ in rig.events("wiped")], "it is said")
        mark = rig.cluster.audit.mark()
        time.sleep(3)
        assert rig.writes(mark) == 0
        assert rig.holders()[ours_] == ["wiped"]
