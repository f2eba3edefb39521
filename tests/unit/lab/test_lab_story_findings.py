"""The verdicts of the lab's story: good samples pass, and each planted bad one fails."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lbprovider.lab.eyes.capture import Captured
from lbprovider.lab.eyes.frames import Address, Claim, Kind
from lbprovider.lab.eyes.judge import MS, Contest, Reply, Samples, Sent, Verdict, judge
from lbprovider.lab.story import findings

HOLD = 250 * MS
PERIOD = 2 * MS
NAMES = {"aa": "node1", "bb": "node2", "cc": "node3"}
A: Address = ip_address("198.51.100.200")
B: Address = ip_address("2001:db8:1::1000")


def samples(*owners: tuple[str, int, int], end: int = 2000, late: tuple[int, int] = (0, 0)) -> Samples:
    """A prober at work for ``end`` ms: owners answer in their time (MAC, from, to); it asks nothing in ``late``."""
    asked = [at * MS for at in range(0, end, 2) if not late[0] < at < late[1]]
    replies = [
        Reply(at + MS // 10, mac) for at in asked for mac, begin, until in owners if begin * MS <= at < until * MS
    ]
    sent = (Sent(at, max(late[0] * MS, 0) if late[0] and at == late[1] * MS else at) for at in asked)
    return Samples(PERIOD, tuple(sent), tuple(sorted(replies, key=lambda reply: reply.at)))


def verdict(*owners: tuple[str, int, int], late: tuple[int, int] = (0, 0)) -> Verdict:
    return judge(samples(*owners, late=late))


def node_of(mac: str) -> str:
    return NAMES.get(mac, mac)


MOST = 300 * MS


def failover(silent: int) -> Verdict:
    """node1 has the address for 500 ms, node2 after a silence of so many ms."""
    return verdict(("aa", 0, 500), ("bb", 500 + silent, 2000))


@pytest.mark.parametrize(("silent", "ok"), [(240, True), (296, True), (310, False), (1200, False)])
def test_a_silence_that_is_too_long_fails(silent: int, *, ok: bool) -> None:
    found = findings.silence("kill", failover(silent), MOST)
    assert found.ok is ok
    assert found.target == "≤ 300 ms"


def test_a_silence_is_excused_by_as_much_as_the_prober_itself_was_late() -> None:
    standing_still = verdict(("aa", 0, 500), ("bb", 1110, 2000), late=(500, 1000))
    assert findings.silence("kill", standing_still, MOST).ok
    assert "the prober itself late by" in findings.silence("kill", standing_still, MOST).seen
    longer = verdict(("aa", 0, 500), ("bb", 1600, 2000), late=(500, 1000))
    assert not findings.silence("kill", longer, MOST).ok


def test_what_is_seen_from_a_machine_that_stands_still_tells_nothing_but_for_two_owners() -> None:
    late = verdict(("aa", 0, 502), ("cc", 1600, 1700), ("bb", 1702, 2000), late=(500, 1000))
    for found in (
        findings.silence("kill", late, MOST),
        findings.moved("kill", late, node_of, "node1", "node2"),
        findings.answered("api", late),
    ):
        assert (found.ok, found.void) == (False, True), found
    punctual = verdict(("aa", 0, 502), ("cc", 1600, 1700), ("bb", 1702, 2000))
    for found in (
        findings.silence("kill", punctual, MOST),
        findings.moved("kill", punctual, node_of, "node1", "node2"),
        findings.answered("api", punctual),
    ):
        assert (found.ok, found.void) == (False, False), found
    both = verdict(("aa", 0, 1600), ("bb", 500, 2000), late=(500, 1000))
    assert (findings.owners("cut", both, ()).ok, findings.owners("cut", both, ()).void) == (False, False)


def test_nobody_answers_after_the_fault_fails() -> None:
    assert not findings.silence("kill", verdict(("aa", 0, 500)), MOST).ok


def test_one_owner_after_the_other_is_no_contest() -> None:
    assert findings.owners("cut", failover(240), ()).ok
    assert findings.owners("cut", failover(240), ()).seen == "0 ms"


@pytest.mark.parametrize("overlap", [4, 40, 400])
def test_two_that_answer_at_once_fail_however_short(overlap: int) -> None:
    found = findings.owners("cut", verdict(("aa", 0, 500 + overlap), ("bb", 500, 2000)), ())
    assert not found.ok
    assert "ms" in found.seen


def test_what_only_the_switch_saw_fails_too() -> None:
    seen = [Contest(5 * MS, 8 * MS, frozenset({"aa", "bb"}))]
    found = findings.owners("cut", failover(240), seen)
    assert (found.ok, found.seen) == (False, "1 times, up to 3.0 ms")


@pytest.mark.parametrize(
    ("seen", "old", "new", "ok"),
    [
        (failover(240), "node1", "node2", True),
        (failover(240), "node1", "node3", False),
        (failover(240), "node2", "node1", False),
        (verdict(("aa", 0, 500)), "node1", "node2", False),
        (verdict(("aa", 0, 2000)), "node1", "node1", False),
        (verdict(("aa", 0, 500), ("cc", 700, 900), ("bb", 1000, 2000)), "node1", "node2", False),
        (verdict(("aa", 0, 500), ("dd", 700, 2000)), "node1", "node2", False),
        (verdict(), "node1", "node2", False),
    ],
)
def test_an_address_moves_from_its_leader_to_the_new_one_alone(seen: Verdict, old: str, new: str, *, ok: bool) -> None:
    assert findings.moved("kill", seen, node_of, old, new).ok is ok


def test_a_request_without_an_answer_fails() -> None:
    whole = verdict(("aa", 0, 2000))
    assert findings.answered("api", whole).seen == "1000 of 1000 requests"
    assert findings.answered("api", whole).ok
    hole = verdict(("aa", 0, 500), ("aa", 502, 2000))
    assert findings.answered("api", hole).seen == "999 of 1000 requests"
    assert not findings.answered("api", hole).ok
    assert not findings.answered("api", replace(whole, requests=0)).ok, "a prober that asked nothing has seen nothing"


def test_all_that_was_wanted_has_to_come() -> None:
    took = {"a": 20 * MS, "b": 3 * MS}
    assert findings.complete("x", "address", ["a", "b"], took).seen == "2 of 2 within 20 ms"
    assert findings.complete("x", "address", ["a", "b"], took).ok
    assert findings.complete("x", "address", ["a", "b", "c"], took).seen == "2 of 3 within 20 ms"
    assert not findings.complete("x", "address", ["a", "b", "c"], took).ok
    assert not findings.complete("x", "address", ["c"], {}).ok


def test_an_answer_of_another_node_than_the_leader_fails() -> None:
    leaders = {A: "node1", B: "node2"}
    assert findings.served("x", "HTTP", {A: "node1", B: "node2"}, leaders).ok
    wrong = findings.served("x", "HTTP", {A: "node1", B: "node3"}, leaders)
    assert (wrong.ok, wrong.seen) == (False, f"{B} by node3")
    lacking = findings.served("x", "HTTP", {A: "node1"}, leaders)
    assert (lacking.ok, lacking.seen) == (False, f"{B} by nobody")
    assert not findings.served("x", "HTTP", {}, {}).ok, "nothing asked is nothing shown"


def gone(*owners: tuple[str, int, int], end: int = 4000) -> findings.Finding:
    """The Service is deleted at 1,000 ms."""
    return findings.gone("delete", samples(*owners, end=end).replies, 1000 * MS, end * MS)


def test_an_address_that_stays_or_comes_back_is_not_gone() -> None:
    assert gone(("aa", 0, 1020)).ok
    assert gone(("aa", 0, 1020)).seen == "after 18 ms"
    assert gone(("aa", 0, 1000)).ok, "gone before the API server said so"
    assert not gone(("aa", 0, 4000)).ok
    assert not gone(("aa", 0, 1020), ("aa", 3500, 3510)).ok
    assert not gone(("aa", 0, 1020), ("bb", 3900, 4000)).ok
    assert not gone(("aa", 0, 1020), end=2000).ok, "it was not looked at for long enough"
    assert not gone().ok, "it never was there"


def test_the_first_gratuitous_frame_of_each_address_counts() -> None:
    def claimed(at: int, address: Address, kind: Kind) -> Captured:
        return Captured(at, Claim(address, "aa", kind, "aa", "ff"))

    seen = [
        claimed(1, A, Kind.REPLY),
        claimed(2, A, Kind.GRATUITOUS),
        claimed(3, B, Kind.REQUEST),
        claimed(4, A, Kind.GRATUITOUS),
    ]
    announced = findings.Announced()
    assert times(announced.heed(seen[:3])) == {A: 2}
    assert times(announced.heed([*seen[3:], claimed(5, B, Kind.GRATUITOUS)])) == {A: 2, B: 5}


def times(announced: Mapping[Address, Captured]) -> dict[Address, int]:
    return {address: each.at for address, each in announced.items()}


def test_a_finding_that_failed_is_said_in_a_sentence() -> None:
    found = findings.silence("SIGKILL of the leader", failover(1200), MOST)
    assert str(found).startswith("SIGKILL of the leader: silence 120")
    assert str(found).endswith(", and should be ≤ 300 ms")


def test_times_are_rounded_to_what_can_be_read() -> None:
    assert [findings.milliseconds(each) for each in (0, 400_000, 12 * MS, 1234 * MS)] == [
        "0 ms",
        "0.4 ms",
        "12 ms",
        "1234 ms",
    ]
    assert findings.spread([each * MS for each in range(1, 101)]) == "p50 51 ms, p99 100 ms"
