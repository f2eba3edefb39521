"""When this node has been in a version of the Segment long enough, and when the old lists may go. Rules 15 and 17."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lbprovider.election.guards import Guards
from lbprovider.election.outcome import ProposeSwap
from lbprovider.election.segment import Segment, cleared

STAGGER: Final = 1_000_000_000
"""C8: the k-th live member in force writes after k of these, ns: one before it may be cut from the API server. Also the
wait before the same node proposes again."""


class Settling:
    """``settled`` is what datagrams report: the newest version that this node has been in for 2·Hmax of its lists."""

    def __init__(self, node: str, guards: Guards) -> None:
        self.settled = 0
        self._node = node
        self._guards = guards
        self._adopted_at = 0
        self._clearable_since: int | None = None
        self._proposed_at: int | None = None

    def adopted(self, now: int) -> None:
        """Another version is in force for me."""
        self._adopted_at = now
        self._clearable_since = self._proposed_at = None

    def restart(self, now: int) -> None:
        """Another Segment: its versions have nothing to do with those before."""
        self.settled = 0
        self.adopted(now)

    def settle(self, segment: Segment, now: int, *, durable: bool) -> None:
        """Rule 15; ``durable``: a later life of this node will know the version."""
        if durable and (now >= self._adopted_at + 2 * segment.hmax or not self._guards.r15_settled):
            self.settled = segment.version

    def proposal(self, segment: Segment, others: Mapping[str, int], now: int) -> ProposeSwap | None:
        """Rule 17: the swap that drops the old lists, if it is this node's turn to write it.

        Args:
            segment: the one that I am in.
            others: the live peers, each with the version it reports as settled.
            now: the time.
        """
        if len(segment.lists) == 1:
            return None
        settled = {node for node, version in others.items() if version >= segment.version}
        if self.settled >= segment.version:
            settled.add(self._node)
        enough = segment.quorum(settled) if self._guards.r17_every_list else segment.in_force.quorum(settled)
        turns = [node for node in segment.in_force.members if node == self._node or node in others]
        if not enough or self._node not in turns:
            self._clearable_since = None
            return None
        if self._clearable_since is None:
            self._clearable_since = now
        turn = self._clearable_since + STAGGER * turns.index(self._node)
        if now < turn or (self._proposed_at is not None and now < self._proposed_at + STAGGER):
            return None
        self._proposed_at = now
        return ProposeSwap(segment.version, cleared(segment))
