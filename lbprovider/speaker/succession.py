"""A start while the former speaker of this node still ends: what that one holds is waited for. ELECTION.md V12.

A Pod that is deleted by force has a successor at once, and its process still hands its addresses on. Until its ports
are free nothing of it may be touched: neither the Lease, which it would lose in the midst of that, nor the snapshot,
which it may be writing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from lbprovider.errors import PortTaken
from lbprovider.kube.backoff import Backoff

FORMER: Final = 20.0
"""Seconds in which one that was told to end has: at 500 nodes it hands on for 11 s, and leaves the lists for 5 s."""
LONGEST: Final = 1.0
"""Seconds between two tries."""

log = structlog.get_logger(__name__)


async def after_former(begin: Callable[[], Awaitable[None]], wait: Callable[[str], None]) -> None:
    """Begins once no former speaker of this node holds a port any more.

    Args:
        begin: takes the ports, or none of them.
        wait: told what it waits for, if it has to.

    Raises:
        PortTaken: somebody holds one for longer than a former speaker would: another one that goes on.
        LbproviderError: anything else of ``begin``, at once.
    """
    clock = asyncio.get_running_loop().time
    backoff, end, said = Backoff(random.random, cap=LONGEST), clock() + FORMER, False
    while True:
        try:
            await begin()
        except PortTaken as error:
            if clock() >= end:
                raise
            wait(f"waits for a former speaker of this node to end: {error}")
            if not said:
                log.warning("waits for a former speaker of this node to end", problem=str(error))
                said = True
        else:
            return
        await asyncio.sleep(backoff.pause())
