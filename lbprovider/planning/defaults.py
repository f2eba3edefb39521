"""What an API server, or a cluster, adds to a manifest and a plan can't do without; see docs/plan.md.

A Service's families are in its ``clusterIPs`` once it is made. Before that they follow from ``ipFamilies`` and
``ipFamilyPolicy``, for a cluster that has both families and IPv4 first (alloc.go, initIPFamilyFields).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

import msgspec

from lbprovider.api.core import Namespace, Service, ServiceSpec
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import ADVERTISEMENTS, LEASES, POOLS, Resource
from lbprovider.ipam.ranges import FAMILIES, Family, family_of

NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""On every Namespace: its name (KEP-2161)."""

_OURS: Final = frozenset({POOLS.kind, ADVERTISEMENTS.kind, LEASES.kind})
"""Kinds that are read from the namespace that lbprovider runs in."""
_NO_ADDRESS: Final[Mapping[Family, str]] = {"IPv4": "0.0.0.0", "IPv6": "::"}  # noqa: S104  (nothing binds to it)
"""Stands for a cluster IP that isn't known: all that is asked of one is its family."""
_OWNED: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
"""Of metadata: the API server's own, whatever a manifest says."""
_FAMILY_FIELDS: Final = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


def namespaced(raw: Mapping[str, Any], resource: Resource[Any], ours: str) -> dict[str, Any]:
    """The object in the namespace that it belongs to where it names none; ``ours`` for what we read from there."""
    metadata = dict(raw.get("metadata") or {})
    if resource.namespaced:
        metadata["namespace"] = metadata.get("namespace") or (ours if resource.kind in _OURS else "default")
    else:
        metadata.pop("namespace", None)
    return {**raw, "metadata": metadata}


def overlaid(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """An object after a manifest of the same name was applied to it.

    What the API server and controllers keep stays: who it is, its status, and of a Service the cluster IPs as far as
    the manifest leaves its families as they are.
    """
    before = old.get("metadata") or {}
    kept = {name: before[name] for name in _OWNED if before.get(name)}
    found = {**new, "metadata": {**(new.get("metadata") or {}), **kept}}
    if _says_something(old.get("status")):
        found["status"] = old["status"]
    if old.get("kind") == "Service":
        found["spec"] = _with_families(old.get("spec") or {}, new.get("spec") or {})
    return found


def _says_something(status: Any) -> bool:
    """Whether there is a value in it anywhere: ``kubectl create --dry-run`` writes ``loadBalancer: {}``."""
    return any(map(_says_something, status.values())) if isinstance(status, Mapping) else bool(status)


def _with_families(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: new[name] for name in _FAMILY_FIELDS if new.get(name)}
    had = {name: old[name] for name in _FAMILY_FIELDS if old.get(name)}
    if all(had.get(name) == value for name, value in said.items()):
        return {**new, **had}
    # Other families than it had: only the first of them stays what it is.
    first = {"ipFamilies": had["ipFamilies"][:1]} if had.get("ipFamilies") else {}
    return {**first, **new}


def service(found: Service) -> Service:
    """The Service with its families, and with cluster IPs of them; its name stands in for the uid."""
    families = _families(found.spec)
    spec = msgspec.structs.replace(
        found.spec,
        ip_families=families,
        cluster_ips=_cluster_ips(found.spec) or tuple(_NO_ADDRESS[family] for family in families),
    )
    metadata = msgspec.structs.replace(found.metadata, uid=found.metadata.uid or found.key)
    return msgspec.structs.replace(found, metadata=metadata, spec=spec)


def _families(spec: ServiceSpec) -> tuple[Family, ...]:
    given = tuple(dict.fromkeys(family_of(ip_address(text)) for text in _cluster_ips(spec)))
    families = given or spec.ip_families or FAMILIES[:1]
    both = spec.ip_family_policy == "RequireDualStack" or (spec.ip_family_policy == "PreferDualStack" and not given)
    return (*families, *(family for family in FAMILIES if both and family not in families))


def _cluster_ips(spec: ServiceSpec) -> tuple[str, ...]:
    return tuple(text for text in spec.cluster_ips or (spec.cluster_ip,) if _is_address(text))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def namespace(name: str, found: Namespace | None) -> Namespace:
    """The Namespace, with the label that each has."""
    labels = {} if found is None else found.metadata.labels
    metadata = ObjectMeta(name=name) if found is None else found.metadata
    return Namespace(metadata=msgspec.structs.replace(metadata, labels={**labels, NAME_LABEL: name}))
