"""The runner of trials: what breaks one of them stops no other."""

from pathlib import Path

from pytest_mock import MockerFixture

from lbprovider.lab.trials import runner
from lbprovider.lab.trials.runner import Runner
from lbprovider.lab.trials.table import chosen
from lbprovider.lab.trials.verdicts import Verdict
from lbprovider.settings import TrialSettings


def test_eyes_that_fail_fail_their_trial_and_the_next_one_is_run(tmp_path: Path, mocker: MockerFixture) -> None:
    names = ("drain", "sigkill")
    mocker.patch.object(Runner, "_enter")
    mocker.patch.object(runner, "Stage", side_effect=[RuntimeError("the prober ended with 1"), OSError("no LAN")])
    with Runner(TrialSettings(names=names), tmp_path, lambda _: None) as running:
        results = list(running.run(chosen(names, None)))
    assert [(each.trial.name, each.verdict) for each in results] == [(name, Verdict.FAILED) for name in names]
    assert [each.samples[0].problem.rpartition(": ")[2] for each in results] == ["the prober ended with 1", "no LAN"]
