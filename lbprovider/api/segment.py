"""Segment: one LAN, and who votes on it. ELECTION.md rules 1 and 15–18; every change is one compare-and-swap."""

from __future__ import annotations

from lbprovider.api.meta import Condition, Object, Struct


class MemberList(Struct, frozen=True):
    """Members (node names, sorted) and how many of them make a quorum of this list.

    ``heartbeat_period`` (ms, None = 50) is what the list was made with: a new wish in ``spec`` comes as a new list.
    ``last_resort``: fewer than half of the members were left, and these serve all the same (rule 19).
    """

    members: tuple[str, ...]
    need: int
    heartbeat_period: int | None = None
    last_resort: bool = False


class SegmentSpec(Struct, frozen=True):
    """``spec`` of a Segment.

    Identity (``subnets``, or ``interface`` where the LAN has none) never changes. ``version`` grows by one with each
    change of ``lists``; a quorum needs every list, the last list is in force. ``heartbeat_period`` is the admin's wish
    in milliseconds, None = 50 (longer above 26 members); the controller follows it with a new list.
    """

    subnets: tuple[str, ...] = ()
    interface: str = ""
    heartbeat_period: int | None = None
    version: int = 0
    lists: tuple[MemberList, ...] = ()


class SegmentStatus(Struct, frozen=True):
    """``status`` of a Segment; written by the controller. ``live``: members heard by a majority of the members."""

    live: int = 0
    members: int = 0
    conditions: tuple[Condition, ...] = ()


class Segment(Object, frozen=True):
    """One LAN."""

    spec: SegmentSpec = SegmentSpec()
    status: SegmentStatus = SegmentStatus()
