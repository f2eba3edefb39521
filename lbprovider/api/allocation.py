"""IPAllocation: one object per address in use. It is the truth about who has an address."""

from __future__ import annotations

from typing import Literal

import msgspec

from lbprovider.api.conditions import ANNOUNCED
from lbprovider.api.core import ServicePort
from lbprovider.api.meta import Condition, Object, Struct


class ServiceClaim(Struct, frozen=True):
    """A Service that holds the address. ``uid`` tells a Service from a later one of the same name.

    ``external_traffic_policy`` is here for the speakers, which watch no Services. ``resource_version`` is that of the
    Service for which the claim was made: who takes it away has to have seen a later one (``controller.agreeing``).
    """

    namespace: str
    name: str
    uid: str
    ports: tuple[ServicePort, ...] = ()
    external_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    resource_version: str = ""

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


class IPAllocationSpec(Struct, frozen=True):
    """``spec`` of an IPAllocation; written only by the controller.

    ``address`` is the one that the object is named after. ``segment`` names the LAN that announces it, empty while
    none fits. ``sharing_key`` and ``backend_key`` are empty where the address is not shared. ``nodes`` are the (at
    most 3) preferred ones, best first; rendezvous hashing ranks the rest. Without ``services`` the address cools
    down since ``released_at`` (RFC 3339). ``advertisements`` are the L2Advertisements of the pool whose
    ``serviceSelectors`` select one of the Services, or that have none; None where none of the pool's has any: which
    Services they select is decided where Services are seen, so that speakers need neither them nor their labels.
    """

    address: str
    pool: str
    segment: str = ""
    services: tuple[ServiceClaim, ...] = ()
    sharing_key: str = ""
    backend_key: str = ""
    nodes: tuple[str, ...] = ()
    advertisements: tuple[str, ...] | None = None
    released_at: str = ""
    adopted: bool = False
    set_aside_at: str = ""
    set_aside_for: tuple[str, ...] = ()


class IneligibleNodes(Struct, frozen=True):
    """How many ``nodes`` may not announce an address for one ``reason``."""

    reason: str
    nodes: int


class IPAllocationStatus(Struct, frozen=True):
    """``status`` of an IPAllocation; written by the speaker that owns the address. ``since`` is RFC 3339.

    ``leader`` and what is said of it stay when nobody answers any more: the condition Announced tells. ``eligible`` is
    the number of nodes that could announce the address when ``leader`` was written, ``ineligible`` why the others not.
    ``conflict_mac`` is who else uses it, while the condition Conflict is True.
    """

    leader: str = ""
    interface: str = ""
    mac: str = ""
    since: str = ""
    eligible: int = 0
    ineligible: tuple[IneligibleNodes, ...] = ()
    conflict_mac: str = msgspec.field(name="conflictMAC", default="")
    conditions: tuple[Condition, ...] = ()


class IPAllocation(Object, frozen=True, kw_only=True):
    """An address in use."""

    spec: IPAllocationSpec
    status: IPAllocationStatus = IPAllocationStatus()

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, None where nobody has said anything of it."""
        return next((one for one in self.status.conditions if one.type == kind), None)

    @property
    def is_announced(self) -> bool:
        """Whether a node says that it answers for the address."""
        said = self.condition(ANNOUNCED)
        return said is not None and said.status == "True"
