"""The plan: what the controller would do with these objects, until there is nothing left to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lbprovider.api.core import Service
from lbprovider.api.names import IPAddress
from lbprovider.api.registration import registrations
from lbprovider.deciding.rehearsal import Rehearsal
from lbprovider.deciding.services import Outcome
from lbprovider.ipam.sharing import forgiven
from lbprovider.planning.objects import Objects, Options
from lbprovider.planning.result import Result
from lbprovider.planning.telling import decided, told, unchanged

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the objects.

    Args:
        result: for people and programs.
        objects: that it was made of.
        outcomes: what the Services of ours are to look like, by key; None: as they are.
        withdrawn: addresses that Services have let go because they are not ours any more, by key.
        rehearsal: who holds what at the end.
    """

    result: Result
    objects: Objects
    outcomes: Mapping[str, Outcome | None]
    withdrawn: Mapping[str, tuple[IPAddress, ...]]
    rehearsal: Rehearsal


def plan(objects: Objects, options: Options, now: float) -> Plan:
    """Plans.

    Args:
        objects: that count.
        options: the flags that decide.
        now: seconds since 1970: what has cooled down by then is free.
    """
    rehearsal = _rehearsal(objects, options, now)
    _lapse(rehearsal, now)
    rehearsal.decisions.reserve()
    withdrawn = _let_go(objects, rehearsal)
    outcomes = _settle(objects, rehearsal)
    services = (decided(objects.known.services[key], outcome, rehearsal) for key, outcome in outcomes.items())
    result = told(objects, options, rehearsal, services, now)
    return Plan(result, objects, outcomes, withdrawn, rehearsal)


def before(objects: Objects, options: Options, now: float) -> Result:
    """The same of the objects as they are: what Services show, IPAllocations say, and nodes could announce."""
    rehearsal = _rehearsal(objects, options, now)
    ours = (one for one in objects.known.services.values() if rehearsal.decisions.ours(one))
    services = (unchanged(one, rehearsal) for one in ours)
    return told(objects, options, rehearsal, services, now)


def _rehearsal(objects: Objects, options: Options, now: float) -> Rehearsal:
    # Without any Lease every Node is taken to run a speaker.
    speakers = registrations(objects.leases) if objects.leases else None
    return Rehearsal(objects.known, objects.allocations, options.scope, now, speakers)


# --- what the controller would do, in its order


def _lapse(rehearsal: Rehearsal, now: float) -> None:
    """Frees what has cooled down, or was set aside, for long enough."""
    ledger, at = rehearsal.ledger, int(now * _NS)
    for address in (*ledger.lapsed(at), *rehearsal.conflicts.lapsed(at)):
        spec = ledger.get(address)
        # Some Service may have it all the same, for it asked for it.
        rehearsal.enter(address, forgiven(spec) if spec is not None and spec.services else None)


def _let_go(objects: Objects, rehearsal: Rehearsal) -> Mapping[str, tuple[IPAddress, ...]]:
    """What Services hold that are not ours any more, or that are gone."""
    ledger, decisions, services = rehearsal.ledger, rehearsal.decisions, objects.known.services
    withdrawn = {
        key: held
        for key, service in services.items()
        if not decisions.ours(service) and (held := ledger.held_by(service.metadata.uid))
    }
    for key, held in withdrawn.items():
        for address in held:
            decisions.release(address, services[key].metadata.uid)
    for address in tuple(ledger):
        for claim in ledger[address].services:
            service = services.get(claim.key)
            missing = objects.complete and claim.key not in objects.unreadable
            if missing if service is None else service.metadata.uid != claim.uid:
                decisions.release(address, claim.uid)
    return withdrawn


def _settle(objects: Objects, rehearsal: Rehearsal) -> Mapping[str, Outcome | None]:
    """Decides all Services in their order, and again while somebody waits and something still changes.

    What one lets go another may have waited for. Each pass but the last changes what some Service is to look like, and
    a Service that has what it asked for stays as it is: so there are no more passes than Services.
    """
    ours = {key: one for key, one in objects.known.services.items() if rehearsal.decisions.ours(one)}
    outcomes: dict[str, Outcome | None] = {}
    seen: dict[str, tuple[object, ...]] = {}
    for _ in range(len(ours) + 1):
        changed = False
        for key, service in ours.items():
            outcome = outcomes[key] = _decide(service, rehearsal)
            looks = () if outcome is None else (outcome.shown, outcome.addresses, outcome.condition)
            changed = changed or seen.get(key) != looks
            seen[key] = looks
        if not changed or not rehearsal.decisions.waiting:
            break
    return outcomes


def _decide(service: Service, rehearsal: Rehearsal) -> Outcome | None:
    outcome = rehearsal.decisions.decide(service)
    for address in () if outcome is None else outcome.release:
        rehearsal.decisions.release(address, service.metadata.uid)
    return outcome
