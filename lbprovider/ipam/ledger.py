"""Who holds what: the IPAllocations, indexed so that no operation grows with the addresses held.

What grows is found by halving: addresses that are shared (``shared``), and addresses that cool down, are sorted lists.
Entering one shifts the list's tail in memory (one memmove: microseconds at 100,000).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.names import IPAddress
from lbprovider.api.pool import FamilyCount
from lbprovider.api.times import nanoseconds
from lbprovider.errors import InvalidObject
from lbprovider.ipam.addressset import AddressSet
from lbprovider.ipam.pools import Pool, PoolSet
from lbprovider.ipam.ranges import FAMILIES, Family, family_of, in_order, to_address
from lbprovider.ipam.request import Request
from lbprovider.ipam.shared import SharedAddresses

SATURATED: Final = 2**63 - 1
"""The largest number that the API server stores (int64); an IPv6 pool may be larger."""


@dataclass(slots=True)
class _Account:
    """What a pool has given of one family. ``cooling``: release time and number, the longest-cooled first."""

    assigned: int = 0
    cooling: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An IPAllocation and where it is counted; ``pool`` is empty where no pool covers the address."""

    spec: IPAllocationSpec
    pool: str
    cooling: tuple[int, int] | None


class Ledger:
    """The addresses in use, as the IPAllocations say, accounted to the pools that cover them now.

    An IPAllocation with Services is held by them; without Services and with ``releasedAt`` it cools down; with
    neither, its address is in conflict on the LAN and nobody gets it.
    """

    def __init__(self, pools: PoolSet, held: Iterable[IPAllocationSpec] = ()) -> None:
        self._pools = pools
        self._entries: dict[IPAddress, _Entry] = {}
        self._by_uid: dict[str, tuple[IPAddress, ...]] = {}
        self._used = {family: AddressSet(family) for family in FAMILIES}
        self._used_carefully = AddressSet("IPv4", careful=True)
        self._shared = SharedAddresses()
        self._accounts: dict[tuple[str, Family], _Account] = {}
        self._stranded: dict[str, set[IPAddress]] = {}
        for spec in held:
            self.put(spec)

    @property
    def pools(self) -> PoolSet:
        """The pools that addresses are accounted to."""
        return self._pools

    def repool(self, pools: PoolSet) -> None:
        """Accounts everything to other pools, after an edit; the one operation that costs as much as there is held."""
        self._pools = pools
        self._accounts.clear()
        self._stranded.clear()
        for address, entry in self._entries.items():
            self._entries[address] = self._account(address, entry.spec)

    def put(self, spec: IPAllocationSpec) -> None:
        """The IPAllocation of ``spec.address`` is now this, whatever it was before.

        Raises:
            InvalidObject: ``spec.address`` is not an address.
        """
        try:
            address = ip_address(spec.address)
        except ValueError:
            what = f"{spec.address!r} is not an IP address"
            raise InvalidObject("IPAllocation spec.address", what, "delete the object") from None
        before = self._entries.get(address)
        if before is not None and before.spec == spec:
            return
        self.drop(address)
        family, number = family_of(address), int(address)
        self._used[family].add(number)
        if family == "IPv4":
            self._used_carefully.add(number)
        for uid in {claim.uid for claim in spec.services}:
            self._by_uid[uid] = (*self._by_uid.get(uid, ()), address)
        self._shared.add(family, number, spec)
        self._entries[address] = self._account(address, spec)

    def drop(self, address: IPAddress) -> None:
        """The IPAllocation of the address is gone; nothing happens where there was none."""
        entry = self._entries.pop(address, None)
        if entry is None:
            return
        family, number = family_of(address), int(address)
        self._used[family].remove(number)
        if family == "IPv4":
            self._used_carefully.remove(number)
        for uid in {claim.uid for claim in entry.spec.services}:
            self._by_uid[uid] = tuple(other for other in self._by_uid[uid] if other != address)
            if not self._by_uid[uid]:
                del self._by_uid[uid]
        self._unstrand(entry.spec.pool, address)
        self._shared.remove(family, number, entry.spec)
        account = self._accounts[entry.pool, family]
        if entry.cooling is None:
            account.assigned -= 1
        else:
            del account.cooling[bisect_left(account.cooling, entry.cooling)]

    def _unstrand(self, pool: str, address: IPAddress) -> None:
        addresses = self._stranded.get(pool, set())
        addresses.discard(address)
        if not addresses:
            self._stranded.pop(pool, None)

    def _account(self, address: IPAddress, spec: IPAllocationSpec) -> _Entry:
        pool = self._pools.covering(address)
        name = pool.name if pool else ""
        account = self._accounts.setdefault((name, family_of(address)), _Account())
        cooling = None
        if spec.services or not spec.released_at:
            account.assigned += 1
        else:
            cooling = (nanoseconds(spec.released_at), int(address))
            insort(account.cooling, cooling)
        if spec.services and not pool:
            self._stranded.setdefault(spec.pool, set()).add(address)
        return _Entry(spec, name, cooling)

    def get(self, address: IPAddress) -> IPAllocationSpec | None:
        """What the IPAllocation of the address says, None where there is none."""
        entry = self._entries.get(address)
        return entry.spec if entry else None

    def __getitem__(self, address: IPAddress) -> IPAllocationSpec:
        return self._entries[address].spec

    def held_by(self, uid: str) -> tuple[IPAddress, ...]:
        """The addresses that a Service holds, IPv4 first, lowest first."""
        return in_order(self._by_uid.get(uid, ()))

    def __iter__(self) -> Iterator[IPAddress]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def counts(self, pool: str) -> Mapping[Family, FamilyCount]:
        """Addresses of a pool by family, exact for IPv4 and saturated at 2**63 − 1 for IPv6.

        A shared address counts once; an address in conflict is assigned, one that cools down available. Families that
        the pool lacks, and pools that don't count (unknown, refused), have no entry.
        """
        found = self._pools.pools.get(pool)
        if found is None:
            return {}
        counts: dict[Family, FamilyCount] = {}
        for family in found.pieces:
            size = found.size(family)
            assigned = self._accounts.get((pool, family), _Account()).assigned
            counts[family] = FamilyCount(
                total=min(size, SATURATED), assigned=assigned, available=min(size - assigned, SATURATED)
            )
        return counts

    def stranded(self, pool: str) -> tuple[IPAddress, ...]:
        """Live addresses that were given from the pool of this name and that no pool covers any more, sorted."""
        return in_order(self._stranded.get(pool, ()))

    def lapsed(self, now: int) -> tuple[IPAddress, ...]:
        """Addresses whose cool-down is over, sorted: their IPAllocations can be deleted, and then dropped here.

        One that no pool covers any more has no cool-down.

        Args:
            now: nanoseconds of the wall clock since 1970, as ``releasedAt`` outlives a boot.
        """
        over: list[IPAddress] = []
        for (name, family), account in self._accounts.items():
            wait = self._pools.pools[name].reuse_after if name else 0
            end = bisect_right(account.cooling, now - wait, key=lambda cooling: cooling[0])
            over.extend(to_address(family, number) for _, number in account.cooling[:end])
        return in_order(over)

    def free(self, request: Request, pool: Pool, family: Family) -> IPAddress | None:
        """The lowest address of the pool that is free or that the Service may share; None where there is none.

        Lowest in the order that the pool's spec gives. One that cools down is not free.
        """
        careful = pool.careful and family == "IPv4"
        used = self._used_carefully if careful else self._used[family]
        joinable = self._shared.joinable(request, pool, family)
        for piece in pool.pieces.get(family, ()):
            best = used.lowest_absent(piece.first)
            if joinable is not None:
                best = joinable.lowest(family, piece.first, best)
            if best <= piece.last:
                return to_address(family, best)
        return None

    def coolest(self, pool: Pool, family: Family) -> IPAddress | None:
        """The address of the pool that has cooled down longest; None where none cools down."""
        account = self._accounts.get((pool.name, family))
        return to_address(family, account.cooling[0][1]) if account and account.cooling else None
