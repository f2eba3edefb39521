"""The decision: which addresses a Service gets, keeps and lets go, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lbprovider.api.names import IPAddress
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.reasons import Note, PassedOver, Refused
from lbprovider.ipam.request import Request


class Rule(StrEnum):
    """The rule that chose an address, for ``explain``."""

    KEPT = "Kept"
    REQUESTED = "Requested"
    ADOPTED = "Adopted"
    NAMED_POOL = "NamedPool"
    PINNED_POOL = "PinnedPool"
    GENERAL_POOL = "GeneralPool"


@dataclass(frozen=True, slots=True)
class Grant:
    """One address of a Service.

    Args:
        address: the address.
        pool: that it is accounted to in the IPAllocation; for a stranded address the one it came from.
        rule: why this one.
    """

    address: IPAddress
    pool: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Assigned:
    """The Service has these addresses.

    Write ``sharing.joined`` of each grant first (it equals what is there where nothing changed), then the Service's
    status, then ``sharing.left`` of what is released.

    Args:
        grants: in the order of the Service's families; this is the order of ``status.loadBalancer.ingress``.
        release: addresses that it holds and must let go.
        notes: what is to be said besides; empty where it has what it asked for.
        tried: pools in the order tried, with the reason each was passed over.
    """

    grants: tuple[Grant, ...]
    release: tuple[IPAddress, ...] = ()
    notes: tuple[Note, ...] = ()
    tried: tuple[PassedOver, ...] = ()

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """Of the grants, in order."""
        return tuple(grant.address for grant in self.grants)

    @property
    def new(self) -> tuple[Grant, ...]:
        """Grants that the Service doesn't hold yet."""
        return tuple(grant for grant in self.grants if grant.rule is not Rule.KEPT)


def assign(request: Request, ledger: Ledger) -> Assigned | Refused:
    """Decides; changes nothing. The same request and ledger give the same answer, however the ledger came about.

    What the Service holds comes from the ledger (by uid). A second call with the answer put into the ledger grants the
    same addresses and releases nothing.

    No time is asked for: an address that cools down is given only where no other is free, and is free as soon as the
    caller drops it (``Ledger.lapsed``).
    """
    raise NotImplementedError


def start_order(requests: Iterable[Request], ledger: Ledger) -> list[Request]:
    """The order in which to decide when everything is decided anew, whatever the order of arrival.

    Services that hold an address first, then those whose own status shows one (adoption), then the others; the older
    Service first. DESIGN §2.
    """
    raise NotImplementedError
