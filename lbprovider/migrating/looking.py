"""A cluster as a migration sees it, read anew before each part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, TypeVar

from lbprovider.api import names
from lbprovider.api.meta import Object
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.api.registration import Registration, registrations
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
from lbprovider.deciding.announcing import backed_by
from lbprovider.deciding.known import Known, Scope
from lbprovider.deciding.pools import reach
from lbprovider.errors import KindMissing, NotFound, UserError
from lbprovider.ipam.reasons import some
from lbprovider.kube.ports import Api
from lbprovider.migrating import shutting
from lbprovider.migrating.carrying import Carried, carry
from lbprovider.migrating.kinds import (
    CARRIED,
    CONFIG_MAPS,
    CONFIG_NAME,
    DAEMON_SETS,
    DEPLOYMENTS,
    METALLB_ADVERTISEMENTS,
    METALLB_STATUSES,
    Workload,
    raw,
)
from lbprovider.migrating.outlook import Prospect, Speakers, existing, lost, prospects
from lbprovider.migrating.sources import Metallb, Source, sort
from lbprovider.migrating.workloads import is_off

T = TypeVar("T", bound=Object)

_CLASS: Final = "--lb-class"
_DEFAULT_CLASS: Final = "--default-class"
_NO_DEFAULT_CLASS: Final = "--no-default-class"
_CONTROLLER: Final = "controller"
_SPEAKER: Final = "speaker"


@dataclass(frozen=True, slots=True)
class Provider:
    """The two workloads of a provider.

    Args:
        controller: its Deployment.
        speakers: its DaemonSet.
    """

    controller: Workload
    speakers: Workload


@dataclass(frozen=True, slots=True)
class Sight:
    """All that was seen, and what follows from it.

    Args:
        metallb: its workloads.
        ours: lbprovider's.
        carried: what is to be written, of what MetalLB was told before anything of it was shut.
        known: the cluster; L2Advertisements of ours as they are when they don't wait.
        registrations: of our speakers, by node.
        prospects: what becomes of the Services that have addresses.
        statuses: whether MetalLB's speakers say what they announce (ServiceL2Status).
        problems: why a migration must not begin.
    """

    metallb: Provider
    ours: Provider
    carried: Carried
    known: Known
    registrations: Mapping[str, Registration]
    prospects: tuple[Prospect, ...]
    statuses: bool
    problems: tuple[str, ...]

    @property
    def keeps_speakers(self) -> bool:
        """Whether MetalLB's speakers are needed on: they announce by BGP."""
        return bool(self.carried.by_bgp)


async def look(api: Api, namespace: str, metallb_namespace: str, now: float) -> Sight:
    """Reads everything.

    Args:
        api: the API server, as the admin.
        namespace: that lbprovider runs in.
        metallb_namespace: that MetalLB runs in.
        now: seconds since 1970.

    Raises:
        UserError: one of the two isn't installed there.
        InvalidObject: MetalLB's old ConfigMap can't be read.
        ClusterError: a permission is missing, or our CRDs are.
    """
    metallb = await _provider(api, "MetalLB", "metallb", metallb_namespace, "--metallb-namespace")
    ours = await _provider(api, "lbprovider", "lbprovider", namespace, "--namespace")
    said, open_names = await _said(api, metallb_namespace)
    allocations = await _every(api, ALLOCATIONS)
    advertisements = await _every(api, ADVERTISEMENTS, namespace)
    known = Known(
        services=await _every(api, SERVICES),
        namespaces=await _every(api, NAMESPACES),
        nodes=await _every(api, NODES),
        pools=await _every(api, POOLS, namespace),
        advertisements={key: shutting.restored(one) for key, one in advertisements.items()},
    )
    carried = carry(said, namespace, known.services.values())
    slices = (await api.list(ENDPOINT_SLICES, label_selector=f"!{names.HEADLESS_LABEL}")).objects
    leases = await api.list(LEASES, namespace=namespace, label_selector=names.SPEAKER_LABEL)
    registered = registrations(leases.objects)
    found = prospects(
        carried,
        known,
        allocations.values(),
        scope=scope_of(ours.controller),
        metallb_class=option(metallb.controller, _CLASS) or "",
        now=now,
        speakers=Speakers(registered, backed_by(slices)),
    )
    announcing = _announcing(carried, open_names, speakers_off=is_off(metallb.speakers))
    problems = (
        *carried.problems,
        *existing(carried, known.pools, known.advertisements),
        *_too_early(advertisements.values(), announcing, (*known.pools.values(), *carried.pools)),
        *_bound(carried),
    )
    return Sight(
        metallb,
        ours,
        carried,
        known,
        registered,
        found,
        await _serves(api, METALLB_STATUSES, metallb_namespace),
        problems or lost(found),
    )


def scope_of(controller: Workload) -> Scope:
    """Which Services a controller takes for its own, by its arguments."""
    default = True
    for argument in _arguments(controller):
        if argument in (_DEFAULT_CLASS, _NO_DEFAULT_CLASS):
            default = argument == _DEFAULT_CLASS
    return Scope(option(controller, _CLASS) or names.DEFAULT_CLASS, default)


def option(workload: Workload, flag: str) -> str | None:
    """The value of a flag among a workload's arguments; None where it isn't given."""
    value = None
    arguments = _arguments(workload)
    for index, argument in enumerate(arguments):
        name, equals, given = argument.partition("=")
        if name == flag:
            value = given if equals else "".join(arguments[index + 1 : index + 2])
    return value


def _arguments(workload: Workload) -> tuple[str, ...]:
    return tuple(argument for container in workload.spec.template.spec.containers for argument in container.args)


async def _provider(api: Api, name: str, app: str, namespace: str, flag: str) -> Provider:
    """By the labels of its manifests or of its Helm chart, whatever the objects are called."""
    deployments = (await api.list(DEPLOYMENTS, namespace=namespace)).objects
    daemon_sets = (await api.list(DAEMON_SETS, namespace=namespace)).objects
    missing = (
        f"{name} is not installed in namespace {namespace}, or its Deployment and DaemonSet haven't the labels of its "
        f"manifests; name the namespace with {flag}"
    )
    return Provider(_one(deployments, app, _CONTROLLER, missing), _one(daemon_sets, app, _SPEAKER, missing))


def _one(found: tuple[Workload, ...], app: str, component: str, missing: str) -> Workload:
    for one in found:
        labels = one.metadata.labels
        if app in (labels.get("app"), labels.get("app.kubernetes.io/name")) and component in (
            labels.get("component"),
            labels.get("app.kubernetes.io/component"),
        ):
            return one
    raise UserError(missing)


def _announcing(carried: Carried, open_names: AbstractSet[str], *, speakers_off: bool) -> frozenset[str]:
    """The pools that MetalLB announces by layer 2 as it is now."""
    if speakers_off:
        return frozenset()
    return carried.legacy.union(*(pools for name, pools in carried.reach.items() if name in open_names))


def _too_early(
    advertisements: Iterable[L2Advertisement], announcing: AbstractSet[str], pools: Iterable[IPAddressPool]
) -> tuple[str, ...]:
    """Ours that would announce, as soon as addresses are adopted, what MetalLB announces too."""
    every = tuple(pools)
    return tuple(
        f"L2Advertisement {one.key} is open already for {some(sorted(both))}, which MetalLB announces: two would "
        "answer for one address as soon as lbprovider knows it; delete that L2Advertisement, it is written anew"
        for one in advertisements
        if not shutting.is_shut(one) and (both := reach(one.spec, every) & announcing)
    )


def _bound(carried: Carried) -> tuple[str, ...]:
    if carried.legacy and carried.by_bgp:
        said = (
            f"MetalLB's speakers announce {some(sorted(carried.by_bgp))} by BGP, and what AddressPools of protocol "
            f"layer2 say ({some(sorted(carried.legacy))}) ends only with those speakers: make an IPAddressPool and an "
            "L2Advertisement of each in MetalLB first"
        )
        return (said,)
    return ()


async def _said(api: Api, namespace: str) -> tuple[Metallb, frozenset[str]]:
    """What MetalLB was told, and its L2Advertisements that are not shut."""
    sources: list[Source] = []
    open_names: set[str] = set()
    for resource in CARRIED:
        for one in await _all(api, resource):
            # Those of other namespaces count for nothing, as ours do.
            heeded = resource is METALLB_ADVERTISEMENTS and one.metadata.namespace == namespace
            if heeded and not shutting.is_shut(one):
                open_names.add(one.metadata.name)
            obj = shutting.restored_foreign(one)
            sources.append(Source(f"{resource.kind} {obj.key}", raw(resource, obj)))
    try:
        config = await api.get(CONFIG_MAPS, CONFIG_NAME, namespace=namespace)
    except NotFound:
        pass
    else:
        metadata = {"name": CONFIG_NAME, "namespace": namespace}
        fields = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(config.data)}
        sources.append(Source(f"ConfigMap {config.key}", fields))
    return sort(sources, namespace), frozenset(open_names)


async def _all(api: Api, resource: Resource[T]) -> Iterable[T]:
    """Of a kind that need not be there: each version of MetalLB has others."""
    try:
        return (await _every(api, resource)).values()
    except KindMissing:
        return ()


async def _serves(api: Api, resource: Resource[T], namespace: str) -> bool:
    try:
        await api.list(resource, namespace=namespace)
    except KindMissing:
        return False
    return True


async def _every(api: Api, resource: Resource[T], namespace: str = "") -> dict[str, T]:
    listed = await api.list(resource, namespace=namespace)
    if listed.unreadable:
        raise UserError(f"{listed.unreadable[0]}; mend or delete it first")
    return {one.key: one for one in listed.objects}
