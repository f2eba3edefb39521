"""Thousands of Services at once, two controllers, and one of them killed five times in their midst.

Three thousand with each change, ten thousand by night (``make nightly-burst``): the API server takes fifty a second.
"""

import os
import random

import pytest

from tests.e2e.rig.burst import Burst
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report

pytestmark = pytest.mark.parametrize("cluster", [0], indirect=True, ids=["nodes=0"])

COUNT = int(os.environ.get("LBPROVIDER_BURST", "3000"))
KILLS = 5
WITHIN = 900.0
"""Seconds: several times what it takes on two processors that nobody else uses."""
MOST_WRITES = 2.05
"""A Service: its IPAllocation and its status. What a kill leaves half done is looked at again."""
READY = 30.0
"""Seconds for a start with all of them there."""


def test_each_has_an_address_whoever_is_killed(cluster: Cluster, report: Report) -> None:
    with Burst(cluster, COUNT, report) as burst:
        burst.pour(KILLS, random.SystemRandom().randrange(1_000_000), within=WITHIN)
        answers = burst.tell()
        replay = burst.judge()
        assert replay.broken == []
        assert replay.differences() == []
        assert len(replay.allocations) == COUNT
        accepted = sum(count for what, count in answers.items() if int(what.split()[-1]) < 400)
        assert accepted <= MOST_WRITES * COUNT
        assert burst.quietly(lambda: burst.restart() < READY or pytest.fail("a restart takes too long")) == []
        assert burst.quietly(burst.widen) == []
