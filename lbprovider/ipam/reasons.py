"""Why: the closed list of reasons, and the forms in which a decision carries them.

The condition, the Event, the log line, the metric label and ``lbprovider explain`` print the same reason. Messages are
one sentence that says what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from lbprovider.api.names import IPAddress


class Reason(StrEnum):
    """Every reason of this room; ``MEANING`` has a sentence for each."""

    # What a Service asks for makes no sense, whatever the pools are. Nothing changes.
    CONTRADICTING_REQUEST = "ContradictingRequest"
    INVALID_ADDRESS = "InvalidAddress"
    DUPLICATE_FAMILY = "DuplicateFamily"
    FAMILY_MISMATCH = "FamilyMismatch"
    INVALID_SHARING_KEY = "InvalidSharingKey"
    # It is too early to say anything: nothing is written (``QUIET``).
    NO_CLUSTER_IPS = "NoClusterIPs"
    NO_POOLS = "NoPools"
    # What it asks for can't be had as things are.
    UNKNOWN_POOL = "UnknownPool"
    POOL_REFUSED = "PoolRefused"
    OUTSIDE_POOLS = "OutsidePools"
    OUTSIDE_NAMED_POOL = "OutsideNamedPool"
    EXCLUDED_ADDRESS = "ExcludedAddress"
    BUGGY_ADDRESS = "BuggyAddress"
    PINNED_AWAY = "PinnedAway"
    ADDRESS_TAKEN = "AddressTaken"
    ADDRESS_IN_CONFLICT = "AddressInConflict"
    LAN_ANSWERS_FOR_POOL = "LanAnswersForPool"
    SHARING_KEY_DIFFERS = "SharingKeyDiffers"
    BACKEND_DIFFERS = "BackendDiffers"
    OTHER_NAMESPACE = "OtherNamespace"
    PORT_TAKEN = "PortTaken"
    EXHAUSTED = "Exhausted"
    NO_POOL_OF_FAMILY = "NoPoolOfFamily"
    NO_POOL_FOR_SERVICE = "NoPoolForService"
    # Why a pool was passed over, besides those above.
    AUTO_ASSIGN_OFF = "AutoAssignOff"
    NOT_BOTH_FAMILIES = "NotBothFamilies"
    # What is to be said of a Service that has addresses.
    ASSIGNED = "Assigned"
    SINGLE_FAMILY_ONLY = "SingleFamilyOnly"
    REQUEST_UNSATISFIABLE = "RequestUnsatisfiable"
    STRANDED = "Stranded"
    # What is wrong with a pool.
    INVALID_ENTRY = "InvalidEntry"
    INVALID_SPEC = "InvalidSpec"
    OVERLAPPING = "Overlapping"
    DUPLICATE_NAME = "DuplicateName"


MEANING: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.CONTRADICTING_REQUEST: "The Service says the same thing in two places with different values.",
        Reason.INVALID_ADDRESS: "A requested address is not an IP address.",
        Reason.DUPLICATE_FAMILY: "Two addresses of one family are requested; a Service has at most one of each.",
        Reason.FAMILY_MISMATCH: "The requested addresses don't fit the Service's ipFamilies and ipFamilyPolicy.",
        Reason.INVALID_SHARING_KEY: "The Service's sharing key is too long to be stored.",
        Reason.NO_CLUSTER_IPS: "The Service has no clusterIPs yet, so its families aren't known.",
        Reason.NO_POOLS: "There is no IPAddressPool yet.",
        Reason.UNKNOWN_POOL: "The Service names a pool that doesn't exist.",
        Reason.POOL_REFUSED: "The pool is refused as a whole; its own condition says why.",
        Reason.OUTSIDE_POOLS: "No pool has the requested address.",
        Reason.OUTSIDE_NAMED_POOL: "The requested address is not in the pool that the Service names.",
        Reason.EXCLUDED_ADDRESS: "The pool's excludeAddresses leave the requested address out.",
        Reason.BUGGY_ADDRESS: "The pool's avoidBuggyIPs leaves the requested address out.",
        Reason.PINNED_AWAY: "The pool's serviceAllocation doesn't match the Service.",
        Reason.ADDRESS_TAKEN: "Another Service holds the requested address.",
        Reason.ADDRESS_IN_CONFLICT: "Another host on the LAN uses the requested address.",
        Reason.LAN_ANSWERS_FOR_POOL: "Something on the LAN answers for whatever address the pool gives.",
        Reason.SHARING_KEY_DIFFERS: "The address is shared under another key.",
        Reason.BACKEND_DIFFERS: "externalTrafficPolicy or selector differ from those of the Services on the address.",
        Reason.OTHER_NAMESPACE: "The address is shared in another namespace, and the pool doesn't allow that.",
        Reason.PORT_TAKEN: "A Service on the shared address has the same port and protocol.",
        Reason.EXHAUSTED: "Every address of the pools that the Service may use is in use.",
        Reason.NO_POOL_OF_FAMILY: "No pool that the Service may use has addresses of the family.",
        Reason.NO_POOL_FOR_SERVICE: "There are pools, but none that this Service may use.",
        Reason.AUTO_ASSIGN_OFF: "The pool has autoAssign off and serves only Services that ask for it.",
        Reason.NOT_BOTH_FAMILIES: "The pool has no free address of both families.",
        Reason.ASSIGNED: "The Service has what it asked for.",
        Reason.SINGLE_FAMILY_ONLY: "A PreferDualStack Service has an address of one family only.",
        Reason.REQUEST_UNSATISFIABLE: "What the Service asks for can't be had; it keeps the address that it has.",
        Reason.STRANDED: "No pool allows the Service's address any more; it is kept while the Service lives.",
        Reason.INVALID_ENTRY: "An entry of addresses or excludeAddresses can't be used.",
        Reason.INVALID_SPEC: "A field of the pool other than its addresses can't be used.",
        Reason.OVERLAPPING: "The pool overlaps itself, or a pool that goes before it (the older, then by name).",
        Reason.DUPLICATE_NAME: "Another pool of the same name goes before it.",
    }
)

QUIET: Final = frozenset({Reason.NO_CLUSTER_IPS, Reason.NO_POOLS})
"""Nothing is written for these and nothing is let go: the cluster is still coming up."""

_NAMED: Final = 5
"""A message names at most so many things; one that grows with the cluster helps nobody."""


def some(names: Iterable[str]) -> str:
    """``a, b, c``; beyond five ``a, b, c, d, e and 12 more``."""
    every = tuple(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A pool that was looked at before the answer was found. ``family`` is empty where the whole pool was passed."""

    pool: str
    family: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Refused:
    """The Service has no address, and why.

    Args:
        reason: goes into the condition as it is.
        message: one sentence a cluster admin can act on.
        release: addresses that it holds and must let go; empty in what ``request_of`` refuses (nothing changes).
        tried: pools in the order tried, with the reason each was passed over.
    """

    reason: Reason
    message: str
    release: tuple[IPAddress, ...] = ()
    tried: tuple[PassedOver, ...] = ()


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say of a Service that has an address.

    Args:
        reason: ``SINGLE_FAMILY_ONLY``, ``REQUEST_UNSATISFIABLE`` or ``STRANDED``.
        message: one sentence a cluster admin can act on.
        cause: why the request can't be met, where that is the note.
    """

    reason: Reason
    message: str
    cause: Reason | None = None
