"""``lbprovider migrate``: what it prints, its exit status, and what it refuses to be told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pytest_mock import MockerFixture
from typer.testing import CliRunner

from lbprovider.cli import migrate
from lbprovider.cli.main import app
from lbprovider.errors import UsageError

runner = CliRunner()

POOL = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: metallb-system}
spec: {addresses: [192.0.2.0/24]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: metallb-system}
"""
PEER = """
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: router, namespace: metallb-system}
"""
SERVICE = """
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ipFamilies: [IPv4], ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: ADDRESS}]}}
"""


@pytest.fixture(autouse=True)
def unconfigured(mocker: MockerFixture) -> None:
    """Loggers would go on writing to what the runner lends them as stderr, after it is closed."""
    mocker.patch.object(migrate, "configure_logging")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "objects.yaml"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (POOL, 0),
        (POOL + SERVICE.replace("ADDRESS", "192.0.2.7"), 0),
        (POOL + PEER, 2),
        (POOL + SERVICE.replace("ADDRESS", "203.0.113.7"), 1),
    ],
)
def test_the_exit_status_says_whether_all_is_carried(file: Path, text: str, status: int) -> None:
    file.write_text(text, encoding="utf-8")
    said = runner.invoke(app, ["migrate", "-f", str(file)])
    assert said.exit_code == status, said.output
    assert "IPAddressPool lbprovider-system/lan: 192.0.2.0/24" in said.output


def test_each_service_is_a_line(file: Path) -> None:
    file.write_text(POOL + SERVICE.replace("ADDRESS", "192.0.2.7"), encoding="utf-8")
    said = runner.invoke(app, ["migrate", "-f", str(file)])
    line = next(line for line in said.output.splitlines() if "default/web" in line)
    assert line.split() == ["default/web", "192.0.2.7", "lan", "yes", "layer", "2"]


def test_yaml_is_nothing_but_manifests(file: Path) -> None:
    file.write_text(POOL + PEER, encoding="utf-8")
    said = runner.invoke(app, ["migrate", "-f", str(file), "-o", "yaml"])
    assert [one["kind"] for one in yaml.safe_load_all(said.stdout)] == ["IPAddressPool", "L2Advertisement"]
    assert "BGPPeer metallb-system/router is not carried over" in said.stderr
    assert said.exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--yes", "--rollback"],
        ["-f", "x", "--yes"],
        ["-f", "x", "--no-dry-run"],
        ["-f", "x", "--rollback"],
        ["-o", "yaml", "--yes"],
        ["--lb-class", "a/b"],
        ["--no-default-class"],
        ["--metallb-class", "a"],
    ],
)
def test_what_contradicts_itself_is_refused(arguments: list[str]) -> None:
    assert isinstance(runner.invoke(app, ["migrate", *arguments]).exception, UsageError)
