"""One Service and several controllers at once: none shows an address that another lets go, leaders or not.

A Service and its IPAllocations are written one after the other, and the API server compares only one object at a time.
So each claim in an IPAllocation says for which version of the Service it was made (``resourceVersion``), and:

1. A status is written only to the version of the Service that was decided on (a precondition).
2. Before a status shows an address that this version doesn't show yet, the address's claim says this version. Its
   creation just did; after a crash, or where somebody was faster, it is written again.
3. An address is let go only while the status doesn't show it, at a version *later* than its claim's (compare-and-swap
   on the claim). Where it is the same version, the Service's condition is written first, and that makes a later one.

Hence no status ever shows what was let go. Say that an address is let go: its claim says version c, and the status at
some later version did not show it. Whoever is about to show it has had the claim written for the version that its
status is meant for. Is that c or an earlier one, the status comes too late: rule 1. Is it a later one, the claim has
changed: the letting go comes too late. In the normal course all of this costs nothing: the creation of an IPAllocation
and one status, with a precondition more.

Versions are compared as ``inventory.older`` does. Claims of controllers before this rule have none, and count as early.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lbprovider.api.core import Service
from lbprovider.api.names import IPAddress
from lbprovider.api.resources import SERVICES
from lbprovider.controller.allocations import Allocations
from lbprovider.controller.inventory import Store, older
from lbprovider.deciding.services import CONDITION, condition
from lbprovider.errors import Conflict, NotFound
from lbprovider.ipam.request import shown_by
from lbprovider.ipam.sharing import renewed
from lbprovider.kube.ports import Api


class Agreement:
    """Keeps the rules; each method says what it found out by ``Conflict``: decide again.

    Args:
        api: the API server.
        services: as they are known.
        allocations: the ledger, and who writes it.
    """

    def __init__(self, api: Api, services: Store[Service], allocations: Allocations) -> None:
        self._api = api
        self._services = services
        self._allocations = allocations

    async def caught_up(self, service: Service) -> bool:
        """Learns what others did that our watches don't tell yet; False where the Service is gone.

        Raises:
            Conflict: the Service has changed.
        """
        meta = service.metadata
        held = self._allocations.ledger.held_by(meta.uid)
        behind = any(older(meta.resource_version, self._claimed_at(address, meta.uid)) for address in held)
        if behind and not await self._learn(service):
            return False
        for address in shown_by(service):
            if address not in held:
                # Else we would put another address in the place of one that it was just given.
                await self._allocations.learn(address)
        return True

    def unchanged(self, service: Service) -> Service | None:
        """The Service as it was decided on; None where it is gone.

        Raises:
            Conflict: it has changed.
        """
        latest = self._services.objects.get(service.key)
        if latest is None or latest.metadata.uid != service.metadata.uid:
            return None
        if latest.metadata.resource_version != service.metadata.resource_version:
            raise _changed(service)
        return latest

    async def write(self, service: Service, body: Mapping[str, Any], addresses: Iterable[IPAddress] = ()) -> bool:
        """Patches the status of this version of the Service (rules 1 and 2); False where it is gone.

        Args:
            service: as it was decided on.
            body: a strategic merge patch.
            addresses: what it makes the status show.

        Raises:
            Conflict: the Service, or a claim of its, has changed, and is known as it is now.
        """
        await self._may_show(service, addresses)
        meta = service.metadata
        bound = {**body, "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}}
        try:
            written = await self._api.patch(
                SERVICES, meta.name, bound, namespace=meta.namespace, subresource="status", strategic=True
            )
        except NotFound:
            return False  # deleted: its event lets everything go
        except Conflict:
            if not await self._learn(service):
                return False
            raise
        self._services.changed(written)
        return True

    async def may_leave(self, service: Service, address: IPAddress) -> bool:
        """Makes sure that nobody shows the address, or is about to (rule 3); False where the Service is gone.

        True holds until the next await.

        Raises:
            Conflict: it is shown, or somebody else has changed its claim or the Service.
        """
        latest, uid = self._services.objects.get(service.key), service.metadata.uid
        if latest is None or latest.metadata.uid != uid:
            return False  # its deletion is on its way to us, and lets everything go
        claimed = self._claimed_at(address, uid)
        if address in shown_by(latest):
            raise _changed(latest)
        if older(latest.metadata.resource_version, claimed) and not await self._learn(latest):
            return False
        said = condition(latest)
        if said is not None and not older(claimed, latest.metadata.resource_version):
            told = {"type": CONDITION, "message": f"{said.message} It lets go of {address}."}
            if not await self.write(latest, {"status": {"conditions": [told]}}):
                return False
        if self._claimed_at(address, uid) != claimed:
            raise _changed(latest)
        return True

    async def _may_show(self, service: Service, addresses: Iterable[IPAddress]) -> None:
        """Has the claims of what the status doesn't show yet say this version (rule 2)."""
        uid, version, before = service.metadata.uid, service.metadata.resource_version, shown_by(service)
        for address in addresses:
            claimed = self._claimed_at(address, uid)
            if address in before or claimed == version:
                continue
            ledger = self._allocations.ledger
            if address not in ledger.held_by(uid) or older(version, claimed):
                raise _changed(service)
            self._allocations.plan(address, renewed(ledger[address], uid, version))
            await self._allocations.settle(address)
            # Several may share it, and who wrote for all of them may have been too late.
            if self._claimed_at(address, uid) != version:
                raise _changed(service)

    def _claimed_at(self, address: IPAddress, uid: str) -> str:
        claim = self._allocations.claim(address, uid)
        return "" if claim is None else claim.resource_version

    async def _learn(self, service: Service) -> bool:
        """Whether the Service is still there; Conflict where it is another version by now."""
        meta = service.metadata
        try:
            now = await self._api.get(SERVICES, meta.name, namespace=meta.namespace)
        except NotFound:
            return False
        self._services.changed(now)
        if now.metadata.resource_version != meta.resource_version:
            raise _changed(service)
        return True


def _changed(service: Service) -> Conflict:
    return Conflict(f"Service {service.key} has changed meanwhile", status=409, reason="Contested")
