"""A sparse set of addresses that finds the lowest one that is not in it."""

from __future__ import annotations

from typing import Final

from lbprovider.ipam.ranges import BITS, Family

_FULL: Final = (1 << 256) - 1
_BUGGY: Final = 1 | 1 << 255
"""The places of .0 and .255 in a block of 256 addresses."""


class AddressSet:
    """Addresses as numbers, in blocks of 256: one bit mask a block, and one level up a mask of the full blocks.

    So each operation costs at most one step for each byte of an address up and one down (8 for IPv4, 32 for IPv6),
    however many are held, in runs or scattered; and memory grows with what is held, not with the pool.

    Args:
        family: of the addresses.
        careful: IPv4 addresses that end in .0 or .255 count as always in it.
    """

    __slots__ = ("_always", "_beyond", "_levels")

    def __init__(self, family: Family, *, careful: bool = False) -> None:
        self._levels: tuple[dict[int, int], ...] = tuple({} for _ in range(BITS[family] // 8))
        self._always = _BUGGY if careful and family == "IPv4" else 0
        self._beyond = 1 << BITS[family]

    def add(self, number: int) -> None:
        """Puts an address in."""
        always = self._always
        for blocks in self._levels:
            mask = blocks.get(number >> 8, always) | 1 << (number & 255)
            blocks[number >> 8] = mask
            if mask != _FULL:
                return
            number >>= 8
            always = 0

    def remove(self, number: int) -> None:
        """Takes an address out that is in it."""
        always = self._always
        if always >> (number & 255) & 1:
            return
        for blocks in self._levels:
            before = blocks[number >> 8]
            after = before & ~(1 << (number & 255))
            if after == always:
                del blocks[number >> 8]
            else:
                blocks[number >> 8] = after
            if before != _FULL:
                return
            number >>= 8
            always = 0

    def lowest_absent(self, start: int) -> int:
        """The lowest address from ``start`` on that is not in it; beyond the family's last where there is none."""
        number, always = start, self._always
        for level, blocks in enumerate(self._levels):
            free = ~blocks.get(number >> 8, always) & _FULL & -1 << (number & 255)
            if free:
                return self._down(number & ~255 | _lowest_bit(free), level)
            number = (number >> 8) + 1
            always = 0
        return self._beyond

    def _down(self, number: int, level: int) -> int:
        """The lowest absent address under a place that isn't full."""
        for below in range(level - 1, -1, -1):
            always = 0 if below else self._always
            number = number << 8 | _lowest_bit(~self._levels[below].get(number, always) & _FULL)
        return number


def _lowest_bit(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
