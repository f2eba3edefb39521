"""A real kube-apiserver, with etcd and what of kube-controller-manager the lab's API server stands in for."""

import contextlib
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lbprovider.lab.lan import CONTROL
from lbprovider.lab.provider import API_PORT
from lbprovider.net.namespaces import Namespace
from tests.contract.servers import NODE, Server
from tests.e2e.rig.api import Object
from tests.e2e.rig.binaries import Binaries
from tests.e2e.rig.cluster import Cluster

T = TypeVar("T")


class RealServer(Server):
    """The end-to-end tests' control plane with one node. ``directory`` takes all that it writes."""

    def __init__(self, binaries: Binaries, directory: Path) -> None:
        with contextlib.ExitStack() as undo:
            self._cluster = cluster = undo.enter_context(Cluster(binaries, 1, directory))
            # A thread of its own: a story may run while others are asked for connections.
            self._beside = Namespace(cluster.lan.control.name)
            undo.callback(self._beside.close)
            super().__init__(
                directory,
                dial=cluster.dial,
                host=str(CONTROL),
                port=API_PORT,
                ca=cluster.authority,
                admin_token=cluster.admin_token,
            )
            self._install()
            self.api.get(f"/api/v1/nodes/{NODE}")
            self._undo = undo.pop_all()

    def beside(self, function: Callable[[], T]) -> T:
        return self._beside.run(function)

    def kill(self) -> None:
        self._cluster.apiserver.kill()

    def start(self) -> None:
        self._cluster.restart_apiserver()
        self._await_ready()

    def forget(self) -> None:
        self.kill()
        self.beside(_compact)
        self.start()

    def close(self) -> None:
        super().close()
        self._undo.close()


def _compact() -> None:
    """Let etcd forget all but the last revision, by its JSON gateway."""
    etcd = http.client.HTTPConnection("127.0.0.1", 2379, timeout=10)
    with contextlib.closing(etcd):

        def ask(what: str, body: Object) -> Object:
            etcd.request("POST", f"/v3/kv/{what}", json.dumps(body))
            answer: Object = json.loads(etcd.getresponse().read())
            return answer

        revision = ask("range", {"key": "AA=="})["header"]["revision"]
        assert "error" not in ask("compaction", {"revision": revision, "physical": True})
