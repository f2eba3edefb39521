"""How a plan differs from what a live cluster shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from lbprovider.api.names import object_name
from lbprovider.api.resources import ALLOCATIONS, POOLS, SERVICES
from lbprovider.planning.objects import Objects
from lbprovider.planning.result import Change, Result

Fields = Mapping[str, Mapping[str, Any]]
"""By object: its fields that are compared."""


def changes(before: Result, after: Result, live: Objects, namespace: str) -> tuple[Change, ...]:
    """What would change: addresses and reasons of Services, counts of pools, who announces an address.

    Args:
        before: of the cluster as it is (``planning.before``).
        after: of the plan.
        live: the cluster as it is.
        namespace: of the pools.
    """
    leaders = {one.metadata.name: one.status.leader for one in live.allocations if one.is_announced}
    pairs = (
        (_services(before), _services(after)),
        (_pools(before, namespace), _pools(after, namespace)),
        (_announcements(before, leaders), _announcements(after, leaders)),
    )
    return tuple(change for was, will in pairs for change in _differences(was, will))


def _differences(before: Fields, after: Fields) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        was, will = before.get(name, {}), after.get(name, {})
        for field in will or was:
            if was.get(field) != will.get(field):
                yield Change(name, field, was.get(field), will.get(field))


def _services(result: Result) -> Fields:
    return {
        f"{SERVICES.kind} {one.namespace}/{one.name}": {"ingress": one.ingress, "reason": one.reason or None}
        for one in result.services
    }


def _pools(result: Result, namespace: str) -> Fields:
    return {
        f"{POOLS.kind} {namespace}/{one.name}": {
            "total": one.total,
            "assigned": one.assigned,
            "available": one.available,
        }
        for one in result.pools
    }


def _announcements(result: Result, leaders: Mapping[str, str]) -> Fields:
    """A healthy owner stays, whatever its rank."""
    found = {}
    for one in result.announcements:
        name = object_name(ip_address(one.address))
        leader = leaders.get(name, "")
        first = one.ranking[0] if one.ranking else None
        stays = leader if leader in one.ranking else first
        found[f"{ALLOCATIONS.kind} {name}"] = {"eligible": one.eligible, "announcer": stays}
    return found
