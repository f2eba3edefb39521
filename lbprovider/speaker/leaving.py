"""How this node's part ends: whether it comes back, and what it waits for before it goes. ELECTION.md C10."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog

from lbprovider.api import names
from lbprovider.api.core import Node

_NS: Final = 1_000_000_000
SPARE: Final = 1.0
"""Seconds beyond 2·hold after which handing on ends even if something of ours were wrong: Kubernetes would kill us."""
LEAVE: Final = 5.0
"""Seconds that the others have to do without us (C10), the Lease that says so included."""
_LOOK: Final = 0.02
"""Seconds between two looks at whether they do."""

log = structlog.get_logger(__name__)


def is_drained(node: Node | None) -> bool:
    """Whether an admin has taken the node's addresses away (``lbprovider drain``)."""
    return node is not None and names.DRAIN_ANNOTATION in node.metadata.annotations


def why_for_good(node: Node | None) -> str:
    """Why a speaker that is told to end won't be back on this node soon, one clause; empty where it means to be.

    Args:
        node: the Node as last seen; None where there is none.
    """
    if node is None or node.metadata.deletion_timestamp is not None:
        return "its Node is deleted"
    if any(taint.key == names.TO_BE_DELETED_TAINT for taint in node.spec.taints):
        return "its Node is to be deleted"
    if is_drained(node):
        return "its Node is drained"
    if node.condition("Ready") != "True":  # kubelet says so first of all when the node is shut down
        return "its Node is not ready"
    return "its Node is cordoned" if node.spec.unschedulable else ""


class Leaver(Protocol):
    """The node's part on its LANs; ``agent.Agent`` is."""

    idle: asyncio.Event
    """Set while nothing is owned."""

    @property
    def owned(self) -> int:
        """How many addresses it answers for."""
        ...

    @property
    def hold(self) -> int:
        """The longest promise on any LAN, ns."""
        ...

    def drain(self, *, returning: bool) -> None:
        """Hands all addresses on, and takes none."""
        ...

    def leave(self) -> None:
        """Takes this node off the lists of members where the others need that (C10)."""
        ...

    def has_left(self) -> bool:
        """Whether the others need this node no more."""
        ...


async def leave(agent: Leaver, node: Node | None, told: Callable[[], Awaitable[None]]) -> None:
    """Hands everything on, and gives this node's vote back where the others need that. Its process ends next.

    Args:
        agent: of this node.
        node: this one's, as last seen.
        told: waits until its Lease says that it leaves, or the controller would put it on the list again.
    """
    why = why_for_good(node)
    log.info("draining", addresses=agent.owned, returning=not why, reason=why)
    agent.drain(returning=not why)
    with suppress(TimeoutError):
        async with asyncio.timeout(2 * agent.hold / _NS + SPARE):
            await agent.idle.wait()
    if not agent.has_left():
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE):
                await told()
                agent.leave()
                while not agent.has_left():  # noqa: ASYNC110  (the LANs' timers bring it about, in their own steps)
                    await asyncio.sleep(_LOOK)
    log.info("drained", addresses=agent.owned, missed=not agent.has_left())
