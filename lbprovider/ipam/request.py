"""What a Service asks for, read from the Service alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, Literal

from lbprovider.api import names
from lbprovider.api.allocation import ServiceClaim
from lbprovider.api.core import Service, ServicePort
from lbprovider.api.names import IPAddress
from lbprovider.errors import InvalidObject
from lbprovider.ipam.ranges import Family, family_of
from lbprovider.ipam.reasons import Reason, Refused

Policy = Literal["SingleStack", "PreferDualStack", "RequireDualStack"]

MAX_SHARING_KEY: Final = 1024
"""Characters; what the IPAllocation's schema takes (config/crd)."""
_LAST: Final = "~"
"""Sorts after every RFC 3339 time: an object of a file, not created yet, is younger than all that exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a Service asks for.

    Args:
        namespace: of the Service.
        name: of the Service.
        uid: tells it from a later Service of the same name; addresses are held by uid. A Service of a file has
            none yet, and its ``namespace/name`` stands in.
        created: RFC 3339; empty for a Service that doesn't exist yet.
        families: wanted ones, in the order of ``spec.ipFamilies``: one or two.
        policy: what to do when not every family can be had.
        requested: addresses asked for, at most one a family.
        pool: the pool it names, or empty.
        sharing_key: ``allow-shared-ip``, or empty: then the address is its own.
        backend_key: equal for Services that may share an address, as far as backends are concerned.
        ports: of the Service.
        local: its externalTrafficPolicy is Local.
        version: its resourceVersion; empty for a Service that doesn't exist yet.
        labels: of the Service; pools select by them.
        namespace_labels: of its namespace; pools select by them too.
        status: addresses in its own status, at most one a family: used only where it holds none of that family.
    """

    namespace: str
    name: str
    uid: str
    created: str
    families: tuple[Family, ...]
    policy: Policy
    requested: Mapping[Family, IPAddress]
    pool: str
    sharing_key: str
    backend_key: str
    ports: tuple[ServicePort, ...]
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    status: Mapping[Family, IPAddress]
    local: bool = False
    version: str = ""

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def age(self) -> tuple[str, str, str, str]:
        """Sorts older Services first, and equally old ones the same way in every replica."""
        return (self.created or _LAST, self.namespace, self.name, self.uid)

    @property
    def claim(self) -> ServiceClaim:
        """How it appears in the IPAllocation of its address."""
        return ServiceClaim(
            namespace=self.namespace,
            name=self.name,
            uid=self.uid,
            ports=self.ports,
            external_traffic_policy="Local" if self.local else "Cluster",
            resource_version=self.version,
        )


def is_ours(service: Service, lb_class: str, *, default_class: bool) -> bool:
    """Whether the Service is for us: by type, class, and not being deleted.

    Our class always, no class only where ``default_class`` says so, another class never. One that is marked for
    deletion is no longer ours: its addresses are let go while finalizers of others run. DESIGN §2.
    """
    wanted = service.spec.load_balancer_class
    return (
        service.spec.type == "LoadBalancer"
        and service.metadata.deletion_timestamp is None
        and (default_class if wanted is None else wanted == lb_class)
    )


def request_of(service: Service, namespace_labels: Mapping[str, str]) -> Request | Refused:
    """What the Service asks for, or why that makes no sense (whatever the pools are).

    A refusal here changes nothing: the Service keeps what it holds. ``NO_CLUSTER_IPS`` is quiet (``reasons.QUIET``).
    """
    families = _families(service)
    if not families:
        return Refused(Reason.NO_CLUSTER_IPS, "spec.clusterIPs is empty; the API server fills it in.")
    policy = _policy(service, families)
    if policy == "SingleStack":
        families = families[:1]
    annotations = service.metadata.annotations
    try:
        asked = _requested(service)
        pool = names.alias(annotations, names.ADDRESS_POOL) or ""
        sharing_key = names.alias(annotations, names.ALLOW_SHARED_IP) or ""
    except InvalidObject as error:
        return Refused(Reason.CONTRADICTING_REQUEST, f"{error}.")
    if isinstance(asked, Refused):
        return asked
    if len(sharing_key) > MAX_SHARING_KEY:
        return Refused(
            Reason.INVALID_SHARING_KEY,
            f"The annotation {names.ALLOW_SHARED_IP} has {len(sharing_key)} characters; use {MAX_SHARING_KEY} at most.",
        )
    return _mismatch(asked, families, policy) or Request(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        uid=service.metadata.uid or service.key,
        created=service.metadata.creation_timestamp,
        families=families,
        policy=policy,
        requested=asked,
        pool=pool,
        sharing_key=sharing_key,
        backend_key=_backend_key(service),
        ports=service.spec.ports,
        labels=service.metadata.labels,
        namespace_labels=namespace_labels,
        status=_status(service, families),
        local=service.spec.external_traffic_policy == "Local",
        version=service.metadata.resource_version,
    )


def holder_of(service: Service) -> Request:
    """The Service as one that asks for nothing: what it is on the addresses that it holds (``sharing.stays``).

    For one whose request makes no sense: its ports and its traffic policy count all the same.
    """
    meta = service.metadata
    return Request(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid or service.key,
        created=meta.creation_timestamp,
        families=_families(service),
        policy="SingleStack",
        requested={},
        pool="",
        sharing_key="",
        backend_key=_backend_key(service),
        ports=service.spec.ports,
        labels=meta.labels,
        namespace_labels={},
        status={},
        local=service.spec.external_traffic_policy == "Local",
        version=meta.resource_version,
    )


def shown_by(service: Service) -> tuple[IPAddress, ...]:
    """The addresses in the Service's status."""
    return tuple(address for entry in service.status.load_balancer.ingress if (address := _parse(entry.ip)))


def _parse(text: str) -> IPAddress | None:
    """The address, or None; a zone (``%eth0``) belongs to a host, not to an address that a cluster gives out."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _families(service: Service) -> tuple[Family, ...]:
    """In the Service's order; empty while it has no cluster IP (``None``, a headless one, is no address)."""
    spec = service.spec
    addresses = [address for text in (spec.cluster_ips or (spec.cluster_ip,)) if (address := _parse(text))]
    if not addresses:
        return ()
    wanted = spec.ip_families or tuple(family_of(address) for address in addresses)
    return tuple(dict.fromkeys(wanted))


def _policy(service: Service, families: tuple[Family, ...]) -> Policy:
    """The API server's own default: two families without a policy are required (alloc.go, initIPFamilyFields)."""
    if len(families) == 1:
        return "SingleStack"
    return service.spec.ip_family_policy or "RequireDualStack"


def _requested(service: Service) -> dict[Family, IPAddress] | Refused:
    """The addresses asked for by annotation or ``spec.loadBalancerIP``."""
    annotation = names.alias(service.metadata.annotations, names.LOAD_BALANCER_IPS) or ""
    field = service.spec.load_balancer_ip.strip()
    forms: list[dict[Family, IPAddress]] = []
    for where, text in (
        (f"annotation {names.ANNOTATION_PREFIXES[0]}{names.LOAD_BALANCER_IPS}", annotation),
        ("spec.loadBalancerIP", field),
    ):
        if not text:
            continue
        form = _listed(where, text)
        if isinstance(form, Refused):
            return form
        forms.append(form)
    if any(form != forms[0] for form in forms):
        return Refused(
            Reason.CONTRADICTING_REQUEST,
            f"The annotation asks for {annotation} and spec.loadBalancerIP for {field}; keep one of them.",
        )
    return forms[0] if forms else {}


def _listed(where: str, text: str) -> dict[Family, IPAddress] | Refused:
    found: dict[Family, IPAddress] = {}
    for item in text.split(","):
        address = _parse(item.strip())
        if address is None:
            return Refused(
                Reason.INVALID_ADDRESS,
                f"{where}: {item.strip()!r} is not an IP address; write one, or one of each family with a comma.",
            )
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            return Refused(
                Reason.INVALID_ADDRESS, f"{where}: {address} is an IPv4-mapped address; write {address.ipv4_mapped}."
            )
        family = family_of(address)
        if family in found:
            return Refused(
                Reason.DUPLICATE_FAMILY,
                f"{where}: {found[family]} and {address} are both {family}; a Service has one address of each family.",
            )
        found[family] = address
    return found


def _mismatch(asked: Mapping[Family, IPAddress], families: tuple[Family, ...], policy: Policy) -> Refused | None:
    for family, address in asked.items():
        if family not in families:
            return Refused(
                Reason.FAMILY_MISMATCH,
                f"{address} is {family}, and the Service is {' and '.join(families)} only; "
                f"ask for another address or change spec.ipFamilies and spec.ipFamilyPolicy.",
            )
    if asked and policy == "RequireDualStack" and len(asked) < len(families):
        given, missing = next(iter(asked.values())), next(family for family in families if family not in asked)
        return Refused(
            Reason.FAMILY_MISMATCH,
            f"Only {given} is requested, and the Service is RequireDualStack; "
            f"add an {missing} address, or make it PreferDualStack.",
        )
    return None


def _backend_key(service: Service) -> str:
    """Equal for Services whose traffic may arrive at the same node.

    Policy Cluster: any node serves, so all are equal. Local: a node serves that has a Pod of the selector, so namespace
    and selector must be equal; without a selector nobody can know, so it is equal to nobody.
    """
    meta, spec = service.metadata, service.spec
    if spec.external_traffic_policy != "Local":
        return ""
    if not spec.selector:
        return f"Local:{meta.namespace}/{meta.name}"
    return f"Local:{meta.namespace}:" + ",".join(f"{key}={value}" for key, value in sorted(spec.selector.items()))


def _status(service: Service, families: tuple[Family, ...]) -> dict[Family, IPAddress]:
    """The first address of each wanted family; hostnames and what is no address are somebody else's, and dropped."""
    return {family: address for address in reversed(shown_by(service)) if (family := family_of(address)) in families}
