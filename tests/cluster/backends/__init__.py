"""The port of the cluster suite: a real Kubernetes cluster with a client outside of it.

``nodes`` boots one in namespaces of this machine, ``kind`` on machines that have docker and kind; the environment's
``E2E_BACKEND`` names which. What a backend gives is command lines: the suite runs them, and knows nothing of how they
get where they belong.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, Protocol

LBPROVIDER: Final = Path(sys.executable).with_name("lbprovider")
"""The program of this work tree, where pip puts it."""


class Cluster(Protocol):
    """A cluster of real kubelets, ready to be applied to."""

    @property
    def nodes(self) -> Sequence[str]:
        """The names of its nodes, control-plane nodes included."""
        ...

    @property
    def addresses(self) -> Sequence[IPv4Address]:
        """Addresses of the nodes' LAN that nothing uses, in order and without a gap: what a pool may hold."""
        ...

    @property
    def client(self) -> IPv4Address:
        """The address of the client outside, as a Pod sees it when nothing translates it."""
        ...

    @property
    def audit(self) -> Path | None:
        """The audit log of its API server, at level Metadata; None where it can't be read."""
        ...

    def provide(self, image: str) -> None:
        """Build our image from the Dockerfile under this name, or take it from a cache, and load it into every node.

        Raises:
            RuntimeError: a program that is needed is missing, or failed; with what it said.
        """
        ...

    def kubectl(self, *arguments: str) -> list[str]:
        """The command line of kubectl as the cluster's admin."""
        ...

    def lbprovider(self, *arguments: str) -> list[str]:
        """The command line of this work tree's lbprovider as the cluster's admin."""
        ...

    def on_client(self, *argv: str) -> list[str]:
        """The command line that runs a program on the client outside, with our standard streams.

        There is ``python3`` of 3.11 or later with its standard library. A program there ends when its standard input
        does: killing what stands for it here may leave it alive.
        """
        ...

    def on_node(self, node: str, *argv: str) -> list[str]:
        """The command line that runs a program on a node itself, as root, with our standard streams; it has a shell."""
        ...

    def kill(self, node: str) -> None:
        """Take a node's power: nothing of it runs or answers once this returns, and nobody was told."""
        ...

    def start(self, node: str) -> None:
        """Give a node its power again; its kubelet comes up by itself, and finds its disk as it was."""
        ...


class Backend(Protocol):
    """How clusters are had."""

    def __call__(self, nodes: int, directory: Path) -> AbstractContextManager[Cluster]:
        """Boot a cluster; it is gone when the context is left.

        Args:
            nodes: how many, 1 or more.
            directory: an empty folder for whatever it writes: logs above all.
        """
        ...
