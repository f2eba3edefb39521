"""Who may be on one address together, and what its IPAllocation says when a Service joins or leaves."""

from __future__ import annotations

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.names import IPAddress
from lbprovider.ipam.request import Request


def joined(spec: IPAllocationSpec | None, request: Request, address: IPAddress, pool: str) -> IPAllocationSpec:
    """The IPAllocation of an address as it is with this Service on it: new, extended, or brought up to date.

    Equals ``spec`` where nothing is to be written. ``segment`` and ``nodes`` stay as they are.

    Args:
        spec: as it is, None where there is none.
        request: of a Service that was granted the address.
        address: granted by ``assign``.
        pool: as granted.
    """
    raise NotImplementedError


def left(spec: IPAllocationSpec, uid: str, released_at: str = "") -> IPAllocationSpec | None:
    """The IPAllocation of an address without this Service; None where nobody is left, and it is to be deleted.

    Args:
        spec: as it is.
        uid: of the Service that leaves.
        released_at: RFC 3339 where the address is to cool down (its pool's ``reuse_after`` is not 0), else empty.
    """
    raise NotImplementedError
