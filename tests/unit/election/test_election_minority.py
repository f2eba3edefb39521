"""Rules 18 and 19, C9 to C11: the stories hold, and each without its clause does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lbprovider.election.guards import ALL, Guards
from tests.sim import minority


@pytest.mark.parametrize("story", minority.STORIES, ids=lambda story: story.__name__)
def test_a_missing_quorum(story: Callable[[Guards], None]) -> None:
    story(ALL)


@pytest.mark.parametrize(
    ("guard", "story"),
    [
        ("r18_not_connected", minority.connected_members_write_nothing),
        ("r18_cold", minority.the_first_to_boot_waits),
        ("r18_half", minority.v13_fewer_than_half),
        ("r19_leases", minority.last_resort),
        ("r19_contested", minority.v14_heard_one_way),
        ("r13_let_go", minority.the_deaf_are_not_waited_for),
        ("c9_sight", minority.who_sees_goes_first),
        ("c9_others_see", minority.the_blind_leave_it_to_who_sees),
        ("c1_elsewhere", minority.the_deleted_segment_ends_first),
        ("c10_slack", minority.who_goes_takes_itself_off),
    ],
)
def test_without_the_clause_it_ends_badly(guard: str, story: Callable[[Guards], None]) -> None:
    with pytest.raises(AssertionError):
        story(replace(ALL, **{guard: False}))
