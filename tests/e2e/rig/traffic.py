"""What a client's connections came to while a test did something to the cluster."""

import json
from dataclasses import dataclass
from pathlib import Path

from lbprovider.lab.eyes.frames import Address
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.python import program
from tests.e2e.rig.services import PORT


@dataclass(frozen=True, slots=True)
class Call:
    """One connection: when it was opened and how long it took, in nanoseconds of the monotonic clock."""

    at: int
    took: int
    node: str
    """Who answered; empty where it failed."""
    error: str


class Traffic:
    """A client on the LAN that opens a new connection each period, from construction to :meth:`stop`.

    Args:
        cluster: where.
        address: whom to call.
        period: seconds between connections.
        timeout: seconds after which a connection has failed. Below a second a lost SYN counts: TCP sends it again
            only then.
    """

    def __init__(self, cluster: Cluster, address: Address, *, period: float = 0.02, timeout: float = 0.9) -> None:
        self._output = _unused(cluster.directory)
        self._output.touch()
        arguments = [str(address), str(PORT), str(period), str(timeout), str(self._output)]
        self.process = cluster.lan.spawn(self._output.stem, cluster.lan.client, program("caller", *arguments))

    def calls(self) -> tuple[Call, ...]:
        """The connections that have come to their end, in the order of their beginning."""
        whole, _, _ = self._output.read_text(encoding="utf-8").rpartition("\n")
        read = (json.loads(line) for line in whole.splitlines())
        calls = (Call(each["at"], each["took"], each.get("node", ""), each.get("error", "")) for each in read)
        return tuple(sorted(calls, key=lambda call: call.at))

    def stop(self) -> tuple[Call, ...]:
        """End it, with the last connection come to its end, and give all of them."""
        self.process.stop()
        return self.calls()


def _unused(directory: Path) -> Path:
    number = len(list(directory.glob("traffic-*.jsonl"))) + 1
    return directory / f"traffic-{number}.jsonl"
