"""``FastPath`` by a program on the interface's ingress (tcx)."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final

from lbprovider.errors import HostError
from lbprovider.net.bpf import layout, programs, syscalls
from lbprovider.net.bpf.maps import Table, Words
from lbprovider.net.bpf.port import FastPath
from lbprovider.net.clock import boottime
from lbprovider.net.device import check_present
from lbprovider.net.links import Link

CAPACITY: Final = 8192
"""Addresses on one interface; what is beyond is answered without the kernel. 64 KiB of words, and some 100 bytes for
each address that is held."""

_FRAME: Final = bytes(64)
"""Something for a program to run on that looks at no frame."""
_NOT_ALLOWED: Final = frozenset({errno.EPERM, errno.ENOSYS})
"""No capability, or the container's seccomp profile doesn't let the call through."""


def open_fast_path(link: Link) -> FastPath:
    """As ``OpenFastPath``. Takes some 3 ms, and 10 or more until all processors have noticed, as ``close`` does."""
    with _explained(link), ExitStack() as opened:
        check_present(link)
        table = Table(CAPACITY)
        opened.callback(table.close)
        words = Words(layout.FIRST_DEADLINE + CAPACITY)
        opened.callback(words.close)
        _check_clock()
        program = syscalls.load(programs.answerer(table.descriptor, words.descriptor), "lbp_answer")
        try:
            attached = syscalls.attach(program, link.index)
        finally:
            os.close(program)  # the link holds it
        opened.callback(os.close, attached)
        return KernelFastPath(table, words, opened.pop_all())


class KernelFastPath:
    """See ``FastPath``.

    Args:
        table: addresses, each with its word and hardware address.
        words: counts and deadlines.
        opened: closes the link first, then these.
    """

    def __init__(self, table: Table, words: Words, opened: ExitStack) -> None:
        self._table = table
        self._words = words.view
        self._opened = opened
        self._held: dict[bytes, int] = {}
        # First in, first out: a word that was given up is another address's only after thousands of changes, so a
        # program that had read its number just before is long done with it.
        self._free = deque(range(layout.FIRST_DEADLINE, layout.FIRST_DEADLINE + CAPACITY))
        self._closed = False

    def hold(self, address: bytes, mac: bytes, deadline: int) -> None:
        if self._closed:
            return
        held = self._held.get(address)
        if held is None and not self._free:
            raise HostError(f"the fast path has room for {CAPACITY} addresses; the others are answered without it")
        word = self._free[0] if held is None else held
        before, self._words[word] = self._words[word], deadline
        try:
            self._table.put(address, word, mac)
        except OSError as error:
            self._words[word] = before
            raise HostError(
                f"the kernel has no room for an address in the fast path: {error.strerror}; it is answered without it"
            ) from error
        if held is None:
            self._held[address] = self._free.popleft()

    def refresh(self, deadlines: Mapping[bytes, int]) -> None:
        if self._closed:
            return
        held, words = self._held, self._words
        for address, deadline in deadlines.items():
            word = held.get(address)
            if word is not None:
                words[word] = deadline

    def drop(self, address: bytes) -> None:
        word = self._held.pop(address, None)
        if word is None:
            return
        self._words[word] = 0  # this alone ends it, and can't fail
        self._free.append(word)
        self._table.remove(address)

    def counts(self) -> Mapping[str, int]:
        return {} if self._closed else {family: self._words[word] for family, word in layout.ANSWERED.items()}

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for word in self._held.values():
            self._words[word] = 0
        self._held.clear()
        self._opened.close()


def _check_clock() -> None:
    """Deadlines are this process's time, and are compared to the kernel's.

    Raises:
        HostError: they are not the same clock.
        OSError: the kernel takes no program.
    """
    program = syscalls.load(programs.clock_check(boottime()), "lbp_clock")
    try:
        differs, _ = syscalls.run(program, _FRAME)
    finally:
        os.close(program)
    if differs:
        raise HostError(
            "no fast path: this process is in a time namespace, so the kernel would read its deadlines wrongly; "
            "run it in the host's"
        )


@contextlib.contextmanager
def _explained(link: Link) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(f"no fast path on {link.name}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno in _NOT_ALLOWED:
        return (
            "no permission to use BPF; add BPF and NET_ADMIN to securityContext.capabilities.add of the speaker's "
            "container, and see that its seccomp profile allows bpf(2)"
        )
    if error.errno == errno.EINVAL and not hasattr(error, "__notes__"):
        return f"Linux {platform.release()} has no tcx, which came with 6.6"
    if hasattr(error, "__notes__"):
        said = error.__notes__[0].strip().splitlines()
        return f"Linux {platform.release()} refuses the program: {said[-1] if said else error.strerror}"
    return error.strerror or str(error)
