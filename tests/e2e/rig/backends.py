"""Pods without a kubelet: the object as a test says it is, and a real server at its address on its node."""

import datetime as dt
import itertools
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from lbprovider.lab import webserver
from tests.e2e.rig.api import Object
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.waiting import eventually

PORT: Final = webserver.PORT
_FIRST: Final = 10
_numbers = itertools.count()


class Pod:
    """One Pod: made, bound to a node, running and ready; its server answers with the node's and the Pod's name.

    Args:
        cluster: where.
        name: of the Pod.
        node: the node that it runs on.
        labels: for a Service's selector.
        namespace: of the Pod.
    """

    def __init__(
        self, cluster: Cluster, name: str, node: str, labels: Mapping[str, str], *, namespace: str = "default"
    ) -> None:
        self.name, self.node = name, node
        self._cluster = cluster
        self._place = cluster.lan.nodes[node]
        number = next(_numbers) % 200 + _FIRST
        self.address4: IPv4Address = self._place.pods4[number]
        self.address6: IPv6Address = self._place.pods6[number]
        self.path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        self._place.namespace.add_address("cni0", str(self.address4), 32)
        self._place.namespace.add_address("cni0", str(self.address6), 128)
        self.serve()
        body: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "web", "image": "web:none", "ports": [{"containerPort": PORT}]}],
            },
        }
        cluster.api.create(f"/api/v1/namespaces/{namespace}/pods", body)
        self.set_ready(ready=True)

    def serve(self) -> None:
        """Start the Pod's server, as its kubelet does again when the node is back."""
        addresses = [str(self.address4), str(self.address6)]
        argv = webserver.command(self.node, self.name, addresses, PORT)
        server = self._cluster.lan.spawn(f"pod-{self.name}", self._place.namespace, argv)
        eventually(lambda: "serving" in server.tail(1), f"Pod {self.name} serves")
        self.server = server

    def set_ready(self, *, ready: bool) -> None:
        """Say that the Pod is ready, or that it isn't; its server goes on."""
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        addresses = [{"ip": str(self.address4)}, {"ip": str(self.address6)}]
        state = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}
        status = {"phase": "Running", "podIP": str(self.address4), "podIPs": addresses, "conditions": [state]}
        self._cluster.api.patch(f"{self.path}/status", {"status": status})

    def terminate(self, grace: int = 30) -> None:
        """Delete the Pod as a drain does: it is terminating, and serves until :meth:`gone`. ``grace`` in seconds."""
        self._cluster.api.delete(self.path, grace=grace)

    def gone(self) -> None:
        """End the server and take the Pod away for good."""
        self.server.stop()
        if self._cluster.api.find(self.path) is not None:
            self._cluster.api.delete(self.path, grace=0)
        self._place.namespace.remove_address("cni0", str(self.address4), 32)
        self._place.namespace.remove_address("cni0", str(self.address6), 128)
