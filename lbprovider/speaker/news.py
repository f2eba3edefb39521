"""What a ``Presence`` has to say: for the Member, and for whoever writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lbprovider.election.outcome import Lost, Won


class ConflictKind(StrEnum):
    """How another host was seen to use an address of ours."""

    PROBE = "Probe"
    """It answered before the first use, or probed for the same address: the address was never announced."""
    FOREIGN = "Foreign"
    """It claims what we announce."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A host that is no member uses an address of ours; said once for each episode."""

    address: bytes
    mac: bytes
    kind: ConflictKind


@dataclass(frozen=True, slots=True)
class ConflictOver:
    """It does no longer."""

    address: bytes


@dataclass(frozen=True, slots=True)
class Contested:
    """Somebody else answers for an address that we serve without a quorum: for ``Member.contested`` (rule 19)."""

    address: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """A neighbour that is no member has answered what we asked at that time: for ``Member.neighbour`` (C9)."""

    asked_at: int


News = Won | Lost | Conflict | ConflictOver | Contested | Answered
"""``Won``: the address is answered from now on, and announced where we don't stand in for another node."""
