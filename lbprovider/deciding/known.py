"""What is known of a cluster when something is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.core import Namespace, Node, Service
from lbprovider.api.pool import IPAddressPool, L2Advertisement


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The objects by key (``namespace/name``, or ``name``). The mappings are live; the objects never change.

    Args:
        services: of the whole cluster.
        namespaces: their labels pin pools.
        nodes: of the whole cluster.
        pools: of our own namespace.
        advertisements: of our own namespace.
    """

    services: Mapping[str, Service]
    namespaces: Mapping[str, Namespace]
    nodes: Mapping[str, Node]
    pools: Mapping[str, IPAddressPool]
    advertisements: Mapping[str, L2Advertisement]

    def labels_of(self, spec: IPAllocationSpec) -> list[Mapping[str, str]]:
        """The labels of each Service that holds the address, of those that are known."""
        return [self.services[claim.key].metadata.labels for claim in spec.services if claim.key in self.services]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which Services are ours.

    Args:
        lb_class: the ``spec.loadBalancerClass`` that is.
        default_class: whether those without a class are.
    """

    lb_class: str
    default_class: bool
