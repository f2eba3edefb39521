"""An API server as a controller has it that dies: slow, failing, and cut off between any two writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import Final, TypeVar

from lbprovider.api.resources import EVENTS
from lbprovider.errors import ClusterError, Conflict, Overloaded, Unreachable
from lbprovider.kube.passing import Outgoing, Passing
from lbprovider.kube.ports import Api

R = TypeVar("R")

FAULTS: Final[Mapping[str, Callable[[], ClusterError]]] = {
    "409": lambda: Conflict("somebody was faster, says the test", status=409, reason="Conflict"),
    "429": lambda: Overloaded("too many, says the test", retry_after=1.0),
    "500": lambda: Overloaded("broken, says the test"),
    "no connection": lambda: Unreachable("refused, says the test"),
    "answer lost": lambda: Unreachable("timed out, says the test"),
}
"""What becomes of a write; the last one takes effect all the same."""


class MortalApi(Passing):
    """``ports.Api`` of one controller.

    Args:
        api: the API server.
        random: how long requests and answers are on their way.
        wrote: called after each write that took effect.
    """

    def __init__(self, api: Api, random: Random, wrote: Callable[[], None]) -> None:
        super().__init__(api)
        self.faults: list[str] = []
        """Of the next writes; empty for one that works."""
        self.dies_after: int | None = None
        """So many more writes; None for never."""
        self._random = random
        self._wrote = wrote

    async def _pass(self, request: Outgoing[R]) -> R:
        if request.writes:
            return await self._write(request)
        if request.method != "list":
            await self._travel()
        return await request.send()

    async def _write(self, request: Outgoing[R]) -> R:
        if request.resource is EVENTS:
            return await request.send()
        await self._travel()
        if self.dies_after is not None:
            if not self.dies_after:
                raise Unreachable("dead, says the test")
            self.dies_after -= 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault and fault != "answer lost":
            raise _failure(fault)
        answer = await request.send()
        self._wrote()
        await self._travel()
        if fault:
            raise _failure(fault)
        return answer

    async def _travel(self) -> None:
        if self.dies_after == 0:
            raise Unreachable("dead, says the test")
        await asyncio.sleep(self._random.choice((0.0, 0.001, 0.01)))


def _failure(fault: str) -> ClusterError:
    return FAULTS[fault]()
