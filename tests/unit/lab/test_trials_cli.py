"""``lbprovider lab trial``: what its options mean to the program inside, and what can't be asked for."""

import sys

import pytest
from pytest_mock import MockerFixture
from typer.testing import CliRunner

from lbprovider.cli.main import app
from lbprovider.errors import UsageError
from lbprovider.lab import sandbox

runner = CliRunner()


@pytest.fixture
def started(mocker: MockerFixture) -> list[tuple[list[str], tuple[str, ...]]]:
    """What the sandbox was asked for; it ends with status 3."""
    asked: list[tuple[list[str], tuple[str, ...]]] = []

    def run(arguments: list[str], *, program: tuple[str, ...]) -> int:
        asked.append((arguments, program))
        return 3

    mocker.patch.object(sandbox, "run", run)
    return asked


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        (["all"], ["--repeat", "1", "--addresses", "1", "all"]),
        (["sigkill", "drain", "--repeat", "5"], ["--repeat", "5", "--addresses", "1", "sigkill", "drain"]),
        (["all", "--nodes", "5", "--ipv6"], ["--repeat", "1", "--addresses", "1", "--nodes", "5", "--ipv6", "all"]),
        (["all", "-o", "json", "--addresses", "100"], ["--repeat", "1", "--addresses", "100", "--json", "all"]),
    ],
)
def test_options_reach_the_program_inside_and_its_status_is_ours(
    given: list[str], arguments: list[str], started: list[tuple[list[str], tuple[str, ...]]]
) -> None:
    assert runner.invoke(app, ["lab", "trial", *given]).exit_code == 3
    assert started == [(arguments, (sys.executable, "-m", "lbprovider.lab.trials"))]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["trial"], "name a trial, or all"),
        (["trial", "sigkil"], "there is no trial 'sigkil'"),
        (["trial", "all", "--repeat", "0"], "--repeat 0: take each trial at least once"),
        (["trial", "all", "--nodes", "26"], "--nodes 26: the lab has between 1 and 25"),
        (["trial", "all", "--addresses", "0"], "--addresses 0: the lab has between 1 and 5000"),
        (["trial", "split-1-2", "--nodes", "5"], "--nodes 5: trial split-1-2 takes 3"),
        (["--nodes", "5", "trial", "all"], "options of `lbprovider lab` itself go without trial"),
    ],
)
def test_what_cant_be_is_one_sentence_and_starts_nothing(
    given: list[str], sentence: str, started: list[tuple[list[str], tuple[str, ...]]]
) -> None:
    error = runner.invoke(app, ["lab", *given]).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(sentence)
    assert started == []


def test_the_list_starts_nothing(started: list[tuple[list[str], tuple[str, ...]]]) -> None:
    listed = runner.invoke(app, ["lab", "trial", "--list"])
    assert listed.exit_code == 0
    assert "cable-cut" in listed.output
    assert started == []
