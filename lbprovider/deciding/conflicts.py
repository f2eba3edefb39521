"""Addresses that something else on the LAN answered for before they were ever announced.

Such an address is set aside for ten minutes, and its Service gets another. Not where the Service asked for that very
address, nor where it was in use before there was an IPAllocation of it; and not where the LAN answers for whatever it
is asked for (proxy ARP, IPVS without strictARP): then the next one is no better, and moving on would use up the pool.

Everything is read from the objects: the speakers' condition Conflict, and whom an IPAllocation was set aside for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.conditions import CONFLICT, PROBE_ANSWERED
from lbprovider.api.names import IPAddress
from lbprovider.api.times import nanoseconds
from lbprovider.errors import InvalidObject
from lbprovider.ipam.ranges import family_of, in_order
from lbprovider.ipam.reasons import some
from lbprovider.ipam.request import Request

MOST_MOVES: Final = 3
"""Addresses that are set aside for one Service; with one more the LAN answers for the pool."""
MOST_OF_ONE: Final = 8
"""Addresses of a pool that one MAC address answers for; with these the LAN answers for the pool too."""
SET_ASIDE: Final = 600
"""Seconds for which an address is set aside."""

_NS: Final = 1_000_000_000


class Verdict(Enum):
    """What becomes of an address that something answered for."""

    SET_ASIDE = "the Service gets another one"
    REQUESTED = "the Service asked for this one, and waits"
    HOPELESS = "another one would be no better"


@dataclass(frozen=True, slots=True)
class _Answered:
    """A live or a set-aside address that something answered for."""

    pool: str
    mac: str
    uids: frozenset[str]


class Conflicts:
    """What the speakers' probes found.

    Args:
        set_aside: those that Services had to leave, by address, as they are planned.
    """

    def __init__(self, set_aside: Mapping[IPAddress, IPAllocationSpec]) -> None:
        self._set_aside = set_aside
        self._answered: dict[IPAddress, _Answered] = {}
        self._of_one: Counter[tuple[str, str]] = Counter()

    def learn(self, name: str, allocation: IPAllocation | None) -> bool:
        """What an IPAllocation says now; None: it is gone.

        Returns:
            Whether it says something else than before of who answers for the address.
        """
        try:
            address = names.address_of(name)
        except InvalidObject:
            return False  # said by who keeps the ledger: it holds no address
        before, now = self._answered.get(address), None if allocation is None else _answered(allocation)
        if before == now:
            return False
        if before is not None:
            self._of_one[before.pool, before.mac] -= 1
        if now is None:
            del self._answered[address]
        else:
            self._answered[address] = now
            self._of_one[now.pool, now.mac] += 1
        self._of_one += Counter()  # forgets what is at 0
        return True

    def __contains__(self, address: IPAddress) -> bool:
        """Whether a live address can't be announced because something else answers for it."""
        found = self._answered.get(address)
        return found is not None and bool(found.uids)

    def mac(self, address: IPAddress) -> str:
        """Who answers for it; empty where nobody does."""
        found = self._answered.get(address)
        return "" if found is None else found.mac

    def judge(self, request: Request, address: IPAddress) -> Verdict:
        """What becomes of an address of a Service that something answered for."""
        found = self._answered[address]
        if request.requested.get(family_of(address)) == address:
            return Verdict.REQUESTED
        return Verdict.HOPELESS if self.answering(found.pool) else Verdict.SET_ASIDE

    def set_aside_for(self, uid: str) -> tuple[IPAddress, ...]:
        """The addresses that a Service had to leave."""
        return tuple(address for address, spec in self._set_aside.items() if uid in spec.set_aside_for)

    def answering(self, pool: str) -> str:
        """What the LAN does to a pool, as a sentence; empty while it answers for none, or few, of its addresses."""
        macs = {
            found.mac
            for found in self._answered.values()
            if found.pool == pool
            and (
                self._of_one[pool, found.mac] >= MOST_OF_ONE
                or any(self._moves(uid) >= MOST_MOVES for uid in found.uids)
            )
        }
        if not macs:
            return ""
        theirs = in_order(
            address for address, found in self._answered.items() if found.pool == pool and found.mac in macs
        )
        return (
            f"{some(sorted(macs))} answers on the LAN for addresses of pool {pool} that were never announced "
            f"({some(map(str, theirs))}): proxy ARP, IPVS without strictARP, or hosts with addresses of the pool; "
            f"end that, or leave their addresses out of the pool. Services that get one wait meanwhile."
        )

    def lapsed(self, now: int) -> tuple[IPAddress, ...]:
        """Addresses that were set aside for long enough.

        Not while a Service that they were set aside for has another one that is answered for: it would begin anew.

        Args:
            now: nanoseconds since 1970.
        """
        if not self._set_aside:
            return ()
        stuck = frozenset[str]().union(*(found.uids for found in self._answered.values()))
        return tuple(
            address
            for address, spec in self._set_aside.items()
            if nanoseconds(spec.set_aside_at) + SET_ASIDE * _NS <= now and stuck.isdisjoint(spec.set_aside_for)
        )

    def _moves(self, uid: str) -> int:
        return len(self.set_aside_for(uid))


def _answered(allocation: IPAllocation) -> _Answered | None:
    spec, status, condition = allocation.spec, allocation.status, allocation.condition(CONFLICT)
    if condition is None or condition.status != "True" or condition.reason != PROBE_ANSWERED:
        return None
    if status.leader or spec.adopted or spec.released_at:
        return None  # it is, or was, in use: nobody moves it
    return _Answered(spec.pool, status.conflict_mac, frozenset(claim.uid for claim in spec.services))
