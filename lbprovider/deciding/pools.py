"""What pools and advertisements come to: their statuses, with conditions that say what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

import msgspec

from lbprovider.api.meta import Condition, with_condition
from lbprovider.api.pool import IPAddressPool, IPAddressPoolStatus, L2Advertisement, L2AdvertisementStatus
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import Problem
from lbprovider.ipam.reasons import Reason, some

_SAID: Final = 10
"""So many problems of one pool are said at once."""


def pools_of(advertisement: L2Advertisement, pools: Iterable[IPAddressPool], ledger: Ledger) -> tuple[str, ...]:
    """The pools that an L2Advertisement comes to: by name, by label, or (neither given) all; sorted.

    A pool that is gone stays while live addresses of it are left: they go on to be announced.

    Args:
        advertisement: the L2Advertisement.
        pools: all that there are.
        ledger: knows which live addresses are left.
    """
    spec = advertisement.spec
    everything = not spec.ip_address_pools and not spec.ip_address_pool_selectors
    there = {pool.metadata.name: pool for pool in pools}
    chosen = {
        name
        for name, pool in there.items()
        if everything
        or name in spec.ip_address_pools
        or any(selector.matches(pool.metadata.labels) for selector in spec.ip_address_pool_selectors)
    }
    left = {name for name in advertisement.status.pools if name not in there and ledger.stranded(name)}
    return tuple(sorted(chosen | left))


def resolved(
    advertisements: Iterable[L2Advertisement], pools: Collection[IPAddressPool], ledger: Ledger
) -> tuple[L2Advertisement, ...]:
    """The L2Advertisements as they will be once their statuses name their pools: decisions don't wait for that."""
    return tuple(
        msgspec.structs.replace(
            one, status=msgspec.structs.replace(one.status, pools=pools_of(one, pools, ledger))
        )
        for one in advertisements
    )  # fmt: skip


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
    full = [family for family, count in ledger.counts(name).items() if not count.available]
    stranded = [str(address) for address in ledger.stranded(name)]
    said: tuple[tuple[str, bool, str, str], ...] = (
        ("Ready", not problems, problems[0].reason if problems else "Ready", _sentences(problems)),
        (
            "Exhausted",
            bool(full),
            "Exhausted" if full else "Available",
            f"Every {' and '.join(full)} address is in use; add addresses." if full else "",
        ),
        (
            "Stranded",
            bool(stranded),
            "Stranded" if stranded else "Covered",
            f"Live addresses that no pool covers any more: {some(stranded)}." if stranded else "",
        ),
        (
            Reason.LAN_ANSWERS_FOR_POOL,
            bool(answering),
            Reason.LAN_ANSWERS_FOR_POOL if answering else "Quiet",
            answering,
        ),
    )
    return tuple(_condition(pool, *one) for one in said)


def advertisement_status(
    advertisement: L2Advertisement, pools: Mapping[str, IPAddressPool], now: str
) -> L2AdvertisementStatus:
    """The status of an L2Advertisement that is ``resolved``.

    Args:
        advertisement: its status names its pools.
        pools: all that there are.
        now: RFC 3339, for conditions that change.
    """
    there = {pool.metadata.name for pool in pools.values()}
    missing = [name for name in advertisement.spec.ip_address_pools if name not in there]
    chosen = advertisement.status.pools
    if missing:
        said = (False, "PoolMissing", f"There is no IPAddressPool {some(missing)}; make it, or take the name out.")
    elif not chosen:
        said = (False, "SelectsNothing", "No IPAddressPool is selected, so nothing is announced by this.")
    else:
        said = (True, "Ready", "")
    condition = _condition(advertisement, "Ready", *said)
    return L2AdvertisementStatus(
        pools=chosen, conditions=with_condition(advertisement.status.conditions, condition, now)
    )  # fmt: skip


def _condition(obj: IPAddressPool | L2Advertisement, kind: str, holds: bool, reason: str, message: str) -> Condition:  # noqa: FBT001  (a condition's status)
    status: Literal["True", "False"] = "True" if holds else "False"
    return Condition(
        type=kind, status=status, reason=reason, message=message, observed_generation=obj.metadata.generation
    )


def _sentences(problems: tuple[Problem, ...]) -> str:
    """All problems; the first of many, as a condition's message has a bound, and nobody reads hundreds at once."""
    more = f" And {len(problems) - _SAID} more." if len(problems) > _SAID else ""
    return " ".join(problem.message for problem in problems[:_SAID]) + more
