"""Controllers that work on the same objects at once, none of them the leader, and what comes of it."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

from lbprovider.lab.lan import CONTROL
from lbprovider.lab.process import Process
from lbprovider.lab.provider import API_PORT, write_kubeconfig
from tests.e2e.rig import ours
from tests.e2e.rig.audit import Request
from tests.e2e.rig.cluster import Cluster
from tests.e2e.rig.history import History, Replay
from tests.e2e.rig.python import ROOT
from tests.e2e.rig.waiting import eventually

REST: Final = 3.0
"""Seconds without a write after which all have come to rest."""
LANES: Final = 8
"""Requests of the test at a time."""
_KEPT_FOR: Final = ("events", "leases", "selfsubjectaccessreviews")
"""Kinds whose writes are counted apart, or not ours to count."""


class Fight:
    """The controllers of one story, from the first to the end of the block; and everything that they wrote.

    Args:
        cluster: with lbprovider installed.
        name: of the story.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        self.controllers: list[Process] = []
        self._started = 0
        self._mark = cluster.audit.mark()
        self._history = History(cluster.api)

    def __enter__(self) -> Self:
        self._history.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.controllers:
            each.kill()
        self._history.__exit__()

    def controller(self, *, latency: float = 0, lag: float = 0, ahead: float = 0) -> Process:
        """Start one more, and wait until it works.

        Args:
            latency: seconds at most, each way, of each of its requests.
            lag: seconds at most until its watches tell.
            ahead: seconds that its clock is ahead.
        """
        self._started += 1
        name = f"{self.name}-{self._started}"
        lan = self.cluster.lan
        kubeconfig = write_kubeconfig(
            lan.directory / f"{name}.kubeconfig",
            server=f"https://{CONTROL}:{API_PORT}",
            authority=self.cluster.authority,
            user=name,
            token=self.cluster.token_of(ours.CONTROLLER),
        )
        argv = [sys.executable, "-m", "tests.e2e.rig.unled", str(kubeconfig), ours.NAMESPACE, name]
        argv += [f"--latency={latency}", f"--lag={lag}", f"--ahead={ahead}", f"--seed={self._started}"]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        made = lan.spawn(name, lan.control, argv, env=env, capabilities=())
        eventually(lambda: _adopted(made), f"{name} works")
        self.controllers.append(made)
        return made

    def writes(self) -> tuple[Request, ...]:
        """What the controllers have asked to be written until now; Events and their like aside."""
        return self.cluster.audit.requests(_is_ours, since=self._mark)

    def at_rest(self, *, within: float = 90) -> float:
        """Wait until nobody has written anything for a while; the seconds that it took until the last write."""
        began = last = time.monotonic()
        mark = self.cluster.audit.mark()

        def quiet() -> bool:
            nonlocal mark, last
            upto = self.cluster.audit.mark()
            if self.cluster.audit.requests(_is_ours, since=mark):
                last = time.monotonic()
            mark = upto
            return time.monotonic() - last >= REST

        eventually(quiet, "the controllers have come to rest", within=within, every=0.25)
        return last - began

    def judge(self) -> Replay:
        """Everything from the first write to now: it was true after each one, and nothing is left over.

        Raises:
            AssertionError: it was not.
        """
        replay = self._history.replay()
        assert replay.broken == [], f"{len(replay.broken)} moments, of which the first:\n" + "\n".join(
            replay.broken[:10]
        )
        assert replay.differences() == []
        for each in self.controllers:
            assert "Traceback" not in each.log.read_text(encoding="utf-8"), each.tail()
        return replay

    def figures(self, services: int, replay: Replay) -> str:
        """How much was written a Service, and how much of that in vain."""
        objects = [each for each in self.writes() if each.resource in ("services", "ipallocations")]
        statuses = Counter(each.status for each in objects)
        refused = sum(count for status, count in statuses.items() if status >= 400)
        return (
            f"{(len(objects) - refused) / services:.2f} writes a Service, {refused / services:.2f} refused "
            f"({dict(sorted(statuses.items()))}), {replay.doubled} second addresses for a moment"
        )


def at_once(work: Callable[[Any], object], items: Iterable[Any]) -> None:
    """Do something for each item, several at a time.

    Raises:
        ApiError: the first one's that was refused.
    """
    with ThreadPoolExecutor(LANES) as lanes:
        for _ in lanes.map(work, items):
            pass


def _is_ours(request: Request) -> bool:
    return request.user == ours.CONTROLLER_USER and request.writes and request.resource not in _KEPT_FOR


def _adopted(process: Process) -> bool:
    assert process.running, process.tail()
    return "adopted by an unled" in process.tail(1000)
