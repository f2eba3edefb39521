"""``python -m bench.metallb [--repeat 3]``: the faults, and a table of both providers with their ratios."""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.metallb import programs
from bench.metallb.faults import CUT, SIGKILL, Fault, Sample, sample
from bench.metallb.rig import METALLB, OURS, Both
from lbprovider.telemetry import configure_logging
from tests.e2e.rig import binaries
from tests.e2e.rig.cluster import Cluster

_ROWS: Final = (
    ("silence, ms", "silence"),
    ("two MACs, ms", "contested"),
    ("silence after it was mended, ms", "healed_silence"),
    ("two MACs after it was mended, ms", "healed_contested"),
    ("gratuitous frames", "frames"),
    ("the prober's own lateness, ms", "lateness"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.metallb", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="how often each fault strikes")
    parser.add_argument("--nodes", type=int, default=3)
    given = parser.parse_args()
    if os.geteuid():
        sys.exit("python -m bench.metallb needs root, as make e2e does")
    configure_logging("ERROR")
    with tempfile.TemporaryDirectory(prefix="bench-metallb-") as directory:
        peer = programs.find()
        with Cluster(binaries.find(), given.nodes, Path(directory)) as cluster:
            both = Both(cluster, peer)
            print(f"MetalLB {programs.VERSION} and lbprovider on the same {given.nodes} nodes", flush=True)
            taken = {fault: [_told(both, fault) for _ in range(given.repeat)] for fault in (SIGKILL, CUT)}
    print(f"\nmedian / worst of {given.repeat}")
    print(f"{'fault':<30}{'':<36}{METALLB:>16}{OURS:>16}{'ratio of medians':>18}")
    for fault, samples in taken.items():
        for title, field in _ROWS:
            _row(fault.name, title, *([getattr(each[name], field) for each in samples] for name in (METALLB, OURS)))


def _told(both: Both, fault: Fault) -> Mapping[str, Sample]:
    taken = sample(both, fault)
    for provider, one in taken.items():
        print(f"{fault.name}, {provider}: {one}; load average {os.getloadavg()[0]:.1f}", flush=True)
    return taken


def _row(fault: str, title: str, theirs: Sequence[float], own: Sequence[float]) -> None:
    cells = (f"{statistics.median(each):.0f} / {max(each):.0f}" for each in (theirs, own))
    median = statistics.median(own)
    ratio = f"{statistics.median(theirs) / median:.1f} : 1" if median >= 1 else "–"
    print(f"{fault:<30}{title:<36}{next(cells):>16}{next(cells):>16}{ratio:>18}")


if __name__ == "__main__":
    main()
