"""Which addresses a pool may have on a docker network: those that docker would come to last."""

import json
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Network, ip_interface, ip_network
from typing import Any, Final

from examples.kind.programs import ProgramError, run

NETWORK: Final = "kind"
"""The docker network that kind puts the nodes of all its clusters on."""


def free_range(name: str = NETWORK, count: int = 16) -> tuple[IPv4Address, ...]:
    """Addresses of a docker network that nothing uses, in order and without a gap.

    Docker gives its containers the lowest free address, so these come from the upper end. What runs on the network
    without docker's knowledge, another cluster's load balancer say, is not seen here; lbprovider asks the LAN itself
    before it uses an address for the first time.

    Args:
        name: of the network.
        count: how many.

    Raises:
        ProgramError: there is no such network, it has no IPv4, or not so many addresses in a row.
    """
    found = json.loads(run("docker", "network", "inspect", name))[0]
    subnets = list(_subnets(found))
    if not subnets:
        raise ProgramError(f"the docker network {name} has no IPv4 subnet, and the pool is to have IPv4 addresses")
    used = set(_used(found))
    for subnet in subnets:
        block = _last_free(subnet, used, count)
        if block:
            return block
    listed = ", ".join(map(str, subnets))
    raise ProgramError(f"the docker network {name} has no {count} free addresses in a row in {listed}")


def _last_free(subnet: IPv4Network, used: Collection[IPv4Address], count: int) -> tuple[IPv4Address, ...]:
    """The last block without an address in use; empty when there is none. Gaps are short, so it ends soon."""
    last = int(subnet.broadcast_address) - 1
    while last - count + 1 > int(subnet.network_address):
        block = [IPv4Address(value) for value in range(last - count + 1, last + 1)]
        hit = next((each for each in block if each in used), None)
        if hit is None:
            return tuple(block)
        last = int(hit) - 1
    return ()


def _subnets(network: dict[str, Any]) -> Iterator[IPv4Network]:
    for each in network["IPAM"]["Config"] or ():
        subnet = ip_network(each["Subnet"], strict=False)
        if isinstance(subnet, IPv4Network):
            yield subnet


def _used(network: dict[str, Any]) -> Iterator[IPv4Address]:
    """The gateway, addresses that docker was told to leave alone, and those of running containers."""
    written = [each["Gateway"] for each in network["IPAM"]["Config"] or () if each.get("Gateway")]
    for each in network["IPAM"]["Config"] or ():
        written += (each.get("AuxiliaryAddresses") or {}).values()
    written += [each["IPv4Address"] for each in (network.get("Containers") or {}).values() if each["IPv4Address"]]
    for text in written:
        address = ip_interface(text).ip
        if isinstance(address, IPv4Address):
            yield address
