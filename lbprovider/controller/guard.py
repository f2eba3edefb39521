"""The API server as the leader sees it: no write without the Lease, and whether it answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from lbprovider.errors import ClusterError, LeaseLost, Unreachable
from lbprovider.kube.passing import Outgoing, Passing
from lbprovider.kube.ports import Api

R = TypeVar("R")

SILENT: Final = 10.0
"""Seconds without an answer after which we say that the API server can't be reached."""


class Reach:
    """Whether the API server answers.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failing_since: float | None = None
        self._why = ""

    def why_not(self) -> str:
        """One sentence, empty while it answers."""
        lasting = self._failing_since is not None and self._clock() - self._failing_since >= SILENT
        return self._why if lasting else ""

    async def ask(self, request: Awaitable[R]) -> R:
        """Makes a request, and notes whether there was an answer: a refusal is one."""
        try:
            answer = await request
        except Unreachable as error:
            self._why = str(error)
            if self._failing_since is None:
                self._failing_since = self._clock()
            raise
        except ClusterError:
            self._failing_since = None
            raise
        self._failing_since = None
        return answer


class Guarded(Passing):
    """``ports.Api`` whose writes fail once the Lease may be another's: its clock says so, nobody has to tell us.

    Args:
        api: the API server.
        reach: notes whether it answers.
        held: whether we may write now.
    """

    def __init__(self, api: Api, reach: Reach, held: Callable[[], bool] = lambda: True) -> None:
        super().__init__(api)
        self._reach = reach
        self._held = held

    async def _pass(self, request: Outgoing[R]) -> R:
        if request.writes and not self._held():
            raise LeaseLost("not written: another replica may be the leader by now")
        return await self._reach.ask(request.send())
