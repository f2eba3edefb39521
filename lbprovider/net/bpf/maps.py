"""The two maps that the program reads: addresses with their entries, and words, in memory that we share with it."""

from __future__ import annotations

import mmap
import os
from typing import Final

from lbprovider.net.bpf import syscalls
from lbprovider.net.bpf.layout import ENTRY, KEY

_WORD: Final = 8


class Table:
    """Packed addresses, each with a word's number and a hardware address.

    Args:
        entries: how many it holds; they cost memory as they come.

    Raises:
        OSError: see ``syscalls.create_map``.
    """

    def __init__(self, entries: int) -> None:
        self.descriptor = syscalls.create_map(
            syscalls.HASH,
            key=KEY.size, value=ENTRY.size, entries=entries, flags=syscalls.NO_PREALLOCATION, name="lbp_addresses",
        )  # fmt: skip

    def put(self, address: bytes, word: int, mac: bytes) -> None:
        """In place of what is there; a frame finds either, never a mixture.

        Raises:
            OSError: E2BIG, ENOMEM.
        """
        syscalls.update(self.descriptor, _key(address), ENTRY.pack(word, mac))

    def remove(self, address: bytes) -> None:
        """Take an address out.

        Raises:
            OSError: ENOENT, it is not there.
        """
        syscalls.delete(self.descriptor, _key(address))

    def close(self) -> None:
        """Let go of it; the kernel frees it with the last program that uses it."""
        os.close(self.descriptor)


def _key(address: bytes) -> bytes:
    return KEY.pack(len(address), address)


class Words:
    """An array of 64-bit words, read and written without a system call.

    Args:
        entries: how many.

    Raises:
        OSError: see ``syscalls.create_map``.
    """

    def __init__(self, entries: int) -> None:
        self.descriptor = syscalls.create_map(
            syscalls.ARRAY, key=4, value=_WORD, entries=entries, flags=syscalls.MAPPABLE, name="lbp_words"
        )
        try:
            size = -(-entries * _WORD // mmap.PAGESIZE) * mmap.PAGESIZE
            self._memory = mmap.mmap(self.descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError:
            os.close(self.descriptor)
            raise
        # One aligned store of eight bytes for each assignment: a program on another processor sees the old word or the
        # new one.
        self.view: Final = memoryview(self._memory).cast("Q")

    def close(self) -> None:
        """Let go of it; ``view`` can't be used any more."""
        self.view.release()
        self._memory.close()
        os.close(self.descriptor)
