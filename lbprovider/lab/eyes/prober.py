"""The client's eyes: asks for one address again and again, and writes down every reply.

``python -m lbprovider.lab.eyes.prober`` is the program that does it, in the client's namespace: one broadcast ARP
request (or multicast Neighbor Solicitation) a period, from a packet socket, so that no cache of the kernel stands
between. :class:`Prober` starts it and reads what it writes: JSON lines, ``{"sent": ns, "due": ns}`` and
``{"reply": mac, "at": ns}``, with ``unasked`` in the place of ``reply`` for a gratuitous frame; nanoseconds of the
monotonic clock. What it means is for :mod:`lbprovider.lab.eyes.judge`.
"""

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from lbprovider.lab.eyes.flooded import SOURCE
from lbprovider.lab.eyes.frames import Address, Kind, claim, question
from lbprovider.lab.eyes.judge import MS, Reply, Samples, Sent
from lbprovider.lab.process import Process
from lbprovider.net.namespaces import Namespace
from lbprovider.net.tap import Tap, hurry

PERIOD: Final = 2 * MS
"""Nanoseconds between requests: fine enough for the 300 ms that a failover may take, and no load to speak of."""
_CHUNK: Final = 32
"""Lines written at once: a write a request would make the prober later."""


class Prober:
    """A prober at work.

    Args:
        client: the namespace to ask from.
        interface: the one on the LAN.
        target: the address to ask for.
        source: the asker's own address, of the same family.
        output: the file for what it saw; made anew.
        period: nanoseconds.
    """

    def __init__(
        self,
        client: Namespace,
        interface: str,
        *,
        target: Address,
        source: Address,
        output: Path,
        period: int = PERIOD,
    ) -> None:
        self.target = target
        self.period = period
        self._output = output
        # Each line is read once: whoever looks often shares the machine with those who are looked at.
        self._read = 0
        self._sent: list[Sent] = []
        self._replies: list[Reply] = []
        output.write_bytes(b"")
        argv = [sys.executable, "-m", __name__, "--interface", interface, "--target", str(target)]
        argv += ["--source", str(source), "--period", str(period), "--output", str(output)]
        self.process = Process(f"prober of {target}", client.command(argv), output.with_suffix(".log"))

    def samples(self) -> Samples:
        """All that it saw so far; a request is read some 60 ms after it was sent, at the default period.

        Raises:
            RuntimeError: the prober has failed; with its output.
        """
        if self.process.status not in {None, 0, -signal.SIGTERM, -signal.SIGKILL}:
            raise RuntimeError(f"{self.process.name} ended with {self.process.status}: {self.process.tail()}")
        with self._output.open("rb") as output:
            output.seek(self._read)
            whole, newline, _ = output.read().rpartition(b"\n")
        for line in whole.splitlines():
            record: Mapping[str, object] = json.loads(line)
            match record:
                case {"sent": int(at), "due": int(due)}:
                    self._sent.append(Sent(at, due))
                case {"reply": str(mac), "at": int(at)}:
                    self._replies.append(Reply(at, mac))
                case {"unasked": str(mac), "at": int(at)}:
                    self._replies.append(Reply(at, mac, unasked=True))
                case _:
                    raise RuntimeError(f"{self.process.name} wrote {line!r}")
        self._read += len(whole) + len(newline)
        self._replies.sort(key=lambda reply: reply.at)
        return Samples(self.period, tuple(self._sent), tuple(self._replies))

    def stop(self) -> Samples:
        """End it and give all that it saw."""
        self.process.stop()
        return self.samples()


class _Record:
    """Lines on their way to the file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        os.write(self._file, "".join(self._lines).encode("ascii"))
        self._lines.clear()


def _probe(tap: Tap, target: Address, source: Address, period: int, record: _Record) -> None:
    """Ask and listen until SIGTERM."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    request = question(target, tap.mac, source)
    due = time.monotonic_ns()
    while not ended:
        if tap.wait(due):
            for seen in tap.receive():
                said = None if seen.outgoing else claim(seen.frame)
                if said is not None and said.address == target:
                    how = "unasked" if said.kind is Kind.GRATUITOUS else "reply"
                    record.add(f'{{"{how}": "{said.mac}", "at": {seen.at}}}\n')
        now = time.monotonic_ns()
        if now >= due:
            if tap.send(request):
                record.add(f'{{"sent": {now}, "due": {due}}}\n')
            due += period * ((now - due) // period + 1)  # what was missed is not made up for
    record.flush()


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="Ask for an address on a LAN and write down who answers, and when.")
    parser.add_argument("--interface", required=True)
    parser.add_argument("--target", required=True, type=ip_address)
    parser.add_argument("--source", required=True, type=ip_address)
    parser.add_argument("--period", required=True, type=int, help="nanoseconds")
    parser.add_argument("--output", required=True, type=Path)
    given = parser.parse_args()
    hurry()
    gc.disable()  # a collection is a late request; nothing here makes cycles
    with Tap(given.interface, deaf_to=SOURCE) as tap:
        _probe(tap, given.target, given.source, given.period, _Record(given.output))


if __name__ == "__main__":
    main()
