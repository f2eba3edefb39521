from __future__ import annotations

import random
import struct
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbprovider.errors import WireError
from lbprovider.wire.heartbeat import (
    MAX_CHANGES,
    MAX_DATAGRAM,
    MAX_PAYLOAD,
    MAX_REFUSED,
    SEAL,
    Change,
    Delta,
    Echo,
    Full,
    Heartbeat,
    MemberLists,
    decode,
    encode,
    room,
    scope,
    version_size,
)
from lbprovider.wire.seal import seal, signing, unseal

MS = 1_000_000
NAMES = st.sampled_from(["a", "node-1", "ip-10-0-0-12.eu-west-1.compute.internal", "n" * 253, "0.b"])
ADDRESSES = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
HOLDS = st.integers(1, 2**16 - 1).map(lambda ms: ms * MS)


def claims(newest: int) -> st.SearchStrategy[Change]:
    since, owned = st.integers(1, newest), st.booleans()
    kept = st.builds(Change, ADDRESSES, since, st.just(""), owned)
    return kept | st.builds(Change, ADDRESSES, since, st.sampled_from(["a", "node-1"]), owned, moved=st.booleans())


@st.composite
def deltas(draw: st.DrawFn, ver: int) -> Delta:
    first = draw(st.integers(1, ver))
    count = draw(st.integers(1, min(4, ver - first + 1)))
    gone = st.builds(Change, ADDRESSES, st.just(0))
    return Delta(
        first,
        tuple(tuple(draw(st.lists(gone | claims(first + i), max_size=8))) for i in range(count)),
    )


def fulls(ver: int) -> st.SearchStrategy[Full]:
    parts = st.integers(0, 1023).flatmap(lambda part: st.tuples(st.just(part), st.integers(part + 1, 1024)))
    return st.builds(lambda at, items: Full(at[0], at[1], tuple(items)), parts, st.lists(claims(ver), max_size=30))


ECHOES = st.builds(Echo, U64, U64, HOLDS, U64, st.none() | st.binary(max_size=60))
LISTS = st.integers(1, 8).flatmap(
    lambda count: st.builds(
        lambda lists, members: MemberLists(0, 3, tuple(lists), tuple(members)),
        st.lists(st.tuples(U16, U16, st.booleans()), min_size=count, max_size=count),
        st.lists(st.tuples(st.sampled_from(["a", "node-1", "z9"]), st.integers(0, 2**count - 1)), max_size=20),
    )
)


@st.composite
def heartbeats(draw: st.DrawFn) -> Heartbeat:
    ver = draw(st.integers(1, 2**64 - 1))
    scopes = st.text(max_size=40).map(scope)
    return Heartbeat(
        cluster=draw(scopes), segment=draw(scopes), node=draw(NAMES), to=draw(scopes), incarnation=draw(U64),
        sent=draw(U64), number=draw(U16), hold=draw(HOLDS), version=draw(U32), settled=draw(U32), ver=ver,
        candidate=draw(st.booleans()), returning=draw(st.booleans()), urgent=draw(st.booleans()),
        changes=draw(st.none() | deltas(ver) | fulls(ver)),
        echo=draw(st.none() | ECHOES), lists=draw(st.none() | LISTS),
    )  # fmt: skip


def beat(**fields: object) -> Heartbeat:
    base: dict[str, object] = {
        "cluster": scope("c"), "segment": scope("s"), "node": "node-1", "incarnation": 1, "sent": 2, "number": 0,
        "hold": 250 * MS, "version": 1, "settled": 1, "ver": 9, "candidate": True,
    }  # fmt: skip
    return Heartbeat(**(base | fields))  # type: ignore[arg-type]


@given(heartbeats())
def test_what_is_encoded_is_decoded(one: Heartbeat) -> None:
    assert decode(encode(one)) == one


def test_an_idle_datagram_is_small_and_knows_nothing_of_the_number_of_addresses() -> None:
    idle = encode(beat(echo=Echo(1, 2, 250 * MS, 9)))
    assert len(idle) == 90 + len("node-1")


@pytest.mark.parametrize(("address", "size"), [(b"\xc0\0\2\1", 14), (b"\xfd" * 16, 26)])
def test_a_change_is_a_few_bytes(address: bytes, size: int) -> None:
    one = encode(beat(changes=Delta(1, ((Change(address, 1),),))))
    two = encode(beat(changes=Delta(1, ((Change(address, 1), Change(address[::-1], 1)),))))
    assert len(two) - len(one) == size


def test_a_successor_is_named_once() -> None:
    name = "n" * 253
    changes = tuple(Change(bytes((192, 0, 2, i)), 1, name) for i in range(MAX_CHANGES))
    payload = encode(beat(changes=Delta(1, (changes,))))
    assert payload.count(name.encode()) == 1
    assert len(payload) - len(encode(beat())) <= 8 + 1 + 1 + version_size(changes)


@given(NAMES, st.none() | ECHOES, st.lists(claims(9), min_size=120, max_size=120))
@settings(max_examples=50)
def test_room_is_what_is_left(node: str, echo: Echo | None, many: list[Change]) -> None:
    fitting = [many[:count] for count in range(MAX_CHANGES) if version_size(many[:count]) <= room(node, echo)]
    version = tuple(fitting[-1])
    for changes in (Delta(9, (version,)), Full(0, 1, version)):
        assert len(encode(beat(node=node, echo=echo, changes=changes))) <= MAX_PAYLOAD


def test_the_largest_refusal_leaves_room_beside_the_longest_name() -> None:
    echo = Echo(1, 2, 250 * MS, 9, b"\xff" * MAX_REFUSED)
    assert room("n" * 253, echo) >= 0
    assert len(encode(beat(node="n" * 253, echo=echo))) <= MAX_PAYLOAD


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"incarnation": 2**64}, "OutOfRange"),
        ({"sent": -1}, "OutOfRange"),
        ({"hold": 2**16 * MS}, "OutOfRange"),
        ({"changes": Full(0, 1, tuple(Change(b"\xfd" * 16, 1) for _ in range(60)))}, "TooLong"),
    ],
)
def test_what_does_not_fit_is_never_sent(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        encode(beat(**fields))


FLAGS_AT = 8 + 8 + 8 + 8 + 8 + 2 + 2 + 4 + 4 + 8
HEAD = FLAGS_AT + 1


def patched(payload: bytes, at: int, new: bytes) -> bytes:
    return payload[:at] + new + payload[at + len(new) :]


IDLE = encode(beat())
NAMED = HEAD + 1 + len("node-1")
DELTA = encode(beat(ver=9, changes=Delta(9, ((Change(b"\xc0\0\2\1", 9, "node-2"),),))))
FULL = encode(beat(ver=9, changes=Full(0, 1, (Change(b"\xc0\0\2\1", 9),))))
LIST = encode(beat(lists=MemberLists(0, 1, ((2, 50, False),), (("node-1", 1),))))
ECHO = encode(beat(echo=Echo(1, 2, 250 * MS, 9, b"\1")))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "Truncated"),
        (IDLE[:-1], "Truncated"),
        (IDLE + b"\0", "TrailingBytes"),
        (bytes(MAX_PAYLOAD + 1), "TooLong"),
        (patched(IDLE, FLAGS_AT, b"\x80"), "BadFlags"),
        (patched(DELTA, FLAGS_AT, b"\x0c"), "BadFlags"),
        (patched(IDLE, 42, b"\0\0"), "BadHold"),
        (patched(IDLE, HEAD + 1, b"N"), "BadName"),
        (patched(IDLE, HEAD + 1, b"-"), "BadName"),
        (patched(IDLE, HEAD + 1, b"\xff"), "BadName"),
        (IDLE[:HEAD] + b"\0", "BadName"),
        (patched(DELTA, NAMED, struct.pack("!Q", 10)), "BadVersions"),
        (patched(DELTA, NAMED, struct.pack("!Q", 2**64 - 1)), "BadVersions"),
        (patched(DELTA, len(DELTA) - 1, b"\2"), "BadChange"),  # no such name
        (patched(DELTA, len(DELTA) - 9, struct.pack("!Q", 10)), "BadChange"),  # since after the version
        (patched(DELTA, len(DELTA) - 9, struct.pack("!Q", 0)), "BadChange"),
        (patched(DELTA, len(DELTA) - 14, b"\x10"), "BadChange"),
        (patched(FULL, len(FULL) - 14, b"\2"), "BadChange"),  # gone, in a full state
        (patched(FULL, NAMED, struct.pack("!HH", 1, 1)), "BadParts"),
        (patched(FULL, NAMED, struct.pack("!HH", 0, 2000)), "BadParts"),
        (patched(FULL, NAMED + 5, b"\x40"), "TooManyChanges"),
        (patched(LIST, NAMED + 4, b"\0"), "BadLists"),
        (patched(LIST, NAMED + 4, b"\x09"), "BadLists"),
        (patched(LIST, NAMED + 9, b"\2"), "BadLists"),
        (patched(LIST, NAMED + 12, b"\2"), "BadLists"),  # a member of a second list, of one
        (patched(ECHO, NAMED + 16, b"\0\0"), "BadHold"),
        (patched(ECHO, len(ECHO) - 3, struct.pack("!H", MAX_REFUSED + 1)), "TooManyRefused"),
    ],
)
def test_what_no_speaker_writes_is_refused_with_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(payload)
    assert caught.value.reason == reason


@given(st.binary(max_size=MAX_DATAGRAM))
def test_random_bytes_are_refused_or_mean_something(payload: bytes) -> None:
    survives(payload)


@given(heartbeats(), st.data())
@settings(max_examples=300)
def test_mutated_datagrams_are_refused_or_mean_something(one: Heartbeat, data: st.DataObject) -> None:
    payload = bytearray(encode(one))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(payload))
    survives(bytes(payload[: data.draw(st.integers(0, len(payload)))]))


def survives(payload: bytes) -> None:
    """Decodes to something that encodes again, or raises WireError; anything else would fail the test."""
    try:
        one = decode(payload)
    except WireError as error:
        one, reason = None, error.reason
    else:
        reason = ""
    assert reason[:1].isupper() if one is None else decode(encode(one)) == one


@dataclass(frozen=True)
class Key:
    id: int
    secret: bytes


OLD, NEW, FOREIGN = Key(1, b"o" * 32), Key(2, b"n" * 32), Key(2, b"f" * 32)


@given(st.binary(min_size=1, max_size=MAX_PAYLOAD))
def test_a_sealed_payload_comes_out_as_it_went_in(payload: bytes) -> None:
    opened = unseal(seal(payload, OLD, NEW.id), (NEW, OLD))
    assert (opened.payload, opened.holds) == (payload, NEW.id)


def test_the_seal_takes_what_the_room_counts_with() -> None:
    assert len(seal(b"x", OLD, OLD.id)) == 1 + SEAL


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "Truncated"),
        (seal(b"", NEW, 2), "Truncated"),
        (bytes(MAX_DATAGRAM + 1), "TooLong"),
        (b"\2" + seal(b"payload", NEW, 2)[1:], "OtherProtocol"),
        (seal(b"payload", OLD, 1), "UnknownKey"),
        (seal(b"payload", FOREIGN, 2), "BadSeal"),
    ],
)
def test_who_can_not_sign_is_not_heard(datagram: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        unseal(datagram, (NEW,))
    assert caught.value.reason == reason


@given(st.integers(0, 10_000))
@example(8)
def test_each_bit_is_under_the_seal(at: int) -> None:
    datagram = bytearray(seal(IDLE, NEW, NEW.id))
    at %= len(datagram) * 8
    datagram[at // 8] ^= 1 << at % 8
    with pytest.raises(WireError, match=r"BadSeal|UnknownKey|OtherProtocol"):
        unseal(bytes(datagram), (NEW, OLD))


def test_the_new_key_signs_once_every_live_peer_has_it() -> None:
    assert signing((NEW, OLD), [NEW.id, OLD.id]) == OLD
    assert signing((NEW, OLD), [NEW.id, NEW.id]) == NEW
    assert signing((NEW, OLD), []) == NEW
    assert signing((NEW,), [OLD.id]) == NEW


def test_a_hundred_thousand_bytes_of_noise_open_nothing() -> None:
    chance = random.Random(7)  # noqa: S311
    for _ in range(2000):
        with pytest.raises(WireError):
            unseal(chance.randbytes(chance.randrange(200)), (NEW, OLD))
