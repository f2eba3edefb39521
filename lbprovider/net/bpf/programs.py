"""The programs: what a kernel does with a question for an address of ours. Pure: bytes for ``syscalls.load``.

Each frame that an interface receives passes ``answerer``. It answers what ``announce.responder`` would answer, byte for
byte, or leaves the frame as it is to those who come next: other programs, taps, the stack, and our own sockets. What is
left: all that is no question, is malformed, tagged, overheard or our own, claims an address (gratuitous), asks for one
that is not in the table or past its deadline, and Neighbor Solicitations with more than one option.

The table maps ``KEY`` to ``ENTRY``; the entry names the word of the array that holds the address's deadline.
"""

from __future__ import annotations

import struct
import sys
from typing import Final

from lbprovider.net.bpf.assembler import Assembler, If, Op, Register, Size
from lbprovider.wire import arp, ethernet, ndp

KEY: Final = struct.Struct("=I16s")
"""Bytes of the packed address, and the address, filled up with zeros."""
ENTRY: Final = struct.Struct("=I6s2x")
"""Which word holds the deadline (ns of CLOCK_BOOTTIME), and the hardware address to answer with."""
ANSWERED: Final = {"IPv4": 0, "IPv6": 1}
"""The words that count answers, by family."""
FIRST_DEADLINE: Final = 2
"""The first word that may hold a deadline."""

_NEXT: Final = -1  # TCX_NEXT: the frame goes on, as if this program were not there
_MOST_AHEAD: Final = 10_000_000_000
"""Ns that our clock may differ from the kernel's: readings of one clock differ by far less, offsets are far more."""

_LOOK_UP: Final = 1  # enum bpf_func_id, as are the next
_STORE_BYTES: Final = 9
_REDIRECT: Final = 23
_LOAD_BYTES: Final = 26
_CHECKSUM: Final = 28
_CHANGE_TAIL: Final = 38
_BOOT_TIME: Final = 125
_KEEP_CHECKSUM: Final = 1  # BPF_F_RECOMPUTE_CSUM: what a NIC has summed stays right

_PACKET_TYPE: Final = 4  # struct __sk_buff, as are the next
_PROTOCOL: Final = 16
_TAGGED: Final = 20
_INTERFACE: Final = 40
_TO_ALL_OR_US: Final = 2  # PACKET_MULTICAST of if_packet.h; above it: overheard, our own, looped back

# Frames, as wire.arp.FRAME and wire.ndp.FRAME have them.
_DESTINATION: Final = 0
_SOURCE: Final = 6
_KIND: Final = 12
_ARP_HEAD: Final = 14
_ARP_SENDER_MAC: Final = 22
_ARP_SENDER: Final = 28
_ARP_TARGET_MAC: Final = 32
_ARP_TARGET: Final = 38
_VERSION: Final = 14
_LENGTH: Final = 18
_FOLLOWING: Final = 20
_HOPS: Final = 21
_SENDER: Final = 22
_RECEIVER: Final = 38
_MESSAGE: Final = 54
_SUM: Final = 56
_FLAGS: Final = 58
_TARGET: Final = 62
_OPTION: Final = 78
_OPTION_MAC: Final = 80
_LONGEST: Final = 86

# The stack, from its top down. What the frames keep at 14 + 8n is aligned, as the verifier wants it.
_ASKED: Final = -94
_ANSWER: Final = -190
_KEY: Final = -216
_WORD: Final = -220

_BYTE, _HALF, _WHOLE, _DOUBLE = Size.BYTE, Size.HALF, Size.WORD, Size.DOUBLE
R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = Register

_GO_ON: Final = "go on"


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
    code.call(_BOOT_TIME)
    code.constant(R1, max(0, now - _MOST_AHEAD))
    code.alu(Op.MOVE, R2, R0)
    code.move(R0, 1)
    code.jump_if(If.ABOVE, R1, R2, "end")
    code.constant(R1, now + _MOST_AHEAD)
    code.jump_if(If.ABOVE, R2, R1, "end")
    code.move(R0, 0)
    code.label("end")
    code.exit()
    return code.assemble()


def _in_memory(number: int, size: int) -> int:
    """A number of network order as a load of it gives it."""
    return int.from_bytes(number.to_bytes(size, "big"), sys.byteorder)


def _loaded(data: bytes) -> int:
    """Bytes as a load of them gives them."""
    return int.from_bytes(data, sys.byteorder)


class _Answerer(Assembler):
    """R6 is the context, R7 the entry once it is found, R8 its deadline, R9 whether an option of NDP names a MAC."""

    def __init__(self, table: int, words: int) -> None:
        super().__init__()
        self._table = table
        self._words = words
        self._labels_made = 0
        self.move(R6, R1)
        self._only_questions()
        self._answer_arp()
        self.label("ndp")
        self._answer_ndp()
        self.label(_GO_ON)
        self.move(R0, _NEXT)
        self.exit()

    def _only_questions(self) -> None:
        # Most frames are neither, and go on after three instructions.
        self.load(_WHOLE, R2, R6, _PROTOCOL)
        self.jump_if(If.EQUAL, R2, _in_memory(ethernet.ARP, 2), "ours?")
        self.jump_if(If.NOT_EQUAL, R2, _in_memory(ethernet.IPV6, 2), _GO_ON)
        self.label("ours?")
        self.load(_WHOLE, R3, R6, _TAGGED)
        self.jump_if(If.NOT_EQUAL, R3, 0, _GO_ON)
        self.load(_WHOLE, R3, R6, _PACKET_TYPE)
        self.jump_if(If.ABOVE, R3, _TO_ALL_OR_US, _GO_ON)
        self.jump_if(If.NOT_EQUAL, R2, _in_memory(ethernet.ARP, 2), "ndp")

    # ---- ARP

    def _answer_arp(self) -> None:
        self._read(0, arp.FRAME.size)
        self.load(_DOUBLE, R1, R10, _ASKED + _ARP_HEAD)
        self.constant(R2, _loaded(arp.REQUEST_HEAD))
        self.jump_if(If.NOT_EQUAL, R1, R2, _GO_ON)
        self._look_up(_ARP_TARGET, 4)
        self._refuse_own(_ASKED + _SOURCE, _ASKED + _ARP_SENDER_MAC)
        self._refuse_group(_ASKED + _ARP_SENDER_MAC)
        self._refuse_claim(_ARP_SENDER, _ARP_TARGET, (_HALF, 2))
        self._copy(6, _ANSWER + _DESTINATION, R10, _ASKED + _ARP_SENDER_MAC)
        self._copy(6, _ANSWER + _SOURCE, R7, 4)
        self.store(_HALF, R10, _ANSWER + _KIND, _in_memory(ethernet.ARP, 2))
        self.constant(R1, _loaded(arp.REPLY_HEAD))
        self.store(_DOUBLE, R10, _ANSWER + _ARP_HEAD, R1)
        self._copy(6, _ANSWER + _ARP_SENDER_MAC, R7, 4)
        self._copy(4, _ANSWER + _ARP_SENDER, R10, _ASKED + _ARP_TARGET)
        self._copy(6, _ANSWER + _ARP_TARGET_MAC, R10, _ASKED + _ARP_SENDER_MAC)
        self._copy(4, _ANSWER + _ARP_TARGET, R10, _ASKED + _ARP_SENDER)
        self._send(arp.FRAME.size, ANSWERED["IPv4"])

    # ---- NDP

    def _answer_ndp(self) -> None:
        self._read(0, _OPTION)
        self._must_be_solicitation()
        self._must_sum_up()
        # The asker's hardware address, from the option if there is one, goes where the answer goes.
        self._copy(6, _ANSWER + _DESTINATION, R10, _ASKED + _SOURCE)
        self.jump_if(If.EQUAL, R9, 0, "no option")
        self._copy(6, _ANSWER + _DESTINATION, R10, _ASKED + _OPTION_MAC)
        self.label("no option")
        self._look_up(_TARGET, 16)
        self._refuse_own(_ASKED + _SOURCE, _ANSWER + _DESTINATION)
        self._refuse_group(_ANSWER + _DESTINATION)
        self._refuse_claim(_SENDER, _TARGET, (_DOUBLE, 8))
        self._address_advertisement()
        self._copy(6, _ANSWER + _SOURCE, R7, 4)
        self.store(_HALF, R10, _ANSWER + _KIND, _in_memory(ethernet.IPV6, 2))
        head = struct.pack("!IHBB", 0x6000_0000, _LONGEST - _MESSAGE, ndp.ICMPV6, ndp.HOP_LIMIT)
        self.constant(R1, _loaded(head))
        self.store(_DOUBLE, R10, _ANSWER + _VERSION, R1)
        self._copy(16, _ANSWER + _SENDER, R10, _ASKED + _TARGET)
        self._copy(16, _ANSWER + _TARGET, R10, _ASKED + _TARGET)
        self.store(_HALF, R10, _ANSWER + _OPTION, _loaded(bytes((2, 1))))  # target link-layer address, 8 bytes
        self._copy(6, _ANSWER + _OPTION_MAC, R7, 4)
        self.move(R4, _LONGEST - _SENDER)
        self.move(R5, _in_memory(_LONGEST - _MESSAGE + ndp.ICMPV6, 2))
        self._sum(_ANSWER)
        self.alu(Op.XOR, R0, 0xFFFF)
        self.store(_HALF, R10, _ANSWER + _SUM, R0)
        self._send(_LONGEST, ANSWERED["IPv6"])

    def _must_be_solicitation(self) -> None:
        self.load(_BYTE, R1, R10, _ASKED + _VERSION)
        self.alu(Op.AND, R1, 0xF0)
        self.jump_if(If.NOT_EQUAL, R1, 0x60, _GO_ON)
        for at, wanted in (
            (_FOLLOWING, ndp.ICMPV6),
            (_HOPS, ndp.HOP_LIMIT),
            (_MESSAGE, ndp.SOLICITATION),
            (_MESSAGE + 1, 0),
        ):
            self.load(_BYTE, R1, R10, _ASKED + at)
            self.jump_if(If.NOT_EQUAL, R1, wanted, _GO_ON)
        for at in (_SENDER, _TARGET):  # multicast is neither
            self.load(_BYTE, R1, R10, _ASKED + at)
            self.jump_if(If.EQUAL, R1, ndp.ALL_NODES[0], _GO_ON)

    def _must_sum_up(self) -> None:
        """Checks length, option and checksum; R9 = whether a source link-layer option is there."""
        bare, whole = _OPTION - _MESSAGE, _LONGEST - _MESSAGE
        self.move(R9, 0)
        self.load(_HALF, R8, R10, _ASKED + _LENGTH)
        self.move(R4, _OPTION - _SENDER)
        self.jump_if(If.EQUAL, R8, _in_memory(bare, 2), "sum")
        self.jump_if(If.NOT_EQUAL, R8, _in_memory(whole, 2), _GO_ON)
        self._read(_OPTION, _LONGEST - _OPTION)
        self.load(_BYTE, R1, R10, _ASKED + _OPTION + 1)
        self.jump_if(If.NOT_EQUAL, R1, 1, _GO_ON)  # one unit of eight bytes, and no other fits
        self.move(R4, _LONGEST - _SENDER)
        self.load(_BYTE, R1, R10, _ASKED + _OPTION)
        self.jump_if(If.NOT_EQUAL, R1, 1, "sum")  # RFC 4861 section 4.6.1; others, as a nonce, say nothing to us
        self.move(R9, 1)
        self.label("sum")
        self.move(R5, R8)
        self.alu(Op.ADD, R5, _in_memory(ndp.ICMPV6, 2))
        self._sum(_ASKED)
        self.jump_if(If.NOT_EQUAL, R0, 0xFFFF, _GO_ON)

    def _address_advertisement(self) -> None:
        """To whom, and what the flags say of it: the asker, or everybody where the asker has no address yet."""
        self.load(_DOUBLE, R1, R10, _ASKED + _SENDER)
        self.load(_DOUBLE, R2, R10, _ASKED + _SENDER + 8)
        self.store(_DOUBLE, R10, _ANSWER + _RECEIVER, R1)
        self.store(_DOUBLE, R10, _ANSWER + _RECEIVER + 8, R2)
        self.move(R3, _loaded(_flags(ndp.SOLICITED | ndp.OVERRIDE)))
        self.jump_if(If.NOT_EQUAL, R1, 0, "known")
        self.jump_if(If.NOT_EQUAL, R2, 0, "known")
        # Duplicate address detection: no option names a MAC (RFC 4861 section 7.1.1), and the group is the target's.
        self.jump_if(If.NOT_EQUAL, R9, 0, _GO_ON)
        group = ndp.solicited_node(bytes(16))
        self._must_be(_DOUBLE, _RECEIVER, group[:8])
        self._must_be(_WHOLE, _RECEIVER + 8, group[8:12])
        self._must_be(_BYTE, _RECEIVER + 12, group[12:13])
        self._must_equal(_BYTE, _RECEIVER + 13, _TARGET + 13)
        self._must_equal(_HALF, _RECEIVER + 14, _TARGET + 14)
        self._put(_ANSWER + _RECEIVER, ndp.ALL_NODES)
        for at, part in enumerate(_halves(ndp.group_mac(ndp.ALL_NODES))):
            self.store(_HALF, R10, _ANSWER + _DESTINATION + 2 * at, part)
        self.move(R3, _loaded(_flags(ndp.OVERRIDE)))
        self.label("known")
        # Type, code and a checksum of 0 first; the flags take four bytes after them.
        self.store(_WHOLE, R10, _ANSWER + _MESSAGE, _loaded(bytes((ndp.ADVERTISEMENT, 0, 0, 0))))
        self.store(_HALF, R10, _ANSWER + _FLAGS, R3)
        self.store(_HALF, R10, _ANSWER + _FLAGS + 2, 0)

    # ---- parts

    def _read(self, at: int, size: int) -> None:
        """Bytes of the frame to where the question is kept; a frame that has fewer goes on."""
        self.move(R1, R6)
        self.move(R2, at)
        self.move(R3, R10)
        self.alu(Op.ADD, R3, _ASKED + at)
        self.move(R4, size)
        self.call(_LOAD_BYTES)
        self.jump_if(If.NOT_EQUAL, R0, 0, _GO_ON)

    def _look_up(self, target: int, size: int) -> None:
        """R7 = the entry of the address that is asked for, R8 = its deadline."""
        self.store(_WHOLE, R10, _KEY, size)
        for at in range(4, KEY.size, 4):
            if at <= size:
                self.load(_WHOLE, R1, R10, _ASKED + target + at - 4)
                self.store(_WHOLE, R10, _KEY + at, R1)
            else:
                self.store(_WHOLE, R10, _KEY + at, 0)
        self._find(self._table, _KEY)
        self.move(R7, R0)
        self.load(_WHOLE, R1, R7, 0)
        self.store(_WHOLE, R10, _WORD, R1)
        self._find(self._words, _WORD)
        self.load(_DOUBLE, R8, R0, 0)

    def _find(self, where: int, key: int) -> None:
        self.map(R1, where)
        self.move(R2, R10)
        self.alu(Op.ADD, R2, key)
        self.call(_LOOK_UP)
        self.jump_if(If.EQUAL, R0, 0, _GO_ON)

    def _refuse_own(self, *places: int) -> None:
        """A frame from the very address that the answer would name was sent by us and reflected."""
        for place in places:
            self._labels_made += 1
            another = f"another {self._labels_made}"
            for at in range(0, 6, 2):
                self.load(_HALF, R1, R7, 4 + at)
                self.load(_HALF, R2, R10, place + at)
                self.jump_if(If.NOT_EQUAL, R1, R2, another)
            self.jump(_GO_ON)
            self.label(another)

    def _refuse_group(self, place: int) -> None:
        self.load(_BYTE, R1, R10, place)
        self.jump_if(If.ANY_BIT, R1, 1, _GO_ON)

    def _refuse_claim(self, sender: int, target: int, part: tuple[Size, int]) -> None:
        """A sender who says the address is its own asks nothing."""
        size, width = part
        for at in (0, width):
            self.load(size, R1, R10, _ASKED + sender + at)
            self.load(size, R2, R10, _ASKED + target + at)
            self.jump_if(If.NOT_EQUAL, R1, R2, f"no claim {target}")
        self.jump(_GO_ON)
        self.label(f"no claim {target}")

    def _must_be(self, size: Size, at: int, wanted: bytes) -> None:
        self.load(size, R1, R10, _ASKED + at)
        self.constant(R2, _loaded(wanted))
        self.jump_if(If.NOT_EQUAL, R1, R2, _GO_ON)

    def _must_equal(self, size: Size, at: int, other: int) -> None:
        self.load(size, R1, R10, _ASKED + at)
        self.load(size, R2, R10, _ASKED + other)
        self.jump_if(If.NOT_EQUAL, R1, R2, _GO_ON)

    def _copy(self, count: int, to: int, base: Register, at: int) -> None:
        """To the stack, from the stack or the entry: in halves, which all fields are aligned to, or in doubles."""
        size, width = (_DOUBLE, 8) if count % 8 == 0 else (_HALF, 2)
        for part in range(0, count, width):
            self.load(size, R1, base, at + part)
            self.store(size, R10, to + part, R1)

    def _put(self, to: int, data: bytes) -> None:
        for part in range(0, len(data), 8):
            self.constant(R1, _loaded(data[part : part + 8]))
            self.store(_DOUBLE, R10, to + part, R1)

    def _sum(self, frame: int) -> None:
        """R0 = the ones' complement sum of R4 bytes from the sender's address on, and of R5, in 16 bits.

        These are the pseudo-header's addresses and the message behind them; R5 is the rest of it (RFC 8200 8.1).
        """
        self.move(R1, 0)
        self.move(R2, 0)
        self.move(R3, R10)
        self.alu(Op.ADD, R3, frame + _SENDER)
        self.call(_CHECKSUM)
        self.constant(R1, 0xFFFF_FFFF)  # a negative errno can't be: the size is a multiple of 4
        self.alu(Op.AND, R0, R1)
        for _ in range(2):  # kernels before 6.13 fold it to 32 bits only
            self.move(R1, R0)
            self.alu(Op.RIGHT, R1, 16)
            self.alu(Op.AND, R0, 0xFFFF)
            self.alu(Op.ADD, R0, R1)

    def _send(self, size: int, counter: int) -> None:
        """The answer takes the question's place and goes back where that came from, if the deadline lets it."""
        self.call(_BOOT_TIME)
        self.jump_if(If.AT_LEAST, R0, R8, _GO_ON)
        self.move(R1, R6)
        self.move(R2, size)
        self.move(R3, 0)
        self.call(_CHANGE_TAIL)
        self.jump_if(If.NOT_EQUAL, R0, 0, _GO_ON)
        self.move(R1, R6)
        self.move(R2, 0)
        self.move(R3, R10)
        self.alu(Op.ADD, R3, _ANSWER)
        self.move(R4, size)
        self.move(R5, _KEEP_CHECKSUM)
        self.call(_STORE_BYTES)
        self.jump_if(If.NOT_EQUAL, R0, 0, _GO_ON)
        self.store(_WHOLE, R10, _WORD, counter)
        self._find(self._words, _WORD)
        self.move(R1, 1)
        self.add_atomically(R0, 0, R1)
        self.load(_WHOLE, R1, R6, _INTERFACE)
        self.move(R2, 0)
        self.call(_REDIRECT)
        self.exit()


def _flags(flags: int) -> bytes:
    """The first half of the flags' four bytes; the rest is reserved."""
    return flags.to_bytes(4, "big")[:2]


def _halves(data: bytes) -> list[int]:
    return [_loaded(data[at : at + 2]) for at in range(0, len(data), 2)]
