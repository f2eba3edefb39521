"""What pools and advertisements come to: their statuses, with conditions that say what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from lbprovider.api.conditions import AdvertisementCondition, AdvertisementReason, PoolCondition, PoolReason
from lbprovider.api.meta import Condition, with_condition
from lbprovider.api.pool import (
    FamilyCount,
    IPAddressPool,
    IPAddressPoolStatus,
    L2Advertisement,
    L2AdvertisementSpec,
    L2AdvertisementStatus,
)
from lbprovider.api.registration import Registration
from lbprovider.deciding.known import Known
from lbprovider.election.placement import selecting
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import Problem
from lbprovider.ipam.ranges import Family
from lbprovider.ipam.reasons import Reason, some

_SAID: Final = 10
"""So many problems of one pool are said at once."""


def reach(spec: L2AdvertisementSpec, pools: Iterable[IPAddressPool]) -> frozenset[str]:
    """The names of those of the pools that an L2Advertisement is for: by name, by label, or (neither given) all."""
    everything = not spec.ip_address_pools and not spec.ip_address_pool_selectors
    return frozenset(
        pool.metadata.name
        for pool in pools
        if everything
        or pool.metadata.name in spec.ip_address_pools
        or any(selector.matches(pool.metadata.labels) for selector in spec.ip_address_pool_selectors)
    )


def resolved(
    advertisements: Iterable[L2Advertisement], pools: Collection[IPAddressPool], ledger: Ledger
) -> tuple[L2Advertisement, ...]:
    """The L2Advertisements as they will be once their statuses name their pools: decisions don't wait for that.

    A pool that is gone stays while live addresses of it are left: they go on to be announced.

    Args:
        advertisements: with the statuses that they have.
        pools: all that there are.
        ledger: knows which live addresses are left.
    """
    there = {pool.metadata.name for pool in pools}

    def status(one: L2Advertisement) -> L2AdvertisementStatus:
        left = (name for name in one.status.pools if name not in there and ledger.stranded(name))
        names = tuple(sorted(reach(one.spec, pools).union(left)))
        return msgspec.structs.replace(one.status, pools=names)

    return tuple(msgspec.structs.replace(one, status=status(one)) for one in advertisements)


def pool_status(pool: IPAddressPool, ledger: Ledger, answering: str, now: str) -> IPAddressPoolStatus:
    """The status of a pool.

    Args:
        pool: with the status that it has.
        ledger: the addresses in use.
        answering: how the LAN answers for whatever address the pool gives, as a sentence; empty where it doesn't.
        now: RFC 3339, for conditions that change.
    """
    counts = ledger.counts(pool.metadata.name)
    conditions = pool.status.conditions
    for condition in _pool_conditions(pool, ledger, answering):
        conditions = with_condition(conditions, condition, now)
    return IPAddressPoolStatus(ipv4=counts.get("IPv4"), ipv6=counts.get("IPv6"), conditions=conditions)


def _pool_conditions(pool: IPAddressPool, ledger: Ledger, answering: str) -> tuple[Condition, ...]:
    name = pool.metadata.name
    problems = ledger.pools.refused.get(name, ())
    overlaps = tuple(problem for problem in problems if problem.reason is Reason.OVERLAPPING)
    full = {family: count for family, count in ledger.counts(name).items() if not count.available}
    stranded = [str(address) for address in ledger.stranded(name)]
    gone = f"Live addresses that no pool covers any more: {some(stranded)}." if stranded else ""
    wrong: tuple[tuple[PoolCondition, Reason, str, PoolReason], ...] = (
        (PoolCondition.OVERLAPPING, Reason.OVERLAPPING, _sentences(overlaps), PoolReason.DISJOINT),
        (PoolCondition.EXHAUSTED, Reason.EXHAUSTED, _full(full), PoolReason.AVAILABLE),
        (PoolCondition.STRANDED, Reason.STRANDED, gone, PoolReason.COVERED),
        (PoolCondition.LAN_ANSWERS_FOR_POOL, Reason.LAN_ANSWERS_FOR_POOL, answering, PoolReason.QUIET),
    )
    refused = problems[0].reason if problems else PoolReason.READY
    ready = _condition(pool, PoolCondition.READY, refused, _sentences(problems), holds=not problems)
    return (
        ready,
        *(
            _condition(pool, kind, why if message else well, message, holds=bool(message))
            for kind, why, message, well in wrong
        ),
    )


def _full(full: Mapping[Family, FamilyCount]) -> str:
    """The families of which no address is left, as a sentence; empty where there is none."""
    if not full:
        return ""
    each = " and ".join(f"{count.assigned} of {count.total} {family} addresses" for family, count in full.items())
    return f"{each} are in use; add addresses, or delete Services that no longer need theirs."


@dataclass(frozen=True, slots=True)
class Sight:
    """What L2Advertisements select from.

    Args:
        known: pools, Nodes and Services; of Nodes nothing is said where none is known.
        ledger: the addresses in use.
        registrations: of the speakers, by node; None while nobody can tell yet what interfaces there are.
    """

    known: Known
    ledger: Ledger
    registrations: Mapping[str, Registration] | None = None


def advertisement_status(advertisement: L2Advertisement, sight: Sight, now: str) -> L2AdvertisementStatus:
    """The status of an L2Advertisement that is ``resolved``.

    Args:
        advertisement: its status names its pools.
        sight: what it selects from.
        now: RFC 3339, for conditions that change.
    """
    before = next((one for one in advertisement.status.conditions if one.type == AdvertisementCondition.READY), None)
    said = _without_pools(advertisement, sight.known.pools) | _without_others(advertisement, sight)
    blind = sight.registrations is None
    if not said and blind and before is not None and _lacks_interfaces(before, advertisement):
        said = {AdvertisementReason.INTERFACE_MISSING: before.message}  # as far as anybody knows
    reason = next((reason for reason in AdvertisementReason if reason in said), AdvertisementReason.READY)
    message = " ".join(said[each] for each in AdvertisementReason if each in said)
    condition = _condition(advertisement, AdvertisementCondition.READY, reason, message, holds=not said)
    return L2AdvertisementStatus(
        pools=advertisement.status.pools,
        conditions=with_condition(advertisement.status.conditions, condition, now),
    )


def _lacks_interfaces(before: Condition, advertisement: L2Advertisement) -> bool:
    return (
        before.reason == AdvertisementReason.INTERFACE_MISSING
        and before.observed_generation == advertisement.metadata.generation
    )


def _without_pools(
    advertisement: L2Advertisement, pools: Mapping[str, IPAddressPool]
) -> dict[AdvertisementReason, str]:
    there = {pool.metadata.name for pool in pools.values()}
    missing = [name for name in advertisement.spec.ip_address_pools if name not in there]
    if missing:
        said = f"There is no IPAddressPool {some(missing)}; make it, or take the name out."
        return {AdvertisementReason.POOL_MISSING: said}
    if not advertisement.status.pools:
        said = "No IPAddressPool is selected, so nothing is announced by this."
        return {AdvertisementReason.SELECTS_NOTHING: said}
    return {}


def _without_others(advertisement: L2Advertisement, sight: Sight) -> dict[AdvertisementReason, str]:
    """What it selects by that comes to nothing, a sentence each; nothing is said of what isn't known."""
    spec, chosen, known = advertisement.spec, advertisement.status.pools, sight.known
    nodes = {node.metadata.name for node in known.nodes.values() if selecting(node, (spec,))}
    had = {
        attachment.interface
        for node, one in (sight.registrations or {}).items()
        if node in nodes or node not in known.nodes
        for attachment in one.attachments
    }
    lacking = f"No speaker on the Nodes that it selects has {some(spec.interfaces)}, only {some(sorted(had))}"
    found: tuple[tuple[AdvertisementReason, bool, str], ...] = (
        (
            AdvertisementReason.SELECTS_NO_NODE,
            bool(known.nodes) and not nodes,
            "nodeSelectors select no Node; correct them, or label one.",
        ),
        (
            AdvertisementReason.INTERFACE_MISSING,
            bool(spec.interfaces and had) and had.isdisjoint(spec.interfaces),
            f"{lacking}; correct interfaces.",
        ),
        (
            AdvertisementReason.SELECTS_NO_SERVICE,
            _selects_no_service(spec, frozenset(chosen), sight),
            f"serviceSelectors select no Service that has an address of {some(chosen)}; correct them, or label one.",
        ),
    )
    return {reason: message for reason, holds, message in found if holds}


def _selects_no_service(spec: L2AdvertisementSpec, pools: Collection[str], sight: Sight) -> bool:
    """Whether Services have addresses of these pools, and none of them is selected."""
    if not spec.service_selectors:
        return False
    some_are_there = False
    for address in sight.ledger:
        held = sight.ledger[address]
        for claim in held.services if held.pool in pools else ():
            service = sight.known.services.get(claim.key)
            if service is not None:
                if any(selector.matches(service.metadata.labels) for selector in spec.service_selectors):
                    return False
                some_are_there = True
    return some_are_there


def _condition(
    obj: IPAddressPool | L2Advertisement,
    kind: PoolCondition | AdvertisementCondition,
    reason: Reason | PoolReason | AdvertisementReason,
    message: str,
    *,
    holds: bool,
) -> Condition:
    status: Literal["True", "False"] = "True" if holds else "False"
    return Condition(
        type=kind, status=status, reason=reason, message=message, observed_generation=obj.metadata.generation
    )


def _sentences(problems: tuple[Problem, ...]) -> str:
    """All problems; the first of many, as a condition's message has a bound, and nobody reads hundreds at once."""
    more = f" And {len(problems) - _SAID} more." if len(problems) > _SAID else ""
    return " ".join(problem.message for problem in problems[:_SAID]) + more
