"""A cluster as it is now, read once, as whom a kubeconfig names; never written to."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import EndpointSlice, Lease
from lbprovider.api.meta import Object
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
from lbprovider.deciding.known import Known
from lbprovider.errors import KindMissing
from lbprovider.kube.access import from_kubeconfig
from lbprovider.kube.client import Client
from lbprovider.kube.ports import Api, Listed, Unreadable

T = TypeVar("T", bound=Object)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Live:
    """All that decisions are made on.

    Args:
        known: the objects.
        allocations: the IPAllocations.
        slices: the EndpointSlices.
        leases: of the speakers.
        unreadable: objects that can't be read; nothing else is said of them.
    """

    known: Known
    allocations: tuple[IPAllocation, ...]
    slices: tuple[EndpointSlice, ...]
    leases: tuple[Lease, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """What the speakers say in their Leases, by node."""
        return registrations(self.leases)


async def as_admin(kubeconfig: Path | None, work: Callable[[Api], Awaitable[R]]) -> R:
    """Does some work as whom a kubeconfig names, and returns what comes of it.

    Raises:
        UsageError: it can't be used.
        LbproviderError: of the work.
    """
    access = await from_kubeconfig(kubeconfig, os.environ)
    async with Client(access, user_agent="lbprovider-cli") as api:
        return await work(api)


async def read(api: Api, namespace: str, *, installed: bool = True) -> Live:
    """Lists everything.

    Args:
        api: the API server.
        namespace: that lbprovider runs in, with its pools.
        installed: whether lbprovider's CRDs have to be there; if not, there are no objects of theirs where they aren't.

    Raises:
        ClusterError: a permission is missing, or lbprovider's CRDs are.
    """
    unreadable: list[Unreadable] = []

    async def every(resource: Resource[T], within: str = "", selector: str = "") -> dict[str, T]:
        try:
            listed: Listed[T] = await api.list(resource, namespace=within, label_selector=selector)
        except KindMissing:
            if installed or resource.api_version != names.API_VERSION:
                raise
            return {}
        unreadable.extend(listed.unreadable)
        return {one.key: one for one in listed.objects}

    # IPAllocations name Services, and so are listed before them: one that is missing then is gone.
    allocations = await every(ALLOCATIONS)
    known = Known(
        services=await every(SERVICES),
        namespaces=await every(NAMESPACES),
        nodes=await every(NODES),
        pools=await every(POOLS, namespace),
        advertisements=await every(ADVERTISEMENTS, namespace),
    )
    leases = await every(LEASES, namespace, names.SPEAKER_LABEL)
    slices = await every(ENDPOINT_SLICES, selector=f"!{names.HEADLESS_LABEL}")
    return Live(known, tuple(allocations.values()), tuple(slices.values()), tuple(leases.values()), tuple(unreadable))
