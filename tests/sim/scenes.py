"""What each clause is for, where its lack makes no second owner: short stories with what must come of them.

Each plays with the guards given and raises AssertionError where the clause doesn't hold. Times as in ``traces``.
"""

from __future__ import annotations

from dataclasses import replace

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.segment import MemberList, grown
from tests.sim.traces import X, Y, both, each_first, scene, started, unfit
from tests.sim.world import MS, SECOND, World, successor


def takes(world: World, address: bytes, node: str, within: int) -> int:
    """Until this node alone owns the address: how long it takes, ns."""
    began = world.now
    assert world.run(within, until=lambda: world.owners(address) == {node}), world.owners(address)
    return world.now - began


def old_datagrams_do_not_count(guards: Guards = ALL) -> None:
    """A replayed datagram must not keep a dead node's promise alive."""
    world = started("abc", guards)
    beats = world.record("a", "b", 100 * MS)
    world.crash("a")
    for _ in range(20):
        world.run(50 * MS)
        world.replay("b", beats[0])
    assert "a" not in world.hears("b")


def former_lives_do_not_count(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    beats = world.record("a", "b", 100 * MS)
    world.crash("a")
    world.start("a")
    world.run(400 * MS)
    world.replay("b", beats[-1])
    peer = world.member("b")._peers.get("a")
    assert peer is not None
    assert peer.incarnation == 2


def lists_of_peers_are_adopted(guards: Guards = ALL) -> None:
    """c has lost the API server."""
    world = started("abc", guards)
    world.no_api.add("c")
    newer = replace(world.segment, version=2, lists=(world.segment.in_force, world.segment.in_force))
    world.write(newer)
    world.run(200 * MS)
    assert world.member("c").segment == newer


def watches_are_adopted_at_once(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    newer = grown(world.segment, "abc", 50 * MS)
    world.adopt("a", newer)
    assert world.member("a").segment == newer


def grants_are_judged_when_a_promise_lapses(guards: Guards = ALL) -> None:
    """c hears a for longer than b does: what b asks for is granted the moment that c gives a up, with nothing heard."""
    world = scene("abc", guards)
    world.start("a", "c")
    world.run(20 * MS)
    world.start("b")
    world.run(281 * MS)
    assert world.owners(X) == {"a"}
    world.cut(("a", "b"))
    world.run(60 * MS)
    world.crash("a")
    until = world.member("c")._peers.live["a"].until
    world.run(world.nodes["c"].real(until) - world.now + MS)
    assert "b" in world.owners(X)


def a_dropped_address_is_free_at_once(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.wish(X)
    world.run(10 * MS)
    assert world.owners(X) == set()
    world.wish(X, "b", only="b")
    takes(world, X, "b", 5 * MS)


def a_grant_stays_when_another_is_given(guards: Guards = ALL) -> None:
    """a names b; c, d and e grant X to b as well, but b never hears that. Until the window ends a goes on."""
    world = started("abcde", guards)
    world.cut(("c", "b"), ("d", "b"), ("e", "b"))
    unfit(world, "a", "b")
    assert not world.run(400 * MS, until=lambda: world.owners(X) != {"a"})


def a_refusal_is_no_reason_to_drop(guards: Guards = ALL) -> None:
    """e, cut from a, grants b's vain attempt and refuses a after the cut heals: four of five are enough."""
    world = started("abcde", guards)
    world.cut(*both("a", "be"))
    world.run(260 * MS)
    assert X in world.member("b").claims
    world.heal(*both("a", "e"))
    assert not world.run(300 * MS, until=lambda: world.owners(X) != {"a"})


def nobody_is_named_while_another_claims(guards: Guards = ALL) -> None:
    """b was named and owns X; a, unheard by nobody but itself, still claims it when b must not go on."""
    world = started("abcde", guards)
    world.cut(("b", "a"))
    unfit(world, "a", "b")
    world.run(50 * MS)
    assert world.owners(X) == {"a", "b"}
    unfit(world, "b", "c")
    assert successor(world.member("b"), X) == ""


def nobody_is_named_before_it_is_owned(guards: Guards = ALL) -> None:
    """a has only asked when it must not have X any more."""
    world = scene("abc", guards)
    world.wishes[X] = ()
    world.start()
    world.run(301 * MS)
    world.cut(("a", "b"), ("a", "c"))
    unfit(world, "a", "a", "b")
    assert X in world.member("a").claims
    unfit(world, "a", "b")
    assert X not in world.member("a").claims


def nobody_is_named_who_is_dead(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.crash("b")
    world.run(300 * MS)
    unfit(world, "a", "b", "c")
    assert successor(world.member("a"), X) == "c"


def nobody_is_named_who_takes_nothing(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.drain("b")
    world.run(100 * MS)
    unfit(world, "a", "b", "c")
    assert successor(world.member("a"), X) == "c"


def nobody_is_named_who_is_not_in_force(guards: Guards = ALL) -> None:
    world = started("abc", guards, members="ac")
    unfit(world, "a", "b", "c")
    assert successor(world.member("a"), X) == "c"


def nobody_is_named_who_is_not_eligible(guards: Guards = ALL) -> None:
    """b is no node for X."""
    world = started("abc", guards)
    unfit(world, "a", "c")
    assert successor(world.member("a"), X) == "c"


def a_move_leaves_no_gap(guards: Guards = ALL) -> None:
    """b thinks a ranked before it, as a did a moment ago: it takes X all the same, at once."""
    world = started("abc", guards)
    unfit(world, "a", "b")
    assert not world.run(100 * MS, until=lambda: not world.owners(X))
    assert world.owners(X) == {"b"}


def a_move_is_over_when_the_successor_owns(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    unfit(world, "a", "b")
    assert takes(world, X, "b", SECOND) < 5 * MS


def a_move_to_nobody_ends_and_the_namer_may_ask_again(guards: Guards = ALL) -> None:
    """b crashes as it is named."""
    world = started("abc", guards)
    world.crash("b")
    unfit(world, "a", "b")
    unfit(world, "a", "a", "b")
    world.wish(X, "a", only="c")
    world.run(2 * SECOND)
    assert world.owners(X) == {"a"}


def a_drain_hands_all_on(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.drain("a")
    takes(world, X, "b", 5 * MS)


def who_leaves_the_members_hands_all_on(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.write(grown(world.segment, "bc", 50 * MS))
    takes(world, X, "b", 10 * MS)


def askers_give_up(guards: Guards = ALL) -> None:
    """Two that refuse each other: one gets it in the end."""
    world = scene("ab", guards)
    each_first(world, "ab")
    assert len(world.owners(X)) == 1


def the_cut_off_keep_quiet(guards: Guards = ALL) -> None:
    world = scene("abc", guards)
    world.start()
    world.run(SECOND)
    world.isolate("c")
    before = world.member("c")._claims.ver
    world.run(5 * SECOND)
    assert world.member("c")._claims.ver == before


def no_storm(guards: Guards = ALL) -> None:
    """a names c while b, which doesn't hear a, asks for X too: c waits until b has given up."""
    world = started("abcde", guards)
    world.cut(("a", "b"), ("b", "a"))
    world.run(260 * MS)
    assert X in world.member("b").claims
    unfit(world, "a", "c")
    assert successor(world.member("a"), X) == "c"
    world.run(5 * MS)
    assert world.member("c")._claims.ver == 0


def nobody_asks_for_what_is_claimed(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.run(SECOND)
    assert [world.member(name)._claims.ver for name in "bc"] == [0, 0]


def who_is_not_eligible_never_asks(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    unfit(world, "b", "c", "a")
    world.crash("a")
    world.run(SECOND)
    assert world.member("b")._claims.ver == 0


def who_is_not_in_force_never_asks(guards: Guards = ALL) -> None:
    world = scene("abc", guards, members="ac", ranking="ba")
    world.start()
    world.run(SECOND)
    assert world.member("b")._claims.ver == 0
    assert world.owners(X) == {"a"}


def who_is_no_candidate_never_asks(guards: Guards = ALL) -> None:
    world = scene("abc", guards)
    world.wishes.clear()
    world.start()
    world.run(SECOND)
    world.member("a").candidate(usable=False, now=world.nodes["a"].local(world.now))
    world.run(100 * MS)
    world.wish(X, "a", "b")
    takes(world, X, "b", 20 * MS)
    assert world.member("a").claims == ()


def who_drains_never_asks(guards: Guards = ALL) -> None:
    world = scene("abc", guards)
    world.wishes.clear()
    world.start()
    world.run(SECOND)
    world.drain("a")
    world.run(100 * MS)
    world.wish(X, "a", "b")
    takes(world, X, "b", 20 * MS)
    assert world.member("a").claims == ()


def who_lags_never_asks(guards: Guards = ALL) -> None:
    """b says that it has newer claims than a knows: one of them may be for X."""
    world = started("abc", guards)
    beat = world.record("b", "a", 100 * MS)[-1]
    world.replay("a", replace(beat, sent=beat.sent + 1, ver=beat.ver + 1, changes=None, echo=None))
    world.wish(Y, "a", only="a")
    assert Y not in world.member("a").claims
    world.run(300 * MS)
    assert world.owners(Y) == {"a"}


def the_first_of_the_ranking_takes_it(guards: Guards = ALL) -> None:
    """All learn of a new address at the same moment."""
    world = scene("abcde", guards)
    world.wishes.clear()
    world.start()
    world.run(SECOND)
    world.wish(X, "e", "d", "c", "b", "a")
    world.run(20 * MS)
    assert world.owners(X) == {"e"}
    assert sum(node.member._claims.ver for node in world.nodes.values() if node.member) == 2


def at_a_cold_start_too(guards: Guards = ALL) -> None:
    """X has been free for as long as anybody knows."""
    world = scene("abcde", guards, ranking="edcba")
    world.start()
    world.run(SECOND)
    assert world.owners(X) == {"e"}
    assert sum(node.member._claims.ver for node in world.nodes.values() if node.member) == 2


def the_wait_begins_when_it_is_free(guards: Guards = ALL) -> None:
    """c has waited for its turn to ask for Y when a dies: that is no wait for X, which b is to have."""
    world = started("abcdefg", guards)
    world.wish(Y, "d", "e", "f", "g", "c", only="c")
    world.crash("a")
    world.run(300 * MS)
    assert world.owners(X) == {"b"}
    assert world.member("c")._claims.ver == 0


def the_dead_are_not_waited_for(guards: Guards = ALL) -> None:
    """d is the fourth, and all before it are dead."""
    world = started("abcdefg", guards)
    for name in "abc":
        world.crash(name)
    assert takes_over(world, "d") <= 255 * MS


def who_takes_nothing_is_not_waited_for(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.drain("b")
    world.run(100 * MS)
    world.crash("a")
    assert takes_over(world, "c") <= 255 * MS


def takes_over(world: World, node: str) -> int:
    began = world.now
    assert world.run(2 * SECOND, until=lambda: node in world.owners(X))
    return world.now - began


def two_that_collide_part(guards: Guards = ALL) -> None:
    """Were all to wait alike after a vain attempt, these two would ask together for ever."""
    world = scene("ab", guards)
    each_first(world, "ab")
    assert world.owners(X)
    versions = [world.member(name)._claims.ver for name in "ab"]
    assert min(versions) <= 3, versions


def the_silent_listen(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.crash("c")
    world.start("c")
    world.run(100 * MS)
    assert world.hears("c") == ("a", "b")


def the_silent_say_nothing(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.crash("c")
    world.start("c")
    said = world.record("c", "a", 240 * MS)
    assert said == []


def the_stopped_answer_nothing(guards: Guards = ALL) -> None:
    """No step is run before the question comes."""
    world = started("abc", guards)
    world.pause("a")
    world.run(300 * MS)
    member = world.member("a")
    assert not member.may_answer(X, world.nodes["a"].local(world.now))


def a_claim_is_told_when_it_is_owned(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.run(2 * MS)
    assert world.member("b")._peers.live["a"].known[X].owned


def news_is_told_at_once(guards: Guards = ALL) -> None:
    world = started("abc", guards)
    world.run(10 * MS)
    world.wish(Y, "a")
    takes(world, Y, "a", 2 * MS)


def the_old_list_goes_when_all_have_settled(guards: Guards = ALL) -> None:
    world = started("abcd", guards, members="abc")
    world.write(grown(world.segment, "abcd", 50 * MS))
    world.run(2 * SECOND)
    assert world.segment.lists == (MemberList(("a", "b", "c", "d"), 3),)
    assert world.segment.version == 3


def who_goes_leaves_the_dead_off(guards: Guards = ALL) -> None:
    """a goes while c is dead: with c on the list beside b, b would need the witness."""
    world = started("abc", guards)
    world.crash("c")
    world.run(300 * MS)
    world.drain("a")
    world.run(100 * MS)
    world.leave("a")
    world.run(10 * MS)
    assert world.segment.in_force.members == ("b",)
