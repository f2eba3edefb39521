"""How trials are told: the line, the JSON, the closing sentences and the exit status."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from lbprovider.lab.eyes.judge import MS, Silence
from lbprovider.lab.trials import telling, verdicts
from lbprovider.lab.trials.figures import Figures
from lbprovider.lab.trials.runner import Result
from lbprovider.lab.trials.table import BY_NAME
from lbprovider.lab.trials.verdicts import Sample, Verdict

HOLD = 250 * MS
GOOD = Figures(
    silence=Silence(0, 240 * MS, 0),
    lost=118,
    contested=0,
    contested_after=0,
    misled=0,
    unconnected=Silence(0, 260 * MS, 0),
    refused=10,
    cut=0,
    gratuitous=8,
    announced=239 * MS,
    moves=1,
    late=3 * MS,
    answered_late=True,
)
SLOW = replace(GOOD, silence=Silence(0, 7000 * MS, 0))
LATE = replace(GOOD, late=90 * MS)


def result(*seen: Figures | None, problem: str = "") -> Result:
    trial = BY_NAME["sigkill"]
    samples = tuple(
        Sample(
            number=number,
            figures=each,
            hold=HOLD,
            still=verdicts.still(trial.target, HOLD),
            cause="NodeSilent",
            load=0.5,
            problem=problem,
            misses=() if each is None else verdicts.misses(each, trial.target, HOLD, 1),
        )
        for number, each in enumerate(seen, 1)
    )
    return Result(trial, 3, 1, "IPv4", samples, verdicts.of_trial(samples, len(samples)))


def test_a_line_has_the_worst_of_all_samples() -> None:
    said = telling.line(result(GOOD, replace(GOOD, silence=Silence(0, 290 * MS, 0)), GOOD))
    assert said.startswith("sigkill, 3 nodes: ok, target ≤ 1.2·hold (silence 290 ms, lost 118, two MACs 0 ms, ")
    assert said.endswith("; NodeSilent)")


def test_a_line_says_what_was_missed_and_what_was_void() -> None:
    said = telling.line(result(GOOD, SLOW, LATE))
    assert " | sample 2 FAILED: silence 7000 ms, not ≤ 300 ms" in said
    assert said.endswith(" | sample 3 void: the prober was late by 90 ms")


def test_a_trial_that_saw_nothing_says_why() -> None:
    said = telling.line(result(None, problem="the lab is not as it should be: no node"))
    assert said.endswith("FAILED, target ≤ 1.2·hold | sample 1 FAILED: the lab is not as it should be: no node")


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([result(GOOD)], 0),
        ([result(GOOD), result(SLOW)], 1),
        ([result(GOOD), result(LATE)], 3),
        ([result(SLOW), result(LATE)], 1),
    ],
)
def test_the_exit_status_tells_failed_from_void(results: list[Result], status: int) -> None:
    assert telling.status(results) == status


def test_the_json_has_each_figure_of_each_sample_in_milliseconds() -> None:
    read = json.loads(telling.document([result(GOOD, SLOW)]))
    assert read["verdict"] == "FAILED"
    (trial,) = read["trials"]
    assert (trial["name"], trial["nodes"], trial["addresses"], trial["family"]) == ("sigkill", 3, 1, "IPv4")
    assert [each["silenceMs"] for each in trial["samples"]] == [240.0, 7000.0]
    assert [each["verdict"] for each in trial["samples"]] == ["ok", "FAILED"]
    assert trial["samples"][0]["lateMs"] == 3.0


def test_closing_names_what_failed_and_says_when_nothing_can_be_told() -> None:
    assert list(telling.closing([result(GOOD)])) == []
    assert next(iter(telling.closing([result(SLOW)]))) == "FAILED: sigkill"
    void = list(telling.closing([result(LATE)]))
    assert void[0] == "void: sigkill"
    assert void[1].startswith("1 of 1 samples are void")
    assert void[2].startswith("the run is void")


def test_the_table_and_the_list_have_a_row_each() -> None:
    output = StringIO()
    console = Console(file=output, width=telling.WIDTH)
    telling.table([result(GOOD), result(None, problem="no lab")], console)
    telling.listing(console)
    lines = output.getvalue().splitlines()
    assert sum(line.startswith("sigkill ") for line in lines) == 3
    assert any("240 ms" in line and "≤ 1.2·hold" in line and " ok" in line for line in lines)
    assert any(" – " in line and Verdict.FAILED in line for line in lines)
