"""``lbprovider lab``: what its options mean to the program inside, and what can't be asked for."""

import subprocess
import sys

import pytest
from pytest_mock import MockerFixture
from typer.testing import CliRunner

from lbprovider.cli.main import app
from lbprovider.errors import UsageError
from lbprovider.lab import sandbox

runner = CliRunner()


@pytest.fixture
def started(mocker: MockerFixture) -> list[tuple[list[str], bool]]:
    """What the sandbox was asked for; it ends with status 3."""
    asked: list[tuple[list[str], bool]] = []

    def run(arguments: list[str], *, outlive: bool) -> int:
        asked.append((arguments, outlive))
        return 3

    mocker.patch.object(sandbox, "run", run)
    return asked


@pytest.mark.parametrize(
    ("given", "arguments", "outlive"),
    [
        ([], ["--nodes", "3", "--addresses", "2"], False),
        (["--keep"], ["--nodes", "3", "--addresses", "2", "--keep"], True),
        (["--nodes", "5", "--ipv6"], ["--nodes", "5", "--addresses", "2", "--ipv6"], False),
        (["--addresses", "1000"], ["--nodes", "3", "--addresses", "1000"], False),
    ],
)
def test_options_reach_the_program_inside_and_its_status_is_ours(
    given: list[str], arguments: list[str], started: list[tuple[list[str], bool]], *, outlive: bool
) -> None:
    assert runner.invoke(app, ["lab", *given]).exit_code == 3
    assert started == [(arguments, outlive)]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--nodes", "0"], "--nodes 0: the lab has between 1 and 25"),
        (["--nodes", "26"], "--nodes 26: the lab has between 1 and 25"),
        (["--addresses", "5001"], "--addresses 5001: the lab has between 1 and 5000"),
        (["--keep", "enter", "client"], "options of `lbprovider lab` itself go without enter"),
    ],
)
def test_what_cant_be_is_one_sentence_and_starts_nothing(
    given: list[str], sentence: str, started: list[tuple[list[str], bool]]
) -> None:
    error = runner.invoke(app, ["lab", *given]).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(sentence)
    assert started == []


def test_neither_controller_nor_speaker_carries_the_lab() -> None:
    loaded = (
        "import sys, lbprovider.cli.main; print(*[name for name in sys.modules if name.startswith('lbprovider.lab')])"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
