"""ELECTION.md section 5 (a) and (b): the scripted traces, and that no guard can be lost without a test turning red."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from lbprovider.election import evidence
from lbprovider.election.guards import ALL, Guards
from tests.sim.traces import TRACES, X, each_first, epsilon, scene, started, unfit
from tests.sim.world import MS, SECOND, Violation, successor

SCRIPTS = [pytest.param(script, off, id=f"{script.__name__}-{'-'.join(off)}") for script, off in TRACES]


@pytest.mark.parametrize(("script", "off"), SCRIPTS)
def test_with_all_guards_there_is_one_owner(script: Callable[[Guards], None], off: tuple[str, ...]) -> None:
    script(ALL)
    assert off


@pytest.mark.parametrize(("script", "off"), SCRIPTS)
def test_without_the_guard_there_are_two(script: Callable[[Guards], None], off: tuple[str, ...]) -> None:
    with pytest.raises(Violation, match="answer for"):
        script(without(*off))


def test_one_percent_is_too_little_for_clocks_that_differ_by_one_point_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "EPSILON", 1)
    with pytest.raises(Violation, match="answer for"):
        epsilon(ALL)


# --- Guards whose lack makes no second owner, because another one still stands, or because they are there for liveness


def old_datagrams_do_not_count(guards: Guards) -> bool:
    """A replayed datagram must not keep a dead node's promise alive."""
    world = started("abc", guards)
    beats = world.record("a", "b", 100 * MS)
    world.crash("a")
    for _ in range(20):
        world.run(50 * MS)
        world.hand("b", beats[0])
    return "a" not in world.hears("b")


def former_lives_do_not_count(guards: Guards) -> bool:
    world = started("abc", guards)
    beats = world.record("a", "b", 100 * MS)
    world.crash("a")
    world.start("a")
    world.run(400 * MS)
    world.hand("b", beats[-1])
    peer = world.member("b")._peers.get("a")
    return peer is not None and peer.incarnation == 2


def nobody_is_named_while_another_claims(guards: Guards) -> bool:
    """b was named and owns X; a, unheard by nobody but itself, still claims it when b must not go on."""
    world = started("abcde", guards)
    world.cut(("b", "a"))
    unfit(world, "a", "b")
    world.run(50 * MS)
    assert world.owners(X) == {"a", "b"}
    unfit(world, "b", "c")
    return successor(world.member("b"), X) == ""


def askers_give_up(guards: Guards) -> bool:
    """Two that refuse each other: one gets it in the end."""
    world = scene("ab", guards)
    each_first(world, "ab")
    return len(world.owners(X)) == 1


def the_cut_off_keep_quiet(guards: Guards) -> bool:
    world = scene("abc", guards)
    world.start()
    world.run(SECOND)
    world.isolate("c")
    before = world.member("c")._claims.ver
    world.run(5 * SECOND)
    return world.member("c")._claims.ver == before


def no_storm(guards: Guards) -> bool:
    """a names c while b, which doesn't hear a, asks for X too: c waits until b has given up."""
    world = started("abcde", guards)
    world.cut(("a", "b"), ("b", "a"))
    world.run(260 * MS)
    assert X in world.member("b").claims
    unfit(world, "a", "c")
    assert successor(world.member("a"), X) == "c"
    world.run(5 * MS)
    return world.member("c")._claims.ver == 0


def the_first_of_the_ranking_takes_it(guards: Guards) -> bool:
    """All learn of a new address at the same moment."""
    world = scene("abcde", guards)
    world.wishes.clear()
    world.start()
    world.run(SECOND)
    world.wish(X, "e", "d", "c", "b", "a")
    world.run(20 * MS)
    return (
        world.owners(X) == {"e"} and sum(node.member._claims.ver for node in world.nodes.values() if node.member) == 2
    )


OTHERS: tuple[tuple[Callable[[Guards], bool], str], ...] = (
    (old_datagrams_do_not_count, "r5_newest_only"),
    (former_lives_do_not_count, "r5_old_incarnation"),
    (nobody_is_named_while_another_claims, "r14_no_third"),
    (askers_give_up, "r11_give_up"),
    (the_cut_off_keep_quiet, "r13_connected"),
    (no_storm, "r13_every_claimant"),
    (the_first_of_the_ranking_takes_it, "r13_wait"),
)


@pytest.mark.parametrize(("holds", "guard"), OTHERS)
def test_what_else_the_rules_are_for(holds: Callable[[Guards], bool], guard: str) -> None:
    assert holds(ALL)
    assert not holds(without(guard))


def test_no_guard_is_without_a_test() -> None:
    tested = {name for _, off in TRACES for name in off} | {name for _, name in OTHERS}
    assert tested == {field.name for field in fields(Guards)}


def without(*names: str) -> Guards:
    return Guards(**dict.fromkeys(names, False))
