"""Whatever happens to pools, Services and controllers: DESIGN's promises hold after each write, and all comes to rest.

The real controller, but for kopf, over the API server in memory, in virtual time. Its writes are slow, fail, or are
the last ones before it is killed; sometimes there are two of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace as changed
from ipaddress import ip_address
from random import Random
from typing import Any

import msgspec
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.core import LoadBalancerIngress, LoadBalancerStatus, Namespace, Service, ServicePort, ServiceSpec
from lbprovider.api.meta import LabelSelector, ObjectMeta
from lbprovider.api.names import DEFAULT_CLASS, IPAddress
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec, ServiceAllocation
from lbprovider.api.resources import ALLOCATIONS, NAMESPACES, POOLS, SERVICES
from lbprovider.controller.leading import lead
from lbprovider.deciding.services import condition
from lbprovider.ipam.assign import Assigned, assign
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.reasons import QUIET, Reason, Refused
from lbprovider.ipam.request import is_ours, request_of
from tests.fakes.virtual_time import VirtualLoop
from tests.unit.controller.controller_world import SETTINGS, SYSTEM, World
from tests.unit.controller.mortal_api import FAULTS, MortalApi

GOLD = LabelSelector(match_labels={"tier": "gold"})
POOL_SPECS = st.builds(
    IPAddressPoolSpec,
    addresses=st.lists(
        st.sampled_from(["10.0.0.0/31", "10.0.0.2-10.0.0.3", "10.0.0.255-10.0.1.0", "2001:db8::/127", "2001:db8::2"]),
        min_size=1,
        max_size=3,
        unique=True,
    ).map(tuple),
    auto_assign=st.sampled_from([True, True, True, False]),
    avoid_buggy_ips=st.sampled_from([False, False, True]),
    exclude_addresses=st.sampled_from([(), (), ("10.0.0.1",)]),
    service_allocation=st.sampled_from(
        [None, None, ServiceAllocation(namespace_selectors=(GOLD,)), ServiceAllocation(priority=1, namespaces=("dev",))]
    ),
    reuse_after=st.sampled_from(["0s", "0s", "24h"]),
    allow_sharing_across_namespaces=st.booleans(),
)
NAMES = st.sampled_from(["dev/a", "dev/b", "web/c", "web/d", "web/e", "web/f"])
PORTS = [(ServicePort(port=80),), (ServicePort(port=443),), (ServicePort(port=80), ServicePort(port=443))]
FAMILIES = [("SingleStack", ("IPv4",)), ("PreferDualStack", ("IPv4", "IPv6")), ("RequireDualStack", ("IPv4", "IPv6"))]
ASKED = st.fixed_dictionaries(
    {
        "loadBalancerIPs": st.sampled_from(["", "", "", "10.0.0.1", "10.0.0.3", "nonsense"]),
        "address-pool": st.sampled_from(["", "", "", "p", "q"]),
        "allow-shared-ip": st.sampled_from(["", "k", "k"]),
    }
)
SERVICES_ASKED = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([("LoadBalancer", None)] * 4 + [("LoadBalancer", DEFAULT_CLASS), ("ClusterIP", None)]),
        "asked": st.just({}) | st.just({"allow-shared-ip": "k"}) | ASKED,
        "ports": st.sampled_from(PORTS),
        "families": st.just(FAMILIES[0]) | st.sampled_from(FAMILIES),
        "local": st.sampled_from([False, False, True]),
    }
)


class Cluster(RuleBasedStateMachine):
    """What admins, tenants and machines do."""

    def __init__(self) -> None:
        super().__init__()
        self.random = Random(0)  # noqa: S311  (how long requests take)
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.world = World()
        self.controllers: list[tuple[MortalApi, asyncio.Task[None]]] = []
        self.claims: dict[str, IPAllocationSpec] = {}
        self.offered: list[PoolSet] = [PoolSet.of([])]
        self.meddled: set[str] = set()
        self.written_by_hand: set[str] = set()
        self.wrong: list[AssertionError] = []
        for name in ("dev", "web"):
            self.world.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name=name)))
        self.start()

    # What happens.

    @rule(name=st.sampled_from("ppqr"), spec=POOL_SPECS, rested=st.booleans())
    def make_or_edit_pool(self, name: str, spec: IPAddressPoolSpec, rested: bool) -> None:  # noqa: FBT001
        self.maybe(rested)
        old = self.world.api.objects(POOLS).get(f"{SYSTEM}/{name}")
        pool = old or IPAddressPool(metadata=ObjectMeta(name=name, namespace=SYSTEM))
        self.world.api.write(POOLS, msgspec.structs.replace(pool, spec=spec))
        self.offers()

    @initialize(
        spec=st.just(IPAddressPoolSpec(addresses=("10.0.0.0/31", "2001:db8::/127"))) | POOL_SPECS,
        services=st.dictionaries(NAMES, SERVICES_ASKED, min_size=2),
    )
    def begin(self, spec: IPAddressPoolSpec, services: dict[str, dict[str, Any]]) -> None:
        self.make_or_edit_pool("p", spec, rested=False)
        self.make_or_edit_services(services, rested=False)

    @rule(name=st.sampled_from("pqr"))
    def delete_pool(self, name: str) -> None:
        if f"{SYSTEM}/{name}" in self.world.api.objects(POOLS):
            self.world.api.remove(POOLS, name, SYSTEM)
            self.offers()

    @rule(services=st.dictionaries(NAMES, SERVICES_ASKED, min_size=1, max_size=3), rested=st.booleans())
    def make_or_edit_services(self, services: dict[str, dict[str, Any]], rested: bool) -> None:  # noqa: FBT001
        self.maybe(rested)
        for key, given in services.items():
            self.make_or_edit(key, **given)

    def make_or_edit(
        self,
        key: str,
        *,
        kind: tuple[str, str | None],
        asked: Mapping[str, str],
        ports: tuple[ServicePort, ...],
        families: tuple[str, tuple[str, ...]],
        local: bool,
    ) -> None:
        namespace, _, name = key.partition("/")
        policy, wanted = families
        old = self.world.api.objects(SERVICES).get(key)
        service = old or Service(metadata=ObjectMeta(name=name, namespace=namespace))
        addresses = {"IPv4": "10.96.0.1", "IPv6": "fd00::1"}
        spec: dict[str, Any] = {
            "type": kind[0], "load_balancer_class": kind[1], "ports": ports, "ip_family_policy": policy,
            "ip_families": wanted, "cluster_ip": "10.96.0.1", "cluster_ips": tuple(addresses[one] for one in wanted),
            "external_traffic_policy": "Local" if local else "Cluster", "selector": {"app": "a"},
        }  # fmt: skip
        metadata = msgspec.structs.replace(
            service.metadata, annotations={f"lbprovider.io/{k}": v for k, v in asked.items() if v}
        )
        self.world.api.write(SERVICES, msgspec.structs.replace(service, metadata=metadata, spec=ServiceSpec(**spec)))

    @precondition(lambda self: self.services)
    @rule(which=st.integers(0, 9), rested=st.booleans())
    def delete_service(self, which: int, rested: bool) -> None:  # noqa: FBT001
        self.maybe(rested)
        meta = self.services[which % len(self.services)].metadata
        self.world.api.remove(SERVICES, meta.name, meta.namespace)

    @rule(name=st.sampled_from(["dev", "web"]), labels=st.sampled_from([{}, {"tier": "gold"}]))
    def label_namespace(self, name: str, labels: dict[str, str]) -> None:
        self.world.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name=name, labels=labels)))

    @precondition(lambda self: self.services)
    @rule(which=st.integers(0, 9), wiped=st.booleans())
    def write_to_a_status_by_hand(self, which: int, wiped: bool) -> None:  # noqa: FBT001
        self.run(61)  # more often, and it is left to whoever does
        service = self.services[which % len(self.services)]
        self.meddled.add(service.key)
        self.written_by_hand.add(service.metadata.uid)
        shows = LoadBalancerStatus(ingress=() if wiped else (LoadBalancerIngress(ip="10.0.0.3"),))
        status = msgspec.structs.replace(service.status, load_balancer=shows)
        self.world.api.write(SERVICES, msgspec.structs.replace(service, status=status))

    @precondition(lambda self: self.controllers)
    @rule(faults=st.lists(st.sampled_from(["", *FAULTS]), min_size=1, max_size=4))
    def have_the_next_writes_fail(self, faults: list[str]) -> None:
        self.controllers[0][0].faults = faults

    @rule(seconds=st.sampled_from([0.0, 0.002, 0.02, 0.2]))
    def let_time_pass(self, seconds: float) -> None:
        self.run(seconds)

    @precondition(lambda self: len(self.controllers) < 2)
    @rule()
    def start(self) -> None:
        api = MortalApi(self.world.api, self.random, self.wrote)
        identity = changed(SETTINGS, identity=f"controller-{len(self.controllers)}")

        async def begin() -> asyncio.Task[None]:
            return asyncio.create_task(lead(api, identity, self.world.watch, lambda: None))

        self.controllers.append((api, self.runner.run(begin())))

    @precondition(lambda self: self.controllers)
    @rule(writes=st.integers(0, 6))
    def kill_after_some_writes(self, writes: int) -> None:
        self.controllers[0][0].dies_after = writes
        self.run(0.5)
        self.kill()

    @rule()
    def come_to_rest(self) -> None:
        while not self.controllers:
            self.start()
        for api, _ in self.controllers:
            api.faults = []
        before: object = None
        for _ in range(20):
            self.run(31)
            now = [self.world.api.objects(kind) for kind in (SERVICES, ALLOCATIONS, POOLS)]
            if now == before:
                break
            before = now
        else:
            raise AssertionError("it never comes to rest")
        self.offered = self.offered[-1:]
        self.is_at_rest()
        self.meddled &= {one.key for one in self.services if self.contradicts(one)}  # before there is a pool

    @rule()
    def restart_at_rest(self) -> None:
        self.come_to_rest()
        before = self.addresses()
        while self.controllers:
            self.kill()
        self.come_to_rest()
        assert self.addresses() == before

    # What holds.

    def wrote(self) -> None:
        """After each write of a controller; there it would be caught, so it is raised later."""
        try:
            self.is_written_rightly()
        except AssertionError as error:
            self.wrong.append(error)

    def is_written_rightly(self) -> None:
        now = {key: one.spec for key, one in self.world.api.objects(ALLOCATIONS).items()}
        for key, spec in now.items():
            if self.claims.get(key) != spec:
                self.is_given_rightly(spec, self.claims.get(key))
        self.claims = now
        for service in self.services:
            assert service.key in self.meddled or not self.contradicts(service), f"no IPAllocation for {service}"

    def is_given_rightly(self, spec: IPAllocationSpec, before: IPAllocationSpec | None) -> None:
        ports = [(port.protocol, port.port) for claim in spec.services for port in claim.ports]
        assert len(ports) == len(set(ports)), f"a port is there twice: {spec}"
        assert len(spec.services) < 2 or spec.sharing_key, f"two Services without a key: {spec}"
        for claim in spec.services:
            if before is not None and any(claim.uid == old.uid for old in before.services):
                continue
            covering = [pools.covering(ip_address(spec.address)) for pools in self.offered]
            assert any(pool is not None and pool.name == spec.pool for pool in covering), f"no pool gives {spec}"

    def is_at_rest(self) -> None:
        """Once nothing is left to do."""
        api = self.world.api
        pools = PoolSet.of(api.objects(POOLS).values())
        ledger = Ledger(pools, (one.spec for one in api.objects(ALLOCATIONS).values()))
        services = {one.metadata.uid: one for one in api.objects(SERVICES).values()}
        for allocation in api.objects(ALLOCATIONS).values():
            self.is_held_rightly(allocation, services)
        for uid, service in services.items():
            mine = is_ours(service, SETTINGS.lb_class, default_class=SETTINGS.default_class)
            if not mine:
                assert not shown(service) or uid in self.written_by_hand
                assert condition(service) is None
                assert not ledger.held_by(uid)
                continue
            if not api.objects(POOLS) and not ledger.held_by(uid):
                continue  # the cluster is being set up, or another provider is at work: nothing is written
            assert set(shown(service)) == set(ledger.held_by(uid)), service.key
            self.has_what_it_can_have(service, ledger)
        for pool in api.objects(POOLS).values():
            counts = ledger.counts(pool.metadata.name)
            assert (pool.status.ipv4, pool.status.ipv6) == (counts.get("IPv4"), counts.get("IPv6"))

    def is_held_rightly(self, allocation: IPAllocation, services: Mapping[str, Service]) -> None:
        spec = allocation.spec
        assert spec.services or spec.released_at, f"held for nobody: {spec}"
        for claim in spec.services:
            assert claim.uid in services, f"{spec.address} is held by {claim.key}, which is gone"
            service = services[claim.uid]
            assert {port.port for port in claim.ports} == {port.port for port in service.spec.ports}
            assert claim.external_traffic_policy == service.spec.external_traffic_policy
        policies = {claim.external_traffic_policy for claim in spec.services}
        assert len(policies) < 2, f"one node would serve for all: {spec}"

    def has_what_it_can_have(self, service: Service, ledger: Ledger) -> None:
        said, labels = (
            condition(service),
            self.world.api.objects(NAMESPACES)[service.metadata.namespace].metadata.labels,
        )
        request = request_of(service, labels)
        answer = request if isinstance(request, Refused) else assign(request, ledger)
        if isinstance(answer, Assigned):
            assert (answer.addresses, answer.new, answer.release) == (shown(service), (), ()), service.key
            reason = answer.notes[0].reason if answer.notes else Reason.ASSIGNED
        else:
            assert isinstance(request, Refused) or not shown(service), service.key
            assert answer.release == ()
            reason = answer.reason
        if reason not in QUIET:
            assert said is not None, service.key
            assert (said.status == "True") == bool(shown(service)), service.key
            # Of several reasons to wait the first may be another by now: nobody looks where nothing is to be had.
            assert said.reason == reason or not shown(service), service.key

    # How.

    def maybe(self, rested: bool) -> None:  # noqa: FBT001
        """What follows meets everything done, or whatever is under way."""
        if rested:
            self.come_to_rest()

    def run(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))
        for _, task in self.controllers:
            if task.done():
                task.result()
        if self.wrong:
            raise self.wrong[0]

    def kill(self) -> None:
        api, task = self.controllers.pop(0)
        api.dies_after = 0
        task.cancel()
        self.runner.run(_ended(task))

    def offers(self) -> None:
        self.offered.append(PoolSet.of(self.world.api.objects(POOLS).values()))

    @property
    def services(self) -> list[Service]:
        return list(self.world.api.objects(SERVICES).values())

    def addresses(self) -> tuple[object, object]:
        """What each Service shows, and whose each address is."""
        allocations = self.world.api.objects(ALLOCATIONS).items()
        return (
            {service.metadata.uid: shown(service) for service in self.services},
            {key: {claim.uid for claim in one.spec.services} for key, one in allocations},
        )

    def contradicts(self, service: Service) -> bool:
        """Whether its status shows an address that no IPAllocation gives it."""
        mine = {
            one.spec.address
            for one in self.world.api.objects(ALLOCATIONS).values()
            if any(claim.uid == service.metadata.uid for claim in one.spec.services)
        }
        return not {str(address) for address in shown(service)} <= mine

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            while self.controllers:
                self.kill()
            self.runner.close()


def shown(service: Service) -> tuple[IPAddress, ...]:
    return tuple(ip_address(entry.ip) for entry in service.status.load_balancer.ingress)


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


# To make a failing example small takes minutes; it is told as it was found.
Cluster.TestCase.settings = settings(max_examples=80, stateful_step_count=20, phases=[Phase.generate])
TestCluster = Cluster.TestCase
