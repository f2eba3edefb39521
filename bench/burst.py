"""A burst of Services on a real API server, with two controllers of which one is killed now and then.

``python -m bench.burst [--services 10000] [--kills 5] [--seed N]``: etcd, kube-apiserver and kube-controller-manager
from ``make controlplane``, without nodes: what is measured is between controllers and API server. Needs root. It prints
what was written a Service, how long it took, what the controllers needed, what a restart and a pool edit cost then.
"""

import argparse
import os
import random
import tempfile
from pathlib import Path

from tests.e2e.rig import binaries
from tests.e2e.rig.burst import Burst
from tests.e2e.rig.cluster import Cluster


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.burst", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--within", type=float, default=900, help="seconds for all to have an address")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed

    def say(line: str) -> None:
        print(line, flush=True)

    with (
        tempfile.TemporaryDirectory(prefix="burst-") as directory,
        Cluster(binaries.find(), 0, Path(directory)) as cluster,
        Burst(cluster, given.services, say) as burst,
    ):
        say(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        burst.pour(given.kills, seed, within=given.within)
        burst.tell()
        replay = burst.judge()
        say(f"{len(replay.allocations)} IPAllocations, {len(replay.differences())} differences between status and them")
        say(f"{len(replay.broken)} moments at which they contradicted each other")
        again, wider = burst.quietly(burst.restart), burst.quietly(burst.widen)
        say(f"writes after a restart: {len(again)}, after a pool edit: {len(wider)}")


if __name__ == "__main__":
    main()
