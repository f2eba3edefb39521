"""Fixtures of the end-to-end tests: the programs once, and clusters of 1, 2 and 3 nodes for each module that asks."""

import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.e2e.kinds import Stored
from tests.e2e.rig import binaries as programs
from tests.e2e.rig import ours
from tests.e2e.rig.api import Api
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.report import Report


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def pytest_configure() -> None:
    # A job that is cancelled gets SIGTERM: then the fixtures are torn down as after Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)


_FIGURES = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


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
def binaries(figures: list[str]) -> Binaries:
    if os.geteuid() != 0:
        pytest.fail("the end-to-end tests make network namespaces and need root", pytrace=False)
    began = time.monotonic()
    found = programs.find()
    figures.append(f"control plane found or built in {time.monotonic() - began:.1f} s")
    return found


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda size: f"nodes={size}")
def cluster(
    request: pytest.FixtureRequest,
    binaries: Binaries,
    tmp_path_factory: pytest.TempPathFactory,
    figures: list[str],
) -> Iterator[Cluster]:
    """A cluster of 1, 2 and 3 nodes in turn; ``parametrize("cluster", [3], indirect=True)`` for one size only."""
    began = time.monotonic()
    with Cluster(binaries, request.param, tmp_path_factory.mktemp(f"nodes-{request.param}-")) as made:
        figures.append(f"{request.module.__name__}: {request.param} nodes up in {time.monotonic() - began:.1f} s")
        yield made


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Api:
    """The API server with our kinds and RBAC installed, as the admin."""
    ours.install(cluster)
    return cluster.api


@pytest.fixture
def stored(api: Api) -> Iterator[Stored]:
    """Makes objects that are gone after the test."""
    made = Stored(api)
    yield made
    made.clean()
