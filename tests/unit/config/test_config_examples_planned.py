"""What `lbprovider plan` and `validate` say of each example, as somebody who has only just cloned this types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from lbprovider.cli.main import app

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
runner = CliRunner()

Assigned = dict[str, tuple[str, ...]]

PLANNED: Final[dict[str, tuple[int, Assigned]]] = {
    "single-pool": (0, {"default/web": ("192.0.2.200",)}),
    "dual-stack": (0, {"default/web-dual": ("192.0.2.240", "2001:db8:0:1::10")}),
    "requested-address": (0, {"default/mail": ("192.0.2.222",), "default/dns": ("192.0.2.220",)}),
    "shared-dns": (0, {"default/dns-tcp": ("192.0.2.230",), "default/dns-udp": ("192.0.2.230",)}),
    "tenant-pools": (0, {"tenant-a/web": ("192.0.2.64",), "tenant-b-shop/shop": ("192.0.2.80",)}),
    "ingress-controller": (0, {"ingress/ingress": ("192.0.2.232",)}),
    "exhausted-pool": (
        2, {"default/first": ("192.0.2.234",), "default/second": ("192.0.2.235",), "default/third": ()},
    ),
}  # fmt: skip
"""The exit status, and who gets what."""


def planned(*files: Path) -> tuple[int, Assigned, dict[str, str]]:
    arguments = [argument for file in files for argument in ("-f", str(file))]
    done = runner.invoke(app, ["plan", *arguments, "-o", "json"])
    said = json.loads(done.stdout)
    assert said["problems"] == []
    services = {f"{one['namespace']}/{one['name']}": one for one in said["services"]}
    return (
        done.exit_code,
        {key: tuple(one["ingress"]) for key, one in services.items()},
        {key: one["reason"] for key, one in services.items()},
    )


def test_each_example_is_planned_here() -> None:
    assert set(PLANNED) == {path.stem for path in EXAMPLES.glob("*.yaml")}


@pytest.mark.parametrize("example", PLANNED)
def test_what_an_example_comes_to(example: str) -> None:
    status, assigned, reasons = planned(EXAMPLES / f"{example}.yaml")
    assert (status, assigned) == PLANNED[example]
    lacking = {key for key, addresses in assigned.items() if not addresses}
    assert {key: reasons[key] for key in lacking} == dict.fromkeys(lacking, "Exhausted")


def test_all_examples_together_come_to_the_same_but_for_the_one_that_takes_what_is_first() -> None:
    status, assigned, _ = planned(EXAMPLES)
    wanted = {key: value for _, services in PLANNED.values() for key, value in services.items()}
    # Of two general pools the first by name serves it: `dual`, not `lan`.
    assert assigned == {**wanted, "default/web": assigned["default/web"]}
    assert assigned["default/web"][0].startswith("192.0.2.24")
    assert status == PLANNED["exhausted-pool"][0]


@pytest.mark.parametrize("example", PLANNED)
def test_an_example_is_valid(example: str) -> None:
    done = runner.invoke(app, ["validate", "-f", str(EXAMPLES / f"{example}.yaml")])
    assert (done.exit_code, done.stderr) == (0, "")
