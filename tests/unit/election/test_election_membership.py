from __future__ import annotations

from collections.abc import Mapping

import pytest

from lbprovider.api.registration import Attachment, Registration
from lbprovider.api.segment import MemberList, SegmentSpec
from lbprovider.election.membership import Plan, Why, next_segment, unheard_members

LAN = "192.0.2.0-24"
SUBNETS = ("192.0.2.0/24",)


def registered(
    hears: Mapping[str, str], *, version: int = 0, lists: tuple[MemberList, ...] = ()
) -> dict[str, Registration]:
    """Speakers by node, each with the nodes (one letter each) that it hears."""
    return {
        node: Registration(
            incarnation=1,
            attachments=(
                Attachment(segment="other", interface="eth1", address="", mac="", hears=("z",)),
                Attachment(
                    segment=LAN, interface="eth0", address="", mac="", subnets=SUBNETS, hears=tuple(heard),
                    version=version, lists=lists,
                ),
            ),
        )
        for node, heard in hears.items()
    }  # fmt: skip


def members(*nodes: str, period: int | None = None) -> MemberList:
    return MemberList(members=nodes, need=len(nodes) // 2 + 1, heartbeat_period=period)


def segment(*lists: MemberList, version: int = 1, period: int | None = None) -> SegmentSpec:
    return SegmentSpec(subnets=SUBNETS, version=version, lists=lists, heartbeat_period=period)


def plan(current: SegmentSpec | None, hears: Mapping[str, str]) -> Plan:
    """With members that have registered what they hear since they are in the present version."""
    return next_segment(LAN, current, registered(hears, version=0 if current is None else current.version))


def test_the_first_speaker_begins_alone() -> None:
    made = plan(None, {"c": "", "b": "c"})
    assert made.why is Why.CREATED
    assert made.spec == SegmentSpec(subnets=SUBNETS, version=1, lists=(members("b"),))


def test_a_lan_without_subnets_is_known_by_its_interface() -> None:
    bare = {
        "a": Registration(incarnation=1, attachments=(Attachment(segment=LAN, interface="eth7", address="", mac=""),))
    }
    made = next_segment(LAN, None, bare)
    assert made.spec is not None
    assert (made.spec.subnets, made.spec.interface) == ((), "eth7")


def test_nobody_there_nothing_to_do() -> None:
    assert plan(None, {}).spec is None
    assert next_segment("elsewhere", None, registered({"a": ""})).spec is None


def test_all_that_a_majority_hears_join_at_once() -> None:
    made = plan(segment(members("a")), {"a": "bc", "b": "a", "c": "a", "d": ""})
    assert made.why is Why.GROWN
    assert made.spec == segment(members("a"), members("a", "b", "c"), version=2)
    assert made.message == f"Segment {LAN} adds b, c"


@pytest.mark.parametrize(
    ("hears", "joins"),
    [
        ({"a": "d", "b": "d", "c": "", "d": "abc"}, True),
        ({"a": "d", "b": "", "c": "", "d": "abc"}, False),  # one of three is no majority
        ({"a": "d", "d": "abc"}, False),  # members that aren't registered hear nothing
        ({"a": "", "b": "", "c": "", "d": "abc"}, False),  # that it hears them doesn't count
    ],
)
def test_a_node_joins_only_if_a_majority_of_the_members_hear_it(hears: dict[str, str], *, joins: bool) -> None:
    made = plan(segment(members("a", "b", "c"), version=5), hears)
    assert (made.spec is not None) is joins
    if not joins:
        assert made.why is Why.NODES_UNHEARD
        assert made.unheard == ("d",)
        assert "UDP 7472" in made.message


def test_members_that_are_gone_stay_members() -> None:
    made = plan(segment(members("a", "b", "c")), {"a": "b", "b": "a"})
    assert made == Plan(Why.SETTLED, f"Segment {LAN} has 3 members, 2 live", None, live=2)


def test_a_change_is_not_begun_before_the_last_is_over() -> None:
    made = plan(segment(members("a"), members("a", "b"), version=2), {"a": "bc", "b": "ac", "c": "ab"})
    assert (made.why, made.spec) == (Why.CHANGING, None)
    assert made.live == 2


def test_a_new_period_comes_as_a_new_list() -> None:
    made = plan(segment(members("a"), period=200), {"a": ""})
    assert made.why is Why.PERIOD_CHANGED
    assert made.spec == segment(members("a"), members("a", period=200), version=2, period=200)
    back = plan(segment(members("a", period=200), version=3), {"a": ""})
    assert back.spec == segment(members("a", period=200), members("a"), version=4)


LOST = (members("a", "b", "c"),)


def test_after_a_restored_backup_the_speakers_version_goes_on() -> None:
    here = registered({"a": "bc", "b": "ac"}, version=9, lists=LOST)
    made = next_segment(LAN, segment(members("a"), version=4), here)
    assert made.why is Why.RESTORED
    assert made.spec == segment(*LOST, version=10)


def test_after_a_deletion_too() -> None:
    here = registered({"a": "bc", "b": "ac"}, version=9, lists=LOST)
    assert next_segment(LAN, None, here).spec == segment(*LOST, version=10)


def test_without_a_quorum_of_the_lost_version_it_waits() -> None:
    here = registered({"a": ""}, version=9, lists=LOST)
    made = next_segment(LAN, segment(members("a"), version=4), here)
    assert (made.why, made.spec) == (Why.RESTORING, None)
    assert "lost version 9" in made.message


def test_deleting_the_segment_of_a_lost_quorum_begins_anew() -> None:
    here = registered({"a": ""}, version=9, lists=LOST)
    assert next_segment(LAN, None, here).spec == segment(members("a"), version=1)


def test_the_order_of_the_speakers_does_not_matter() -> None:
    hears = {"c": "ab", "b": "ac", "a": "bc"}
    shuffled = dict(reversed(hears.items()))
    assert plan(None, hears) == plan(None, shuffled)
    assert plan(segment(members("a")), hears) == plan(segment(members("a")), shuffled)


@pytest.mark.parametrize(
    ("hears", "renewed", "missing"),
    [
        ({"a": "b", "b": "a", "c": ""}, "abc", "c"),  # its Lease doesn't save it
        ({"a": "bc", "b": "a", "c": "ab"}, "ab", ""),  # cut from the API server, and alive
        ({"a": "", "b": "c", "c": "b"}, "a", "abc"),  # what the dead registered is from before
        ({"a": "b", "b": "a"}, "ab", "c"),  # gone with its Lease
    ],
)
def test_a_member_is_judged_by_who_hears_it(hears: Mapping[str, str], renewed: str, missing: str) -> None:
    found = unheard_members(LAN, segment(members("a", "b", "c")), registered(hears), renewed)
    assert found == frozenset(missing)


def test_the_dead_are_taken_off_the_list() -> None:
    there = segment(members("a", "b", "c"))
    made = next_segment(LAN, there, registered({"a": "b", "b": "a"}), frozenset("c"))
    assert made.why is Why.RETIRED
    assert made.spec == segment(members("a", "b", "c"), members("a", "b"), version=2)
    assert made.message == f"Segment {LAN} removes c, which no member hears any more"


def test_who_comes_and_who_goes_change_places_at_once() -> None:
    there = segment(members("a", "b", "c"))
    made = next_segment(LAN, there, registered({"a": "bd", "b": "ad", "d": "ab"}, version=1), frozenset("c"))
    assert made.spec == segment(members("a", "b", "c"), members("a", "b", "d"), version=2)


def test_nobody_is_taken_off_where_too_few_are_left_to_settle_it() -> None:
    there = segment(members("a", "b", "c"))
    assert next_segment(LAN, there, registered({"a": ""}), frozenset("bc")).spec is None


def test_what_a_member_heard_before_the_present_version_adds_nobody() -> None:
    """b was left off because it died: a's registration is from before."""
    there = segment(members("a"), version=5)
    assert next_segment(LAN, there, registered({"a": "b", "b": "a"}, version=4)).spec is None
    assert next_segment(LAN, there, registered({"a": "b", "b": "a"}, version=5)).why is Why.GROWN


def test_after_a_backup_what_went_on_from_too_little_is_mended() -> None:
    """The Leases were old as well: they told of version 8, and the members are in a 9 of their own."""
    here = registered({"a": "bc", "b": "ac"}, version=9, lists=LOST)
    made = next_segment(LAN, segment(members("a", "b", "c"), members("a", "b", "c", period=60), version=9), here)
    assert made.why is Why.RESTORED
    assert made.spec == segment(*LOST, version=10)
    assert next_segment(LAN, segment(*LOST, version=9), here).why is not Why.RESTORED
