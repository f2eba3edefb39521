"""``lbprovider drain`` and ``undrain`` against an API server in memory, beside speakers of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from pytest_mock import MockerFixture
from typer.testing import CliRunner

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus, ServiceClaim
from lbprovider.api.core import Lease, Node
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, LEASES, NODES
from lbprovider.cli import drain, draining, live
from lbprovider.cli.main import app
from lbprovider.errors import ClusterError, Forbidden, NotFound, Unreachable, UsageError, UserError
from tests.fakes import virtual_time
from tests.fakes.api_server import Call, FakeApi

NAMESPACE = "lbprovider-system"
runner = CliRunner()


@pytest.fixture(autouse=True)
def unconfigured(mocker: MockerFixture) -> None:
    """Loggers would go on writing to what the runner lends them as stderr, after it is closed."""
    mocker.patch.object(drain, "configure_logging")


def cluster(**leaders: str) -> FakeApi:
    """Nodes n1 and n2 with speakers, n3 without; addresses 192.0.2.<number> by their leaders, as ``_10="n1"``."""
    api = FakeApi()
    for name in ("n1", "n2", "n3"):
        api.write(NODES, Node(metadata=ObjectMeta(name=name)))
    for name in ("n1", "n2"):
        labels = {names.SPEAKER_LABEL: ""}
        api.write(LEASES, Lease(metadata=ObjectMeta(name=name, namespace=NAMESPACE, labels=labels)))
    for number, leader in leaders.items():
        lead(api, f"192.0.2.{number[1:]}", leader)
    return api


def lead(api: FakeApi, address: str, leader: str, *, services: bool = True) -> None:
    name = names.object_name(ip_address(address))
    claims = (ServiceClaim(namespace="default", name="web", uid="u"),) if services else ()
    spec = IPAllocationSpec(address=address, pool="pool", services=claims)
    metadata = ObjectMeta(name=name)
    api.write(ALLOCATIONS, IPAllocation(metadata=metadata, spec=spec, status=IPAllocationStatus(leader=leader)))


def drained(api: FakeApi, node: str) -> bool:
    return names.DRAIN_ANNOTATION in api.objects(NODES)[node].metadata.annotations


def run(api: FakeApi, node: str, *meanwhile: Callable[[], None], within: float | None = 10) -> list[str]:
    """Drains; each of ``meanwhile`` happens a second after the one before, from the wish on. What was said."""
    said: list[str] = []

    async def happens() -> None:
        while not drained(api, node):  # noqa: ASYNC110  (what it waits for has no event)
            await asyncio.sleep(0.01)
        for each in meanwhile:
            await asyncio.sleep(1)
            each()

    async def main(_: Callable[[], float]) -> None:
        other = asyncio.create_task(happens())
        try:
            await draining.drain(api, node, NAMESPACE, within=within, say=said.append)
        finally:
            other.cancel()

    virtual_time.run(main)
    return said


def test_it_waits_until_the_node_leads_nothing_and_says_what_moved_where() -> None:
    api = cluster(_10="n1", _11="n2", _12="n1")
    said = run(
        api, "n1", lambda: lead(api, "192.0.2.12", "n2"), lambda: lead(api, "192.0.2.10", "n3")
    )  # fmt: skip
    assert drained(api, "n1")
    assert not drained(api, "n2")
    assert said == [
        "node n1 drains: it leads 2 addresses",
        "192.0.2.12: n1 -> n2",
        "192.0.2.10: n1 -> n3",
        "node n1 leads nothing, and takes nothing until `lbprovider undrain n1`",
    ]


def test_an_address_that_no_service_has_any_more_is_not_waited_for() -> None:
    api = cluster(_10="n1", _11="n1")
    lead(api, "192.0.2.13", "n1", services=False)  # cools down
    said = run(
        api,
        "n1",
        lambda: lead(api, "192.0.2.10", "n1", services=False),
        lambda: api.remove(ALLOCATIONS, "192.0.2.11"),
    )
    assert said[0] == "node n1 drains: it leads 2 addresses"
    assert said[1:3] == ["192.0.2.10: no Service has it any more", "192.0.2.11: no Service has it any more"]
    assert said[3].startswith("node n1 leads nothing")


def test_an_address_that_the_node_won_just_before_it_heard_is_waited_for_too() -> None:
    api = cluster(_10="n2")

    won = False

    def fault(call: Call) -> ClusterError | None:
        nonlocal won
        if call.verb == "patch" and not won:
            won = True
            lead(api, "192.0.2.10", "n1")
        return None

    api.fault = fault
    said = run(api, "n1", lambda: lead(api, "192.0.2.10", "n2"))
    assert said[0] == "node n1 drains: it leads nothing"
    assert said[1] == "192.0.2.10: n1 -> n2"


def test_what_nobody_else_may_announce_is_named_and_the_node_stays_drained() -> None:
    api = cluster(**{f"_{number}": "n1" for number in range(10, 22)})
    with pytest.raises(UserError) as raised:
        run(api, "n1", lambda: lead(api, "192.0.2.10", "n2"), within=30)
    assert str(raised.value).startswith(
        "node n1 still leads 11 addresses after 30 s (192.0.2.11, 192.0.2.12, 192.0.2.13, 192.0.2.14, 192.0.2.15, "
        "192.0.2.16, 192.0.2.17, 192.0.2.18, 192.0.2.19, 192.0.2.20, ...): "
    )
    assert drained(api, "n1")


def test_what_nobody_answers_for_any_more_is_said_at_once_with_the_reason() -> None:
    api = cluster(_10="n1", _11="n1")
    why = Condition(type="Announced", status="False", reason="NoEligibleNode", message="no node may: 2 Draining")

    def unserved() -> None:
        there = api.objects(ALLOCATIONS)["192.0.2.10"]
        status = msgspec.structs.replace(there.status, conditions=(why,))
        api.write(ALLOCATIONS, msgspec.structs.replace(there, status=status))

    with pytest.raises(UserError) as raised:
        run(api, "n1", unserved, lambda: lead(api, "192.0.2.11", "n2"), within=30)
    assert str(raised.value) == (
        "nobody answers for 1 address any more (192.0.2.10): no node may: 2 Draining; node n1 stays drained until "
        "`lbprovider undrain n1`"
    )


def test_without_waiting_it_only_says_what_the_node_leads() -> None:
    api = cluster(_10="n1")
    assert run(api, "n1", within=None) == ["node n1 drains: it leads 1 address"]
    assert drained(api, "n1")


def test_an_api_server_that_goes_away_for_a_while_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    api = cluster(_10="n1")

    def away() -> None:
        api.fault = lambda _: Unreachable("refused")
        api.cut()

    def back() -> None:
        api.fault = lambda _: None
        lead(api, "192.0.2.10", "n2")

    said = run(api, "n1", away, back, within=60)
    assert said[1] == "192.0.2.10: n1 -> n2"
    assert not caplog.records


@pytest.mark.parametrize(
    ("node", "namespace", "sentence"),
    [
        ("n9", NAMESPACE, "there is no Node n9: `kubectl get nodes` lists them"),
        ("n3", NAMESPACE, "no speaker has registered from node n3 in namespace lbprovider-system, so it leads nothing"),
        ("n1", "other", "no speaker has registered from node n1 in namespace other"),
    ],
)
def test_an_unknown_node_and_one_without_a_speaker_are_refused_before_anything_is_written(
    node: str, namespace: str, sentence: str
) -> None:
    api = cluster()

    async def main(_: Callable[[], float]) -> None:
        await draining.drain(api, node, namespace, within=1, say=print)

    with pytest.raises(NotFound) as raised:
        virtual_time.run(main)
    assert str(raised.value).startswith(sentence)
    assert not [call for call in api.calls if call.verb == "patch"]


@pytest.mark.parametrize("what", ["nodes", "leases", "ipallocations", "patch"])
def test_a_missing_permission_is_said_and_nothing_was_changed(what: str) -> None:
    api = cluster(_10="n1")
    api.fault = lambda call: Forbidden(f"may not {call.verb}") if what in (call.plural, call.verb) else None
    with pytest.raises(Forbidden):
        run(api, "n1")
    assert not drained(api, "n1")


def test_undrain_takes_the_wish_back_whether_there_is_a_speaker_or_not() -> None:
    api = cluster()
    said: list[str] = []
    for name in ("n1", "n3"):
        there = api.objects(NODES)[name]
        kept = {"other": "kept", names.DRAIN_ANNOTATION: "true"}
        api.write(NODES, msgspec.structs.replace(there, metadata=ObjectMeta(name=name, annotations=kept)))

    async def main(_: Callable[[], float]) -> None:
        for name in ("n1", "n3", "n3"):
            await draining.undrain(api, name, say=said.append)
        with pytest.raises(NotFound, match="there is no Node n9"):
            await draining.undrain(api, "n9", say=said.append)

    virtual_time.run(main)
    assert [api.objects(NODES)[name].metadata.annotations for name in ("n1", "n3")] == [{"other": "kept"}] * 2
    stays = "takes addresses again; those that have moved stay where they are"
    assert said == [f"node n1 {stays}", f"node n3 {stays}", "node n3 was not drained"]


@pytest.mark.parametrize(
    ("arguments", "waits"),
    [(["n1"], 60.0), (["n1", "--no-wait"], None), (["n1", "--timeout", "5"], 5.0)],
)
def test_the_command_line_reaches_it(arguments: list[str], waits: float | None, mocker: MockerFixture) -> None:
    asked: list[tuple[str, str, float | None]] = []
    api, files = FakeApi(), list[Path | None]()

    async def done(_: object, node: str, namespace: str, *, within: float | None, say: object) -> None:
        assert callable(say)
        asked.append((node, namespace, within))

    async def as_admin(kubeconfig: Path | None, work: Callable[[object], Awaitable[object]]) -> object:
        files.append(kubeconfig)
        return await work(api)

    mocker.patch.object(draining, "drain", done)
    mocker.patch.object(live, "as_admin", as_admin)
    result = runner.invoke(app, ["drain", "--kubeconfig", "/some/file", *arguments])
    assert result.exit_code == 0, result.exception
    assert asked == [("n1", NAMESPACE, waits)]
    assert files == [Path("/some/file")]


def test_a_kubeconfig_that_is_not_there_is_the_users_error(tmp_path: Path) -> None:
    for command in ("drain", "undrain"):
        error = runner.invoke(app, [command, "n1", "--kubeconfig", str(tmp_path / "none")]).exception
        assert isinstance(error, UsageError)


def test_a_timeout_that_is_no_time_is_refused() -> None:
    assert isinstance(runner.invoke(app, ["drain", "n1", "--timeout", "0"]).exception, UsageError)
