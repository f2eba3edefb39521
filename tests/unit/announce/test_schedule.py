"""When announcements go out, in which order, how many at once."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scapy.layers.inet6 import ICMPv6ND_NA
from scapy.layers.l2 import ARP, Ether

from lbprovider.announce.pace import Pace
from lbprovider.announce.schedule import REFRESH, REPEATS, Announcement, Schedule

MS = 1_000_000
SECOND = 1000 * MS
MAC = bytes.fromhex("02aabbccdd01")
OTHER_MAC = bytes.fromhex("02aabbccdd77")
START = 50 * SECOND


def vip(number: int) -> bytes:
    return bytes((10, 0, number // 256, number % 256))


VIP6 = bytes.fromhex("20010db8000000000000000000000010")


def due(schedule: Schedule, now: int) -> list[Announcement]:
    """One round, as whoever shares the pace with nobody else has it."""
    schedule._pace.begin(now)
    return schedule.first(now) + schedule.rest(now)


def run(schedule: Schedule, start: int, end: int) -> list[tuple[int, Announcement]]:
    """Everything that is announced from start to end, when the caller wakes exactly as told."""
    seen: list[tuple[int, Announcement]] = []
    now = start
    while now <= end:
        seen += ((now, each) for each in due(schedule, now))
        wake = schedule.next_wake()
        if wake is None:
            break
        assert wake > now, "a caller would spin"
        now = wake
    return seen


def test_winning_an_ipv4_address_tells_both_forms_in_time() -> None:
    schedule = Schedule(Pace())
    schedule.won(vip(1), "eth0", MAC, START)
    seen = run(schedule, START, START + 5 * SECOND)
    assert [each.address for _, each in seen] == [vip(1)] * 12
    assert {each.interface for _, each in seen} == {"eth0"}
    forms = [(Ether(each.frame)[ARP].op, Ether(each.frame)[ARP].hwdst) for _, each in seen]
    assert forms == [(1, "00:00:00:00:00:00"), (2, "02:aa:bb:cc:dd:01")] * 6
    times = [when - START for when, _ in seen][::2]
    assert times == [0, *REPEATS]
    assert times[1] <= 20 * MS, "an owner of before may have answered last"
    assert 20 * MS < times[2] <= 200 * MS
    assert any(SECOND < after <= 2 * SECOND for after in times)
    assert times[-1] <= 5 * SECOND


def test_winning_an_ipv6_address_tells_all_nodes() -> None:
    schedule = Schedule(Pace())
    schedule.won(VIP6, "eth0", MAC, START)
    (first,) = due(schedule, START)
    seen = Ether(first.frame)
    assert (seen.dst, seen[ICMPv6ND_NA].S, seen[ICMPv6ND_NA].O) == ("33:33:00:00:00:01", 0, 1)


def test_then_every_ten_minutes() -> None:
    schedule = Schedule(Pace())
    schedule.won(VIP6, "eth0", MAC, START)
    times = [when for when, _ in run(schedule, START, START + 1801 * SECOND)]
    assert REFRESH == 600 * SECOND
    assert [later - earlier for earlier, later in itertools.pairwise(times[5:])] == [REFRESH] * 2
    assert len(times) == 8


def test_what_is_lost_is_never_told_again() -> None:
    schedule = Schedule(Pace())
    schedule.won(vip(1), "eth0", MAC, START)
    schedule.won(vip(2), "eth0", MAC, START)
    schedule.lost(vip(2))
    assert {each.address for each in due(schedule, START)} == {vip(1)}
    schedule.lost(vip(1))
    schedule.lost(vip(1))
    assert schedule.next_wake() is None
    assert due(schedule, START + 3600 * SECOND) == []


def test_a_link_that_returns_is_told_from_the_beginning_and_no_other() -> None:
    schedule = Schedule(Pace())
    for number, interface in ((1, "eth0"), (2, "eth1"), (3, "eth0")):
        schedule.won(vip(number), interface, MAC, START)
    later = START + 60 * SECOND
    run(schedule, START, later)
    schedule.again("eth0", later)
    seen = run(schedule, later, later + 5 * SECOND)
    assert [each.address for _, each in seen][::2] == [vip(1), vip(3)] * 6
    assert [when - later for when, _ in seen][::4] == [0, *REPEATS]


def test_a_new_hardware_address_is_told_from_the_beginning() -> None:
    schedule = Schedule(Pace())
    schedule.won(vip(1), "eth0", MAC, START)
    run(schedule, START, START + SECOND)
    schedule.won(vip(1), "eth0", OTHER_MAC, START + SECOND)
    seen = run(schedule, START + SECOND, START + 6 * SECOND)
    assert len(seen) == 12
    assert {each.frame[6:12] for _, each in seen} == {OTHER_MAC}


def test_a_thousand_addresses_are_told_within_a_second_in_the_order_of_winning() -> None:
    schedule = Schedule(Pace())
    for number in range(1000):
        schedule.won(vip(number), "eth0", MAC, START)
    seen = run(schedule, START, START + 10 * SECOND)
    first: dict[bytes, int] = {}
    second: dict[bytes, int] = {}
    for when, each in seen[::2]:
        (second if each.address in first else first).setdefault(each.address, when - START)
    assert list(first) == [vip(number) for number in range(1000)]
    assert max(first.values()) < SECOND
    assert max(second.values()) < 2 * SECOND
    assert min(second.values()) >= max(first.values()), "a repeat went out before a first announcement"


@pytest.mark.parametrize("per_second", [1, 15, 4000])
def test_the_pace_is_kept(per_second: int) -> None:
    schedule = Schedule(Pace(per_second))
    for number in range(1000):
        schedule.won(vip(number), "eth0", MAC, START)
    times = [when for when, _ in run(schedule, START, START + 4 * SECOND)]
    burst = max(2, per_second // 16)
    for window in range(START, START + 4 * SECOND, SECOND // 4):
        within = sum(window <= when < window + SECOND for when in times)
        assert within <= per_second + burst
    assert len(due(schedule, START + 3600 * SECOND)) <= burst


def test_repeats_that_come_too_late_are_left_out() -> None:
    schedule = Schedule(Pace())
    schedule.won(vip(1), "eth0", MAC, START)
    due(schedule, START)
    assert len(due(schedule, START + 3 * SECOND)) == 2
    assert due(schedule, START + 4 * SECOND) == []
    assert schedule.next_wake() == START + REPEATS[-1]


def test_a_defence_goes_before_repeats_and_after_first_announcements() -> None:
    schedule = Schedule(Pace())
    for number in (1, 2):
        schedule.won(vip(number), "eth0", MAC, START)
    due(schedule, START)
    now = START + REPEATS[0]
    schedule.won(vip(3), "eth0", MAC, now)
    schedule.defend(vip(2), now)
    schedule.defend(vip(3), now)  # it is about to be announced anyhow
    schedule.defend(vip(9), now)
    assert [each.address for each in due(schedule, now)][::2] == [vip(3), vip(2), vip(1)]


def test_a_defence_is_one_announcement_and_the_repeats_go_on() -> None:
    schedule = Schedule(Pace())
    schedule.won(vip(1), "eth0", MAC, START)
    due(schedule, START)
    schedule.defend(vip(1), START + SECOND)
    seen = run(schedule, START + SECOND, START + REFRESH + 5 * SECOND)
    after = [when - START for when, _ in seen][::2]
    assert after == [SECOND, *REPEATS[2:], REPEATS[-1] + REFRESH]


class Random(RuleBasedStateMachine):
    """Winning, losing and time in any order: only what is ours is told, and nothing piles up."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule(Pace(100))
        self.now = START
        self.ours: dict[bytes, str] = {}
        self.told_since_winning: dict[bytes, int] = {}

    @rule(number=st.integers(0, 9), interface=st.sampled_from(["eth0", "eth1"]))
    def win(self, number: int, interface: str) -> None:
        self.schedule.won(vip(number), interface, MAC, self.now)
        self.ours[vip(number)] = interface
        self.told_since_winning[vip(number)] = 0

    @rule(number=st.integers(0, 9))
    def lose(self, number: int) -> None:
        self.schedule.lost(vip(number))
        self.ours.pop(vip(number), None)

    @rule(number=st.integers(0, 9))
    def defend(self, number: int) -> None:
        self.schedule.defend(vip(number), self.now)

    @rule(interface=st.sampled_from(["eth0", "eth1"]))
    def link_returns(self, interface: str) -> None:
        self.schedule.again(interface, self.now)

    @rule(passed=st.sampled_from([0, MS, 30 * MS, 150 * MS, SECOND, 5 * SECOND, REFRESH]))
    def time_passes(self, passed: int) -> None:
        self.now += passed
        self.tell()

    @precondition(lambda self: self.schedule.next_wake() is not None)
    @rule()
    def wake(self) -> None:
        wake = self.schedule.next_wake()
        assert wake is not None
        self.now = max(self.now, wake)
        assert self.tell(), "woken for nothing"

    def tell(self) -> list[Announcement]:
        told = due(self.schedule, self.now)
        assert len(told) <= 6
        for each in told:
            assert self.ours[each.address] == each.interface
            self.told_since_winning[each.address] += 1
        return told

    @invariant()
    def sleeps_only_when_nothing_is_ours(self) -> None:
        assert (self.schedule.next_wake() is None) == (not self.ours)

    @invariant()
    def holds_each_address_once(self) -> None:
        assert sum(map(len, self.schedule._queues)) == len(self.ours)


Random.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRandom = Random.TestCase
