"""Rules 9, 15 and 17 at their own edges."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.election.claims import Ask, Claims
from lbprovider.election.evidence import EPSILON, NEVER, Evidence
from lbprovider.election.guards import ALL
from lbprovider.election.outcome import ProposeSwap, WonReason
from lbprovider.election.segment import MemberList, Segment, cleared
from lbprovider.election.settling import STAGGER, Settling
from lbprovider.wire.heartbeat import Echo

MS = 1_000_000
HOLD = 250 * MS
X = bytes((192, 0, 2, 1))
FIVE = Segment("uid", "lan", 3, (MemberList(("a", "b", "c", "d", "e"), 3),))
JOINT = Segment("uid", "lan", 4, (MemberList(("a", "b", "c"), 2), MemberList(("a", "c", "d", "e"), 3)))


def claimed(*addresses: bytes) -> tuple[Claims, Evidence]:
    claims = Claims()
    for address in addresses:
        claims.ask(Ask(address, WonReason.UNCLAIMED, "", 0), 0)
    claims.close()
    return claims, Evidence("a", claims, ALL)


def deadline(claims: Claims, evidence: Evidence, mine: int, segment: Segment = FIVE) -> int:
    claim = claims.get(X)
    assert claim is not None
    evidence.refresh(segment, mine, [claim])
    return claim.until


def test_the_deadline_is_the_need_th_largest_expiry() -> None:
    claims, evidence = claimed(X)
    for voter, sent in (("b", 100), ("c", 300)):
        evidence.store(voter, Echo(1, sent * MS, HOLD, 1), 3, own_version=3, own_hold=HOLD)
    assert deadline(claims, evidence, 1000 * MS) == 100 * MS + HOLD * 98 // 100
    assert deadline(claims, evidence, NEVER) == NEVER, "two are no quorum of five"
    evidence.store("d", Echo(1, 200 * MS, HOLD, 1), 3, own_version=3, own_hold=HOLD)
    assert deadline(claims, evidence, 1000 * MS) == 200 * MS + HOLD * 98 // 100


def test_every_list_has_its_own_need() -> None:
    claims, evidence = claimed(X)
    for voter, sent in (("b", 500), ("c", 400), ("d", 300), ("e", 200)):
        evidence.store(voter, Echo(1, sent * MS, HOLD, 1), 3, own_version=3, own_hold=HOLD)
    # a, b of the first list until b's 500; a, c, d of the second until d's 300
    assert deadline(claims, evidence, 1000 * MS, JOINT) == 300 * MS + HOLD * 98 // 100


def test_an_older_echo_takes_nothing_back() -> None:
    claims, evidence = claimed(X)
    evidence.store("b", Echo(1, 300 * MS, HOLD, 1), 3, own_version=3, own_hold=HOLD)
    evidence.store("c", Echo(1, 300 * MS, HOLD, 1), 3, own_version=3, own_hold=HOLD)
    best = deadline(claims, evidence, 1000 * MS)
    evidence.store("c", Echo(1, 200 * MS, HOLD, 0, None), 3, own_version=3, own_hold=HOLD)
    assert deadline(claims, evidence, 1000 * MS) == best


@pytest.mark.parametrize("echo", [Echo(1, 300 * MS, HOLD, 1, b"\1"), Echo(1, 300 * MS, HOLD, 1, None)])
def test_a_refusal_counts_for_nothing(echo: Echo) -> None:
    claims, evidence = claimed(X)
    evidence.store("b", Echo(1, 300 * MS, HOLD, 1), 3, own_version=3, own_hold=HOLD)
    evidence.store("c", echo, 3, own_version=3, own_hold=HOLD)
    assert deadline(claims, evidence, 1000 * MS) == NEVER
    assert evidence.connected_until(FIVE, 1000 * MS) > 0, "it hears us all the same"


@given(st.integers(1, 10_000), st.integers(-9_000, 9_000), st.integers(-9_000, 9_000))
def test_an_owner_stops_before_any_promise_ends(hold_ms: int, owner_ppm: int, voter_ppm: int) -> None:
    """Clocks right to ±0.9 %; the promise begins when the datagram is heard, at the earliest as it is sent."""
    _, evidence = claimed()
    counted = evidence.shortened(hold_ms * MS) / (1 + owner_ppm / 1e6)
    promised = hold_ms * MS / (1 + voter_ppm / 1e6)
    assert counted < promised
    assert EPSILON == 2


@given(st.randoms(use_true_random=False))
def test_a_cached_deadline_errs_to_the_safe_side_only(chance: random.Random) -> None:
    """Until ``epoch`` changes, whatever is heard."""
    claims, evidence = claimed(X, b"\0\0\0\1", b"\0\0\0\2")
    for _ in range(30):
        deadline(claims, evidence, 1000 * MS)
        cached, epoch = claims.get(X), evidence.epoch
        assert cached is not None
        before = cached.until
        match chance.randrange(8):
            case 0:
                evidence.forget(chance.choice("bcde"))
            case _:
                bits = chance.choice((b"", b"\1", b"\2", b"\6", b"\7", None))
                sent = chance.randrange(5) * 100 * MS
                hold = chance.choice((HOLD, HOLD, 2 * HOLD))
                echo = Echo(1, sent, hold, chance.choice((0, 1, 1, 1)), bits)
                evidence.store(
                    chance.choice("bcde"), echo, chance.choice((2, 3, 3, 3, 4)), own_version=3, own_hold=HOLD
                )
        if evidence.epoch == epoch:
            assert before <= deadline(claims, evidence, 1000 * MS)


def test_a_version_has_settled_after_twice_the_longest_hold() -> None:
    long = Segment("uid", "lan", 2, (MemberList(("a",), 1), MemberList(("a", "b"), 2, 100 * MS)))
    settling = Settling("a", ALL)
    settling.adopted(100 * MS)
    settling.settle(long, 1100 * MS - 1, durable=True)
    assert settling.settled == 0
    settling.settle(long, 1100 * MS, durable=False)
    assert settling.settled == 0
    settling.settle(long, 1100 * MS, durable=True)
    assert settling.settled == 2


def turn(node: str, settled: dict[str, int], now: int, settling: Settling | None = None) -> ProposeSwap | None:
    one = settling or Settling(node, ALL)
    one.settled = settled.get(node, 0)
    return one.proposal(JOINT, {peer: version for peer, version in settled.items() if peer != node}, now)


ALL_SETTLED = dict.fromkeys("abcde", 4)


@pytest.mark.parametrize(
    ("settled", "proposes"),
    [
        (ALL_SETTLED, True),
        ({"a": 4, "c": 4, "d": 4, "b": 3, "e": 3}, True),
        ({"a": 4, "b": 4, "c": 4, "d": 3, "e": 3}, False),  # two of four are no quorum of the second list
        ({"a": 4, "d": 4, "e": 4, "b": 3, "c": 3}, False),  # one of three is none of the first
        ({"a": 5, "c": 5, "d": 5}, True),
    ],
)
def test_the_old_lists_go_when_a_quorum_of_each_has_settled(settled: dict[str, int], *, proposes: bool) -> None:
    assert turn("a", settled, 0) == (ProposeSwap(4, cleared(JOINT)) if proposes else None)


def test_one_after_the_other_proposes_and_each_again_after_a_while() -> None:
    c = Settling("c", ALL)  # the second live member in force
    assert turn("c", ALL_SETTLED, 0, c) is None
    assert turn("c", ALL_SETTLED, STAGGER - 1, c) is None
    assert turn("c", ALL_SETTLED, STAGGER, c) is not None
    assert turn("c", ALL_SETTLED, STAGGER + 1, c) is None
    assert turn("c", ALL_SETTLED, 2 * STAGGER, c) is not None
    assert turn("c", dict.fromkeys("bcde", 4), 0) is not None, "a is not live"
    assert turn("b", ALL_SETTLED, 100 * STAGGER) is None, "who is not in force writes nothing"


def test_a_second_member_gives_the_first_one_a_second() -> None:
    c = Settling("c", ALL)
    assert turn("c", ALL_SETTLED, 0, c) is None
    assert turn("c", ALL_SETTLED, 1_000 * MS - 1, c) is None
    assert turn("c", ALL_SETTLED, 1_000 * MS, c) is not None
