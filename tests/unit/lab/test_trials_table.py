"""The table of trials: that each fault is in it, and which of them a number of nodes takes."""

import re

import pytest

from lbprovider.errors import UsageError
from lbprovider.lab.trials.table import ALL, BY_NAME, TRIALS, Trial, chosen, nodes_of

MATRIX = (
    "drain sigterm sigkill sigstop link-down cable-cut power-loss mute deaf split-1-2 split-2-2 split-2-3 "
    "owner-cable-cut-2 segment-deleted api-restored api-partition api-down api-down-sigkill start-while-api-down "
    "all-speakers-restarted endpoint-gone rolling-update rolling-update-2 members-changed foreign-host arp-flood "
    "two-nodes-one-dies two-nodes-one-dies-api-down"
)


def test_every_fault_of_the_matrix_is_there_once() -> None:
    assert sorted(each.name for each in TRIALS) == sorted(MATRIX.split())
    assert len(BY_NAME) == len(TRIALS)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_each_says_in_one_sentence_what_it_does(trial: Trial) -> None:
    assert re.fullmatch(r"\S.*\.", trial.does)


def test_each_gets_three_nodes_where_it_takes_them() -> None:
    counts = {each.name: nodes_of(each, None) for each in TRIALS}
    others = {name: count for name, count in counts.items() if count != 3}
    assert others == {
        "split-2-2": 4,
        "split-2-3": 5,
        "owner-cable-cut-2": 2,
        "two-nodes-one-dies": 2,
        "two-nodes-one-dies-api-down": 2,
        "rolling-update-2": 2,
    }
    assert nodes_of(BY_NAME["sigkill"], 5) == 5


def test_all_are_those_that_take_so_many_nodes() -> None:
    assert chosen((ALL,), None) == TRIALS
    five = {each.name for each in chosen((ALL,), 5)}
    assert {"sigkill", "split-2-3"} <= five
    assert not {"split-1-2", "split-2-2", "owner-cable-cut-2"} & five


def test_trials_come_in_the_tables_order_each_once() -> None:
    assert [each.name for each in chosen(("sigkill", "drain", "sigkill"), None)] == ["drain", "sigkill"]


@pytest.mark.parametrize(
    ("names", "nodes", "sentence"),
    [
        (("sigkil",), None, "there is no trial 'sigkil'"),
        (("split-2-2",), 3, "--nodes 3: trial split-2-2 takes 4"),
        (("sigkill",), 2, "--nodes 2: trial sigkill takes 3+"),
    ],
)
def test_what_cant_be_is_one_sentence(names: tuple[str, ...], nodes: int | None, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        chosen(names, nodes)
