"""Socket filters: classic BPF programs, so that what does not concern us never wakes us. Pure, but for ``attach``.

An instruction is (code, jump if true, jump if false, constant) as in Documentation/networking/filter.rst; jumps count
the instructions to skip.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Final

Instruction = tuple[int, int, int, int]
Range = tuple[int, int]
"""First and last of some 32-bit words."""

_LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS; the two below are of 16 and 8 bits
_LOAD_HALF: Final = 0x28
_LOAD_BYTE: Final = 0x30
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_GOTO: Final = 0x05  # BPF_JMP | BPF_JA
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_KEEP: Final[Instruction] = (_RETURN, 0, 0, 0xFFFF)
_DROP: Final[Instruction] = (_RETURN, 0, 0, 0)

_ANCILLARY: Final = 0xFFFFF000  # SKF_AD_OFF: what the kernel knows of a packet beside its bytes
_PACKET_TYPE: Final = _ANCILLARY + 4
_VLAN_TAG: Final = _ANCILLARY + 44
_VLAN_ID: Final = 0x0FFF
_TO_US: Final = 0  # PACKET_HOST of if_packet.h: to our own hardware address
_NOT_FOR_US: Final = 3  # PACKET_OTHERHOST; from there on: overheard, our own, looped back

# An id of 0 is a priority tag, which means the LAN itself (IEEE 802.1Q); any other belongs to another interface.
_FOR_US: Final[tuple[Instruction, ...]] = (
    (_LOAD_WORD, 0, 0, _PACKET_TYPE),
    (_IF_AT_LEAST, 0, 1, _NOT_FOR_US),
    _DROP,
    (_LOAD_WORD, 0, 0, _VLAN_TAG),
    (_AND, 0, 0, _VLAN_ID),
    (_IF_EQUAL, 1, 0, 0),
    _DROP,
)

_WORDS: Final = 1 << 32
_FAR: Final = 0xFF
"""The farthest that a conditional jump reaches."""

MAX_RANGES: Final = 96
"""Ranges a program distinguishes, twice for ARP. Two programs (the old one is still there while the new one comes) must
fit into 20 KiB, net.core.optmem_max of kernels before 6.7."""


def ranges(words: Iterable[int], limit: int = MAX_RANGES) -> tuple[Range, ...]:
    """Ranges that cover some 32-bit words, in order: these alone while ``limit`` suffices, else some gaps too.

    The narrowest gaps are closed first.
    """
    found: list[list[int]] = []
    for word in sorted(set(words)):
        if found and word == found[-1][1] + 1:
            found[-1][1] = word
        else:
            found.append([word, word])
    gaps = ((after[0] - before[1], at) for at, (before, after) in enumerate(itertools.pairwise(found)))
    closed = {at for _, at in heapq.nsmallest(len(found) - limit, gaps)}
    covered: list[list[int]] = []
    for at, (first, last) in enumerate(found):
        if at - 1 in closed:
            covered[-1][1] = last
        else:
            covered.append([first, last])
    return tuple((first, last) for first, last in covered)


def arp_packets(words: Iterable[int]) -> tuple[Instruction, ...]:
    """Keeps of what is sent to us or to all, in no VLAN, the ARP packets that concern these IPv4 addresses.

    Those are requests for one of them, packets whose sender says that it has one (RFC 5227 section 2.4), and replies
    to us alone: answers to our own questions, whoever gives them.
    """
    search = _member_of(words)
    return (
        *_FOR_US,
        (_LOAD_HALF, 0, 0, 12),
        (_IF_EQUAL, 1, 0, 0x0806),
        _DROP,
        (_LOAD_HALF, 0, 0, 20),  # operation
        (_IF_EQUAL, 6, 0, 1),
        (_IF_EQUAL, 1, 0, 2),
        _DROP,
        (_LOAD_WORD, 0, 0, _PACKET_TYPE),
        (_IF_EQUAL, 0, 1, _TO_US),
        _KEEP,
        (_GOTO, 0, 0, 1 + len(search)),  # a reply to all: what its sender says of itself counts
        (_LOAD_WORD, 0, 0, 38),  # target
        *search,
        (_LOAD_WORD, 0, 0, 28),  # sender
        *search,
        _DROP,
    )


def neighbour_discovery(words: Iterable[int]) -> tuple[Instruction, ...]:
    """Keeps of what is sent to us or a group, in no VLAN, what concerns IPv6 addresses that end in these words.

    Those are Neighbor Solicitations and Advertisements with one of them as target, and advertisements to us alone:
    answers to our own questions. The message is right behind the IPv6 header: RFC 4861 has no extension header there
    that anybody sends.
    """
    return (
        *_FOR_US,
        (_LOAD_HALF, 0, 0, 12),
        (_IF_EQUAL, 1, 0, 0x86DD),
        _DROP,
        (_LOAD_BYTE, 0, 0, 20),  # next header
        (_IF_EQUAL, 1, 0, 58),
        _DROP,
        (_LOAD_BYTE, 0, 0, 54),  # ICMPv6 type
        (_IF_EQUAL, 5, 0, 135),
        (_IF_EQUAL, 1, 0, 136),
        _DROP,
        (_LOAD_WORD, 0, 0, _PACKET_TYPE),
        (_IF_EQUAL, 0, 1, _TO_US),
        _KEEP,
        (_LOAD_WORD, 0, 0, 74),  # target
        *_member_of(words),
        _DROP,
    )


def netlink_events() -> tuple[Instruction, ...]:
    """Drops routes other than default ones, and what a bridge says of its ports: neither changes a link of ours.

    A node with many Pods or BGP routes has thousands of them.
    """
    new_link, deleted_link, new_route, deleted_route = (_as_loaded(kind) for kind in (16, 17, 24, 25))  # rtnetlink.h
    return (
        (_LOAD_HALF, 0, 0, 4),  # struct nlmsghdr: type
        (_IF_EQUAL, 5, 0, new_link),
        (_IF_EQUAL, 4, 0, deleted_link),
        (_IF_EQUAL, 1, 0, new_route),
        (_IF_EQUAL, 0, 4, deleted_route),
        (_LOAD_BYTE, 0, 0, 17),  # struct rtmsg: dst_len
        (_GOTO, 0, 0, 1),
        (_LOAD_BYTE, 0, 0, 16),  # struct ifinfomsg: family, AF_BRIDGE for a port
        (_IF_EQUAL, 0, 1, 0),
        _KEEP,
        _DROP,
    )


def _as_loaded(number: int) -> int:
    """A 16-bit number in host order as a filter reads it, which always reads network order."""
    return int.from_bytes(number.to_bytes(2, sys.byteorder), "big")


def _member_of(words: Iterable[int]) -> tuple[Instruction, ...]:
    """Keeps a packet whose loaded word is one of these; goes on behind if not."""
    # A word is in a range iff the number of edges at or below it is odd.
    edges = [edge for first, last in ranges(words) for edge in (first, last + 1) if edge < _WORDS]
    found = _search(edges, inside=False)
    return tuple((_GOTO, 0, 0, len(found) - 1 - at) if each is _DROP else each for at, each in enumerate(found))


def _search(edges: Sequence[int], *, inside: bool) -> list[Instruction]:
    """A binary search; ``inside`` says whether what is below all edges is kept."""
    if not edges:
        return [_KEEP if inside else _DROP]
    middle = len(edges) // 2
    below = _search(edges[:middle], inside=inside)
    above = _search(edges[middle + 1 :], inside=inside != (middle % 2 == 0))
    if len(above) <= _FAR:
        return [(_IF_AT_LEAST, 0, len(above), edges[middle]), *above, *below]
    return [(_IF_AT_LEAST, 1, 0, edges[middle]), (_GOTO, 0, 0, len(above)), *above, *below]


_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_SOCK_FILTER: Final = struct.Struct("=HBBI")
_SOCK_FPROG: Final = struct.Struct("@HP")


def attach(to: socket.socket, program: Sequence[Instruction]) -> None:
    """Put a program before a socket, in place of a former one, at once.

    Raises:
        OSError: the kernel refuses it.
    """
    code = b"".join(_SOCK_FILTER.pack(*each) for each in program)
    kept = ctypes.create_string_buffer(code, len(code))
    to.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _SOCK_FPROG.pack(len(program), ctypes.addressof(kept)))
