"""What the answers to ARP and to NDP have in common, as pieces of a program."""

from __future__ import annotations

import sys
from typing import Final

from lbprovider.net.bpf.assembler import Assembler, If, Op, Register, Size
from lbprovider.net.bpf.layout import ANSWER, ASKED, ENTRY_MAC, INTERFACE, KEY, SENDER, SOUGHT, WORD

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = Register
BYTE, HALF, WHOLE, DOUBLE = Size.BYTE, Size.HALF, Size.WORD, Size.DOUBLE

GO_ON: Final = "go on"
"""The label where the frame is left to who comes next, unchanged."""

BOOT_TIME: Final = 125  # enum bpf_func_id of linux/bpf.h, as are the next
_LOOK_UP: Final = 1
_STORE_BYTES: Final = 9
_REDIRECT: Final = 23
_LOAD_BYTES: Final = 26
_CHECKSUM: Final = 28
_CHANGE_TAIL: Final = 38
_KEEP_CHECKSUM: Final = 1
"""BPF_F_RECOMPUTE_CSUM: what a NIC has summed up stays right."""


def loaded(data: bytes) -> int:
    """Bytes as a load of them gives them."""
    return int.from_bytes(data, sys.byteorder)


def in_memory(number: int, size: int) -> int:
    """A number in network order as a load of it gives it."""
    return loaded(number.to_bytes(size, "big"))


class Parts(Assembler):
    """An assembler that knows these pieces.

    R6 is the context, R7 the entry once it is found, R8 its deadline.

    Args:
        table: file descriptor of a hash map, ``KEY`` to ``ENTRY``.
        words: of an array of eight bytes each.
    """

    def __init__(self, table: int, words: int) -> None:
        super().__init__()
        self._table = table
        self._words = words
        self._compared = 0

    def read(self, at: int, size: int) -> None:
        """Bytes of the frame to where the question is kept; a frame that has fewer goes on."""
        self.move(R1, R6)
        self.move(R2, at)
        self.move(R3, R10)
        self.alu(Op.ADD, R3, ASKED + at)
        self.move(R4, size)
        self.call(_LOAD_BYTES)
        self.jump_if(If.NOT_EQUAL, R0, 0, GO_ON)

    def look_up(self, target: int, size: int) -> None:
        """R7 = the entry of the address that is asked for, R8 = its deadline."""
        self.store(WHOLE, R10, SOUGHT, size)
        for at in range(4, KEY.size, 4):
            if at <= size:
                self.load(WHOLE, R1, R10, ASKED + target + at - 4)
                self.store(WHOLE, R10, SOUGHT + at, R1)
            else:
                self.store(WHOLE, R10, SOUGHT + at, 0)
        self._find(self._table, SOUGHT)
        self.move(R7, R0)
        self.load(WHOLE, R1, R7, 0)
        self.store(WHOLE, R10, WORD, R1)
        self._find(self._words, WORD)
        self.load(DOUBLE, R8, R0, 0)

    def _find(self, where: int, key: int) -> None:
        self.map(R1, where)
        self.move(R2, R10)
        self.alu(Op.ADD, R2, key)
        self.call(_LOOK_UP)
        self.jump_if(If.EQUAL, R0, 0, GO_ON)

    def refuse_own(self, *places: int) -> None:
        """A frame from the very address that the answer would name was sent by us and reflected."""
        for place in places:
            self._compared += 1
            another = f"another {self._compared}"
            for at in range(0, 6, 2):
                self.load(HALF, R1, R7, ENTRY_MAC + at)
                self.load(HALF, R2, R10, place + at)
                self.jump_if(If.NOT_EQUAL, R1, R2, another)
            self.jump(GO_ON)
            self.label(another)

    def refuse_group(self, place: int) -> None:
        self.load(BYTE, R1, R10, place)
        self.jump_if(If.ANY_BIT, R1, 1, GO_ON)

    def refuse_claim(self, sender: int, target: int, part: tuple[Size, int]) -> None:
        """A sender who says the address is its own asks nothing."""
        size, width = part
        for at in (0, width):
            self.load(size, R1, R10, ASKED + sender + at)
            self.load(size, R2, R10, ASKED + target + at)
            self.jump_if(If.NOT_EQUAL, R1, R2, f"no claim {target}")
        self.jump(GO_ON)
        self.label(f"no claim {target}")

    def must_be(self, size: Size, at: int, wanted: bytes) -> None:
        self.load(size, R1, R10, ASKED + at)
        self.constant(R2, loaded(wanted))
        self.jump_if(If.NOT_EQUAL, R1, R2, GO_ON)

    def must_equal(self, size: Size, at: int, other: int) -> None:
        self.load(size, R1, R10, ASKED + at)
        self.load(size, R2, R10, ASKED + other)
        self.jump_if(If.NOT_EQUAL, R1, R2, GO_ON)

    def copy(self, count: int, to: int, base: Register, at: int) -> None:
        """To the stack, from the stack or the entry: in halves, which all fields are aligned to, or in doubles."""
        size, width = (DOUBLE, 8) if count % 8 == 0 else (HALF, 2)
        for part in range(0, count, width):
            self.load(size, R1, base, at + part)
            self.store(size, R10, to + part, R1)

    def put(self, to: int, data: bytes) -> None:
        for part in range(0, len(data), 8):
            self.constant(R1, loaded(data[part : part + 8]))
            self.store(DOUBLE, R10, to + part, R1)

    def sum(self, frame: int) -> None:
        """R0 = the ones' complement sum of R4 bytes from the sender's address on, and of R5, in 16 bits.

        These are the pseudo-header's addresses and the message behind them; R5 is the rest of it (RFC 8200 8.1).
        """
        self.move(R1, 0)
        self.move(R2, 0)
        self.move(R3, R10)
        self.alu(Op.ADD, R3, frame + SENDER)
        self.call(_CHECKSUM)
        self.constant(R1, 0xFFFF_FFFF)  # a negative errno can't be: the size is a multiple of 4
        self.alu(Op.AND, R0, R1)
        for _ in range(2):  # kernels before 6.13 fold it to 32 bits only
            self.move(R1, R0)
            self.alu(Op.RIGHT, R1, 16)
            self.alu(Op.AND, R0, 0xFFFF)
            self.alu(Op.ADD, R0, R1)

    def send(self, size: int, counter: int) -> None:
        """The answer takes the question's place and goes back where that came from, if the deadline lets it."""
        self.call(BOOT_TIME)
        self.jump_if(If.AT_LEAST, R0, R8, GO_ON)
        self.move(R1, R6)
        self.move(R2, size)
        self.move(R3, 0)
        self.call(_CHANGE_TAIL)
        self.jump_if(If.NOT_EQUAL, R0, 0, GO_ON)
        self.move(R1, R6)
        self.move(R2, 0)
        self.move(R3, R10)
        self.alu(Op.ADD, R3, ANSWER)
        self.move(R4, size)
        self.move(R5, _KEEP_CHECKSUM)
        self.call(_STORE_BYTES)
        self.jump_if(If.NOT_EQUAL, R0, 0, GO_ON)
        self.store(WHOLE, R10, WORD, counter)
        self._find(self._words, WORD)
        self.move(R1, 1)
        self.add_atomically(R0, 0, R1)
        self.load(WHOLE, R1, R6, INTERFACE)
        self.move(R2, 0)
        self.call(_REDIRECT)
        self.exit()
