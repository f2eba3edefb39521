"""One LAN: the election's rules, the datagrams that carry them, and the answers that they allow, in one loop.

Each event (a datagram, a timer, a wish, a change of the interface) is one step of the Member, and what the step comes
to is done before the next event: first out of the responder what is lost and into it what is won, and the kernel's
deadlines where it answers too, then the datagrams, then what announces, then whoever writes it down. ELECTION.md rules
6, 10, 11, C5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lbprovider import telemetry
from lbprovider.election.durable import Durable
from lbprovider.election.member import Member
from lbprovider.election.minority import Others
from lbprovider.election.outcome import Lost, Output, Won
from lbprovider.election.readiness import why_not_ready
from lbprovider.election.segment import Segment
from lbprovider.errors import WireError
from lbprovider.net.links import Link
from lbprovider.speaker.fastpath import KernelAnswers
from lbprovider.speaker.interface import Interface
from lbprovider.speaker.news import Answered, Conflict, ConflictOver, Contested
from lbprovider.speaker.peers import Keys, Peers
from lbprovider.speaker.ports import Host, Timer
from lbprovider.speaker.presence import SHIPPED, Manner, Presence, has_returned
from lbprovider.speaker.reluctance import Reluctance
from lbprovider.speaker.standing import Outcome
from lbprovider.speaker.upstairs import Upstairs, fail_stop

Wishes = Mapping[bytes, tuple[str, ...]]
"""Each address (packed) of the LAN, with the nodes that may announce it, best first."""

_SECOND: Final = 1_000_000_000
_NEVER: Final = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this speaker is. ``cluster`` is the uid of the namespace kube-system; ``port`` the UDP port of heartbeats."""

    node: str
    incarnation: int
    cluster: str
    port: int


class Lan:
    """This node's part on one LAN, for the life of the process.

    Args:
        name: the Segment's.
        link: the interface that is used.
        identity: who this speaker is.
        keys: datagrams are signed with and accepted under.
        host: the kernel.
        upstairs: who is told.
        manner: how to announce.
        first_use: whether an address (packed) was never announced by anybody: then it is probed for first.

    Raises:
        HostError: the UDP port is taken (ELECTION.md V12), CAP_NET_RAW is missing, or the interface is gone.
    """

    def __init__(
        self,
        name: str,
        link: Link,
        *,
        identity: Identity,
        keys: Keys,
        host: Host,
        upstairs: Upstairs[Lan],
        manner: Manner = SHIPPED,
        first_use: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self.name = name
        self._identity = identity
        self._host = host
        self._upstairs = upstairs
        self._link: Link | None = link
        self._interface = Interface(
            host,
            identity.port,
            received=self._received,
            answer=self._answer,
            gone=self._gone,
            trouble=lambda error: upstairs.trouble(self, error),
        )
        self._interface.open(link)
        # After the exclusive bind: until now a former process of this node may have spoken (V12).
        self.member = Member(identity.node, identity.incarnation, host.clock(), identity.cluster)
        self._kernel = KernelAnswers(
            self.member, host.open_fast_path, lambda error: upstairs.trouble(self, error)
        )  # fmt: skip
        self.presence = Presence(name, self.member, self._kernel, manner, first_use)
        self.presence.link(link, host.clock())
        self._peers = Peers(keys, self._interface.send_datagram)
        self._hears: tuple[str, ...] = ()
        self._version: tuple[str, int] = ("", 0)
        self._timer: Timer | None = None
        self._timer_due = _NEVER
        self._late_until = 0
        self._candidate: bool | None = None
        self._reluctance = Reluctance()
        self._arm(host.clock())

    # ---- what happens to it

    @fail_stop
    def adopt(self, segment: Segment, *, quorum_read: bool) -> None:
        """The Segment as the API server has it; see ``Member.adopt``."""
        now = self._host.clock()
        self._step(self.member.adopt(segment, now, quorum_read=quorum_read), now)
        self._be_candidate()

    @fail_stop
    def restore(self, segment: Segment, silence: int) -> None:
        """The Segment as the snapshot has it, before any ``adopt``; see ``Member.restore``."""
        now = self._host.clock()
        self._step(self.member.restore(segment, silence, now), now)
        self._be_candidate()

    @fail_stop
    def durable(self, what: Durable | None) -> None:
        """What of the Segment a later life may find on disk; see ``Member.durable``."""
        now = self._host.clock()
        self._step(self.member.durable(what, now), now)

    @fail_stop
    def wish(self, wishes: Wishes) -> None:
        """All addresses of this LAN, each with the nodes that may announce it."""
        mine = {address for address, nodes in wishes.items() if self._identity.node in nodes}
        # What is owned but no longer ours to take is answered until a successor has it (rule 14).
        self._interface.listen([*self.presence.held, *mine])
        now = self._host.clock()
        self._step(self.member.wish(wishes, now), now)
        self._settle(self.presence.standing.wish(wishes), now)

    def reach(self, node: str, address: str, mac: str = "") -> None:
        """Where a peer says in its Lease that it is on this LAN; empty: not here."""
        self._peers.registered(node, address)
        self.presence.reach(node, address, mac)

    @fail_stop
    def attach(self, link: Link | None) -> None:
        """The interface as it is now, or another one in its place; None: there is none at present.

        Raises:
            HostError: as ``Lan``.
        """
        before, self._link = self._link, link
        if link is None:
            self._interface.close()
            self.presence.link(None, self._host.clock())
        elif before is None or link.index != before.index or not self._interface.is_open:
            self._interface.open(link)
        elif has_returned(before, link):
            self._interface.rejoin()
        if link is not None:
            now = self._host.clock()
            self.presence.link(link, now)
            self._show(now)
        self._be_candidate()

    @fail_stop
    def drain(self, *, returning: bool = False) -> None:
        """Hands every address on, and takes none from now on (rule 14); see ``Member.drain``."""
        now = self._host.clock()
        self._settle(self.presence.standing.leave(self._back(), returning=returning), now)
        self._step(self.member.drain(now, returning=returning), now)

    @fail_stop
    def undrain(self) -> None:
        """Takes addresses again."""
        now = self._host.clock()
        self._step(self.member.undrain(now), now)

    @fail_stop
    def forwards(self, *, able: bool) -> None:
        """Whether this node can bring traffic to Pods (``proxy.Proxy``). While it can't, others are to take over."""
        self._reluctance.become(able=able)
        self._be_candidate()
        self._yield()

    @fail_stop
    def leave(self) -> None:
        """Takes this node off the Segment's list where the others need that, before it ends (C10)."""
        now = self._host.clock()
        self._step(self.member.leave(now), now)

    @fail_stop
    def others(self, others: Others) -> None:
        """What the Leases say of the others; see ``Member.others``."""
        now = self._host.clock()
        self._step(self.member.others(others, now), now)

    def stop(self, error: Exception) -> None:
        """A bug of ours, in the midst of a step."""
        try:
            self.close()
        finally:
            self._upstairs.broken(self, error)

    def close(self) -> None:
        """No more answers, datagrams, timers."""
        if self._timer is not None:
            self._timer.cancel()
        self._kernel.close()
        self._interface.close()
        self._publish(self._host.clock())

    # ---- what it says of itself

    @property
    def link(self) -> Link | None:
        """The interface in use."""
        return self._link

    @property
    def owned(self) -> frozenset[bytes]:
        """The addresses that this node answers for."""
        return self.presence.held

    @property
    def hears(self) -> tuple[str, ...]:
        """The peers whose promise is live, sorted."""
        return self._hears

    def votes(self) -> bool:
        """Whether this node votes here: then no promise of a former life of it is left."""
        return self.member.votes(self._host.clock())

    def has_left(self) -> bool:
        """After ``leave``: whether the others need this node no more."""
        return self.member.leaving_done(self._host.clock())

    def sees_neighbours(self) -> bool:
        """Whether a host that is no member was seen lately, while that matters (C9)."""
        return self.member.seeks and self.member.sees(self._host.clock())

    def owns(self, address: bytes) -> bool:
        """Whether the address is ours at this moment."""
        return self.member.may_answer(address, self._host.clock())

    def why_not_ready(self) -> str:
        """One sentence; empty when this node votes here and is connected."""
        if self._link is None:
            return f"Segment {self.name}: the interface is gone"
        if not self._link.usable:
            return f"Segment {self.name}: {self._link.name} is down"
        return why_not_ready(self.member, self._identity.node, self._host.clock())

    # ---- events from below

    @fail_stop
    def _received(self, batch: Sequence[tuple[bytes, str]]) -> None:
        letters = []
        for datagram, source in batch:
            try:
                letters.append((*self._peers.read(datagram), source))
            except WireError as error:
                telemetry.HEARTBEATS_DROPPED.labels(reason=error.reason).inc()
        if not letters:
            return
        if self.member.hands_over:
            # What was asked before the successor had the address is ours to answer, and these may say that it has it.
            self._interface.answer_waiting()
        now = self._host.clock()
        output = self.member.heard([beat for _, beat, _ in letters], now)
        for (opened, beat, source), ignored in zip(letters, output.ignored, strict=True):
            if ignored:
                telemetry.HEARTBEATS_DROPPED.labels(reason=ignored).inc()
            else:
                self._peers.heard(beat, source, opened)
                telemetry.HEARTBEATS.labels(peer=beat.node).inc()
        self._step(output, now)

    def _answer(self, frame: memoryview) -> bytes | None:
        now = self._host.clock()
        reply = self.presence.frame(frame, now)
        if reply is None and self.presence.has_news:
            self._show(now)
        return reply

    @fail_stop
    def _gone(self) -> None:
        self.presence.link(None, self._host.clock())
        self._be_candidate()

    @fail_stop
    def _wake(self) -> None:
        now = self._host.clock()
        lag = now - self._timer_due
        self._timer, self._timer_due = None, _NEVER
        telemetry.LOOP_LAG.observe(lag / _SECOND)
        # The loop runs timers that became due while it was busy with what was ready before, and asks the kernel later:
        # promises that were renewed meanwhile would lapse.
        self._interface.hear()
        now = self._host.clock()
        self._step(self.member.tick(now), now)
        self._stand(now)
        segment = self.member.segment
        if segment is not None and 2 * lag > segment.hold:
            # Promises that are renewed this late hardly last: others are better off with new addresses (C6).
            self._late_until = now + segment.hold
        if segment is not None and lag > segment.hold:
            # We were stopped, or the machine was: what is still ours may have been forgotten meanwhile. Not in less
            # than a promise: nobody else could have it, and a machine that is always late would say nothing else.
            self.presence.again(now)
            self._show(now)
        self._be_candidate()
        if self.presence.counts.due(now):
            self._publish(now)
            self._yield()

    def _publish(self, now: int) -> None:
        self.presence.counts.publish(now)
        self._kernel.publish()
        held = self.presence.held
        telemetry.OWNED.labels(segment=self.name).set(len(held))
        # One address stands for all: they hang on the same promises, unless a voter refused one.
        some = next(iter(held), None)
        if some is not None:
            margin = max(0, self.member.deadline(some) - now) / _SECOND
            telemetry.SUPPORT_MARGIN.labels(segment=self.name).set(margin)

    # ---- one step

    def _step(self, output: Output, now: int) -> None:
        for change in output.changes:
            if isinstance(change, Won):
                self._reluctance.won(change.address, now)
                self.presence.won(change, self._hold, now)
            else:
                self.presence.lost(change, now)
        self._kernel.step(now)
        for node, beat in output.datagrams:
            self._peers.send(node, beat, self._hears)
        self._announce(now)
        self._tell(now)
        if output.swap is not None:
            self._upstairs.swap(self, output.swap)
        self._look(now)
        self._arm(now)

    def _stand(self, now: int) -> None:
        """What became of the nodes that this one stands in for."""
        self._settle(self.presence.standing.due(now, self._link, self._back()), now)

    def _back(self) -> list[str]:
        """The peers that are heard, and don't end to start anew."""
        return [node for node in self._hears if not self.member.returning(node)]

    def _settle(self, outcome: Outcome, now: int) -> None:
        for change in outcome.own:
            self.presence.own(change.address, now)
        if outcome.own:
            self._announce(now)
            self._upstairs.changed(self, outcome.own)
        for frame in outcome.frames:
            self._interface.send_frame(frame)
        if outcome.hand:
            self._step(self.member.hand(outcome.hand, now), now)
        self._arm(now)

    @property
    def _hold(self) -> int:
        return 0 if self.member.segment is None else self.member.segment.hold

    @fail_stop
    def _show(self, now: int) -> None:
        self._announce(now)
        self._tell(now)
        self._arm(now)

    def _announce(self, now: int) -> None:
        for each in self.presence.due(now):
            if self.member.may_answer(each.address, self._host.clock()):
                self._interface.send_frame(each.frame)
                (telemetry.PROBES if each.is_probe else telemetry.ANNOUNCEMENTS).inc()
        for question in self.presence.questions(now):
            self._interface.send_frame(question)

    def _tell(self, now: int) -> None:
        news = self.presence.news()
        changes = [each for each in news if isinstance(each, Won | Lost)]
        if changes:
            self._upstairs.changed(self, changes)
        for each in news:
            match each:
                case Conflict(address, mac, kind):
                    self._upstairs.conflict(self, address, mac, kind)
                case ConflictOver(address):
                    self._upstairs.conflict_over(self, address)
                case Contested(address):
                    self._step(self.member.contested(address, now), now)
                case Answered(asked_at):
                    self._step(self.member.neighbour(asked_at, now), now)

    def _look(self, now: int) -> None:
        hears = self.member.hears(now)
        segment = self.member.segment
        version = ("", 0) if segment is None else (segment.uid, segment.version)
        if hears != self._hears or version != self._version:
            self._hears, self._version = hears, version
            self._upstairs.seen(self)

    def _arm(self, now: int) -> None:
        due = self.member.next_wake()
        announce = self.presence.next_wake()
        if announce is not None:
            due = min(due, announce)
        due = max(due, now)
        if due < self._timer_due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_due = due
            self._timer = self._host.call_at(due, self._wake)

    def _be_candidate(self) -> None:
        now = self._host.clock()
        up = self._link is not None and self._link.usable and self._interface.is_open
        usable = up and now >= self._late_until and not self._reluctance.stands_back(self.member.vacant, now)
        if usable != self._candidate:
            self._candidate = usable
            self._step(self.member.candidate(usable, now), now)

    def _yield(self) -> None:
        now = self._host.clock()
        moves = self._reluctance.to_hand(self.presence.held, now)
        if moves:
            self._step(self.member.hand(moves, now), now)
