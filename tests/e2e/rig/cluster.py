"""A cluster whose Nodes and Pods are as a test says: a real control plane, and a kube-proxy for each node."""

import contextlib
import json
from pathlib import Path

from lbprovider.lab.lan import PODS4, PODS6, Lan
from lbprovider.lab.process import Process
from tests.e2e.rig import nodes
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.controlplane import PROXY, WITHOUT_KUBELETS, ControlPlane


class Cluster(ControlPlane):
    """The cluster with its LAN, from construction to :meth:`close`; a context manager.

    Args:
        binaries: the programs.
        size: how many nodes.
        directory: where everything that it writes goes: logs, keys, the audit log, the captures.
    """

    def __init__(self, binaries: Binaries, size: int, directory: Path) -> None:
        with contextlib.ExitStack() as undo:
            super().__init__(binaries, undo.enter_context(Lan(size, directory)), directory, WITHOUT_KUBELETS)
            undo.callback(super().close)
            self.proxies: dict[str, Process] = {}
            """The kube-proxy of each node."""
            for node in self.lan.nodes.values():
                nodes.register(self.api, node)
                self.start_proxy(node.name)
            self._end_all = undo.pop_all().close

    def close(self) -> None:
        """End everything."""
        self._end_all()

    def start_proxy(self, name: str) -> Process:
        """Start a node's kube-proxy; at the cluster's start this has been done."""
        node = self.lan.nodes[name]
        kubeconfig = self.kubeconfig_of(f"kube-proxy-{name}", self.token_for(PROXY))
        path = self.directory / f"kube-proxy-{name}.json"
        configuration = nodes.proxy_configuration(name, kubeconfig, f"{PODS4},{PODS6}")
        path.write_text(json.dumps(configuration), encoding="utf-8")
        argv = [str(self.binaries.proxy), f"--config={path}"]
        self.proxies[name] = self.lan.spawn(f"kube-proxy-{name}", node.namespace, argv)
        return self.proxies[name]
