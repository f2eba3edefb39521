"""Owners of an address that are not ours, planted on a node."""

from lbprovider.lab.frames import Address
from lbprovider.lab.lan import Lan
from lbprovider.lab.process import Process
from tests.e2e.rig.python import program


def responder(lan: Lan, node: str, address: Address) -> Process:
    """Answer every question for an address from a node's LAN interface, whoever else does."""
    name = f"responder-{node}-{address.packed.hex()}"
    return lan.spawn(name, lan.nodes[node].namespace, program("responder", "eth0", str(address)))
