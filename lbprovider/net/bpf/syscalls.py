"""bpf(2) by its number, for the C library has no function for it. Structures: union bpf_attr of linux/bpf.h."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Final

_NUMBERS: Final = {
    "x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351,
}  # fmt: skip
"""The system call's number, by machine."""

_MAP_CREATE: Final = 0  # enum bpf_cmd
_MAP_UPDATE: Final = 2
_MAP_DELETE: Final = 3
_PROGRAM_LOAD: Final = 5
_PROGRAM_RUN: Final = 10
_LINK_CREATE: Final = 28

HASH: Final = 1  # enum bpf_map_type
ARRAY: Final = 2
NO_PREALLOCATION: Final = 1 << 0  # flags of BPF_MAP_CREATE
MAPPABLE: Final = 1 << 10
_CLASSIFIER: Final = 3  # BPF_PROG_TYPE_SCHED_CLS
_INGRESS: Final = 46  # BPF_TCX_INGRESS
_BEFORE: Final = 1 << 3  # BPF_F_BEFORE; with no other program named: before all

_LICENSE: Final = ctypes.create_string_buffer(b"Apache-2.0")
_LOG: Final = 1 << 20
"""Bytes for what the verifier says; it says some hundred for each instruction and path."""
_LONGEST: Final = 4096
"""Bytes of a frame that a run gives back."""

_MAP: Final = struct.Struct("=5I8x16s")  # type, sizes of key and value, entries, flags; name
_ELEMENT: Final = struct.Struct("=I4xQQQ")  # map, key, value, flags
_PROGRAM: Final = struct.Struct("=IIQQIIQ8x16s")  # type, length, code, license, log's level, size and place; name
_RUN: Final = struct.Struct("=4IQQ4IQQ")  # program, result; sizes and places in and out; repeat, duration; context's
_LINK: Final = struct.Struct("=5I4xQ")  # program, interface, where, flags; relative to which, revision
_INDEX_AT: Final = 40
"""Where ``ifindex`` is in struct __sk_buff."""

_WHOLE: Final = 1024
"""Bytes, more than union bpf_attr has. The kernel writes to fields that it knows, as a query's revision, however short
what it was given is said to be: they must be ours."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """What the call returns, and the attributes as the kernel leaves them.

    Raises:
        OSError: the kernel's; ENOSYS also on a machine of which the call's number isn't known here.
    """
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    kept = ctypes.create_string_buffer(attributes, _WHOLE)
    result: int = _libc.syscall(number, command, kept, len(attributes))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result, kept.raw[: len(attributes)]


def create_map(kind: int, *, key: int, value: int, entries: int, flags: int, name: str) -> int:
    """A file descriptor of a new map; sizes in bytes, ``name`` as bpftool(8) shows it, at most 15 characters.

    Raises:
        OSError: EPERM without CAP_BPF; ENOMEM.
    """
    return _bpf(_MAP_CREATE, _MAP.pack(kind, key, value, entries, flags, name.encode("ascii")))[0]


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Put a value under a key, in the place of what is there, at once.

    Raises:
        OSError: E2BIG, the map is full; ENOMEM.
    """
    key_kept, value_kept = (ctypes.create_string_buffer(each, len(each)) for each in (key, value))
    _bpf(_MAP_UPDATE, _ELEMENT.pack(descriptor, ctypes.addressof(key_kept), ctypes.addressof(value_kept), 0))


def delete(descriptor: int, key: bytes) -> None:
    """Take a key out.

    Raises:
        OSError: ENOENT, it is not there.
    """
    kept = ctypes.create_string_buffer(key, len(key))
    _bpf(_MAP_DELETE, _ELEMENT.pack(descriptor, ctypes.addressof(kept), 0, 0))


def load(program: bytes, name: str) -> int:
    """A file descriptor of a program for what an interface receives (BPF_PROG_TYPE_SCHED_CLS).

    Raises:
        OSError: EPERM without CAP_BPF and CAP_NET_ADMIN; EACCES or EINVAL of the verifier, with its words as a note.
    """
    try:
        return _load(program, name)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EINVAL}:
            error.add_note(_objection(program, name))
        raise


def _load(program: bytes, name: str, log: ctypes.Array[ctypes.c_char] | None = None) -> int:
    code = ctypes.create_string_buffer(program, len(program))
    level, size, place = (0, 0, 0) if log is None else (1, len(log), ctypes.addressof(log))
    places = ctypes.addressof(code), ctypes.addressof(_LICENSE)
    attributes = _PROGRAM.pack(_CLASSIFIER, len(program) // 8, *places, level, size, place, name.encode("ascii"))
    return _bpf(_PROGRAM_LOAD, attributes)[0]


def _objection(program: bytes, name: str) -> str:
    """What the verifier says against a program, its last words last; empty if it can't be told."""
    log = ctypes.create_string_buffer(_LOG)
    try:
        os.close(_load(program, name, log))
    except OSError:  # as before; ENOSPC if it said more than there is room for
        return log.value.decode("ascii", "replace")
    return ""


def attach(program: int, index: int) -> int:
    """A file descriptor of a link: the program gets what an interface receives, before all others, while it is open.

    Raises:
        OSError: EINVAL from a kernel without tcx (before 6.6), EPERM without CAP_NET_ADMIN, ENODEV.
    """
    return _bpf(_LINK_CREATE, _LINK.pack(program, index, _INGRESS, _BEFORE, 0, 0))[0]


def run(program: int, frame: bytes, *, index: int = 0) -> tuple[int, bytes]:
    """Try a program on a frame: what it returns, and what it leaves of the frame. Nothing is sent.

    Args:
        program: its file descriptor.
        frame: whole, at least 14 bytes.
        index: the interface it is said to come from; 0 = none.

    Raises:
        OSError: ENODEV, there is no such interface.
    """
    given, context = (ctypes.create_string_buffer(each, len(each)) for each in (frame, _context(index)))
    left = ctypes.create_string_buffer(_LONGEST)
    places = ctypes.addressof(given), ctypes.addressof(left)
    attributes = _RUN.pack(
        program, 0, len(frame), _LONGEST, *places, 1, 0, len(context), 0, ctypes.addressof(context), 0
    )
    after = _RUN.unpack(_bpf(_PROGRAM_RUN, attributes)[1])
    result, size = after[1], after[3]
    return result, left.raw[:size]


def _context(index: int) -> bytes:
    return bytes(_INDEX_AT) + struct.pack("=I", index)
