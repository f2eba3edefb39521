"""Kubernetes' own kinds, as far as we read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from lbprovider.api.meta import Condition, Object, Struct


class ServicePort(Struct, frozen=True):
    """One port that a Service listens on."""

    port: int
    protocol: str = "TCP"
    name: str = ""


class ServiceSpec(Struct, frozen=True):
    """``spec`` of a Service."""

    type: str = "ClusterIP"
    load_balancer_class: str | None = None
    load_balancer_ip: str = msgspec.field(name="loadBalancerIP", default="")
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = msgspec.field(name="clusterIPs", default=())
    ip_families: tuple[Literal["IPv4", "IPv6"], ...] = ()
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    external_traffic_policy: Literal["Cluster", "Local", ""] = ""
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = {}


class LoadBalancerIngress(Struct, frozen=True):
    """One entry of ``status.loadBalancer.ingress``. The API server adds ``ipMode: VIP`` where ``ip`` comes alone."""

    ip: str = ""
    hostname: str = ""
    ip_mode: str | None = None


class LoadBalancerStatus(Struct, frozen=True):
    """``status.loadBalancer``."""

    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(Struct, frozen=True):
    """``status`` of a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: tuple[Condition, ...] = ()


class Service(Object, frozen=True):
    """A Service."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class Namespace(Object, frozen=True):
    """A Namespace: its labels decide which pools are pinned to it, and kube-system's uid identifies the cluster."""


class Taint(Struct, frozen=True):
    """A taint of a Node; its effect is on Pods, and none of an address."""

    key: str


class NodeSpec(Struct, frozen=True):
    """``spec`` of a Node."""

    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False


class NodeCondition(Struct, frozen=True):
    """One condition of a Node; ``status`` is True, False or Unknown."""

    type: str
    status: str


class NodeStatus(Struct, frozen=True):
    """``status`` of a Node."""

    conditions: tuple[NodeCondition, ...] = ()


class Node(Object, frozen=True):
    """A Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    def condition(self, kind: str) -> str:
        """The status of a condition, ``Unknown`` where the Node has none of that type."""
        return next((c.status for c in self.status.conditions if c.type == kind), "Unknown")


class LeaseSpec(Struct, frozen=True):
    """``spec`` of a Lease. Times are RFC 3339 with microseconds."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(Object, frozen=True):
    """A coordination.k8s.io/v1 Lease."""

    spec: LeaseSpec = LeaseSpec()


class EndpointConditions(Struct, frozen=True):
    """What an endpoint is able to. Unset: ``ready`` means True; ``serving`` then is as ``ready`` (discovery/v1)."""

    ready: bool | None = None
    serving: bool | None = None


class Endpoint(Struct, frozen=True):
    """One endpoint of a Service; whoever makes slices by hand may leave the node out."""

    node_name: str | None = None
    conditions: EndpointConditions = EndpointConditions()


class EndpointSlice(Object, frozen=True):
    """A discovery.k8s.io/v1 EndpointSlice: some of a Service's endpoints; null where it has none.

    ``address_type`` is that of all of them: IPv4, IPv6, or FQDN, which kube-proxy leaves out.
    """

    address_type: str = ""
    endpoints: tuple[Endpoint, ...] | None = None


class Secret(Object, frozen=True):
    """A Secret; ``data`` values are base64."""

    data: Mapping[str, str] = {}


class ObjectReference(Struct, frozen=True):
    """What an Event is about."""

    kind: str
    name: str
    api_version: str = "v1"
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class EventSource(Struct, frozen=True):
    """Who says it."""

    component: str = ""
    host: str = ""


class Event(Object, frozen=True, kw_only=True):
    """A core/v1 Event, as ``kubectl describe`` lists it. Times are RFC 3339, UTC."""

    involved_object: ObjectReference
    reason: str
    message: str
    type: Literal["Normal", "Warning"]
    source: EventSource
    first_timestamp: str
    last_timestamp: str
    count: int = 0
    reporting_component: str = ""
    reporting_instance: str = ""
