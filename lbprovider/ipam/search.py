"""Where a Service's missing addresses are found: requested ones, the named pool, pinned pools, general pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lbprovider.api.names import ADDRESS_POOL, ANNOTATION_PREFIXES, IPAddress
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import Pool
from lbprovider.ipam.ranges import Family
from lbprovider.ipam.reasons import PassedOver, Reason, Refused, some
from lbprovider.ipam.request import Request
from lbprovider.ipam.sharing import clashes, explain_clash


class Rule(StrEnum):
    """The rule that chose an address, for ``explain``."""

    KEPT = "Kept"
    REQUESTED = "Requested"
    ADOPTED = "Adopted"
    NAMED_POOL = "NamedPool"
    PINNED_POOL = "PinnedPool"
    GENERAL_POOL = "GeneralPool"


@dataclass(frozen=True, slots=True)
class Grant:
    """One address of a Service.

    Args:
        address: the address.
        pool: that it is accounted to in the IPAllocation; for a stranded address the one it came from.
        rule: why this one.
    """

    address: IPAddress
    pool: str
    rule: Rule


class Search:
    """One search for one Service; remembers the pools that it passed over.

    Args:
        request: what it asks for.
        ledger: what is held.
        holding: families that it holds an address of; of the others, its own status counts as a wish (adoption).
    """

    def __init__(self, request: Request, ledger: Ledger, holding: frozenset[Family]) -> None:
        self._request = request
        self._ledger = ledger
        self._holding = holding
        self._beside: frozenset[str] = frozenset()
        self._passed: dict[tuple[str, str], Reason] = {}

    @property
    def passed(self) -> tuple[PassedOver, ...]:
        """The pools passed over, in the order tried."""
        return tuple(PassedOver(pool, family, reason) for (pool, family), reason in self._passed.items())

    def find(
        self, families: Sequence[Family], kept: Mapping[Family, Grant]
    ) -> tuple[dict[Family, Grant], Refused | None]:
        """An address of each family, and why not where one lacks.

        Requested addresses are had all or none; for RequireDualStack so are all.

        Args:
            families: wanted ones that it has to get.
            kept: what it keeps of the others; the pool of that is tried first, so that both are of one LAN.
        """
        request = self._request
        if request.pool and (refusal := self._refuse_named()):
            return {}, refusal
        found: dict[Family, Grant] = {}
        for family in families:
            if family in request.requested:
                grant = self._claim(request.requested[family], Rule.REQUESTED)
                if isinstance(grant, Refused):
                    return {}, grant
                found[family] = grant
            elif family in request.status and family not in self._holding:
                grant = self._claim(request.status[family], Rule.ADOPTED)
                if isinstance(grant, Grant):
                    found[family] = grant
        self._beside = frozenset(grant.pool for grant in (*kept.values(), *found.values()))
        for cooling in (False, True):
            found |= self._from_pools([family for family in families if family not in found], cooling=cooling)
        lacking = next((family for family in families if family not in found), None)
        if lacking is None:
            return found, None
        return {} if request.policy == "RequireDualStack" else found, self._nothing(lacking)

    def _refuse_named(self) -> Refused | None:
        """Why the pool that the Service names can't serve it at all."""
        name, pools = self._request.pool, self._ledger.pools
        pool = pools.pools.get(name)
        if pool is not None:
            return None if self._open(pool) else self._pinned_away(pool)
        if name in pools.refused:
            why = pools.refused[name][0].message
            return Refused(Reason.POOL_REFUSED, f"Pool {name} is refused ({why.rstrip('.')}); correct it.")
        known = f"there are {some(pools.pools)}" if pools.pools else "there is none"
        return Refused(Reason.UNKNOWN_POOL, f"There is no IPAddressPool {name}; create it, or name another ({known}).")

    def _claim(self, address: IPAddress, rule: Rule) -> Grant | Refused:
        """This very address, as a request for it is judged."""
        request, pools = self._request, self._ledger.pools
        pool = pools.covering(address)
        if pool is None:
            return Refused(*pools.uncovered(address))
        if request.pool and pool.name != request.pool:
            return Refused(
                Reason.OUTSIDE_NAMED_POOL,
                f"{address} is in pool {pool.name}, and the Service names {request.pool}; change one of the two.",
            )
        if not self._open(pool):
            return self._pinned_away(pool)
        spec = self._ledger.get(address)
        against = clashes(request, spec, across_namespaces=pool.across_namespaces) if spec else ()
        if spec and against:
            return Refused(against[0], explain_clash(against[0], request, spec))
        return Grant(address, pool.name, rule)

    def _from_pools(self, families: Sequence[Family], *, cooling: bool) -> dict[Family, Grant]:
        """What the pools give: of two families both from one pool where one has both, else each from the first."""
        if len(families) > 1:
            for pool, rule in self._candidates():
                both = self._grants(pool, rule, families, cooling=cooling)
                if len(both) == len(families):
                    return both
                self._passed.setdefault((pool.name, ""), Reason.NOT_BOTH_FAMILIES)
        found: dict[Family, Grant] = {}
        for family in families:
            for pool, rule in self._candidates():
                if one := self._grants(pool, rule, (family,), cooling=cooling):
                    found |= one
                    break
                why = Reason.EXHAUSTED if family in pool.pieces else Reason.NO_POOL_OF_FAMILY
                self._passed.setdefault((pool.name, family), why)
        return found

    def _grants(self, pool: Pool, rule: Rule, families: Sequence[Family], *, cooling: bool) -> dict[Family, Grant]:
        found: dict[Family, Grant] = {}
        for family in families:
            address = self._ledger.free(self._request, pool, family)
            if address is None and cooling:
                address = self._ledger.coolest(pool, family)
            if address is not None:
                found[family] = Grant(address, pool.name, rule)
        return found

    def _candidates(self) -> Iterator[tuple[Pool, Rule]]:
        """The pools that may serve the Service, in the order of DESIGN §4, found as they are asked for.

        Before all others that of the address which it has already, of the other family.
        """
        pools = self._ledger.pools.pools
        if self._request.pool:
            yield pools[self._request.pool], Rule.NAMED_POOL
            return
        beside = [pools[name] for name in pools if name in self._beside]
        for pool in (*beside, *(pool for pool in pools.values() if pool.name not in self._beside)):
            if not pool.auto_assign:
                self._passed.setdefault((pool.name, ""), Reason.AUTO_ASSIGN_OFF)
            elif not self._open(pool):
                self._passed.setdefault((pool.name, ""), Reason.PINNED_AWAY)
            else:
                yield pool, Rule.PINNED_POOL if pool.pinning else Rule.GENERAL_POOL

    def _open(self, pool: Pool) -> bool:
        return pool.open_to(self._request.namespace, self._request.namespace_labels, self._request.labels)

    def _pinned_away(self, pool: Pool) -> Refused:
        return Refused(
            Reason.PINNED_AWAY,
            f"Pool {pool.name} is pinned to other Services (spec.serviceAllocation); "
            f"let it match namespace {self._request.namespace} and the Service's labels, or use another pool.",
        )

    def _nothing(self, family: Family) -> Refused:
        """Why no pool gave an address of the family."""
        pools = self._ledger.pools
        by_reason: dict[Reason, list[str]] = {}
        for (name, of), reason in self._passed.items():
            if of in ("", family):
                by_reason.setdefault(reason, []).append(name)
        if exhausted := by_reason.get(Reason.EXHAUSTED):
            return Refused(
                Reason.EXHAUSTED,
                f"No free {family} address: {some(self._usage(name, family) for name in exhausted)}; "
                f"add addresses to one of these pools, or delete Services that no longer need theirs.",
            )
        if lacking := by_reason.get(Reason.NO_POOL_OF_FAMILY):
            return Refused(
                Reason.NO_POOL_OF_FAMILY,
                f"No pool for this Service has {family} addresses (tried {some(lacking)}); "
                f"add a range to one of them, or take {family} out of spec.ipFamilies.",
            )
        if not self._holding and not pools.pools and not pools.refused:
            return Refused(Reason.NO_POOLS, "There is no IPAddressPool yet; create one.")
        why = [f"{name} ({reason})" for (name, _), reason in self._passed.items()]
        why += [f"{name} ({problems[0].reason})" for name, problems in pools.refused.items()]
        return Refused(
            Reason.NO_POOL_FOR_SERVICE,
            f"No pool serves this Service: {some(why) or 'there is none'}; "
            f"change one of them, or name a pool by the annotation {ANNOTATION_PREFIXES[0]}{ADDRESS_POOL}.",
        )

    def _usage(self, name: str, family: Family) -> str:
        count = self._ledger.counts(name)[family]
        return f"{name} {count.assigned} of {count.total} in use"
