"""The objects as they would be, to be read in again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from lbprovider.api.core import Service
from lbprovider.api.meta import Condition, Struct, to_builtins, with_condition
from lbprovider.api.resources import (
    ADVERTISEMENTS,
    ALLOCATIONS,
    ENDPOINT_SLICES,
    LEASES,
    NAMESPACES,
    NODES,
    POOLS,
    SERVICES,
    Resource,
)
from lbprovider.api.times import rfc3339
from lbprovider.deciding.pools import advertisement_status, pool_status
from lbprovider.deciding.services import CONDITION
from lbprovider.planning.objects import Raw, RawKey
from lbprovider.planning.planning import Plan

VIP: Final = "VIP"
"""KEP-1860's ``ipMode``, as the API server fills it in."""
_ORDER: Final[tuple[Resource[Any], ...]] = (
    NAMESPACES, NODES, POOLS, ADVERTISEMENTS, ENDPOINT_SLICES, LEASES, SERVICES,
)  # fmt: skip


def manifests(plan: Plan, now: float) -> Iterator[Raw]:
    """All objects that count, with the statuses that they would have; a plan of them is the same plan.

    Args:
        plan: made.
        now: seconds since 1970, for conditions that change.
    """
    raws, statuses = (
        plan.objects.raws,
        {**dict(_of_pools(plan, rfc3339(now))), **dict(_of_services(plan, rfc3339(now)))},
    )
    for resource in _ORDER:
        for key, raw in raws.items():
            if key[0] == resource.kind:
                one = _with_uid(raw, plan.objects.known.services[key[1]]) if resource is SERVICES else raw
                yield _with_status(one, statuses[key]) if key in statuses else one
    for made in plan.result.allocations:
        name = made["metadata"]["name"]
        before = raws[ALLOCATIONS.kind, name] if name in plan.rehearsal.stored else made
        yield {**before, "spec": made["spec"]}


def _with_uid(raw: Raw, service: Service) -> Raw:
    """With the uid that IPAllocations know it by, for they may not name it any more."""
    uid = service.metadata.uid
    return raw if uid == service.key else {**raw, "metadata": {**raw["metadata"], "uid": uid}}


def _with_status(raw: Raw, status: Raw) -> Raw:
    rest = {name: value for name, value in raw.items() if name != "status"}
    return {**rest, "status": status} if status else rest


def _of_pools(plan: Plan, now: str) -> Iterator[tuple[RawKey, Raw]]:
    known, rehearsal = plan.objects.known, plan.rehearsal
    for key, pool in known.pools.items():
        status = pool_status(pool, rehearsal.ledger, rehearsal.conflicts.answering(pool.metadata.name), now)
        yield (POOLS.kind, key), _status(status, status.conditions)
    for one in rehearsal.advertisements:
        advertised = advertisement_status(one, rehearsal.sight, now)
        yield (ADVERTISEMENTS.kind, one.key), _status(advertised, advertised.conditions)


def _status(status: Struct, conditions: Iterable[Condition]) -> Raw:
    return {**to_builtins(status), "conditions": list(map(_written, conditions))}


def _of_services(plan: Plan, now: str) -> Iterator[tuple[RawKey, Raw]]:
    services = plan.objects.known.services
    for key, outcome in plan.outcomes.items():
        if outcome is not None:
            said = with_condition(services[key].status.conditions, outcome.condition, now)
            ours = [_written(one) for one in said if one.type == CONDITION]
            shown = [{"ip": str(address), "ipMode": VIP} for address in outcome.shown]
            yield (SERVICES.kind, key), _of_service(plan.objects.raws[SERVICES.kind, key], shown, ours)
    for key, let_go in plan.withdrawn.items():
        left, raw = set(map(str, let_go)), plan.objects.raws[SERVICES.kind, key]
        shown = raw.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        yield (SERVICES.kind, key), _of_service(raw, [entry for entry in shown if entry.get("ip") not in left], [])


def _of_service(raw: Raw, ingress: Sequence[Raw], ours: Iterable[Raw]) -> Raw:
    """The status of a Service, what others wrote into it beside our condition included."""
    status = dict(raw.get("status", {}))
    theirs = [one for one in status.get("conditions", ()) if one["type"] != CONDITION]
    status["loadBalancer"] = {"ingress": ingress} if ingress else {}
    status["conditions"] = [*theirs, *ours]
    return {name: value for name, value in status.items() if value}


def _written(condition: Condition) -> Raw:
    """With an empty message too: the field is required in the standard form."""
    return {"message": condition.message, **to_builtins(condition)}
