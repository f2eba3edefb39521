"""What must be there before we start, said in one sentence where it isn't: CRDs, permissions, the heartbeat key."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any, Final

import structlog

from lbprovider.api import heartbeat_key, names
from lbprovider.api.core import Secret
from lbprovider.api.meta import Object, ObjectMeta, Struct
from lbprovider.api.resources import (
    ADVERTISEMENTS,
    ALLOCATIONS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    POOLS,
    SECRETS,
    SEGMENTS,
    SERVICES,
    WEBHOOKS,
    Resource,
)
from lbprovider.errors import Conflict, Forbidden, InvalidObject, KindMissing, NotFound, Overloaded, Unreachable
from lbprovider.kube.ports import Api

PATIENCE: Final = 20.0
"""Seconds for which an API server that doesn't answer at our start is asked again."""
RBAC_PATIENCE: Final = 4.0
"""The same for one that refuses us: for a moment after its own start it doesn't know its Roles yet."""
RETRY: Final = 2.0
_NOBODY: Final = "0.0.0.0"  # noqa: S104  (a name that no object has)

log = structlog.get_logger(__name__)


class Attributes(Struct, frozen=True):
    """What is asked for."""

    resource: str
    verb: str
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what}" + (f"/{self.subresource}" if self.subresource else "")


class ReviewSpec(Struct, frozen=True):
    """``spec`` of a SelfSubjectAccessReview."""

    resource_attributes: Attributes


class ReviewStatus(Struct, frozen=True):
    """``status`` of a SelfSubjectAccessReview."""

    allowed: bool = False


class Review(Object, frozen=True, kw_only=True):
    """A SelfSubjectAccessReview: may we? Anybody who is authenticated may ask."""

    spec: ReviewSpec
    status: ReviewStatus = ReviewStatus()


REVIEWS: Final = Resource(
    "authorization.k8s.io/v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
    type=Review,
    stored=False,
)

_NEEDED: Final[tuple[tuple[Resource[Any], str, str, str], ...]] = (
    (SERVICES, "", "list watch", ""),
    (SERVICES, "status", "patch", ""),
    (NAMESPACES, "", "list watch", ""),
    (NODES, "", "list watch", ""),
    (EVENTS, "", "create", ""),
    (ALLOCATIONS, "", "get list watch create update delete", ""),
    (ALLOCATIONS, "status", "patch", ""),
    (SEGMENTS, "", "get list watch create update", ""),
    (SEGMENTS, "status", "patch", ""),
    (POOLS, "", "list watch", "own"),
    (POOLS, "status", "patch", "own"),
    (ADVERTISEMENTS, "", "list watch", "own"),
    (ADVERTISEMENTS, "status", "patch", "own"),
    (LEASES, "", "list watch create", "own"),
    (LEASES, "", "get update", names.CONTROLLER_LEASE),
    (SECRETS, "", "create", "own"),
    (SECRETS, "", "get", names.HEARTBEAT_SECRET),
)
"""What the controller does: kind, subresource, verbs, and where (everywhere, in its own namespace, one name there)."""

_NEEDED_BY_THE_WEBHOOK: Final[tuple[tuple[Resource[Any], str, str, str], ...]] = (
    (SECRETS, "", "get list watch patch", names.WEBHOOK),
    (WEBHOOKS, "", "get list watch patch", names.WEBHOOK),
)
"""What it does besides for its admission webhook."""


async def check(api: Api, namespace: str, *, webhook: bool) -> None:
    """Whether the API server has our kinds, and lets us do what we must.

    Args:
        api: the API server.
        namespace: the controller's own.
        webhook: whether there is one.

    Raises:
        ClusterError: it doesn't answer for 20 s, lacks a CRD, or refuses us; one sentence.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            await _check(api, namespace, (*_NEEDED, *(_NEEDED_BY_THE_WEBHOOK if webhook else ())))
        except (Unreachable, Overloaded, Forbidden) as error:
            patience = RBAC_PATIENCE if isinstance(error, Forbidden) else PATIENCE
            if loop.time() + RETRY > began + patience:
                raise
            log.warning("the API server doesn't let us begin yet", error=str(error))
            await asyncio.sleep(RETRY)
        else:
            return


async def ensure_heartbeat_key(api: Api, namespace: str) -> None:
    """Makes the Secret that speakers sign with, where there is none (ELECTION.md C12); never changes one.

    Raises:
        ClusterError: it may not be read or made; an API server that doesn't answer is waited for.
    """
    while True:
        try:
            await _ensure_heartbeat_key(api, namespace)
        except (Unreachable, Overloaded) as error:
            log.warning("no heartbeat key yet", error=str(error))
            await asyncio.sleep(RETRY)
        else:
            return


async def _ensure_heartbeat_key(api: Api, namespace: str) -> None:
    try:
        heartbeat_key.decode(await api.get(SECRETS, names.HEARTBEAT_SECRET, namespace=namespace))
    except KindMissing:
        raise
    except NotFound:
        key = heartbeat_key.HeartbeatKey(1, secrets.token_bytes(heartbeat_key.KEY_BYTES))
        metadata = ObjectMeta(name=names.HEARTBEAT_SECRET, namespace=namespace)
        try:
            await api.create(SECRETS, Secret(metadata=metadata, data=heartbeat_key.encode([key])))
        except Conflict:
            return  # another replica has just made it
        log.info("heartbeat key made", secret=names.HEARTBEAT_SECRET)
    except InvalidObject as error:
        # An admin's to mend; the speakers that have read a good one go on.
        log.warning("the heartbeat key can't be used", error=str(error))


async def _check(api: Api, namespace: str, rights: Sequence[tuple[Resource[Any], str, str, str]]) -> None:
    ours: tuple[Resource[Any], ...] = (POOLS, ADVERTISEMENTS, SEGMENTS, ALLOCATIONS)
    for resource in ours:
        try:
            await api.get(resource, _NOBODY, namespace=namespace if resource.namespaced else "")
        except KindMissing:
            raise
        except (NotFound, Forbidden):
            continue  # the kind is served; what we may do with it is asked below
    needed = [
        Attributes(
            group=resource.api_version.rpartition("/")[0],
            resource=resource.plural,
            verb=verb,
            subresource=subresource,
            namespace=namespace if where and resource.namespaced else "",
            name="" if where == "own" else where,
        )
        for resource, subresource, verbs, where in rights
        for verb in verbs.split()
    ]
    answers = await asyncio.gather(*(_may(api, one) for one in needed))
    lacking = [str(one) for one, allowed in zip(needed, answers, strict=True) if not allowed]
    if lacking:
        raise Forbidden(
            f"may not {', '.join(lacking)}: bind the ClusterRole and the Role of config/rbac to the user of these "
            f"credentials (kubectl apply -k config/rbac), with the Role in namespace {namespace}",
            status=403,
            reason="Forbidden",
        )


async def _may(api: Api, attributes: Attributes) -> bool:
    review = await api.create(REVIEWS, Review(spec=ReviewSpec(resource_attributes=attributes)))
    return review.status.allowed
