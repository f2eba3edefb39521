"""Probes before first use: how many, when, and when nobody's silence is long enough."""

from __future__ import annotations

from itertools import pairwise

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from lbprovider.announce.pace import Pace
from lbprovider.announce.probing import Probe, Probing

MS = 1_000_000
SECOND = 1000 * MS
START = 50 * SECOND
MAC, MAC_TEXT = bytes.fromhex("02aabbccdd01"), "02:aa:bb:cc:dd:01"
NOBODY = "0.0.0.0"  # noqa: S104 - a probe's sender
VIP6 = bytes.fromhex("20010db8000000000000000000000010")


def vip(number: int) -> bytes:
    return bytes((10, 0, number // 256, number % 256))


def run(probing: Probing, start: int) -> tuple[list[tuple[int, bytes]], dict[bytes, int]]:
    """The probes with their times, and when each address was found to be nobody's, for who wakes as told."""
    sent: list[tuple[int, bytes]] = []
    free: dict[bytes, int] = {}
    now = start
    while True:
        probing._pace.begin(now)
        sent += ((now, each.address) for each in probing.due(now))
        free.update(dict.fromkeys(probing.unanswered(now), now))
        wake = probing.next_wake()
        if wake is None:
            return sent, free
        assert wake > now, "a caller would spin"
        now = wake


@pytest.mark.parametrize(
    ("probe", "times", "end"),
    [
        pytest.param(Probe.SHORT, [0, 50 * MS, 100 * MS], 150 * MS, id="short"),
        pytest.param(Probe.FULL, [0, 1500 * MS, 3000 * MS], 5000 * MS, id="full"),
        pytest.param(Probe.OFF, [0, 50 * MS, 100 * MS], 150 * MS, id="off, but asked for all the same"),
    ],
)
def test_three_probes_and_a_wait(probe: Probe, times: list[int], end: int) -> None:
    probing = Probing("lan", Pace(), probe)
    probing.begin(vip(1), MAC, START)
    sent, free = run(probing, START)
    assert [when - START for when, _ in sent] == times
    assert free == {vip(1): START + end}
    assert len(probing) == 0


def test_the_full_form_keeps_to_the_rfc() -> None:
    probing = Probing("lan", Pace(), Probe.FULL)
    probing.begin(vip(1), MAC, 0)
    sent, free = run(probing, 0)
    assert len(sent) == 3  # PROBE_NUM
    assert all(SECOND <= later - earlier <= 2 * SECOND for (earlier, _), (later, _) in pairwise(sent))
    assert free[vip(1)] - sent[-1][0] == 2 * SECOND  # ANNOUNCE_WAIT


def test_a_probe_claims_nothing() -> None:
    probing = Probing("lan", Pace(), Probe.SHORT)
    probing._pace.begin(START)
    for address in (vip(1), VIP6):
        probing.begin(address, MAC, START)
    four, six = probing.due(START)
    assert four.is_probe
    asked = Ether(four.frame)[ARP]
    assert (asked.op, asked.psrc, asked.hwsrc, asked.pdst) == (1, NOBODY, MAC_TEXT, "10.0.0.1")
    seen = Ether(six.frame)
    assert (seen[IPv6].src, seen[ICMPv6ND_NS].tgt) == ("::", "2001:db8::10")
    assert ICMPv6NDOptSrcLLAddr not in seen


def test_one_that_was_answered_is_probed_no_more() -> None:
    probing = Probing("lan", Pace(), Probe.SHORT)
    for number in (1, 2):
        probing.begin(vip(number), MAC, START)
    probing._pace.begin(START)
    probing.due(START)
    assert vip(1) in probing
    probing.end(vip(1))
    probing.end(vip(1))
    assert vip(1) not in probing
    sent, free = run(probing, START + MS)
    assert {address for _, address in sent} == free.keys() == {vip(2)}


def test_one_that_begins_anew_is_asked_for_three_times_again() -> None:
    probing = Probing("lan", Pace(), Probe.SHORT)
    probing.begin(vip(1), MAC, START)
    probing._pace.begin(START)
    probing.due(START)
    probing.begin(vip(1), MAC, START + 20 * MS)
    sent, free = run(probing, START + 20 * MS)
    assert len(sent) == 3
    assert free == {vip(1): START + 170 * MS}


def test_a_late_loop_waits_for_answers_as_long_as_one_in_time() -> None:
    probing = Probing("lan", Pace(), Probe.SHORT)
    probing.begin(vip(1), MAC, START)
    now = START
    for late in (0, 300 * MS, 200 * MS):
        now += late
        probing._pace.begin(now)
        assert len(probing.due(now)) == 1
        assert probing.unanswered(now) == []
    assert probing.unanswered(now + 49 * MS) == []
    assert probing.unanswered(now + 50 * MS) == [vip(1)]


def test_a_thousand_at_once_keep_the_pace_and_end_soon() -> None:
    probing = Probing("lan", Pace(4000), Probe.SHORT)
    for number in range(1000):
        probing.begin(vip(number), MAC, START)
    sent, free = run(probing, START)
    assert len(sent) == 3000
    assert len(free) == 1000
    assert max(free.values()) - START < SECOND
    for window in range(START, START + SECOND, SECOND // 8):
        assert sum(window <= when < window + SECOND // 8 for when, _ in sent) <= 4000 // 8 + 250
