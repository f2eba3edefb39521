"""What the speaker relies on at the door: vote and readiness, whom a node writes to, Segments that are replaced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbprovider.election.member import Member
from lbprovider.election.outcome import Lost, LostReason, Won, WonReason
from lbprovider.election.readiness import why_not_ready
from lbprovider.election.segment import MemberList, Segment, grown, majority
from lbprovider.wire.heartbeat import Delta, Full, Heartbeat, MemberLists, scope
from tests.sim.world import MS, SECOND, Message, World, nothing, successor

X = bytes((192, 0, 2, 1))
Y = bytes((192, 0, 2, 2))


def segment(*members: str, uid: str = "uid", version: int = 1, period: int = 50 * MS) -> Segment:
    return Segment(uid, "lan", version, (MemberList(members, majority(len(members)), period),))


def member(*, start: int = 0, node: str = "a") -> Member:
    one = Member(node, 1, start, "kube-system")
    one.candidate(usable=True, now=start)
    return one


def beat(sent: int, **fields: object) -> Heartbeat:
    base = Heartbeat(
        cluster=scope("kube-system"), segment=scope("uid"), node="b", to=scope("a"), incarnation=1, sent=sent, number=0,
        hold=250 * MS, version=1, settled=0, ver=0, candidate=True,
    )  # fmt: skip
    return replace(base, **fields)  # type: ignore[arg-type]


def test_without_a_segment_nothing_happens() -> None:
    one = member()
    assert one.tick(SECOND).datagrams == ()
    assert one.heard((beat(1),), SECOND).ignored == ("NoSegment",)
    assert why_not_ready(one, "a", SECOND) == "no Segment is known yet for this LAN"
    assert not one.votes(SECOND)
    assert not one.connected(SECOND)
    assert one.next_wake() > 1000 * SECOND


def test_the_vote_waits_for_a_quorum_read_and_says_so() -> None:
    one = member()
    one.adopt(segment("a", "b"), 0, quorum_read=False)
    waits = [one.needs_quorum_read]
    assert one.tick(SECOND).datagrams == ()
    assert why_not_ready(one, "a", SECOND) == "Segment lan was not yet read from the API server"
    assert one.adopt(segment("a", "b"), SECOND, quorum_read=True).datagrams
    assert [*waits, one.needs_quorum_read] == [True, False]
    assert why_not_ready(one, "a", SECOND) == "no quorum of Segment lan answers; heard: nobody"


def test_the_vote_waits_for_the_longest_hold_from_the_start() -> None:
    one = member(start=5 * SECOND)
    one.adopt(segment("a", period=100 * MS), 5 * SECOND, quorum_read=True)
    wake = 5 * SECOND + 500 * MS
    assert one.next_wake() == wake
    assert not one.votes(wake - 1)
    assert why_not_ready(one, "a", wake - 100 * MS) == (
        "silent on Segment lan for another 100 ms, until promises of a former start have ended"
    )
    assert one.tick(wake - 1).datagrams == ()
    one.tick(wake)
    assert one.votes(wake)
    assert why_not_ready(one, "a", wake) == ""


def test_between_two_lists_it_is_the_longer_hold_that_is_waited_for() -> None:
    one = member()
    joint = replace(segment("a"), lists=(*segment("a").lists, *segment("a", period=100 * MS).lists))
    one.adopt(joint, 0, quorum_read=True)
    assert one.next_wake() == 500 * MS


def test_a_longer_hold_that_comes_later_takes_no_vote_away() -> None:
    one = member()
    one.adopt(segment("a", "b"), 0, quorum_read=True)
    one.tick(250 * MS)
    one.adopt(segment("a", "b", version=2, period=1000 * MS), 300 * MS, quorum_read=False)
    assert one.votes(300 * MS)


def test_the_only_member_answers_at_once_and_as_long_as_it_lives() -> None:
    one = member()
    one.adopt(segment("a"), 0, quorum_read=True)
    assert one.wish({X: ("a",)}, 0).changes == ()
    assert one.tick(250 * MS).changes == (Won(X, WonReason.UNCLAIMED),)
    assert one.may_answer(X, 250 * MS)
    assert one.may_answer(X, 60 * SECOND), "a busy loop costs the only member nothing"
    assert one.deadline(X) == 250 * MS + 245 * MS, "the kernel's map must not outlive the process by more than a hold"
    assert not one.may_answer(Y, 250 * MS)
    assert one.deadline(Y) == 0


def test_an_address_that_is_no_longer_wished_is_lost_at_once() -> None:
    one = member()
    one.adopt(segment("a"), 0, quorum_read=True)
    one.wish({X: ("a",), Y: ("a",)}, 0)
    one.tick(250 * MS)
    assert one.wish({Y: ("a",)}, SECOND).changes == (Lost(X, LostReason.NO_SUCCESSOR),)
    assert not one.may_answer(X, SECOND)
    assert one.claims == (Y,)


def test_who_is_not_eligible_never_asks() -> None:
    one = member()
    one.adopt(segment("a"), 0, quorum_read=True)
    one.wish({X: ("b", "c")}, 0)
    assert one.tick(SECOND).changes == ()
    assert one.claims == ()


@pytest.mark.parametrize(
    ("foreign", "reason"),
    [
        ({"cluster": scope("another")}, "OtherCluster"),
        ({"to": scope("c")}, "NotForUs"),
        ({"segment": scope("another")}, "OtherSegment"),
        ({"node": "a"}, "OwnDatagram"),
    ],
)
def test_what_is_not_for_us_is_ignored_and_counted(foreign: dict[str, object], reason: str) -> None:
    one = member()
    one.adopt(segment("a", "b"), 0, quorum_read=True)
    assert one.heard((beat(1, **foreign),), 0).ignored == (reason,)
    assert one.hears(0) == ()


def test_a_node_that_is_no_member_yet_is_heard_and_answered() -> None:
    world = World("ab", members="a")
    world.wishes[X] = ("b", "a")
    world.start()
    world.run(SECOND)
    assert world.hears("a") == ("b",)
    assert world.hears("b") == ("a",)
    assert why_not_ready(world.member("b"), "b", world.nodes["b"].local(world.now)) == (
        "not a member of Segment lan yet: a majority of them has to hear this node; it hears a"
    )
    assert world.owners(X) == {"a"}, "who is not in force owns nothing, though it ranks first"


def test_a_new_segment_silences_the_node_until_old_promises_have_ended() -> None:
    world = World("abc")
    world.wishes[X] = ("a", "b", "c")
    world.start()
    world.run(SECOND)
    assert world.owners(X) == {"a"}
    anew = replace(world.segment, uid="anew")
    output = world.member("a").adopt(anew, world.nodes["a"].local(world.now), quorum_read=False)
    assert output.changes == (Lost(X, LostReason.SEGMENT_REPLACED),)
    assert output.datagrams == ()
    assert world.member("a").needs_quorum_read
    world.segment = anew
    for name in "abc":
        world.adopt(name, anew, quorum=True)
    world.run(249 * MS)
    assert world.owners(X) == set()
    world.run(SECOND)
    assert len(world.owners(X)) == 1


def test_a_new_segment_waits_for_the_old_ones_hold() -> None:
    one = member()
    one.adopt(segment("a", period=100 * MS), 0, quorum_read=True)
    one.tick(500 * MS)
    one.adopt(segment("a", uid="anew"), SECOND, quorum_read=True)
    assert not one.votes(SECOND + 500 * MS - 1)
    assert one.votes(SECOND + 500 * MS)


def test_a_version_that_asks_for_more_counts_at_once() -> None:
    world = owned_by_a("abcdef", members="abc")
    world.cut(*(("a", other) for other in "def"))
    world.run(SECOND)
    world.adopt("a", grown(world.segment, "def", 50 * MS))
    assert world.owners(X) == set()


def owned_by_a(nodes: str, members: str = "") -> World:
    world = World(nodes, members=members or nodes)
    world.start()
    world.run(SECOND)
    world.wish(X, *nodes)
    world.run(100 * MS)
    assert world.owners(X) == {"a"}
    return world


def test_nobody_is_named_who_can_not_take_it() -> None:
    """b takes nothing at the moment, c is no member yet: it is d's turn."""
    world = owned_by_a("abcd", members="abd")
    world.member("b").candidate(usable=False, now=world.nodes["b"].local(world.now))
    world.run(100 * MS)
    world.drain("a")
    assert successor(world.member("a"), X) == "d"


def test_nobody_asks_who_does_not_know_all_claims() -> None:
    """b says that it has newer claims than a knows: one of them may be for X."""
    world, _, newer = heard_twice()
    world.drop = nothing
    world.replay("a", replace(newer, changes=None))
    z = bytes((192, 0, 2, 3))
    world.wish(z, "a", only="a")
    assert z not in world.member("a").claims
    world.run(100 * MS)
    assert world.owners(z) == {"a"}


def test_a_peer_in_a_new_life_is_told_everything_at_once() -> None:
    world = owned_by_a("abc")
    world.crash("c")
    world.start("c")
    assert world.run(SECOND, until=lambda: world.member("c").votes(world.nodes["c"].local(world.now)))
    world.run(2 * MS)
    assert X in world.member("c")._peers.live["a"].known


def heard_twice() -> tuple[World, Heartbeat, Heartbeat]:
    """Two datagrams of b, an older and a newer one, both with news and with an echo; a has heard neither."""
    world = owned_by_a("abc")
    caught: list[Heartbeat] = []

    def keep(message: Message) -> bool:
        if (message.sender, message.receiver) == ("b", "a"):
            caught.append(message.beat)
            return True
        return False

    world.drop = keep
    world.wish(Y, "b", only="b")
    world.run(2 * MS)
    news = [one for one in caught if one.changes is not None and one.echo is not None]
    assert len(news) == 2
    return world, news[0], news[1]


def test_an_older_datagram_brings_its_versions_but_not_its_echo() -> None:
    world, older, newer = heard_twice()
    world.replay("a", newer)
    peer = world.member("a")._peers.live["b"]
    assert peer.kv < newer.ver, "a version is missing"
    assert older.echo is not None
    assert newer.echo is not None
    world.replay("a", replace(older, echo=replace(newer.echo, kv=0)))
    assert peer.kv == newer.ver
    assert world.member("a")._evidence.acknowledged("b") == newer.echo.kv
    assert peer.sent == newer.sent


def test_an_older_datagram_does_not_bring_a_silent_peer_back() -> None:
    world, older, newer = heard_twice()
    world.replay("a", newer)
    world.run(300 * MS)
    assert world.hears("a") == ("c",)
    world.replay("a", older)
    assert world.hears("a") == ("c",)
    assert world.member("a")._peers.claimants(Y) == ()


def test_a_drain_is_told_and_takes_nothing_new() -> None:
    world = World("ab")
    world.wishes[X] = ("a", "b")
    world.start()
    world.run(SECOND)
    world.drain("a")
    assert successor(world.member("a"), X) == "b"
    world.run(SECOND)
    assert world.owners(X) == {"b"}
    world.wish(Y, "a", "b")
    world.run(SECOND)
    assert world.owners(Y) == {"b"}
    assert not any(one.candidate for one in world.record("a", "b", 200 * MS))


def test_who_is_no_candidate_keeps_what_it_has_and_takes_nothing() -> None:
    world = World("ab")
    world.wishes[X] = ("a", "b")
    world.start()
    world.run(SECOND)
    world.member("a").candidate(usable=False, now=world.nodes["a"].local(world.now))
    world.wish(Y, "a", "b")
    world.run(SECOND)
    assert world.owners(X) == {"a"}
    assert world.owners(Y) == {"b"}


def test_a_node_that_leaves_the_members_hands_its_addresses_on() -> None:
    world = World("abc")
    world.wishes[X] = ("a", "b", "c")
    world.start()
    world.run(SECOND)
    joint = replace(world.segment, version=2, lists=(*world.segment.lists, MemberList(("b", "c"), 2)))
    world.write(joint)
    assert not world.run(3 * SECOND, until=lambda: not world.owners(X))
    assert world.segment.lists == (MemberList(("b", "c"), 2),)
    assert world.owners(X) == {"b"}


def test_nothing_of_a_peers_lists_is_taken_that_has_an_empty_list() -> None:
    one = member()
    one.adopt(segment("a", "b"), 0, quorum_read=True)
    lists = MemberLists(0, 1, ((1, 50, False), (1, 50, False)), (("b", 1),))
    one.heard((beat(1, version=7, lists=lists),), 0)
    assert one.segment == segment("a", "b")


def test_a_thousand_owned_addresses_cost_a_reply_no_more_than_one() -> None:
    """``may_answer`` looks at the claim alone while nothing got worse: no quorum is counted."""
    world = World("abc")
    world.wishes.update({bytes((10, 0, 0, last)): ("a", "b", "c") for last in range(200)})
    world.start()
    world.run(SECOND)
    one = world.member("a")
    now = world.nodes["a"].local(world.now)
    counted: list[int] = []
    one._evidence.refresh = lambda *_: counted.append(1)  # type: ignore[method-assign]
    assert all(one.may_answer(address, now) for address in world.wishes)
    assert counted == []


def test_changes_to_a_peer_that_may_be_dead_are_repeated_once_a_hold() -> None:
    world = World("abc")
    world.wishes[X] = ("a", "b", "c")
    world.start()
    world.run(SECOND)
    world.crash("c")
    world.run(SECOND)
    world.wish(Y, "a", "b")
    world.run(2 * MS)
    telling = [one for one in world.record("a", "c", SECOND) if isinstance(one.changes, Delta | Full)]
    assert 3 <= len(telling) <= 5
