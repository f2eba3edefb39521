"""Versions of claims: how peers learn them, and what a refusal of one of them means (C4)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.election.claims import MAX_LOG, Ask, Claims
from lbprovider.election.guards import ALL
from lbprovider.election.letters import write
from lbprovider.election.outcome import WonReason
from lbprovider.election.peers import Peer
from lbprovider.wire.heartbeat import MAX_CHANGES, NOBODY, Change, Delta, Echo, Full, Heartbeat, decode, encode, scope

ADDRESSES = [bytes((10, 0, 0, last)) for last in range(6)] + [bytes((*(0,) * 15, last)) for last in range(3)]
History = dict[int, dict[bytes, Change]]


def head(ver: int, node: str = "a") -> Heartbeat:
    return Heartbeat(
        cluster=scope("c"), segment=scope("s"), node=node, incarnation=1, sent=1, number=0, hold=250_000_000,
        version=1, settled=1, ver=ver, candidate=True,
    )  # fmt: skip


def written(claims: Claims, node: str = "a", echo: Echo | None = None, after: int = 0) -> Iterator[Heartbeat]:
    """To a peer that knows the version ``after``."""
    return write(head(claims.ver, node), echo, claims, after, to=NOBODY, numbers=count())


def change(claims: Claims, address: bytes, what: str) -> None:
    claim = claims.get(address)
    if claim is None:
        claims.ask(Ask(address, WonReason.UNCLAIMED, "", 0), 0)
    elif what == "own":
        claims.own(claim)
    elif what == "name":
        claims.name(claim, "b", 1)
    else:
        claims.drop(claim)


def state(claims: Claims) -> dict[bytes, Change]:
    return {claim.address: claim.change() for claim in claims.values()}


def versions(chance: random.Random, count: int) -> tuple[Claims, History]:
    """Claims that changed at random, and what each version held. Versions closed within a step are told apart too."""
    claims, history = Claims(), {0: dict[bytes, Change]()}
    for _ in range(count):
        for _ in range(chance.randint(1, 4)):
            before, held = claims.ver, state(claims)
            change(claims, chance.choice(ADDRESSES), chance.choice(("own", "name", "drop")))
            if claims.ver != before:
                history[before] = held
        claims.close()
        history[claims.ver] = state(claims)
    return claims, history


@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_whatever_arrives_a_peer_knows_exactly_one_version(chance: random.Random, count: int) -> None:
    claims, history = versions(chance, count)
    if chance.random() < 0.3:
        claims.prune(chance.randint(0, claims.ver))
    peer = Peer("a", 1)
    for arrival in (0.3, 0.6, 1.0):
        letters = list(written(claims, after=peer.kv))
        chance.shuffle(letters)
        for letter in letters:
            if chance.random() < arrival:
                peer.learn(decode(encode(letter)), ALL)
                assert peer.known == history[peer.kv]
    assert peer.kv == claims.ver


@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_a_refusal_names_the_claims_of_its_own_version(chance: random.Random, count: int) -> None:
    claims, history = versions(chance, count)
    for version, held in history.items():
        refused = frozenset(address for address in held if chance.random() < 0.5)
        bits = sum(1 << index for index, address in enumerate(sorted(held)) if address in refused)
        assert claims.refused(version, bits.to_bytes(2, "little")) == refused


def test_a_refusal_that_can_not_be_understood_refuses_all() -> None:
    claims, _ = versions(random.Random(1), 40)  # noqa: S311
    assert claims.refused(claims.ver + 1, b"\1") is None, "a version that does not exist"
    assert claims.refused(claims.ver, b"\xff\xff") is None, "more bits than claims"
    claims.prune(claims.ver - 1)
    assert claims.refused(claims.ver - 2, b"\1") is None, "a version that the log has lost"
    assert claims.refused(claims.ver - 2, b"\0") == frozenset(), "nothing refused needs no log"


def test_a_refusal_counts_with_a_version_that_is_still_being_written() -> None:
    claims = Claims()
    for address in ADDRESSES[:3]:
        change(claims, address, "ask")
    claims.close()
    claim = claims.get(ADDRESSES[0])
    assert claim is not None
    claims.drop(claim)
    assert claims.refused(1, b"\2") == frozenset({ADDRESSES[1]})


def test_an_address_changes_once_a_version() -> None:
    claims = Claims()
    for what in ("ask", "own", "name", "drop", "ask"):
        change(claims, ADDRESSES[0], what)
    claims.close()
    assert claims.ver == 5
    told = claims.after(0)
    assert told is not None
    assert [len(one) for one in told] == [1] * 5
    assert [one[0].since for one in told] == [1, 1, 1, 0, 5]


def ipv4(index: int) -> bytes:
    return bytes((10, 0)) + index.to_bytes(2)


def ipv6(index: int) -> bytes:
    return bytes(14) + index.to_bytes(2)


@pytest.mark.parametrize("address", [ipv4, ipv6])
@pytest.mark.parametrize("name", ["a", "n" * 253])
def test_a_thousand_claims_travel_in_datagrams_that_fit(address: Callable[[int], bytes], name: str) -> None:
    claims = Claims()
    for index in range(1000):
        change(claims, address(index), "ask")
    claims.close()
    for index in range(0, 1000, 3):
        claim = claims.get(address(index))
        assert claim is not None
        claims.name(claim, "s" * 253, 1)
    claims.close()
    echo = Echo(1, 1, 250_000_000, 1, b"\xff" * 125)
    letters = list(written(claims, name, echo))
    assert letters[0].echo == echo
    assert all(isinstance(letter.changes, Delta) for letter in letters[1:])
    assert all(len(encode(letter)) for letter in letters), "encode refuses what is too long"
    claims.prune(claims.ver)
    parts = list(written(claims, name, echo))
    assert parts[0].changes is None
    assert all(isinstance(part.changes, Full) and len(part.changes.claims) <= MAX_CHANGES for part in parts[1:])
    for messages in (letters, parts):
        peer = Peer(name, 1)
        for letter in messages:
            peer.learn(decode(encode(letter)), ALL)
        assert peer.known == state(claims)


def test_what_changes_in_one_step_is_cut_into_versions_that_fit() -> None:
    claims = Claims()
    for index in range(200):
        change(claims, ipv4(index), "ask")
    claims.close()
    told = claims.after(0)
    assert told is not None
    assert len(told) == claims.ver == 4
    assert all(len(version) <= MAX_CHANGES for version in told)


def test_nothing_claimed_is_a_full_state_too() -> None:
    claims = Claims()
    change(claims, ADDRESSES[0], "ask")
    change(claims, ADDRESSES[0], "drop")
    claims.close()
    claims.prune(claims.ver)
    peer = Peer("a", 1)
    for letter in written(claims):
        peer.learn(letter, ALL)
    assert (peer.kv, peer.known) == (claims.ver, {})


def test_the_log_is_bounded() -> None:
    claims = Claims()
    for _ in range(MAX_LOG + 50):
        change(claims, ADDRESSES[0], "drop")
        claims.close()
    assert claims.after(0) is None
    kept = claims.after(claims.ver - MAX_LOG)
    assert kept is not None
    assert len(kept) == MAX_LOG


def test_a_full_state_leaves_nothing_waiting() -> None:
    peer = Peer("a", 1)
    for first in (3, 4, 7):
        peer.learn(replace(head(9), changes=Delta(first, ((Change(ADDRESSES[0], 0),),))), ALL)
    peer.learn(replace(head(6), changes=Full(0, 1, (Change(ADDRESSES[0], 2),))), ALL)
    assert (peer.kv, peer.known) == (7, {})
    assert peer._ahead == {}


def test_what_waits_for_a_missing_version_is_bounded() -> None:
    peer = Peer("a", 1)
    for first in range(2, 5000):
        peer.learn(replace(head(5000), changes=Delta(first, ((Change(ADDRESSES[0], 1),),))), ALL)
    assert peer.kv == 0
    assert len(peer._ahead) <= MAX_LOG
