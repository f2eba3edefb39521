"""What all tests share: which API server the contract is tried on, figures, and an end in order when cancelled."""

import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

import hypothesis
import pytest
import structlog

from lbprovider.errors import HostError
from lbprovider.lab import preflight
from tests.e2e.rig import binaries as programs
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.report import Report

# How long an example takes says more of the machine's other work than of the code. The same examples each time, so that
# what was green stays so; `make nightly-properties` looks for others.
hypothesis.settings.register_profile("nightly", deadline=None)
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.load_profile("same")


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_configure() -> None:
    # A job that is cancelled gets SIGTERM: then the fixtures are torn down as after Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server",
        choices=("lab", "real"),
        default="lab",
        help="what tests/contract runs on: the lab's API server, or a real one (needs root, and Go for the first time)",
    )


_FIGURES = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """A command that is tried has logs go to its own stderr, which is closed after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines for the end of the run."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


@pytest.fixture
def report(request: pytest.FixtureRequest, figures: list[str]) -> Report:
    """Say a line at the end of the run, under the name of the test."""
    name: str = request.node.name

    def say(line: str) -> None:
        figures.append(f"{name}: {line}")

    return say


@pytest.fixture(scope="session")
def sandbox() -> None:
    """A machine that lets the lab have one; on others the test is skipped, for the reason that users are told."""
    try:
        preflight.check()
    except HostError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def binaries(figures: list[str]) -> Binaries:
    """The programs of a real control plane."""
    if os.geteuid() != 0:
        pytest.fail("a real control plane lives in network namespaces and needs root", pytrace=False)
    began = time.monotonic()
    found = programs.find()
    figures.append(f"control plane found or built in {time.monotonic() - began:.1f} s")
    return found
