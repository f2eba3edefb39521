"""One Service at a time: decide, write the IPAllocation, then the Service's status, then let go of what is left over.

The order is what makes a crash between any two writes harmless: an address that a status shows has an IPAllocation, and
one that a status still shows is not given to others. The decision and its entry in the ledger are one step without an
await, so decisions are made one after the other however many writes are in flight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog

from lbprovider.api.allocation import ServiceClaim
from lbprovider.api.conditions import ServiceReason
from lbprovider.api.core import Namespace, Service
from lbprovider.api.meta import Condition, to_builtins
from lbprovider.api.names import IPAddress
from lbprovider.api.resources import SERVICES
from lbprovider.api.times import rfc3339
from lbprovider.controller.agreeing import Agreement
from lbprovider.controller.allocations import UNCHANGED, Allocations
from lbprovider.controller.foreign import Foreign, ForeignWriters
from lbprovider.controller.inventory import Change, Inventory, older
from lbprovider.controller.writer import Urgency, WorkQueue
from lbprovider.deciding.services import CONDITION, Decisions, Outcome, condition
from lbprovider.errors import ClusterError, Conflict, Forbidden, Invalid, InvalidObject, NotFound
from lbprovider.ipam.reasons import Reason, some
from lbprovider.kube import patches
from lbprovider.kube.events import Recorder
from lbprovider.kube.ports import Api

ATTEMPTS: Final = 8
"""Decisions in a row that somebody else was faster at; then the Service waits its turn as after any failure."""

log = structlog.get_logger(__name__)


class Services:
    """Gives Services their addresses, and takes them back.

    Args:
        api: the API server.
        inventory: what is known of the cluster.
        allocations: the ledger, and who writes it.
        decisions: what each Service gets.
        worked_on: called with the key of a Service, and whether it took something, when it was worked on.
        recorder: writes Events.
        clock: seconds, monotonic.
        wall: seconds since 1970, for the times that people read.
    """

    def __init__(
        self,
        api: Api,
        inventory: Inventory,
        allocations: Allocations,
        decisions: Decisions,
        *,
        worked_on: Callable[[str, bool], None],
        recorder: Recorder,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.queue: WorkQueue[str] = WorkQueue(self.reconcile)
        self._api = api
        self._inventory = inventory
        self._allocations = allocations
        self._decisions = decisions
        self._worked_on = worked_on
        self._recorder = recorder
        self._wall = wall
        self._foreign = ForeignWriters(api, clock=clock)
        self._agreement = Agreement(api, inventory.services, allocations)
        # uids of Services that are gone, by key, and whether that is certain: then nobody has to ask the API server.
        self._gone: dict[str, dict[str, bool]] = {}
        inventory.services.subscribe(self._service_changed)
        inventory.namespaces.subscribe(self._namespace_changed)

    def adopt(self) -> None:
        """After a start: reserves what is shown, finds what was left behind, and has the rest looked at.

        Services without an address go first: they wait for one, the others have theirs. DESIGN §2, §4.
        """
        ledger = self._allocations.ledger
        asking = self._decisions.reserve(self._since())
        for address in ledger:
            spec = ledger.get(address)
            self.claimed(spec.services if spec is not None else (), urgency=Urgency.RESYNC, certain=True)
        for key, service in self._inventory.services.objects.items():
            shown = service.status.load_balancer.ingress
            if key in asking and not shown and not ledger.held_by(service.metadata.uid):
                self.queue.add(key, Urgency.NEW)
            elif self._decisions.concerns(service):
                self.queue.add(key, Urgency.RESYNC)

    def _since(self) -> str:
        """When lbprovider was first at work here, as the oldest that it wrote says; empty where it never did."""
        inventory = self._inventory
        made = (*inventory.allocations.objects.values(), *inventory.segments.objects.values())
        said = (one for pool in inventory.pools.objects.values() for one in pool.status.conditions)
        times = (*(one.metadata.creation_timestamp for one in made), *(one.last_transition_time for one in said))
        return min(filter(None, times), default="")

    def claimed(
        self, claims: Iterable[ServiceClaim], *, urgency: Urgency = Urgency.CHANGED, certain: bool = False
    ) -> None:
        """These claims are in an IPAllocation that we didn't write: their Services are looked at.

        Args:
            claims: before and after.
            urgency: how soon.
            certain: a Service that wasn't listed is gone; else the API server is asked, for it may just be new.
        """
        for claim in claims:
            service = self._inventory.services.objects.get(claim.key)
            if (service is None or service.metadata.uid != claim.uid) and not self._unread(claim):
                gone = self._gone.setdefault(claim.key, {})
                # A claim that another controller made after our list is of a Service that may be as young.
                listed = certain and not older(self._inventory.services.swept_at, claim.resource_version)
                gone[claim.uid] = listed or gone.get(claim.uid, False)
            self.queue.add(claim.key, urgency)

    def _unread(self, claim: ServiceClaim) -> bool:
        """Whether the Service is there, and can't be read: it has what it has until somebody can."""
        unread = self._inventory.services.unreadables.get(claim.key)
        return unread is not None and unread.metadata.uid in ("", claim.uid)

    def look_again(self) -> None:
        """Pools or speakers have changed: those who wait first, then all others."""
        for key in self._decisions.waiting:
            self.queue.add(key, Urgency.CHANGED)
        for key, service in self._inventory.services.objects.items():
            if self._decisions.concerns(service):
                self.queue.add(key, Urgency.RESYNC)

    async def reconcile(self, key: str) -> None:
        """Makes one Service, or what it left behind, as it should be.

        Raises:
            ClusterError: the API server didn't take a write; to be tried again.
        """
        took = False
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    took = await self._work_on(key)
                except Conflict as error:
                    if attempt == ATTEMPTS or error.reason == UNCHANGED:
                        raise
                else:
                    return
        finally:
            self._worked_on(key, took)

    async def _work_on(self, key: str) -> bool:
        """Whether the Service got something that it did not hold."""
        await self._bury(key)
        service = self._inventory.services.objects.get(key)
        if service is None:
            self._decisions.waiting.pop(key, None)
        elif self._decisions.ours(service):
            return await self._serve(service)
        else:
            await self._let_go(service)
        return False

    def _service_changed(self, change: Change[Service]) -> None:
        old, new = change.old, change.new
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            if self._allocations.ledger.held_by(old.metadata.uid):
                self._gone.setdefault(change.key, {})[old.metadata.uid] = True
            self._foreign.forget(old.metadata.uid)
            self.queue.add(change.key, Urgency.CHANGED)
        elif new is not None and self._decisions.concerns(new):
            # Not its generation: the API server keeps none of Services (1.35).
            if old is not None and old.spec != new.spec:
                self._foreign.resume(new.metadata.uid)
            first = old is None and not new.status.load_balancer.ingress
            self.queue.add(change.key, Urgency.NEW if first else Urgency.CHANGED)

    def _namespace_changed(self, change: Change[Namespace]) -> None:
        old, new = change.old, change.new
        if new is None or (old is not None and old.metadata.labels == new.metadata.labels):
            return
        for key, service in self._inventory.services.objects.items():
            if service.metadata.namespace == new.metadata.name and self._decisions.concerns(service):
                self.queue.add(key, Urgency.CHANGED)

    async def _serve(self, service: Service) -> bool:
        if not await self._agreement.caught_up(service):
            return False  # its deletion is on its way to us, and lets everything go
        outcome = self._decisions.decide(service)
        if outcome is None:
            return False
        uid = service.metadata.uid
        held = all(self._allocations.holds(address, uid) for address in outcome.addresses)
        try:
            await self._give(service, outcome, unmoved=held and not (outcome.release or outcome.aside))
        except ClusterError:
            # The ledger has them as left already, so no later decision would come back to them.
            await self._set_aside(service, outcome.aside)
            raise
        # Last, as whatever is let go: the status shows it until then.
        await self._set_aside(service, outcome.aside)
        return outcome.took

    async def _give(self, service: Service, outcome: Outcome, *, unmoved: bool) -> None:
        """Writes what a Service gets, then shows it, then lets go of what it leaves of its own will."""
        uid = service.metadata.uid
        for address in outcome.addresses:
            try:
                await self._allocations.settle(address)
            except (Invalid, Forbidden) as error:
                await self._say_refused(service, address, error)
                raise
            if not self._allocations.holds(address, uid):
                raise Conflict(f"{address} went to somebody else", status=409, reason="Contested")
        await self._show(service, outcome, unmoved=unmoved)
        for address in outcome.release:
            await self._part(service, address)

    async def _set_aside(self, service: Service, aside: Iterable[tuple[IPAddress, str]]) -> None:
        """Each of them is tried, whatever becomes of the others."""
        failed: ClusterError | None = None
        for address, why in aside:
            try:
                await self._allocations.settle(address)
            except ClusterError as error:
                failed = error
            else:
                log.warning("set aside", service=service.key, address=str(address), why=why)
                self._recorder.event(SERVICES, service, "Warning", Reason.ADDRESS_IN_CONFLICT, why)
        if failed is not None:
            raise failed

    async def _say_refused(self, service: Service, address: IPAddress, error: ClusterError) -> None:
        """Says that nothing comes of it, however often it is tried; the addresses that the status shows stay."""
        latest = self._agreement.unchanged(service)
        if latest is None:
            return
        said = Condition(
            type=CONDITION,
            status="True" if latest.status.load_balancer.ingress else "False",
            reason=ServiceReason.ALLOCATION_REFUSED,
            message=f"The IPAllocation of {address} is refused: {error}",
            observed_generation=latest.metadata.generation,
        )
        before, body = condition(latest), patches.condition_only(latest, said, rfc3339(self._wall()))
        told = body is not None and await self._agreement.write(latest, body)
        if told and (before is None or before.reason != said.reason):
            self._recorder.event(SERVICES, latest, "Warning", said.reason, said.message)

    async def _show(self, service: Service, outcome: Outcome, *, unmoved: bool) -> None:
        """Writes the Service's status where it differs; tells of a changed reason, and of what was put right, once."""
        latest = self._agreement.unchanged(service)
        if latest is None:
            return  # its deletion is on its way to us, and lets everything go
        left, foreign = self._foreign.left_to(latest, outcome.shown), None
        if left is None and unmoved and self._changed_by_others(latest, outcome):
            same = patches.condition_only(latest, outcome.condition, "") is None
            foreign = await self._foreign.found(latest, outcome.shown, same=same)
            left = None if foreign is None else self._foreign.leave(latest, foreign)
        if left is not None:
            await self._leave(latest, left)
            return
        before, now = condition(latest), outcome.condition
        body = patches.service_status(latest, outcome.shown, now, rfc3339(self._wall()))
        if body is None or not await self._agreement.write(latest, body, outcome.shown):
            return
        shown = [str(address) for address in outcome.shown]
        log.info("status written", service=service.key, addresses=shown, reason=now.reason)
        if foreign is not None:
            self._corrected(latest, foreign, shown)
        elif unmoved and before is None and shown:
            # After a crash, or after somebody who wipes the whole status: the next time will tell.
            self._foreign.corrected(latest.metadata.uid)
        if before is not None and before.reason == now.reason:
            return
        if now.reason != Reason.ASSIGNED:
            self._recorder.event(SERVICES, latest, "Warning", now.reason, now.message)
        elif before is not None:
            # Not for a Service that got what it wanted at once: its EXTERNAL-IP says that, and it costs a write.
            self._recorder.event(SERVICES, latest, "Normal", now.reason, now.message)

    def _changed_by_others(self, service: Service, outcome: Outcome) -> bool:
        """Whether the status of a Service that holds what it held may have been ours, and differs now.

        One that shows nothing at all, without our condition, has probably never been written to.
        """
        seen = condition(service) is not None or (outcome.addresses and service.status.load_balancer.ingress)
        return bool(seen or self._foreign.known(service.metadata.uid)) and not patches.shows(service, outcome.shown)

    def _corrected(self, service: Service, foreign: Foreign, shown: list[str]) -> None:
        self._foreign.corrected(service.metadata.uid)
        said = f"{foreign.writer} changed status.loadBalancer to {foreign.value}; it is {some(shown) or 'empty'} again."
        log.warning(said, service=service.key, reason=ServiceReason.STATUS_CORRECTED)
        self._recorder.event(SERVICES, service, "Warning", ServiceReason.STATUS_CORRECTED, said)

    async def _leave(self, service: Service, said: Condition) -> None:
        """Says once that the status is left to another writer, who may take even that away."""
        body, uid = patches.condition_only(service, said, rfc3339(self._wall())), service.metadata.uid
        if body is not None and not self._foreign.said(uid) and await self._agreement.write(service, body):
            self._foreign.say(uid)
            log.warning(said.message, service=service.key, reason=said.reason)
            self._recorder.event(SERVICES, service, "Warning", said.reason, said.message)

    async def _let_go(self, service: Service) -> None:
        """A Service that was ours and isn't any more: takes from its status what is ours, then frees it."""
        self._decisions.waiting.pop(service.key, None)
        self._foreign.forget(service.metadata.uid)
        held = self._allocations.ledger.held_by(service.metadata.uid)
        body = _withdrawn(service, held)
        if body is not None and await self._agreement.write(service, body):
            log.info("withdrawn", service=service.key, addresses=[str(address) for address in held])
        for address in held:
            await self._part(service, address)

    async def _part(self, service: Service, address: IPAddress) -> None:
        """A Service that is there lets go of an address."""
        if await self._agreement.may_leave(service, address):
            await self._release(address, service.metadata.uid)

    async def _bury(self, key: str) -> None:
        for uid, certain in list(self._gone.get(key, {}).items()):
            if certain or await self._is_gone(key, uid):
                for address in self._allocations.ledger.held_by(uid):
                    await self._release(address, uid)
            self._gone.get(key, {}).pop(uid, None)
        if not self._gone.get(key, True):
            del self._gone[key]

    async def _is_gone(self, key: str, uid: str) -> bool:
        namespace, _, name = key.partition("/")
        try:
            service = await self._api.get(SERVICES, name, namespace=namespace)
        except NotFound:
            return True
        except InvalidObject as error:
            log.warning("an address is kept", service=key, error=str(error))
            return False
        self._inventory.services.changed(service)
        return service.metadata.uid != uid

    async def _release(self, address: IPAddress, uid: str) -> None:
        spec = self._allocations.ledger.get(address)
        if spec is not None and self._decisions.release(address, uid):
            await self._allocations.settle(address)
            log.info("released", address=str(address), pool=spec.pool, uid=uid)


def _withdrawn(service: Service, held: Iterable[IPAddress]) -> Mapping[str, Any] | None:
    """A strategic merge patch that takes our addresses and our condition from a status; None where there is nothing."""
    ours = {str(address) for address in held}
    shown = service.status.load_balancer.ingress
    kept = [entry for entry in shown if entry.ip not in ours]
    status: dict[str, Any] = {}
    if len(kept) < len(shown):
        status["loadBalancer"] = {"ingress": to_builtins(kept) or None}
    if condition(service) is not None:
        status["conditions"] = [{"type": CONDITION, "$patch": "delete"}]
    return {"metadata": {"uid": service.metadata.uid}, "status": status} if status else None
