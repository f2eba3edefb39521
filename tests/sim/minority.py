"""What a member does when a quorum is missing, and how it goes: rules 18 and 19, C9 to C11, as short stories.

Each plays with the guards given and raises AssertionError where the clause doesn't hold. Times as in ``traces``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.minority import BLIND_HOLDS, COLD
from lbprovider.election.outcome import LostReason
from lbprovider.election.segment import MemberList, majority
from tests.sim.traces import X, scene, started
from tests.sim.world import MS, SECOND, World

HOLD = 250 * MS


def members(world: World) -> list[set[str]]:
    """The lists that the API server has."""
    return [set(one.members) for one in world.segment.lists]


def seeing(world: World, *names: str, span: int = 2 * SECOND) -> None:
    """These nodes see a neighbour from now on, each 20 ms."""
    for after in range(0, span, 20 * MS):
        world.at(world.now + after, lambda: world.neighbour(*names))


def tolerant(world: World) -> World:
    """Rule 19 is outside the proof: here two may answer."""
    world.check = lambda: None  # type: ignore[method-assign]
    return world


def _read(world: World, name: str) -> None:
    """A quorum read, for who has given its vote up."""
    world.adopt(name, world.segment, quorum=True)


def one_of_two_dies(guards: Guards = ALL) -> None:
    """The API server is the witness: the other one serves within a hold and a write."""
    world = started("ab", guards)
    seeing(world, "b")
    world.crash("a")
    assert world.run(400 * MS, until=lambda: world.owners(X) == {"b"}), world.trace()
    world.run(2 * SECOND)
    assert members(world) == [{"b"}], "the old list goes once the new one has settled"


def one_of_two_dies_without_the_api_server(guards: Guards = ALL) -> None:
    """Silence: nobody can tell a dead node from one that is cut off."""
    world = started("ab", guards)
    seeing(world, "b", span=20 * SECOND)
    world.no_api.update("ab")
    world.crash("a")
    world.run(20 * SECOND)
    assert not world.owners(X)


def v13_two_halves(guards: Guards = ALL) -> None:
    """2|2, and both write: one of them serves, alone, and nobody but it until they hear each other again."""
    world = started("abcd", guards)
    seeing(world, "a", "b", "c", "d", span=10 * SECOND)
    world.isolate("a", "b")
    world.run(2 * SECOND)
    (owner,) = world.owners(X)
    half = {"a", "b"} if owner in "ab" else {"c", "d"}
    assert members(world)[-1] == half
    world.heal()
    world.run(2 * SECOND)
    assert world.owners(X) == {owner}, "who comes back takes nothing back"


def v13_fewer_than_half(guards: Guards = ALL) -> None:
    """2|3: two of five never serve beside the three."""
    world = started("abcde", guards)
    seeing(world, "a", "b", span=10 * SECOND)
    world.isolate("a", "b")
    world.no_api.update("cde")
    world.run(5 * SECOND)
    assert world.owners(X) <= {"c", "d", "e"}
    assert world.owners(X)


def connected_members_write_nothing(guards: Guards = ALL) -> None:
    world = started("abcd", guards)
    seeing(world, *"abcd")
    world.run(SECOND)
    assert world.segment.version == 1


def the_first_to_boot_waits(guards: Guards = ALL) -> None:
    """Cold start of two: the first one doesn't evict the other, which boots a little later."""
    world = scene("ab", guards)
    world.start("a")
    seeing(world, "a", span=12 * SECOND)
    world.run(5 * SECOND)
    assert world.segment.version == 1
    world.run(COLD)
    assert world.owners(X) == {"a"}, "but not for ever"


def who_sees_goes_first(guards: Guards = ALL) -> None:
    """The owner's cable is cut, not its API server: the half that clients can reach must serve."""
    world = started("ab", guards)
    world.isolate("a")
    world.no_api.add("b")
    seeing(world, "b", span=4 * SECOND)
    world.run(2 * HOLD)  # its first write is lost
    world.no_api.clear()
    world.run(SECOND)
    assert world.owners(X) == {"b"}, world.trace()


def the_blind_wait(guards: Guards = ALL) -> None:
    """Where no neighbour ever answers anybody, somebody serves all the same, a while later."""
    world = started("ab", guards)
    world.crash("a")
    world.run((BLIND_HOLDS + 1) * HOLD - 50 * MS)
    assert not world.owners(X)
    world.run(200 * MS)
    assert world.owners(X) == {"b"}


def the_blind_leave_it_to_who_sees(guards: Guards = ALL) -> None:
    """b sees the LAN and can't write; a could write and sees nobody."""
    world = started("ab", guards)
    world.no_api.add("b")
    world.isolate("a")
    world.leases("a", sighted="b")
    world.run(5 * SECOND)
    assert world.segment.version == 1


def who_serves_blindly_yields(guards: Guards = ALL) -> None:
    """a has won the swap and sees nobody; then the other half turns out to see the LAN."""
    world = started("ab", guards)
    world.isolate("a")
    world.no_api.add("b")
    world.run(3 * SECOND)
    assert world.owners(X) == {"a"}
    world.no_api.clear()
    world.leases("a", sighted="b")
    seeing(world, "b", span=10 * SECOND)
    world.run(SECOND)
    world.adopt("a", world.segment, quorum=True)  # it reads, for it has given its vote up
    world.run(SECOND)
    assert members(world) == [{"b"}]
    assert world.owners(X) == {"b"}
    assert world.counts[f"Lost/{LostReason.YIELDED}"] == 1


def who_yields_reads_first(guards: Guards = ALL) -> None:
    """The answer to its swap is lost: it neither owns nor votes before it knows what came of it."""
    world = started("ab", guards)
    world.isolate("a")
    world.no_api.add("b")
    world.run(3 * SECOND)
    world.leases("a", sighted="b")
    world.no_api.add("a")  # from here on it learns nothing
    world.run(3 * SECOND)
    assert not world.owners(X)
    assert world.member("a").needs_quorum_read


def what_was_given_away_is_not_read_back(guards: Guards = ALL) -> None:
    """Its write takes long: the read that it makes meanwhile still shows what was before."""
    world = started("ab", guards)
    world.isolate("a")
    world.no_api.add("b")
    world.run(3 * SECOND)
    assert world.owners(X) == {"a"}
    before = world.segment
    world.no_api.clear()
    world.net = replace(world.net, write=(800 * MS, 800 * MS))
    world.leases("a", sighted="b")
    seeing(world, "b", span=10 * SECOND)
    assert world.run(SECOND, until=lambda: bool(world.counts[f"Lost/{LostReason.YIELDED}"]))
    world.adopt("a", before, quorum=True)
    world.no_api.add("a")  # it doesn't hear what came of it
    world.run(2 * SECOND)
    assert members(world) == [{"b"}]
    assert world.owners(X) == {"b"}


def two_blind_ones_yield(guards: Guards = ALL) -> None:
    """One after the other."""
    world = started("abcd", guards)
    world.isolate("a", "b")
    world.no_api.update("cd")
    world.run(4 * SECOND)
    assert world.owners(X) <= {"a", "b"}
    assert world.owners(X)
    world.no_api.clear()
    world.leases("a", "b", sighted="cd")
    seeing(world, "c", "d", span=20 * SECOND)
    for after in range(20):
        for name in "ab":
            world.at(world.now + after * SECOND, partial(_read, world, name))
    world.run(20 * SECOND)
    assert members(world) == [{"c", "d"}]
    assert world.owners(X) <= {"c", "d"}
    assert world.owners(X)


def who_goes_takes_itself_off(guards: Guards = ALL) -> None:
    """Two nodes: one is drained, leaves, and ends; the other one goes on alone."""
    world = started("ab", guards)
    world.drain("a")
    assert world.run(2 * HOLD, until=lambda: not world.member("a").claims)
    world.leave("a")
    node = world.nodes["a"]
    assert world.run(5 * SECOND, until=lambda: world.member("a").leaving_done(node.local(world.now)))
    assert members(world) == [{"b"}]
    world.crash("a")
    world.run(2 * SECOND)
    assert world.owners(X) == {"b"}
    assert world.counts[f"Lost/{LostReason.DEADLINE_PASSED}"] == 0


def the_last_one_just_goes(guards: Guards = ALL) -> None:
    world = started("a", guards)
    world.drain("a")
    world.leave("a")
    assert world.member("a").leaving_done(world.nodes["a"].local(world.now))
    assert world.segment.version == 1


def who_is_not_needed_just_goes(guards: Guards = ALL) -> None:
    """Of five, four have a vote to spare."""
    world = started("abcde", guards)
    world.drain("a")
    world.run(100 * MS)
    world.leave("a")
    assert world.member("a").leaving_done(world.nodes["a"].local(world.now))
    world.run(SECOND)
    assert world.segment.version == 1


def the_dead_are_left_off_too(guards: Guards = ALL) -> None:
    """a goes while c is dead: b alone is a majority afterwards."""
    world = started("abc", guards)
    world.crash("c")
    world.run(HOLD)
    world.drain("a")
    world.run(100 * MS)
    world.leave("a")
    node = world.nodes["a"]
    assert world.run(5 * SECOND, until=lambda: world.member("a").leaving_done(node.local(world.now)))
    world.crash("a")
    world.run(SECOND)
    assert world.owners(X) == {"b"}


def last_resort(guards: Guards = ALL) -> None:
    """One of three is left: silent until the Leases of both others have stood still."""
    world = started("abc", guards)
    seeing(world, "b", span=60 * SECOND)
    world.crash("a")
    world.crash("c")
    world.run(2 * SECOND)
    world.leases("b", unchanged="c")
    world.run(2 * SECOND)
    assert not world.owners(X)
    assert world.segment.version == 1
    world.leases("b", unchanged="ac")
    world.run(SECOND)
    assert world.owners(X) == {"b"}
    assert world.segment.in_force.last_resort
    assert world.segment.in_force.need == majority(1)


def v14_fewer(guards: Guards = ALL) -> None:
    """The majority, cut from the API server and the LAN, serves as well; at the heal one of them stops at once."""
    world = tolerant(started("abcde", guards))
    world.isolate("a", "b")
    world.no_api.update("cde")
    world.run(SECOND)
    world.leases("a", "b", unchanged="cde")
    world.run(2 * SECOND)
    assert len(world.owners(X)) == 2, "outside the proof: nobody can know"
    world.heal()
    world.run(110 * MS)  # a round of theirs, and one of ours that tells them the version
    assert len(world.owners(X)) <= 1, world.trace()
    world.run(SECOND)
    assert len(world.owners(X)) == 1


def v14_heard_one_way(guards: Guards = ALL) -> None:
    """The majority is heard and doesn't hear: who serves without a quorum stops."""
    world = tolerant(started("abcde", guards))
    world.isolate("a", "b")
    world.no_api.update("cde")
    world.run(SECOND)
    world.leases("a", "b", unchanged="cde")
    world.run(2 * SECOND)
    world.heal(*((one, other) for one in "cde" for other in "ab"))
    world.run(HOLD + 60 * MS)  # the unheard are told the claims once a hold
    assert world.owners(X) <= {"c", "d", "e"}
    assert world.counts[f"Lost/{LostReason.CONTESTED}"]


def an_echo_of_what_was_not_sent(guards: Guards = ALL) -> None:
    """Whatever made it so: nobody lives by a promise for what it never asked."""
    world = started("abc", guards)
    (beat,) = [one for one in world.record("b", "a", 60 * MS) if one.echo is not None][-1:]
    assert beat.echo is not None
    far = replace(beat.echo, sent=beat.echo.sent + 1000 * SECOND)
    world.replay("a", replace(beat, sent=beat.sent + 1, number=0, echo=far))
    world.isolate("a")
    world.run(2 * HOLD)
    assert "a" not in world.owners(X)


def the_deaf_are_not_waited_for(guards: Guards = ALL) -> None:
    """The owner is heard by all and hears nobody: once it has let go, the next one asks at once."""
    world = started("abc", guards)
    world.cut(("b", "a"), ("c", "a"))
    assert world.run(HOLD + 10 * MS, until=lambda: world.owners(X) == {"b"})


def the_deleted_segment_ends_first(guards: Guards = ALL) -> None:
    """It is deleted while a quorum of it can't reach the API server: they serve on, so the new one doesn't begin."""
    world = started("abcd", guards)
    world.no_api.update("bcd")
    world.run(100 * MS)
    anew = replace(world.segment, uid="anew", version=1, lists=(MemberList(("a",), 1),))
    world.adopt("a", anew, quorum=True)
    world.run(3 * SECOND)
    assert world.owners(X) == {"b"}
    for name in "bcd":
        world.adopt(name, anew, quorum=True)
    world.run(2 * SECOND)
    assert world.owners(X) == {"a"}


STORIES = (
    one_of_two_dies,
    one_of_two_dies_without_the_api_server,
    v13_two_halves,
    v13_fewer_than_half,
    connected_members_write_nothing,
    the_first_to_boot_waits,
    who_sees_goes_first,
    the_blind_wait,
    the_blind_leave_it_to_who_sees,
    who_serves_blindly_yields,
    who_yields_reads_first,
    what_was_given_away_is_not_read_back,
    two_blind_ones_yield,
    who_goes_takes_itself_off,
    the_last_one_just_goes,
    who_is_not_needed_just_goes,
    the_dead_are_left_off_too,
    last_resort,
    v14_fewer,
    v14_heard_one_way,
    an_echo_of_what_was_not_sent,
    the_deaf_are_not_waited_for,
    the_deleted_segment_ends_first,
)
