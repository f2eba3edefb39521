"""Clusters of kind's, on machines that have docker and kind.

::

    outside ── router ── the docker network "kind" ── control-plane, worker, worker2 …

Docker lets no packet pass between its networks (filter chains DOCKER-ISOLATION-STAGE-*, and since version 28 rules in
the raw table), so the client is on none of them: its container starts without any, and the router, a container on the
nodes' network, lays a cable to it. Each node has a route to the client by way of the router.

What is another way than on ``nodes``: where there are several nodes, the control-plane node takes no ordinary Pod and
leads no address, for kubeadm taints and labels it so; killed, it takes the API server with it. A node that starts
again gets another address when a container took its own meanwhile; kind's nodes put up with that. There is no audit
log.

``E2E_BASE`` names an image with ``python3`` and its venv module, for the client and to build ours on; where it isn't
set, the Dockerfile says which.
"""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Final

from examples.kind.cluster import ROOT, KindCluster, build
from examples.kind.pool import NETWORK, free_range
from examples.kind.programs import ProgramError, check, eventually, run
from tests.cluster.backends import LBPROVIDER

_ADDRESSES: Final = 32
"""How many a pool may hold."""
_ROUTER: Final = IPv4Interface("203.0.113.1/24")
_CLIENT: Final = IPv4Interface("203.0.113.2/24")
"""The two ends of the cable (RFC 5737: nobody's own)."""
_CABLE: Final = f"""
ip link add outside type veth peer name eth0 netns "$1"
ip address add {_ROUTER} dev outside
ip link set outside up
client=$1
inside() {{ nsenter --net --target "$client" ip "$@"; }}
inside address add {_CLIENT} dev eth0
inside link set eth0 up
inside route add default via {_ROUTER.ip}
"""
"""Run on the router with the number of the client's process."""


@dataclass(frozen=True, slots=True)
class KindNodes:
    """A cluster of kind's with a client outside; see the port."""

    cluster: KindCluster
    nodes: Sequence[str]
    addresses: Sequence[IPv4Address]
    base: str
    kubeconfig: Path
    client: IPv4Address = _CLIENT.ip
    audit: Path | None = None

    def provide(self, image: str) -> None:
        build(image, self.base)
        self.cluster.load(image)

    def kubectl(self, *arguments: str) -> list[str]:
        return self.cluster.command(*arguments)

    def lbprovider(self, *arguments: str) -> list[str]:
        return ["env", f"KUBECONFIG={self.kubeconfig}", str(LBPROVIDER), *arguments]

    def on_client(self, *argv: str) -> list[str]:
        return ["docker", "exec", "--interactive", _name(self.cluster, "client"), *argv]

    def on_node(self, node: str, *argv: str) -> list[str]:
        return ["docker", "exec", "--interactive", "--privileged", node, *argv]

    def kill(self, node: str) -> None:
        run("docker", "kill", node)
        # Its processes are gone, and its network namespace, which would go on forwarding, a moment later.
        eventually(lambda: node not in _attached(), f"{node} is off the docker network {NETWORK}")

    def start(self, node: str) -> None:
        run("docker", "start", node)
        self.route(node)

    def route(self, node: str) -> None:
        """Tell a node the way to the client; it forgets it with its power."""
        router = _attached()[_name(self.cluster, "router")]
        run("docker", "exec", "--privileged", node, "ip", "route", "replace", str(_CLIENT.network), "via", str(router))


@contextlib.contextmanager
def up(nodes: int, directory: Path) -> Iterator[KindNodes]:
    """A cluster of its own name; see the port for the rest.

    Raises:
        ProgramError: docker or kind is missing, or one of them failed.
    """
    check()
    kubeconfig = directory / "kubeconfig"
    cluster = KindCluster(f"lbprovider-e2e-{secrets.token_hex(3)}", kubeconfig)
    config = directory / "cluster.yaml"
    roles = ["control-plane", *["worker"] * (nodes - 1)]
    wanted = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [{"role": role} for role in roles]}
    config.write_text(json.dumps(wanted), encoding="utf-8")
    base = os.environ.get("E2E_BASE") or _base()
    with contextlib.ExitStack() as undo:
        undo.callback(cluster.delete)
        cluster.create(config)
        undo.callback(_keep_logs, cluster, directory / "logs")
        made = KindNodes(cluster, cluster.nodes(), free_range(count=_ADDRESSES), base, kubeconfig)
        undo.callback(run, "docker", "rm", "--force", _name(cluster, "client"), _name(cluster, "router"))
        _lay_cable(made)
        for node in made.nodes:
            made.route(node)
        yield made


def _lay_cable(made: KindNodes) -> None:
    """Start the client and the router. The nodes' image has ip(8) and nsenter(1); the client's has Python."""
    client, router = _name(made.cluster, "client"), _name(made.cluster, "router")
    idle = ("-c", "import signal; signal.pause()")
    run("docker", "run", "--detach", "--name", client, "--network", "none", "--entrypoint", "python3",
        made.base, *idle)  # fmt: skip
    image = run("docker", "inspect", "--format", "{{.Image}}", made.nodes[0])
    # The machine's process numbers are how it finds the client's network.
    run("docker", "run", "--detach", "--name", router, "--network", NETWORK, "--privileged", "--pid", "host",
        "--sysctl", "net.ipv4.ip_forward=1", "--entrypoint", "sleep", image, "infinity")  # fmt: skip
    process = run("docker", "inspect", "--format", "{{.State.Pid}}", client)
    run("docker", "exec", router, "sh", "-euc", _CABLE, "cable", process)


def _attached() -> dict[str, IPv4Address]:
    """The running containers on the nodes' network, and their addresses."""
    found = json.loads(run("docker", "network", "inspect", NETWORK))[0]["Containers"]
    return {each["Name"]: IPv4Interface(each["IPv4Address"]).ip for each in found.values()}


def _name(cluster: KindCluster, what: str) -> str:
    return f"{cluster.name}-{what}"


def _base() -> str:
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ProgramError("the Dockerfile names no BASE: set E2E_BASE to an image with python3")
    return found[1]


def _keep_logs(cluster: KindCluster, directory: Path) -> None:
    """Logs are for whoever looks into a failure; that they can't be had must not hide it, nor keep the cluster."""
    with contextlib.suppress(ProgramError):
        run("kind", "export", "logs", str(directory), "--name", cluster.name)
