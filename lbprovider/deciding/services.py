"""What a Service gets: the room ``ipam`` asked on what is known now, and its answer entered into the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.core import Service
from lbprovider.api.meta import Condition
from lbprovider.api.names import IPAddress
from lbprovider.api.times import rfc3339
from lbprovider.deciding.book import Book
from lbprovider.deciding.conflicts import Conflicts, Verdict
from lbprovider.deciding.known import Known, Scope
from lbprovider.deciding.placing import Placing
from lbprovider.ipam.assign import Assigned, assign, start_order
from lbprovider.ipam.ranges import family_of
from lbprovider.ipam.reasons import QUIET, Reason, Refused, some
from lbprovider.ipam.request import Request, holder_of, is_ours, request_of, shown_by
from lbprovider.ipam.sharing import joined, left, set_aside, stays

CONDITION: Final = "lbprovider.io/AddressesAssigned"
"""On each Service of ours: True while it has an address; its reason is one of ``ipam.reasons``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a Service is to look like.

    Args:
        addresses: all that it has, in order.
        condition: what is said of it.
        release: what it lets go once its status doesn't show it any more.
        shown: the addresses that it may show.
        aside: what it has left, each with a sentence that says why.
        answer: what the allocation said: why each address, and the pools passed over.
    """

    addresses: tuple[IPAddress, ...]
    condition: Condition
    release: tuple[IPAddress, ...]
    shown: tuple[IPAddress, ...]
    aside: tuple[tuple[IPAddress, str], ...]
    answer: Assigned | Refused

    @property
    def took(self) -> bool:
        """Whether it got something that it did not hold."""
        return _gains(self.answer)


Plan = Callable[[IPAddress, IPAllocationSpec | None], None]
"""Enters what the IPAllocation of an address is to be (None: gone): ``Book.put``, or what also has it written."""


class Decisions:
    """Decides, and enters what it decided; never waits, never writes.

    Args:
        known: what is known of the cluster.
        book: who holds what.
        plan: enters a decision into ``book``, and has it written where anything is.
        places: where an address is announced.
        conflicts: which addresses can't be announced, because something else answers for them.
        scope: which Services are ours.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        known: Known,
        book: Book,
        plan: Plan,
        *,
        places: Placing,
        conflicts: Conflicts,
        scope: Scope,
        wall: Callable[[], float],
    ) -> None:
        self.waiting: dict[str, None] = {}
        """Services that lack something, by key."""
        self._known = known
        self._book = book
        self._enter = plan
        self._places = places
        self._conflicts = conflicts
        self._scope = scope
        self._wall = wall
        # What another provider gave, by uid: in use, and so never probed for (``IPAllocationSpec.adopted``).
        self._inherited: set[tuple[str, IPAddress]] = set()

    def ours(self, service: Service) -> bool:
        """Whether the Service is for us, by type, class and not being deleted."""
        return is_ours(service, self._scope.lb_class, default_class=self._scope.default_class)

    def concerns(self, service: Service) -> bool:
        """Whether there is anything to do or undo: a Service that never was ours is never touched."""
        return (
            self.ours(service)
            or condition(service) is not None
            or bool(self._book.ledger.held_by(service.metadata.uid))
        )

    def decide(self, service: Service) -> Outcome | None:
        """What a Service of ours gets; None while it is too early to say anything."""
        ledger = self._book.ledger
        request = self._request(service)
        if request is None:
            return None  # its namespace's labels decide; that one's own event brings us back
        aside = self._set_aside(request) if isinstance(request, Request) else ()
        answer = request if isinstance(request, Refused) else assign(request, ledger)
        match request, answer:
            case Request(), Assigned():
                self._plan(request, answer)
                reason = answer.notes[0].reason if answer.notes else Reason.ASSIGNED
                message = " ".join(note.message for note in answer.notes) or _granted(answer)
                reason, message = self._unusable(request, answer.addresses) or (reason, message)
                self._wait(service.key, waits=reason is not Reason.ASSIGNED)
                shown = self._usable(answer.addresses)
                return Outcome(
                    answer.addresses, _said(service, shown, reason, message), answer.release, shown, aside, answer
                )
            case _, Refused(reason, message, release):
                self._wait(service.key, waits=True)
                if reason in QUIET or self._unconfigured(service):
                    return None
                kept = self._kept(service, self._stay(service) if isinstance(request, Refused) else release)
                given_up = tuple(one for one in self._book.ledger.held_by(service.metadata.uid) if one not in kept)
                shown = self._usable(kept)
                said = _said(service, shown, reason, f"{message}{self._left(service)}")
                return Outcome(kept, said, given_up, shown, aside, answer)
        raise TypeError(f"{service.key}: {answer!r} answers no request")

    def reserve(self, since: str = "") -> set[str]:
        """After a start: enters what only a status shows into the ledger, the older Service first (DESIGN §2).

        A Service from before lbprovider may show what another provider gave it. A later one shows what somebody wrote
        there while nobody looked: it gets that as it would by asking for it, and not where another host answers for it.

        Args:
            since: RFC 3339, when lbprovider was first at work here; empty: never yet.

        Returns:
            The keys of all Services of ours that ask for something sensible.
        """
        ledger = self._book.ledger
        requests = [
            request
            for service in self._known.services.values()
            if self.ours(service) and isinstance(request := self._request(service), Request)
        ]
        for request in start_order(requests, ledger):
            if request.status.keys() - set(map(family_of, ledger.held_by(request.uid))):
                answer = assign(request, ledger)
                if isinstance(answer, Assigned):
                    if not since or request.created < since:
                        self._inherited.update((request.uid, address) for address in request.status.values())
                    # Anything else may be what a younger one shows, and is given when all have what they show.
                    shown = (one for one in answer.grants if request.status.get(family_of(one.address)) == one.address)
                    self._plan(request, replace(answer, grants=tuple(shown)))
        return {request.key for request in requests}

    def would_gain(self, key: str) -> bool:
        """Whether a Service that waits would get an address now."""
        service = self._known.services.get(key)
        if service is None or not self.ours(service):
            return False
        request = self._request(service)
        if not isinstance(request, Request):
            return False
        return _gains(assign(request, self._book.ledger))

    def release(self, address: IPAddress, uid: str) -> bool:
        """Enters that a Service has left an address, which then cools down where its pool says so.

        Returns:
            Whether it held the address.
        """
        ledger = self._book.ledger
        spec = ledger.get(address)
        if spec is None or all(claim.uid != uid for claim in spec.services):
            return False
        pool = ledger.pools.covering(address)
        cools = pool is not None and pool.reuse_after > 0
        self._enter(address, left(spec, uid, rfc3339(self._wall()) if cools else ""))
        return True

    def _unconfigured(self, service: Service) -> bool:
        """Whether there is no pool yet and the Service holds nothing: what its status shows is another provider's."""
        ledger = self._book.ledger
        return not (ledger.pools.pools or ledger.pools.refused or ledger.held_by(service.metadata.uid))

    def _request(self, service: Service) -> Request | Refused | None:
        namespace = self._known.namespaces.get(service.metadata.namespace)
        return None if namespace is None else request_of(service, namespace.metadata.labels)

    def _plan(self, request: Request, answer: Assigned) -> None:
        ledger = self._book.ledger
        there = (ledger.get(grant.address) for grant in answer.grants)
        # Of the address that it has, where it gets one of the other family.
        nodes = next((spec.nodes for spec in there if spec is not None and spec.services and spec.nodes), ())
        for grant in answer.grants:
            before = ledger.get(grant.address)
            spec = joined(before, request, grant.address, grant.pool)
            if before is None and (request.uid, grant.address) in self._inherited:
                spec = msgspec.structs.replace(spec, adopted=True)
            spec = self._places.place(spec, nodes, fresh=before is None or not before.services)
            nodes = spec.nodes or nodes
            self._enter(grant.address, spec)

    def _set_aside(self, request: Request) -> tuple[tuple[IPAddress, str], ...]:
        """Has the Service leave what can't be announced; nothing is given in its place yet."""
        ledger, aside = self._book.ledger, []
        for address in ledger.held_by(request.uid):
            # Without a pool there is no other one to be had.
            if address not in self._conflicts or ledger.pools.covering(address) is None:
                continue
            if self._conflicts.judge(request, address) is Verdict.SET_ASIDE:
                mac = self._conflicts.mac(address)
                spec = set_aside(ledger[address], request.uid, rfc3339(self._wall()))
                self._enter(address, spec)
                why = f"{mac} answers on the LAN for {address}, which was never announced; it is set aside for a while."
                aside.append((address, why))
        return tuple(aside)

    def _usable(self, addresses: tuple[IPAddress, ...]) -> tuple[IPAddress, ...]:
        return tuple(address for address in addresses if address not in self._conflicts)

    def _unusable(self, request: Request, addresses: tuple[IPAddress, ...]) -> tuple[Reason, str] | None:
        """What to say of a Service that keeps an address which can't be announced; None where it has none."""
        for address in addresses:
            if address in self._conflicts:
                mac = self._conflicts.mac(address)
                said = f"{address} is not announced, because {mac} answers for it on the LAN."
                if self._conflicts.judge(request, address) is Verdict.REQUESTED:
                    return Reason.ADDRESS_IN_CONFLICT, f"{said} Free it there, or ask for another address."
                pool = self._book.ledger[address].pool
                return Reason.LAN_ANSWERS_FOR_POOL, f"{said} {self._conflicts.answering(pool)}".rstrip()
        return None

    def _left(self, service: Service) -> str:
        left = self._conflicts.set_aside_for(service.metadata.uid)
        return f" It had to leave {some(map(str, left))}, which other hosts on the LAN answer for." if left else ""

    def _stay(self, service: Service) -> tuple[IPAddress, ...]:
        """Brings up to date what a Service holds that asks for nothing sensible; what it must leave all the same."""
        ledger, holder = self._book.ledger, holder_of(service)
        would = {address: stays(ledger[address], holder) for address in ledger.held_by(service.metadata.uid)}
        release = tuple(address for address, spec in would.items() if spec is None)
        for address in self._kept(service, release):
            self._enter(address, would[address])
        return release

    def _kept(self, service: Service, release: tuple[IPAddress, ...]) -> tuple[IPAddress, ...]:
        """Of each family one: a crash, or another controller at the same time, may have left two."""
        order = {family: place for place, family in enumerate(service.spec.ip_families)}
        before = shown_by(service)
        held = [one for one in self._book.ledger.held_by(service.metadata.uid) if one not in release]
        kept = {family_of(one): one for one in sorted(held, key=lambda one: one in before)}
        return tuple(sorted(kept.values(), key=lambda one: order.get(family_of(one), len(order))))

    def _wait(self, key: str, *, waits: bool) -> None:
        if waits:
            self.waiting[key] = None
        else:
            self.waiting.pop(key, None)


def _gains(answer: Assigned | Refused) -> bool:
    """Whether there is anything in it that the Service does not hold."""
    return isinstance(answer, Assigned) and bool(answer.new)


def condition(service: Service) -> Condition | None:
    """Our condition on a Service."""
    return next((one for one in service.status.conditions if one.type == CONDITION), None)


def ingress(service: Service) -> tuple[str, ...]:
    """What a Service's status shows, whoever wrote it: addresses, and hostnames."""
    return tuple(entry.ip or entry.hostname for entry in service.status.load_balancer.ingress)


def _said(service: Service, shown: tuple[IPAddress, ...], reason: Reason, message: str) -> Condition:
    status: Literal["True", "False"] = "True" if shown else "False"
    generation = service.metadata.generation
    return Condition(type=CONDITION, status=status, reason=reason, message=message, observed_generation=generation)


def _granted(answer: Assigned) -> str:
    return "Assigned " + " and ".join(f"{grant.address} from pool {grant.pool}" for grant in answer.grants) + "."
