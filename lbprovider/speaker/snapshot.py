"""What a speaker keeps on disk, to go on while the API server is down: what it is made of, and how it is written.

A file of JSON lines: a header, one object a line, and a SHA-256 of all lines before; so it is written and read in
small pieces, and a cut or spoiled file is told from a whole one. It holds the heartbeat key: it is secret. DESIGN
section 5, ELECTION.md rule 7, C2, C7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import msgspec

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import EndpointSlice, Lease, Node, NodeStatus, Secret
from lbprovider.api.heartbeat_key import HeartbeatKey, encode
from lbprovider.api.meta import ObjectMeta, Struct
from lbprovider.api.pool import L2Advertisement
from lbprovider.api.registration import ANNOTATION, Registration
from lbprovider.api.segment import Segment
from lbprovider.election.durable import Durable
from lbprovider.election.endpoints import Endpoints, as_slice
from lbprovider.errors import HostError

FORMAT: Final = 2
MAX_BYTES: Final = 64 << 20
"""More than a hundred thousand addresses need."""


class Kept(Struct, frozen=True):
    """A Segment, and how long (ns) whoever starts from it must be silent before it votes."""

    segment: Segment
    silence: int

    @property
    def durable(self) -> Durable:
        """What it lets a member say."""
        return Durable(self.segment.metadata.uid, self.segment.spec.version, self.silence)


class Backed(Struct, frozen=True):
    """The nodes of one family's endpoints of a Service with an address; see ``election.endpoints.Endpoints``."""

    namespace: str
    name: str
    family: str
    ready: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()


class Speaker(Struct, frozen=True):
    """What a node's speaker registers."""

    node: str
    registration: Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a restart needs.

    ``cluster`` is the uid of the namespace kube-system, ``node`` this node's name, ``incarnation`` the last that it
    used. Nodes carry what placement looks at, and nothing else.
    """

    cluster: str
    node: str
    incarnation: int
    segments: tuple[Kept, ...] = ()
    keys: tuple[HeartbeatKey, ...] = field(default=(), repr=False)
    nodes: tuple[Node, ...] = ()
    speakers: tuple[Speaker, ...] = ()
    advertisements: tuple[L2Advertisement, ...] = ()
    allocations: tuple[IPAllocation, ...] = ()
    backed: tuple[Backed, ...] = ()

    def secret(self) -> Secret:
        """The keys as the API server would have them."""
        return Secret(data=encode(self.keys))

    def leases(self) -> tuple[Lease, ...]:
        """The speakers as the API server would have them."""
        return tuple(
            Lease(metadata=ObjectMeta(name=one.node, annotations={ANNOTATION: one.registration.encode()}))
            for one in self.speakers
        )

    def slices(self) -> tuple[EndpointSlice, ...]:
        """EndpointSlices that come to the same as those that the API server has; one a Service and family."""
        return tuple(
            as_slice(
                ObjectMeta(
                    namespace=one.namespace,
                    name=f"{one.name}-{one.family.lower()}",
                    labels={names.SERVICE_LABEL: one.name},
                ),
                one.family,
                Endpoints(frozenset(one.ready), frozenset(one.leaving)),
            )
            for one in self.backed
        )


class _Header(Struct, frozen=True):
    format: int
    cluster: str
    node: str
    incarnation: int


class _Key(Struct, frozen=True):
    id: int
    secret: bytes


_END: Final = "End"
_TYPES: Final[dict[str, Any]] = {
    "segments": msgspec.json.Decoder(Kept),
    "keys": msgspec.json.Decoder(_Key),
    "nodes": msgspec.json.Decoder(Node),
    "speakers": msgspec.json.Decoder(Speaker),
    "advertisements": msgspec.json.Decoder(L2Advertisement),
    "allocations": msgspec.json.Decoder(IPAllocation),
    "backed": msgspec.json.Decoder(Backed),
}
_line: Final = msgspec.json.Decoder(tuple[str, msgspec.Raw])
_header: Final = msgspec.json.Decoder(_Header)
_end: Final = msgspec.json.Decoder(tuple[str, str])
_encoder: Final = msgspec.json.Encoder()


def write(snapshot: Snapshot) -> Iterator[bytes]:
    """The file, line by line."""
    digest = hashlib.sha256()
    for line in _lines(snapshot):
        digest.update(line)
        yield line
    yield _encoder.encode((_END, digest.hexdigest())) + b"\n"


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    header = _Header(
        format=FORMAT, cluster=snapshot.cluster, node=snapshot.node, incarnation=snapshot.incarnation
    )  # fmt: skip
    yield _encoder.encode(header) + b"\n"
    parts: Iterable[tuple[str, Iterable[object]]] = (
        ("segments", snapshot.segments),
        ("keys", (_Key(id=key.id, secret=key.secret) for key in snapshot.keys)),
        ("nodes", map(_slim, snapshot.nodes)),
        ("speakers", map(_reachable, snapshot.speakers)),
        ("advertisements", snapshot.advertisements),
        ("allocations", snapshot.allocations),
        ("backed", snapshot.backed),
    )
    for kind, objects in parts:
        for one in objects:
            yield _encoder.encode((kind, one)) + b"\n"


def _slim(node: Node) -> Node:
    """What placement looks at: the annotations of a Node may be hundreds of times as long."""
    conditions = tuple(one for one in node.status.conditions if one.type in {"Ready", "NetworkUnavailable"})
    drain = {key: "" for key in node.metadata.annotations if key == names.DRAIN_ANNOTATION}
    metadata = ObjectMeta(name=node.metadata.name, labels=node.metadata.labels, annotations=drain)
    return Node(metadata=metadata, spec=node.spec, status=NodeStatus(conditions=conditions))


def _reachable(speaker: Speaker) -> Speaker:
    """Where it is; not whom it heard, which is long and soon untrue."""
    attachments = tuple(
        msgspec.structs.replace(one, hears=(), version=0, lists=()) for one in speaker.registration.attachments
    )
    return Speaker(
        node=speaker.node, registration=msgspec.structs.replace(speaker.registration, attachments=attachments)
    )


def read(file: BinaryIO) -> Snapshot:
    """What ``write`` wrote, from a file that can be read twice: nothing of a spoiled one is looked at.

    Raises:
        HostError: it is something else; says what.
    """
    digest, last = hashlib.sha256(), b""
    for line in file:
        digest.update(last)
        last = line
    try:
        kind, expected = _end.decode(last)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        kind, expected = "", ""
    if kind != _END or expected != digest.hexdigest():
        raise HostError("is cut off or spoiled")
    file.seek(0)
    try:
        return _read(file)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise HostError(f"can't be understood: {error}") from error


def _read(file: BinaryIO) -> Snapshot:
    header = _header.decode(file.readline())
    if header.format != FORMAT:
        raise HostError(f"has format {header.format}, and this version reads {FORMAT}")
    found: dict[str, list[Any]] = {kind: [] for kind in _TYPES}
    for line in file:
        kind, raw = _line.decode(line)
        if kind != _END:
            found[kind].append(_TYPES[kind].decode(raw))
    keys = tuple(HeartbeatKey(key.id, key.secret) for key in found.pop("keys"))
    return Snapshot(
        cluster=header.cluster, node=header.node, incarnation=header.incarnation, keys=keys,
        **{kind: tuple(objects) for kind, objects in found.items()},
    )  # fmt: skip
