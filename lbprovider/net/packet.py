"""Frames of one interface: questions in, answers and announcements out."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from lbprovider.errors import HostError
from lbprovider.net import filters
from lbprovider.net.device import check_present, is_present, label, refusal
from lbprovider.net.links import Link

Answer = Callable[[memoryview], bytes | None]
"""Gets each frame as a view that is valid only during the call; what it returns is sent at once."""


class Packets(Protocol):
    """ARP and Neighbor Discovery of one interface, as far as they concern us, and a way to send frames on it.

    A frame gets here only if it was sent to us or to all (never what a promiscuous interface overhears, nor another
    VLAN's), and, as far as the kernel's filter can tell, asks for an address that was named in ``listen``, says that
    its sender has one, or answers a question of this node.
    """

    def listen(self, addresses: Collection[bytes]) -> None:
        """Ask the kernel for what is asked and said about these addresses (packed, both families) and no others.

        Replaces the former ones at once; none until called. Name every address that may become ours, so that
        winning one needs nothing of the kernel. Other frames may still get through: who gets them decides.

        Raises:
            HostError: the kernel has no room for the filter; the former one stays.
        """
        ...

    def send(self, frame: bytes) -> bool:
        """Send a whole frame; False when it was lost here (counted): interface down or gone, queue full."""
        ...

    def hear(self) -> None:
        """Hand over now what has come; the loop would at its next turn."""
        ...

    @property
    def failures(self) -> Mapping[str, int]:
        """Frames lost at sending, by the kernel's reason (``ENETDOWN``, ``ENOBUFS``, …)."""
        ...

    def close(self) -> None:
        """No more frames, in or out. May be called twice."""
        ...


OpenPackets = Callable[[Link, Answer, Callable[[], None]], Packets]
"""Opens the interface; the last argument is called once if it is taken away (then close, and open what returns).

Raises:
    InterfaceGone: no such interface.
    HostError: no CAP_NET_RAW.
"""

_ARP: Final = 0x0806  # if_ether.h
_IPV6: Final = 0x86DD
_IPV4_LENGTH: Final = 4
_PROGRAMS: Final[Mapping[int, Callable[[Iterable[int]], tuple[filters.Instruction, ...]]]] = MappingProxyType(
    {_ARP: filters.arp_packets, _IPV6: filters.neighbour_discovery}
)
_LONGEST: Final = 2048
"""Bytes read of a frame; none that matters is longer."""
_BATCH: Final = 128
"""Frames handled in one wake-up, about a millisecond's worth; the rest waits for the next."""
_RECEIVE_BUFFER: Final = 1 << 20
"""Bytes asked for, so that a burst survives a busy processor; the kernel gives at most net.core.rmem_max."""


class KernelPackets:
    """``Packets`` on two packet sockets, one for each family: other traffic doesn't even pass a filter.

    Args:
        link: where.
        answer: called for each frame.
        gone: called once if the interface is taken away.

    Raises:
        HostError: see ``OpenPackets``.
    """

    def __init__(self, link: Link, answer: Answer, gone: Callable[[], None]) -> None:
        self._link = link
        self._answer = answer
        self._gone = gone
        self._failures: Counter[str] = Counter()
        self._view = memoryview(bytearray(_LONGEST))
        self._programs: dict[int, tuple[filters.Instruction, ...]] = {}
        self._sockets: dict[int, socket.socket] = {}
        self._loop = asyncio.get_running_loop()
        try:
            self._open()
        except PermissionError as error:
            self.close()
            raise HostError(
                "no permission to open a packet socket: add NET_RAW to securityContext.capabilities.add of the "
                "speaker's container"
            ) from error
        except OSError as error:
            self.close()
            raise refusal(error)(f"can't open a packet socket on {link.name}: {error.strerror or error}") from error
        for each in self._sockets.values():
            self._loop.add_reader(each, self._read, each)

    def _open(self) -> None:
        for kind in _PROGRAMS:
            # Protocol 0 receives nothing: else frames from before filter and bind would get through.
            self._sockets[kind] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._filter(())
        check_present(self._link)
        for kind, opened in self._sockets.items():
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            opened.bind((self._link.name, kind))

    def listen(self, addresses: Collection[bytes]) -> None:
        try:
            self._filter(addresses)
        except OSError as error:
            raise HostError(
                f"the kernel takes no filter for {len(addresses)} addresses on {self._link.name}: {error.strerror}; "
                "see net.core.optmem_max"
            ) from error

    def _filter(self, addresses: Collection[bytes]) -> None:
        words: dict[int, set[int]] = {kind: set() for kind in self._sockets}
        for address in addresses:
            kind = _ARP if len(address) == _IPV4_LENGTH else _IPV6
            if kind in words:
                words[kind].add(int.from_bytes(address[-4:], "big"))
        for kind, opened in self._sockets.items():
            program = _PROGRAMS[kind](words[kind])
            if program != self._programs.get(kind):
                filters.attach(opened, program)
                self._programs[kind] = program

    def send(self, frame: bytes) -> bool:
        # The socket of its own family, for the kernel takes the protocol of what is sent from it.
        through = self._sockets.get(int.from_bytes(frame[12:14], "big"))
        if through is None:
            self._failures["EBADF"] += 1
            return False
        return self._send(through, frame)

    def hear(self) -> None:
        for each in tuple(self._sockets.values()):
            if each in self._sockets.values():  # whoever hears the first may close
                self._read(each)

    @property
    def failures(self) -> Mapping[str, int]:
        return self._failures

    def close(self) -> None:
        for each in self._sockets.values():
            self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()

    def _send(self, through: socket.socket, frame: bytes) -> bool:
        for first in (True, False):
            try:
                through.send(frame)
            except OSError as error:
                if first and error.errno == errno.ENETDOWN:
                    # That the interface was down is also reported late, to the first frame after its return: an
                    # announcement that must not be lost. The second report is about this frame.
                    self._lost()
                    continue
                self._failures[label(error)] += 1
                return False
            return True
        return False

    def _read(self, ready: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                size = ready.recv_into(self._view)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            reply = self._answer(self._view[:size])
            if reply is not None:
                self._send(ready, reply)

    def _lost(self) -> None:
        # The kernel says so once, both when the interface goes down (it may come up again) and when it is taken away.
        if self._sockets and not is_present(self._link):
            self.close()
            self._gone()
