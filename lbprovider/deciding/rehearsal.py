"""The controller on paper: everything that decides, put together over objects that nobody else changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.names import IPAddress
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.registration import Registration
from lbprovider.deciding.announcing import Announcement, Backed, announcement
from lbprovider.deciding.book import Book
from lbprovider.deciding.conflicts import Conflicts
from lbprovider.deciding.known import Known, Scope
from lbprovider.deciding.placing import Placing
from lbprovider.deciding.pools import Sight, resolved
from lbprovider.deciding.services import Decisions
from lbprovider.errors import InvalidObject
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet


@dataclass(frozen=True, slots=True)
class _Registered:
    """Speakers that neither come nor go."""

    registrations: Mapping[str, Registration]

    def arriving(self) -> bool:
        return False

    def on(self, segment: str) -> frozenset[str]:
        return frozenset(node for node, one in self.registrations.items() if segment in one.segments)


class Rehearsal:
    """Decides as the controller would after a start, and keeps what it decided in its own book.

    Args:
        known: what is known of the cluster.
        allocations: the IPAllocations that there are; one whose name is no address's holds none.
        scope: which Services are ours.
        now: seconds since 1970.
        registrations: of the speakers, by node; None: nobody knows of any, so that addresses are placed nowhere, and
            every node is taken to run one that is on each address's LAN.

    Attributes:
        ledger: who holds what, as it has become.
        sight: what L2Advertisements select from.
        advertisements: all of them, with the pools that they come to.
        stored: the IPAllocations of ``allocations`` that are there still, by name, each with the status that it had.
        conflicts: what something else on the LAN answers for.
        decisions: what each Service gets.
    """

    def __init__(
        self,
        known: Known,
        allocations: Iterable[IPAllocation],
        scope: Scope,
        now: float,
        registrations: Mapping[str, Registration] | None = None,
    ) -> None:
        self.ledger = Ledger(PoolSet.of(known.pools.values()))
        self.sight = Sight(known, self.ledger, registrations)
        self._book = Book(self.ledger)
        self.conflicts = Conflicts(self._book.set_aside)
        self.stored: dict[str, IPAllocation] = {}
        for one in allocations:
            try:
                address = names.address_of(one.metadata.name)
            except InvalidObject:
                continue  # the CRD refuses such names
            self.stored[one.metadata.name] = one
            self.enter(address, one.spec)
        self.advertisements: tuple[L2Advertisement, ...] = resolved(
            known.advertisements.values(), known.pools.values(), self.ledger
        )
        lans = _Registered({} if registrations is None else registrations)
        self.decisions = Decisions(
            known,
            self._book,
            self.enter,
            places=Placing(known, lans, lambda: self.advertisements, self._book.loads),
            conflicts=self.conflicts,
            scope=scope,
            wall=lambda: now,
        )

    def enter(self, address: IPAddress, spec: IPAllocationSpec | None) -> None:
        """The IPAllocation of the address is this from now on, with the status that it has (None: there is none)."""
        self._book.put(address, spec)
        name = names.object_name(address)
        stored = self.stored.pop(name, None)
        if spec is not None and stored is not None:
            self.stored[name] = stored = msgspec.structs.replace(stored, spec=spec)
        # One that is new has no status, which nothing can be learned from.
        self.conflicts.learn(name, None if spec is None else stored)

    def announcement(
        self, address: IPAddress, backed: Backed | None, *, ignore_exclude_label: bool = False
    ) -> Announcement:
        """Which nodes could announce an address that is in the ledger; the rest as ``announcing.announcement`` says."""
        return announcement(
            self.ledger[address],
            self.sight.known,
            self.ledger,
            self.advertisements,
            registrations=self.sight.registrations,
            backed=backed,
            ignore_exclude_label=ignore_exclude_label,
        )
