"""ELECTION.md section 5 (c): a million random events, and every outcome of every rule among them.

LBPROVIDER_EVENTS sets how many (the nightly target: a hundred million), LBPROVIDER_SEED the first seed.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.sim.campaign import report
from tests.sim.coverage import never, table
from tests.sim.rounds import rounds

EVENTS = int(os.environ.get("LBPROVIDER_EVENTS", "1000000"))
SEED = int(os.environ.get("LBPROVIDER_SEED", "0"))


def test_never_two_owners_and_in_the_end_one(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    tally = rounds(SEED, EVENTS)
    took = time.monotonic() - began
    if tally.failed is not None:
        pytest.fail(report(tally.failed), pytrace=False)
    by_nodes = ", ".join(f"{events:,} with {nodes}" for nodes, events in sorted(tally.events.items()))
    with capsys.disabled():
        print(f"\n{table(tally.counts)}")  # noqa: T201
        print(  # noqa: T201
            f"{tally.events.total():,} events in {tally.rounds:,} rounds from seed {SEED}, {took:.0f} s, "
            f"{tally.events.total() / took:,.0f} a second; nodes: {by_nodes}"
        )
    assert tally.events.total() >= EVENTS
    assert never(tally.counts) == []
