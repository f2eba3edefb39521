"""The lab's API server, as a plain process on the loopback interface: no namespaces, no privileges."""

import contextlib
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from lbprovider.lab.apiserver import home
from lbprovider.lab.process import Process
from tests.contract.servers import NODE, Server
from tests.e2e.rig.waiting import eventually

T = TypeVar("T")


class LabServer(Server):
    """The lab's. ``directory`` takes all that it writes."""

    def __init__(self, directory: Path) -> None:
        self._home = home.prepare(directory / "home", addresses=("127.0.0.1",), names=("localhost",))
        self._log = directory / "apiserver.log"
        self._process = self._run("127.0.0.1:0")
        with contextlib.ExitStack() as undo:
            undo.callback(self._process.stop)
            (endpoint,) = eventually(self._listening, "the lab's API server listens")
            port = urlsplit(endpoint).port
            assert port is not None
            self._listen = f"127.0.0.1:{port}"
            super().__init__(
                directory,
                dial=partial(socket.create_connection, ("127.0.0.1", port), timeout=30),
                host="127.0.0.1",
                port=port,
                ca=self._home.ca,
                admin_token=self._home.admin_token,
            )
            undo.callback(super().close)
            self._await_ready()
            self._install()
            self.api.create("/api/v1/nodes", {"metadata": {"name": NODE}})
            undo.pop_all()

    def _run(self, listen: str) -> Process:
        argv = [sys.executable, "-m", "lbprovider.lab.apiserver", "--directory", str(self._home.directory)]
        return Process("the lab's API server", [*argv, "--listen", listen], self._log)

    def _listening(self) -> Sequence[str] | None:
        assert self._process.running, f"the lab's API server ended:\n{self._process.tail()}"
        return self._home.endpoints()

    def beside(self, function: Callable[[], T]) -> T:
        return function()

    def kill(self) -> None:
        self._process.kill()

    def start(self) -> None:
        self._process = self._run(self._listen)
        self._await_ready()

    def forget(self) -> None:
        self.kill()
        self.start()

    def close(self) -> None:
        super().close()
        assert self._process.stop() == 0, self._process.tail()
