"""The lab at its larger sizes: a thousand Services, both families, and more nodes than a machine has processors."""

import re
import subprocess

import pytest

from lbprovider.lab.provider import command
from tests.e2e.rig.report import Report

PATIENCE = 400.0
"""Seconds for what takes a minute on a quiet machine of two cores."""


def told(*options: str) -> str:
    """What the story said, which ended well."""
    done = subprocess.run([command(), "lab", *options], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_a_thousand_services_all_get_an_address_that_is_announced(report: Report) -> None:
    said = told("--addresses", "1000")
    assert re.search(r"EXTERNAL-IP +1000 of 1000 within", said)
    assert re.search(r"announced on the LAN +1000 of 1000 within", said)
    for line in ("more Services created", "all of them have addresses", "addresses are announced"):
        (figure,) = (each for each in said.splitlines() if line in each)
        report(figure.strip())


def test_both_families_move_on_their_own(report: Report) -> None:
    said = told("--ipv6")
    for address in ("198.51.100.200", "2001:db8:1::1000"):
        assert f"\nSIGKILL of the leader, {address}\n" in said
        assert f"\na cable cut and healed, {address}\n" in said
    assert "unsolicited NA: node" in said
    report(", ".join(re.findall(r"heard nothing for \d+ ms", said)))


@pytest.mark.parametrize(("nodes", "faults"), [("1", False), ("2", True), ("5", True)])
def test_what_can_be_shown_depends_on_who_is_left(nodes: str, *, faults: bool) -> None:
    said = told("--nodes", nodes)
    assert ("SIGKILL of the leader" in said) is faults
    assert ("of one node nobody is left" in said) is not faults
    assert "the API server down" in said
