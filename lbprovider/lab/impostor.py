"""A host that answers for an address that isn't its own: what a speaker must never be.

``python -m lbprovider.lab.impostor eth0 198.51.100.240`` answers every question for the address with the MAC of the
interface, whoever else does; with ``--claim`` it says so to everybody first, as a host does that comes up.
"""

import argparse
import sys
import time
from ipaddress import ip_address
from typing import Final

from lbprovider.lab.eyes.frames import Address, announcement, answer, asked
from lbprovider.lab.lan import Lan
from lbprovider.lab.process import Process
from lbprovider.lab.waiting import until
from lbprovider.net.namespaces import Namespace
from lbprovider.net.tap import Tap, hurry

_SECOND: Final = 1_000_000_000


def start(lan: Lan, name: str, where: Namespace, address: Address, *, claim: bool = False) -> Process:
    """Have somebody on the LAN answer for an address, from ``eth0`` of a namespace; it does so on return."""
    argv = [sys.executable, "-m", __name__, "eth0", str(address), *(["--claim"] if claim else [])]
    process = lan.spawn(name, where, argv)
    until(lambda: "answering" in process.tail(), f"{name} answers for {address}")
    return process


def main() -> None:
    """Entry point of the program: it answers until a signal ends it."""
    parser = argparse.ArgumentParser(description="Answer for an address of somebody else.")
    parser.add_argument("interface")
    parser.add_argument("target", type=ip_address)
    parser.add_argument("--claim", action="store_true")
    given = parser.parse_args()
    hurry()
    with Tap(given.interface, promiscuous=True) as tap:
        if given.claim:
            tap.send(announcement(given.target, tap.mac))
        print("answering", flush=True)  # noqa: T201 - whoever reads the log waits for it
        while True:
            tap.wait(time.monotonic_ns() + _SECOND)
            for seen in tap.receive():
                question = None if seen.outgoing else asked(seen.frame)
                if question is not None and question[0] == given.target:
                    _, mac, address = question
                    tap.send(answer(given.target, tap.mac, mac, address))


if __name__ == "__main__":
    main()
