"""What to write to one peer: heads, echo, changes and lists, cut so that each datagram fits. ELECTION.md rule 4, C4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lbprovider.election.claims import Claims
from lbprovider.wire.heartbeat import (
    MAX_CHANGES,
    Change,
    Delta,
    Echo,
    Full,
    Heartbeat,
    MemberLists,
    change_size,
    room,
    version_size,
)

_MAX_VERSIONS = 255
"""In one datagram: their number is one byte."""


def write(
    head: Heartbeat,
    echo: Echo | None,
    claims: Claims,
    after: int | None,
    lists: Sequence[MemberLists] = (),
    *,
    to: bytes,
    numbers: Iterator[int],
) -> Iterator[Heartbeat]:
    """The datagrams for one peer, at least one; the echo is in the first.

    Args:
        head: what the datagrams for all peers share.
        echo: what I hold of the peer.
        claims: mine.
        after: the version of them that the peer needs no more; None = say nothing of them.
        lists: the Segment's, for a peer that is behind.
        to: what stands for the peer (``addressee``).
        numbers: gives each datagram its ``number``.
    """
    changes = [] if after is None else _changes(claims, after, room(head.node, echo), room(head.node, None))
    yield replace(head, to=to, number=next(numbers), echo=echo, changes=changes[0] if changes else None)
    for change in changes[1:]:
        yield replace(head, to=to, number=next(numbers), changes=change)
    for part in lists:
        yield replace(head, to=to, number=next(numbers), lists=part)


def _changes(claims: Claims, after: int, first_room: int, later_room: int) -> list[Delta | Full | None]:
    versions = claims.after(after)
    if versions is None:
        # The full state leaves the first datagram to the echo: parts of one size are the same for every peer.
        return [None, *_full([claim.change() for claim in claims.values()], later_room)]
    pieces: list[Delta | Full | None] = []
    left, count = first_room, 0
    piece: list[tuple[Change, ...]] = []
    number = after + 1
    for version in versions:
        size = version_size(version)
        if size > left or count + len(version) > MAX_CHANGES or len(piece) == _MAX_VERSIONS:
            pieces.append(Delta(number, tuple(piece)) if piece else None)
            number += len(piece)
            piece, left, count = [], later_room, 0
        piece.append(version)
        left -= size
        count += len(version)
    if piece:
        pieces.append(Delta(number, tuple(piece)))
    return pieces


def _full(claims: Sequence[Change], size: int) -> list[Full]:
    pieces: list[list[Change]] = [[]]
    left, named = size, set[str]()
    for claim in claims:
        if change_size(claim, named) > left or len(pieces[-1]) == MAX_CHANGES:
            pieces.append([])
            left, named = size, set()
        left -= change_size(claim, named)
        named.add(claim.successor)
        pieces[-1].append(claim)
    return [Full(part, len(pieces), tuple(piece)) for part, piece in enumerate(pieces)]
