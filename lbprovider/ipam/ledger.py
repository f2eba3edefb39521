"""Who holds what: the IPAllocations, indexed so that no operation grows with the addresses held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.names import IPAddress
from lbprovider.api.pool import FamilyCount
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import Family


class Ledger:
    """The addresses in use, as the IPAllocations say, accounted to the pools that cover them now.

    An IPAllocation with Services is held by them; without Services and with ``releasedAt`` it cools down; with
    neither, its address is in conflict on the LAN and nobody gets it.
    """

    def __init__(self, pools: PoolSet, held: Iterable[IPAllocationSpec] = ()) -> None:
        raise NotImplementedError

    @property
    def pools(self) -> PoolSet:
        """The pools that addresses are accounted to."""
        raise NotImplementedError

    def repool(self, pools: PoolSet) -> None:
        """Accounts everything to other pools, after an edit; the one operation that costs as much as there is held."""
        raise NotImplementedError

    def put(self, spec: IPAllocationSpec) -> None:
        """The IPAllocation of ``spec.address`` is now this, whatever it was before.

        Raises:
            InvalidObject: ``spec.address`` is not an address.
        """
        raise NotImplementedError

    def drop(self, address: IPAddress) -> None:
        """The IPAllocation of the address is gone; nothing happens where there was none."""
        raise NotImplementedError

    def get(self, address: IPAddress) -> IPAllocationSpec | None:
        """What the IPAllocation of the address says, None where there is none."""
        raise NotImplementedError

    def held_by(self, uid: str) -> tuple[IPAddress, ...]:
        """The addresses that a Service holds, IPv4 first, lowest first."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[IPAddress]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def counts(self, pool: str) -> Mapping[Family, FamilyCount]:
        """Addresses of a pool by family, exact for IPv4 and saturated at 2**63 − 1 for IPv6.

        A shared address counts once; an address in conflict is assigned, one that cools down available. Families that
        the pool lacks, and pools that don't count (unknown, refused), have no entry.
        """
        raise NotImplementedError

    def stranded(self, pool: str) -> tuple[IPAddress, ...]:
        """Live addresses that were given from the pool of this name and that no pool covers any more, sorted."""
        raise NotImplementedError

    def lapsed(self, now: int) -> tuple[IPAddress, ...]:
        """Addresses whose cool-down is over, sorted: their IPAllocations can be deleted, and then dropped here.

        Args:
            now: nanoseconds of the wall clock since 1970, as ``releasedAt`` outlives a boot.
        """
        raise NotImplementedError
