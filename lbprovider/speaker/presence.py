"""What this node shows on one LAN for what it owns, and what it makes of what others claim there.

Sans-IO: frames in, frames out. The Lan tells it what the election decided and what became of the interface, sends what
it gives, and passes its news on. Election decides who owns; nothing here does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from lbprovider.announce import claims
from lbprovider.announce.conflicts import Conflicts
from lbprovider.announce.neighbours import Neighbours
from lbprovider.announce.pace import FRAMES_PER_SECOND, Pace
from lbprovider.announce.probing import Probe, Probing, frame
from lbprovider.announce.responder import Responder
from lbprovider.announce.schedule import Announcement, Schedule
from lbprovider.election.outcome import Lost, Won, WonReason
from lbprovider.election.segment import Segment
from lbprovider.net.links import Link
from lbprovider.speaker.counts import Counts
from lbprovider.speaker.fastpath import KernelAnswers
from lbprovider.speaker.news import Answered, Conflict, ConflictKind, ConflictOver, Contested, News
from lbprovider.speaker.standing import Standing
from lbprovider.wire import ethernet

_SECOND: Final = 1_000_000_000

PROBE_AGAIN: Final = 60 * _SECOND
"""After a probe was answered: RFC 5227 section 2.1.1, RATE_LIMIT_INTERVAL."""


class Election(Protocol):
    """What is asked of the LAN's ``Member``."""

    def may_answer(self, address: bytes, now: int) -> bool:
        """Whether an address is ours at this very moment."""
        ...

    def hears(self, now: int) -> tuple[str, ...]:
        """The peers whose promise is live."""
        ...

    @property
    def seeks(self) -> bool:
        """Whether it matters just now whom this node sees on the LAN."""
        ...

    @property
    def segment(self) -> Segment | None:
        """The Segment that this node is in."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How this node announces: settings ``gratuitous_pps`` and ``probe``."""

    per_second: int = FRAMES_PER_SECOND
    probe: Probe = Probe.SHORT


SHIPPED: Final = Manner()


class Presence:
    """One LAN's addresses as others see them, for the life of the process.

    Args:
        name: the LAN's, for the tables behind it.
        election: the Member, asked only.
        kernel: answers too, for as long as the Member lets it.
        manner: how to announce.
        first_use: whether an address (packed) was never announced by anybody, so that it has to be probed for first.

    Each call takes the time, nanoseconds of CLOCK_BOOTTIME. After any of them ``next_wake`` may be another one, and
    there may be news. What is kept is bounded by what is ours, and by ``Neighbours``; never by what the LAN sends.
    """

    def __init__(
        self,
        name: str,
        election: Election,
        kernel: KernelAnswers,
        manner: Manner,
        first_use: Callable[[bytes], bool],
    ) -> None:
        self._name = name
        self._election = election
        self._kernel = kernel
        self._probes_first = manner.probe is not Probe.OFF
        self._first_use = first_use
        self._link: Link | None = None
        self._held: set[bytes] = set()
        self._untold: dict[bytes, tuple[Won, int]] = {}
        """Held, and not shown yet, for there is no interface, or somebody else may have it; with the Segment's hold."""
        self._refused: OrderedDict[bytes, int] = OrderedDict()
        """Of these, those that somebody else has: when to probe again, in order."""
        self._clashing: set[bytes] = set()
        """Of these, those of which that was said."""
        self._last_resort: set[bytes] = set()
        """Held without a quorum (rule 19)."""
        self._macs: dict[str, bytes] = {}
        """The hardware addresses of other speakers, by node, and all of them."""
        self._members: frozenset[bytes] = frozenset()
        self._news: list[News] = []
        self._pace = Pace(manner.per_second)
        self._schedule = Schedule(self._pace)
        self._probing = Probing(name, self._pace, manner.probe)
        self._conflicts = Conflicts()
        self.standing = Standing()
        self.neighbours = Neighbours()
        self.responder = Responder(election.may_answer)
        self.counts = Counts(self.responder)

    # ---- what happens to it

    def won(self, change: Won, hold: int, now: int) -> None:
        """The address is ours: answer for it once it is certain that nobody else has it, and announce it.

        Where this node stands in for another with it, it is not announced.

        Args:
            change: how it was won.
            hold: the Segment's, ns.
            now: the time.
        """
        self._held.add(change.address)
        self._untold[change.address] = (change, hold)
        if change.probe:
            self._last_resort.add(change.address)
        self._begin(change.address, now)

    def own(self, address: bytes, now: int) -> None:
        """The address, with which this node stood in for another, is its own from now on."""
        self._show(address, now)

    def lost(self, change: Lost, now: int) -> None:
        """The address is ours no more. First of all it is no longer answered (rule 11)."""
        del now
        address = change.address
        self._kernel.drop(address)
        self.responder.drop(address)
        for each in (self._schedule.lost, self._probing.end, self._conflicts.end, self.standing.lost):
            each(address)
        self._untold.pop(address, None)
        self._refused.pop(address, None)
        for some in (self._held, self._last_resort, self._clashing):
            some.discard(address)
        self._news.append(change)

    def link(self, link: Link | None, now: int) -> None:
        """The interface as it is now, or another one in its place; None: there is nothing to send on at present."""
        before, self._link = self._link, link
        self._kernel.link(link)
        if link is None:
            return
        if before is None or link.index != before.index:
            self.neighbours.forget()
        self.neighbours.gateways(each.packed for each in link.gateways)
        if before is None or link.index != before.index or link.mac != before.mac:
            for address in self._held:
                self._begin(address, now)
        elif has_returned(before, link):
            self.again(now)

    def again(self, now: int) -> None:
        """Announce everything from the beginning: others may have forgotten us while we could not be heard."""
        self._schedule.again(self._name, now)

    def reach(self, node: str, address: str, mac: str) -> None:
        """Where a peer's Lease says that it is on this LAN; empty: not here."""
        self.standing.reach(node, address, mac)
        try:
            self._macs[node] = ethernet.mac(mac)
        except ValueError:
            self._macs.pop(node, None)
        self._members = frozenset(self._macs.values())

    def frame(self, frame: memoryview, now: int) -> bytes | None:
        """A frame of the LAN; what to send back at once."""
        reply = self.responder.answer(frame, self._name, now)
        if reply is not None:
            self.counts.answered(reply)
            return reply
        said = claims.read(frame)
        if said is not None and self._link is not None and said.mac != self._link.mac:
            self._hear(said, now)
        return None

    # ---- what comes of it

    def due(self, now: int) -> list[Announcement]:
        """What to send now, in order; each only if ``may_answer`` still says yes right before it is sent."""
        if self._link is None:
            return []
        for address in self._probing.unanswered(now):
            self._free(address, now)
        while self._refused and next(iter(self._refused.values())) <= now:
            self._begin(next(iter(self._refused)), now)
        self._pace.begin(now)
        urgent = self._schedule.first(now) + self._probing.due(now)
        return urgent + self._look(self._link, now) + self._schedule.rest(now)

    def questions(self, now: int) -> list[bytes]:
        """What to ask now of hosts that are no members, whatever is ours."""
        link, segment = self._link, self._election.segment
        if link is None or segment is None:
            return []
        return self.neighbours.due(link.mac, link.addresses, now, segment.period if self._election.seeks else None)

    def next_wake(self) -> int | None:
        """When ``due`` or ``standing`` will have something next; None while there is nothing to wait for.

        Neighbours are asked on the way, at the member's own wakes.
        """
        if self._link is None:
            return None
        look = self._conflicts.next_wake()
        times = (
            self._schedule.next_wake(),
            self._probing.next_wake(),
            None if look is None else max(look, self._pace.ready_at()),
            self.standing.next_wake(),
            next(iter(self._refused.values()), None),
        )
        return min((each for each in times if each is not None), default=None)

    @property
    def has_news(self) -> bool:
        """Whether ``news`` has something."""
        return bool(self._news)

    def news(self) -> list[News]:
        """What has happened since the last time, oldest first."""
        news, self._news = self._news, []
        return news

    @property
    def held(self) -> frozenset[bytes]:
        """The addresses that were won and not lost since."""
        return frozenset(self._held)

    def shown(self, address: bytes) -> tuple[bytes, str]:
        """With which hardware address it is answered for, and the node in whose place; "" = as this node's own."""
        station = self.standing.of(address)
        if station is not None:
            return station.mac, station.node
        return b"" if self._link is None else self._link.mac, ""

    # ---- from winning to answering

    def _begin(self, address: bytes, now: int) -> None:
        """Probe for an address of ours, or show it, whichever is its turn."""
        self._refused.pop(address, None)
        if self._link is None:
            return
        change, _ = self._untold.get(address, (None, 0))
        if change is None:
            self._show(address, now)
        elif change.probe or (self._probes_first and self._is_first_use(change)):
            self._probing.begin(address, self._link.mac, now)
        else:
            self._free(address, now)

    def _is_first_use(self, change: Won) -> bool:
        # Whoever hands an address over has used it, though nobody may know yet, and stops when we own it: a question
        # that we let pass then is one that nobody answers.
        return change.reason is not WonReason.HANDED_OVER and self._first_use(change.address)

    def _free(self, address: bytes, now: int) -> None:
        """Nobody else has the address."""
        change, hold = self._untold.pop(address)
        self.standing.won(change, self._link, hold, now)
        self._show(address, now)
        self._news.append(change)
        if address in self._clashing:
            self._clashing.discard(address)
            self._news.append(ConflictOver(address))

    def _show(self, address: bytes, now: int) -> None:
        if self._link is None:
            return
        station = self.standing.of(address)
        if station is not None:
            # Not by the kernel, which would send from that hardware address; nor is there anything to announce.
            self.responder.hold(address, self._name, self._link.mac, station.mac)
            return
        self.responder.hold(address, self._name, self._link.mac)
        self._kernel.hold(address, self._link.mac)
        self._schedule.won(address, self._name, self._link.mac, now)

    # ---- what others say

    def _hear(self, said: claims.Said, now: int) -> None:
        """Somebody else says that he has an address; not on the path of a question that was answered."""
        address, member = said.address, said.mac in self._members
        if said.is_answer:  # also of a node that registers nothing any more: it is its kernel that answers
            self.standing.heard(address, said.mac, now)
        probing = address in self._probing
        if address in self._last_resort and not self._is_heard(said.mac, now) and (probing or not said.is_probe):
            # Neither a member that is missing nor anybody else may have it beside us.
            self._last_resort.discard(address)
            self._news.append(Contested(address))
        elif member:
            return
        elif probing:
            self._probing.end(address)
            self._refuse(address, said.mac, now)
        elif address not in self._held:
            self._meet(said, now)
        elif address not in self._untold and not said.is_probe:
            verdict = self._conflicts.claimed(address, now)
            if verdict.defend:
                self._schedule.defend(address, now)
            if verdict.new:
                self._news.append(Conflict(address, said.mac, ConflictKind.FOREIGN))

    def _meet(self, said: claims.Said, now: int) -> None:
        """A host of the LAN that is no member, with an address that isn't ours."""
        asked_at = (
            None if said.is_probe else self.neighbours.heard(said.address, said.mac, now, is_answer=said.is_answer)
        )
        if asked_at is not None:
            self._news.append(Answered(asked_at))

    def _refuse(self, address: bytes, mac: bytes, now: int) -> None:
        self._refused[address] = now + PROBE_AGAIN
        if address not in self._clashing:
            self._clashing.add(address)
            self._news.append(Conflict(address, mac, ConflictKind.PROBE))

    def _look(self, link: Link, now: int) -> list[Announcement]:
        """Whether those are still there who claimed what is ours."""
        look = self._conflicts.look(now, self._pace.room(now))
        self._news += map(ConflictOver, look.over)
        found = []
        for address in look.probe:
            self._pace.take(1, now)
            found.append(Announcement(address, self._name, frame(address, link.mac), is_probe=True))
        return found

    def _is_heard(self, mac: bytes, now: int) -> bool:
        """Whether the hardware address is that of a peer whose promise is live."""
        return any(self._macs.get(node) == mac for node in self._election.hears(now))


def has_returned(before: Link, after: Link) -> bool:
    """Whether an interface became usable between two views of it, be it that nobody saw it down."""
    return after.usable and (not before.usable or after.returns != before.returns)
