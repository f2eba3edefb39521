"""When a node whose kube-proxy can't serve takes addresses all the same, and what it hands on."""

from __future__ import annotations

from lbprovider.speaker.reluctance import ALONE, KEEP, Reluctance

X, Y = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"


def test_a_node_that_is_able_takes_and_keeps() -> None:
    one = Reluctance()
    one.won(X, now=0)
    assert not one.stands_back(lambda _: 0, 0)
    assert one.to_hand([X, Y], now=0) == {}


def test_one_that_is_not_stands_back_until_nobody_else_takes_what_is_free() -> None:
    one = Reluctance()
    one.become(able=False)
    freed = 7
    assert one.stands_back(lambda now: now - freed, freed)
    assert one.stands_back(lambda now: now - freed, freed + ALONE - 1)
    assert not one.stands_back(lambda now: now - freed, freed + ALONE)
    one.become(able=True)
    assert not one.stands_back(lambda _: 0, freed)


def test_what_it_had_is_handed_on_and_what_it_took_nevertheless_is_kept_for_a_while() -> None:
    one = Reluctance()
    one.won(X, now=0)
    one.become(able=False)
    one.won(Y, now=5)
    assert one.to_hand([X, Y], now=5) == {X: ""}
    assert one.to_hand([X, Y], now=4 + KEEP) == {X: ""}
    assert one.to_hand([X, Y], now=5 + KEEP) == {X: "", Y: ""}
    assert one.to_hand([Y], now=5 + KEEP) == {Y: ""}
    one.become(able=True)
    assert one.to_hand([X, Y], now=5 + KEEP) == {}


def test_a_new_episode_forgets_what_was_kept_in_the_last() -> None:
    one = Reluctance()
    one.become(able=False)
    one.won(X, now=0)
    one.become(able=True)
    one.become(able=False)
    assert one.to_hand([X], now=1) == {X: ""}
