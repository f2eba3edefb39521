"""Names that users type or read: the API group, annotations, labels, and how an object is named after an address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from lbprovider.errors import InvalidObject

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

GROUP: Final = "lbprovider.io"
VERSION: Final = "v1beta1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

DEFAULT_CLASS: Final = "lbprovider.io/l2"
"""The ``spec.loadBalancerClass`` that is ours unless ``--lb-class`` names another."""

ANNOTATION_PREFIXES: Final = ("lbprovider.io/", "metallb.io/", "metallb.universe.tf/")
"""Ours first; the others are aliases, so that manifests written for MetalLB go on working."""
ADDRESS_POOL: Final = "address-pool"
LOAD_BALANCER_IPS: Final = "loadBalancerIPs"
ALLOW_SHARED_IP: Final = "allow-shared-ip"
FORCE: Final = f"{GROUP}/force"
"""On an IPAddressPool: its edits are followed even where they take the address of a live Service away."""

EXCLUDE_NODE_LABEL: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
"""KEP-1143: a node with this label, whatever its value, carries no external load-balancer traffic."""
TO_BE_DELETED_TAINT: Final = "ToBeDeletedByClusterAutoscaler"
DRAIN_ANNOTATION: Final = f"{GROUP}/drain"
"""On a Node, whatever its value: its speaker hands its addresses on and takes none (``lbprovider drain``)."""

SERVICE_LABEL: Final = "kubernetes.io/service-name"
"""On each EndpointSlice: the Service, in the slice's own namespace, that it is of."""
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
"""On EndpointSlices of Services without a cluster IP, which no load balancer is for; kube-proxy leaves them out too."""

SPEAKER_LABEL: Final = "lbprovider.io/speaker"
"""On each speaker's Lease, with an empty value; the controller lists by it."""
HEARTBEAT_SECRET: Final = "lbprovider-heartbeat"  # noqa: S105  (the Secret's name, not its value)
CONTROLLER_LEASE: Final = "lbprovider-controller"
CONTROLLER_MANAGER: Final = "lbprovider-controller"
"""The controller's field manager, the same for all replicas and versions: the API server makes it of the User-Agent."""
WEBHOOK: Final = "lbprovider-webhook"
"""The Service that leads to the admission webhook, the Secret with its certificate, and its configuration."""
WEBHOOK_ENTRY: Final = f"validate.{GROUP}"
"""The one webhook in that configuration, as a refusal names it."""


_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""What the API server takes as the name of an object: RFC 1123 section 2.1, in lower case."""


def alias(annotations: Mapping[str, str], name: str) -> str | None:
    """The value of an annotation under any of its spellings, or None where none is set.

    Raises:
        InvalidObject: two spellings with different values; which one is meant can't be known.
    """
    found = {
        prefix + name: annotations[prefix + name].strip()
        for prefix in ANNOTATION_PREFIXES
        if prefix + name in annotations
    }
    if len(set(found.values())) > 1:
        said = " and ".join(f"{key}={value!r}" for key, value in found.items())
        raise InvalidObject("metadata.annotations", f"{said} contradict each other", "keep one of them")
    return next(iter(found.values()), None)


def object_name(address: IPAddress) -> str:
    """The name of the IPAllocation of an address: ``192.0.2.10``, ``2001-db8-0-0-0-0-0-5``.

    IPv6 is written out (no ``::``, no leading zeros), so that one address has one name: the API server then refuses a
    second allocation of it by itself.
    """
    if isinstance(address, IPv4Address):
        return str(address)
    return "-".join(f"{int(group, 16):x}" for group in address.exploded.split(":"))


def address_of(name: str) -> IPAddress:
    """The address that an IPAllocation is named after; the inverse of ``object_name``.

    Raises:
        InvalidObject: the name is not in that form.
    """
    try:
        address = ip_address(name if "." in name else name.replace("-", ":"))
        meant = object_name(address)
    except ValueError:  # the second statement's: an address with a zone
        raise InvalidObject(f"IPAllocation {name} metadata.name", "is not the name of an address") from None
    if meant != name:
        raise InvalidObject(f"IPAllocation {name} metadata.name", f"should be {meant}")
    return address


def segment_name(subnets: Iterable[IPNetwork], interface: str) -> str:
    """The name of the LAN that an interface is on: that of its lowest subnet (IPv4 first), else of the interface.

    ``192.0.2.0-24``, ``2001-db8-0-0-0-0-0-0-64``, ``interface-eth0``. Both families of one interface are one LAN. An
    interface whose name no object can have is written in hexadecimal (``interface.455448``), so that no two share one.
    """
    lowest = min(subnets, key=lambda net: (net.version, net.network_address.packed, net.prefixlen), default=None)
    if lowest is None:
        return f"interface-{interface}" if _SUBDOMAIN.fullmatch(interface) else f"interface.{interface.encode().hex()}"
    return f"{object_name(lowest.network_address)}-{lowest.prefixlen}"
