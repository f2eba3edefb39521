"""Datagrams that nobody should send, sealed with the right key, and the LAN that they are sent to.

Whoever holds the key may speak for any node: a datagram in the name of a peer's present life, or of a later one, that
is newer than that peer's own is the peer's word, and so is news of its claims, an echo beside its newest datagram, or a
newer Segment. Those four are left out; with them a holder of the key may take every address. All else may say what it
likes: former lives, strangers, other clusters and LANs, a node's own name, and whatever was recorded.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lbprovider import telemetry
from lbprovider.errors import WireError
from lbprovider.speaker.lan import Lan
from lbprovider.wire.heartbeat import (
    MAX_CHANGES,
    MAX_DATAGRAM,
    MAX_REFUSED,
    Change,
    Delta,
    Echo,
    Full,
    Heartbeat,
    MemberLists,
    addressee,
    decode,
    encode,
    scope,
)
from lbprovider.wire.seal import seal, unseal
from tests.unit.speaker.test_speaker_lan import KEYS, MS, OTHER, VIP, Ports, World

NODES: Final = ("n1", "n2", "n3")
STRANGERS: Final = tuple(f"stranger-{number}" for number in range(20))
ADDRESSES: Final = (VIP, OTHER, bytes(4), bytes(16), bytes.fromhex("20010db8000000000000000000000005"))
U64: Final = (0, 1, 2, 255, 1 << 31, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)
U32: Final = (0, 1, 2, 7, 1 << 16, (1 << 32) - 1)


@dataclass
class Fuzzed:
    """What was sent, by kind, and what became of it, by the word that is counted."""

    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Fuzzed) -> None:
        self.kinds.update(other.kinds)
        self.outcomes.update(other.outcomes)  # adding would lose what is below nought


def lan_of_three() -> World:
    """n1 owns an address. All are in the first of their lives: what is in incarnation 0 is older."""
    world = World()
    world.join(*NODES)
    assert world.lans["n1"].owned == {VIP}
    return world


def send(seed: int, *, number: int) -> Fuzzed:
    """Sends so many datagrams to nodes whose peers go on renewing, and looks after each few that nothing is lost."""
    chance, world, fuzzed = random.Random(seed), lan_of_three(), Fuzzed()  # noqa: S311  (a test)
    world.log.clear()
    before = _counted()
    sent = honest = 0
    while sent < number:
        lan = world.lans[chance.choice(NODES)]
        batch = [_make(chance, world, lan, fuzzed) for _ in range(chance.randint(1, 16))]
        lan._received(batch)
        sent += len(batch)
        assert world.lans["n1"].owns(VIP), f"seed {seed}: the owner is unseated after {sent} datagrams"
        assert not any(world.lans[other].owns(VIP) for other in NODES[1:]), f"seed {seed}: two owners"
        if chance.random() < 0.1:
            world.advance(MS)
            honest += _delivered(world)
    world.advance(MS)
    honest += _delivered(world)
    for lan in world.lans.values():
        assert set(NODES) - {lan._identity.node} <= set(lan.hears), f"seed {seed}: a peer is heard no more"
    after = _counted()
    fuzzed.outcomes.update({reason: count - before[reason] for reason, count in after.items()})
    fuzzed.outcomes["honest, and not of ours"] -= honest
    return fuzzed


def _delivered(world: World) -> int:
    """How many datagrams the nodes have sent each other since it was asked last."""
    there = {f"192.0.2.{number}" for number in range(1, len(NODES) + 1)}
    count = sum(kind == "datagram" and what[0] in there for kind, _, what in world.log)  # type: ignore[index]
    world.log.clear()
    return count


def _counted() -> Counter[str]:
    found: Counter[str] = Counter()
    for metric in (*telemetry.HEARTBEATS_DROPPED.collect(), *telemetry.HEARTBEATS.collect()):
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                found[sample.labels.get("reason", "counted as heard")] += int(sample.value)
    return found


def _make(chance: random.Random, world: World, lan: Lan, fuzzed: Fuzzed) -> tuple[bytes, str]:
    kind = chance.choices(tuple(_KINDS), tuple(weight for _, weight in _KINDS.values()))[0]
    payload = _KINDS[kind][0](chance, world, lan)
    fuzzed.kinds[kind] += 1
    source = f"192.0.2.{chance.choice((1, 2, 3, 66, 67))}"
    return payload, source


def _recorded(chance: random.Random, world: World, lan: Lan) -> bytes:
    """What one of the peers has just sent to somebody."""
    peer = chance.choice([node for node in NODES if node != lan._identity.node])
    ports = world.lans[peer]._upstairs
    assert isinstance(ports, Ports)
    return chance.choice(ports.payloads[-12:])


def _to(lan: Lan, datagram: bytes) -> Heartbeat:
    """What a datagram says, to this node."""
    return replace(decode(unseal(datagram, KEYS).payload), to=addressee(lan._identity.node))


def _sealed(beat: Heartbeat) -> bytes:
    try:
        return seal(encode(beat), KEYS[0], KEYS[0].id)
    except WireError:  # it doesn't fit a datagram
        return seal(encode(replace(beat, changes=None, lists=None)), KEYS[0], KEYS[0].id)


def _former(chance: random.Random, world: World, lan: Lan) -> bytes:
    """A peer's former life says anything at all."""
    beat = _to(lan, _recorded(chance, world, lan))
    return _sealed(_mutated(chance, replace(beat, incarnation=0), "cluster", "segment", "node", "to", "incarnation"))


def _old(chance: random.Random, world: World, lan: Lan) -> bytes:
    """A peer's present life, as of before: it may say anything but news of its claims or of the Segment."""
    beat = _to(lan, _recorded(chance, world, lan))
    peer = lan.member._peers.get(beat.node)
    sent = min(beat.sent, 0 if peer is None else peer.sent) - chance.randint(1, 1000)
    beat = _mutated(chance, replace(beat, sent=max(0, sent)), "cluster", "segment", "node", "to", "incarnation", "sent")
    return _sealed(_tame(replace(beat, changes=None), lan))


def _stranger(chance: random.Random, world: World, lan: Lan) -> bytes:
    """A node that is no member claims, echoes, names, and asks for whatever it likes."""
    beat = _to(lan, _recorded(chance, world, lan))
    name, incarnation = chance.choice(STRANGERS), chance.choice(U64[:5])
    beat = replace(beat, node=name, incarnation=incarnation, sent=chance.randrange(1 << 40))
    return _sealed(_tame(_mutated(chance, beat, "cluster", "segment", "node", "to"), lan))


def _elsewhere(chance: random.Random, world: World, lan: Lan) -> bytes:
    """Another cluster or another LAN under the same key, or the node itself."""
    beat = _mutated(chance, _to(lan, _recorded(chance, world, lan)), "cluster", "segment", "node", "to")
    which = chance.choice(("cluster", "segment", "node", "to"))
    what: Any = lan._identity.node if which == "node" else scope("other")
    return _sealed(replace(beat, **{which: what}))


def _garbled(chance: random.Random, world: World, lan: Lan) -> bytes:
    """Bytes of the payload changed, cut or added; sealed all the same."""
    payload = bytearray(unseal(_recorded(chance, world, lan), KEYS).payload)
    for _ in range(chance.randint(1, 4)):
        what, at = chance.randrange(3), chance.randrange(len(payload))
        if what == 0:
            payload[at] = chance.randrange(256)
        elif what == 1:
            del payload[at + 1 :]
        else:
            payload[at:at] = chance.randbytes(chance.randint(1, 8))
    payload = payload[: MAX_DATAGRAM - 19]
    try:
        beat = decode(bytes(payload))
    except WireError:
        return seal(bytes(payload), KEYS[0], KEYS[0].id)
    return _sealed(_tame(replace(beat, incarnation=0, to=addressee(lan._identity.node)), lan))


def _replayed(chance: random.Random, world: World, lan: Lan) -> bytes:
    """Recorded on its way to this node or to another one, and sent again."""
    return _recorded(chance, world, lan)


def _wrong_key(chance: random.Random, world: World, lan: Lan) -> bytes:
    return seal(unseal(_recorded(chance, world, lan), KEYS).payload, replace(KEYS[0], secret=chance.randbytes(32)), 1)


def _truncated(chance: random.Random, world: World, lan: Lan) -> bytes:
    datagram = _recorded(chance, world, lan)
    return datagram[: chance.randrange(len(datagram))]


def _oversized(chance: random.Random, world: World, lan: Lan) -> bytes:
    return _recorded(chance, world, lan) + chance.randbytes(chance.choice((1, 100, MAX_DATAGRAM)))


def _random(chance: random.Random, _: World, __: Lan) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 19, 20, 90, 300, MAX_DATAGRAM, 2000)))


_KINDS: Final[dict[str, tuple[Callable[[random.Random, World, Lan], bytes], int]]] = {
    "good seal: a former life": (_former, 16),
    "good seal: an old datagram": (_old, 12),
    "good seal: a stranger": (_stranger, 12),
    "good seal: elsewhere, or our own": (_elsewhere, 8),
    "good seal: garbled": (_garbled, 12),
    "replayed": (_replayed, 12),
    "wrong key": (_wrong_key, 8),
    "truncated": (_truncated, 7),
    "oversized": (_oversized, 6),
    "random": (_random, 7),
}
"""By name: what makes it, and how many of a hundred are so."""


def _tame(beat: Heartbeat, lan: Lan) -> Heartbeat:
    """Without what only the peers themselves may say; see the module's docstring."""
    segment = lan.member.segment
    assert segment is not None
    if beat.version > segment.version:
        beat = replace(beat, version=segment.version)
    peer = lan.member._peers.get(beat.node)
    if beat.node in NODES and peer is not None and beat.incarnation >= peer.incarnation and beat.sent >= peer.sent:
        return replace(beat, incarnation=0)
    return beat


def _mutated(chance: random.Random, beat: Heartbeat, *kept: str) -> Heartbeat:
    """Other values in a few of its fields."""
    for name in chance.sample([name for name in _FIELDS if name not in kept], 3):
        beat = replace(beat, **{name: _FIELDS[name](chance)})
    ver = beat.ver
    if isinstance(beat.changes, Delta) and beat.changes.first + len(beat.changes.versions) - 1 > ver:
        beat = replace(beat, ver=min((1 << 64) - 1, beat.changes.first + len(beat.changes.versions)))
    return beat


def _change(chance: random.Random) -> Change:
    since = chance.choice((0, 1, 1, 2, 3))
    return Change(chance.choice(ADDRESSES), since, chance.choice(("", *NODES)) if since else "", chance.random() < 0.5)


def _changes(chance: random.Random) -> Delta | Full | None:
    some = tuple(_change(chance) for _ in range(chance.choice((0, 1, 2, 8, MAX_CHANGES))))
    match chance.randrange(3):
        case 0:
            return None
        case 1:
            return Delta(chance.choice((1, 1, 2, 3, 9, 1 << 40)), tuple((one,) for one in some[:20]) or ((),))
    return Full(0, chance.choice((1, 1, 2, 1024)), tuple(one for one in some if one.since))


def _echo(chance: random.Random) -> Echo | None:
    refused = chance.choice((None, b"", b"\1", b"\xff", bytes(8), chance.randbytes(30), bytes(MAX_REFUSED)))
    incarnation, sent, kv = (chance.choice(U64) for _ in range(3))
    return chance.choice((None, Echo(incarnation, sent, chance.randint(1, 65535) * MS, kv, refused)))


def _lists(chance: random.Random) -> MemberLists | None:
    some = range(chance.randint(1, 8))
    lists = tuple((chance.choice((0, 1, 2, 65535)), chance.choice((0, 50, 65535)), chance.random() < 0.3) for _ in some)
    members = tuple((name, chance.randrange(1 << len(lists))) for name in chance.sample(NODES + STRANGERS, 4))
    parts = chance.choice((1, 1, 2, 1024))
    return chance.choice((None, MemberLists(chance.randrange(parts), parts, lists, members)))


_FIELDS: Final[dict[str, Callable[[random.Random], Any]]] = {
    "cluster": lambda chance: chance.randbytes(8),
    "segment": lambda chance: chance.randbytes(8),
    "node": lambda chance: chance.choice(NODES + STRANGERS),
    "incarnation": lambda chance: chance.choice(U64),
    "sent": lambda chance: chance.choice(U64),
    "number": lambda chance: chance.randrange(1 << 16),
    "hold": lambda chance: chance.randint(1, 65535) * MS,
    "version": lambda chance: chance.choice(U32),
    "settled": lambda chance: chance.choice(U32),
    "ver": lambda chance: chance.choice(U64),
    "candidate": lambda chance: chance.random() < 0.5,
    "returning": lambda chance: chance.random() < 0.5,
    "changes": _changes,
    "echo": _echo,
    "lists": _lists,
}
