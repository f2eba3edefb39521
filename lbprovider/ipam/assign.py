"""The decision: which addresses a Service gets, keeps and lets go, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from lbprovider.api.names import FORCE, IPAddress
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.ranges import Family, family_of
from lbprovider.ipam.reasons import Note, PassedOver, Reason, Refused
from lbprovider.ipam.request import Request
from lbprovider.ipam.search import Grant, Rule, Search
from lbprovider.ipam.sharing import HARMFUL, clashes

__all__ = ["Assigned", "Grant", "Rule", "assign", "start_order"]


class _Verdict(IntEnum):
    """What becomes of an address that the Service holds; the better one first."""

    KEEP = 0
    MOVE = 1
    """It asks for something else: to be let go once that is certain."""
    LEAVE = 2
    """It may not stay, whatever else can be had."""


@dataclass(frozen=True, slots=True)
class _Held:
    """An address that the Service holds. ``note`` is what to say where it is kept."""

    grant: Grant
    verdict: _Verdict
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Assigned:
    """The Service has these addresses.

    Write ``sharing.joined`` of each grant first (it equals what is there where nothing changed), then the Service's
    status, then ``sharing.left`` of what is released.

    Args:
        grants: in the order of the Service's families; this is the order of ``status.loadBalancer.ingress``.
        release: addresses that it holds and must let go.
        notes: what is to be said besides; empty where it has what it asked for.
        tried: pools in the order tried, with the reason each was passed over.
    """

    grants: tuple[Grant, ...]
    release: tuple[IPAddress, ...] = ()
    notes: tuple[Note, ...] = ()
    tried: tuple[PassedOver, ...] = ()

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """Of the grants, in order."""
        return tuple(grant.address for grant in self.grants)

    @property
    def new(self) -> tuple[Grant, ...]:
        """Grants that the Service doesn't hold yet."""
        return tuple(grant for grant in self.grants if grant.rule is not Rule.KEPT)


def assign(request: Request, ledger: Ledger) -> Assigned | Refused:
    """Decides; changes nothing. The same request and ledger give the same answer, however the ledger came about.

    What the Service holds comes from the ledger (by uid). A second call with the answer put into the ledger grants the
    same addresses and releases nothing.

    No time is asked for: an address that cools down is given only where no other is free, and is free as soon as the
    caller drops it (``Ledger.lapsed``).
    """
    everything = ledger.held_by(request.uid)
    held = _best_held(request, ledger, everything)
    kept = {family: one for family, one in held.items() if one.verdict is _Verdict.KEEP}
    missing = tuple(family for family in request.families if family not in kept)
    search = Search(request, ledger, frozenset(map(family_of, everything)))
    keeps = {family: one.grant for family, one in kept.items()}
    found, failure = search.find(missing, keeps) if missing else ({}, None)
    notes: tuple[Note, ...] = ()
    if failure is not None:
        # The old until the new is certain: what it would leave of its own will, and can't, it keeps.
        stuck = {f: one for f, one in held.items() if one.verdict is _Verdict.MOVE and f not in found}
        kept |= stuck
        if not found and not _lives(request, kept):
            return Refused(failure.reason, failure.message, release=everything, tried=search.passed)
        lacking = [family for family in missing if family not in found]
        explicit = any(family in request.requested for family in lacking)
        notes = (_unmet(request, failure, moving=bool(stuck) or explicit),)
    found |= {family: one.grant for family, one in kept.items()}
    grants = tuple(found[family] for family in request.families if family in found)
    granted = {grant.address for grant in grants}
    return Assigned(
        grants,
        release=tuple(address for address in everything if address not in granted),
        notes=(*notes, *(one.note for one in kept.values() if one.note)),
        tried=search.passed,
    )


def _best_held(request: Request, ledger: Ledger, everything: tuple[IPAddress, ...]) -> dict[Family, _Held]:
    """Of each wanted family the one address that it should rather keep; a crash may have left two."""
    best: dict[Family, _Held] = {}
    for family in request.families:
        mine = [_judge(address, request, ledger) for address in everything if family_of(address) == family]
        if mine:
            best[family] = min(mine, key=lambda one: (one.verdict, one.grant.address != request.status.get(family)))
    return best


def _lives(request: Request, kept: Mapping[Family, _Held]) -> bool:
    """Whether what it would keep without the rest is to be kept.

    Not one half of what RequireDualStack asks for, where its status never showed it: a crash, or another controller
    that was faster with the other half, left it, and the answer is the same as without it.
    """
    if request.policy != "RequireDualStack":
        return bool(kept)
    return any(request.status.get(family) == one.grant.address for family, one in kept.items())


def _judge(address: IPAddress, request: Request, ledger: Ledger) -> _Held:
    """What becomes of an address that the Service holds."""
    spec, pool = ledger[address], ledger.pools.covering(address)
    came_from = ledger.pools.pools.get(spec.pool)
    allowed = pool is not None and pool.open_to(request.namespace, request.namespace_labels, request.labels)
    here = pool.name if pool is not None and allowed else ""
    if request.pool and here != request.pool:
        here = ""
    # The pool edit, not the Service, took the address out of the pool that the Service names.
    edited = not allowed or request.pool == spec.pool
    against = clashes(request, spec, across_namespaces=True)
    asked = request.requested.get(family_of(address), address)
    grant = Grant(address, here or spec.pool, Rule.KEPT)
    if not HARMFUL.isdisjoint(against) or (not here and edited and came_from is not None and came_from.forced):
        return _Held(grant, _Verdict.LEAVE)
    if asked != address or against or (request.pool and request.pool not in (here, spec.pool)):
        return _Held(grant, _Verdict.MOVE)
    return _Held(grant, _Verdict.KEEP, None if here else _stranded(address, spec.pool, request, ledger))


def _stranded(address: IPAddress, came_from: str, request: Request, ledger: Ledger) -> Note:
    pools = ledger.pools
    pool = pools.covering(address)
    if pool is None:
        now = "no pool allows it any more"
    elif request.pool and request.pool != pool.name:
        now = f"pool {pool.name} has it now, and the Service names {request.pool}"
    else:
        now = f"pool {pool.name} has it now and doesn't serve this Service"
    force = f"by {FORCE} on pool {came_from}" if came_from in pools.pools else "by naming another pool"
    return Note(
        Reason.STRANDED,
        f"{address} came from pool {came_from}, and {now}; it is kept while the Service lives: give it back to "
        f"a pool for this Service, or let it go by deleting the Service or {force}.",
    )


def _unmet(request: Request, failure: Refused, *, moving: bool) -> Note:
    """What to say where not everything could be had, and the Service has an address all the same."""
    if request.policy == "PreferDualStack" and not moving:
        return Note(Reason.SINGLE_FAMILY_ONLY, f"One family only. {failure.message}", failure.reason)
    return Note(Reason.REQUEST_UNSATISFIABLE, f"The Service keeps what it has. {failure.message}", failure.reason)


def start_order(requests: Iterable[Request], ledger: Ledger) -> list[Request]:
    """The order in which to decide when everything is decided anew, whatever the order of arrival.

    Services that hold an address first, then those whose own status shows one (adoption), then the others; the older
    Service first. DESIGN §2.
    """
    return sorted(
        requests,
        key=lambda request: (not ledger.held_by(request.uid), not request.status, request.age),
    )
