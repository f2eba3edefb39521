"""What is wrong with a Service, in the words and the order of a kube-apiserver.

Pure. It looks at a Service that has its defaults (``services.prepared``) and no ClusterIP yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_interface
from itertools import chain
from typing import Any, Final

from lbprovider.lab.apiserver.services.registry import (
    HEADLESS,
    family_of,
    is_headless,
    needs_address,
    needs_health_port,
)
from lbprovider.lab.apiserver.store import Object
from lbprovider.schema import syntax
from lbprovider.schema.causes import DUPLICATE, FORBIDDEN, NOT_SUPPORTED, Cause, quoted, required, wrong

_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PORTS: Final = range(1, 65536)
_DAY: Final = 86400
_PORT_NAME_LENGTH: Final = 15
_NO_ADDRESS: Final = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NO_CIDR: Final = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_LOAD_BALANCERS_ONLY: Final = "may only be used when `type` is 'LoadBalancer'"
_FIXED: Final = "may not change once set"

Spec = Mapping[str, Any]
Check = Callable[[Spec], Iterator[Cause]]


def causes(new: Object, old: Object | None) -> Iterator[Cause]:
    """All that is wrong; with ``old`` also what an edit may not change."""
    if old is not None:
        yield from _changes(new["spec"], old["spec"])
    for check in _CHECKS:
        yield from check(new["spec"])
    if old is not None:
        yield from _class_changes(new["spec"], old["spec"])
    yield from _ingress(new["spec"], new["status"])


def _forbidden(field: str, why: str) -> Cause:
    return Cause(field, f"Forbidden: {why}", FORBIDDEN)


def _one_of(field: str, value: Any, allowed: Sequence[str]) -> Iterator[Cause]:
    if value not in allowed:
        said = f"Unsupported value: {quoted(value)}: supported values: {', '.join(map(quoted, allowed))}"
        yield Cause(field, said, NOT_SUPPORTED)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a scope


# --- what an edit may not change


def _changes(new: Spec, old: Spec) -> Iterator[Cause]:
    if needs_address(new) and needs_address(old):
        before, after = old.get("clusterIPs", ()), new.get("clusterIPs", ())
        if before and after and before[0] != after[0]:
            yield wrong("spec.clusterIPs[0]", after, _FIXED)
        elif len(before) > 1 and len(after) > 1 and before[1] != after[1]:
            yield wrong("spec.clusterIPs[1]", after, _FIXED)
    if needs_health_port(new) and needs_health_port(old):
        field = "healthCheckNodePort"
        if new.get(field) != old.get(field):
            yield _forbidden(f"spec.{field}", "field is immutable")


def _class_changes(new: Spec, old: Spec) -> Iterator[Cause]:
    if new["type"] == "LoadBalancer" == old["type"] and new.get("loadBalancerClass") != old.get("loadBalancerClass"):
        yield wrong("spec.loadBalancerClass", new.get("loadBalancerClass"), _FIXED)


# --- the spec


def _ports_there(spec: Spec) -> Iterator[Cause]:
    if not spec.get("ports") and not is_headless(spec) and spec["type"] != "ExternalName":
        yield required("spec.ports")


def _type_needs(spec: Spec) -> Iterator[Cause]:
    kind = spec["type"]
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        yield wrong("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        if spec.get("clusterIPs"):
            yield _forbidden("spec.clusterIPs", "may not be set for ExternalName services")
        name = spec.get("externalName", "")
        if not name:
            yield required("spec.externalName")
        else:
            yield from (wrong("spec.externalName", name, why) for why in syntax.subdomain(name.removesuffix(".")))


def _each_port(spec: Spec) -> Iterator[Cause]:
    ports = spec.get("ports", ())
    names: set[str] = set()
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{field}.name")
        elif name:
            yield from (wrong(f"{field}.name", name, why) for why in syntax.label(name))
            if name in names:
                yield Cause(f"{field}.name", f"Duplicate value: {quoted(name)}", DUPLICATE)
            names.add(name)
        yield from _number(f"{field}.port", port["port"])
        yield from _one_of(f"{field}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
        yield from _target(f"{field}.targetPort", port["targetPort"])
        if "appProtocol" in port:
            said = syntax.qualified_name(port["appProtocol"])
            yield from (wrong(f"{field}.appProtocol", port["appProtocol"], why) for why in said)


def _number(field: str, port: int) -> Iterator[Cause]:
    if port not in _PORTS:
        yield wrong(field, port, f"must be between {_PORTS[0]} and {_PORTS[-1]}, inclusive")


def _target(field: str, port: int | str) -> Iterator[Cause]:
    if isinstance(port, int):
        yield from _number(field, port)
        return
    for broken, said in (
        (len(port) > _PORT_NAME_LENGTH, f"must be no more than {_PORT_NAME_LENGTH} characters"),
        (
            not re.fullmatch(r"[-a-z0-9]+", port),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (not re.search(r"[a-z]", port), "must contain at least one letter (a-z)"),
        ("--" in port, "must not contain consecutive hyphens"),
        (port.startswith("-") or port.endswith("-"), "must not begin or end with a hyphen"),
    ):
        if broken:
            yield wrong(field, port, said)


def _selector(spec: Spec) -> Iterator[Cause]:
    for key, value in spec.get("selector", {}).items():
        yield from (wrong("spec.selector", key, why) for why in syntax.qualified_name(key))
        yield from (wrong("spec.selector", value, why) for why in syntax.label_value(value))


def _affinity(spec: Spec) -> Iterator[Cause]:
    yield from _one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    seconds = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds")
    if spec["sessionAffinity"] == "ClientIP" and not (seconds is not None and 0 < seconds <= _DAY):
        field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield wrong(field, seconds, f"must be greater than 0 and less than {_DAY}")


def _addresses(spec: Spec) -> Iterator[Cause]:
    if not needs_address(spec):
        return
    families, addresses = spec.get("ipFamilies", ()), spec.get("clusterIPs", ())
    if "ipFamilyPolicy" in spec:
        allowed = ("PreferDualStack", "RequireDualStack", "SingleStack")
        yield from _one_of("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], allowed)
    if addresses and not spec.get("clusterIP"):
        yield wrong("spec.clusterIPs", addresses, "must be empty when `clusterIP` is not specified")
    elif addresses and addresses[0] != spec.get("clusterIP"):
        yield wrong("spec.clusterIPs", addresses, "first value must match `clusterIP`")
    for index, family in enumerate(families):
        yield from _one_of(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"))
        if family in families[:index]:
            yield Cause(f"spec.ipFamilies[{index}]", f"Duplicate value: {quoted(family)}", DUPLICATE)
    yield from _each_address(addresses, families)


def _each_address(addresses: Sequence[str], families: Sequence[str]) -> Iterator[Cause]:
    for index, address in enumerate(addresses):
        field = f"spec.clusterIPs[{index}]"
        if address == HEADLESS and index == 0:
            if len(addresses) > 1:
                yield wrong("spec.clusterIPs", addresses, "'None' must be the first and only value")
            return
        if not _is_address(address):
            yield wrong(field, address, _NO_ADDRESS)
        elif index < len(families) and families[index] != family_of(address):
            said = f"expected an {families[index]} value as indicated by `ipFamilies[{index}]`"
            yield wrong(field, address, said)
    found = [family_of(each) for each in addresses if _is_address(each)]
    if len(found) > len(set(found)):
        yield wrong("spec.clusterIPs", addresses, "may specify no more than one IP for each IP family")


def _external_addresses(spec: Spec) -> Iterator[Cause]:
    for index, address in enumerate(spec.get("externalIPs", ())):
        field = f"spec.externalIPs[{index}]"
        if not _is_address(address):
            yield wrong(field, address, _NO_ADDRESS)
            continue
        parsed = ip_address(address)
        for is_so, said in (
            (parsed.is_unspecified, f"may not be unspecified ({address})"),
            (parsed.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
            (parsed.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ):
            if is_so:
                yield wrong(field, address, said)


def _type(spec: Spec) -> Iterator[Cause]:
    yield from _one_of("spec.type", spec["type"], _TYPES)


def _node_ports(spec: Spec) -> Iterator[Cause]:
    if spec["type"] == "ClusterIP":
        for index, port in enumerate(spec.get("ports", ())):
            if "nodePort" in port:
                yield _forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")


def _distinct_ports(spec: Spec) -> Iterator[Cause]:
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.get("ports", ())):
        key = port["protocol"], port["port"]
        if key in seen:
            value = {
                "Name": "",
                "Protocol": key[0],
                "AppProtocol": None,
                "Port": key[1],
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield Cause(f"spec.ports[{index}]", f"Duplicate value: {quoted(value)}", DUPLICATE)
        seen.add(key)


def _source_ranges(spec: Spec) -> Iterator[Cause]:
    field = "spec.LoadBalancerSourceRanges"  # as a kube-apiserver spells it
    ranges = spec.get("loadBalancerSourceRanges", ())
    if ranges and spec["type"] != "LoadBalancer":
        yield _forbidden(field, _LOAD_BALANCERS_ONLY)
        return
    for index, each in enumerate(ranges):
        try:
            ip_interface(each.strip())
            parsed = "/" in each
        except ValueError:
            parsed = False
        if not parsed:
            yield wrong(f"{field}[{index}]", each, _NO_CIDR)


def _balancer(spec: Spec) -> Iterator[Cause]:
    if spec["type"] != "LoadBalancer":
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if field in spec:
                yield _forbidden(f"spec.{field}", _LOAD_BALANCERS_ONLY)
    elif "loadBalancerClass" in spec:
        name = spec["loadBalancerClass"]
        yield from (wrong("spec.loadBalancerClass", name, why) for why in syntax.qualified_name(name))


def _policies(spec: Spec) -> Iterator[Cause]:
    outside, allowed = spec.get("externalTrafficPolicy"), ("Cluster", "Local")
    if outside and spec["type"] not in ("LoadBalancer", "NodePort") and not spec.get("externalIPs"):
        yield wrong("spec.externalTrafficPolicy", outside, "may only be set for externally-accessible services")
    elif outside:
        yield from _one_of("spec.externalTrafficPolicy", outside, allowed)
    if "internalTrafficPolicy" in spec:
        yield from _one_of("spec.internalTrafficPolicy", spec["internalTrafficPolicy"], allowed)


def _health_port(spec: Spec) -> Iterator[Cause]:
    port = spec.get("healthCheckNodePort")
    if port and not needs_health_port(spec):
        said = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield wrong("spec.healthCheckNodePort", port, said)


_CHECKS: Final[tuple[Check, ...]] = (
    _ports_there,
    _type_needs,
    _each_port,
    _selector,
    _affinity,
    _addresses,
    _external_addresses,
    _type,
    _node_ports,
    _distinct_ports,
    _source_ranges,
    _balancer,
    _policies,
    _health_port,
)


# --- the status


def _ingress(spec: Spec, status: Mapping[str, Any]) -> Iterator[Cause]:
    entries = status["loadBalancer"].get("ingress", ())
    if entries and spec["type"] != "LoadBalancer":
        yield _forbidden("status.loadBalancer.ingress", "may only be used when `spec.type` is 'LoadBalancer'")
        return
    yield from chain.from_iterable(_entry(each, index) for index, each in enumerate(entries))


def _entry(entry: Mapping[str, Any], index: int) -> Iterator[Cause]:
    field = f"status.loadBalancer.ingress[{index}]"
    address, mode, host = entry.get("ip", ""), entry.get("ipMode"), entry.get("hostname", "")
    if address and not _is_address(address):
        yield wrong(f"{field}.ip", address, _NO_ADDRESS)
    if mode is not None and not address:
        yield _forbidden(f"{field}.ipMode", "may not be specified when `ip` is not set")
    elif mode is not None:
        yield from _one_of(f"{field}.ipMode", mode, ("Proxy", "VIP"))
    if host:
        yield from (wrong(f"{field}.hostname", host, why) for why in syntax.subdomain(host))
        if _is_address(host):
            yield wrong(f"{field}.hostname", host, "must be a DNS name, not an IP address")
