"""The programs: what a kernel does with a question for an address of ours. Pure: bytes for ``syscalls.load``.

Each frame that an interface receives passes ``answerer``. It answers what ``announce.responder`` would answer, byte for
byte, or leaves the frame as it is to those who come next: other programs, taps, the stack, and our own sockets. What is
left: all that is no question, is malformed, tagged, overheard or our own, claims an address (gratuitous), asks for one
that is not in the table or past its deadline, and Neighbor Solicitations with more than one option.

The table maps ``layout.KEY`` to ``layout.ENTRY``, which names the word of the array that holds the deadline.
"""

from __future__ import annotations

import struct
from typing import Final

from lbprovider.net.bpf.assembler import Assembler, If, Op
from lbprovider.net.bpf.layout import (
    ADVERTISEMENT_SIZE,
    ANSWER,
    ANSWERED,
    ARP_HEAD,
    ARP_SENDER,
    ARP_SENDER_MAC,
    ARP_TARGET,
    ARP_TARGET_MAC,
    ASKED,
    DESTINATION,
    ENTRY_MAC,
    FLAGS,
    FOLLOWING,
    HOPS,
    KIND,
    LENGTH,
    MESSAGE,
    OPTION,
    OPTION_MAC,
    PACKET_TYPE,
    PROTOCOL,
    RECEIVER,
    SENDER,
    SOURCE,
    SUM,
    TAGGED,
    TARGET,
    VERSION,
)
from lbprovider.net.bpf.parts import (
    BOOT_TIME,
    BYTE,
    DOUBLE,
    GO_ON,
    HALF,
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    WHOLE,
    Parts,
    in_memory,
    loaded,
)
from lbprovider.wire import arp, ethernet, ndp

_NEXT: Final = -1  # TCX_NEXT: the frame goes on, as if this program were not there
_TO_ALL_OR_US: Final = 2  # PACKET_MULTICAST of if_packet.h; above it: overheard, our own, looped back
_MOST_AHEAD: Final = 10_000_000_000
"""Ns that our clock may differ from the kernel's: readings of one clock differ by far less, offsets by far more."""


def answerer(table: int, words: int) -> bytes:
    """Answers questions of an interface that gives whole Ethernet frames.

    Args:
        table: file descriptor of a hash map, ``KEY`` to ``ENTRY``.
        words: of an array of eight bytes each: counts, then deadlines.
    """
    return _Answerer(table, words).assemble()


def clock_check(now: int) -> bytes:
    """Returns 1 where the kernel's CLOCK_BOOTTIME is not what this process takes for it (a time namespace), else 0.

    Args:
        now: the process's clock, ns.
    """
    code = Assembler()
    code.call(BOOT_TIME)
    code.constant(R1, max(0, now - _MOST_AHEAD))
    code.move(R2, R0)
    code.move(R0, 1)
    code.jump_if(If.ABOVE, R1, R2, "end")
    code.constant(R1, now + _MOST_AHEAD)
    code.jump_if(If.ABOVE, R2, R1, "end")
    code.move(R0, 0)
    code.label("end")
    code.exit()
    return code.assemble()


class _Answerer(Parts):
    """R9 is whether an option of NDP names a hardware address."""

    def __init__(self, table: int, words: int) -> None:
        super().__init__(table, words)
        self.move(R6, R1)
        self._only_questions()
        self._answer_arp()
        self.label("ndp")
        self._answer_ndp()
        self.label(GO_ON)
        self.move(R0, _NEXT)
        self.exit()

    def _only_questions(self) -> None:
        # Most frames are neither, and go on after three instructions.
        self.load(WHOLE, R2, R6, PROTOCOL)
        self.jump_if(If.EQUAL, R2, in_memory(ethernet.ARP, 2), "ours?")
        self.jump_if(If.NOT_EQUAL, R2, in_memory(ethernet.IPV6, 2), GO_ON)
        self.label("ours?")
        self.load(WHOLE, R3, R6, TAGGED)
        self.jump_if(If.NOT_EQUAL, R3, 0, GO_ON)
        self.load(WHOLE, R3, R6, PACKET_TYPE)
        self.jump_if(If.ABOVE, R3, _TO_ALL_OR_US, GO_ON)
        self.jump_if(If.NOT_EQUAL, R2, in_memory(ethernet.ARP, 2), "ndp")

    # ---- ARP

    def _answer_arp(self) -> None:
        self.read(0, arp.FRAME.size)
        self.load(DOUBLE, R1, R10, ASKED + ARP_HEAD)
        self.constant(R2, loaded(arp.REQUEST_HEAD))
        self.jump_if(If.NOT_EQUAL, R1, R2, GO_ON)
        self.look_up(ARP_TARGET, 4)
        self.refuse_own(ASKED + SOURCE, ASKED + ARP_SENDER_MAC)
        self.refuse_group(ASKED + ARP_SENDER_MAC)
        self.refuse_claim(ARP_SENDER, ARP_TARGET, (HALF, 2))
        self.copy(6, ANSWER + DESTINATION, R10, ASKED + ARP_SENDER_MAC)
        self.copy(6, ANSWER + SOURCE, R7, ENTRY_MAC)
        self.store(HALF, R10, ANSWER + KIND, in_memory(ethernet.ARP, 2))
        self.constant(R1, loaded(arp.REPLY_HEAD))
        self.store(DOUBLE, R10, ANSWER + ARP_HEAD, R1)
        self.copy(6, ANSWER + ARP_SENDER_MAC, R7, ENTRY_MAC)
        self.copy(4, ANSWER + ARP_SENDER, R10, ASKED + ARP_TARGET)
        self.copy(6, ANSWER + ARP_TARGET_MAC, R10, ASKED + ARP_SENDER_MAC)
        self.copy(4, ANSWER + ARP_TARGET, R10, ASKED + ARP_SENDER)
        self.send(arp.FRAME.size, ANSWERED["IPv4"])

    # ---- NDP

    def _answer_ndp(self) -> None:
        self.read(0, OPTION)
        self._must_be_solicitation()
        self._must_sum_up()
        # The asker's hardware address, from the option if there is one, goes where the answer goes.
        self.copy(6, ANSWER + DESTINATION, R10, ASKED + SOURCE)
        self.jump_if(If.EQUAL, R9, 0, "no option")
        self.copy(6, ANSWER + DESTINATION, R10, ASKED + OPTION_MAC)
        self.label("no option")
        self.look_up(TARGET, 16)
        self.refuse_own(ASKED + SOURCE, ANSWER + DESTINATION)
        self.refuse_group(ANSWER + DESTINATION)
        self.refuse_claim(SENDER, TARGET, (DOUBLE, 8))
        self._address_advertisement()
        self.copy(6, ANSWER + SOURCE, R7, ENTRY_MAC)
        self.store(HALF, R10, ANSWER + KIND, in_memory(ethernet.IPV6, 2))
        head = struct.pack("!IHBB", 0x6000_0000, ADVERTISEMENT_SIZE - MESSAGE, ndp.ICMPV6, ndp.HOP_LIMIT)
        self.constant(R1, loaded(head))
        self.store(DOUBLE, R10, ANSWER + VERSION, R1)
        self.copy(16, ANSWER + SENDER, R10, ASKED + TARGET)
        self.copy(16, ANSWER + TARGET, R10, ASKED + TARGET)
        self.store(HALF, R10, ANSWER + OPTION, loaded(bytes((2, 1))))  # target link-layer address, 8 bytes
        self.copy(6, ANSWER + OPTION_MAC, R7, ENTRY_MAC)
        self.move(R4, ADVERTISEMENT_SIZE - SENDER)
        self.move(R5, in_memory(ADVERTISEMENT_SIZE - MESSAGE + ndp.ICMPV6, 2))
        self.sum(ANSWER)
        self.alu(Op.XOR, R0, 0xFFFF)
        self.store(HALF, R10, ANSWER + SUM, R0)
        self.send(ADVERTISEMENT_SIZE, ANSWERED["IPv6"])

    def _must_be_solicitation(self) -> None:
        self.load(BYTE, R1, R10, ASKED + VERSION)
        self.alu(Op.AND, R1, 0xF0)
        self.jump_if(If.NOT_EQUAL, R1, 0x60, GO_ON)
        for at, wanted in (
            (FOLLOWING, ndp.ICMPV6),
            (HOPS, ndp.HOP_LIMIT),
            (MESSAGE, ndp.SOLICITATION),
            (MESSAGE + 1, 0),
        ):
            self.load(BYTE, R1, R10, ASKED + at)
            self.jump_if(If.NOT_EQUAL, R1, wanted, GO_ON)
        for at in (SENDER, TARGET):  # multicast is neither
            self.load(BYTE, R1, R10, ASKED + at)
            self.jump_if(If.EQUAL, R1, ndp.ALL_NODES[0], GO_ON)

    def _must_sum_up(self) -> None:
        """Checks length, option and checksum; R9 = whether a source link-layer option is there."""
        bare, whole = OPTION - MESSAGE, ADVERTISEMENT_SIZE - MESSAGE
        self.move(R9, 0)
        self.load(HALF, R8, R10, ASKED + LENGTH)
        self.move(R4, OPTION - SENDER)
        self.jump_if(If.EQUAL, R8, in_memory(bare, 2), "sum")
        self.jump_if(If.NOT_EQUAL, R8, in_memory(whole, 2), GO_ON)
        self.read(OPTION, ADVERTISEMENT_SIZE - OPTION)
        self.load(BYTE, R1, R10, ASKED + OPTION + 1)
        self.jump_if(If.NOT_EQUAL, R1, 1, GO_ON)  # one unit of eight bytes, and no other fits
        self.move(R4, ADVERTISEMENT_SIZE - SENDER)
        self.load(BYTE, R1, R10, ASKED + OPTION)
        self.jump_if(If.NOT_EQUAL, R1, 1, "sum")  # RFC 4861 section 4.6.1; others, as a nonce, say nothing to us
        self.move(R9, 1)
        self.label("sum")
        self.move(R5, R8)
        self.alu(Op.ADD, R5, in_memory(ndp.ICMPV6, 2))
        self.sum(ASKED)
        self.jump_if(If.NOT_EQUAL, R0, 0xFFFF, GO_ON)

    def _address_advertisement(self) -> None:
        """To whom, and what the flags say of it: the asker, or everybody where the asker has no address yet."""
        self.load(DOUBLE, R1, R10, ASKED + SENDER)
        self.load(DOUBLE, R2, R10, ASKED + SENDER + 8)
        self.store(DOUBLE, R10, ANSWER + RECEIVER, R1)
        self.store(DOUBLE, R10, ANSWER + RECEIVER + 8, R2)
        self.move(R3, loaded(_flags(ndp.SOLICITED | ndp.OVERRIDE)))
        self.jump_if(If.NOT_EQUAL, R1, 0, "known")
        self.jump_if(If.NOT_EQUAL, R2, 0, "known")
        # Duplicate address detection: no option names a MAC (RFC 4861 section 7.1.1), and the group is the target's.
        self.jump_if(If.NOT_EQUAL, R9, 0, GO_ON)
        group = ndp.solicited_node(bytes(16))
        self.must_be(DOUBLE, RECEIVER, group[:8])
        self.must_be(WHOLE, RECEIVER + 8, group[8:12])
        self.must_be(BYTE, RECEIVER + 12, group[12:13])
        self.must_equal(BYTE, RECEIVER + 13, TARGET + 13)
        self.must_equal(HALF, RECEIVER + 14, TARGET + 14)
        self.put(ANSWER + RECEIVER, ndp.ALL_NODES)
        for at, part in enumerate(_halves(ndp.group_mac(ndp.ALL_NODES))):
            self.store(HALF, R10, ANSWER + DESTINATION + 2 * at, part)
        self.move(R3, loaded(_flags(ndp.OVERRIDE)))
        self.label("known")
        # Type, code and a checksum of 0 first; the flags take four bytes after them.
        self.store(WHOLE, R10, ANSWER + MESSAGE, loaded(bytes((ndp.ADVERTISEMENT, 0, 0, 0))))
        self.store(HALF, R10, ANSWER + FLAGS, R3)
        self.store(HALF, R10, ANSWER + FLAGS + 2, 0)


def _flags(flags: int) -> bytes:
    """The first half of the flags' four bytes; the rest is reserved."""
    return flags.to_bytes(4, "big")[:2]


def _halves(data: bytes) -> list[int]:
    return [loaded(data[at : at + 2]) for at in range(0, len(data), 2)]
