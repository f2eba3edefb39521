"""What is said of a plan: each Service, each pool, each address, and what an admin should look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.conditions import NO_ELIGIBLE_NODE, NO_ENDPOINTS
from lbprovider.api.core import Service
from lbprovider.api.meta import ObjectMeta, to_builtins
from lbprovider.api.names import IPAddress, object_name
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS
from lbprovider.api.times import rfc3339
from lbprovider.deciding.announcing import Announcement, Backed, backed_by, nobody_may
from lbprovider.deciding.pools import advertisement_status
from lbprovider.deciding.rehearsal import Rehearsal
from lbprovider.deciding.services import Outcome, condition, ingress
from lbprovider.election.endpoints import Endpoints
from lbprovider.election.placement import Reason as Ineligible
from lbprovider.election.placement import applying
from lbprovider.ipam.assign import assign
from lbprovider.ipam.ranges import Family, in_order
from lbprovider.ipam.reasons import Reason, Refused
from lbprovider.ipam.request import request_of
from lbprovider.planning.objects import Objects, Options
from lbprovider.planning.result import AnnouncementResult, Count, PoolResult, Problem, Result, ServiceResult

# --- Services


def decided(service: Service, outcome: Outcome | None, rehearsal: Rehearsal) -> ServiceResult:
    """A Service of ours as it was decided; None: nothing is, and it stays as it is."""
    if outcome is None:
        reason, message = _too_early(service, rehearsal)
        return _said(service, ingress(service), rehearsal, reason, message)
    said = outcome.condition
    return _said(service, tuple(map(str, outcome.shown)), rehearsal, said.reason, said.message)


def unchanged(service: Service, rehearsal: Rehearsal) -> ServiceResult:
    """A Service of ours as its own status has it."""
    said = condition(service)
    reason, message = ("", "") if said is None else (said.reason, said.message)
    return _said(service, ingress(service), rehearsal, reason, message)


def _too_early(service: Service, rehearsal: Rehearsal) -> tuple[str, str]:
    """Why nothing is decided: each Service has its families here, so that is for lack of pools."""
    request = request_of(service, {})
    answer = request if isinstance(request, Refused) else assign(request, rehearsal.ledger)
    if not isinstance(answer, Refused):
        raise TypeError(f"{service.key}: {answer!r} is an answer, and none was given")
    return answer.reason, answer.message


def _said(service: Service, shown: tuple[str, ...], rehearsal: Rehearsal, reason: str, message: str) -> ServiceResult:
    meta, ledger = service.metadata, rehearsal.ledger
    held = {str(address): ledger[address].pool for address in ledger.held_by(meta.uid)}
    pools = {address: held[address] for address in shown if address in held}
    first = pools.get(shown[0]) if shown else None
    return ServiceResult(meta.namespace, meta.name, shown, first, pools, reason, message)


# --- pools, addresses, problems


def told(
    objects: Objects, options: Options, rehearsal: Rehearsal, services: Iterable[ServiceResult], now: float
) -> Result:
    """The whole result.

    Args:
        objects: that it is about.
        options: the flags that decide.
        rehearsal: who holds what.
        services: those of ours.
        now: seconds since 1970.
    """
    backed = _backed(objects)
    announced = {
        address: rehearsal.announcement(address, backed, ignore_exclude_label=options.ignore_exclude_label)
        for address, spec in _allocations(rehearsal)
        if spec.services
    }
    problems = (
        *_of_pools(objects, rehearsal),
        *_of_advertisements(rehearsal, rfc3339(now)),
        *_of_addresses(objects, rehearsal, announced),
        *objects.problems,
    )
    return Result(
        services=tuple(services),
        allocations=tuple(_manifest(address, spec) for address, spec in _allocations(rehearsal)),
        pools=tuple(_pool(pool.metadata.name, rehearsal) for pool in objects.known.pools.values()),
        announcements=tuple(map(_announced, announced.values())),
        problems=problems,
    )


def _allocations(rehearsal: Rehearsal) -> Iterator[tuple[IPAddress, IPAllocationSpec]]:
    ledger = rehearsal.ledger
    return ((address, ledger[address]) for address in in_order(ledger))


def _manifest(address: IPAddress, spec: IPAllocationSpec) -> Mapping[str, Any]:
    made = IPAllocation(metadata=ObjectMeta(name=object_name(address)), spec=spec)
    return {"apiVersion": ALLOCATIONS.api_version, "kind": ALLOCATIONS.kind, **to_builtins(made)}


def _pool(name: str, rehearsal: Rehearsal) -> PoolResult:
    counts = rehearsal.ledger.counts(name)

    def of(field: str) -> Count:
        each: dict[Family, int] = {family: getattr(count, field) for family, count in counts.items()}
        return Count(each.get("IPv4", 0), each.get("IPv6", 0))

    return PoolResult(name, of("total"), of("assigned"), of("available"))


def _announced(one: Announcement) -> AnnouncementResult:
    return AnnouncementResult(
        address=one.address,
        eligible=one.eligible,
        excluded={node: str(one.excluded[node]) for node in sorted(one.excluded)},
        ranking=one.ranking,
        interfaces={node: "all" if (named := one.interfaces[node]) is None else named for node in one.eligible},
    )


def _backed(objects: Objects) -> Backed | None:
    """The endpoints of Services; one that isn't on the cluster yet is taken to have some on every Node."""
    if objects.slices is None:
        return None
    known, everywhere = backed_by(objects.slices), Endpoints(ready=frozenset(objects.known.nodes))

    def backed(service: str, family: Family) -> Endpoints:
        return everywhere if service in objects.unserved else known(service, family)

    return backed


def _of_pools(objects: Objects, rehearsal: Rehearsal) -> Iterator[Problem]:
    for pool in objects.known.pools.values():
        name, key = pool.metadata.name, f"{POOLS.kind} {pool.key}"
        for problem in rehearsal.ledger.pools.refused.get(name, ()):
            yield Problem(key, problem.reason, problem.message)
        if answering := rehearsal.conflicts.answering(name):
            yield Problem(key, Reason.LAN_ANSWERS_FOR_POOL, answering)


def _of_advertisements(rehearsal: Rehearsal, now: str) -> Iterator[Problem]:
    for one in rehearsal.advertisements:
        for said in advertisement_status(one, rehearsal.sight, now).conditions:
            if said.type == "Ready" and said.status == "False":
                yield Problem(f"{ADVERTISEMENTS.kind} {one.key}", said.reason, said.message)


def _of_addresses(
    objects: Objects, rehearsal: Rehearsal, announced: Mapping[IPAddress, Announcement]
) -> Iterator[Problem]:
    """Addresses that no node may announce; without any Node only those that no L2Advertisement is for."""
    for address, one in announced.items():
        if one.ranking:
            continue
        why = one.why_not
        if not objects.known.nodes:
            spec = rehearsal.ledger[address]
            if applying(rehearsal.advertisements, spec.pool, objects.known.labels_of(spec)):
                continue
            why = {Ineligible.NO_ADVERTISEMENT: 1}
        name = f"{ALLOCATIONS.kind} {object_name(address)}"
        reason = NO_ENDPOINTS if one.lacks_endpoints else NO_ELIGIBLE_NODE
        yield Problem(name, reason, nobody_may(one.address, why))
