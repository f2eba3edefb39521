"""ELECTION.md section 5 (c): random faults, N = 1 to 5. The world's checker looks after every event.

LBPROVIDER_ROUNDS sets the rounds for each number of nodes; LBPROVIDER_SEED the first seed.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.sim.campaign import calm, play

ROUNDS = int(os.environ.get("LBPROVIDER_ROUNDS", "25"))
FIRST = int(os.environ.get("LBPROVIDER_SEED", "0"))


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5])
def test_never_two_owners_and_in_the_end_one(nodes: int, capsys: pytest.CaptureFixture[str]) -> None:
    events = 0
    counts: Counter[str] = Counter()
    for seed in range(FIRST, FIRST + ROUNDS):
        world = play(seed, nodes=nodes)
        unowned = calm(world)
        assert not unowned, f"seed {seed}, {nodes} nodes: nobody answers for {unowned}\n{world.trace()}"
        events += world.events
        counts += world.counts
    with capsys.disabled():
        print(f"\n{nodes} nodes, seeds {FIRST} to {FIRST + ROUNDS - 1}: {events} events, {dict(counts.most_common())}")  # noqa: T201
    assert counts["Won/Unclaimed"] >= ROUNDS
    if nodes > 1:
        # A campaign in which these never happen proves nothing.
        assert {"Lost/DeadlinePassed", "Lost/NoSuccessor", "Won/Released", "swapped"} <= counts.keys()
