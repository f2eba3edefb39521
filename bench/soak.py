"""Speakers beside processor hogs of their own priority: does anybody lose an address for want of a processor?

``python -m bench.soak [--hogs 8] [--minutes 15] [--nodes 3] [--addresses 1]``: a lab, then the hogs. Whatever address
changes its owner meanwhile is a false failover, for nothing fails: then the exit status is 1.

Where the kernel shares processors by session (autogroup), each hog and each speaker has one of its own, so all of them
are equals, as Pods of one weight are.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Final

from bench import places
from bench.readings import Said, Usage
from lbprovider.lab.cluster import Lab
from lbprovider.lab.eyes.judge import MS, judge
from lbprovider.lab.story.arrival import Arrival
from lbprovider.settings import LabSettings

_HOG: Final = (sys.executable, "-c", "while True: pass")
_ASK: Final = 10 * MS
"""Nanoseconds between two questions of the client: often enough to see any change, and no load of its own."""
_MINUTE: Final = 60.0
_SETTLE: Final = 3.0
"""Seconds of rest before the first reading."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hogs", type=int, default=8, help="programs that never rest")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--addresses", type=int, default=1)
    places.run("bench.soak", parser, _soak)


def _soak(given: argparse.Namespace) -> int:
    with Lab(LabSettings(nodes=given.nodes, addresses=given.addresses), given.directory) as lab:
        arrival = Arrival(lab, lambda _: None)
        arrival.tell("soak")
        address = next(iter(arrival.services.values())).addresses[0]
        prober = lab.lan.probe(address, period=_ASK)
        time.sleep(_SETTLE)
        for number in range(given.hogs):
            lab.lan.spawn(f"hog-{number + 1}", lab.lan.control, _HOG)
        time.sleep(_SETTLE)
        watch = _Watch(lab)
        began = time.monotonic_ns()
        end = time.monotonic() + given.minutes * _MINUTE
        loads = []
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _MINUTE))
            lab.check()
            loads.append(os.getloadavg()[0])
            print(
                f"{(time.monotonic_ns() - began) / MS / 1000:6.0f} s: {watch.lost()} addresses lost so far; "
                f"load average {loads[-1]:.1f}",
                flush=True,
            )
        verdict = judge(prober.samples().between(began, time.monotonic_ns()))
        print(
            f"\n{given.hogs} hogs on {os.cpu_count()} processors, {given.minutes:g} min, {given.nodes} nodes, "
            f"{given.addresses} addresses; load average {min(loads):.1f} to {max(loads):.1f}"
        )
        lost = watch.tell()
        print(f"the client: {verdict}")
        print(f"false failovers: {lost}")
    return 1 if lost else 0


class _Watch:
    """All speakers, from its construction on."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._pids: Mapping[str, int] = {node: lab.speaker(node).pid for node in lab.lan.nodes}
        self._said = {node: Said.by(lab, node) for node in self._pids}
        self._used = {node: Usage.of(pid) for node, pid in self._pids.items()}

    def _since(self) -> Mapping[str, Said]:
        return {node: Said.by(self._lab, node).since(self._said[node]) for node in self._pids}

    def lost(self) -> int:
        """How many addresses changed their owner."""
        return sum(said.changes("Lost") for said in self._since().values())

    def tell(self) -> int:
        """A line for each speaker; the number of changes of owners."""
        since = self._since()
        print("speaker      CPU  waited for CPU  wake-ups  timers late: p50     p99   p99.9     max  heard  won  lost")
        for node, said in since.items():
            used = Usage.of(self._pids[node]).since(self._used[node])
            lags = "".join(f"{'≤' + format(said.lag(share), 'g'):>6}ms" for share in (0.5, 0.99, 0.999, 1))
            seconds = (time.monotonic_ns() - self._used[node].at) / 1e9
            print(
                f"{node:<10}{used.cpu:5.1f} %{used.waited:13.1f} %{used.wakes:8.0f}/s  {lags:>38}"
                f"{said.heartbeats / seconds:6.0f}/s{said.changes('Won'):5}{said.changes('Lost'):6}"
            )
        return sum(said.changes("Lost") for said in since.values())


if __name__ == "__main__":
    main()
