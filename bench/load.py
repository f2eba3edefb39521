"""What a speaker costs: processor and timers' lateness, at rest and while the LAN asks for everybody else.

``python -m bench.load [--addresses 100] [--rate 50000] [--seconds 20]``: first a rest, then broadcast ARP requests for
addresses that nobody has, as many a second as asked for and as the machine has time for.
"""

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bench import places
from bench.readings import Said, Share, Usage
from lbprovider.lab import flood
from lbprovider.lab.cluster import Lab
from lbprovider.lab.story.arrival import Arrival
from lbprovider.settings import LabSettings


@dataclass(frozen=True, slots=True)
class _Row:
    """One speaker over some seconds."""

    share: Share
    said: Said


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--addresses", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rate", type=int, default=50_000, help="foreign ARP requests a second")
    parser.add_argument("--seconds", type=float, default=20)
    places.run("bench.load", parser, _load)


def _load(given: argparse.Namespace) -> int:
    with Lab(LabSettings(nodes=given.nodes, addresses=given.addresses), given.directory) as lab:
        Arrival(lab, lambda _: None).tell("load")
        time.sleep(10)  # the last announcements of what was just won are over after 5
        print(f"{given.nodes} speakers, {given.addresses} addresses; {os.cpu_count()} processors")
        print("                   speaker      CPU  wake-ups  waited for CPU  timers late: p50     p99     max")
        _tell("at rest", _during(lab, given.seconds))
        flooding = flood.start(lab.lan, given.rate)
        rows = _during(lab, given.seconds)
        _tell(f"{flood.achieved(flooding) / 1000:.0f}k/s foreign ARP", rows)
    print("MetalLB (BASELINE): 80 to 100 % of a core while only others are asked")
    return 0


def _during(lab: Lab, seconds: float) -> Mapping[str, _Row]:
    pids = {node: lab.speaker(node).pid for node in lab.lan.nodes}
    said = {node: Said.by(lab, node) for node in pids}
    used = {node: Usage.of(pid) for node, pid in pids.items()}
    time.sleep(seconds)
    # The metrics last: a speaker that is asked for them works for it.
    shares = {node: Usage.of(pid).since(used[node]) for node, pid in pids.items()}
    return {node: _Row(shares[node], Said.by(lab, node).since(said[node])) for node in pids}


def _tell(when: str, rows: Mapping[str, _Row]) -> None:
    print(f"{when}, load average {os.getloadavg()[0]:.1f}")
    for node, row in rows.items():
        lags = "".join(f"{'≤' + format(row.said.lag(share), 'g'):>6}ms" for share in (0.5, 0.99, 1))
        print(
            f"{node:>26}{row.share.cpu:7.1f} %{row.share.wakes:8.0f}/s{row.share.waited:14.1f} %{'':8}{lags}",
            flush=True,
        )


if __name__ == "__main__":
    main()
