"""Events of a speaker: on the IPAllocation, and on the Services that hold the address: there people look.

Best effort and bounded: a node that dies may leave a thousand addresses to this one, and the API server has other
things to do just then. A few are told one by one; the rest in one Event on this Node for each cause.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from lbprovider.api.allocation import IPAllocation
from lbprovider.api.core import Node, Service
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.resources import ALLOCATIONS, NODES, SERVICES
from lbprovider.kube.events import Recorder

Kind = Literal["Normal", "Warning"]

BURST: Final = 10
"""Events written at once: five addresses that are held by one Service each."""
PER_SECOND: Final = 1.0
"""Events a second beyond."""
WINDOW: Final = 5.0
"""Seconds for which what isn't told one by one is gathered."""
NAMED: Final = 5
"""Addresses that a gathered Event names."""


class Nodes(Protocol):
    """What the API server tells of Nodes; ``view.View`` does."""

    def node(self, name: str) -> Node | None:
        """A Node, None where there is none."""
        ...


def own_node(nodes: Nodes, name: str) -> Node:
    """The Node of that name; as the kubelet would name it in its own Events, while it isn't known."""
    return nodes.node(name) or Node(metadata=ObjectMeta(name=name, uid=name))


@dataclass(slots=True)
class _Gathered:
    kind: Kind
    count: int = 0
    named: list[str] = field(default_factory=list)


class Teller:
    """Tells what happens to addresses, and to this node.

    Args:
        recorder: writes Events; ``run`` runs it too.
        node: the Node that this speaker runs on, as far as it is known.
        clock: seconds, monotonic.
    """

    def __init__(
        self, recorder: Recorder, node: Callable[[], Node], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._recorder = recorder
        self._node = node
        self._clock = clock
        self._tokens = float(BURST)
        self._filled_at = clock()
        self._gathered: dict[str, _Gathered] = {}
        self._some = asyncio.Event()

    def of_address(self, allocation: IPAllocation, kind: Kind, reason: str, message: str) -> None:
        """Something happened to an address.

        Args:
            allocation: its IPAllocation; of many Services that share it, the first are told.
            kind: Normal or Warning.
            reason: one of a closed list, CamelCase.
            message: one sentence.
        """
        services = allocation.spec.services[: BURST - 1]
        if not self._may(1 + len(services)):
            gathered = self._gathered.setdefault(reason, _Gathered(kind))
            gathered.count += 1
            if gathered.count <= NAMED:
                gathered.named.append(allocation.spec.address)
            self._some.set()
            return
        self._recorder.event(ALLOCATIONS, allocation, kind, reason, message)
        for claim in services:
            about = Service(metadata=ObjectMeta(name=claim.name, namespace=claim.namespace, uid=claim.uid))
            self._recorder.event(SERVICES, about, kind, reason, message)

    def of_node(self, kind: Kind, reason: str, message: str) -> None:
        """Something happened to this node."""
        self._recorder.event(NODES, self._node(), kind, reason, message)

    async def run(self) -> None:
        """Writes Events until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run())
            group.create_task(self._tell_gathered())

    async def _tell_gathered(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(WINDOW)
            self._some.clear()
            told, self._gathered = self._gathered, {}
            for reason, one in told.items():
                left = one.count - len(one.named)
                more = f" and {left} more" if left else ""
                message = f"{one.count} addresses at once, told here together: {', '.join(one.named)}{more}"
                self.of_node(one.kind, reason, message)

    def _may(self, events: int) -> bool:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * PER_SECOND)
        self._filled_at = now
        if self._tokens < events:
            return False
        self._tokens -= events
        return True
