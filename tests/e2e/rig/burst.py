"""A burst of Services on two controllers with leader election, one of which is killed now and then."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from lbprovider.lab.lan import CONTROL
from lbprovider.lab.process import Process
from lbprovider.lab.provider import API_PORT
from tests.e2e.rig import ours
from tests.e2e.rig.audit import Request
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.history import History, Replay
from tests.e2e.rig.python import ROOT
from tests.e2e.rig.waiting import eventually

POOL: Final = "lan"
RANGE: Final = "198.18.0.0/17"
"""RFC 2544: 32,768 addresses that nobody has."""
MORE: Final = "198.18.128.0/17"
_PORTS: Final = (7473, 7474)
_LANES: Final = 16
_QUIET: Final = 5.0
"""Seconds without a write after which nothing more comes."""


class Burst:
    """The story's cluster, without nodes: everything is between controllers and API server. A context manager.

    Args:
        cluster: with nothing in it.
        count: Services.
        say: a line for people.
    """

    def __init__(self, cluster: Cluster, count: int, say: Callable[[str], None]) -> None:
        self.cluster, self.count, self._say = cluster, count, say
        ours.install(cluster)
        ours.pool(cluster, POOL, RANGE)
        self._started = 0
        self._controllers = [self._start(port) for port in _PORTS]
        self._mark = cluster.audit.mark()
        self._history = History(cluster.api)

    def __enter__(self) -> Self:
        self._history.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        for _, controller in self._controllers:
            controller.kill()
        self._history.__exit__(*ended)

    def pour(self, kills: int, seed: int, *, within: float) -> float:
        """Makes the Services, kills one of the two at random so many times meanwhile, and waits for the last address.

        Args:
            kills: how many.
            seed: of when, and of whom.
            within: seconds.

        Returns:
            Seconds from the first Service to the last address.
        """
        dice = random.Random(seed)  # noqa: S311  (not a secret)
        when = sorted(dice.randrange(self.count * 19 // 20) for _ in range(kills))
        self._say(f"seed {seed}: kills when {when} of {self.count} addresses are given")
        began = time.monotonic()
        creator = self._create()
        for given in when:
            eventually(lambda given=given: self._allocated() >= given, f"{given} are given", within=within, every=0.05)  # type: ignore[misc]
            self._kill(dice.randrange(len(_PORTS)), began)
        left = max(1.0, within - (time.monotonic() - began))
        eventually(lambda: self._shown() == self.count, "all show an address", within=left, every=0.2)
        took = time.monotonic() - began
        assert creator.wait(1) == 0, creator.tail()
        self._say(f"{self.count} Services {creator.tail(1)}, all with an address after {took:.1f} s")
        return took

    def judge(self) -> Replay:
        """Everything that was written until now, judged at each write."""
        return self._history.replay()

    def tell(self) -> Counter[str]:
        """Says what it cost a Service, and what the controllers need; the object writes by what was answered."""
        requests = self.cluster.audit.requests(lambda each: each.user == ours.CONTROLLER_USER, since=self._mark)
        objects = [each for each in requests if _writes(each)]
        answers = Counter(f"{each.verb} {each.resource} {each.status}" for each in objects)
        accepted = sum(each.status < 400 for each in objects)
        others = Counter(f"{each.verb} {each.resource}" for each in requests if not _writes(each))
        self._say(
            f"object writes a Service: {accepted / self.count:.3f}, refused {(len(objects) - accepted)}: {answers}"
        )
        self._say(f"API requests a Service: {len(requests) / self.count:.3f}; besides: {dict(others.most_common(8))}")
        for name, process in (*self._controllers, *self.cluster.processes.items()):
            self._say(f"{name}: {usage(process)}")
        return answers

    def restart(self) -> float:
        """Stops both, starts one anew; the seconds until it has adopted everything and is ready."""
        for _, controller in self._controllers:
            assert controller.stop() == 0
        began = time.monotonic()
        self._controllers = [eventually(lambda: self._start(_PORTS[0]), "it is started again")]
        name, controller = self._controllers[0]
        eventually(lambda: self._logged(name, "adopted"), "everything is adopted", within=60, every=0.05)
        eventually(lambda: ours.health(self.cluster.lan.control, port=_PORTS[0])[0] == 200, "it is ready", within=60)
        took = time.monotonic() - began
        self._say(f"a restart: ready after {took:.1f} s with {self.count} held; {usage(controller)}")
        return took

    def widen(self) -> float:
        """Gives the pool more addresses; the seconds until its status counts them."""
        path = f"{ours.GROUP}/namespaces/{ours.NAMESPACE}/ipaddresspools/{POOL}"
        before = self.cluster.api.get(path)["status"]["ipv4"]["total"]
        began = time.monotonic()
        self.cluster.api.patch(path, {"spec": {"addresses": [RANGE, MORE]}})
        eventually(
            lambda: self.cluster.api.get(path)["status"]["ipv4"]["total"] == 2 * before, "it is counted", every=0.05
        )
        took = time.monotonic() - began
        self._say(f"a pool edit with {self.count} held: in its status after {took:.2f} s")
        return took

    def quietly(self, work: Callable[[], object]) -> list[Request]:
        """Does something, waits until nothing more is written to Services and IPAllocations, and returns what was."""
        mark = last = self.cluster.audit.mark()
        work()
        since = time.monotonic()

        def quiet() -> bool:
            nonlocal last, since
            upto = self.cluster.audit.mark()
            if self.cluster.audit.requests(_writes, since=last):
                since = time.monotonic()
            last = upto
            return time.monotonic() - since >= _QUIET

        eventually(quiet, "nothing more is written", within=120, every=0.5)
        return [each for each in self.cluster.audit.requests(_writes, since=mark) if each.user == ours.CONTROLLER_USER]

    def _start(self, port: int) -> tuple[str, Process]:
        name = f"controller-{self._started + 1}"
        started = ours.start_controller(self.cluster, name, ["--http-port", str(port)])
        self._started += 1
        return name, started

    def _kill(self, which: int, began: float) -> None:
        name, controller = self._controllers[which]
        led = bool(self._logged(name, "leading"))
        controller.kill()
        self._say(f"{time.monotonic() - began:.1f} s: {name} killed, {'leading' if led else 'standing by'}")
        # The test's own connection has been idle for minutes, and the API server may have closed it.
        self._controllers[which] = eventually(lambda: self._start(_PORTS[which]), "it is started again")

    def _create(self) -> Process:
        lan = self.cluster.lan
        argv = [sys.executable, "-m", "tests.e2e.rig.creator", f"https://{CONTROL}:{API_PORT}"]
        argv += [str(self.cluster.authority), self.cluster.admin_token, str(self.count), str(_LANES)]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        return lan.spawn("creator", lan.control, argv, env=env)

    def _allocated(self) -> int:
        return self._history.allocated()

    def _shown(self) -> int:
        return self._history.showing()

    def _logged(self, name: str, event: str) -> list[object]:
        lines = (self.cluster.directory / f"{name}.log").read_text(encoding="utf-8").splitlines()
        # The last line may be half written.
        return [
            line for line in lines if line.startswith("{") and line.endswith("}") and json.loads(line)["event"] == event
        ]


def usage(process: Process) -> str:
    """Resident memory now and at most, and the time on a processor."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) // 1024 for line in status if line.startswith(("VmRSS", "VmHWM"))}
    ran = int(Path(f"/proc/{process.pid}/schedstat").read_text(encoding="ascii").split()[0])
    return f"{sizes['VmRSS:']} MB now, {sizes['VmHWM:']} MB at most, {ran / 1e9:.1f} s of CPU"


def _writes(request: Request) -> bool:
    return request.writes and request.resource in ("services", "ipallocations") and request.user == ours.CONTROLLER_USER
