"""A passive capture of a LAN: every ARP and Neighbor Discovery frame that passes the switch, in a pcap file.

``python -m lbprovider.lab.eyes.capture`` is the program, in the switch's namespace on the bridge in promiscuous mode;
:class:`Capture` starts it and reads the file: for an address, who claimed it when. The prober sees what answers come
to one client; this sees also what nobody asked for.

Times in the file are of the monotonic clock, to set beside the prober's: a viewer shows them as of the time since boot.
"""

import argparse
import signal
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from lbprovider.lab.eyes.flooded import SOURCE
from lbprovider.lab.eyes.frames import Address, Claim, Kind, claim
from lbprovider.lab.eyes.judge import MS, Reply
from lbprovider.lab.process import Process
from lbprovider.net.namespaces import Namespace
from lbprovider.net.tap import Tap, hurry

# The libpcap file format, in its form with nanoseconds.
_HEADER: Final = struct.Struct("=IHHiIII")
_MAGIC: Final = 0xA1B23C4D
_ETHERNET: Final = 1
_PACKET: Final = struct.Struct("=IIII")
_SNAP: Final = 65535
_SECOND: Final = 1_000_000_000
_LOOK: Final = 200 * MS
"""Nanoseconds between looks at whether we should end, while the LAN is still."""


@dataclass(frozen=True, slots=True)
class Captured:
    """A claim and when it passed."""

    at: int
    claim: Claim


class Capture:
    """A capture at work.

    Args:
        switch: the namespace of the bridge.
        bridge: its name.
        output: the pcap file; made anew.
    """

    def __init__(self, switch: Namespace, bridge: str, output: Path) -> None:
        self.path = output
        self._told = _HEADER.size
        output.write_bytes(b"")
        argv = [sys.executable, "-m", __name__, "--interface", bridge, "--output", str(output)]
        self.process = Process(f"capture on {bridge}", switch.command(argv), output.with_suffix(".log"))

    @property
    def started(self) -> bool:
        """Whether it listens: what passes from now on is in the file."""
        return self.path.stat().st_size >= _HEADER.size

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Every frame so far with its time, in order."""
        return ((at, frame) for at, frame, _ in self._frames(_HEADER.size))

    def _frames(self, start: int) -> Iterator[tuple[int, bytes, int]]:
        """The frames from a place in the file on, each with its time and the place behind it."""
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read()
        at = 0
        while at + _PACKET.size <= len(data):
            seconds, nanos, length, _ = _PACKET.unpack_from(data, at)
            at += _PACKET.size
            if at + length > len(data):  # still being written
                return
            frame = data[at : at + length]
            at += length
            yield seconds * _SECOND + nanos, frame, start + at

    def news(self) -> Iterator[Captured]:
        """The claims that passed since the last call, or since the beginning: for whoever looks again and again."""
        for at, frame, behind in self._frames(self._told):
            self._told = behind
            said = claim(frame)
            if said is not None:
                yield Captured(at, said)

    def claims(self, address: Address) -> tuple[Captured, ...]:
        """Who claimed an address, and when."""
        said = ((at, claim(frame)) for at, frame in self.frames())
        return tuple(Captured(at, each) for at, each in said if each is not None and each.address == address)

    def replies(self, address: Address) -> tuple[Reply, ...]:
        """The answers alone, for :func:`lbprovider.lab.eyes.judge.interleaved`."""
        return tuple(Reply(each.at, each.claim.mac) for each in self.claims(address) if each.claim.kind is Kind.REPLY)

    def stop(self) -> None:
        """End it; the file stays."""
        self.process.stop()


def _record(tap: Tap, output: BinaryIO) -> None:
    """Write down what passes until SIGTERM, and what is still unread then."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    output.write(_HEADER.pack(_MAGIC, 2, 4, 0, 0, _SNAP, _ETHERNET))
    output.flush()
    while True:
        last = bool(ended)
        for seen in tap.receive():
            length = len(seen.frame)
            output.write(_PACKET.pack(seen.at // _SECOND, seen.at % _SECOND, length, length) + seen.frame)
        output.flush()
        if last:
            return
        tap.wait(time.monotonic_ns() + _LOOK)


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="Write down the ARP and Neighbor Discovery frames of an interface.")
    parser.add_argument("--interface", required=True)
    parser.add_argument("--output", required=True, type=Path)
    given = parser.parse_args()
    hurry()
    with Tap(given.interface, promiscuous=True, deaf_to=SOURCE) as tap, given.output.open("ab") as output:
        _record(tap, output)


if __name__ == "__main__":
    main()
