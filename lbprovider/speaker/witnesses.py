"""What Leases tell of nodes that the election can't hear: who sees the LAN, who is gone. ELECTION.md C9, C11, rule 19.

Times are of this node's own clock: when a renewal was seen, never what is written in it. Nothing is known of a time in
which the API server didn't answer, and that it answers shows in our own Lease: it is renewed each 10 s, and comes back
by the very watch that the others' come by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

from lbprovider.api.registration import Registration
from lbprovider.election.minority import Others
from lbprovider.kube.node_lease import DURATION, PERIOD, TIMEOUT

_NS: Final = 1_000_000_000
UNCHANGED: Final = DURATION * _NS
"""How long a Lease that stands still is no proof of anything, ns."""
ANSWERS: Final = int(PERIOD + TIMEOUT + PERIOD / 2) * _NS
"""How long after our own last renewal came back the API server counts as one that answers, ns: a renewal may take one
attempt that fails."""
LOOK: Final = 1.0
"""Seconds between two looks."""


class Witnesses:
    """When each speaker's Lease was last seen to change. Bounded by the Leases that there are.

    Args:
        node: this one.
        clock: CLOCK_BOOTTIME, ns.
        last_resort: whether fewer than half of the members may ever serve (``--on-quorum-loss``).
    """

    def __init__(self, node: str, clock: Callable[[], int], *, last_resort: bool) -> None:
        self._node = node
        self._clock = clock
        self._last_resort = last_resort
        self._written: dict[str, str] = {}
        self._changed_at: dict[str, int] = {}
        self._since = 0
        self._answered_at: int | None = None

    def renewed(self, node: str, written: str) -> None:
        """A Lease as the API server has it.

        Args:
            node: whose.
            written: anything that is another at each renewal; empty: the Lease is gone.
        """
        if self._written.get(node, "") == written:
            return
        now = self._clock()
        if written:
            self._written[node] = written
        else:  # from now on as good as one that stands still
            del self._written[node]
            self._forget(now)
        self._changed_at[node] = now
        if node == self._node:
            if not self._answers(now):
                self._since = now
            self._answered_at = now

    def others(self, segment: str, members: Collection[str], registrations: Mapping[str, Registration]) -> Others:
        """What is known of the others on a LAN now.

        Args:
            segment: its name.
            members: of all its lists.
            registrations: what each speaker registers.
        """
        now = self._clock()
        sighted = frozenset(
            node
            for node, what in registrations.items()
            if now < self._changed_at.get(node, -UNCHANGED) + UNCHANGED
            and any(one.segment == segment and one.sees_neighbours for one in what.attachments)
        )
        if not self._last_resort or not self._answers(now):
            return Others(sighted)
        still = (node for node in members if now >= max(self._since, self._changed_at.get(node, 0)) + UNCHANGED)
        return Others(sighted, frozenset(still))

    def _forget(self, now: int) -> None:
        gone = [node for node, at in self._changed_at.items() if node not in self._written and now >= at + UNCHANGED]
        for node in gone:
            del self._changed_at[node]

    def _answers(self, now: int) -> bool:
        return self._answered_at is not None and now < self._answered_at + ANSWERS


async def looking(look: Callable[[], None]) -> None:
    """Has somebody look at it again and again, until cancelled."""
    while True:
        await asyncio.sleep(LOOK)
        look()
