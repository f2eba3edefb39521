"""The cluster of this backend: its control plane, its nodes, and the client behind the router."""

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from lbprovider.lab.lan import LAN4, OUTSIDE4, Lan
from tests.cluster import images
from tests.cluster.backends import LBPROVIDER
from tests.cluster.backends.nodes import cgroups
from tests.cluster.backends.nodes.configuration import PLUGINS
from tests.cluster.backends.nodes.node import Node
from tests.e2e.rig import binaries
from tests.e2e.rig.controlplane import WITH_KUBELETS, ControlPlane
from tests.e2e.rig.waiting import eventually

_FREE: Final = slice(200, 250)
"""Addresses of the LAN that nobody has."""
_CLIENT: Final = OUTSIDE4[100]
_NEEDED: Final[Mapping[str, Sequence[str]]] = {
    "containerd": ("containerd", "ctr"),
    "runc": ("runc",),
    "containernetworking-plugins": (f"{PLUGINS}/ptp", f"{PLUGINS}/host-local"),
    "nftables": ("nft",),
    "util-linux": ("unshare", "nsenter", "setpriv"),
}
"""What a node runs of the machine's own, by Debian's packages."""


class NodesCluster:
    """See :class:`tests.cluster.backends.Cluster`.

    Args:
        plane: its control plane.
        undo: ends what this starts.
    """

    def __init__(self, plane: ControlPlane, undo: contextlib.ExitStack) -> None:
        self._plane = plane
        self._outside = plane.lan.outside()
        self._nodes: dict[str, Node] = {}
        for name, place in plane.lan.nodes.items():
            plane.lan.control.add_route(str(place.pods4), str(place.management))
            directory = plane.directory / name
            directory.mkdir()
            node = Node(plane, place, plane.binaries, directory)
            undo.callback(node.close)
            self._nodes[name] = node
        for node in self._nodes.values():
            node.start()  # by this thread: what it starts ends with it
        pause = images.pause()
        self._each(lambda node: _load(node, pause))
        for node in self._nodes.values():
            eventually(functools.partial(self._ready, node), f"{node.name} is Ready", within=120)

    def _each(self, work: Callable[[Node], None]) -> None:
        with ThreadPoolExecutor(len(self._nodes)) as threads:
            list(threads.map(work, self._nodes.values()))

    def _ready(self, node: Node) -> bool:
        node.check()
        found = self._plane.api.find(f"/api/v1/nodes/{node.name}") or {}
        conditions = found.get("status", {}).get("conditions", ())
        return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

    # --- the port

    @property
    def nodes(self) -> Sequence[str]:
        return tuple(self._nodes)

    @property
    def addresses(self) -> Sequence[IPv4Address]:
        return tuple(LAN4)[_FREE]

    @property
    def client(self) -> IPv4Address:
        return _CLIENT

    @property
    def audit(self) -> Path | None:
        return self._plane.audit.path

    def provide(self, image: str) -> None:
        built = images.ours(image)
        self._each(lambda node: _load(node, built))

    def kubectl(self, *arguments: str) -> list[str]:
        return self._as_admin(str(self._plane.binaries.kubectl), *arguments)

    def lbprovider(self, *arguments: str) -> list[str]:
        return self._as_admin(str(LBPROVIDER), *arguments)

    def _as_admin(self, *argv: str) -> list[str]:
        return self._plane.lan.control.command(["env", f"KUBECONFIG={self._plane.kubeconfig}", *argv])

    def on_client(self, *argv: str) -> list[str]:
        return self._outside.command(argv)

    def on_node(self, node: str, *argv: str) -> list[str]:
        return self._nodes[node].command(argv)

    def kill(self, node: str) -> None:
        self._nodes[node].kill()

    def start(self, node: str) -> None:
        self._nodes[node].start()


def _load(node: Node, image: images.Image) -> None:
    node.run("ctr", "--namespace=k8s.io", "images", "import", str(image.archive))


@contextlib.contextmanager
def up(nodes: int, directory: Path) -> Iterator[NodesCluster]:
    """Boot a cluster; see :class:`tests.cluster.backends.Backend`.

    Raises:
        RuntimeError: this machine can't; says what to do.
    """
    if os.geteuid() != 0:
        raise RuntimeError("nodes are made of namespaces and cgroups of this machine, which needs root")
    missing = [package for package, programs in _NEEDED.items() if not all(map(shutil.which, programs))]
    if missing:
        raise RuntimeError(
            f"nodes run programs that are not here: on Debian and Ubuntu 'apt install {' '.join(missing)}'"
        )
    cgroups.hierarchies()
    found = binaries.find()
    with contextlib.ExitStack() as undo:
        lan = undo.enter_context(Lan(nodes, directory, bridged=False))
        cgroups.sweep()
        plane = undo.enter_context(ControlPlane(found, lan, directory, WITH_KUBELETS))
        yield NodesCluster(plane, undo)
