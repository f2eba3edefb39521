"""What a client's connections came to, judged. Pure.

Time is in nanoseconds of the client's monotonic clock. A client sees an address as silent from the end of one
connection that came to success until the end of the next one, so a connection that had to wait, for the router's ARP
say, counts as late as it was, and one that failed counts not at all. The machine of the client may stand still for a
while too, and then it asks nobody: each silence says for how long.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lbprovider.lab.eyes.judge import MS, Silence, longest_gap

CALM: Final = 50 * MS
"""A client that is never later than this was on a machine on which speakers too could run when they had to: it is the
period of their heartbeats. On any other, promises lapse with nobody at fault, and an address may move by itself."""
STALL: Final = 250 * MS
"""A client that was ever later than this was on a machine that stood still for as long as promises between speakers
last: what it saw says nothing, and is to be seen again."""


@dataclass(frozen=True, slots=True)
class Call:
    """One connection, from before it was opened to after the answer, or its failure."""

    at: int
    opened: int
    """When it was established; 0 where it never was."""
    ended: int
    node: str
    """Who answered; empty where it failed."""
    error: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is to be said of a client's connections."""

    calls: int
    failed: tuple[Call, ...]
    """New connections that could not be opened."""
    cut: tuple[Call, ...]
    """Connections that were opened and then gave no answer: a single owner's state goes with it when it changes."""
    silence: Silence
    lateness: int
    """The longest time for which the client asked nobody though it should have."""
    slowest: int
    """The longest that a connection took that came to success."""
    nodes: tuple[str, ...]
    """Who answered, in turns: under policy Local with a backend on each node, who had the address."""

    @property
    def calm(self) -> bool:
        """Whether it can be said who should have had the address: see :data:`CALM`."""
        return self.lateness <= CALM

    @property
    def void(self) -> bool:
        """Whether it says nothing at all: see :data:`STALL`."""
        return self.lateness >= STALL

    def led_by(self, *nodes: str) -> bool:
        """Whether these answered, in turns; or it can't be said."""
        return self.nodes == nodes or not self.calm

    def __str__(self) -> str:
        """One line for the figures."""
        late = f"client late by {self.silence.lateness / MS:.0f} ms then, {self.lateness / MS:.0f} ms at most"
        return (
            f"longest silence {self.silence.length / MS:.0f} ms ({late});"
            f" of {self.calls} connections {len(self.failed)} not opened, {len(self.cut)} cut, the slowest good one"
            f" {self.slowest / MS:.0f} ms" + ("" if self.calm else "; not calm, so it is not judged who led")
        )


def judge(calls: Sequence[Call], period: int) -> Verdict:
    """Judge connections that were opened once a ``period``, in nanoseconds.

    Raises:
        ValueError: there is none.
    """
    if not calls:
        raise ValueError("no connection was tried, so nothing can be said")
    good = [call for call in calls if not call.error]
    asked = sorted(call.at for call in calls)
    return Verdict(
        calls=len(calls),
        failed=tuple(call for call in calls if call.error and not call.opened),
        cut=tuple(call for call in calls if call.error and call.opened),
        silence=longest_gap(asked, [call.ended for call in good], period),
        lateness=max((after - before - period for before, after in itertools.pairwise(asked)), default=0),
        slowest=max((call.ended - call.at for call in good), default=0),
        nodes=tuple(
            node for node, _ in itertools.groupby(sorted(good, key=lambda call: call.at), lambda call: call.node)
        ),
    )
