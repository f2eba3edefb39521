"""The lab as its users run it: the story from beginning to end, and the lab that stays."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lbprovider.api.core import Service
from lbprovider.api.resources import SERVICES
from lbprovider.kube.access import from_kubeconfig
from lbprovider.kube.client import Client
from lbprovider.lab.provider import command
from tests.e2e.rig.report import Report
from tests.e2e.rig.waiting import eventually

pytestmark = pytest.mark.usefixtures("sandbox")

PATIENCE: Final = 120.0
"""Seconds for what takes 25 on a quiet machine of two cores."""

STORY: Final = (
    r"A cluster on this machine, .*",
    r"a LAN with a switch, 3 nodes and a client, .*",
    r"an API server with the CRDs and the RBAC that are shipped",
    r"a controller, and on each node a speaker that votes: 3 nodes ready",
    r"Services get addresses",
    r"IPAddressPool lab with 198\.51\.100\.200-198\.51\.100\.249, .*",
    r"all nodes vote on the LAN of these addresses, with promises for 250 ms",
    r"Service web-1 of type LoadBalancer created",
    r"EXTERNAL-IP 198\.51\.100\.200, [0-9.]+ ms after",
    r"gratuitous ARP: node\d has 198\.51\.100\.200, [0-9.]+ ms after",
    r"a client's HTTP request to 198\.51\.100\.200 is answered by node\d, [0-9.]+ ms after",
    r"Service web-2 of type LoadBalancer created",
    r"EXTERNAL-IP 198\.51\.100\.201, [0-9.]+ ms after",
    r"SIGKILL of the leader, 198\.51\.100\.200",
    r"SIGKILL to the speaker of node\d, .*",
    r"node\d answers instead, [0-9.]+ ms after the kill",
    r"a client that asked each 2 ms heard nothing for [0-9.]+ ms .*",
    r"the speaker of node\d is back and ready; answered by node\d, then node\d, and by nobody else",
    r"a cable cut and healed, 198\.51\.100\.200",
    r"the LAN cable of node\d, .*, is cut behind the switch: it keeps its carrier",
    r"the cable is whole again",
    r"node\d votes again and takes nothing back; time that two MACs answered: 0 ms",
    r"the API server down",
    r"SIGKILL to the API server",
    r"down for \d+ ms: (\d+) of \1 requests for 198\.51\.100\.200 answered, and HTTP by node\d",
    r"the API server is back, with what it had",
    r"a new Service web-3 has 198\.51\.100\.202, .*",
    r"a Service deleted",
    r"Service web-3 deleted, which had 198\.51\.100\.202",
    r"198\.51\.100\.202 is gone from the wire after [0-9.]+ ms, and stays so",
    r"Everything is as it should be, after \d+ s\.",
)
"""Lines that come in this order, others between them."""


def test_the_story_shows_what_is_promised_and_ends_well(report: Report) -> None:
    began = time.monotonic()
    done = subprocess.run([command(), "lab"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    lines = iter(re.sub(r"^ *\d+\.\d s  ", "", line) for line in done.stdout.splitlines())
    for wanted in STORY:
        assert any(re.fullmatch(wanted, line) for line in lines), f"no {wanted!r} in its place in\n{done.stdout}"
    assert "FAILED" not in done.stdout
    silences = re.findall(r"heard nothing for (\d+ ms)|answers instead, (\d+ ms) after the cut", done.stdout)
    report(f"{time.monotonic() - began:.1f} s in all; silence {', '.join(map(''.join, silences))}")


class Kept:
    """``lbprovider lab --keep`` at work."""

    def __init__(self, output: Path) -> None:
        self.output = output
        with output.open("wb") as taken:
            argv = [command(), "lab", "--keep", "--nodes", "1", "--ipv6"]
            self.process = subprocess.Popen(argv, stdout=taken, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def kubeconfig(self) -> Path | None:
        assert self.process.poll() is None, self.said
        found = re.search(r"export KUBECONFIG=(\S+)", self.said)
        return Path(found[1]) if found and "Logs: " in self.said else None


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path / "output")
    yield made
    if made.process.poll() is None:
        made.process.terminate()
        made.process.wait(PATIENCE)


def test_the_lab_that_stays_is_reached_from_the_machine_and_ends_at_ctrl_c(kept: Kept) -> None:
    kubeconfig = eventually(kept.kubeconfig, "the lab says how to reach it", within=PATIENCE)
    addresses = [entry.ip for service in _services(kubeconfig) for entry in service.status.load_balancer.ingress]
    assert addresses == ["198.51.100.200", "2001:db8:1::1000", "198.51.100.201", "2001:db8:1::1001"]
    asked = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"
    for url in ("http://198.51.100.201/", "http://[2001:db8:1::1000]/"):
        visit = [command(), "lab", "enter", "client", sys.executable, "-c", asked, url]
        done = subprocess.run(visit, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert '"node": "node1"' in done.stdout, done.stderr
    explained = eventually(lambda: _announced(kubeconfig), "both addresses are announced", within=PATIENCE)
    assert (explained["service"], explained["reason"], explained["advice"]) == ("default/web-1", "Assigned", [])
    assert [(each["address"], each["leader"], each["rule"]) for each in explained["addresses"]] == [
        ("198.51.100.200", "node1", "GeneralPool"),
        ("2001:db8:1::1000", "node1", "GeneralPool"),
    ]
    assert [(each["pool"], each["verdict"]) for each in explained["pools"]] == [("lab", "Chosen"), ("lab", "Chosen")]
    kept.process.send_signal(signal.SIGINT)
    assert kept.process.wait(PATIENCE) == 128 + signal.SIGINT, kept.said
    assert "Traceback" not in kept.said
    assert not kubeconfig.parent.exists()


def _announced(kubeconfig: Path) -> dict[str, Any] | None:
    """What `lbprovider explain` says of a Service, once each address has its leader."""
    argv = [command(), "explain", "service", "default/web-1", "--kubeconfig", str(kubeconfig), "-o", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said: dict[str, Any] = json.loads(done.stdout)
    return said if all(each["leader"] for each in said["addresses"]) else None


def _services(kubeconfig: Path) -> tuple[Service, ...]:
    async def listed() -> tuple[Service, ...]:
        async with Client(await from_kubeconfig(kubeconfig, {}), user_agent="lbprovider-test") as client:
            return (await client.list(SERVICES, namespace="default")).objects

    return tuple(each for each in asyncio.run(listed()) if each.spec.type == "LoadBalancer")
