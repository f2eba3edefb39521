"""A cluster with MetalLB and lbprovider in memory: each program is a few lines that look ten times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import msgspec

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus, ServiceClaim
from lbprovider.api.core import (
    Endpoint,
    EndpointSlice,
    Lease,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Namespace,
    Node,
    NodeCondition,
    NodeStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from lbprovider.api.meta import Condition, LabelSelector, ObjectMeta
from lbprovider.api.registration import ANNOTATION, Attachment, Registration
from lbprovider.api.resources import (
    ADVERTISEMENTS,
    ALLOCATIONS,
    ENDPOINT_SLICES,
    LEASES,
    NAMESPACES,
    NODES,
    POOLS,
    SEGMENTS,
    SERVICES,
    Resource,
)
from lbprovider.api.segment import MemberList, Segment, SegmentSpec
from lbprovider.deciding.pools import reach
from lbprovider.errors import ClusterError, KindMissing
from lbprovider.migrating.kinds import (
    DAEMON_SETS,
    DEPLOYMENTS,
    METALLB_ADVERTISEMENTS,
    METALLB_POOLS,
    METALLB_STATUSES,
    PODS,
    WEBHOOKS,
    Container,
    Foreign,
    Pod,
    PodSpec,
    PodTemplate,
    Webhooks,
    Workload,
    WorkloadSpec,
    WorkloadStatus,
)
from lbprovider.migrating.looking import look
from lbprovider.migrating.migration import Migration, Place
from lbprovider.migrating.shutting import is_shut
from lbprovider.migrating.workloads import OFF
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

OURS = "lbprovider-system"
THEIRS = "metallb-system"
PLACE = Place(OURS, THEIRS)
SEGMENT = "192.0.2.0-24"
NODE_NAMES = ("n1", "n2")


def run(story: Callable[[World], Awaitable[None]], **world: Any) -> None:
    """Plays a story in virtual time, with all programs at work."""

    async def main(clock: Callable[[], float]) -> None:
        made = World(clock, **world)
        programs = asyncio.create_task(made.play())
        try:
            await story(made)
        finally:
            programs.cancel()
            with suppress(asyncio.CancelledError):
                await programs

    virtual_time.run(main)


class World:
    """The cluster.

    Args:
        clock: seconds.
        old: MetalLB is so old that it doesn't say what it announces.
        deaf: MetalLB's speakers don't hear of changes.
        stuck: nodes whose MetalLB speaker Pod never goes.
        mute: our speakers never begin.
        voters: the nodes that become members of the LAN.
        careless: our controller gives a Service another address than it shows.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        old: bool = False,
        deaf: bool = False,
        stuck: tuple[str, ...] = (),
        mute: bool = False,
        voters: tuple[str, ...] = NODE_NAMES,
        careless: bool = False,
    ) -> None:
        self.api = FakeApi(fault=self._fault)
        self.clock = clock
        self.said: list[str] = []
        self.both: list[str] = []
        """Pools that both announced at one time."""
        self._announced: set[str] = set()
        self.fault: Callable[[Call], ClusterError | None] = lambda _: None
        self._old, self._deaf, self._stuck, self._mute = old, deaf, stuck, mute
        self._voters, self._careless = voters, careless
        for name in ("default", THEIRS, OURS):
            self.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name=name)))
        ready = NodeStatus(conditions=(NodeCondition(type="Ready", status="True"),))
        for node in NODE_NAMES:
            self.api.write(NODES, Node(metadata=ObjectMeta(name=node), status=ready))
            attachment = Attachment(
                segment=SEGMENT, interface="eth0", address="192.0.2.1", mac="", subnets=("192.0.2.0/24",)
            )
            said = Registration(incarnation=1, attachments=(attachment,)).encode()
            metadata = ObjectMeta(
                name=node, namespace=OURS, labels={names.SPEAKER_LABEL: ""}, annotations={ANNOTATION: said}
            )
            self.api.write(LEASES, Lease(metadata=metadata))
        self._workload(DEPLOYMENTS, "controller", THEIRS, {"app": "metallb", "component": "controller"}, replicas=1)
        self._workload(DAEMON_SETS, "speaker", THEIRS, {"app": "metallb", "component": "speaker"})
        self._workload(DEPLOYMENTS, "lbprovider-controller", OURS, _labels("controller"), replicas=2)
        self._workload(DAEMON_SETS, "lbprovider-speaker", OURS, _labels("speaker"))
        webhook = {
            "name": "pools.metallb.io",
            "clientConfig": {"service": {"namespace": THEIRS, "name": "webhook"}},
            "failurePolicy": "Fail",
            "rules": [{"apiGroups": ["metallb.io"]}],
        }
        other = {**webhook, "name": "other", "rules": [{"apiGroups": ["frrk8s.metallb.io"]}]}
        self.api.write(WEBHOOKS, Webhooks(metadata=ObjectMeta(name="metallb"), webhooks=(webhook,)))
        self.api.write(WEBHOOKS, Webhooks(metadata=ObjectMeta(name="other"), webhooks=(other,)))

    # ---- what a test writes

    def pool(self, name: str, *addresses: str, **spec: Any) -> None:
        self.theirs(METALLB_POOLS, name, {"addresses": list(addresses), **spec})

    def advertisement(self, name: str, **spec: Any) -> None:
        self.theirs(METALLB_ADVERTISEMENTS, name, spec)

    def theirs(self, resource: Resource[Foreign], name: str, spec: dict[str, Any], namespace: str = THEIRS) -> None:
        self.api.write(resource, Foreign(metadata=ObjectMeta(name=name, namespace=namespace), spec=spec))

    def service(self, name: str, *addresses: str, namespace: str = "default", **spec: Any) -> None:
        self.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name=namespace)))
        annotations = spec.pop("annotations", {})
        ingress = tuple(LoadBalancerIngress(ip=each) for each in addresses)
        fields: dict[str, Any] = {
            "type": "LoadBalancer", "cluster_ip": "10.96.0.1", "cluster_ips": ("10.96.0.1",), "ip_families": ("IPv4",),
            "ip_family_policy": "SingleStack", "external_traffic_policy": "Cluster", "ports": (ServicePort(port=80),),
        }  # fmt: skip
        metadata = ObjectMeta(name=name, namespace=namespace, annotations=annotations)
        status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress))
        self.api.write(SERVICES, Service(metadata=metadata, spec=ServiceSpec(**{**fields, **spec}), status=status))
        labels = {names.SERVICE_LABEL: name}
        behind = EndpointSlice(
            metadata=ObjectMeta(name=name, namespace=namespace, labels=labels),
            address_type="IPv4",
            endpoints=tuple(Endpoint(node_name=node) for node in NODE_NAMES),
        )
        self.api.write(ENDPOINT_SLICES, behind)

    # ---- what a test asks

    async def migration(self) -> Migration:
        sight = await look(self.api, OURS, THEIRS, 0.0)
        return Migration(self.api, PLACE, sight, clock=self.clock, wall=lambda: 0.0, say=self.said.append)

    def workload(self, resource: Resource[Workload], namespace: str) -> Workload:
        return next(one for one in self.api.objects(resource).values() if one.metadata.namespace == namespace)

    def shown(self) -> dict[str, tuple[str, ...]]:
        return {
            one.key: tuple(each.ip for each in one.status.load_balancer.ingress)
            for one in self.api.objects(SERVICES).values()
        }

    def policies(self) -> dict[str, Any]:
        return {key: one.webhooks[0]["failurePolicy"] for key, one in self.api.objects(WEBHOOKS).items()}

    # ---- the programs

    async def play(self) -> None:
        while True:
            self._kubelets()
            self._their_speakers()
            self._our_controller()
            self._our_speakers()
            await asyncio.sleep(0.1)

    def _fault(self, call: Call) -> ClusterError | None:
        if self._old and call.plural == METALLB_STATUSES.plural:
            return KindMissing("no such kind", status=404)
        return self.fault(call)

    def _workload(
        self, resource: Resource[Workload], name: str, namespace: str, labels: dict[str, str], **spec: Any
    ) -> None:
        template = PodTemplate(spec=PodSpec(containers=(Container(args=("run",)),)))
        made = WorkloadSpec(selector=LabelSelector(match_labels=labels), template=template, **spec)
        metadata = ObjectMeta(name=name, namespace=namespace, labels=labels)
        self.api.write(resource, Workload(metadata=metadata, spec=made))

    def _kubelets(self) -> None:
        for resource in (DEPLOYMENTS, DAEMON_SETS):
            for one in self.api.objects(resource).values():
                self._run(resource, one)

    def _run(self, resource: Resource[Workload], one: Workload) -> None:
        every = NODE_NAMES if resource is DAEMON_SETS else ("",)
        wanted = set(every)
        if one.spec.replicas == 0 or OFF in one.spec.template.spec.node_selector:
            wanted = set(self._stuck) & wanted if one.metadata.namespace == THEIRS else set()
        labels = dict(one.spec.selector.match_labels)
        there = self.api.objects(PODS)
        for place in every:
            name = f"{one.metadata.name}-{place}"
            key = f"{one.metadata.namespace}/{name}"
            if place in wanted and key not in there:
                metadata = ObjectMeta(name=name, namespace=one.metadata.namespace, labels=labels)
                self.api.write(PODS, Pod(metadata=metadata, spec=PodSpec(node_name=place)))
            elif place not in wanted and key in there:
                self.api.remove(PODS, name, one.metadata.namespace)
        status = WorkloadStatus(
            observed_generation=one.metadata.generation,
            ready_replicas=len(wanted),
            desired_number_scheduled=len(wanted),
            number_ready=len(wanted),
        )
        if status != one.status:
            self.api.write(resource, msgspec.structs.replace(one, status=status))

    def _runs(self, resource: Resource[Workload], namespace: str) -> bool:
        labels = self.workload(resource, namespace).spec.selector.match_labels
        return any(
            one.metadata.namespace == namespace and one.metadata.labels == labels
            for one in self.api.objects(PODS).values()
        )

    def _their_speakers(self) -> None:
        if self._deaf or self._old:
            return
        announced = set()
        if self._runs(DAEMON_SETS, THEIRS):
            for one in self.api.objects(METALLB_ADVERTISEMENTS).values():
                # MetalLB looks at its own namespace only.
                if one.metadata.namespace == THEIRS and not is_shut(one):
                    announced |= set(one.spec.get("ipAddressPools") or _pools(self.api))
        there = self.api.objects(METALLB_STATUSES)
        for service in self.api.objects(SERVICES).values():
            name, key = f"l2-{service.metadata.name}", f"{THEIRS}/l2-{service.metadata.name}"
            wanted = bool(_pools_of(self.api, service) & announced)
            if wanted and key not in there:
                labels = {
                    "metallb.io/node": "n1",
                    "metallb.io/service-name": service.metadata.name,
                    "metallb.io/service-namespace": service.metadata.namespace,
                }
                metadata = ObjectMeta(name=name, namespace=THEIRS, labels=labels)
                self.api.write(METALLB_STATUSES, Foreign(metadata=metadata))
            elif not wanted and key in there:
                self.api.remove(METALLB_STATUSES, name, THEIRS)

    def _our_controller(self) -> None:
        if not self._runs(DEPLOYMENTS, OURS):
            return
        pools = list(self.api.objects(POOLS).values())
        for one in self.api.objects(ADVERTISEMENTS).values():
            found = tuple(sorted(reach(one.spec, pools)))
            if found != one.status.pools:
                status = msgspec.structs.replace(one.status, pools=found)
                self.api.write(ADVERTISEMENTS, msgspec.structs.replace(one, status=status))
        if pools:
            lists = (MemberList(members=self._voters, need=2),)
            self.api.write(SEGMENTS, Segment(metadata=ObjectMeta(name=SEGMENT), spec=SegmentSpec(lists=lists)))
        for service in self.api.objects(SERVICES).values():
            for entry in service.status.load_balancer.ingress:
                self._adopt(entry.ip)

    def _adopt(self, address: str) -> None:
        name = names.object_name(ip_address(address))
        pool = next((one for one in self.api.objects(POOLS).values() if _covers(one.spec.addresses, address)), None)
        if pool is None or name in self.api.objects(ALLOCATIONS):
            return
        claims = tuple(
            ServiceClaim(namespace=one.metadata.namespace, name=one.metadata.name, uid=one.metadata.uid)
            for one in self.api.objects(SERVICES).values()
            if address in [each.ip for each in one.status.load_balancer.ingress]
        )
        spec = IPAllocationSpec(address=address, pool=pool.metadata.name, segment=SEGMENT, services=claims)
        self.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=name), spec=spec))
        if self._careless:
            self.service("web", "192.0.2.19")

    def _our_speakers(self) -> None:
        opened: set[str] = set()
        for one in self.api.objects(ADVERTISEMENTS).values():
            if not is_shut(one):
                opened |= set(one.status.pools)
        if self._mute or not self._runs(DAEMON_SETS, OURS):
            opened = set()
        for name, allocation in self.api.objects(ALLOCATIONS).items():
            if allocation.spec.pool not in opened:
                self._announced.discard(name)
            elif name not in self._announced:
                self._announced.add(name)
                self._announce(allocation)

    def _announce(self, allocation: IPAllocation) -> None:
        if any(
            allocation.spec.pool in _pools_of(self.api, service)
            and f"{THEIRS}/l2-{service.metadata.name}" in self.api.objects(METALLB_STATUSES)
            for service in self.api.objects(SERVICES).values()
        ):
            self.both.append(allocation.spec.pool)
        said = Condition(type="Announced", status="True", reason="Unclaimed")
        status = IPAllocationStatus(leader="n2", since=str(self.clock()), conditions=(said,))
        self.api.write(ALLOCATIONS, msgspec.structs.replace(allocation, status=status))


def _labels(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "lbprovider", "app.kubernetes.io/component": component}


def _pools(api: FakeApi) -> list[str]:
    return [one.metadata.name for one in api.objects(METALLB_POOLS).values()]


def _pools_of(api: FakeApi, service: Service) -> set[str]:
    return {
        one.metadata.name
        for one in api.objects(METALLB_POOLS).values()
        for entry in service.status.load_balancer.ingress
        if _covers(one.spec["addresses"], entry.ip)
    }


def _covers(entries: Any, address: str) -> bool:
    for entry in entries:
        first, _, last = entry.partition("-")
        if int(ip_address(first)) <= int(ip_address(address)) <= int(ip_address(last or first)):
            return True
    return False
