"""The objects that the lab itself writes, as anybody's manifests would have them. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any, Final, Literal

import msgspec

from lbprovider.api import resources
from lbprovider.api.meta import Object
from lbprovider.api.names import API_VERSION, SERVICE_LABEL, IPNetwork, segment_name
from lbprovider.api.resources import Resource
from lbprovider.election.segment import DEFAULT_PERIOD, NS_PER_MS
from lbprovider.lab import provider
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.lan import LAN4, LAN6, LanNode
from lbprovider.lab.webserver import PORT

HTTP: Final = 80
"""The TCP port of every Service of the lab."""
OFF_LINK: Final = IPv4Network("198.18.0.0/15")
"""RFC 2544: addresses for more Services than the LAN has room for; its client reaches them on the link all the same."""
_FIRST4: Final = LAN4[200]
_ROOM4: Final = 50
_RANGE6: Final = f"{LAN6[0x1000]}-{LAN6[0xFFFF]}"
_DATAGRAMS: Final = 3000
"""Heartbeats in a second, of all nodes together, that leave a machine of two cores time for anything else."""
_A_SERVICE: Final = 0.05
"""Milliseconds that each Service adds, beyond the thousand that the default period has time for."""
LABEL: Final = "web"
"""What stands behind the lab's Services: ``app: web``."""
NAMESPACE: Final = "default"
"""Where they are."""
PROXY: Final = "system:kube-proxy"
"""Who the nodes' data path is to the API server, as in any cluster."""


Family = Literal["IPv4", "IPv6"]


class Manifest(Object, frozen=True, kw_only=True):
    """Any object, with all that was written of it: for whoever applies manifests, and reads no field of them."""

    spec: Any = None
    status: Any = None
    data: Any = None
    rules: Any = None
    role_ref: Any = None
    subjects: Any = None
    automount_service_account_token: Any = None
    address_type: Any = None
    endpoints: Any = None
    ports: Any = None


def _kind(api_version: str, kind: str, plural: str, *, namespaced: bool) -> Resource[Manifest]:
    return Resource(api_version, kind, plural, namespaced, Manifest)


_RBAC: Final = "rbac.authorization.k8s.io/v1"
CRDS: Final = _kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
ENDPOINT_SLICES: Final = _kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", namespaced=True)
NODES: Final = _kind("v1", "Node", "nodes", namespaced=False)
_KINDS: Final[Mapping[tuple[str, str], Resource[Manifest]]] = {
    (each.api_version, each.kind): each
    for each in (
        CRDS,
        ENDPOINT_SLICES,
        NODES,
        _kind("v1", "Namespace", "namespaces", namespaced=False),
        _kind("v1", "ServiceAccount", "serviceaccounts", namespaced=True),
        _kind("v1", "Service", "services", namespaced=True),
        _kind(_RBAC, "ClusterRole", "clusterroles", namespaced=False),
        _kind(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
        _kind(_RBAC, "Role", "roles", namespaced=True),
        _kind(_RBAC, "RoleBinding", "rolebindings", namespaced=True),
        *(
            _kind(each.api_version, each.kind, each.plural, namespaced=each.namespaced)
            for each in (resources.POOLS, resources.ADVERTISEMENTS, resources.SEGMENTS, resources.ALLOCATIONS)
        ),
    )
}


def read(document: Mapping[str, Any]) -> tuple[Resource[Manifest], Manifest]:
    """A manifest's kind, and its content.

    Raises:
        KeyError: the lab knows no such kind: a bug, as it reads only what is shipped.
    """
    return _KINDS[document["apiVersion"], document["kind"]], msgspec.convert(dict(document), Manifest)


def ranges(services: int, *, ipv6: bool) -> tuple[str, ...]:
    """What the lab's pool gives out, for so many Services: addresses of the LAN, and of both families if asked."""
    of_the_lan = f"{_FIRST4}-{_FIRST4 + _ROOM4 - 1}"
    more = (str(OFF_LINK),) if services > _ROOM4 else ()
    return (of_the_lan, *more, *((_RANGE6,) if ipv6 else ()))


def pool(name: str, addresses: Sequence[str]) -> dict[str, Any]:
    """An IPAddressPool."""
    spec = {"addresses": list(addresses), "avoidBuggyIPs": True}
    return _ours("IPAddressPool", name, spec)


def advertisement(name: str) -> dict[str, Any]:
    """An L2Advertisement of the pool of the same name."""
    return _ours("L2Advertisement", name, {"ipAddressPools": [name]})


def _ours(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": provider.NAMESPACE},
        "spec": dict(spec),
    }


def period(nodes: int, services: int) -> int | None:
    """The heartbeat period, in milliseconds, that lets one machine be all of the lab; None where the default does."""
    wish = math.ceil(max(nodes * (nodes - 1) * 1000 / _DATAGRAMS, services * _A_SERVICE))
    return wish if wish > DEFAULT_PERIOD // NS_PER_MS else None


def segment(subnets: Sequence[IPNetwork], period: int) -> dict[str, Any]:
    """A Segment without members yet, with the admin's wish for its heartbeat period in milliseconds."""
    spec = {"subnets": [str(each) for each in subnets], "heartbeatPeriod": period}
    name = segment_name(subnets, "")
    return {"apiVersion": API_VERSION, "kind": "Segment", "metadata": {"name": name}, "spec": spec}


def service(name: str, *, dual_stack: bool) -> dict[str, Any]:
    """A Service of type LoadBalancer that every node's web server stands behind."""
    families = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]} if dual_stack else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "type": "LoadBalancer",
            # Two thousand and more would use up the range of node ports, and nobody asks at one.
            "allocateLoadBalancerNodePorts": False,
            "selector": {"app": LABEL},
            "ports": [{"name": "http", "port": HTTP, "targetPort": PORT, "protocol": "TCP"}],
            **families,
        },
    }


def endpoint_slice(namespace: str, service: str, family: Family, servers: Mapping[str, Address]) -> dict[str, Any]:
    """What kube-controller-manager would make for a Service.

    Args:
        namespace: of the Service.
        service: its name.
        family: of the addresses.
        servers: the web servers behind it: the address of each, by its node.
    """
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-{family.lower()}",
            "namespace": namespace,
            "labels": {SERVICE_LABEL: service},
        },
        "addressType": family,
        "endpoints": [
            {
                "addresses": [str(address)],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": node,
            }
            for node, address in servers.items()
        ],
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
    }


def proxy_rights() -> tuple[dict[str, Any], ...]:
    """What a real API server brings along for kube-proxy: here as much of it as the nodes' data path needs."""
    name = "system:node-proxier"
    return (
        {
            "apiVersion": _RBAC,
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"]}],
        },
        {
            "apiVersion": _RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": PROXY}],
        },
    )


def node(place: LanNode) -> dict[str, Any]:
    """A Node, without its status."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": place.name,
            "labels": {"kubernetes.io/hostname": place.name, "kubernetes.io/os": "linux"},
        },
        "spec": {"podCIDR": str(place.pods4), "podCIDRs": [str(place.pods4), str(place.pods6)]},
    }


def node_status(place: LanNode, now: dt.datetime) -> dict[str, Any]:
    """The status of a Node whose kubelet says that it is ready."""
    room = {"cpu": "2", "memory": "4Gi", "pods": "110"}
    return {
        "addresses": [
            {"type": "InternalIP", "address": str(place.address4)},
            {"type": "InternalIP", "address": str(place.address6)},
            {"type": "Hostname", "address": place.name},
        ],
        "capacity": room,
        "allocatable": room,
        "conditions": [ready_condition(now, ready=True)],
    }


def ready_condition(now: dt.datetime, *, ready: bool) -> dict[str, Any]:
    """The condition Ready of a Node: True, or Unknown as the node lifecycle controller says of one that is silent."""
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "reason": "KubeletReady" if ready else "NodeStatusUnknown",
        "message": "",
        "lastHeartbeatTime": at,
        "lastTransitionTime": at,
    }
