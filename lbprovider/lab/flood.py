"""Somebody on the LAN who asks for everybody: broadcast ARP requests, as many in a second as one wants.

``python -m lbprovider.lab.flood eth0 50000`` is the program: requests for one address after the other, from a hardware
address of its own (:data:`SOURCE`), until a signal ends it. A line a second says how many there really were.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

from lbprovider.lab.eyes.flooded import SOURCE
from lbprovider.lab.eyes.frames import question
from lbprovider.lab.lan import Lan
from lbprovider.lab.process import Process
from lbprovider.lab.waiting import until
from lbprovider.net.tap import Tap

_SECOND: Final = 1_000_000_000
_BURST: Final = 64
"""Requests between two looks at the clock."""
_FROM: Final = IPv4Address("198.19.0.1")  # RFC 2544, as objects.OFF_LINK: an end of it that no pool reaches
_DIFFERENT: Final = 4096
"""Addresses that are asked for, in turn: none that anybody has."""


def start(lan: Lan, rate: int) -> Process:
    """Flood a LAN with so many requests a second; they come on return."""
    argv = [sys.executable, "-m", __name__, "eth0", str(rate)]
    process = lan.spawn("flood", lan.guest("flood"), argv)
    until(lambda: "requests" in process.tail(), "the flood has come")
    return process


def achieved(process: Process) -> int:
    """How many requests there were in the last whole second."""
    return int(process.tail(1).split()[0])


def frames() -> Iterator[bytes]:
    """The requests, over and over again."""
    made = [question(_FROM + 1 + number, SOURCE, _FROM) for number in range(_DIFFERENT)]
    while True:
        yield from made


def main() -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(description="Ask a LAN for one address after the other.")
    parser.add_argument("interface")
    parser.add_argument("rate", type=int, help="requests a second")
    given = parser.parse_args()
    requests = frames()
    with Tap(given.interface, deaf_to=SOURCE) as tap:
        began = said = time.monotonic_ns()
        sent = before = 0
        while True:
            for _ in range(_BURST):
                tap.send(next(requests))
            sent += _BURST
            now = time.monotonic_ns()
            if now - said >= _SECOND:
                print(f"{(sent - before) * _SECOND // (now - said)} requests/s", flush=True)  # noqa: T201 - the log
                said, before = now, sent
            ahead = sent * _SECOND // given.rate - (now - began)
            if ahead > 0:
                time.sleep(ahead / _SECOND)
            elif ahead < -_SECOND:  # what the machine has no time for is left out
                began = now - sent * _SECOND // given.rate


if __name__ == "__main__":
    main()
