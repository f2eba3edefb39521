"""What ``lbprovider plan`` does: reads, plans, and tells it to people or programs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import msgspec

from lbprovider import shipped
from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec
from lbprovider.api.meta import Object
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
from lbprovider.api.times import nanoseconds
from lbprovider.cli import live
from lbprovider.deciding.known import Scope
from lbprovider.documents import reading, written
from lbprovider.errors import InvalidDocument, InvalidObject, UsageError
from lbprovider.kube.ports import Unreadable
from lbprovider.planning import Change, Options, Plan, Problem, before, changes, gather, manifests, plan
from lbprovider.settings import ControllerSettings


@dataclass(frozen=True, slots=True)
class Planned:
    """What came of it.

    Args:
        plan: None where the input can't be used.
        unusable: why not.
        changes: against the live cluster; None where there is none.
    """

    plan: Plan | None
    unusable: tuple[InvalidDocument, ...] = ()
    changes: tuple[Change, ...] | None = None


def scope(namespace: str, lb_class: str, *, default_class: bool) -> Scope:
    """Which Services are ours, by the controller's flags.

    Raises:
        UsageError: the controller would not take them.
    """
    settings = ControllerSettings(namespace=namespace, identity="plan", lb_class=lb_class, default_class=default_class)
    return Scope(settings.lb_class, settings.default_class)


def time_of(text: str) -> float:
    """Seconds since 1970.

    Raises:
        UsageError: it is no RFC 3339 time.
    """
    found = nanoseconds(text)
    if not found:
        raise UsageError(f"--at {text!r}: write a time as 2026-01-31T12:00:00Z")
    return found / 1e9


def planned(files: Sequence[str], stdin: TextIO, options: Options, now: float, against: Path | None = None) -> Planned:
    """Reads and plans.

    Args:
        files: paths; ``-`` is standard input.
        stdin: standard input.
        options: the flags that decide.
        now: seconds since 1970.
        against: a kubeconfig: the plan begins with that cluster's objects.

    Raises:
        UsageError: the kubeconfig can't be used.
        ClusterError: the cluster can't be read.
    """
    schemas = shipped.schemas()
    found = reading(files, stdin)
    there = None if against is None else _read(against, options.namespace)
    objects, refused = gather(found.documents, options, schemas, None if there is None else _objects(there))
    if unusable := (*found.problems, *refused):
        return Planned(None, unusable)
    if there is None:
        return Planned(plan(objects, options, now))
    was, _ = gather((), options, schemas, _objects(there))
    objects = replace(
        objects,
        problems=(*objects.problems, *map(_unreadable, there.unreadable)),
        unreadable=frozenset(one.key for one in there.unreadable if one.kind == SERVICES.kind),
    )
    made = plan(objects, options, now)
    return Planned(made, (), changes(before(was, options, now), made.result, was, options.namespace))


def _read(kubeconfig: Path, namespace: str) -> live.Live:
    return asyncio.run(live.as_admin(kubeconfig, lambda api: live.read(api, namespace, installed=False)))


def _objects(there: live.Live) -> Iterator[tuple[Resource[Any], Object]]:
    known = there.known
    each: tuple[tuple[Resource[Any], Iterator[Object] | Sequence[Object]], ...] = (
        (NAMESPACES, iter(known.namespaces.values())),
        (NODES, iter(known.nodes.values())),
        (POOLS, iter(known.pools.values())),
        (ADVERTISEMENTS, iter(known.advertisements.values())),
        (ENDPOINT_SLICES, there.slices),
        (LEASES, there.leases),
        (SERVICES, iter(known.services.values())),
        (ALLOCATIONS, there.allocations),
        (ALLOCATIONS, tuple(_held(there.unreadable))),
    )
    return ((resource, obj) for resource, objects in each for obj in objects)


def _held(unreadable: Sequence[Unreadable]) -> Iterator[IPAllocation]:
    """IPAllocations that are there and can't be read: held, by whomever. Without Services nobody gets the address."""
    for one in unreadable:
        if one.kind == ALLOCATIONS.kind:
            with suppress(InvalidObject):  # named after no address: it holds none
                address = names.address_of(one.metadata.name)
                yield IPAllocation(metadata=one.metadata, spec=IPAllocationSpec(address=str(address), pool=""))


def _unreadable(one: Unreadable) -> Problem:
    message = f"It can't be read ({one.problem}), and counts for nothing but what it holds; correct it."
    return Problem(f"{one.kind} {one.key}", "Unreadable", message)


def as_json(made: Plan, changed: Sequence[Change] | None) -> str:
    """For programs: the fields of ``Result``, and of a live cluster what would change there."""
    fields = {each.name: getattr(made.result, each.name) for each in dataclasses.fields(made.result)}
    more = {} if changed is None else {"changes": changed}
    return msgspec.json.format(msgspec.json.encode({**fields, **more})).decode()


def as_yaml(made: Plan, now: float) -> str:
    """The objects as they would be, to be read in again."""
    return written(manifests(made, now))
