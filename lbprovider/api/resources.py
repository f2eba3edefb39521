"""Where each kind lives in the API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import EndpointSlice, Event, Lease, Namespace, Node, Secret, Service
from lbprovider.api.meta import Object
from lbprovider.api.names import API_VERSION
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.api.segment import Segment
from lbprovider.api.webhook import ValidatingWebhookConfiguration

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """A kind: how it is decoded, and its path.

    Args:
        api_version: ``v1`` or ``group/version``.
        kind: as in manifests.
        plural: as in URLs.
        namespaced: whether it lives in namespaces.
        type: what one object is decoded to.
        stored: whether it is kept; an access review is a question only, and the answer to it has no name.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    type: type[T]
    stored: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of its subresource.

        ``namespace`` left empty is the collection over all namespaces.
        """
        root = "/api" if "/" not in self.api_version else "/apis"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}/{self.api_version}{scope}/{self.plural}{tail}"

    def __str__(self) -> str:
        group = self.api_version.rpartition("/")[0]
        return f"{self.plural}.{group}" if group else self.plural


SERVICES: Final = Resource("v1", "Service", "services", namespaced=True, type=Service)
NAMESPACES: Final = Resource("v1", "Namespace", "namespaces", namespaced=False, type=Namespace)
NODES: Final = Resource("v1", "Node", "nodes", namespaced=False, type=Node)
SECRETS: Final = Resource("v1", "Secret", "secrets", namespaced=True, type=Secret)
EVENTS: Final = Resource("v1", "Event", "events", namespaced=True, type=Event)
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases", namespaced=True, type=Lease)
ENDPOINT_SLICES: Final = Resource(
    "discovery.k8s.io/v1", "EndpointSlice", "endpointslices", namespaced=True, type=EndpointSlice
)
WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
    type=ValidatingWebhookConfiguration,
)
POOLS: Final = Resource(API_VERSION, "IPAddressPool", "ipaddresspools", namespaced=True, type=IPAddressPool)
ADVERTISEMENTS: Final = Resource(
    API_VERSION, "L2Advertisement", "l2advertisements", namespaced=True, type=L2Advertisement
)
SEGMENTS: Final = Resource(API_VERSION, "Segment", "segments", namespaced=False, type=Segment)
ALLOCATIONS: Final = Resource(API_VERSION, "IPAllocation", "ipallocations", namespaced=False, type=IPAllocation)
