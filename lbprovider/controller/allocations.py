"""The ledger and the IPAllocations that it stands for: an address is reserved at once, and then written.

A decision is made on the ledger and goes into it before anything is awaited, so two Services that are decided one after
the other can't choose the same. What the ledger says and the API server has yet to take is *open*. Each write is a
creation, or a compare-and-swap on what the decision was based on: whoever was faster is learnt from, never overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

import msgspec
import structlog

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, ServiceClaim
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.names import IPAddress
from lbprovider.api.resources import ALLOCATIONS
from lbprovider.controller.inventory import Change, Store
from lbprovider.deciding.book import Book
from lbprovider.errors import Conflict, InvalidObject, KindMissing, NotFound
from lbprovider.ipam.ledger import Ledger
from lbprovider.kube.ports import Api, Unreadable

ATTEMPTS: Final = 4
"""Swaps tried in a row: a speaker's status may come between, and changes nothing that we decided on."""

UNCHANGED: Final = "Unchanged"
"""Reason of a Conflict that taught nothing: whatever was refused is to be tried later, not decided again at once."""

log = structlog.get_logger(__name__)


class _Turn(asyncio.Lock):
    """Who writes an IPAllocation; it lives as long as anybody does or waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0


class Allocations:
    """Keeps the API server's IPAllocations as the ledger has them.

    Args:
        api: the API server.
        store: its IPAllocations as they are known.
        book: empty; filled from ``store`` here, and from then on the one to decide on.
        changed: called with the claims of an address before and after, when somebody else changed it.
        freed: called when an address has become free, or has fewer holders.
        shared: called with the sharing key when others than before may join an address.
    """

    def __init__(
        self,
        api: Api,
        store: Store[IPAllocation],
        book: Book,
        *,
        changed: Callable[[tuple[ServiceClaim, ...]], None],
        freed: Callable[[], None],
        shared: Callable[[str], None],
    ) -> None:
        self._book = book
        self._api = api
        self._store = store
        self._changed = changed
        self._freed = freed
        self._shared = shared
        self._open: dict[IPAddress, IPAllocationSpec | None] = {}
        self._turns: WeakValueDictionary[IPAddress, _Turn] = WeakValueDictionary()
        for key in (*store.objects, *store.unreadables):
            if (address := _address(key)) is not None:
                self._restore(address)
        store.subscribe(self._observed)

    @property
    def ledger(self) -> Ledger:
        """The one to decide on."""
        return self._book.ledger

    def plan(self, address: IPAddress, spec: IPAllocationSpec | None) -> None:
        """What the IPAllocation is to be (None: gone). Decisions count it from now on; ``settle`` writes it."""
        stored = self._stored(address)
        if spec == stored and address not in self._open:
            return
        self._open.setdefault(address, stored)
        self._book.put(address, spec)

    async def settle(self, address: IPAddress) -> None:
        """Writes what was planned; where it fails, the ledger has again what the API server has.

        Raises:
            Conflict: somebody else was faster; decide again.
            ClusterError: the API server didn't take it.
        """
        turn = self._turns.get(address)
        if turn is None:
            turn = self._turns[address] = _Turn()
        failed = turn.failed
        async with turn:
            if turn.failed != failed:
                # Whoever was first wrote both plans, and failed: ours was forgotten with its own.
                raise Conflict(
                    f"IPAllocation {names.object_name(address)} is as before", status=409, reason="Contested"
                )
            if address not in self._open:
                return
            base = self._open[address]
            try:
                await self._write(address, base)
            except BaseException:
                turn.failed += 1
                planned, there = self.ledger.get(address), self._stored(address)
                del self._open[address]
                self._restore(address)
                if there is not None:
                    self._changed(there.services)
                self._tell(planned, there)
                raise
            stored = self._stored(address)
            if self.ledger.get(address) == stored:
                del self._open[address]
            else:
                # More was planned while this was written: whoever did that settles it.
                self._open[address] = stored
            self._tell(base, stored)

    async def learn(self, address: IPAddress) -> None:
        """Asks what the API server has; not while a write of ours is under way, which learns it anyhow.

        Raises:
            ClusterError: it doesn't say.
        """
        if address not in self._open:
            name = names.object_name(address)
            await self._learn(name, self._store.objects.get(name))

    def holds(self, address: IPAddress, uid: str) -> bool:
        """Whether the API server's IPAllocation names the Service."""
        return self.claim(address, uid) is not None

    def claim(self, address: IPAddress, uid: str) -> ServiceClaim | None:
        """What the API server's IPAllocation says of the Service; None where it doesn't name it."""
        stored = self._stored(address)
        return None if stored is None else next((claim for claim in stored.services if claim.uid == uid), None)

    def _observed(self, change: Change[IPAllocation]) -> None:
        address = _address(change.key)
        if address is None or address in self._open:
            return
        before, now = self.ledger.get(address), self._stored(address)
        if before == now:
            return
        self._restore(address)
        self._changed((before.services if before else ()) + (now.services if now else ()))
        self._tell(before, now)

    def _tell(self, before: IPAllocationSpec | None, now: IPAllocationSpec | None) -> None:
        """Has those looked at who may get something by this."""
        if before is not None and (now is None or len(now.services) < len(before.services)):
            self._freed()
        if now is not None and now.sharing_key and _offer(before) != _offer(now):
            self._shared(now.sharing_key)

    def _stored(self, address: IPAddress) -> IPAllocationSpec | None:
        obj = self._store.objects.get(names.object_name(address))
        return None if obj is None else obj.spec

    def _restore(self, address: IPAddress) -> None:
        stored = self._stored(address)
        if stored is None and names.object_name(address) in self._store.unreadables:
            # It is there and can't be read: held, by whomever. Without Services nobody gets it.
            stored = IPAllocationSpec(address=str(address), pool="")
        self._book.put(address, stored)

    async def _write(self, address: IPAddress, base: IPAllocationSpec | None) -> None:
        name = names.object_name(address)
        for _ in range(ATTEMPTS):
            stored = self._store.objects.get(name)
            wanted = self.ledger.get(address)
            if wanted == (stored.spec if stored else None):
                return
            if base != (stored.spec if stored else None) or (stored is None and name in self._store.unreadables):
                break
            try:
                await self._send(name, stored, wanted)
            except (Conflict, NotFound) as error:
                if isinstance(error, KindMissing):
                    raise
                await self._learn(name, stored)
                if self._store.objects.get(name) == stored and name not in self._store.unreadables:
                    # A quota that was busy, a webhook, a proxy: to decide again would come to the same.
                    raise Conflict(
                        f"IPAllocation {name} is not taken, though it is as we know it: {error}",
                        status=409,
                        reason=UNCHANGED,
                    ) from error
            else:
                return
        raise Conflict(f"IPAllocation {name} was changed by somebody else", status=409, reason="Contested")

    async def _send(self, name: str, stored: IPAllocation | None, wanted: IPAllocationSpec | None) -> None:
        if wanted is None and stored is not None:
            meta = stored.metadata
            await self._api.delete(ALLOCATIONS, name, uid=meta.uid, resource_version=meta.resource_version)
            self._store.deleted(stored)
        elif wanted is not None and stored is not None:
            swapped = msgspec.structs.replace(stored, spec=wanted)
            self._store.changed(await self._api.replace(ALLOCATIONS, swapped))
        elif wanted is not None:
            made = IPAllocation(metadata=ObjectMeta(name=name), spec=wanted)
            self._store.changed(await self._api.create(ALLOCATIONS, made))

    async def _learn(self, name: str, stored: IPAllocation | None) -> None:
        try:
            self._store.changed(await self._api.get(ALLOCATIONS, name))
        except KindMissing:
            raise
        except NotFound:
            if stored is not None:
                self._store.deleted(stored)
        except InvalidObject as error:
            self._store.unreadable(Unreadable(ALLOCATIONS.kind, ObjectMeta(name=name), error.what))


def _offer(spec: IPAllocationSpec | None) -> object:
    """What decides who may join an address."""
    if spec is None:
        return None
    return (spec.sharing_key, spec.backend_key, [(claim.namespace, claim.ports) for claim in spec.services])


def _address(name: str) -> IPAddress | None:
    try:
        return names.address_of(name)
    except InvalidObject as error:
        # The CRD refuses such names; one that is there all the same holds no address.
        log.warning("an IPAllocation is passed by", error=str(error))
        return None
