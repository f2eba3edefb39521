"""What this node shows on one LAN for what it owns: answers and announcements. Sans-IO: frames in, frames out.

The Lan tells it what the election decided and what became of the interface, and sends what it gives. Election decides
who owns; nothing here does.
"""

from __future__ import annotations

from lbprovider.announce.pace import Pace
from lbprovider.announce.responder import MayAnswer, Responder
from lbprovider.announce.schedule import Announcement, Schedule
from lbprovider.election.outcome import Lost, Won
from lbprovider.net.links import Link
from lbprovider.speaker.counts import Counts
from lbprovider.speaker.fastpath import KernelAnswers


class Presence:
    """One LAN's addresses as others see them, for the life of the process.

    Args:
        name: the LAN's, for the tables behind it.
        may_answer: asked before each answer, and by who sends before each announcement.
        kernel: answers too, for as long as the Member lets it.

    Each call takes the time, nanoseconds of CLOCK_BOOTTIME. After any of them ``next_wake`` may be another one.
    """

    def __init__(self, name: str, may_answer: MayAnswer, kernel: KernelAnswers) -> None:
        self._name = name
        self._kernel = kernel
        self._link: Link | None = None
        self._held: set[bytes] = set()
        self._pace = Pace()
        self._schedule = Schedule(self._pace)
        self.responder = Responder(may_answer)
        self.counts = Counts(self.responder)

    # ---- what happens to it

    def won(self, change: Won, now: int) -> None:
        """The address is ours: answer for it, and announce it."""
        self._held.add(change.address)
        self._show(change.address, now)

    def lost(self, change: Lost, now: int) -> None:
        """The address is ours no more. First of all it is no longer answered (rule 11)."""
        del now
        self._kernel.drop(change.address)
        self.responder.drop(change.address)
        self._schedule.lost(change.address)
        self._held.discard(change.address)

    def link(self, link: Link | None, now: int) -> None:
        """The interface as it is now, or another one in its place; None: there is nothing to send on at present."""
        before, self._link = self._link, link
        self._kernel.link(link)
        if link is None:
            return
        if before is None or link.index != before.index or link.mac != before.mac:
            for address in self._held:
                self._show(address, now)
        elif has_returned(before, link):
            self.again(now)

    def again(self, now: int) -> None:
        """Announce everything from the beginning: others may have forgotten us while we could not be heard."""
        self._schedule.again(self._name, now)

    def frame(self, frame: memoryview, now: int) -> bytes | None:
        """A frame of the LAN; what to send back at once."""
        reply = self.responder.answer(frame, self._name, now)
        if reply is not None:
            self.counts.answered(reply)
        return reply

    # ---- what comes of it

    def due(self, now: int) -> list[Announcement]:
        """What to send now, in order; each only if ``may_answer`` still says yes right before it is sent."""
        if self._link is None:
            return []
        self._pace.begin(now)
        return self._schedule.first(now) + self._schedule.rest(now)

    def next_wake(self) -> int | None:
        """When ``due`` will have something next; None while there is nothing to wait for."""
        return self._schedule.next_wake() if self._link is not None else None

    @property
    def held(self) -> frozenset[bytes]:
        """The addresses that were won and not lost since."""
        return frozenset(self._held)

    def _show(self, address: bytes, now: int) -> None:
        if self._link is not None:
            self.responder.hold(address, self._name, self._link.mac)
            self._kernel.hold(address, self._link.mac)
            self._schedule.won(address, self._name, self._link.mac, now)


def has_returned(before: Link, after: Link) -> bool:
    """Whether an interface became usable between two views of it, be it that nobody saw it down."""
    return after.usable and (not before.usable or after.returns != before.returns)
