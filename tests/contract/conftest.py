"""Fixtures of the contract tests: one server for all of them, as ``--server`` says."""

import itertools
import time
from collections.abc import Iterator
from typing import Final

import pytest

from tests.contract.kinds import Stored
from tests.contract.servers import Server
from tests.e2e.rig.api import Api

_numbers: Final = itertools.count(1)


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, figures: list[str]
) -> Iterator[Server]:
    """The server, with our kinds and RBAC installed. Whoever restarts it waits until it is back."""
    began = time.monotonic()
    which: str = request.config.getoption("--server")
    directory = tmp_path_factory.mktemp(f"{which}-server-")
    made: Server
    if which == "real":
        from tests.contract.real_server import RealServer  # noqa: PLC0415 - needs root's tools, which the lab must not

        made = RealServer(request.getfixturevalue("binaries"), directory)
    else:
        from tests.contract.lab_server import LabServer  # noqa: PLC0415 - only one of the two is needed

        made = LabServer(directory)
    figures.append(f"the {which} API server up in {time.monotonic() - began:.1f} s")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def api(server: Server) -> Api:
    """The server as the admin sees it."""
    return server.api


@pytest.fixture
def namespace(api: Api) -> str:
    """A namespace of the test's own."""
    name = f"contract-{next(_numbers)}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def stored(api: Api) -> Iterator[Stored]:
    """Makes objects that are gone after the test."""
    made = Stored(api)
    yield made
    made.clean()
