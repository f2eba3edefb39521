"""Many rounds, on all processors: what they came to together, and the first that failed."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from typing import Final

from lbprovider.election.guards import ALL, Guards
from tests.sim.campaign import play
from tests.sim.script import NAMES, Script, written

CHUNK: Final = 4
"""Seeds that a process plays, with each number of nodes, before it reports."""


@dataclass
class Tally:
    """What rounds went through, and the script that failed."""

    rounds: int = 0
    events: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failed: Script | None = None

    def add(self, other: Tally) -> None:
        self.rounds += other.rounds
        self.events += other.events
        self.counts += other.counts
        self.failed = self.failed or other.failed


def rounds(first: int, events: int, guards: Guards = ALL) -> Tally:
    """Plays seeds from ``first`` on until there were so many events, or one failed."""
    tally, seeds = Tally(), count(first, CHUNK)
    processes = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        # One more than there are processes, so that none of them waits.
        running: set[Future[Tally]] = {pool.submit(chunk, next(seeds), guards) for _ in range(processes + 1)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                tally.add(each.result())
                if tally.failed is None and tally.events.total() < events:
                    running.add(pool.submit(chunk, next(seeds), guards))
    return tally


def chunk(first: int, guards: Guards = ALL) -> Tally:
    """A few seeds, each with 1 to 5 nodes."""
    tally = Tally()
    gc.disable()  # what a round leaves behind is collected after it: that costs less
    for script in _scripts(first):
        try:
            played = play(script, guards)
        except AssertionError:
            tally.failed = script
            break
        tally.rounds += 1
        tally.events[script.setup.nodes] += played.events
        tally.counts += played.counts
        gc.collect()
    gc.enable()
    return tally


def _scripts(first: int) -> Iterator[Script]:
    for seed in range(first, first + CHUNK):
        for nodes in range(1, len(NAMES) + 1):
            yield written(seed, nodes)
