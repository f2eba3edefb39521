"""``lbprovider explain service`` against an API server in memory."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from typer.testing import CliRunner

from lbprovider.api.core import Namespace
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import NAMESPACES, POOLS, SERVICES
from lbprovider.cli import explain, live
from lbprovider.cli.main import app
from lbprovider.errors import NotFound, UsageError
from tests.fakes.api_server import FakeApi
from tests.unit.ipam.builders import pool, service

runner = CliRunner()


@pytest.fixture(autouse=True)
def cluster(mocker: MockerFixture) -> FakeApi:
    """One pool, and Services web/first and web/second in its order."""
    api = FakeApi()
    api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name="web")))
    api.write(POOLS, pool("lan", "10.0.0.0/32"))
    for name in ("first", "second"):
        api.write(SERVICES, service(name))

    async def as_admin(_: Path | None, work: Callable[[object], Awaitable[object]]) -> object:
        return await work(api)

    mocker.patch.object(live, "as_admin", as_admin)
    # Loggers would go on writing to what the runner lends them as stderr, after it is closed.
    mocker.patch.object(explain, "configure_logging")
    return api


def test_it_tells_people() -> None:
    said = runner.invoke(app, ["explain", "service", "web/first", "--namespace", "lb"])
    assert said.exit_code == 0, said.exception
    assert "Service web/first: no address" in said.output
    assert "10.0.0.0 from pool lan" in said.output
    assert "lan (IPv4): Chosen. 10.0.0.0:" in said.output
    assert "What to change:" in said.output


def test_it_tells_programs() -> None:
    said = runner.invoke(app, ["explain", "service", "web/first", "--namespace", "lb", "-o", "json"])
    found = json.loads(said.output)
    assert (found["service"], found["reason"]) == ("web/first", "Assigned")
    assert found["pools"] == [
        {"pool": "lan", "family": "IPv4", "verdict": "Chosen", "message": found["pools"][0]["message"]}
    ]  # fmt: skip


def test_the_controllers_flags_are_its_own_too() -> None:
    said = runner.invoke(app, ["explain", "service", "web/first", "--namespace", "lb", "--no-default-class"])
    assert "OtherClass" in said.output


def test_pools_of_another_namespace_do_not_count() -> None:
    said = runner.invoke(app, ["explain", "service", "web/first"])
    assert "NoPools" in said.output


def test_a_service_that_is_not_there() -> None:
    error = runner.invoke(app, ["explain", "service", "missing"]).exception
    assert isinstance(error, NotFound)
    assert "there is no Service default/missing" in str(error)


@pytest.mark.parametrize("name", ["/a", "a/"])
def test_a_name_that_is_none(name: str) -> None:
    assert isinstance(runner.invoke(app, ["explain", "service", name]).exception, UsageError)
