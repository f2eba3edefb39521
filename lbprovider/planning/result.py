"""What a plan says; the fields are the keys of its JSON, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lbprovider.ipam.reasons import Reason

SATISFIED: Final = frozenset({Reason.ASSIGNED, Reason.STRANDED})
"""A Service with one of these has what it asked for: an address that no pool allows any more is kept."""


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """A Service of ours.

    Args:
        namespace: of it.
        name: of it.
        ingress: the addresses that its status shows, in the order of its families.
        pool: of the first of them; None where there is none.
        pools: of each of them.
        reason: one of ``ipam.reasons``, as in its condition.
        message: one sentence.
    """

    namespace: str
    name: str
    ingress: tuple[str, ...]
    pool: str | None
    pools: Mapping[str, str]
    reason: str
    message: str

    @property
    def lacks(self) -> bool:
        """Whether it has less than it asked for."""
        return self.reason not in SATISFIED


@dataclass(frozen=True, slots=True)
class Count:
    """So many addresses of each family; 2**63 − 1 stands for more than an API server can count."""

    ipv4: int = 0
    ipv6: int = 0


@dataclass(frozen=True, slots=True)
class PoolResult:
    """A pool, with nothing in it where it doesn't count (``problems`` says why)."""

    name: str
    total: Count
    assigned: Count
    available: Count


@dataclass(frozen=True, slots=True)
class AnnouncementResult:
    """Who may announce an address.

    Args:
        address: in its short form.
        eligible: the nodes that may, by name.
        excluded: why each other node may not.
        ranking: those that may, best first.
        interfaces: of each that may, the interfaces that L2Advertisements name, or all.
    """

    address: str
    eligible: tuple[str, ...]
    excluded: Mapping[str, str]
    ranking: tuple[str, ...]
    interfaces: Mapping[str, tuple[str, ...] | Literal["all"]]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an admin should look at.

    Args:
        object: as ``IPAddressPool lbprovider-system/lan``.
        reason: CamelCase.
        message: one sentence that says what to do.
    """

    object: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something that would differ from how it is on the live cluster; None where there is no such object.

    Args:
        object: as ``Service default/web``.
        field: ``ingress``, ``reason``, ``total``, ``assigned``, ``available``, ``eligible`` or ``announcer``.
        before: as it is.
        after: as it would be.
    """

    object: str
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Result:
    """The whole answer.

    Args:
        services: those of ours, in the order of the input.
        allocations: manifests of all IPAllocations, IPv4 first, lowest first.
        pools: in the order of the input.
        announcements: of every address in use, IPv4 first, lowest first.
        problems: in the order: pools, advertisements, addresses, and what is not ours.
    """

    services: tuple[ServiceResult, ...]
    allocations: tuple[Mapping[str, Any], ...]
    pools: tuple[PoolResult, ...]
    announcements: tuple[AnnouncementResult, ...]
    problems: tuple[Problem, ...]

    @property
    def lacking(self) -> bool:
        """Whether a Service has less than it asked for."""
        return any(one.lacks for one in self.services)
