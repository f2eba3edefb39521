"""What is said to an edit: asks the API server for what it takes to judge, and the room ``admission`` to judge it.

Every replica asks anew for each review, by quorum reads that begin after it: so a review is never judged on anything
older than what it would change, whether the replica leads or not, and one that stands by keeps nothing in memory.
What costs is asked for only where it can matter: who has an address (10,000 objects, perhaps) when addresses are taken
away or a pinning changes, Services and their labels when a pinning does.

Whatever goes wrong here lets the edit through, with a warning to whoever made it that it was not checked: the
controller, which refuses what overlaps and keeps what is stranded, is the one that decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final, TypeVar

import msgspec
import structlog

from lbprovider.admission import Refusal, together
from lbprovider.api import names
from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.core import Service
from lbprovider.api.meta import Object
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, NAMESPACES, POOLS, SERVICES, Resource
from lbprovider.api.webhook import AdmissionRequest
from lbprovider.errors import KindMissing, LbproviderError, NotFound
from lbprovider.ipam.pools import Pool, PoolSet, forced, read
from lbprovider.ipam.ranges import Range, merge, subtract, to_address
from lbprovider.kube.ports import Api
from lbprovider.telemetry import REVIEWS

DEADLINE: Final = 2.5
"""Seconds for all that a review asks the API server, which waits 3 for the answer, connecting included: of 10,000
IPAllocations it needs 0.7 to list them where nothing else happens."""
IN_FLIGHT: Final = 8
"""Reviews at once; each may have a list of all IPAllocations in memory."""
FEW: Final = 64
"""IPAllocations or Services that are asked for one by one; where it takes more, all are listed."""
_SAID: Final = 10
"""So many refusals are told at once."""

T = TypeVar("T", bound=Object)


class _Held(Object, frozen=True, kw_only=True):
    """An IPAllocation without what speakers say of it, which is most of it: 10,000 at once count."""

    spec: IPAllocationSpec


_HELD: Final = Resource(ALLOCATIONS.api_version, ALLOCATIONS.kind, ALLOCATIONS.plural, namespaced=False, type=_Held)

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a review: a label of the metric."""

    ALLOWED = "allowed"
    WARNED = "warned"
    REFUSED = "refused"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered.

    Args:
        outcome: whether it may be done.
        message: why not.
        warnings: for whoever asked, where it may.
    """

    outcome: Outcome
    message: str = ""
    warnings: tuple[str, ...] = ()


_ALLOWED: Final = Verdict(Outcome.ALLOWED)


class Judge:
    """Judges reviews.

    Args:
        api: the API server.
        namespace: the controller's own: pools and advertisements of others count for nothing, and may be anything.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._in_flight = 0
        self._judges: Mapping[tuple[str, str], Callable[[AdmissionRequest], Awaitable[Verdict]]] = {
            (names.GROUP, POOLS.plural): self._pool,
            (names.GROUP, ADVERTISEMENTS.plural): self._advertisement,
        }

    async def review(self, request: AdmissionRequest) -> Verdict:
        """What is said to it; never fails, and takes little more than ``DEADLINE``."""
        judge = self._judges.get((request.resource.group, request.resource.resource))
        if judge is None or request.sub_resource or request.namespace != self._namespace:
            return _ALLOWED
        verdict = await self._bounded(judge, request)
        REVIEWS.labels(resource=request.resource.resource, verdict=verdict.outcome).inc()
        if verdict.outcome is not Outcome.ALLOWED:
            say = log.warning if verdict.outcome is Outcome.UNCHECKED else log.info
            say(
                "an edit was reviewed",
                resource=request.resource.resource, name=request.name, operation=request.operation,
                verdict=verdict.outcome, said=verdict.message or verdict.warnings,
            )  # fmt: skip
        return verdict

    async def _bounded(
        self, judge: Callable[[AdmissionRequest], Awaitable[Verdict]], request: AdmissionRequest
    ) -> Verdict:
        if self._in_flight >= IN_FLIGHT:
            return _unchecked(f"{IN_FLIGHT} other edits are being checked")
        self._in_flight += 1
        try:
            async with asyncio.timeout(DEADLINE):
                return await judge(request)
        except TimeoutError:
            return _unchecked(f"the API server took more than {DEADLINE:g} s to say what there is")
        except (LbproviderError, msgspec.MsgspecError) as error:
            return _unchecked(str(error))
        except Exception:  # a bug of ours must not stand in anybody's way
            log.exception("a bug in lbprovider: an edit was not checked", name=request.name)
            return _unchecked("a bug in lbprovider, see the controller's log")
        finally:
            self._in_flight -= 1

    async def _pool(self, request: AdmissionRequest) -> Verdict:
        new, old = _read(request.object, IPAddressPool), _read(request.old_object, IPAddressPool)
        if _nothing_new(new, old):
            return _ALLOWED
        listed = await self._api.list(POOLS, namespace=self._namespace)
        others = tuple(each for each in listed.objects if each.metadata.name != request.name)
        refused = together.pool(new, old, others)
        if not refused and old is not None and not forced(new or old):
            refused = await self._stranded(new, old, others)
        if not refused or (new is None and await self._ends()):
            return _ALLOWED
        return Verdict(Outcome.REFUSED, _said(refused))

    async def _stranded(
        self, new: IPAddressPool | None, old: IPAddressPool, others: Sequence[IPAddressPool]
    ) -> tuple[Refusal, ...]:
        """What speaks against it for the sake of those who hold addresses."""
        before = read(old)
        stake = _at_stake(new, before) if isinstance(before, Pool) else ()
        if not stake:
            return ()
        mine = PoolSet.of((old, *others))
        held = tuple(each.spec for each in await self._held(stake) if _covering(mine, each.spec) == old.metadata.name)
        after = PoolSet.of(others if new is None else (new, *others))
        pinned = {claim.key for spec in held if _pinned(after, spec) for claim in spec.services}
        labels = await self._labels(pinned) if pinned else {}
        return together.pool(new, old, others, held, labels.get)

    async def _held(self, stake: Sequence[Range]) -> Iterable[_Held]:
        """The IPAllocations of these addresses, and of others too where there are many."""
        if sum(each.size for each in stake) > FEW:
            return (await self._api.list(_HELD)).objects
        addresses = (to_address(each.family, at) for each in stake for at in range(each.first, each.last + 1))
        return await _each(self._api.get(_HELD, names.object_name(address)) for address in addresses)

    async def _labels(self, keys: Iterable[str]) -> dict[str, tuple[Mapping[str, str], Mapping[str, str]]]:
        """By Service: the labels of its namespace, and its own."""
        services, namespaces = await asyncio.gather(self._services(tuple(keys)), self._api.list(NAMESPACES))
        of = {each.metadata.name: each.metadata.labels for each in namespaces.objects}
        return {
            each.key: (of[each.metadata.namespace], each.metadata.labels)
            for each in services
            if each.metadata.namespace in of
        }

    async def _services(self, keys: Sequence[str]) -> Iterable[Service]:
        if len(keys) > FEW:
            return (await self._api.list(SERVICES)).objects
        by_name = (key.split("/") for key in keys)
        return await _each(self._api.get(SERVICES, name, namespace=namespace) for namespace, name in by_name)

    async def _ends(self) -> bool:
        """Whether our namespace is being deleted: everything goes, and nothing may hold it up."""
        listed = await self._api.list(NAMESPACES, field_selector=f"metadata.name={self._namespace}")
        return all(each.metadata.deletion_timestamp for each in listed.objects)

    async def _advertisement(self, request: AdmissionRequest) -> Verdict:
        new, old = _read(request.object, L2Advertisement), _read(request.old_object, L2Advertisement)
        if new is None or _nothing_new(new, old):
            return _ALLOWED
        missing = together.advertisement(new, (await self._api.list(POOLS, namespace=self._namespace)).objects)
        return Verdict(Outcome.WARNED, warnings=tuple(map(str, missing[:_SAID]))) if missing else _ALLOWED


def _read(raw: msgspec.Raw, kind: type[T]) -> T | None:
    """The object, None for null."""
    return msgspec.json.decode(raw, type=kind | None)


def _nothing_new(new: IPAddressPool | L2Advertisement | None, old: IPAddressPool | L2Advertisement | None) -> bool:
    """Whether only labels, finalizers and the like change."""
    return new is not None and old is not None and new.spec == old.spec


async def _each(asking: Iterable[Coroutine[Any, Any, T]]) -> Iterable[T]:
    """Those that are there."""
    found = await asyncio.gather(*map(_or_none, asking))
    return (each for each in found if each is not None)


async def _or_none(asking: Coroutine[Any, Any, T]) -> T | None:
    try:
        return await asking
    except KindMissing:
        raise
    except NotFound:
        return None


def _at_stake(new: IPAddressPool | None, before: Pool) -> tuple[Range, ...]:
    """The addresses that somebody could lose by it."""
    pieces = tuple(before.every_piece())
    after = None if new is None else read(new)
    if (
        not isinstance(after, Pool)
        or (after.pinning is not None and after.pinning != before.pinning)
        or (after.careful and not before.careful)
    ):
        return pieces
    left = merge(after.every_piece())
    return tuple(lost for piece in pieces for lost in subtract(piece, left))


def _covering(pools: PoolSet, spec: IPAllocationSpec) -> str:
    """The name of the pool that covers it, empty where none does."""
    try:
        found = pools.covering(ip_address(spec.address))
    except ValueError:  # which nobody has, and the API server refuses
        return ""
    return found.name if found else ""


def _pinned(pools: PoolSet, spec: IPAllocationSpec) -> bool:
    """Whether labels decide who may have it."""
    found = pools.covering(ip_address(spec.address))
    return found is not None and found.pinning is not None


def _said(refused: Sequence[Refusal]) -> str:
    more = f"; and {len(refused) - _SAID} more" if len(refused) > _SAID else ""
    return "; ".join(map(str, refused[:_SAID])) + more


def _unchecked(why: str) -> Verdict:
    # What is most to be known comes first: the API server cuts a warning after 256 characters.
    warning = f"lbprovider could not check whether this overlaps other pools or strands addresses in use: {why}"
    return Verdict(Outcome.UNCHECKED, warnings=(warning,))
