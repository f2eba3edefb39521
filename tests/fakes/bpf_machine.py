"""Runs our eBPF programs without a kernel: just the instructions and helpers that they use, one after the other."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from lbprovider.net.bpf.layout import INTERFACE, PACKET_TYPE, PROTOCOL, TAGGED

TABLE, WORDS = 100, 101
"""What stands for the maps' file descriptors."""
SENT = 7  # TC_ACT_REDIRECT
WENT_ON = 0xFFFF_FFFF
INDEX = 5

_STACK, _CONTEXT, _HEAP = 1 << 32, 2 << 32, 3 << 32
_STACK_SIZE = 512
_MASK = (1 << 64) - 1
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_ALU: dict[int, Callable[[int, int], int]] = {
    0x00: lambda left, right: left + right,
    0x50: lambda left, right: left & right,
    0x70: lambda left, right: left >> right,
    0xA0: lambda left, right: left ^ right,
    0xB0: lambda _, right: right,
}
_TESTS: dict[int, Callable[[int, int], bool]] = {
    0x00: lambda *_: True,
    0x10: lambda left, right: left == right,
    0x20: lambda left, right: left > right,
    0x30: lambda left, right: left >= right,
    0x40: lambda left, right: bool(left & right),
    0x50: lambda left, right: left != right,
}


@dataclass
class Machine:
    """What a program finds: maps, clock, and the frame with what the kernel says of it."""

    now: int
    table: dict[bytes, bytes] = field(default_factory=dict)
    words: list[int] = field(default_factory=list)
    packet_type: int = 0
    tagged: bool = False

    def run(self, program: bytes, frame: bytes) -> tuple[int, bytes]:
        """What it returns (32 bits), and what it leaves of the frame."""
        self._frame = bytearray(frame)
        self._memory = {_STACK: bytearray(_STACK_SIZE), _CONTEXT: bytearray(64)}
        kind = int.from_bytes(frame[12:14], sys.byteorder)
        for at, value in (
            (PACKET_TYPE, self.packet_type),
            (PROTOCOL, kind),
            (TAGGED, int(self.tagged)),
            (INTERFACE, INDEX),
        ):
            struct.pack_into("=I", self._memory[_CONTEXT], at, value)
        self._registers = [0] * 10 + [_STACK + _STACK_SIZE]
        self._registers[1] = _CONTEXT
        at = 0
        while True:
            code, both, offset, constant = struct.unpack_from("=BBhi", program, 8 * at)
            destination, source = both & 15, both >> 4
            if code == 0x95:
                return self._registers[0] & WENT_ON, bytes(self._frame)
            at += 1
            if code == 0x18:
                high = struct.unpack_from("=i", program, 8 * at + 4)[0]
                self._registers[destination] = (high << 32 | constant & 0xFFFF_FFFF) & _MASK
                at += 1
            elif code == 0x85:
                self._registers[0] = self._call(constant) & _MASK
            elif code & 7 == 5:
                right = self._registers[source] if code & 8 else constant & _MASK
                if _TESTS[code & 0xF0](self._registers[destination], right):
                    at += offset
            elif code & 7 == 7:
                right = self._registers[source] if code & 8 else constant & _MASK
                self._registers[destination] = _ALU[code & 0xF0](self._registers[destination], right) & _MASK
            else:
                self._move(code, destination, source, offset, constant)

    def _move(self, code: int, destination: int, source: int, offset: int, constant: int) -> None:
        size = _SIZES[code & 0x18]
        if code == 0xDB:
            place = self._registers[destination] + offset
            value = int.from_bytes(self._read(place, 8), sys.byteorder) + self._registers[source]
            self._write(place, value.to_bytes(8, sys.byteorder))
            self.words[(place >> 32) - (_HEAP >> 32)] = value
        elif code & 7 == 1:
            read = self._read(self._registers[source] + offset, size)
            self._registers[destination] = int.from_bytes(read, sys.byteorder)
        else:
            value = self._registers[source] if code & 7 == 3 else constant
            stored = (value & _MASK).to_bytes(8, "little")[:size]
            self._write(self._registers[destination] + offset, stored if sys.byteorder == "little" else stored[::-1])

    def _read(self, place: int, size: int) -> bytes:
        region, at = self._memory[place >> 32 << 32], place & 0xFFFF_FFFF
        assert at + size <= len(region)
        return bytes(region[at : at + size])

    def _write(self, place: int, data: bytes) -> None:
        region, at = self._memory[place >> 32 << 32], place & 0xFFFF_FFFF
        assert at + len(data) <= len(region)
        region[at : at + len(data)] = data

    def _call(self, helper: int) -> int:
        first, second, third, fourth, fifth = self._registers[1:6]
        result = 0
        match helper:
            case 1:
                result = self._look_up(first, second)
            case 9:
                self._frame[second : second + fourth] = self._read(third, fourth)
            case 23:
                assert (first, second) == (INDEX, 0)
                result = SENT
            case 26 if second + fourth > len(self._frame):
                result = -14
            case 26:
                self._write(third, bytes(self._frame[second : second + fourth]))
            case 28:
                assert (first, second) == (0, 0)
                result = fifth + sum(struct.unpack(f"={fourth // 2}H", self._read(third, fourth)))
            case 38:
                self._frame[second:] = bytes(max(0, second - len(self._frame)))
            case 125:
                result = self.now
            case _:
                raise AssertionError(f"helper {helper}")
        return result

    def _look_up(self, where: int, place: int) -> int:
        if where == TABLE:
            entry = self.table.get(self._read(place, 20))
            if entry is None:
                return 0
            found = 1 << 20
            self._memory[_HEAP + (found << 32)] = bytearray(entry)
            return _HEAP + (found << 32)
        assert where == WORDS
        number = int.from_bytes(self._read(place, 4), sys.byteorder)
        if number >= len(self.words):
            return 0
        self._memory[_HEAP + (number << 32)] = bytearray(self.words[number].to_bytes(8, sys.byteorder))
        return _HEAP + (number << 32)
