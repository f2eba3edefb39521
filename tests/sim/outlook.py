"""What the nodes of a simulation see beside each other's datagrams: neighbours on the LAN, Leases, the API server.

A speaker asks neighbours while its Member seeks, writes its Lease, reads those of the others, and reads the Segment for
a vote that waits for it. Here all of that happens by looking at each node every few milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.sim.world import MS, SECOND, World

LOOK: Final = 25 * MS


@dataclass
class Lease:
    """What a node wrote last."""

    at: int = 0
    sees: bool = False


class Outlook:
    """Goes on for as long as the world does.

    Args:
        world: looked at.
        blind: nodes that no neighbour on the LAN answers; ask it and change it at any time.
        lease: how often a Lease is written, ns.
        gone: how long one stands still before its node counts as gone (rule 19), ns; None: no last resort.
    """

    def __init__(self, world: World, *, blind: set[str], lease: int = 10 * SECOND, gone: int | None = None) -> None:
        self.blind = blind
        self.over = False
        """Nothing is to happen any more."""
        self._world = world
        self._lease = lease
        self._gone = gone
        self._leases = {name: Lease() for name in world.nodes}
        for name in world.nodes:
            world.at(world.now + world.random.randrange(LOOK), partial(self._look, name))

    def _look(self, name: str) -> None:
        world = self._world
        world.at(world.now + LOOK, partial(self._look, name))
        node = world.nodes[name]
        member = node.member
        if member is None or node.paused:
            return
        if member.seeks and name not in self.blind:
            world.neighbour(name)
        if name in world.no_api:
            if member.seeks and member._changing.minority.others.unchanged is not None:
                world.leases(name, sighted=member._changing.minority.others.sighted)
            return
        lease, sees = self._leases[name], member.sees(node.local(world.now))
        if lease.sees != sees or world.now >= lease.at + self._lease:
            self._leases[name] = Lease(world.now, sees)
        if member.seeks:
            self._read(name)
        if member.needs_quorum_read:
            world.adopt(name, world.segment, quorum=True)

    def _read(self, name: str) -> None:
        world = self._world
        sighted = {other for other, lease in self._leases.items() if lease.sees and other != name}
        unchanged = None
        if self._gone is not None:
            unchanged = {other for other, lease in self._leases.items() if world.now >= lease.at + self._gone}
        world.leases(name, sighted=sighted, unchanged=unchanged)
