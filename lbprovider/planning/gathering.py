"""Documents and a live cluster's objects to the objects that a plan is made of, and to all that is wrong with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from lbprovider.admission.manifests import named
from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, ServiceClaim
from lbprovider.api.core import Service
from lbprovider.api.meta import Object, to_builtins
from lbprovider.api.resources import (
    ADVERTISEMENTS,
    ALLOCATIONS,
    ENDPOINT_SLICES,
    LEASES,
    NAMESPACES,
    NODES,
    POOLS,
    SEGMENTS,
    SERVICES,
    Resource,
)
from lbprovider.deciding.known import Known
from lbprovider.documents import Document, carried, typed, without_nulls
from lbprovider.documents.metallb import GROUP as METALLB_GROUP
from lbprovider.errors import InvalidDocument, InvalidObject
from lbprovider.planning import checking, defaults
from lbprovider.planning.objects import Objects, Options, Raw, RawKey
from lbprovider.planning.result import Problem
from lbprovider.schema import Schema

T = TypeVar("T", bound=Object)

_READ: Final[tuple[Resource[Any], ...]] = (
    NAMESPACES, NODES, POOLS, ADVERTISEMENTS, ENDPOINT_SLICES, LEASES, SERVICES, ALLOCATIONS, SEGMENTS,
)  # fmt: skip
_KINDS: Final = {(resource.api_version, resource.kind): resource for resource in _READ}
_RESULTS: Final = frozenset({"ServiceL2Status", "ServiceBGPStatus", "ConfigurationState"})
"""Kinds of MetalLB that say what it did; there is nothing in them to carry."""

Live = tuple[Resource[Any], Object]


@dataclass(frozen=True, slots=True)
class _Given:
    """An object as it is known so far. ``live``: it is on the cluster already."""

    resource: Resource[Any]
    raw: Raw
    live: bool


def gather(
    documents: Iterable[Document],
    options: Options,
    schemas: Mapping[str, Schema],
    live: Iterable[Live] | None = None,
) -> tuple[Objects, tuple[InvalidDocument, ...]]:
    """The objects that count, and why documents can't be used; of kinds that decide nothing nothing is said.

    A later document of one name is applied to the earlier object, as to one of the cluster.

    Args:
        documents: in the order in which they were read.
        options: whose namespace and classes.
        schemas: of our kinds, by kind.
        live: all objects of a cluster; None where there is none but the documents'.
    """
    given: dict[RawKey, _Given] = {}
    problems: list[Problem] = []
    for resource, obj in live or ():
        if isinstance(obj, IPAllocation) and not _is_named_after_its_address(obj):
            message = "It is not named after its address, and counts as if it weren't there; delete it."
            problems.append(Problem(f"{resource.kind} {obj.key}", "Unreadable", message))
            continue
        raw = {"apiVersion": resource.api_version, "kind": resource.kind, **to_builtins(obj)}
        given[resource.kind, obj.key] = _Given(resource, raw, live=True)
    unusable: list[InvalidDocument] = []
    for document in documents:
        read_as, written = _ours(document, options)
        if read_as is None:
            unusable.extend(_of_our_group(document))
            problems.extend(_not_carried(document))
            continue
        found, wrong = _read(document, read_as, written, schemas)
        unusable.extend(wrong)
        if found is not None:
            key = (read_as.kind, found.key)
            given[key] = _applied(given.get(key), read_as, written, to_cluster=live is not None)
    counted = {key: one for key, one in given.items() if _counts(one, options, problems)}
    return _objects(counted, problems, complete=live is not None), tuple(unusable)


def _applied(earlier: _Given | None, resource: Resource[Any], raw: Raw, *, to_cluster: bool) -> _Given:
    """What a manifest makes of what is there."""
    if earlier is not None:
        return _Given(resource, defaults.overlaid(earlier.raw, raw), live=earlier.live)
    if to_cluster and resource is SERVICES:
        raw = {name: value for name, value in raw.items() if name != "status"}  # as the API server does
    return _Given(resource, raw, live=False)


def _ours(document: Document, options: Options) -> tuple[Resource[Any] | None, dict[str, Any]]:
    """The kind that the document is read as, None where it decides nothing; and the object as that kind."""
    theirs = carried(document.raw)
    raw = without_nulls(document.raw if theirs is None else theirs)
    resource = _KINDS.get((raw["apiVersion"], raw["kind"]))
    if resource is None or not isinstance(raw.get("metadata", {}), dict):
        return resource, raw  # what is wrong with the metadata is said when it is decoded
    raw["metadata"] = named(raw.get("metadata", {}))
    if theirs is not None:
        raw["metadata"]["namespace"] = options.namespace
    return resource, defaults.namespaced(raw, resource, options.namespace)


def _read(
    document: Document, resource: Resource[T], raw: Mapping[str, Any], schemas: Mapping[str, Schema]
) -> tuple[T | None, tuple[InvalidDocument, ...]]:
    """The object, None where it can't even be decoded; and all that an API server would refuse of it."""
    custom = resource.api_version == names.API_VERSION
    refused = checking.custom(raw, schemas[resource.kind], namespaced=resource.namespaced) if custom else ()
    wrong = [document.invalid(*each) for each in refused]
    try:
        obj = typed(Document(document.file, document.number, document.item, raw), resource)
    except InvalidDocument as error:
        return None, tuple(wrong) or (error,)  # of our kinds the schema has said the same, of all fields at once
    if not custom:
        wrong += (document.invalid(*each) for each in checking.identity(raw, resource))
    if isinstance(obj, Service):
        wrong += (document.invalid(*each) for each in checking.service(obj))
    return obj, tuple(wrong)


def _of_our_group(document: Document) -> Iterator[InvalidDocument]:
    group, _, version = document.api_version.rpartition("/")
    if group != names.GROUP:
        return
    if version != names.VERSION:
        yield document.invalid("apiVersion", f"{version!r} is no version of {group}", f"write {names.API_VERSION}")
    else:
        kinds = ", ".join(kind for api, kind in _KINDS if api == names.API_VERSION)
        yield document.invalid("kind", f"{document.kind!r} is no kind of {group}", f"there are {kinds}")


def _not_carried(document: Document) -> Iterator[Problem]:
    if document.api_version.partition("/")[0] != METALLB_GROUP or document.kind in _RESULTS:
        return
    metadata = document.raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    yield Problem(
        f"{document.kind} {name or '?'} ({document.api_version})",
        "NotCarried",
        f"lbprovider has nothing like MetalLB's {document.kind} and announces by ARP and NDP only; "
        f"it carries IPAddressPools and L2Advertisements of {METALLB_GROUP}/v1beta1.",
    )


def _is_named_after_its_address(allocation: IPAllocation) -> bool:
    try:
        return str(names.address_of(allocation.metadata.name)) == allocation.spec.address
    except InvalidObject:
        return False


def _counts(one: _Given, options: Options, problems: list[Problem]) -> bool:
    """Whether the object has a say; pools and advertisements of other namespaces haven't."""
    metadata = one.raw["metadata"]
    if one.resource is LEASES:
        return metadata["namespace"] == options.namespace and names.SPEAKER_LABEL in metadata.get("labels", {})
    if one.resource is ENDPOINT_SLICES:
        return names.HEADLESS_LABEL not in metadata.get("labels", {})
    if one.resource not in (POOLS, ADVERTISEMENTS) or metadata["namespace"] == options.namespace:
        return one.resource is not SEGMENTS
    problems.append(
        Problem(
            f"{one.resource.kind} {metadata['namespace']}/{metadata['name']}",
            "WrongNamespace",
            f"Only those in {options.namespace}, where lbprovider runs, count; move it there, or name the namespace "
            "that lbprovider runs in with --namespace.",
        )
    )
    return False


def _objects(given: Mapping[RawKey, _Given], problems: Iterable[Problem], *, complete: bool) -> Objects:
    raws = {key: one.raw for key, one in given.items()}

    def every(resource: Resource[T]) -> dict[str, T]:
        mine = (raw for (kind, _), raw in raws.items() if kind == resource.kind)
        return {obj.key: obj for obj in (msgspec.convert(raw, type=resource.type) for raw in mine)}

    allocations = tuple(every(ALLOCATIONS).values())
    uids = _uids(allocations)
    services = {
        key: defaults.service(_with_uid(service, uids.get(key, ())))
        for key, service in every(SERVICES).items()
    }  # fmt: skip
    namespaces = every(NAMESPACES)
    slices = tuple(every(ENDPOINT_SLICES).values())
    there = {*namespaces, *(service.metadata.namespace for service in services.values())}
    return Objects(
        known=Known(
            services=services,
            namespaces={name: defaults.namespace(name, namespaces.get(name)) for name in sorted(there)},
            nodes=every(NODES),
            pools=every(POOLS),
            advertisements=every(ADVERTISEMENTS),
        ),
        allocations=tuple(_claimed(one, services) for one in allocations),
        slices=slices if slices or complete else None,
        leases=tuple(every(LEASES).values()),
        raws=raws,
        complete=complete,
        unserved=frozenset(
            key for (kind, key), one in given.items() if complete and kind == SERVICES.kind and not one.live
        ),
        problems=tuple(problems),
    )


# --- uids: a Service of a file has none, and a claim of a former plan names the Service instead


def _uids(allocations: Iterable[IPAllocation]) -> Mapping[str, tuple[str, ...]]:
    """By ``namespace/name``: the uids that claims know the Service by."""
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for one in allocations:
        for claim in one.spec.services:
            if claim.uid != claim.key:
                found[claim.key] = (*found[claim.key], claim.uid)
    return found


def _with_uid(service: Service, claimed: tuple[str, ...]) -> Service:
    if service.metadata.uid or not claimed:
        return service
    metadata = msgspec.structs.replace(service.metadata, uid=claimed[0])
    return msgspec.structs.replace(service, metadata=metadata)


def _claimed(allocation: IPAllocation, services: Mapping[str, Service]) -> IPAllocation:
    def named(claim: ServiceClaim) -> ServiceClaim:
        service = services.get(claim.key)
        if service is None or claim.uid != claim.key:
            return claim
        return msgspec.structs.replace(claim, uid=service.metadata.uid)

    spec = msgspec.structs.replace(allocation.spec, services=tuple(map(named, allocation.spec.services)))
    return msgspec.structs.replace(allocation, spec=spec)
