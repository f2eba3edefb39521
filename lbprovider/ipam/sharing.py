"""Who may be on one address together, and what its IPAllocation says when a Service joins or leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

import msgspec

from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.api.names import ALLOW_SHARED_IP, ANNOTATION_PREFIXES, IPAddress
from lbprovider.ipam.reasons import Reason, some
from lbprovider.ipam.request import Request

HARMFUL: Final = frozenset({Reason.BACKEND_DIFFERS, Reason.PORT_TAKEN})
"""A Service that stayed on a shared address in spite of these would take traffic away from the others on it."""

_KEY: Final = ANNOTATION_PREFIXES[0] + ALLOW_SHARED_IP

Others = tuple[ServiceClaim, ...]
_CLASHES: Final[tuple[tuple[Reason, Callable[[Request, IPAllocationSpec, Others], bool]], ...]] = (
    (Reason.ADDRESS_TAKEN, lambda request, spec, _: not request.sharing_key or not spec.sharing_key),
    (Reason.SHARING_KEY_DIFFERS, lambda request, spec, _: request.sharing_key != spec.sharing_key),
    (Reason.OTHER_NAMESPACE, lambda request, _, others: any(o.namespace != request.namespace for o in others)),
    (Reason.BACKEND_DIFFERS, lambda request, spec, _: request.backend_key != spec.backend_key),
    (Reason.PORT_TAKEN, lambda request, _, others: not port_keys(request.ports).isdisjoint(ports_of(others))),
)
"""What keeps a Service off an address that others hold, in the order in which it is said."""

_MESSAGES: Final[dict[Reason, str]] = {
    Reason.ADDRESS_IN_CONFLICT: (
        "{address} is used by another host on the LAN (IPAllocation's Conflict condition); "
        "free it there, or ask for another address."
    ),
    Reason.ADDRESS_TAKEN: (
        "{address} is held by {others}; ask for another address, or give all of them the same {key} annotation."
    ),
    Reason.SHARING_KEY_DIFFERS: (
        "{address} is held by {others} under another {key} key; use theirs, or ask for another address."
    ),
    Reason.OTHER_NAMESPACE: (
        "{address} is held by {others} in another namespace; ask for another address, "
        "or set allowSharingAcrossNamespaces on the pool."
    ),
    Reason.BACKEND_DIFFERS: (
        "{address} is held by {others} with other backends; on a shared address all have "
        "externalTrafficPolicy Cluster, or all have Local and the same selector."
    ),
    Reason.PORT_TAKEN: (
        "{address} is held by {others} with {ports}; use other ports, or ask for another address."
    ),
}  # fmt: skip


def port_keys(ports: Iterable[ServicePort]) -> frozenset[tuple[str, int]]:
    """What two Services on one address may not have in common: TCP/53 and UDP/53 don't collide."""
    return frozenset((port.protocol, port.port) for port in ports)


def ports_of(claims: Iterable[ServiceClaim]) -> frozenset[tuple[str, int]]:
    """The ports taken by all of these together."""
    return port_keys(port for claim in claims for port in claim.ports)


def clashes(request: Request, spec: IPAllocationSpec, *, across_namespaces: bool) -> tuple[Reason, ...]:
    """All that keeps the Service off the address, the one to say first; empty where it may be on it.

    Args:
        request: what it asks for; what it holds already doesn't count.
        spec: the IPAllocation of the address.
        across_namespaces: whether Services of several namespaces may share it.
    """
    if request.uid in spec.set_aside_for:
        return (Reason.ADDRESS_IN_CONFLICT,)
    others = _others(request, spec)
    if not others:
        return (Reason.ADDRESS_IN_CONFLICT,) if not spec.services and not spec.released_at else ()
    return tuple(
        reason
        for reason, clash in _CLASHES
        if clash(request, spec, others) and not (reason is Reason.OTHER_NAMESPACE and across_namespaces)
    )


def explain_clash(reason: Reason, request: Request, spec: IPAllocationSpec) -> str:
    """One of the ``clashes`` as a sentence."""
    others = _others(request, spec)
    common = port_keys(request.ports) & ports_of(others)
    return _MESSAGES[reason].format(
        address=spec.address,
        others=some(f"Service {other.key}" for other in others),
        ports=some(f"{protocol}/{port}" for protocol, port in sorted(common)),
        key=_KEY,
    )


def joined(spec: IPAllocationSpec | None, request: Request, address: IPAddress, pool: str) -> IPAllocationSpec:
    """The IPAllocation of an address as it is with this Service on it: new, extended, or brought up to date.

    Equals ``spec`` where nothing is to be written. ``segment`` and ``nodes`` stay as they are. With others on the
    address the keys stay too: they are bound until the last holder leaves.

    Args:
        spec: as it is, None where there is none.
        request: of a Service that was granted the address.
        address: granted by ``assign``.
        pool: as granted.
    """
    before = spec or IPAllocationSpec(address=str(address), pool=pool)
    if _others(request, before):
        key, backend = before.sharing_key, before.backend_key
    else:
        key, backend = request.sharing_key, request.backend_key if request.sharing_key else ""
    services = tuple(_brought_up(claim, request) if claim.uid == request.uid else claim for claim in before.services)
    return msgspec.structs.replace(
        before,
        pool=pool,
        services=services if any(claim.uid == request.uid for claim in services) else (*services, request.claim),
        sharing_key=key,
        backend_key=backend,
        released_at="",
    )


def stays(spec: IPAllocationSpec, holder: Request) -> IPAllocationSpec | None:
    """The IPAllocation of an address that a Service stays on though what it asks for makes no sense.

    It is brought up to date, and its keys stay as they are; None where the Service would take traffic away from the
    others on it, and must leave.

    Args:
        spec: as it is.
        holder: as ``request.holder_of`` has it.
    """
    mine = replace(holder, sharing_key=spec.sharing_key)
    if not HARMFUL.isdisjoint(clashes(mine, spec, across_namespaces=True)):
        return None
    return joined(spec, mine, ip_address(spec.address), spec.pool)


def renewed(spec: IPAllocationSpec, uid: str, version: str) -> IPAllocationSpec:
    """The IPAllocation of an address that a Service claims for another version of itself.

    Args:
        spec: as it is.
        uid: of the Service.
        version: its resourceVersion.
    """
    services = (
        msgspec.structs.replace(claim, resource_version=version) if claim.uid == uid else claim
        for claim in spec.services
    )
    return msgspec.structs.replace(spec, services=tuple(services))


def left(spec: IPAllocationSpec, uid: str, released_at: str = "") -> IPAllocationSpec | None:
    """The IPAllocation of an address without this Service; None where nobody is left, and it is to be deleted.

    One that another Service had to leave, as a host on the LAN answers for it, stays set aside.

    Args:
        spec: as it is.
        uid: of the Service that leaves.
        released_at: RFC 3339 where the address is to cool down (its pool's ``reuse_after`` is not 0), else empty.
    """
    services = tuple(claim for claim in spec.services if claim.uid != uid)
    if services:
        return msgspec.structs.replace(spec, services=services)
    if not released_at and not spec.set_aside_at:
        return None
    since = "" if spec.set_aside_at else released_at
    return msgspec.structs.replace(
        spec, services=(), sharing_key="", backend_key="", adopted=False, released_at=since
    )  # fmt: skip


def set_aside(spec: IPAllocationSpec, uid: str, at: str) -> IPAllocationSpec:
    """The IPAllocation of an address that this Service leaves because another host on the LAN answers for it.

    Without a Service left nobody gets it, until the IPAllocation is deleted; this one doesn't before that either.

    Args:
        spec: as it is.
        uid: of the Service that leaves.
        at: RFC 3339, now.
    """
    services = tuple(claim for claim in spec.services if claim.uid != uid)
    moved = msgspec.structs.replace(
        spec, services=services, set_aside_at=at, set_aside_for=(*spec.set_aside_for, uid)
    )  # fmt: skip
    return moved if services else msgspec.structs.replace(moved, sharing_key="", backend_key="")


def forgiven(spec: IPAllocationSpec) -> IPAllocationSpec:
    """The IPAllocation of an address as if nobody had ever had to leave it."""
    return msgspec.structs.replace(spec, set_aside_at="", set_aside_for=())


def _brought_up(claim: ServiceClaim, request: Request) -> ServiceClaim:
    """A claim that says the same is not made anew for each version of the Service."""
    mine = request.claim
    return claim if msgspec.structs.replace(mine, resource_version=claim.resource_version) == claim else mine


def _others(request: Request, spec: IPAllocationSpec) -> Others:
    return tuple(claim for claim in spec.services if claim.uid != request.uid)
