"""The ledger, and what is counted beside it."""

from __future__ import annotations

from collections import Counter

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.names import IPAddress
from lbprovider.ipam.ledger import Ledger


class Book:
    """Who holds what, as decisions see it.

    Args:
        ledger: empty; entered into here only.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.loads: Counter[str] = Counter()
        """Of how many addresses each node is the first choice, reserved ones included."""
        self.set_aside: dict[IPAddress, IPAllocationSpec] = {}
        """Those that Services had to leave because something else on the LAN answers for them; mostly none."""

    def put(self, address: IPAddress, spec: IPAllocationSpec | None) -> None:
        """The IPAllocation of the address is this from now on; None: there is none."""
        before = self.ledger.get(address)
        if before is not None:
            self.loads.subtract(before.nodes[:1])
        self.set_aside.pop(address, None)
        if spec is not None and spec.set_aside_at:
            self.set_aside[address] = spec
        if spec is None:
            self.ledger.drop(address)
        else:
            self.ledger.put(spec)
            self.loads.update(spec.nodes[:1])
