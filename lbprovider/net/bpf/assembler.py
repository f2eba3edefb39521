"""Assembles eBPF: instructions with labels in, the bytes that bpf(2) takes out. Pure. RFC 9669.

Only what our programs need. Every method adds one instruction (64-bit constants: two) and says nothing of the
kernel's rules; its verifier does, when the program is loaded.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Register(IntEnum):
    """R0 is what calls and programs return, R1 to R5 are arguments, R6 to R9 survive calls, R10 is the stack's top."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    R10 = 10


class Size(IntEnum):
    """How many bytes a load or store moves, as its bits of the opcode (RFC 9669 section 5.1)."""

    WORD = 0x00
    HALF = 0x08
    BYTE = 0x10
    DOUBLE = 0x18


class Op(IntEnum):
    """Arithmetic, as its bits of the opcode (RFC 9669 section 4.1)."""

    ADD = 0x00
    AND = 0x50
    RIGHT = 0x70
    XOR = 0xA0
    MOVE = 0xB0


class If(IntEnum):
    """Comparisons of 64 bits, unsigned, as their bits of the opcode (RFC 9669 section 4.3)."""

    EQUAL = 0x10
    ABOVE = 0x20
    AT_LEAST = 0x30
    ANY_BIT = 0x40
    NOT_EQUAL = 0x50


Operand = Register | int
"""A register, or a constant of 32 bits that is sign-extended."""

_LOAD: Final = 0x61  # BPF_LDX | BPF_MEM
_STORE_CONSTANT: Final = 0x62  # BPF_ST | BPF_MEM
_STORE: Final = 0x63  # BPF_STX | BPF_MEM
_ADD_ATOMICALLY: Final = 0xDB  # BPF_STX | BPF_ATOMIC | BPF_DW, immediate BPF_ADD = 0
_ALU64: Final = 0x07
_JUMP: Final = 0x05
_CALL: Final = 0x85
_EXIT: Final = 0x95
_WIDE: Final = 0x18  # BPF_LD | BPF_IMM | BPF_DW
_FROM_REGISTER: Final = 0x08
_MAP: Final = 1
"""In the source register of a wide constant: it is a map's file descriptor (BPF_PSEUDO_MAP_FD)."""

_BASIC: Final = struct.Struct("=BBhi")
_LITTLE: Final = sys.byteorder == "little"
_LOW: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class _Instruction:
    code: int
    destination: int = 0
    source: int = 0
    offset: int = 0
    constant: int = 0
    to: str = ""
    """The label that ``offset`` is to reach."""

    def pack(self, offset: int) -> bytes:
        # The two halves of the byte lie in the order of the machine's bit fields (RFC 9669 section 3).
        registers = self.source << 4 | self.destination if _LITTLE else self.destination << 4 | self.source
        return _BASIC.pack(self.code, registers, offset, self.constant)


class Assembler:
    """One program, instruction by instruction."""

    def __init__(self) -> None:
        self._code: list[_Instruction] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Names the instruction that comes next; jumps reach it from before and behind."""
        if name in self._labels:
            raise ValueError(f"two labels {name}")
        self._labels[name] = len(self._code)

    def load(self, size: Size, to: Register, base: Register, offset: int) -> None:
        """``to`` = what is at ``base + offset``, zero-extended."""
        self._code.append(_Instruction(_LOAD | size, to, base, offset))

    def store(self, size: Size, base: Register, offset: int, value: Operand) -> None:
        """What is at ``base + offset`` = ``value``."""
        if isinstance(value, Register):
            self._code.append(_Instruction(_STORE | size, base, value, offset))
        else:
            self._code.append(_Instruction(_STORE_CONSTANT | size, base, 0, offset, value))

    def add_atomically(self, base: Register, offset: int, value: Register) -> None:
        """The eight bytes at ``base + offset`` += ``value``, whatever other processors do."""
        self._code.append(_Instruction(_ADD_ATOMICALLY, base, value, offset))

    def alu(self, op: Op, to: Register, value: Operand) -> None:
        """``to`` = ``to`` op ``value``, in 64 bits; MOVE takes ``value`` alone."""
        if isinstance(value, Register):
            self._code.append(_Instruction(_ALU64 | op | _FROM_REGISTER, to, value))
        else:
            self._code.append(_Instruction(_ALU64 | op, to, 0, 0, value))

    def move(self, to: Register, value: Operand) -> None:
        """``to`` = ``value``."""
        self.alu(Op.MOVE, to, value)

    def constant(self, to: Register, value: int) -> None:
        """``to`` = a constant of 64 bits, unsigned."""
        self._wide(to, 0, value)

    def map(self, to: Register, descriptor: int) -> None:
        """``to`` = the map behind a file descriptor of the process that loads the program."""
        self._wide(to, _MAP, descriptor)

    def jump(self, to: str) -> None:
        """Goes on at a label."""
        self._code.append(_Instruction(_JUMP, to=to))

    def jump_if(self, test: If, left: Register, right: Operand, to: str) -> None:
        """Goes on at a label if ``left`` compares so to ``right``; ANY_BIT: if they have a bit in common."""
        if isinstance(right, Register):
            self._code.append(_Instruction(_JUMP | test | _FROM_REGISTER, left, right, to=to))
        else:
            self._code.append(_Instruction(_JUMP | test, left, 0, 0, right, to))

    def call(self, helper: int) -> None:
        """Calls a function of the kernel by its number (enum bpf_func_id of linux/bpf.h)."""
        self._code.append(_Instruction(_CALL, constant=helper))

    def exit(self) -> None:
        """Ends the program with R0."""
        self._code.append(_Instruction(_EXIT))

    def assemble(self) -> bytes:
        """The program.

        Raises:
            KeyError: a jump to a label that is nowhere.
        """
        return b"".join(
            each.pack(self._labels[each.to] - at - 1 if each.to else each.offset) for at, each in enumerate(self._code)
        )

    def _wide(self, to: Register, kind: int, value: int) -> None:
        self._code.append(_Instruction(_WIDE, to, kind, 0, _signed(value & _LOW)))
        self._code.append(_Instruction(0, constant=_signed(value >> 32)))


def _signed(word: int) -> int:
    """32 bits as the signed number that they are in an instruction."""
    return word - (1 << 32) if word >> 31 else word
