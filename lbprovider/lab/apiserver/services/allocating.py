"""What a Service gets from the cluster: ClusterIPs of each family, and node ports.

What is taken is what the stored Services have; nothing else is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.store import Event, Store

NETWORKS: Final[Mapping[str, IPv4Network | IPv6Network]] = {
    "IPv4": IPv4Network("10.96.0.0/16"),
    "IPv6": IPv6Network("2001:db8:96::/112"),
}
"""The ranges of ClusterIPs by family; the first is the one that a Service has which doesn't say."""
NODE_PORTS: Final = range(30000, 32768)
_RESERVED: Final = 256
"""Addresses at a range's beginning that are given only to who asks for them."""
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")

NodePort = tuple[str, int]
"""A protocol and a port on every node."""


class Unallocated(Exception):
    """It can't be had; the message says why."""


class Allocator:
    """Knows what is taken.

    Args:
        store: has the Services.
    """

    def __init__(self, store: Store) -> None:
        self._addresses: set[str] = set()
        self._ports: set[NodePort] = set()
        self._last_address = dict.fromkeys(NETWORKS, _RESERVED)
        self._last_port = 0
        for entry in store.entries(kinds.SERVICE.resource):
            self._take(entry.value)
        store.subscribe(kinds.SERVICE.resource, self._changed)

    def _changed(self, event: Event) -> None:
        if event.previous is not None:
            self._addresses.difference_update(_addresses(event.previous.value))
            self._ports.difference_update(node_ports(event.previous.value["spec"]))
        if event.type != "DELETED":
            self._take(event.entry.value)

    def _take(self, service: Mapping[str, Any]) -> None:
        self._addresses.update(_addresses(service))
        self._ports.update(node_ports(service["spec"]))

    def address(self, family: str) -> str:
        """A free ClusterIP of a family.

        Raises:
            Unallocated: there is none.
        """
        network = NETWORKS[family]
        size = network.num_addresses - 2  # neither the first address nor the last
        for _ in range(size):
            self._last_address[family] = self._last_address[family] % size + 1
            found = str(network[self._last_address[family]])
            if found not in self._addresses:
                return found
        raise Unallocated("range is full")

    def check_address(self, address: str, family: str) -> None:
        """Whether a Service may have the address that it asks for.

        Raises:
            Unallocated: it may not.
        """
        if ip_address(address) not in NETWORKS[family]:
            raise Unallocated("the provided network does not match the current range")
        if address in self._addresses:
            raise Unallocated("provided IP is already allocated")

    def port(self, own: set[NodePort]) -> int:
        """A free node port, for any protocol.

        Args:
            own: what the Service has already.

        Raises:
            Unallocated: there is none.
        """
        for _ in NODE_PORTS:
            self._last_port = (self._last_port + 1) % len(NODE_PORTS)
            found = NODE_PORTS[self._last_port]
            if not any((protocol, found) in self._ports or (protocol, found) in own for protocol in _PROTOCOLS):
                return found
        raise Unallocated("range is full")

    def check_port(self, wanted: NodePort, own: set[NodePort]) -> None:
        """Whether a Service may have the node port that it asks for.

        Args:
            wanted: it.
            own: what the Service has already.

        Raises:
            Unallocated: it may not.
        """
        if wanted[1] not in NODE_PORTS:
            said = f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"
            raise Unallocated(f"provided port is not in the valid range. The range of valid ports is {said}")
        if wanted in self._ports or wanted in own:
            raise Unallocated("provided port is already allocated")


def _addresses(service: Mapping[str, Any]) -> list[str]:
    return [each for each in service["spec"].get("clusterIPs", ()) if each != "None"]


def node_ports(spec: Mapping[str, Any]) -> Iterator[NodePort]:
    """The node ports of a Service."""
    for port in spec.get("ports", ()):
        if port.get("nodePort"):
            yield port["protocol"], port["nodePort"]
    if spec.get("healthCheckNodePort"):
        yield "TCP", spec["healthCheckNodePort"]
