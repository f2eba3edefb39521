"""Rules 7 and 15 where a snapshot is kept: what may be said before it is on disk, and how a life begins from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbprovider.election.durable import NOTHING, Durable, either
from lbprovider.election.guards import ALL
from lbprovider.election.member import Member
from lbprovider.election.readiness import why_not_ready
from lbprovider.election.segment import MemberList, Segment, majority
from lbprovider.wire.heartbeat import Heartbeat, scope
from tests.sim.traces import KEPT, X, restored, started
from tests.sim.world import MS, SECOND

HOLD = 250 * MS


def segment(*members: str, version: int = 1, period: int = 50 * MS, uid: str = "uid") -> Segment:
    return Segment(uid, "lan", version, (MemberList(members, majority(len(members)), period),))


def member(durable: Durable | None) -> Member:
    one = Member("a", 1, 0, "kube-system")
    one.candidate(usable=True, now=0)
    one.durable(durable, 0)
    return one


def beat(hold: int) -> Heartbeat:
    return Heartbeat(
        cluster=scope("kube-system"), segment=scope("uid"), node="b", to=scope("a"), incarnation=1, sent=1, number=0,
        hold=hold, version=1, settled=0, ver=0, candidate=True,
    )  # fmt: skip


def settled(one: Member, now: int) -> int:
    """What its datagrams report."""
    (_, sent), *_ = one.tick(now).datagrams
    return sent.settled


def test_without_a_snapshot_nothing_waits_for_the_disk() -> None:
    one = member(None)
    one.adopt(segment("a", "b"), 0, quorum_read=True)
    assert settled(one, HOLD) == 0
    assert settled(one, 2 * HOLD) == 1


def test_a_version_is_reported_only_once_it_is_on_disk_and_voted_in_meanwhile() -> None:
    one = member(Durable("uid", 1, HOLD))
    one.adopt(segment("a", "b", version=2), 0, quorum_read=True)
    assert settled(one, HOLD) == 0
    assert settled(one, 10 * SECOND) == 0
    one.durable(Durable("uid", 2, HOLD), 10 * SECOND)
    assert settled(one, 11 * SECOND) == 2


def test_no_vote_before_the_segment_is_on_disk_at_all() -> None:
    one = member(NOTHING)
    one.adopt(segment("a", "b"), 0, quorum_read=True)
    assert one.tick(SECOND).datagrams == ()
    assert one.next_wake() > 1000 * SECOND, "only an input can change that"
    assert why_not_ready(one, "a", SECOND) == "Segment lan is not yet in the snapshot on disk"
    assert one.durable(Durable("uid", 1, HOLD), SECOND).datagrams != ()


def test_a_segment_that_was_made_anew_is_voted_in_once_it_is_on_disk() -> None:
    one = member(Durable("uid", 1, HOLD))
    one.adopt(segment("a"), 0, quorum_read=True)
    one.tick(HOLD)
    assert one.votes(HOLD)
    one.adopt(segment("a", uid="anew"), SECOND, quorum_read=True)
    assert not one.votes(10 * SECOND)
    one.durable(Durable("anew", 1, HOLD), 10 * SECOND)
    assert one.votes(10 * SECOND)


def test_no_promise_is_longer_than_the_silence_on_disk() -> None:
    one = member(Durable("uid", 1, HOLD))
    one.adopt(segment("a", "b"), 0, quorum_read=True)
    long = beat(HOLD + 1)
    output = one.heard((long,), SECOND)
    assert output.ignored == ("NotDurable",)
    assert {sent.echo for _, sent in output.datagrams} == {None}
    assert one.hears(SECOND) == ()
    assert one.heard((replace(long, hold=HOLD),), SECOND).ignored == ("",)
    assert one.hears(SECOND) == ("b",)


def test_what_is_owned_alone_is_lost_where_its_promise_outgrows_the_disk() -> None:
    """The kernel's map answers for a dead process too: its own vote is a promise as any other."""
    one = member(Durable("uid", 1, HOLD))
    one.adopt(segment("a"), 0, quorum_read=True)
    one.wish({X: ("a",)}, 0)
    one.tick(HOLD)
    assert one.may_answer(X, SECOND)
    one.adopt(segment("a", version=2, period=100 * MS), SECOND, quorum_read=False)
    assert not one.may_answer(X, SECOND)
    one.durable(Durable("uid", 2, 2 * HOLD), SECOND)
    one.tick(SECOND + HOLD)
    assert one.may_answer(X, SECOND + HOLD)


def test_the_silence_to_write_is_the_longest_promise_of_this_life() -> None:
    one = member(None)
    one.adopt(segment("a", "b"), 0, quorum_read=True)
    assert one.silence == HOLD
    one.adopt(segment("a", "b", version=2, period=100 * MS), 0, quorum_read=False)
    one.adopt(segment("a", "b", version=3), 0, quorum_read=False)
    assert one.silence == 2 * HOLD
    one.heard((beat(3 * HOLD),), 0)
    assert one.silence == 3 * HOLD, "a peer in a newer version named it, and it was promised"


def test_from_the_snapshot_it_votes_after_the_silence_that_was_written_with_it() -> None:
    one = member(Durable("uid", 1, 2 * HOLD))
    one.restore(segment("a"), 2 * HOLD, 0)
    assert not one.needs_quorum_read
    assert one.next_wake() == 2 * HOLD
    assert not one.votes(2 * HOLD - 1)
    assert one.votes(2 * HOLD)
    assert one.silence == 2 * HOLD


def test_a_newer_version_of_a_peer_counts_more_than_the_snapshot() -> None:
    one = member(None)
    one.restore(segment("a", "b", version=3), HOLD, 0)
    one.adopt(segment("a", "b", version=2), 0, quorum_read=False)
    assert one.segment == segment("a", "b", version=3)
    one.adopt(segment("a", "b", version=4), 0, quorum_read=False)
    assert one.segment == segment("a", "b", version=4)


def test_a_member_whose_report_was_on_disk_comes_back_to_it_and_votes_for_nobody_in_an_older_version() -> None:
    world = restored(ALL, stuck=False)
    assert world.member("c").segment is not None
    assert world.member("c").votes(world.nodes["c"].local(world.now))
    assert world.owners(X) == {"d"}


def test_all_come_back_from_their_snapshots_without_the_api_server() -> None:
    world = started("abc", ALL, net=KEPT)
    world.no_api.update("abc")
    for name in "abc":
        world.crash(name)
    world.run(SECOND)
    world.start(snapshot=True)
    assert not world.run(HOLD - MS, until=lambda: bool(world.owners(X)))
    assert world.run(HOLD, until=lambda: bool(world.owners(X)))


def test_a_slow_disk_loses_nothing_when_the_members_change() -> None:
    world = started("abcd", ALL, members="abc", net=replace(KEPT, fsync=(700 * MS, 900 * MS)))
    world.write(replace(world.segment, version=2, lists=(*world.segment.lists, MemberList(("a", "b", "c", "d"), 3))))
    assert not world.run(10 * SECOND, until=lambda: world.owners(X) != {"a"})
    assert world.segment.lists == (MemberList(("a", "b", "c", "d"), 3),)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Durable("u", 3, 5), Durable("u", 4, 2), Durable("u", 3, 2)),
        (Durable("u", 3, 5), Durable("v", 3, 5), NOTHING),
        (Durable("u", 3, 5), NOTHING, NOTHING),
    ],
)
def test_while_a_write_is_under_way_only_what_both_files_say_is_sure(
    one: Durable, other: Durable, expected: Durable
) -> None:
    assert either(one, other) == either(other, one) == expected
