"""The traces of ELECTION.md section 3, and one for each other guard of safety, as scripts against real Members.

Each plays with all guards on without a violation; with the guards named beside it off, the checker catches it. Times
are counted from the start of all nodes at 0; they vote from 250 ms on, and the first of the ranking owns X at 251 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from lbprovider.election.guards import Guards
from lbprovider.election.segment import MemberList, Segment, cleared, grown
from tests.sim.world import MS, Net, World, nothing

X: Final = bytes((192, 0, 2, 1))
Y: Final = bytes((192, 0, 2, 2))
_FIXED: Final = Net(latency=(MS // 5, MS // 5), watch=(MS, MS), write=(MS, MS))
KEPT: Final = replace(_FIXED, fsync=(5 * MS, 5 * MS))
"""The same, where each node keeps a snapshot."""


def scene(
    nodes: str,
    guards: Guards,
    *,
    members: str = "",
    ranking: str = "",
    drift: dict[str, int] | None = None,
    net: Net = _FIXED,
) -> World:
    """Nodes a, b, …; X ranked in alphabetical order unless said otherwise; nothing is lost, all clocks are right."""
    world = World(nodes, guards=guards, net=net, members=members or nodes)
    for name, ppm in (drift or {}).items():
        world.nodes[name].rate += ppm
    world.wishes[X] = tuple(ranking or nodes)
    return world


def started(
    nodes: str, guards: Guards, *, members: str = "", drift: dict[str, int] | None = None, net: Net = _FIXED
) -> World:
    """The same after 301 ms: a owns X, and has just been heard and echoed."""
    world = scene(nodes, guards, members=members, drift=drift, net=net)
    world.start()
    world.run(301 * MS)
    assert world.owners(X) == {"a"}
    return world


def unfit(world: World, name: str, *ranking: str) -> None:
    """Tells one node, and only that one, another ranking for X."""
    world.wish(X, *ranking, only=name)


def both(one: str, others: str) -> list[tuple[str, str]]:
    """Cuts in both directions."""
    return [pair for other in others for pair in ((one, other), (other, one))]


def v1_regrant(guards: Guards) -> None:
    world = started("abc", guards)
    world.isolate("a")
    world.run(400 * MS)
    world.heal(("a", "c"), ("c", "a"))
    world.run(300 * MS)


def v2_two_votes(guards: Guards) -> None:
    world = started("abcde", guards)
    world.cut(("a", "b"), ("a", "e"))
    world.run(100 * MS)
    world.cut(("a", "d"))
    world.run(155 * MS)  # b and e have given a up: b asks, e grants
    world.heal(("a", "e"))
    world.run(400 * MS)  # d gives a up too


def v3_since(guards: Guards) -> None:
    world = started("abc", guards)
    world.cut(("b", "a"))
    unfit(world, "a", "b")
    world.run(200 * MS)
    unfit(world, "a", "a", "b")
    world.run(600 * MS)  # a's window ends, it asks again; b has owned X all along, by c's grant


def v4_tenure(guards: Guards) -> None:
    world = started("abcde", guards)
    world.cut(("b", "a"))
    unfit(world, "a", "b")
    world.run(200 * MS)
    unfit(world, "a", "a", "b")
    world.run(600 * MS)  # the drop and the new claim arrive as one


def v5_reboot(guards: Guards) -> None:
    world = scene("abc", guards)
    world.start()
    world.run(3000 * MS)
    late = world.record("c", "a", 100 * MS)
    world.crash("a")
    world.isolate("a")
    world.run(400 * MS)
    assert world.owners(X) == {"b"}
    world.start("a", reboot=True)
    world.run(200 * MS)
    world.replay("a", late[-1])
    world.run(200 * MS)


def v6_move(guards: Guards) -> None:
    world = started("abc", guards)
    world.cut(("b", "a"))
    unfit(world, "a", "b")
    world.run(1000 * MS)


def v7_third(guards: Guards) -> None:
    world = started("abcde", guards)
    world.cut(("b", "a"))
    unfit(world, "a", "b")
    world.run(2 * MS)
    world.cut(("a", "b"), ("a", "c"))
    world.run(275 * MS)  # b and c have given a up; d and e have not
    unfit(world, "b", "c")
    world.run(400 * MS)


def v7_renamed(guards: Guards) -> None:
    world = started("abcde", guards)
    world.cut(("b", "a"))
    unfit(world, "a", "b")
    world.run(50 * MS)
    unfit(world, "a", "c", "b")
    world.run(400 * MS)


def v8_report(guards: Guards) -> None:
    world = started("abcdef", guards, members="abc")
    world.cut(*both("a", "def"))
    world.run(300 * MS)
    world.isolate("a")
    world.no_api.add("a")
    world.write(grown(world.segment, "def", 50 * MS))
    world.run(1500 * MS)


def v8_every_list(guards: Guards) -> None:
    """As v8, but nobody of the old list ever hears of the new one."""
    world = scene("abcdef", guards, members="abc")
    world.start()
    world.cut(*(pair for one in "abc" for pair in both(one, "def")))
    world.run(301 * MS)
    world.no_api.update("abc")
    world.write(grown(world.segment, "def", 50 * MS))
    world.run(1500 * MS)


def v9_fresh(guards: Guards) -> None:
    world = started("abcdef", guards, members="abc")
    old = world.segment
    world.no_api.add("a")
    world.isolate("a")
    world.write(grown(world.segment, "def", 50 * MS))
    world.run(1500 * MS)
    assert world.owners(X) == {"d"}
    world.crash("c")
    world.isolate("a", "c")
    world.heal(("a", "c"), ("c", "a"))
    world.no_api.add("c")
    world.start("c", read=old, quorum=False)
    world.run(500 * MS)


def v9_write_lost(guards: Guards) -> None:
    """As v9, with a snapshot: what c reported was still on its way to the disk when it died."""
    restored(guards, stuck=True)


def restored(guards: Guards, *, stuck: bool) -> World:
    """c, which was heard in the Segment's second version, starts from its snapshot and hears only a, in the first."""
    world = started("abcdef", guards, members="abc", net=KEPT)
    world.nodes["c"].disk.stuck = stuck
    world.no_api.add("a")
    world.isolate("a")
    world.write(grown(world.segment, "def", 50 * MS))
    world.run(1500 * MS)
    assert world.owners(X) == {"d"}
    world.crash("c")
    world.isolate("a", "c")
    world.heal(("a", "c"), ("c", "a"))
    world.no_api.add("c")
    world.start("c", snapshot=True)
    world.run(500 * MS)
    return world


def v12_longer_than_silence(guards: Guards) -> None:
    """c promises b 500 ms, but its snapshot still speaks of 250 ms when it starts from it."""
    world = started("abc", guards, net=KEPT)
    world.nodes["c"].disk.stuck = True
    joint, last = _longer(world)
    world.write(joint)
    world.run(1050 * MS)
    assert {world.member(name)._changing.settling.settled for name in "ab"} == {joint.version}, (
        "so the next one may be written"
    )
    world.no_api.update("ac")
    world.isolate("a")
    world.write(last)
    world.run(900 * MS)
    world.run(100 * MS, until=lambda: world.echoed("b"))
    world.crash("c")
    world.isolate("b")
    world.start("c", snapshot=True)
    world.run(251 * MS)
    world.heal(("a", "c"), ("c", "a"))
    world.run(200 * MS)


def never_lower(guards: Guards) -> None:
    """As v9, but c doesn't restart: its watch goes back."""
    world = started("abcdef", guards, members="abc")
    old = world.segment
    world.no_api.add("a")
    world.isolate("a")
    world.write(grown(world.segment, "def", 50 * MS))
    world.run(1500 * MS)
    assert world.owners(X) == {"d"}
    world.isolate("a", "c")
    world.heal(("a", "c"), ("c", "a"))
    world.adopt("c", old)
    world.run(500 * MS)


def _longer(world: World) -> tuple[Segment, Segment]:
    """From 250 ms of hold to 500 ms: the version with both lists, and the one after it."""
    joint = grown(world.segment, world.segment.everyone, 100 * MS)
    return joint, cleared(joint)


def v10_counted_hold(guards: Guards) -> None:
    world = started("abc", guards)
    joint, last = _longer(world)
    for name in "abc":
        world.adopt(name, joint)
    world.run(99 * MS + MS // 10)  # a has just sent, naming 250 ms
    world.cut(("a", "b"), ("a", "c"))
    world.adopt("a", last)
    world.run(51 * MS)  # the echoes come
    world.isolate("a")
    world.run(600 * MS)


def v10_named_hold(guards: Guards) -> None:
    world = started("abc", guards)
    joint, last = _longer(world)
    world.drop = lambda message: message.sender == "a" and message.beat.lists is not None
    for name in "abc":
        world.adopt(name, joint)
    world.adopt("a", last)
    world.run(120 * MS)
    world.isolate("a")
    world.run(600 * MS)


def v11_shrink(guards: Guards) -> None:
    world = scene("abc", guards)
    world.segment = replace(world.segment, lists=(MemberList(("a", "b", "c"), 2, 100 * MS),))
    world.start()
    world.run(601 * MS)
    assert world.owners(X) == {"a"}
    world.adopt("a", grown(world.segment, "abc", 50 * MS))
    world.cut(("b", "a"), ("c", "a"))
    world.run(101 * MS)
    world.isolate("a")
    world.run(600 * MS)


def v12_silence(guards: Guards) -> None:
    world = started("abc", guards)
    world.cut(*both("a", "b"))
    world.run(300 * MS)
    world.cut(("c", "a"))
    world.crash("c")
    world.start("c")
    world.run(400 * MS)


def two_askers(guards: Guards) -> None:
    """Each thinks itself first, and asks at the same moment."""
    world = scene("ab", guards)
    each_first(world, "ab")


def two_askers_one_voter(guards: Guards) -> None:
    world = scene("abc", guards)
    each_first(world, "ab")


def each_first(world: World, askers: str) -> None:
    """Each of these learns of X at the same moment, ranked first itself."""
    world.wishes[X] = ()
    world.start()
    world.run(301 * MS)
    for name in askers:
        unfit(world, name, name, *(other for other in askers if other != name))
    world.run(1500 * MS)


def new_life(guards: Guards) -> None:
    """c knows a's former life up to a version that the new one has not reached."""
    world = started("abc", guards)
    unfit(world, "a", "b")
    world.run(100 * MS)
    assert world.owners(X) == {"b"}
    world.crash("a")
    world.cut(*both("a", "b"))
    world.run(20 * MS)
    world.wishes[X] = ("a", "b")
    world.start("a")
    world.run(600 * MS)


def other_version(guards: Guards) -> None:
    """b is in a newer Segment, where {d, e} are a quorum without it, and still grants X to a."""
    world = scene("abcde", guards, members="abc")
    world.cut(*both("a", "de"))
    world.start()
    world.run(301 * MS)
    world.no_api.add("a")
    world.drop = lambda message: message.receiver == "a" and message.beat.lists is not None
    world.write(grown(world.segment, "bde", 50 * MS))
    world.run(1500 * MS)


def every_list(guards: Guards) -> None:
    """d asks by the new list alone while a lives by the old one."""
    world = scene("abcdef", guards, members="abc")
    world.cut(*(pair for one in "abc" for pair in both(one, "def")))
    world.start()
    world.run(301 * MS)
    world.no_api.update("abc")
    world.write(grown(world.segment, "def", 50 * MS))
    world.run(300 * MS)


def epsilon(guards: Guards) -> None:
    """The owner's clock is slow, the voters' are fast; nothing takes time but the clocks."""
    world = scene("abc", guards, drift={"a": -9_000, "b": 9_000, "c": 9_000})
    world.net = Net(latency=(1000, 1000), watch=(MS, MS), write=(MS, MS))
    world.start("a")
    world.run(20 * MS)
    world.start("b", "c")
    world.run(400 * MS)
    assert world.owners(X) == {"a"}
    assert world.run(100 * MS, until=lambda: world.echoed("a"))
    world.isolate("a")
    world.run(300 * MS)


def gap(guards: Guards) -> None:
    """The voters miss the version in which a asked for X, and get the next one."""
    world = scene("abc", guards)
    world.wishes[X] = ()
    world.start()
    world.run(301 * MS)
    world.drop = lambda message: message.sender == "a"
    unfit(world, "a", "a")
    world.run(MS)
    world.drop = nothing
    world.wishes[Y] = ("a",)
    unfit(world, "a", "a")
    world.run(3 * MS // 10)
    unfit(world, "b", "b")
    world.run(40 * MS)


TRACES: Final[tuple[tuple[Callable[[Guards], None], tuple[str, ...]], ...]] = (
    (v1_regrant, ("r6_lapsed_grants", "r11_passed")),
    (v2_two_votes, ("r6_lapsed_grants",)),
    (v3_since, ("r9_since",)),
    (v4_tenure, ("r5_since",)),
    (v5_reboot, ("r5_echoed_incarnation", "r5_sent")),
    (v6_move, ("r9_named",)),
    (v7_third, ("r8_every_holder",)),
    (v7_renamed, ("r14_once",)),
    (v8_report, ("r15_settled",)),
    (v8_every_list, ("r17_every_list",)),
    (v9_fresh, ("r7_quorum_read",)),
    (v9_write_lost, ("r15_durable",)),
    (v10_counted_hold, ("r9_echoed_hold",)),
    (v10_named_hold, ("r5_named_hold",)),
    (v11_shrink, ("r5_longest_promise",)),
    (v12_silence, ("r7_silence",)),
    (v12_longer_than_silence, ("r7_durable",)),
    (two_askers, ("r8_own_claim",)),
    (two_askers_one_voter, ("r8_one_holder",)),
    (two_askers_one_voter, ("r9_refused",)),
    (new_life, ("r5_new_incarnation",)),
    (other_version, ("r9_version",)),
    (never_lower, ("r15_never_lower",)),
    (every_list, ("r9_every_list",)),
    (epsilon, ("r9_epsilon",)),
    (gap, ("c4_contiguous",)),
)
"""(script, guards without which it ends in two owners)."""
