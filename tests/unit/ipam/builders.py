"""Pools, Services and what the controller does with a decision, short enough to read in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Literal

from lbprovider.api.core import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec, ServiceAllocation
from lbprovider.ipam.assign import Assigned, assign
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.reasons import Refused
from lbprovider.ipam.request import Request, request_of
from lbprovider.ipam.sharing import joined, left

Families = tuple[Literal["IPv4", "IPv6"], ...]
Policy = Literal["SingleStack", "PreferDualStack", "RequireDualStack"]
V4: Families = ("IPv4",)
V6: Families = ("IPv6",)
DUAL: Families = ("IPv4", "IPv6")
PREFER: dict[str, Any] = {"families": DUAL, "policy": "PreferDualStack"}
REQUIRE: dict[str, Any] = {"families": DUAL, "policy": "RequireDualStack"}


def pool(
    name: str,
    *addresses: str,
    created: str = "2026-01-01T00:00:00Z",
    pin: ServiceAllocation | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> IPAddressPool:
    return IPAddressPool(
        metadata=ObjectMeta(name=name, namespace="lb", creation_timestamp=created, annotations=dict(annotations or {})),
        spec=IPAddressPoolSpec(addresses=addresses, service_allocation=pin, **spec),
    )


def pinned(name: str, *addresses: str, **pin: Any) -> IPAddressPool:
    return pool(name, *addresses, pin=ServiceAllocation(**pin))


LAN = pool("lan", "10.0.0.0/29")
FOUR, SIX = pool("four", "10.0.0.0/31"), pool("six", "2001:db8::/127")


def service(
    name: str,
    *,
    namespace: str = "web",
    families: Families = V4,
    policy: Policy | None = None,
    ports: Sequence[int | str] = (80,),
    key: str = "",
    ips: str = "",
    named: str = "",
    status: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    created: str = "2026-02-01T00:00:00Z",
    **spec: Any,
) -> Service:
    """``ports`` are TCP unless written as ``UDP/53``; ``key``, ``ips`` and ``named`` are our three annotations."""
    said = {"allow-shared-ip": key, "loadBalancerIPs": ips, "address-pool": named}
    numbered = [str(port).rpartition("/") for port in ports]
    return Service(
        metadata=ObjectMeta(
            name=name,
            namespace=namespace,
            uid=f"uid-{name}",
            creation_timestamp=created,
            labels=dict(labels or {}),
            annotations={f"lbprovider.io/{k}": v for k, v in said.items() if v} | dict(annotations or {}),
        ),
        spec=ServiceSpec(
            **{
                "type": "LoadBalancer",
                "cluster_ips": tuple("10.96.0.9" if family == "IPv4" else "fd00::9" for family in families),
                "ip_families": families,
                "ip_family_policy": policy or ("RequireDualStack" if len(families) > 1 else "SingleStack"),
                "ports": tuple(ServicePort(port=int(port), protocol=proto or "TCP") for proto, _, port in numbered),
                **spec,
            }
        ),
        status=ServiceStatus(
            load_balancer=LoadBalancerStatus(ingress=tuple(LoadBalancerIngress(ip=ip) for ip in status))
        ),
    )


def request(name: str, *, namespace_labels: Mapping[str, str] | None = None, **given: Any) -> Request:
    made = request_of(service(name, **given), namespace_labels or {})
    assert isinstance(made, Request), made
    return made


def refusal(decision: Assigned | Refused) -> Refused:
    assert isinstance(decision, Refused), decision
    return decision


def success(decision: Assigned | Refused) -> Assigned:
    assert isinstance(decision, Assigned), decision
    return decision


class World:
    """Pools and a ledger, and Services that come, change and go."""

    def __init__(self, *pools: IPAddressPool) -> None:
        self.ledger = Ledger(PoolSet.of(pools))
        self._shown: dict[str, tuple[str, ...]] = {}

    def edit(self, *pools: IPAddressPool) -> None:
        self.ledger.repool(PoolSet.of(pools))

    def decide(self, name: str, **given: Any) -> Assigned | Refused:
        """A Service as it is now is decided, and the decision carried out; its status shows what it got before."""
        if self.ledger.held_by(f"uid-{name}"):
            given.setdefault("status", self._shown.get(name, ()))
        return self.carry_out(request(name, **given))

    def carry_out(self, wish: Request) -> Assigned | Refused:
        decision = assign(wish, self.ledger)
        if isinstance(decision, Assigned):
            for grant in decision.grants:
                self.ledger.put(joined(self.ledger.get(grant.address), wish, grant.address, grant.pool))
        self._shown[wish.name] = tuple(map(str, decision.addresses)) if isinstance(decision, Assigned) else ()
        for address in decision.release:
            self.leave(wish.uid, str(address))
        return decision

    def leave(self, uid: str, address: str, released_at: str = "") -> None:
        spec = left(self.ledger[ip_address(address)], uid, released_at)
        if spec is None:
            self.ledger.drop(ip_address(address))
        else:
            self.ledger.put(spec)

    def get(self, name: str, **given: Any) -> str:
        """The addresses that the decision grants, in order, as one word; the reason where it refuses."""
        decision = self.decide(name, **given)
        if isinstance(decision, Refused):
            return decision.reason
        return " ".join(str(address) for address in decision.addresses)

    def notes(self, name: str, **given: Any) -> list[str]:
        """The addresses it has, then the reasons of what is to be said."""
        decision = self.decide(name, **given)
        assert isinstance(decision, Assigned), decision
        return [str(address) for address in decision.addresses] + [note.reason for note in decision.notes]
