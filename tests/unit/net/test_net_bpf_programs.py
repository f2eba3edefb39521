"""What the program answers, run by an interpreter; tests/e2e/test_fast_path.py has the kernel run it."""

from __future__ import annotations

import random
import struct
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbprovider.announce.responder import Responder
from lbprovider.net.bpf import layout, programs
from lbprovider.net.bpf.parts import in_memory
from lbprovider.wire import arp, ethernet, ndp
from tests.fakes.bpf_machine import SENT, TABLE, WENT_ON, WORDS, Machine
from tests.fakes.questions import ASKER, ASKER4, ASKER6, LATE4, LATE6, OURS4, OURS6, Questions

MAC = bytes.fromhex("02aabbccddee")
NOW, LATER = 10_000, 20_000
HELD = {OURS4: LATER, OURS6: LATER, LATE4: NOW, LATE6: NOW}
PROGRAM = programs.answerer(TABLE, WORDS)


def _machine(*, now: int = NOW, packet_type: int = 1, tagged: bool = False) -> Machine:
    words = [0] * layout.FIRST_DEADLINE + list(HELD.values())
    table = {
        layout.KEY.pack(len(address), address): layout.ENTRY.pack(word, MAC)
        for word, address in enumerate(HELD, start=layout.FIRST_DEADLINE)
    }
    return Machine(now, table, words, packet_type, tagged)


def _question(target: bytes, sender: bytes = ASKER6, options: bytes = b"\x01\x01" + ASKER, group: bytes = b"") -> bytes:
    if len(target) == 4:
        head = (ethernet.BROADCAST, ASKER, ethernet.ARP, arp.REQUEST_HEAD)
        return arp.FRAME.pack(*head, ASKER, ASKER4, arp.NOBODY, target)
    group, length = group or ndp.solicited_node(target), 24 + len(options)
    head6 = (ndp.group_mac(group), ASKER, ethernet.IPV6, 0x6000_0000, length, ndp.ICMPV6, 255, sender, group, 135, 0)
    bare = ndp.FRAME.pack(*head6, 0, 0, target) + options
    return ndp.FRAME.pack(*head6, ndp.checksum(sender, group, bare[ndp.MESSAGE :]), 0, target) + options


def _answer(target: bytes) -> bytes:
    if len(target) == 4:
        return arp.reply(target, MAC, ASKER4, ASKER)
    return ndp.advertisement(target, MAC, ASKER6, ASKER)


@pytest.mark.parametrize("target", [OURS4, OURS6])
def test_a_question_is_answered_and_counted(target: bytes) -> None:
    machine = _machine()
    assert machine.run(PROGRAM, _question(target)) == (SENT, _answer(target))
    family = "IPv4" if len(target) == 4 else "IPv6"
    assert {each: machine.words[word] for each, word in layout.ANSWERED.items()} == {"IPv4": 0, "IPv6": 0} | {family: 1}


@pytest.mark.parametrize("target", [OURS4, OURS6])
@pytest.mark.parametrize(
    ("machine", "why"),
    [
        (_machine(now=LATER), "at the deadline"),
        (_machine(now=LATER + 1), "past it"),
        (_machine(packet_type=3), "sent to somebody else, and overheard"),
        (_machine(packet_type=4), "sent by ourselves"),
        (_machine(tagged=True), "of a VLAN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_question_goes_on_unchanged(machine: Machine, why: str, target: bytes) -> None:
    assert machine.run(PROGRAM, _question(target)) == (WENT_ON, _question(target)), why
    assert machine.words[: layout.FIRST_DEADLINE] == [0, 0]


def test_one_nanosecond_before_the_deadline_is_early_enough() -> None:
    assert _machine(now=LATER - 1).run(PROGRAM, _question(OURS4))[0] == SENT


def test_everybody_is_told_where_somebody_is_about_to_take_an_address() -> None:
    group = ndp.solicited_node(OURS6)
    frame = _question(OURS6, ndp.UNSPECIFIED, b"")
    assert _machine().run(PROGRAM, frame) == (SENT, ndp.unsolicited(OURS6, MAC))
    for at in range(len(group)):
        another = group[:at] + bytes((group[at] ^ 1,)) + group[at + 1 :]
        frame = _question(OURS6, ndp.UNSPECIFIED, b"", another)
        assert _machine().run(PROGRAM, frame) == (WENT_ON, frame), at


def test_a_sum_that_carries_twice_is_right() -> None:
    # Word by word the advertisement sums up to carries << 16 | rest; this asker makes rest + carries overflow again.
    bare = ndp.advertisement(OURS6, MAC, bytes(16), ASKER)
    words = struct.unpack(f"={(len(bare) - layout.SENDER) // 2}H", bare[layout.SENDER :])
    summed = words[(layout.SUM - layout.SENDER) // 2]
    rest = (sum(words) - summed + in_memory(32 + ndp.ICMPV6, 2)) & 0xFFFF
    sender = bytes(14) + (0xFFFF - rest).to_bytes(2, sys.byteorder)
    assert _machine().run(PROGRAM, _question(OURS6, sender)) == (SENT, ndp.advertisement(OURS6, MAC, sender, ASKER))


def test_an_option_of_no_length_is_not_taken_for_the_end() -> None:
    # It sums up to nothing, so the first option alone would do.
    frame = _question(OURS6, options=b"\x01\x01" + ASKER + bytes.fromhex("0000ffff00000000"))
    assert _machine().run(PROGRAM, frame) == (WENT_ON, frame)


@given(seed=st.integers(0, 1 << 64))
@settings(max_examples=80, deadline=None)
def test_it_answers_as_the_responder_does_but_for_more_than_one_option(seed: int) -> None:
    responder = Responder(lambda address, now: HELD[address] > now)
    for address in HELD:
        responder.hold(address, "lan", MAC)
    made = Questions(random.Random(seed), MAC, MAC)  # noqa: S311 - it has to be repeatable
    machine = _machine()
    for _ in range(40):
        frame = made.frame()
        expected = responder.answer(frame, "lan", NOW)
        result, left = machine.run(PROGRAM, frame)
        if result == SENT:
            assert left == expected, frame.hex()
        else:
            assert (result, left) == (WENT_ON, frame)
            options = frame[12:14] == b"\x86\xdd" and frame[18:20] not in {b"\x00\x18", b"\x00\x20"}
            assert expected is None or options, frame.hex()


def test_the_random_frames_reach_every_answer() -> None:
    made = Questions(random.Random(7), MAC, MAC)  # noqa: S311 - as above
    machine, seen = _machine(), Counter[tuple[bytes, bool]]()
    for _ in range(5000):
        frame = made.frame()
        result, left = machine.run(PROGRAM, frame)
        if result == SENT:
            seen[left[12:14], left[:2] == b"\x33\x33"] += 1
    assert set(seen) == {(b"\x08\x06", False), (b"\x86\xdd", False), (b"\x86\xdd", True)}
    assert min(seen.values()) >= 10


@pytest.mark.parametrize(
    ("ahead", "result"), [(0, 0), (1_000_000, 0), (-1_000_000, 0), (60_000_000_000, 1), (-60_000_000_000, 1)]
)
def test_another_clock_is_noticed(ahead: int, result: int) -> None:
    kernel = 1_000_000_000_000
    assert Machine(kernel).run(programs.clock_check(kernel + ahead), bytes(14))[0] == result


def test_a_program_is_within_what_every_kernel_takes() -> None:
    assert len(PROGRAM) // struct.calcsize("=BBhi") < 4096  # BPF_MAXINSNS
