"""Why a Service has its addresses, or none: the rules asked again, and every answer kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import msgspec

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.conditions import ANNOUNCED, ServiceReason
from lbprovider.api.core import Service
from lbprovider.api.meta import Condition
from lbprovider.api.names import IPAddress, object_name
from lbprovider.api.registration import Registration
from lbprovider.deciding.announcing import ADVICE, Announcement, Backed
from lbprovider.deciding.known import Known, Scope
from lbprovider.deciding.rehearsal import Rehearsal
from lbprovider.deciding.services import Outcome, condition, ingress
from lbprovider.ipam.assign import Assigned, assign
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import Family, family_of
from lbprovider.ipam.reasons import MEANING, Reason, Refused
from lbprovider.ipam.request import Request, request_of
from lbprovider.ipam.search import Grant, Rule
from lbprovider.ipam.sharing import left

CHOSEN: Final = "Chosen"
NOT_TRIED: Final = "NotTried"

_RULES: Final[Mapping[Rule, str]] = MappingProxyType(
    {
        Rule.KEPT: "It has it, and what allowed that still does; an address that works is kept.",
        Rule.REQUESTED: "The Service asks for this very address.",
        Rule.ADOPTED: "The Service's own status showed it before there was an IPAllocation.",
        Rule.NAMED_POOL: "The Service names the pool; this is its lowest free address, in the order of its entries.",
        Rule.PINNED_POOL: "The first pool pinned to the Service with a free address; this is the lowest of them.",
        Rule.GENERAL_POOL: "The first general pool by name with a free address; this is the lowest of them.",
    }
)


_NOT_NEEDED: Final = "A pool before it gave the address."
_NOT_REACHED: Final = "What the Service asks for was refused before any pool was searched."


@dataclass(frozen=True, slots=True)
class Look:
    """A pool as it was looked at.

    Args:
        pool: its name.
        family: empty where it was passed as a whole.
        verdict: a reason of ``ipam.reasons``, ``Chosen`` or ``NotTried``.
        message: one sentence.
    """

    pool: str
    family: str
    verdict: str
    message: str


@dataclass(frozen=True, slots=True)
class Held:
    """An address of the Service.

    Args:
        address: in its short form.
        pool: that it is accounted to.
        rule: the one that would choose it today, ``Kept`` where none would.
        why: the rule as a sentence.
        leader: the node that answers for it, with ``interface``, ``mac`` and ``since`` (RFC 3339); empty: none does.
        reason: of its IPAllocation's condition Announced, and its ``message``; empty where nobody has said anything.
        announcement: which nodes could, and why the others could not.
        placed: why that node, as a sentence.
    """

    address: str
    pool: str
    rule: str
    why: str
    announcement: Announcement
    leader: str = ""
    interface: str = ""
    mac: str = ""
    since: str = ""
    reason: str = ""
    message: str = ""
    placed: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is to be said of a Service.

    Args:
        service: ``namespace/name``.
        reason: as its condition has it, or would; and ``message``.
        shown: the addresses that its status shows.
        addresses: what it holds.
        pools: in the order tried, as for a Service that has nothing yet.
        advice: what to change; empty where all is well.
    """

    service: str
    reason: str
    message: str
    shown: tuple[str, ...] = ()
    addresses: tuple[Held, ...] = ()
    pools: tuple[Look, ...] = ()
    advice: tuple[str, ...] = ()


def explain(
    service: Service,
    known: Known,
    allocations: Iterable[IPAllocation],
    scope: Scope,
    *,
    registrations: Mapping[str, Registration],
    backed: Backed,
    now: float,
) -> Explanation:
    """Explains one Service.

    Args:
        service: one of ``known``.
        known: what is known of the cluster.
        allocations: all IPAllocations.
        scope: which Services are ours.
        registrations: of the speakers, by node.
        backed: the Services' endpoints.
        now: seconds since 1970.
    """
    stored = {one.metadata.name: one for one in allocations}
    shown = ingress(service)
    rehearsal = Rehearsal(known, stored.values(), scope, now, registrations)
    if not rehearsal.decisions.ours(service):
        reason, message = _not_ours(service, scope)
        return Explanation(service.key, reason, message, shown)
    namespace = known.namespaces.get(service.metadata.namespace)
    if namespace is None:
        message = f"There is no Namespace {service.metadata.namespace} any more; the Service goes with it."
        return Explanation(service.key, "NamespaceGone", message, shown)
    request = request_of(service, namespace.metadata.labels)
    rehearsal.decisions.reserve()
    outcome = rehearsal.decisions.decide(service)
    anew, pools = (request, ()) if isinstance(request, Refused) else _anew(request, known, stored.values(), scope, now)
    if outcome is None:
        quiet = anew if isinstance(anew, Refused) else Refused(Reason.NO_POOLS, MEANING[Reason.NO_POOLS])
        return Explanation(service.key, quiet.reason, quiet.message, shown, pools=pools, advice=_advice(quiet))
    grants = {grant.address: grant for grant in _granted(anew)}

    def held(address: IPAddress) -> Held:
        rule = grants[address].rule if address in grants else Rule.KEPT
        where = rehearsal.announcement(address, backed)
        found = Held(str(address), rehearsal.ledger[address].pool, rule, _RULES[rule], where)
        return _with_leader(found, stored.get(object_name(address)))

    addresses = tuple(map(held, outcome.addresses))
    said = _said(service, outcome)
    advice = tuple(_advise(service, said, outcome, addresses))
    return Explanation(service.key, said.reason, said.message, shown, addresses, pools, advice)


def _said(service: Service, outcome: Outcome) -> Condition:
    """The condition as it would be written now; where somebody else writes the addresses, as it is."""
    written = condition(service)
    left = written is not None and written.reason == ServiceReason.FOREIGN_CONTROLLER
    return written if written is not None and left else outcome.condition


def _not_ours(service: Service, scope: Scope) -> tuple[str, str]:
    if service.spec.type != "LoadBalancer":
        return "OtherType", f"The Service is of type {service.spec.type}; only type LoadBalancer gets addresses."
    if service.metadata.deletion_timestamp is not None:
        return "Terminating", "The Service is being deleted: its addresses are let go."
    wanted = service.spec.load_balancer_class
    if wanted is None:
        return "OtherClass", (
            "The Service has no loadBalancerClass, and the controller leaves those alone (--no-default-class); "
            f"make it anew with spec.loadBalancerClass {scope.lb_class}."
        )
    return "OtherClass", f"The Service is of loadBalancerClass {wanted}; ours is {scope.lb_class} (--lb-class)."


def _advice(quiet: Refused) -> tuple[str, ...]:
    return () if quiet.reason is Reason.NO_CLUSTER_IPS else (quiet.message,)


def _anew(
    request: Request, known: Known, allocations: Iterable[IPAllocation], scope: Scope, now: float
) -> tuple[Assigned | Refused, tuple[Look, ...]]:
    """What the Service would get if it had nothing yet: only so is each pool looked at in its turn."""
    without = []
    for one in allocations:
        spec = left(one.spec, request.uid) if any(claim.uid == request.uid for claim in one.spec.services) else one.spec
        if spec is not None:
            without.append(msgspec.structs.replace(one, spec=spec))
    ledger = Rehearsal(known, without, scope, now).ledger
    answer = assign(replace(request, status={}), ledger)
    return answer, (*_looks(request, answer, ledger), *_refused(request, ledger.pools))


def _looks(request: Request, answer: Assigned | Refused, ledger: Ledger) -> Iterator[Look]:
    passed = {(one.pool, one.family): one.reason for one in answer.tried}
    chosen = {(grant.pool, family_of(grant.address)): grant for grant in _granted(answer)}
    for name in (request.pool,) if request.pool else ledger.pools.pools:
        if name not in ledger.pools.pools:
            continue
        said = []
        for family in request.families:
            grant, reason = chosen.get((name, family)), passed.get((name, family))
            if grant is not None:
                said.append(Look(name, family, CHOSEN, f"{grant.address}: {_RULES[grant.rule]}"))
            elif reason is not None:
                said.append(Look(name, family, reason, _meaning(reason, name, family, ledger)))
        if not said and (reason := passed.get((name, ""))):
            said = [Look(name, "", reason, MEANING[reason])]
        yield from said or [Look(name, "", NOT_TRIED, _NOT_NEEDED if chosen else _NOT_REACHED)]


def _granted(answer: Assigned | Refused) -> tuple[Grant, ...]:
    return answer.grants if isinstance(answer, Assigned) else ()


def _meaning(reason: Reason, pool: str, family: Family, ledger: Ledger) -> str:
    if reason is not Reason.EXHAUSTED:
        return MEANING[reason]
    count = ledger.counts(pool)[family]
    return f"{count.assigned} of {count.total} {family} addresses are in use, and none of them can be shared with it."


def _refused(request: Request, pools: PoolSet) -> Iterator[Look]:
    for name, problems in pools.refused.items():
        if request.pool in ("", name):
            yield Look(name, "", problems[0].reason, problems[0].message)


def _with_leader(held: Held, allocation: IPAllocation | None) -> Held:
    ranking = held.announcement.ranking
    said = None if allocation is None else allocation.condition(ANNOUNCED)
    if allocation is None or said is None:
        return replace(held, placed="Nobody has said yet that it answers for the address.")
    status = allocation.status
    if said.status != "True":
        placed = "No node answers for it."
    elif status.leader not in ranking:
        placed = f"{status.leader} answers for it and may no longer; it is about to hand it over."
    elif status.leader == ranking[0]:
        placed = f"{status.leader} ranks first of {len(ranking)} that may."
    else:
        placed = (
            f"{ranking[0]} ranks first of {len(ranking)} that may; {status.leader} has it, and a healthy owner stays."
        )
    return replace(
        held,
        leader=status.leader if said.status == "True" else "",
        interface=status.interface,
        mac=status.mac,
        since=status.since,
        reason=said.reason,
        message=said.message,
        placed=placed,
    )


def _advise(service: Service, said: Condition, outcome: Outcome, addresses: tuple[Held, ...]) -> Iterator[str]:
    if said.reason != Reason.ASSIGNED:
        yield said.message
    written = condition(service)
    lags = ingress(service) != tuple(map(str, outcome.shown)) and said.reason != ServiceReason.FOREIGN_CONTROLLER
    if lags or written is None or written.reason != said.reason:
        yield (
            "The Service's status doesn't say so yet: either the controller is about to write it, or it isn't running "
            "or may not (its log, and its condition Ready, say why)."
        )
    for held in addresses:
        where = held.announcement
        if where.ranking:
            continue
        if not where.excluded:
            yield f"{held.address}: there are no Nodes."
            continue
        most, count = max(where.why_not.items(), key=lambda each: each[1])
        advice = ADVICE.get(most)
        yield f"{held.address}: no node may announce it ({most} on {count})" + (f"; {advice}." if advice else ".")
