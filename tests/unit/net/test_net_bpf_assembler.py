"""Encodings as RFC 9669 and the kernel's Documentation/bpf give them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from lbprovider.net.bpf.assembler import Assembler, If, Op, Register, Size

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = Register


@pytest.mark.skipif(sys.byteorder == "big", reason="the bytes below are a little-endian machine's")
@pytest.mark.parametrize(
    ("instruction", "code"),
    [
        (lambda to: to.move(R0, 1), "b700000001000000"),
        (lambda to: to.move(R0, -1), "b7000000ffffffff"),
        (lambda to: to.move(R6, R1), "bf16000000000000"),
        (lambda to: to.alu(Op.ADD, R2, -4), "07020000fcffffff"),
        (lambda to: to.alu(Op.ADD, R0, R1), "0f10000000000000"),
        (lambda to: to.alu(Op.AND, R0, 0xFFFF), "57000000ffff0000"),
        (lambda to: to.alu(Op.RIGHT, R1, 16), "7701000010000000"),
        (lambda to: to.alu(Op.XOR, R0, 0xFFFF), "a7000000ffff0000"),
        (lambda to: to.load(Size.WORD, R2, R6, 16), "6162100000000000"),
        (lambda to: to.load(Size.HALF, R1, R10, -2), "69a1feff00000000"),
        (lambda to: to.load(Size.BYTE, R1, R7, 4), "7171040000000000"),
        (lambda to: to.load(Size.DOUBLE, R8, R0, 0), "7908000000000000"),
        (lambda to: to.store(Size.DOUBLE, R10, -8, R1), "7b1af8ff00000000"),
        (lambda to: to.store(Size.WORD, R10, -4, 42), "620afcff2a000000"),
        (lambda to: to.store(Size.HALF, R10, -6, 0x0608), "6a0afaff08060000"),
        (lambda to: to.add_atomically(R0, 0, R1), "db10000000000000"),
        (lambda to: to.constant(R1, 0x1122334455667788), "1801000088776655" + "0000000044332211"),
        (lambda to: to.constant(R2, 0xFFFFFFFFFFFFFFFF), "18020000ffffffff" + "00000000ffffffff"),
        (lambda to: to.map(R1, 3), "1811000003000000" + "0000000000000000"),
        (lambda to: to.call(125), "850000007d000000"),
        (lambda to: to.exit(), "9500000000000000"),
    ],
)
def test_an_instruction(instruction: Callable[[Assembler], None], code: str) -> None:
    program = Assembler()
    instruction(program)
    assert program.assemble().hex() == code


@pytest.mark.skipif(sys.byteorder == "big", reason="as above")
def test_jumps_reach_labels_before_and_behind_whatever_lies_between() -> None:
    program = Assembler()
    program.label("begin")
    program.jump_if(If.EQUAL, R1, 5, "end")
    program.constant(R2, 1)  # two instructions long
    program.jump_if(If.NOT_EQUAL, R1, R2, "begin")
    program.jump_if(If.ABOVE, R3, 2, "end")
    program.jump_if(If.AT_LEAST, R0, R8, "end")
    program.jump_if(If.ANY_BIT, R1, 1, "end")
    program.jump("end")
    program.label("end")
    program.exit()
    code = program.assemble()
    assert [code[at : at + 8].hex() for at in range(0, len(code), 8)] == [
        "1501070005000000",
        "1802000001000000",
        "0000000000000000",
        "5d21fcff00000000",
        "2503030002000000",
        "3d80020000000000",
        "4501010001000000",
        "0500000000000000",
        "9500000000000000",
    ]


def test_a_label_is_one_place() -> None:
    program = Assembler()
    program.label("here")
    with pytest.raises(ValueError, match="two labels here"):
        program.label("here")


def test_a_jump_to_nowhere_is_no_program() -> None:
    program = Assembler()
    program.jump("nowhere")
    with pytest.raises(KeyError, match="nowhere"):
        program.assemble()
