"""The datagram between speakers, as a value and as bytes; ``seal`` signs it. ELECTION.md rule 4, C1, C4.

Layout, big endian: ``_HEAD``, the sender's name, then what the flags name: echo, lists, changes. Idle, that is 90 bytes
and the name, however many addresses there are. Names that changes refer to stand once, in a table before them.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from lbprovider.errors import WireError

MAX_DATAGRAM: Final = 1400
"""Bytes of a sealed datagram: below any Ethernet MTU in use with room for tunnels, so that IP never fragments."""
SEAL: Final = 19
"""Bytes that the seal takes of it."""
MAX_PAYLOAD: Final = MAX_DATAGRAM - SEAL
MAX_CHANGES: Final = 50
"""Changes in one datagram, and so in one version (C4)."""
MAX_LISTS: Final = 8
MAX_REFUSED: Final = 1024
"""Bytes of a refusal bitmap: 8,192 addresses of one owner on one Segment. Beyond, a refusal says "all"."""

MAX_PARTS: Final = 1024
"""Of one full state, or of the lists of one Segment."""

_MS: Final = 1_000_000
_HEAD: Final = struct.Struct("!8s8s8sQQHHIIQB")
_ECHO: Final = struct.Struct("!QQHQH")
_PARTS: Final = struct.Struct("!HH")
_LIST: Final = struct.Struct("!HHB")
_U8: Final = struct.Struct("!B")
_U16: Final = struct.Struct("!H")
_U64: Final = struct.Struct("!Q")
_CANDIDATE, _ECHOES, _DELTA, _FULL, _LISTS, _RETURNING, _URGENT = 1, 2, 4, 8, 16, 32, 64
_IPV6, _GONE, _OWNED, _MOVED = 1, 2, 4, 8
_IPV4_BYTES, _IPV6_BYTES = 4, 16
_ALL_REFUSED: Final = 0xFFFF
_NAME: Final = re.compile(rb"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""A node's name is a DNS subdomain (RFC 1123)."""


NOBODY: Final = bytes(8)
"""``to`` of what is not addressed yet."""


@dataclass(frozen=True, slots=True)
class Change:
    """One address, as its claimant's version has it.

    Args:
        address: packed, 4 or 16 bytes.
        since: the claimant's version in which this claim began; 0 = the claim is gone.
        successor: the node that is named to take over, empty if none is.
        owned: whether the claimant has had a quorum for it.
        moved: the successor was chosen for its own sake: whatever else becomes of the claimant, it doesn't ask for the
            address back.
    """

    address: bytes
    since: int
    successor: str = ""
    owned: bool = False
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """Versions without a gap: ``versions[i]`` leads from version ``first + i - 1`` to ``first + i``."""

    first: int
    versions: tuple[tuple[Change, ...], ...]


@dataclass(frozen=True, slots=True)
class Full:
    """Part ``part`` (from 0) of ``parts`` of all claims as the Heartbeat's ``ver`` has them."""

    part: int
    parts: int
    claims: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class MemberLists:
    """Part ``part`` (from 0) of ``parts`` of the lists of the Heartbeat's Segment version.

    Args:
        part: which part.
        parts: of how many.
        lists: per list the votes it needs, its heartbeat period in milliseconds, and whether rule 19 wrote it.
        members: this part's nodes, each with a bit mask of the lists that it is in (bit 0 = first list).
    """

    part: int
    parts: int
    lists: tuple[tuple[int, int, bool], ...]
    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Echo:
    """What the sender holds of its receiver, and so what it promises.

    Args:
        incarnation: the receiver's, as the sender knows it.
        sent: the receiver's newest ``sent`` that was heard, in the receiver's nanoseconds.
        hold: what the receiver named in that datagram, nanoseconds.
        kv: the newest version of the receiver's claims that the sender knows without a gap.
        refused: a bit for each claim of that version in the order of the addresses' bytes, lowest bit of the first
            byte first, zero bytes at the end left out: 1 = not granted. None = all of them.
    """

    incarnation: int
    sent: int
    hold: int
    kv: int
    refused: bytes | None = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One datagram.

    Args:
        cluster: ``scope`` of the uid of the namespace kube-system.
        segment: ``scope`` of the Segment's uid.
        node: the sender.
        to: ``scope`` of the receiver's name: an echo is a promise to one node, and means nothing to another one that
            somebody shows it to.
        incarnation: of the sender, grows at each of its starts.
        sent: taken before the first send, nanoseconds of the sender's CLOCK_BOOTTIME.
        number: orders datagrams of one ``sent``.
        hold: how long the receiver is asked to promise, nanoseconds, whole milliseconds.
        version: the Segment's version that the sender is in.
        settled: the newest version that it has been in long enough (rule 15).
        ver: the sender's newest version of its claims.
        candidate: whether it may take new addresses.
        urgent: it owns addresses, so the receiver should echo at once and not with its next round.
        returning: it hands its addresses on to start anew, and means to be back within a minute.
        changes: news of its claims, None if none.
        echo: None where the sender has never heard the receiver.
        lists: what ``version`` holds, for a receiver that is behind.
    """

    cluster: bytes
    segment: bytes
    node: str
    to: bytes = NOBODY
    incarnation: int
    sent: int
    number: int
    hold: int
    version: int
    settled: int
    ver: int
    candidate: bool
    urgent: bool = False
    returning: bool = False
    changes: Delta | Full | None = None
    echo: Echo | None = None
    lists: MemberLists | None = None


def scope(uid: str) -> bytes:
    """Eight bytes that stand for a uid in datagrams."""
    return hashlib.blake2b(uid.encode(), digest_size=8, person=b"lbprovider").digest()


@lru_cache(maxsize=1024)
def addressee(node: str) -> bytes:
    """What ``to`` says for a node."""
    return scope(node)


def change_size(change: Change, named: Collection[str]) -> int:
    """How many bytes a change adds to a datagram whose table of names holds ``named`` already."""
    size = _U8.size + len(change.address) + (_U8.size + _U64.size if change.since else 0)
    new_name = change.successor and change.successor not in named
    return size + (_U8.size + len(change.successor) if new_name else 0)


def version_size(changes: Iterable[Change]) -> int:
    """How many bytes a version takes at most, the names that it refers to included."""
    size = _U8.size
    named: set[str] = set()
    for change in changes:
        size += change_size(change, named)
        named.add(change.successor)
    return size


def room(node: str, echo: Echo | None) -> int:
    """How many bytes a datagram of ``node`` with this echo leaves for versions, or for a part of a full state."""
    head = _HEAD.size + _U8.size + len(node)
    echoed = 0 if echo is None else _ECHO.size + len(echo.refused or b"")
    return MAX_PAYLOAD - head - echoed - _U64.size - 2 * _U8.size


def encode(beat: Heartbeat) -> bytes:
    """The payload, not yet sealed.

    Raises:
        WireError: the values don't fit the layout or ``MAX_DATAGRAM``; our own bug, never a peer's.
    """
    flags = (_CANDIDATE if beat.candidate else 0) | (_RETURNING if beat.returning else 0)
    flags |= _URGENT if beat.urgent else 0
    flags |= _ECHOES if beat.echo is not None else 0
    body = [_name(beat.node)]
    try:
        if beat.echo is not None:
            body.append(_encode_echo(beat.echo))
        if beat.lists is not None:
            flags |= _LISTS
            body.append(_encode_lists(beat.lists))
        match beat.changes:
            case Delta(first, versions):
                flags |= _DELTA
                names = _names(change for version in versions for change in version)
                body += [_U64.pack(first), _encode_table(names), _U8.pack(len(versions))]
                for version in versions:
                    body += [_U8.pack(len(version)), *(_encode_change(change, names) for change in version)]
            case Full(part, parts, claims):
                flags |= _FULL
                names = _names(claims)
                body += [_PARTS.pack(part, parts), _encode_table(names), _U8.pack(len(claims))]
                body += [_encode_change(change, names) for change in claims]
        head = _HEAD.pack(
            beat.cluster, beat.segment, beat.to, beat.incarnation, beat.sent, beat.number, beat.hold // _MS,
            beat.version, beat.settled, beat.ver, flags,
        )  # fmt: skip
    except struct.error as error:
        raise WireError("OutOfRange") from error
    payload = head + b"".join(body)
    if len(payload) > MAX_PAYLOAD:
        raise WireError("TooLong")
    return payload


def decode(payload: bytes) -> Heartbeat:
    """The inverse of ``encode``: what it gives encodes to the same bytes.

    Raises:
        WireError: anything that ``encode`` would not have written.
    """
    if len(payload) > MAX_PAYLOAD:
        raise WireError("TooLong")
    reader = _Reader(payload)
    cluster, segment, to, incarnation, sent, number, hold, version, settled, ver, flags = reader.take(_HEAD)
    if not hold:
        raise WireError("BadHold")
    if flags & ~(_CANDIDATE | _ECHOES | _DELTA | _FULL | _LISTS | _RETURNING | _URGENT) or (
        flags & _DELTA and flags & _FULL
    ):
        raise WireError("BadFlags")
    node = reader.name()
    echo = _decode_echo(reader) if flags & _ECHOES else None
    lists = _decode_lists(reader) if flags & _LISTS else None
    changes: Delta | Full | None = None
    if flags & _DELTA:
        changes = _decode_delta(reader, ver)
    elif flags & _FULL:
        changes = _decode_full(reader, ver)
    if reader.left:
        raise WireError("TrailingBytes")
    return Heartbeat(
        cluster=cluster, segment=segment, node=node, to=to, incarnation=incarnation, sent=sent, number=number,
        hold=hold * _MS, version=version, settled=settled, ver=ver, candidate=bool(flags & _CANDIDATE),
        urgent=bool(flags & _URGENT), returning=bool(flags & _RETURNING), changes=changes, echo=echo, lists=lists,
    )  # fmt: skip


def _encode_echo(echo: Echo) -> bytes:
    refused = echo.refused
    size = _ALL_REFUSED if refused is None else len(refused)
    return _ECHO.pack(echo.incarnation, echo.sent, echo.hold // _MS, echo.kv, size) + (refused or b"")


def _decode_echo(reader: _Reader) -> Echo:
    incarnation, sent, hold, kv, size = reader.take(_ECHO)
    if size != _ALL_REFUSED and size > MAX_REFUSED:
        raise WireError("TooManyRefused")
    if not hold:
        raise WireError("BadHold")
    refused = None if size == _ALL_REFUSED else reader.bytes(size)
    return Echo(incarnation, sent, hold * _MS, kv, refused)


def _encode_lists(lists: MemberLists) -> bytes:
    return b"".join((
        _PARTS.pack(lists.part, lists.parts),
        _U8.pack(len(lists.lists)),
        *(_LIST.pack(need, period, last_resort) for need, period, last_resort in lists.lists),
        _U16.pack(len(lists.members)),
        *(_U8.pack(mask) + _name(node) for node, mask in lists.members),
    ))  # fmt: skip


def _decode_lists(reader: _Reader) -> MemberLists:
    part, parts = _decode_parts(reader)
    count = reader.one(_U8)
    if not 1 <= count <= MAX_LISTS:
        raise WireError("BadLists")
    lists = tuple(_decode_list(reader) for _ in range(count))
    members = tuple((reader.one(_U8), reader.name()) for _ in range(reader.one(_U16)))
    if any(mask >> count for mask, _ in members):
        raise WireError("BadLists")
    return MemberLists(part, parts, lists, tuple((node, mask) for mask, node in members))


def _decode_list(reader: _Reader) -> tuple[int, int, bool]:
    need, period, flags = reader.take(_LIST)
    if flags > 1:
        raise WireError("BadLists")
    return need, period, bool(flags)


def _decode_parts(reader: _Reader) -> tuple[int, int]:
    part, parts = reader.take(_PARTS)
    if not part < parts <= MAX_PARTS:
        raise WireError("BadParts")
    return part, parts


def _decode_delta(reader: _Reader, ver: int) -> Delta:
    first = reader.one(_U64)
    names = _decode_table(reader)
    versions = tuple(_decode_changes(reader, names, newest=first + i) for i in range(reader.one(_U8)))
    if not versions or not first or first + len(versions) - 1 > ver:
        raise WireError("BadVersions")
    if sum(len(version) for version in versions) > MAX_CHANGES:
        raise WireError("TooManyChanges")
    return Delta(first, versions)


def _decode_full(reader: _Reader, ver: int) -> Full:
    part, parts = _decode_parts(reader)
    claims = _decode_changes(reader, _decode_table(reader), newest=ver)
    if not all(claim.since for claim in claims):
        raise WireError("BadChange")
    return Full(part, parts, claims)


def _encode_change(change: Change, names: Mapping[str, int]) -> bytes:
    kind = (_IPV6 if len(change.address) == _IPV6_BYTES else 0) | (_OWNED if change.owned else 0)
    if not change.since:
        return _U8.pack(kind | _GONE) + change.address
    successor = names[change.successor] if change.successor else 0
    kind |= _MOVED if change.moved else 0
    return _U8.pack(kind) + change.address + _U64.pack(change.since) + _U8.pack(successor)


def _decode_changes(reader: _Reader, names: Sequence[str], *, newest: int) -> tuple[Change, ...]:
    count = reader.one(_U8)
    if count > MAX_CHANGES:
        raise WireError("TooManyChanges")
    return tuple(_decode_change(reader, names, newest) for _ in range(count))


def _decode_change(reader: _Reader, names: Sequence[str], newest: int) -> Change:
    kind = reader.one(_U8)
    address = reader.bytes(_IPV6_BYTES if kind & _IPV6 else _IPV4_BYTES)
    if kind & ~(_IPV6 | _GONE | _OWNED | _MOVED):
        raise WireError("BadChange")
    if kind & _GONE:
        return Change(address, 0)
    since, successor = reader.one(_U64), reader.one(_U8)
    moved = bool(kind & _MOVED)
    if not 1 <= since <= newest or successor > len(names) or moved > bool(successor):
        raise WireError("BadChange")
    return Change(address, since, names[successor - 1] if successor else "", bool(kind & _OWNED), moved)


def _names(changes: Iterable[Change]) -> dict[str, int]:
    """The successors that the changes name, each with its place in the table, from 1 (0 = none)."""
    names: dict[str, int] = {}
    for change in changes:
        if change.successor:
            names.setdefault(change.successor, len(names) + 1)
    return names


def _encode_table(names: Mapping[str, int]) -> bytes:
    return _U8.pack(len(names)) + b"".join(map(_name, names))


def _decode_table(reader: _Reader) -> tuple[str, ...]:
    return tuple(reader.name() for _ in range(reader.one(_U8)))


def _name(node: str) -> bytes:
    raw = node.encode()
    return _U8.pack(len(raw)) + raw


class _Reader:
    """Takes bytes from the front; every read is checked against the end."""

    __slots__ = ("_data", "_offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._offset

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.bytes(layout.size))

    def one(self, layout: struct.Struct) -> int:
        value: int = self.take(layout)[0]
        return value

    def bytes(self, size: int) -> bytes:
        start, self._offset = self._offset, self._offset + size
        if self._offset > len(self._data):
            raise WireError("Truncated")
        return self._data[start : self._offset]

    def name(self) -> str:
        raw = self.bytes(self.one(_U8))
        if not _NAME.fullmatch(raw):
            raise WireError("BadName")
        return raw.decode("ascii")
