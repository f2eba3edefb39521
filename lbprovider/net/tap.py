"""A raw view of one interface for those who watch a LAN: the lab's prober and its capture.

It blocks or is selected on, and every frame carries the time at which the kernel received it: a watcher that runs
late still tells when things happened. The speaker's own packet socket is another one, made for answering.

Needs CAP_NET_RAW in the namespace it is opened in. Raises :class:`OSError`.
"""

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from lbprovider.net import filters

_ETH_P_ALL: Final = 0x0003  # if_ether.h
_SOL_PACKET: Final = 263  # socket.h
_PACKET_ADD_MEMBERSHIP: Final = 1  # if_packet.h, as are the next two
_PACKET_MR_PROMISC: Final = 1
_PACKET_OUTGOING: Final = 4
_SO_RCVBUFFORCE: Final = 33  # asm-generic/socket.h, as is the next
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")

_READINGS: Final = 3
"""Readings of two clocks of which the best counts."""
_FRAME: Final = 2048
"""Bytes read of a frame: no ARP or NDP frame is longer."""
_BUFFER: Final = 8 << 20
"""Bytes of receive buffer asked for: tens of thousands of frames while the reader has no processor."""

_NEIGHBOURS: Final = (
    # ARP, or ICMPv6 Neighbor Solicitation (135) or Advertisement (136) right behind the IPv6 header (RFC 4861 has no
    # extension headers there that anybody sends): (opcode, jump if true, jump if false, constant).
    (0x28, 0, 0, 12),  # ldh  [12]              EtherType
    (0x15, 7, 0, 0x0806),  # jeq  ARP           -> keep
    (0x15, 0, 5, 0x86DD),  # jeq  IPv6          else drop
    (0x30, 0, 0, 20),  # ldb  [20]              next header
    (0x15, 0, 3, 58),  # jeq  ICMPv6            else drop
    (0x30, 0, 0, 54),  # ldb  [54]              type
    (0x15, 2, 0, 135),  # jeq  NS               -> keep
    (0x15, 1, 0, 136),  # jeq  NA               -> keep
    (0x06, 0, 0, 0),  # ret  drop
    (0x06, 0, 0, _FRAME),  # ret  keep
)


_SOURCE: Final = 8  # bytes into a frame: the last four of its source's hardware address


def _without(source: bytes) -> tuple[filters.Instruction, ...]:
    """The filter, behind one that drops what a host sends of which nothing is to be seen."""
    steps = ((0x20, 0, 0, _SOURCE), (0x15, 0, 1, int.from_bytes(source[2:])), (0x06, 0, 0, 0))  # ldw, jeq, ret drop
    return (*steps, *_NEIGHBOURS)


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame and when the kernel saw it."""

    at: int
    """Nanoseconds of the monotonic clock."""
    frame: bytes
    outgoing: bool
    """Whether this machine sent it on the interface, rather than received it."""


class Tap:
    """ARP and Neighbor Discovery frames of one interface, as they pass.

    Args:
        interface: its name in the namespace of the calling thread.
        promiscuous: also take what is addressed to others.
        deaf_to: the hardware address of a host whose frames are left out, which costs next to nothing.
    """

    def __init__(self, interface: str, *, promiscuous: bool = False, deaf_to: bytes = b"") -> None:
        # Protocol 0 receives nothing until the filter is in place and the socket bound.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            filters.attach(self._socket, _without(deaf_to) if deaf_to else _NEIGHBOURS)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            except PermissionError:  # the root of a user namespace lives with rmem_max
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((interface, _ETH_P_ALL))
            if promiscuous:
                membership = struct.pack("=iHH8s", socket.if_nametoindex(interface), _PACKET_MR_PROMISC, 0, b"")
                self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For select and the like."""
        return self._socket.fileno()

    @property
    def mac(self) -> bytes:
        """The hardware address of the interface."""
        address: bytes = self._socket.getsockname()[4]
        return address

    def send(self, frame: bytes) -> bool:
        """Send a whole frame; False when the interface is down or its queue is full and the frame is lost."""
        try:
            self._socket.send(frame)
        except OSError as error:
            if error.errno not in {errno.ENETDOWN, errno.ENOBUFS, errno.EAGAIN, errno.ENXIO}:
                raise
            return False
        return True

    def wait(self, until: int) -> bool:
        """Block until a frame is there (True) or the monotonic clock reads ``until`` nanoseconds (False)."""
        left = max(0, until - time.monotonic_ns())
        readable, _, _ = select.select([self._socket], [], [], left / 1e9)
        return bool(readable)

    def receive(self) -> list[Seen]:
        """Every frame that is there now, oldest first."""
        seen: list[Seen] = []
        # The kernel stamps with the wall clock; the offset is taken anew, so that a step of it moves nothing old.
        offset = clock_offset(time.monotonic_ns, time.time_ns)
        while True:
            try:
                frame, ancillary, _, address = self._socket.recvmsg(_FRAME, 64)
            except BlockingIOError:
                return seen
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # told once, when the interface goes down; frames may follow
                    continue
                raise
            at = time.monotonic_ns()
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
                    seconds, nanos = _TIMESPEC.unpack_from(data)
                    at = seconds * 1_000_000_000 + nanos + offset
            seen.append(Seen(at, frame, address[2] == _PACKET_OUTGOING))


def clock_offset(monotonic: Callable[[], int], wall: Callable[[], int]) -> int:
    """By how many nanoseconds the monotonic clock is ahead of the wall clock (it is far behind).

    The wall clock is read between two readings of the other, and the closest two count: who loses the processor
    between two clocks would date every frame back, an answer to before its question.
    """
    readings = ((monotonic(), wall(), monotonic()) for _ in range(_READINGS))
    before, between, after = min(readings, key=lambda reading: reading[2] - reading[0])
    return (before + after) // 2 - between


def hurry() -> bool:
    """Ask for the processor before others do, so that a watcher is seldom late; False where we may not."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True
