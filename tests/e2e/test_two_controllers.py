"""Two controllers at once, without leader election: what one writes never contradicts what the other has written.

Judged after every single write, in the order of the API server's revisions (``rig/history.py``), not only at the end.
"""

import random
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, ClassVar

import pytest

from tests.e2e.rig import ours, services
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.fight import Fight, at_once
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.parametrize("cluster", [1], indirect=True, ids=["nodes=1"])

MANY = 300
MOST_WRITES = 3
"""A Service, where one controller makes two."""
POOL_OF = "lbprovider.io/address-pool"
WANTED = "lbprovider.io/loadBalancerIPs"
SHARED = "lbprovider.io/allow-shared-ip"
SEED = 20261121
SLOW = 0.05
"""Seconds at most, each way, of a request where the network is slow."""
LATE = 0.2
"""Seconds at most until a watch tells there."""
WRONG = 7200
"""Seconds that a wrong clock is ahead."""


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    ours.install(cluster)
    return cluster


@pytest.fixture
def fight(installed: Cluster, request: pytest.FixtureRequest) -> Any:
    """The story's controllers; what it has made is gone afterwards, by our admin's hand."""
    with Fight(installed, request.node.originalname.removeprefix("test_").replace("_", "-")[:30]) as made:
        yield made
    everything = installed.api
    for namespaced in services_of(installed):
        everything.delete(services.path(namespaced["metadata"]["name"]))
    for kind in (f"{ours.GROUP}/ipallocations", f"{ours.GROUP}/namespaces/{ours.NAMESPACE}/ipaddresspools"):
        everything.delete(kind)


def services_of(cluster: Cluster) -> list[Object]:
    every = cluster.api.items("/api/v1/namespaces/default/services")
    return [
        each for each in every if each["spec"]["type"] == "LoadBalancer" or each["metadata"]["name"] != "kubernetes"
    ]


def make(cluster: Cluster, pool: str, **spec: Any) -> Callable[[str], Object]:
    """Makes Services of a pool, without endpoints and node ports."""
    annotations = {POOL_OF: pool, **spec.pop("annotations", {})}

    def one(name: str) -> Object:
        return services.create(cluster, name, {}, annotations=annotations, allocateLoadBalancerNodePorts=False, **spec)

    return one


def shown(cluster: Cluster) -> dict[str, list[str]]:
    """The addresses of each Service that shows some."""
    found = {
        each["metadata"]["name"]: [one["ip"] for one in each["status"].get("loadBalancer", {}).get("ingress", ())]
        for each in services_of(cluster)
    }
    return {name: addresses for name, addresses in found.items() if addresses}


def names(count: int, stem: str = "web") -> list[str]:
    return [f"{stem}-{number:03}" for number in range(count)]


def test_one_controller_is_the_measure(fight: Fight, report: Report) -> None:
    fight.controller()
    ours.pool(fight.cluster, "lan", "198.51.100.0-198.51.101.43", autoAssign=False)
    at_once(make(fight.cluster, "lan"), names(MANY))
    fight.at_rest()
    assert len(shown(fight.cluster)) == MANY
    report(f"one alone, {MANY} Services: {fight.figures(MANY, fight.judge())}")


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_a_burst_that_both_work_on(fight: Fight, report: Report, slow: bool) -> None:  # noqa: FBT001  (a parameter)
    late = {"latency": SLOW, "lag": LATE} if slow else {}
    fight.controller(**late)
    fight.controller(**late, ahead=WRONG)
    ours.pool(fight.cluster, "lan", "198.51.100.0-198.51.101.43", autoAssign=False)
    at_once(make(fight.cluster, "lan"), names(MANY))
    rest = fight.at_rest()
    given = shown(fight.cluster)
    assert len(given) == len({address for (address,) in given.values()}) == MANY
    replay = fight.judge()
    report(f"{MANY} Services made: {fight.figures(MANY, replay)}; at rest {rest:.1f} s after the last was made")
    assert len([each for each in fight.writes() if each.status < 400]) <= MOST_WRITES * MANY


def test_a_pool_that_comes_last_and_is_too_small(fight: Fight, report: Report) -> None:
    fight.controller()
    fight.controller()
    at_once(make(fight.cluster, "lan"), names(MANY))
    fight.at_rest()
    ours.pool(fight.cluster, "lan", "198.51.100.0-198.51.100.149", autoAssign=False)
    rest = fight.at_rest()
    given = shown(fight.cluster)
    assert len(given) == len({address for (address,) in given.values()}) == MANY // 2
    # Whoever waits gets what is freed.
    at_once(lambda name: fight.cluster.api.delete(services.path(name)), sorted(given)[:50])
    eventually(lambda: len(shown(fight.cluster)) == MANY // 2, "freed addresses are given to others", every=0.5)
    fight.at_rest()
    report(
        f"a pool of {MANY // 2} for {MANY} that waited: {fight.figures(MANY, fight.judge())}; "
        f"at rest {rest:.1f} s after it came"
    )


def test_both_families_or_none(fight: Fight, report: Report) -> None:
    fight.controller()
    fight.controller(latency=SLOW, lag=LATE)
    ours.pool(fight.cluster, "lan", "198.51.100.0-198.51.100.99", "2001:db8:1::-2001:db8:1::3f", autoAssign=False)
    both = make(fight.cluster, "lan", family_policy="RequireDualStack", families=["IPv6", "IPv4"])
    at_once(both, names(100))
    rest = fight.at_rest()
    given = shown(fight.cluster)
    assert sorted(map(len, given.values())) == [2] * 64
    report(f"100 dual-stack Services on 64 pairs: {fight.figures(100, fight.judge())}; at rest after {rest:.1f} s")


def test_shared_addresses_with_ports_that_clash(fight: Fight, report: Report) -> None:
    dice = random.Random(SEED)  # noqa: S311  (not a secret)
    fight.controller()
    fight.controller(latency=SLOW, lag=LATE)
    ours.pool(fight.cluster, "lan", "198.51.100.0-198.51.100.99", autoAssign=False)

    def one(name: str) -> None:
        ports = [{"name": "a", "port": dice.randrange(80, 90), "protocol": dice.choice(["TCP", "UDP"])}]
        make(fight.cluster, "lan", annotations={SHARED: dice.choice("xyz")}, ports=ports)(name)

    at_once(one, names(100))
    rest = fight.at_rest()
    given = shown(fight.cluster)
    assert len(given) == 100
    report(
        f"100 Services share {len({address for (address,) in given.values()})} addresses: "
        f"{fight.figures(100, fight.judge())}; at rest after {rest:.1f} s"
    )


@pytest.mark.parametrize("count", [2, 3])
def test_everything_changes_and_one_is_killed_again_and_again(fight: Fight, report: Report, count: int) -> None:
    dice = random.Random(SEED + count)  # noqa: S311  (not a secret)
    report(f"seed {SEED + count}")
    slow = {"latency": SLOW, "lag": LATE}
    for number in range(count):
        fight.controller(**slow, ahead=WRONG * (number == 1))
    story = Story(fight.cluster, dice)
    for step in range(STEPS):
        story.step()
        if step % (STEPS // 4) == STEPS // 8:
            fight.controllers.pop(dice.randrange(count)).kill()
            fight.controller(**slow)
    # What nobody may lack in the end.
    ours_pool(fight.cluster, *WIDEST)
    rest = fight.at_rest()
    report(f"{STEPS} changes to {ALIVE} Services: {fight.figures(ALIVE, fight.judge())}; at rest after {rest:.1f} s")


STEPS = 240
ALIVE = 40
WIDEST = ("198.51.100.0-198.51.100.79", "2001:db8:1::/120")
POOLS = (
    ("198.51.100.0-198.51.100.59", "2001:db8:1::/122"),
    ("198.51.100.10-198.51.100.40",),
    ("198.51.100.0-198.51.100.30", "2001:db8:1::/124"),
    WIDEST,
)


def ours_pool(cluster: Cluster, *addresses: str) -> None:
    path = f"{ours.GROUP}/namespaces/{ours.NAMESPACE}/ipaddresspools/lan"
    cluster.api.patch(path, {"spec": {"addresses": list(addresses)}})


class Story:
    """Random changes by admins and tenants: each of them a moment after the one before."""

    def __init__(self, cluster: Cluster, dice: random.Random) -> None:
        self.cluster, self.dice = cluster, dice
        ours.pool(cluster, "lan", *POOLS[0], reuseAfter="1s")
        self.alive: set[str] = set()
        for name in names(ALIVE):
            self.make(name)

    def step(self) -> None:
        time.sleep(self.dice.uniform(0, 0.1))
        name = self.dice.choice(names(ALIVE))
        if name not in self.alive:
            self.make(name)
            return
        change = self.dice.choices(list(self.CHANGES), list(self.CHANGES.values()))[0]
        change(self, name)

    def make(self, name: str) -> None:
        spec: dict[str, Any] = {}
        match self.dice.randrange(5):
            case 0:
                spec["annotations"] = {WANTED: self.address()}
            case 1:
                spec["annotations"] = {SHARED: self.dice.choice("xy")}
                spec["ports"] = [{"name": "a", "port": self.dice.randrange(80, 84)}]
            case 2:
                spec["families"] = ["IPv4", "IPv6"]
                spec["family_policy"] = self.dice.choice(["PreferDualStack", "RequireDualStack"])
        annotations = spec.pop("annotations", {})
        services.create(self.cluster, name, {}, annotations=annotations, allocateLoadBalancerNodePorts=False, **spec)
        self.alive.add(name)

    def address(self) -> str:
        return str(IPv4Address("198.51.100.0") + self.dice.randrange(20))

    def delete(self, name: str) -> None:
        self.cluster.api.delete(services.path(name))
        self.alive.discard(name)
        if self.dice.random() < 0.5:
            self.make(name)

    def move(self, name: str) -> None:
        """Others want that one too."""
        self.cluster.api.patch(services.path(name), {"metadata": {"annotations": {WANTED: self.address()}}})

    def stay(self, name: str) -> None:
        self.cluster.api.patch(services.path(name), {"metadata": {"annotations": {WANTED: None}}})

    def retype(self, name: str) -> None:
        now = self.cluster.api.get(services.path(name))["spec"]["type"]
        away = {"type": "ClusterIP", "externalTrafficPolicy": None, "allocateLoadBalancerNodePorts": None}
        back = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}
        self.cluster.api.patch(services.path(name), {"spec": away if now == "LoadBalancer" else back})

    def reshape(self, _: str) -> None:
        ours_pool(self.cluster, *self.dice.choice(POOLS))

    CHANGES: ClassVar = {delete: 6, move: 6, stay: 2, retype: 3, reshape: 2}
