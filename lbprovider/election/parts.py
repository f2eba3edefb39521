"""What doesn't fit one datagram: cut in parts, and put together again. ELECTION.md C4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from lbprovider.election.segment import NS_PER_MS, MemberList, Segment
from lbprovider.wire.heartbeat import MAX_LISTS, MemberLists

T = TypeVar("T")

_LISTS_BYTES: Final = 900
"""Of members in one part, so that head, echo and lists fit beside it."""
_MEMBER_BYTES: Final = 2
"""Of a member, beside its name."""


class Parts(Generic[T]):
    """Collects the parts of one thing; a newer thing takes the place of an incomplete older one."""

    __slots__ = ("_key", "_parts")

    def __init__(self) -> None:
        self._key: tuple[int, int] = (0, 0)
        self._parts: dict[int, tuple[T, ...]] = {}

    def add(self, version: int, part: int, parts: int, items: tuple[T, ...]) -> tuple[T, ...] | None:
        """The whole, once each part of this version was there; None until then."""
        if self._key != (version, parts):
            self._key, self._parts = (version, parts), {}
        self._parts[part] = items
        if len(self._parts) < parts:
            return None
        whole = tuple(item for _, piece in sorted(self._parts.items()) for item in piece)
        self._parts = {}
        return whole


def cut_lists(segment: Segment) -> tuple[MemberLists, ...]:
    """The Segment's lists for the wire; none of a Segment with more lists than a datagram can name."""
    if len(segment.lists) > MAX_LISTS:
        return ()
    members = [
        (node, sum(1 << index for index, one in enumerate(segment.lists) if node in one.members))
        for node in sorted(segment.everyone)
    ]
    pieces: list[list[tuple[str, int]]] = [[]]
    size = 0
    for node, mask in members:
        size += len(node) + _MEMBER_BYTES
        if size > _LISTS_BYTES and pieces[-1]:
            pieces.append([])
            size = len(node) + _MEMBER_BYTES
        pieces[-1].append((node, mask))
    lists = tuple((one.need, one.period // NS_PER_MS, one.last_resort) for one in segment.lists)
    return tuple(MemberLists(part, len(pieces), lists, tuple(piece)) for part, piece in enumerate(pieces))


def joined_lists(lists: Sequence[tuple[int, int, bool]], members: Sequence[tuple[str, int]]) -> tuple[MemberList, ...]:
    """The lists that a whole ``MemberLists`` stands for."""
    return tuple(
        MemberList(
            tuple(sorted(node for node, mask in members if mask >> index & 1)), need, period * NS_PER_MS, last_resort
        )
        for index, (need, period, last_resort) in enumerate(lists)
    )
