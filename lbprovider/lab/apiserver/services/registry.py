"""Services: the defaults that they get, what an edit of their type takes away, and what the cluster allocates to them.

As the registry of a dual-stack kube-apiserver whose first family is IPv4. What users may not say is in
``service_causes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from lbprovider.lab.apiserver.services.allocating import NETWORKS, Allocator, NodePort, Unallocated, node_ports
from lbprovider.lab.apiserver.store import Object
from lbprovider.schema.causes import Cause, wrong

HEADLESS: Final = "None"
_STICKY_SECONDS: Final = 10800
_DUAL: Final = ("PreferDualStack", "RequireDualStack")
_EMPTY: Final[tuple[Any, ...]] = ("", [], {}, None, 0)

Spec = Mapping[str, Any]


class Unacceptable(Exception):
    """What a Service asks the cluster for can't be had.

    Args:
        causes: why.
    """

    def __init__(self, causes: list[Cause]) -> None:
        super().__init__("; ".join(map(str, causes)))
        self.causes = causes


def needs_address(spec: Spec) -> bool:
    """Whether a Service of its type has a ClusterIP, or says that it has none."""
    return spec["type"] in ("ClusterIP", "NodePort", "LoadBalancer")


def needs_node_ports(spec: Spec) -> bool:
    """Whether its ports are open on every node."""
    return spec["type"] == "NodePort" or (
        spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
    )


def needs_health_port(spec: Spec) -> bool:
    """Whether each node tells load balancers if it has an endpoint."""
    return spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def is_headless(spec: Spec) -> bool:
    """Whether it has no ClusterIP because it wants none."""
    return spec.get("clusterIP") == HEADLESS or HEADLESS in spec.get("clusterIPs", ())


def prepared(new: Object, old: Object | None, _now: str) -> Object:
    """A Service with the defaults of its fields, and without what the type that it had brought with it."""
    spec = _defaulted(new.get("spec", {}))
    if old is not None:
        spec = _inherited(spec, old["spec"])
    _mirror_address(spec, None if old is None else old["spec"])
    if old is not None:
        spec = _downgraded(_without_leftovers(spec, old["spec"]), old["spec"])
    return {**new, "spec": spec, "status": _status(new.get("status", {}), spec, old)}


def _defaulted(given: Spec) -> Object:
    # As Go's encoder leaves out what is empty; false is no default of any of these.
    spec = {key: value for key, value in given.items() if value is False or value not in _EMPTY}
    kind = spec.setdefault("type", "ClusterIP")
    sticky = spec.setdefault("sessionAffinity", "None") == "ClientIP"
    if sticky:
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": _STICKY_SECONDS}})
    elif spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if "ports" in spec:
        spec["ports"] = [_port(each) for each in spec["ports"]]
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    return spec


def _port(given: Spec) -> Object:
    port = {key: value for key, value in given.items() if key in ("name", "appProtocol") and value}
    return {
        **port,
        "protocol": given.get("protocol") or "TCP",
        "port": given.get("port", 0),
        "targetPort": given.get("targetPort") or given.get("port", 0),
        **({"nodePort": given["nodePort"]} if given.get("nodePort") else {}),
    }


def _inherited(spec: Object, old: Spec) -> Object:
    """What was allocated, where an edit doesn't mention it."""
    if needs_address(spec) and needs_address(old):
        if "clusterIP" not in spec:
            spec["clusterIP"] = old["clusterIP"]
            if spec.get("clusterIPs") in (None, old.get("clusterIPs")):
                spec["clusterIPs"] = old["clusterIPs"]
        elif "clusterIPs" not in spec and spec["clusterIP"] == old["clusterIP"]:
            spec["clusterIPs"] = old["clusterIPs"]
        for field in ("ipFamilies", "ipFamilyPolicy"):
            if field in old and field not in spec:
                spec[field] = old[field]
    if needs_node_ports(spec) and needs_node_ports(old):
        had = {each.get("name", ""): each.get("nodePort") for each in old.get("ports", ())}
        asked = set(node_ports(spec))
        spec["ports"] = [_with_node_port(each, had, asked) for each in spec.get("ports", ())]
    if needs_health_port(spec) and needs_health_port(old) and "healthCheckNodePort" not in spec:
        spec["healthCheckNodePort"] = old["healthCheckNodePort"]
    return spec


def _with_node_port(port: Object, had: Mapping[str, int | None], asked: set[NodePort]) -> Object:
    number = had.get(port.get("name", ""))
    if "nodePort" in port or number is None or (port["protocol"], number) in asked:
        return port
    return {**port, "nodePort": number}


def _mirror_address(spec: Object, old: Spec | None) -> None:
    """``clusterIP`` and the first of ``clusterIPs`` are one; who edits one only means both."""
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs")
    if old is None:
        if address and not addresses:
            spec["clusterIPs"] = [address]
    elif address and address != old.get("clusterIP") and addresses in (None, old.get("clusterIPs")):
        spec["clusterIPs"] = [address]


def _without_leftovers(spec: Object, old: Spec) -> Object:
    """What the old type needed and the new one doesn't have; said anew, it is the user's mistake and stays."""
    gone: set[str] = set()
    if needs_address(old) and not needs_address(spec):
        gone |= {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"}
    if needs_health_port(old) and not needs_health_port(spec):
        gone.add("healthCheckNodePort")
    if old["type"] == "LoadBalancer" != spec["type"]:
        gone |= {"allocateLoadBalancerNodePorts", "loadBalancerClass"}
    if old["type"] in ("LoadBalancer", "NodePort") and spec["type"] not in ("LoadBalancer", "NodePort"):
        gone.add("externalTrafficPolicy")
    kept = {key: value for key, value in spec.items() if key not in gone or value != old.get(key)}
    lost_ports = old["type"] in ("LoadBalancer", "NodePort") and spec["type"] not in ("LoadBalancer", "NodePort")
    if lost_ports and set(node_ports({"ports": spec.get("ports", ())})) <= set(node_ports(old)) and "ports" in spec:
        kept["ports"] = [{k: v for k, v in each.items() if k != "nodePort"} for each in spec["ports"]]
    return kept


def _downgraded(spec: Object, old: Spec) -> Object:
    """From two families to one: the second goes unless somebody insists on it."""
    same = all(spec.get(field) == old.get(field) for field in ("clusterIPs", "ipFamilies"))
    if old.get("ipFamilyPolicy") in _DUAL and spec.get("ipFamilyPolicy") == "SingleStack" and same:
        for field in ("clusterIPs", "ipFamilies"):
            if field in spec:
                spec = {**spec, field: spec[field][:1]}
    return spec


def _status(status: Spec, spec: Spec, old: Object | None) -> Object:
    balancer = status.get("loadBalancer", {})
    left = old is not None and old["spec"]["type"] == "LoadBalancer" != spec["type"]
    ingress = [] if left else balancer.get("ingress", [])
    if spec["type"] == "LoadBalancer":
        ingress = [{**each, "ipMode": each.get("ipMode") or "VIP"} if each.get("ip") else each for each in ingress]
    conditions = [_condition(each) for each in status.get("conditions", ())]
    return {
        "loadBalancer": {"ingress": ingress} if ingress else {},
        **({"conditions": conditions} if conditions else {}),
    }


def _condition(given: Spec) -> Object:
    return {"type": "", "status": "", "lastTransitionTime": None, "reason": "", "message": "", **given}


class Registry:
    """Gives Services what they get from the cluster.

    Args:
        allocator: knows what is taken.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator

    def completed(self, new: Object, old: Object | None) -> Object:
        """A Service that is right, with its families, ClusterIPs and node ports.

        Raises:
            Unacceptable: it can't have what it asks for.
        """
        spec = dict(new["spec"])
        before = old["spec"] if old is not None else {"type": "ExternalName"}
        if needs_address(spec):
            self._families(spec)
            if not is_headless(spec):
                self._addresses(spec, before)
        self._ports(spec, before)
        return {**new, "spec": spec}

    def _families(self, spec: Object) -> None:
        addresses = [each for each in spec.get("clusterIPs", ()) if each != HEADLESS]
        families = list(spec.get("ipFamilies", ()))
        families += [family_of(each) for each in addresses[len(families) :]]
        policy = spec.get("ipFamilyPolicy")
        if policy is None:
            free = is_headless(spec) and not spec.get("selector") and not families
            policy = "RequireDualStack" if free else "SingleStack"
        first = families[:1] or [next(iter(NETWORKS))]
        if policy in _DUAL:
            families = (
                families[:2] if len(families) > 1 else [*first, *(each for each in NETWORKS if each not in first)]
            )
        elif len(families) > 1:
            said = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
            if len(addresses) > 1 and "ipFamilies" not in spec:
                said = "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"
            raise Unacceptable([wrong("spec.ipFamilyPolicy", policy, said)])
        else:
            families = first
        spec["ipFamilies"], spec["ipFamilyPolicy"] = families, policy

    def _addresses(self, spec: Object, before: Spec) -> None:
        asked, held = list(spec.get("clusterIPs", ())), before.get("clusterIPs", ())
        given = []
        for index, family in enumerate(spec["ipFamilies"]):
            address = asked[index] if index < len(asked) else ""
            try:
                if not address:
                    address = self._allocator.address(family)
                elif address not in held:
                    self._allocator.check_address(address, family)
            except Unallocated as error:
                said = (
                    f"failed to allocate IP {address}: {error}"
                    if address
                    else f"failed to allocate a serviceIP: {error}"
                )
                raise Unacceptable([wrong("spec.clusterIPs", asked, said)]) from None
            given.append(address)
        spec["clusterIP"], spec["clusterIPs"] = given[0], given

    def _ports(self, spec: Object, before: Spec) -> None:
        held = set(node_ports(before))
        own: set[NodePort] = set()
        ports: list[Spec] = []
        for index, port in enumerate(spec.get("ports", ())):
            number = port.get("nodePort")
            try:
                if number:
                    if (port["protocol"], number) not in held or (port["protocol"], number) in own:
                        self._allocator.check_port((port["protocol"], number), own)
                elif needs_node_ports(spec):
                    # One number for one port of several protocols, as DNS has.
                    same = [n for (_, n), p in zip(own, ports, strict=False) if p["port"] == port["port"]]
                    number = same[0] if same else self._allocator.port(own)
            except Unallocated as error:
                raise Unacceptable([wrong(f"spec.ports[{index}].nodePort", number, str(error))]) from None
            if number:
                own.add((port["protocol"], number))
            ports.append({**port, "nodePort": number} if number else port)
        if ports:
            spec["ports"] = ports
        if needs_health_port(spec) and "healthCheckNodePort" not in spec:
            spec["healthCheckNodePort"] = self._allocator.port(own)


def family_of(address: str) -> str:
    """``IPv4`` or ``IPv6``."""
    return f"IPv{ip_address(address).version}"
