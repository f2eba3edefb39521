"""A machine of the simulation, and what is left of a process that crashed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lbprovider.election.member import Member
from lbprovider.wire.heartbeat import Heartbeat
from tests.sim.disk import Disk


@dataclass(frozen=True)
class Ghost:
    """A crashed node for which the kernel still answers."""

    node: str
    address: bytes
    until: int
    successor: str
    version: int


class Node:
    """A machine: its clock, and the process on it if there is one."""

    def __init__(self, name: str, rate: int, boot: int) -> None:
        self.name = name
        self.rate = rate
        self.boot = boot
        self.incarnation = 0
        self.member: Member | None = None
        self.paused = False
        self.inbox: deque[bytes] = deque(maxlen=200)
        self.wake_at = 0
        self.life = 0
        self.disk = Disk()
        self.newest: Heartbeat | None = None
        self.seen: tuple[object, ...] = (None, False, 0, 0)
        self.ver = 0
        self.claims: dict[bytes, tuple[bool, bool]] = {}
        self.lives: dict[str, int] = {}

    def reborn(self) -> None:
        """What is counted of a life begins anew."""
        self.seen, self.ver, self.claims, self.lives = (None, False, 0, 0), 0, {}, {}

    def local(self, real: int) -> int:
        """This machine's CLOCK_BOOTTIME; ``rate`` is in parts per million."""
        return (real - self.boot) * self.rate // 1_000_000

    def real(self, local: int) -> int:
        """The first real instant at which the clock shows at least ``local``."""
        return self.boot - (-local * 1_000_000 // self.rate)
