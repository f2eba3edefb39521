"""What a process has used and waited for, and what a speaker says of itself, between two instants."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lbprovider.lab import provider
from lbprovider.lab.cluster import Lab

_LAG: Final = "lbprovider_loop_lag_seconds_bucket"
_CHANGES: Final = "lbprovider_leader_changes_total"
_HEARTBEATS: Final = "lbprovider_heartbeats_total"
_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process: nanoseconds on a processor, and runnable without one (proc(5), schedstat); its wake-ups."""

    at: int
    ran: int
    waited: int
    wakes: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """As the kernel has it now."""
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        wakes = next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
        return cls(time.monotonic_ns(), int(ran), int(waited), wakes)

    def since(self, before: Self) -> "Share":
        """From then until now."""
        took = self.at - before.at
        return Share(
            cpu=100 * (self.ran - before.ran) / took,
            waited=100 * (self.waited - before.waited) / took,
            wakes=(self.wakes - before.wakes) * 1e9 / took,
        )


@dataclass(frozen=True, slots=True)
class Share:
    """Percent of one processor that was used, percent of the time that one was waited for, wake-ups a second."""

    cpu: float
    waited: float
    wakes: float


@dataclass(frozen=True, slots=True)
class Said:
    """All metrics of a speaker at one instant."""

    samples: Mapping[str, float]

    @classmethod
    def by(cls, lab: Lab, node: str) -> Self:
        """A node's speaker, now."""
        _, body = provider.health(lab.lan.nodes[node].namespace, "/metrics")
        pairs = (line.rpartition(" ") for line in body.splitlines() if not line.startswith("#"))
        return cls({name: float(value) for name, _, value in pairs})

    def since(self, before: Self) -> Self:
        """What was counted from then until now."""
        return type(self)({name: value - before.samples.get(name, 0) for name, value in self.samples.items()})

    def lag(self, share: float) -> float:
        """Milliseconds that this share of the timers ran late at most: the bound of a bucket, so it errs upwards."""
        buckets = sorted(
            (float(name.split('"')[1].replace("+Inf", "inf")), count)
            for name, count in self.samples.items()
            if name.startswith(_LAG)
        )
        return next((_MS * bound for bound, count in buckets if count >= share * buckets[-1][1]), float("inf"))

    def changes(self, kind: str) -> int:
        """Addresses that it has ``Won`` or ``Lost``."""
        return int(sum(v for n, v in self.samples.items() if n.startswith(_CHANGES) and f'change="{kind}"' in n))

    @property
    def heartbeats(self) -> float:
        """Datagrams of its peers that counted."""
        return sum(value for name, value in self.samples.items() if name.startswith(_HEARTBEATS))
