"""What becomes of each Service: the controller's own code, asked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import Service
from lbprovider.api.names import IPAddress
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec, L2Advertisement
from lbprovider.api.registration import Registration
from lbprovider.deciding.announcing import Announcement, Backed
from lbprovider.deciding.known import Known, Scope
from lbprovider.deciding.rehearsal import Rehearsal
from lbprovider.deciding.services import Outcome
from lbprovider.ipam.reasons import Refused, some
from lbprovider.ipam.request import is_ours, shown_by
from lbprovider.migrating.carrying import Carried

_LAYER2: Final = "layer 2"
_BGP: Final = "BGP"


@dataclass(frozen=True, slots=True)
class Speakers:
    """Who could announce, in a cluster; in files nobody is known.

    Args:
        registrations: of our speakers, by node.
        backed: the Services' endpoints.
    """

    registrations: Mapping[str, Registration]
    backed: Backed


@dataclass(frozen=True, slots=True)
class Unannounced:
    """Why no speaker of ours could announce an address.

    Args:
        why: the reasons, with how many nodes each keeps out.
        for_endpoints: its Services have none that can serve, so that MetalLB doesn't announce it either.
    """

    why: str
    for_endpoints: bool


@dataclass(frozen=True, slots=True)
class Prospect:
    """One Service that has addresses now.

    Args:
        key: ``namespace/name``.
        uid: of the Service; empty in files.
        now: the addresses that its status shows.
        then: those that it would have.
        pools: of these, by address.
        by: how they are announced now: ``layer 2``, ``BGP``, both, or neither.
        reason: why it would lose one; empty where it keeps all.
        message: the same as a sentence.
        unannounced: of the addresses that our speakers would have to announce, those that none could.
    """

    key: str
    uid: str
    now: tuple[IPAddress, ...]
    then: tuple[IPAddress, ...]
    pools: Mapping[IPAddress, str]
    by: tuple[str, ...]
    reason: str = ""
    message: str = ""
    unannounced: Mapping[IPAddress, Unannounced] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether it keeps all that it has."""
        return set(self.now) == set(self.then)


def prospects(
    carried: Carried,
    known: Known,
    allocations: Iterable[IPAllocation],
    *,
    scope: Scope,
    metallb_class: str,
    now: float,
    speakers: Speakers | None = None,
) -> tuple[Prospect, ...]:
    """What each Service that has addresses would have after the migration, by key.

    Args:
        carried: what is written.
        known: the cluster, with the pools and advertisements that lbprovider has already.
        allocations: the IPAllocations that there are.
        scope: which Services lbprovider's controller takes for its own.
        metallb_class: the ``spec.loadBalancerClass`` that MetalLB serves; empty: those without one.
        now: seconds since 1970.
        speakers: None where nothing is known of them.
    """
    pools = {**known.pools, **{one.key: one for one in carried.pools}}
    advertisements = {**known.advertisements, **{one.key: one for one in carried.advertisements}}
    after = replace(known, pools=pools, advertisements=advertisements)
    rehearsal = Rehearsal(after, allocations, scope, now, None if speakers is None else speakers.registrations)
    rehearsal.decisions.reserve()
    found = []
    for service in sorted(known.services.values(), key=lambda one: one.key):
        ours = rehearsal.decisions.ours(service)
        theirs = is_ours(service, metallb_class, default_class=not metallb_class)
        if shown_by(service) and (ours or theirs):
            by = _ways(service, rehearsal, carried)
            one = _decided(service, by, rehearsal) if ours else _abandoned(service, by)
            found.append(_announced(one, rehearsal, carried, speakers))
    return tuple(found)


def _decided(service: Service, by: tuple[str, ...], rehearsal: Rehearsal) -> Prospect:
    outcome = rehearsal.decisions.decide(service)
    now = shown_by(service)
    then = () if outcome is None else outcome.shown
    held = {address: rehearsal.ledger[address].pool for address in then if address in rehearsal.ledger}
    reason, message = _why(now, then, outcome, rehearsal)
    return Prospect(service.key, service.metadata.uid, now, then, held, by, reason, message)


def _why(
    now: Sequence[IPAddress], then: Sequence[IPAddress], outcome: Outcome | None, rehearsal: Rehearsal
) -> tuple[str, str]:
    """Why it doesn't keep exactly what it has: a reason, and a sentence; empty where it does."""
    gone = [address for address in now if address not in then]
    more = [str(address) for address in then if address not in now]
    if not gone and not more:
        return "", ""
    if not gone:
        return "MoreAddresses", f"it would get {some(more)} besides, which MetalLB did not give it"
    if outcome is None:
        return "NotDecided", "its namespace is not known, or it has no cluster IP yet"
    if isinstance(outcome.answer, Refused):
        return outcome.answer.reason, outcome.answer.message
    if rehearsal.ledger.pools.covering(gone[0]) is None:
        return rehearsal.ledger.pools.uncovered(gone[0])
    return "NotKept", f"{gone[0]} would go, as the Service's own spec asks for something else"


def _abandoned(service: Service, by: tuple[str, ...]) -> Prospect:
    wanted = service.spec.load_balancer_class
    message = (
        f"lbprovider's controller leaves Services of the class {wanted} alone; give it --lb-class={wanted}"
        if wanted
        else "lbprovider's controller leaves Services without a class alone; take --no-default-class away"
    )
    return Prospect(service.key, service.metadata.uid, shown_by(service), (), {}, by, "NotOurs", message)


def _ways(service: Service, rehearsal: Rehearsal, carried: Carried) -> tuple[str, ...]:
    covering = map(rehearsal.ledger.pools.covering, shown_by(service))
    of_it = {pool.name for pool in covering if pool is not None}
    ways = ((_LAYER2, carried.by_layer2), (_BGP, carried.by_bgp))
    return tuple(way for way, there in ways if of_it & there)


def _announced(prospect: Prospect, rehearsal: Rehearsal, carried: Carried, speakers: Speakers | None) -> Prospect:
    if speakers is None:
        return prospect
    lacking: dict[IPAddress, Unannounced] = {}
    for address, pool in prospect.pools.items():
        if pool in carried.by_layer2:
            found = rehearsal.announcement(address, speakers.backed)
            if not found.ranking:
                lacking[address] = _excluded(found)
    return replace(prospect, unannounced=lacking)


def _excluded(found: Announcement) -> Unannounced:
    why = some(f"{reason} ({nodes} node{'s' if nodes > 1 else ''})" for reason, nodes in found.why_not.items())
    return Unannounced(why or "there is no node", found.lacks_endpoints)


def lost(found: Iterable[Prospect]) -> tuple[str, ...]:
    """Why the migration doesn't begin: a sentence for each Service whose addresses would change."""
    return tuple(
        f"Service {one.key} would not keep {some(map(str, one.now))}"
        f"{f' but have {some(map(str, one.then))}' if one.then else ''}: {one.reason}: {one.message}"
        for one in found
        if not one.kept
    )


def existing(
    carried: Carried, pools: Mapping[str, IPAddressPool], advertisements: Mapping[str, L2Advertisement]
) -> tuple[str, ...]:
    """What lbprovider has already by a name that is to be written, and that says something else."""
    said = [
        f"IPAddressPool {one.key} is there already and says something else; delete or rename it"
        for one in carried.pools
        if one.key in pools and _strict(pools[one.key].spec) != _strict(one.spec)
    ]
    said += [
        f"L2Advertisement {one.key} is there already and says something else; delete or rename it"
        for one in carried.advertisements
        if one.key in advertisements and advertisements[one.key].spec != one.spec
    ]
    return tuple(said)


def _strict(spec: IPAddressPoolSpec) -> IPAddressPoolSpec:
    """Without what was added because of Services: those that shared when it was written may not do so any more."""
    return msgspec.structs.replace(spec, allow_sharing_across_namespaces=False)
