"""The failure matrix, a row for each fault: what ``lbprovider lab trial`` says of it, as anybody can run it."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any, Final

import pytest

from lbprovider.lab.provider import command
from lbprovider.lab.trials.table import TRIALS
from tests.e2e.rig.report import Report

pytestmark = pytest.mark.usefixtures("sandbox")

PATIENCE: Final = 3600.0
"""Seconds for all: some six minutes on a quiet machine of two cores, and void samples are taken again."""

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Mapping[str, Row]:
    """Those that were asked for, in one run: they share their labs."""
    here = [item for item in request.session.items if item.path == request.path and isinstance(item, pytest.Function)]
    names = [str(item.callspec.params["name"]) for item in here]
    argv = [command(), "lab", "trial", *names, "-o", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout, f"status {done.returncode}\n{done.stderr}"
    return {each["name"]: each for each in json.loads(done.stdout)["trials"]}


@pytest.mark.parametrize("name", [each.name for each in TRIALS])
def test_a_client_sees_no_more_of_a_fault_than_is_promised(name: str, rows: Mapping[str, Row], report: Report) -> None:
    row = rows[name]
    report(row["line"])
    if row["verdict"] == "void":
        pytest.skip(f"this machine was too busy to tell: {row['line']}")
    assert row["verdict"] == "ok", row["line"]
