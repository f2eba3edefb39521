"""A plain ARP and NDP responder, planted where a test needs an owner that is not ours.

``responder.py eth0 198.51.100.240``: answers every question for the address with the MAC of the
interface, whoever else does. It is what the speaker must never be.
"""

import argparse
import time
from ipaddress import ip_address

from lbprovider.lab.eyes.frames import answer, asked
from lbprovider.net.tap import Tap, hurry

_SECOND = 1_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("target", type=ip_address)
    given = parser.parse_args()
    hurry()
    with Tap(given.interface, promiscuous=True) as tap:
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
