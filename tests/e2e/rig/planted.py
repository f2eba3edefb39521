"""Owners of an address that are not ours, planted on a node."""

import itertools

from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.lan import Lan
from lbprovider.lab.process import Process
from tests.e2e.rig.python import program
from tests.e2e.rig.waiting import eventually

_numbers = itertools.count(1)


def responder(lan: Lan, node: str, address: Address) -> Process:
    """Answer every question for an address from a node's LAN interface, whoever else does; it does so on return."""
    name = f"responder-{next(_numbers)}-{node}"
    process = lan.spawn(name, lan.nodes[node].namespace, program("responder", "eth0", str(address)))
    eventually(lambda: "answering" in process.tail(), f"{name} answers for {address}")
    return process
