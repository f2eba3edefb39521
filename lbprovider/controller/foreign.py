"""Others who write ``status.loadBalancer`` of a Service of ours: k3s' servicelb, a cloud controller, Cilium, a hand.

What was changed is put right and said. Whoever changes it again and again, three times within a minute, is named, and
the Service's addresses in its status are left to it: until the Service's spec changes, or it shows ours. What the
Service holds it holds on, its IPAllocation included. The condition itself carries that over a restart.

Who wrote what is read from ``metadata.managedFields`` when something is to be put right, by one GET: to keep them for
every Service would cost more than the Services. Our own writes are never another's, whichever replica made them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from lbprovider.api.conditions import ServiceReason
from lbprovider.api.core import Service
from lbprovider.api.managed import MANAGED_SERVICES, ManagedService, load_balancer_managers, status_managers
from lbprovider.api.meta import Condition
from lbprovider.api.names import CONTROLLER_MANAGER, IPAddress
from lbprovider.deciding.services import CONDITION, condition, ingress
from lbprovider.errors import Forbidden, InvalidObject, NotFound
from lbprovider.ipam.reasons import some
from lbprovider.kube import patches
from lbprovider.kube.ports import Api

MOST: Final = 3
"""Corrections of one Service within ``WITHIN``; whoever writes once more is left to it."""
WITHIN: Final = 60.0
"""Seconds."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Foreign:
    """What somebody else wrote.

    Args:
        writer: the field managers that it may be, in quotes, or that nobody knows.
        value: what the status shows.
    """

    writer: str
    value: str


class ForeignWriters:
    """Remembers, Service by Service, what was put right, and who is left to it.

    What it remembers of corrections is a minute old at most, and of those left to others one condition each.

    Args:
        api: the API server.
        clock: seconds, monotonic.
    """

    def __init__(self, api: Api, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        # By uid, whose last one is the oldest first.
        self._corrected: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self._left: dict[str, Condition] = {}
        # Of those whose condition was written: who takes that away too doesn't get it a second time.
        self._said: set[str] = set()
        # Taken up again, while the condition that says otherwise is still there.
        self._resumed: set[str] = set()

    def left_to(self, service: Service, wanted: Sequence[IPAddress]) -> Condition | None:
        """The condition of a Service whose status is left to another writer; None where it is ours to write.

        Args:
            service: as last seen.
            wanted: what it should show.
        """
        uid, said = service.metadata.uid, condition(service)
        if said is None or said.reason != ServiceReason.FOREIGN_CONTROLLER:
            self._resumed.discard(uid)
            said = None
        if patches.shows(service, wanted):
            if said is not None or uid in self._left:
                self.resume(uid)
        elif said is not None and uid not in self._left and uid not in self._resumed:
            self._left[uid] = said
            self._said.add(uid)
        return self._left.get(uid)

    async def found(self, service: Service, wanted: Sequence[IPAddress], *, same: bool) -> Foreign | None:
        """Who changed the status; None where it was nobody but us, or where it is as it should be after all.

        Args:
            service: as last seen.
            wanted: what it should show.
            same: our condition says already what it should: an API server that keeps no managed fields tells no more.

        Raises:
            ClusterError: the API server doesn't say.
        """
        meta = service.metadata
        try:
            managed = await self._api.get(MANAGED_SERVICES, meta.name, namespace=meta.namespace)
        except NotFound:
            return None  # its deletion is on its way to us
        except (Forbidden, InvalidObject) as error:
            log.warning("nobody knows who wrote a status", service=service.key, error=str(error))
            return Foreign("Somebody", _value(service))
        managers = load_balancer_managers(managed)
        if managed.metadata.uid != meta.uid or patches.shows(managed, wanted) or CONTROLLER_MANAGER in managers:
            return None
        if not managed.metadata.managed_fields:
            return Foreign("Somebody", _value(managed)) if same else None
        return Foreign(_named(managed, managers), _value(managed))

    def corrected(self, uid: str) -> None:
        """What somebody else had written was put right."""
        now = self._clock()
        self._corrected[uid] = (*self._recent(uid), now)
        self._corrected.move_to_end(uid)
        while self._corrected and self._corrected[next(iter(self._corrected))][-1] <= now - WITHIN:
            self._corrected.popitem(last=False)

    def known(self, uid: str) -> bool:
        """Whether the status was put right within the last minute."""
        return bool(self._recent(uid))

    def leave(self, service: Service, foreign: Foreign) -> Condition | None:
        """The condition of a Service that is left to the other writer from now on; None while it may be put right."""
        uid = service.metadata.uid
        if len(self._recent(uid)) < MOST:
            return None
        self._left[uid] = Condition(
            type=CONDITION,
            status="False",
            reason=ServiceReason.FOREIGN_CONTROLLER,
            message=(
                f"{foreign.writer} keeps changing status.loadBalancer of this Service (now to {foreign.value}), so it "
                "is left alone; the Service holds what its IPAllocations say. Have the other one leave it to "
                "lbprovider, then change the Service's spec, or put what it holds into its status."
            ),
            observed_generation=service.metadata.generation,
        )
        return self._left[uid]

    def said(self, uid: str) -> bool:
        """Whether the condition of a Service that is left to another writer was written, by us or one before us."""
        return uid in self._said

    def say(self, uid: str) -> None:
        """It was written."""
        self._said.add(uid)

    def resume(self, uid: str) -> None:
        """The status is ours to write again: the Service's spec has changed, or the status shows what it should."""
        self._left.pop(uid, None)
        self._said.discard(uid)
        self._corrected.pop(uid, None)
        self._resumed.add(uid)

    def forget(self, uid: str) -> None:
        """The Service is gone, or no longer ours."""
        self.resume(uid)
        self._resumed.discard(uid)

    def _recent(self, uid: str) -> tuple[float, ...]:
        since = self._clock() - WITHIN
        return tuple(at for at in self._corrected.get(uid, ()) if at > since)[-MOST:]


def _named(managed: ManagedService, managers: tuple[str, ...]) -> str:
    if managers:
        return f'"{managers[0]}"'
    # It was cleared, and a field that isn't there has no manager.
    others = [f'"{name}"' for name in status_managers(managed) if name != CONTROLLER_MANAGER]
    return f"Somebody who clears it (of its status, {some(others)} writes too)" if others else "Somebody who clears it"


def _value(service: Service) -> str:
    return some(ingress(service)) or "nothing"
