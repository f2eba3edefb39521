"""ARP answers a second, by the kernel and by the speaker's own sockets, in one run.

As root: ``python bench/fast_path.py``.

An asker floods one end of a cable between two namespaces; what answers is at the other end. Also what the program costs
frames that are none of ours, and what a process that answers for 1,000 addresses spends while others are asked.
"""

from __future__ import annotations

import array
import asyncio
import ctypes
import mmap
import multiprocessing
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lbprovider.announce.responder import Responder
from lbprovider.net.bpf import layout, programs, syscalls
from lbprovider.net.bpf.kernel import open_fast_path
from lbprovider.net.bpf.maps import Table, Words
from lbprovider.net.clock import boottime
from lbprovider.net.packet import KernelPackets
from lbprovider.wire import arp, ethernet
from tests.e2e.rig.wire import LAN, Wire

SECONDS = 3.0
HOUR = 3_600_000_000_000
ASKER4 = bytes((192, 0, 2, 2))
HELD = [bytes((192, 0, 3, 0 + number % 250)) for number in range(250)]
MANY = [bytes((10, 0, number // 250, number % 250)) for number in range(1000)]
FOREIGN = bytes((192, 0, 2, 77))
FRAMES, FRAME_SIZE, DATA = 1024, 128, 32
"""Of the ring that frames are sent from (packet_mmap.rst, TPACKET_V2)."""
RUN, PROGRAM_RUN = struct.Struct("=4IQQ4IQQ"), 10
"""BPF_PROG_TEST_RUN of linux/bpf.h."""


def question(asker: bytes, target: bytes) -> bytes:
    return arp.FRAME.pack(ethernet.BROADCAST, asker, ethernet.ARP, arp.REQUEST_HEAD, asker, ASKER4, arp.NOBODY, target)


Figures = tuple[int, int, float, float]
"""Asked, answered, CPU seconds of who asks, and of who answers."""


class Flood:
    """Sends questions from a ring, so that the asker is not what is measured."""

    def __init__(self, frames: list[bytes]) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(263, 10, 1)  # PACKET_VERSION = TPACKET_V2
        self._socket.setsockopt(
            263, 13, struct.pack("=4I", FRAMES * FRAME_SIZE, 1, FRAME_SIZE, FRAMES)
        )  # PACKET_TX_RING
        self._ring = mmap.mmap(self._socket.fileno(), FRAMES * FRAME_SIZE)
        self._socket.bind((LAN, 0))
        words = memoryview(self._ring).cast("I")
        self._states, lengths = words[:: FRAME_SIZE // 4], words[1 :: FRAME_SIZE // 4]
        self._ready = memoryview(array.array("I", [1] * FRAMES))  # TP_STATUS_SEND_REQUEST
        lengths[:] = memoryview(array.array("I", [len(frames[0])] * FRAMES))
        for number in range(FRAMES):
            frame = frames[number % len(frames)]
            at = number * FRAME_SIZE + DATA
            self._ring[at : at + len(frame)] = frame

    def all(self) -> int:
        """Sends the ring once; how many frames."""
        self._states[:] = self._ready
        self._socket.send(b"")
        return FRAMES


def flood(
    wire_name: str, frames: list[bytes], seconds: float, per_second: int, sent: multiprocessing.Queue[tuple[int, float]]
) -> None:
    """In a process of its own, in the asker's namespace."""
    with Path(f"/run/netns/{wire_name}-peer").open("rb") as there:
        if ctypes.CDLL(None).setns(there.fileno(), 0) != 0:
            raise SystemExit("setns: are we root?")
    source, count, began = Flood(frames), 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if per_second and count > per_second * passed:
            time.sleep(0.002)
            continue
        count += source.all()
    sent.put((count, time.process_time()))


def under(frames: list[bytes], serve: Callable[[float], None], *, per_second: int = 0) -> tuple[int, float, float]:
    """Serves while frames come in: how many came, and the CPU seconds of who sent them and of this process.

    The kernel answers in the time of who sends: so its rate on a whole core is told by that, however busy the machine.
    """
    sent: multiprocessing.Queue[tuple[int, float]] = multiprocessing.Queue()
    asker = multiprocessing.Process(target=flood, args=("lbp-bench", frames, SECONDS, per_second, sent))
    asker.start()
    before = resource.getrusage(resource.RUSAGE_SELF)
    serve(SECONDS + 0.5)
    after = resource.getrusage(resource.RUSAGE_SELF)
    count, asking = sent.get()
    asker.join()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count, asking, spent


def ordinary(wire: Wire, addresses: list[bytes], frames: list[bytes], *, per_second: int = 0) -> Figures:
    """By the speaker's sockets and responder."""
    responder = Responder(lambda _address, _now: True)
    for each in addresses:
        responder.hold(each, LAN, wire.link.mac)

    def serve(seconds: float) -> None:
        async def main() -> None:
            packets = KernelPackets(wire.link, lambda frame: responder.answer(frame, LAN, boottime()), lambda: None)
            packets.listen(addresses)
            await asyncio.sleep(seconds)
            packets.close()

        asyncio.run(main())

    came, asking, spent = wire.inside(lambda: under(frames, serve, per_second=per_second))
    return came, responder.answered, asking, spent


def by_kernel(
    wire: Wire, addresses: list[bytes], frames: list[bytes], *, per_second: int = 0
) -> tuple[int, int, float, float]:
    """The same by the fast path, refreshed as a speaker does."""
    path = wire.inside(lambda: open_fast_path(wire.link))
    for each in addresses:
        path.hold(each, wire.link.mac, boottime() + HOUR)

    def serve(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            path.refresh(dict.fromkeys(addresses, boottime() + HOUR))
            time.sleep(0.05)

    came, asking, spent = under(frames, serve, per_second=per_second)
    answered = path.counts()["IPv4"]
    path.close()
    return came, answered, asking, spent


def cost(frame: bytes) -> int:
    """Nanoseconds that the program takes for a frame that it leaves alone (BPF_PROG_TEST_RUN, a million times)."""
    table, words = Table(layout.FIRST_DEADLINE), Words(layout.FIRST_DEADLINE)
    program = syscalls.load(programs.answerer(table.descriptor, words.descriptor), "lbp_bench")
    given = ctypes.create_string_buffer(frame, len(frame))
    asked = RUN.pack(program, 0, len(frame), 0, ctypes.addressof(given), 0, 1_000_000, 0, 0, 0, 0, 0)
    duration: int = RUN.unpack(syscalls._bpf(PROGRAM_RUN, asked)[1])[7]  # noqa: SLF001 - nothing else repeats runs
    os.close(program)
    words.close()
    table.close()
    return duration


def main() -> None:
    wire = Wire("lbp-bench")
    wire.deafen()
    try:
        ours, foreign = ([question(wire.peer_mac, each) for each in some] for some in (HELD, [FOREIGN]))
        for name, way in (("kernel (bpf)", by_kernel), ("speaker's sockets", ordinary)):
            came, answered, asking, spent = way(wire, HELD, ours)
            cores = asking + spent
            print(
                f"{name:18} flood: asked {came / SECONDS / 1000:.0f} k/s, "
                f"answered {answered / SECONDS / 1000:.0f} k/s, {answered / cores / 1000:.0f} k for each CPU second; "
                f"its process: {spent / SECONDS:.2f} cores"
            )
        for name, way in (("kernel (bpf)", by_kernel), ("speaker's sockets", ordinary)):
            came, answered, _, spent = way(wire, MANY, foreign, per_second=50_000)
            print(
                f"{name:18} holds 1,000, others asked {came / SECONDS / 1000:.0f} k/s: {answered} answered, "
                f"{spent / SECONDS:.3f} cores of its process"
            )
    finally:
        wire.close()
    data = bytes(12) + b"\x08\x00\x45" + bytes(60)
    for name, frame in (("IPv4", data), ("foreign ARP", question(bytes(6), FOREIGN))):
        print(f"a frame that is left alone, {name}: {cost(frame)} ns")


if __name__ == "__main__":
    main()
