"""A controller over the API server in memory, in virtual time: everything is the real thing but kopf and the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Literal
from unittest.mock import patch

import msgspec

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.core import (
    Event,
    Lease,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Namespace,
    Node,
    Service,
    ServicePort,
    ServiceSpec,
)
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec, L2Advertisement
from lbprovider.api.registration import ANNOTATION, Attachment, Registration
from lbprovider.api.resources import (
    ADVERTISEMENTS,
    ALLOCATIONS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    POOLS,
    SEGMENTS,
    SERVICES,
    Resource,
)
from lbprovider.controller import leading
from lbprovider.controller.inventory import Inventory, Store
from lbprovider.controller.leading import lead
from lbprovider.controller.tasks import beside
from lbprovider.deciding.services import CONDITION
from lbprovider.errors import ClusterError
from lbprovider.kube.events import Recorder
from lbprovider.kube.ports import Api, Unreadable
from lbprovider.kube.reflector import Reflector
from lbprovider.settings import ControllerSettings
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

SYSTEM = "lbprovider-system"
SETTINGS = ControllerSettings(namespace=SYSTEM, identity="controller-1")


def run(story: Callable[[World], Awaitable[None]]) -> None:
    """Plays a story in virtual time."""

    async def main(_: Callable[[], float]) -> None:
        await story(World())

    virtual_time.run(main)


class World:
    def __init__(self) -> None:
        self.api = FakeApi()
        self.relisted: Callable[[], None] = lambda: None
        self.deaf: frozenset[str] = frozenset()
        """Kinds, by plural, of which its watches tell nothing more."""
        self.reports: Counter[tuple[str, ...]] = Counter()
        """How often each Event was told, whether written or not: kind, name, reason, message."""
        self.prepare()

    def prepare(self) -> None:
        self.api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name="default")))

    @asynccontextmanager
    async def controller(self, api: Api | None = None, settings: ControllerSettings = SETTINGS) -> AsyncIterator[None]:
        """A leader that has adopted, until the end of the block; then it is gone as after SIGKILL or SIGTERM."""
        ready = asyncio.Event()
        reports = self.reports

        class Counting(Recorder):
            """A real one, which writes what is said again within a minute as one Event."""

            def event(
                self,
                resource: Resource[Any],
                obj: Object,
                kind: Literal["Normal", "Warning"],
                reason: str,
                message: str,
            ) -> None:
                reports[resource.kind, obj.metadata.name, reason, message] += 1
                super().event(resource, obj, kind, reason, message)

        with patch.object(leading, "Recorder", Counting):
            term = lead(api or self.api, settings, self.watch, ready.set)
            async with beside(term):
                await ready.wait()
                yield

    async def watch(self, inventory: Inventory, relisted: Callable[[], None]) -> None:
        """In kopf's place."""
        self.relisted = relisted
        stores: tuple[Any, ...] = (
            inventory.services, inventory.namespaces, inventory.nodes, inventory.segments, inventory.allocations,
        )  # fmt: skip
        async with beside(*(Reflector(self.api, store.resource).run(_Ears(self, store)) for store in stores)):
            await asyncio.get_running_loop().create_future()

    def pool(self, *addresses: str, name: str = "lan", **spec: Any) -> IPAddressPool:
        made = IPAddressPool(
            metadata=ObjectMeta(name=name, namespace=SYSTEM), spec=IPAddressPoolSpec(addresses=addresses, **spec)
        )
        return self.api.write(POOLS, made)

    def advertisement(self, name: str = "all") -> None:
        self.api.write(ADVERTISEMENTS, L2Advertisement(metadata=ObjectMeta(name=name, namespace=SYSTEM)))

    def service(
        self,
        name: str = "web",
        *,
        namespace: str = "default",
        created: str = "2026-01-01T00:00:00Z",
        annotations: Mapping[str, str] = MappingProxyType({}),
        **spec: Any,
    ) -> Service:
        """Creates a Service as the API server would store it."""
        fields: dict[str, Any] = {
            "type": "LoadBalancer", "cluster_ip": "10.96.0.1", "cluster_ips": ("10.96.0.1",), "ip_families": ("IPv4",),
            "ip_family_policy": "SingleStack", "external_traffic_policy": "Cluster", "ports": (ServicePort(port=80),),
        }  # fmt: skip
        metadata = ObjectMeta(name=name, namespace=namespace, creation_timestamp=created, annotations=dict(annotations))
        return self.api.write(SERVICES, Service(metadata=metadata, spec=ServiceSpec(**{**fields, **spec})))

    def edit(self, name: str = "web", **spec: Any) -> Service:
        old = self.stored(name)
        return self.api.write(SERVICES, msgspec.structs.replace(old, spec=msgspec.structs.replace(old.spec, **spec)))

    def show(self, name: str, *addresses: str, manager: str = "kubectl-edit") -> None:
        """Somebody else writes the addresses of a Service's status."""
        old = self.stored(name)
        shown = LoadBalancerStatus(ingress=tuple(LoadBalancerIngress(ip=each, ip_mode="VIP") for each in addresses))
        status = msgspec.structs.replace(old.status, load_balancer=shown)
        self.api.write(SERVICES, msgspec.structs.replace(old, status=status), manager=manager)

    def delete(self, name: str = "web") -> None:
        self.api.remove(SERVICES, name, "default")

    def allocation(self, address: str, *services: Service) -> None:
        """Somebody else gives the address, one of pool lan, to these Services; without any it is set aside."""
        claims = tuple(
            ServiceClaim(namespace=meta.namespace, name=meta.name, uid=meta.uid)
            for meta in (one.metadata for one in services)
        )
        spec = IPAllocationSpec(address=address, pool="lan", services=claims)
        self.api.write(ALLOCATIONS, IPAllocation(metadata=ObjectMeta(name=address), spec=spec))

    def before_first(self, verb: str, plural: str, happens: Callable[[Call], ClusterError | None]) -> None:
        """The first such request is preceded by this, and fails when it returns an error."""

        def fault(call: Call) -> ClusterError | None:
            if (call.verb, call.plural) != (verb, plural):
                return None
            self.api.fault = lambda _: None
            return happens(call)

        self.api.fault = fault

    def speaker(self, node: str, *hears: str, subnets: tuple[str, ...] = ("192.0.2.0/24",)) -> None:
        """Registers what it hears, in the Segment that there is."""
        segment = self.api.objects(SEGMENTS).get("192.0.2.0-24")
        attachment = Attachment(
            segment="192.0.2.0-24", interface="eth0", address=f"192.0.2.{200 + int(node[-1])}",
            mac="02:00:00:00:00:01", subnets=subnets, hears=hears,
            version=0 if segment is None else segment.spec.version,
        )  # fmt: skip
        self.api.write(NODES, Node(metadata=ObjectMeta(name=node)))
        self.register(node, attachment)

    def register(self, node: str, *attachments: Attachment) -> None:
        annotations = {ANNOTATION: Registration(incarnation=1, attachments=attachments).encode()}
        metadata = ObjectMeta(
            name=node, namespace=SYSTEM, annotations=annotations, labels={"lbprovider.io/speaker": ""}
        )
        self.api.write(LEASES, Lease(metadata=metadata))

    def stored(self, name: str = "web") -> Service:
        return self.api.objects(SERVICES)[f"default/{name}"]

    def ingress(self, name: str = "web") -> list[str]:
        return [entry.ip for entry in self.stored(name).status.load_balancer.ingress]

    def reason(self, name: str = "web") -> str:
        """The reason of our condition, with ``!`` before it where that is not True; empty without one."""
        for condition in self.stored(name).status.conditions:
            if condition.type == CONDITION:
                return condition.reason if condition.status == "True" else f"!{condition.reason}"
        return ""

    def held(self) -> dict[str, list[str]]:
        """The names of the Services that hold each address."""
        allocations = self.api.objects(ALLOCATIONS)
        return {key: [claim.name for claim in one.spec.services] for key, one in sorted(allocations.items())}

    def contradictions(self) -> list[str]:
        """Services whose status shows an address that no IPAllocation gives them."""
        held = self.held()
        return [
            service.metadata.name
            for service in self.api.objects(SERVICES).values()
            for entry in service.status.load_balancer.ingress
            if service.metadata.name not in held.get(entry.ip, [])
        ]

    def events(self) -> list[Event]:
        """All Events, each with the count of how often it was told."""

        def told(event: Event) -> int:
            return self.reports[event.involved_object.kind, event.involved_object.name, event.reason, event.message]

        return [msgspec.structs.replace(event, count=told(event)) for event in self.api.objects(EVENTS).values()]

    def warnings(self) -> list[tuple[str, str]]:
        """Name and reason of each Warning on a Service, as often as it was told."""
        return [
            (event.involved_object.name, event.reason)
            for event in self.events()
            if event.involved_object.kind == "Service" and event.type == "Warning"
            for _ in range(event.count)
        ]

    def writes(self, *plurals: str) -> list[str]:
        """``verb plural/subresource name`` of each write, Leases and Events left out unless asked for."""
        return [
            said(call)
            for call in self.api.calls
            if call.verb in ("create", "update", "patch", "delete")
            and (call.plural in plurals if plurals else call.plural not in ("events", "leases"))
        ]


class _Ears:
    def __init__(self, world: World, store: Store[Any]) -> None:
        self.world = world
        self.store = store

    def replaced(self, objects: Sequence[Any], unreadable: Sequence[Unreadable]) -> None:
        self.store.replaced(objects, unreadable)

    def changed(self, obj: Any) -> None:
        if self.store.resource.plural not in self.world.deaf:
            self.store.changed(obj)

    def deleted(self, obj: Object) -> None:
        if self.store.resource.plural not in self.world.deaf:
            self.store.deleted(obj)

    def unreadable(self, unreadable: Unreadable) -> None:
        self.store.unreadable(unreadable)


def said(call: Call) -> str:
    part = f"/{call.subresource}" if call.subresource else ""
    return f"{call.verb} {call.plural}{part} {call.name}"


async def settle(seconds: float = 3.0) -> None:
    """Lets virtual time pass: long enough for coalesced writes."""
    await asyncio.sleep(seconds)
