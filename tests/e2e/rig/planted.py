"""Owners of an address that are not ours, planted on a node."""

import itertools

from lbprovider.lab import impostor
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.lan import Lan
from lbprovider.lab.process import Process

_numbers = itertools.count(1)


def responder(lan: Lan, node: str, address: Address) -> Process:
    """Answer every question for an address from a node's LAN interface, whoever else does; it does so on return."""
    return impostor.start(lan, f"responder-{next(_numbers)}-{node}", lan.nodes[node].namespace, address)
