"""``lbprovider plan``: files in, tables, JSON or YAML out, and the exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_mock import MockerFixture
from typer.testing import CliRunner, Result

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import Namespace, Service
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.pool import IPAddressPool
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, NAMESPACES, POOLS, SERVICES
from lbprovider.cli import live, plan
from lbprovider.cli.main import app
from lbprovider.documents import written
from lbprovider.errors import Forbidden, KindMissing
from tests.fakes.api_server import FakeApi
from tests.unit.planning.planning_input import SYSTEM, Manifest, advertisement, allocation, node, pool, service

runner = CliRunner()
PAGE = Path(__file__).parents[3] / "docs" / "plan.md"


@pytest.fixture(autouse=True)
def unconfigured(mocker: MockerFixture) -> None:
    """Loggers would go on writing to what the runner lends them as stderr, after it is closed."""
    mocker.patch.object(plan, "configure_logging")


def run(*arguments: str, given: list[Manifest] | str = "") -> Result:
    text = given if isinstance(given, str) else written(given)
    return runner.invoke(app, ["plan", *arguments], input=text)


LAN = pool("lan", "192.0.2.1-192.0.2.2")
ALL = advertisement("all")


@pytest.mark.parametrize(
    ("services", "status"),
    [
        ([], 0),
        ([service("a")], 0),
        ([service("a"), service("b"), service("c")], 2),
        ([service("a", spec={"ipFamilyPolicy": "PreferDualStack"})], 2),
        ([service("a", spec={"loadBalancerIP": "198.51.100.1"})], 2),
    ],
)
@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_the_exit_status_says_whether_everybody_has_what_they_asked_for(
    services: list[Manifest], status: int, output: str
) -> None:
    assert run("-f", "-", "-o", output, given=[LAN, ALL, *services]).exit_code == status


def test_what_cant_be_used_is_said_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kind: X\n---\na: [\n" + written([pool("p", "nonsense"), service("s", 0)]))
    (tmp_path / "fine.yaml").write_text(written([LAN]))
    missing = str(tmp_path / "missing.yaml")

    found = run("-f", str(tmp_path), "-f", missing)

    where = f"lbprovider: {tmp_path}/bad.yaml"
    assert found.exit_code == 1
    assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert lines[0] == f"{where}, document 1: apiVersion: is missing: each Kubernetes object has one"
    assert lines[1].startswith(f"{where}, document 2, line 4: is no YAML: ")
    assert lines[2] == f"lbprovider: {missing}: can't be read: No such file or directory"
    assert lines[3].startswith(f"{where}, document 3: spec.addresses[0]: ")
    assert lines[4].startswith(f"{where}, document 4: spec.ports[0].port: 0 is no port")
    assert len(lines) == 5


def test_a_reason_is_one_line_whatever_it_is_about() -> None:
    found = run("-f", "-", given=[service("s", spec={"type": "a\nb\x1b[31m"})])

    assert found.exit_code == 1
    assert len(found.stderr.splitlines()) == 1
    assert "\x1b" not in found.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lb-class", "plain", "-f", "-"], "--lb-class 'plain'"),
        (["--at", "soon", "-f", "-"], "--at 'soon'"),
        (["--against", "/nowhere/config"], "no kubeconfig at /nowhere/config"),
    ],
)
def test_what_makes_no_sense_doesnt_end_as_if_something_lacked(arguments: list[str], said: str) -> None:
    found = run(*arguments)

    assert found.exit_code == 1
    assert said in found.stderr


def test_without_any_input_it_says_how_it_is_used() -> None:
    found = run()

    assert found.exit_code == 2
    assert "Usage" in found.stderr


def test_json_has_the_keys_that_programs_read() -> None:
    given = [LAN, pool("v6", "2001:db8::/64"), advertisement("all", spec={"interfaces": ["eth0"]}),
             service("a"), node("n1"), node("n2", annotations={"lbprovider.io/drain": "true"})]  # fmt: skip

    found = json.loads(run("-f", "-", "-o", "json", given=given).stdout)

    assert found == {
        "services": [
            {
                "namespace": "default",
                "name": "a",
                "ingress": ["192.0.2.1"],
                "pool": "lan",
                "pools": {"192.0.2.1": "lan"},
                "reason": "Assigned",
                "message": "Assigned 192.0.2.1 from pool lan.",
            }
        ],
        "allocations": [
            {
                "apiVersion": "lbprovider.io/v1beta1",
                "kind": "IPAllocation",
                "metadata": {"name": "192.0.2.1"},
                "spec": {
                    "address": "192.0.2.1",
                    "pool": "lan",
                    "services": [{"namespace": "default", "name": "a", "uid": "default/a", "ports": [{"port": 80}]}],
                },
            }
        ],
        "pools": [
            {
                "name": "lan",
                "total": {"ipv4": 2, "ipv6": 0},
                "assigned": {"ipv4": 1, "ipv6": 0},
                "available": {"ipv4": 1, "ipv6": 0},
            },
            {
                "name": "v6",
                "total": {"ipv4": 0, "ipv6": 2**63 - 1},
                "assigned": {"ipv4": 0, "ipv6": 0},
                "available": {"ipv4": 0, "ipv6": 2**63 - 1},
            },
        ],
        "announcements": [
            {
                "address": "192.0.2.1",
                "eligible": ["n1"],
                "excluded": {"n2": "Draining"},
                "ranking": ["n1"],
                "interfaces": {"n1": ["eth0"]},
            }
        ],
        "problems": [],
    }
    assert list(found) == ["services", "allocations", "pools", "announcements", "problems"]


def test_the_same_input_is_the_same_output_to_the_byte() -> None:
    given = [LAN, ALL, node("n1"), service("b"), service("a"), service("c")]

    for output in ("table", "json", "yaml"):
        arguments = ("-f", "-", "-o", output, "--at", "2026-01-31T12:00:00Z")
        assert run(*arguments, given=given).stdout_bytes == run(*arguments, given=given).stdout_bytes


def test_allocations_of_json_can_be_fed_in_again(tmp_path: Path) -> None:
    first = json.loads(run("-f", "-", "-o", "json", given=[LAN, service("a")]).stdout)
    (tmp_path / "held.yaml").write_text(written(first["allocations"]))

    second = json.loads(run("-f", str(tmp_path), "-f", "-", "-o", "json", given=[LAN, service("b")]).stdout)

    assert [one["ingress"] for one in second["services"]] == [["192.0.2.2"]]
    assert [one["metadata"]["name"] for one in second["allocations"]] == ["192.0.2.1", "192.0.2.2"]


def test_yaml_can_be_fed_in_again() -> None:
    once = run(
        "-f", "-", "-o", "yaml", "--at", "2026-01-31T12:00:00Z", given=[LAN, ALL, node("n"), service("a")]
    ).stdout
    again = run("-f", "-", "-o", "yaml", "--at", "2026-02-28T12:00:00Z", given=once).stdout

    assert "- ip: 192.0.2.1" in once
    assert again == once


def test_tables_fit_into_100_columns_and_have_no_colours() -> None:
    long = [service(f"a-service-with-quite-a-long-name-{number}", namespace="some-namespace") for number in range(4)]
    nodes = [node(f"node-{number}.rack.example.com", labels={"r": str(number % 2)}) for number in range(20)]
    only = advertisement("a", spec={"nodeSelectors": [{"matchLabels": {"r": "1"}}]})

    said = run("-f", "-", given=[LAN, only, *long, *nodes]).stdout

    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 100
    for title in ("Services", "Pools", "Announcements", "Services that need a look"):
        assert f"{title}\n" in said
    assert "some-namespace/a-service-with-quite-a-long-name-3: Exhausted. " in said.replace("\n", " ")


def test_brackets_in_names_are_no_markup() -> None:
    found = run("-f", "-", given=[LAN, service("a", spec={"loadBalancerIP": "[bold]"})]).stdout

    assert "[bold]" in found


def test_the_page_shows_what_the_program_says(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (site,) = re.findall(r"`site.yaml`:\n\n```yaml\n(.*?)```", page, re.DOTALL)
    (said,) = re.findall(r"```console\n\$ lbprovider plan -f site.yaml\n(.*?)\$ echo \$\?\n", page, re.DOTALL)
    (status,) = re.findall(r"\$ echo \$\?\n(\d)\n```", page)
    (tmp_path / "site.yaml").write_text(site, encoding="utf-8")
    program = Path(sys.executable).parent / "lbprovider"

    found = subprocess.run(
        [program, "plan", "-f", "site.yaml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert [line.rstrip() for line in found.stdout.splitlines()] == said.splitlines()
    assert (found.returncode, found.stderr) == (int(status), "")


def test_the_page_names_every_key_and_every_option() -> None:
    page = PAGE.read_text(encoding="utf-8")
    help_text = runner.invoke(app, ["plan", "--help"], env={"COLUMNS": "200"}).stdout

    result = json.loads(run("-f", "-", "-o", "json", given=[LAN, ALL, node("n"), service("a")]).stdout)
    keys = {*result, *(key for part in ("services", "pools", "announcements") for key in result[part][0])}
    options = set(re.findall(r"--[a-z-]+", help_text)) - {"--help", "--filename", "--output", "--default-class"}
    missing = {each for each in keys if f"`{each}`" not in page}
    missing |= {each for each in options if not each.startswith("--no-ignore") and each not in page}

    assert missing == set()


# --- against a cluster


@pytest.fixture
def cluster(mocker: MockerFixture) -> FakeApi:
    """A pool, and a Service that waits."""
    api = FakeApi()
    for name in ("default", SYSTEM):
        api.write(NAMESPACES, Namespace(metadata=ObjectMeta(name=name)))
    api.write(POOLS, typed(pool("lan", "192.0.2.1", namespace=SYSTEM), IPAddressPool))
    spec = {"clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    api.write(SERVICES, typed(service("waits", namespace="default", metadata={"uid": "u"}, spec=spec), Service))

    async def as_admin(_: Path | None, work: Callable[[object], Awaitable[object]]) -> object:
        return await work(api)

    mocker.patch.object(live, "as_admin", as_admin)
    return api


def typed(one: Manifest, kind: type[Any]) -> Any:
    return msgspec.convert(one, type=kind)


def test_against_a_cluster_json_says_what_would_change(cluster: FakeApi) -> None:
    found = json.loads(run("--against", "any", "-f", "-", "-o", "json", given=[service("new")]).stdout)

    assert found["changes"] == [
        {"object": "Service default/waits", "field": "ingress", "before": [], "after": ["192.0.2.1"]},
        {"object": "Service default/waits", "field": "reason", "before": None, "after": "Assigned"},
        {"object": "Service default/new", "field": "ingress", "before": None, "after": []},
        {"object": "Service default/new", "field": "reason", "before": None, "after": "Exhausted"},
        {
            "object": "IPAddressPool lbprovider-system/lan",
            "field": "assigned",
            "before": {"ipv4": 0, "ipv6": 0},
            "after": {"ipv4": 1, "ipv6": 0},
        },
        {
            "object": "IPAddressPool lbprovider-system/lan",
            "field": "available",
            "before": {"ipv4": 1, "ipv6": 0},
            "after": {"ipv4": 0, "ipv6": 0},
        },
        {"object": "IPAllocation 192.0.2.1", "field": "eligible", "before": None, "after": []},
    ]
    assert {call.verb for call in cluster.calls} == {"list"}


def test_against_a_cluster_the_table_has_the_differences_alone(cluster: FakeApi) -> None:
    said = run("--against", "any", given="").stdout

    assert [line.split() for line in said.splitlines()[3:5]] == [
        ["Service", "default/waits", "ingress", "-", "192.0.2.1"],
        ["Service", "default/waits", "reason", "-", "Assigned"],
    ]
    assert "Pools" not in said
    cluster.remove(SERVICES, "waits", "default")
    assert "nothing would change" in run("--against", "any").stdout


def test_an_object_of_a_cluster_that_cant_be_read_is_a_problem(cluster: FakeApi) -> None:
    cluster.garbled.add(f"{SYSTEM}/lan")

    found = run("--against", "any", "-o", "json")

    assert found.exit_code == 2
    assert [(one["object"], one["reason"]) for one in json.loads(found.stdout)["problems"]] == [
        ("IPAddressPool lbprovider-system/lan", "Unreadable")
    ]


def test_what_cant_be_read_keeps_what_it_holds(cluster: FakeApi) -> None:
    cluster.write(POOLS, typed(pool("lan", "192.0.2.1-192.0.2.3", namespace=SYSTEM), IPAddressPool))
    cluster.write(SERVICES, typed(service("holds", namespace="default", metadata={"uid": "h"}), Service))
    cluster.write(ALLOCATIONS, typed(allocation("192.0.2.1", "lan", ("default/holds", "h")), IPAllocation))
    cluster.write(ALLOCATIONS, typed(allocation("192.0.2.2", "lan", ("default/other", "o")), IPAllocation))
    cluster.garbled |= {"default/holds", "192.0.2.2"}

    found = json.loads(run("--against", "any", "-o", "json").stdout)

    assert [(one["name"], one["ingress"]) for one in found["services"]] == [("waits", ["192.0.2.3"])]
    assert [(one["object"], one["reason"]) for one in found["problems"] if one["reason"] == "Unreadable"] == [
        ("IPAllocation 192.0.2.2", "Unreadable"),
        ("Service default/holds", "Unreadable"),
    ]


def test_a_bad_pool_of_a_cluster_is_a_problem(cluster: FakeApi) -> None:
    cluster.write(POOLS, typed(pool("bad", "nonsense", namespace=SYSTEM), IPAddressPool))

    found = run("--against", "any", "-o", "json")

    assert found.exit_code == 0
    assert ("IPAddressPool lbprovider-system/bad", "InvalidEntry") in [
        (one["object"], one["reason"]) for one in json.loads(found.stdout)["problems"]
    ]


def test_what_a_live_plan_wrote_can_be_fed_in_again(cluster: FakeApi) -> None:
    del cluster
    once = run("--against", "any", "-o", "yaml", "--at", "2026-01-31T12:00:00Z", given=[]).stdout

    assert "uid: u\n" in once
    assert run("-f", "-", "-o", "yaml", "--at", "2026-01-31T12:00:00Z", given=once).stdout == once


def test_a_cluster_that_lbprovider_isnt_installed_on_has_none_of_its_objects(cluster: FakeApi) -> None:
    ours = {POOLS.plural, ADVERTISEMENTS.plural, ALLOCATIONS.plural}
    cluster.fault = lambda call: KindMissing("no such kind", status=404) if call.plural in ours else None

    found = json.loads(run("--against", "any", "-f", "-", "-o", "json", given=[LAN]).stdout)

    assert [one["ingress"] for one in found["services"]] == [["192.0.2.1"]]


def test_a_cluster_that_cant_be_read_is_said(cluster: FakeApi) -> None:
    cluster.fault = lambda _: Forbidden("may not list services", status=403)

    found = run("--against", "any")

    assert isinstance(found.exception, Forbidden)
