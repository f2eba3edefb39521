"""The failure matrix once more with speakers whose kernels answer: the same targets, and never two owners."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from lbprovider.lab import provider
from lbprovider.lab.cluster import Lab
from lbprovider.lab.trials import runner
from lbprovider.lab.trials.runner import Result, Runner
from lbprovider.lab.trials.table import chosen
from lbprovider.lab.trials.telling import line
from lbprovider.lab.trials.verdicts import Verdict
from lbprovider.settings import FastPathKind, TrialSettings
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

NAMES: Final = ("drain", "sigkill", "sigstop", "arp-flood")
"""Those that a kernel which goes on by itself could spoil, planned and not."""
_CAPABILITIES: Final = ("net_raw", "bpf", "net_admin")
_ANSWERS: Final = "lbprovider_kernel_answers_total"


class FastLab(Lab):
    """A lab whose speakers have the fast path. Of root alone: no user namespace gives these capabilities."""

    def start_speaker(self, name: str) -> None:
        arguments = [f"--fast-path={FastPathKind.BPF}"]
        self._programs[f"speaker-{name}"] = provider.start_speaker(self, name, arguments, capabilities=_CAPABILITIES)

    def answered(self) -> dict[str, float]:
        """How many questions the kernels have answered, by node."""
        found = {}
        for name, node in self.lan.nodes.items():
            lines = provider.health(node.namespace, "/metrics")[1].splitlines()
            found[name] = sum(float(each.split()[-1]) for each in lines if each.startswith(_ANSWERS))
        return found


@dataclass(frozen=True)
class Run:
    """All of them, and the lab that they leave."""

    results: Mapping[str, Result]
    lab: FastLab
    answered: Mapping[str, float]


@pytest.fixture(scope="module", params=["IPv4", "IPv6"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    if os.geteuid() != 0:
        pytest.fail("the kernel lets only root load programs", pytrace=False)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runner, "Lab", FastLab)
        settings = TrialSettings(names=NAMES, ipv6=request.param == "IPv6")
        with Runner(settings, tmp_path_factory.mktemp(f"fast-{request.param}"), lambda _: None) as running:
            found = {each.trial.name: each for each in running.run(chosen(NAMES, None))}
            place = running._place
            assert place is not None
            assert isinstance(place.lab, FastLab)
            yield Run(found, place.lab, place.lab.answered())


@pytest.mark.parametrize("name", NAMES)
def test_a_client_sees_no_more_of_a_fault_than_without_a_fast_path(run: Run, name: str, report: Report) -> None:
    result = run.results[name]
    report(line(result))
    if result.verdict is Verdict.VOID:
        pytest.skip(f"this machine was too busy to tell: {line(result)}")
    assert result.verdict is Verdict.OK, line(result)


def test_the_kernel_did_answer(run: Run, report: Report) -> None:
    report(str(run.answered))
    assert sum(run.answered.values()) > 100


def test_a_speaker_without_the_capabilities_says_so_once_and_is_ready_all_the_same(run: Run) -> None:
    lab, node = run.lab, run.lab.speakers[0]
    lab.kill_speaker(node)
    process = provider.start_speaker(lab, node, ["--fast-path=bpf"])
    eventually(lambda: lab.ready(node), "it votes")
    said = [json.loads(each) for each in process.log.read_text().splitlines() if '"no fast path' in each]
    assert [(each["level"], each["event"].partition(";")[0]) for each in said] == [
        ("warning", "no fast path on eth0: no permission to use BPF")
    ]
    process.kill()
    lab.start_speaker(node)
