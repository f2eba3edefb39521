"""Member: one node's part in the election on one Segment. ELECTION.md; pure, every time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lbprovider.election.asking import Asking
from lbprovider.election.changing import Changing
from lbprovider.election.claims import Claim, Claims
from lbprovider.election.durable import Durable
from lbprovider.election.evidence import NEVER, Evidence
from lbprovider.election.grants import Grants
from lbprovider.election.guards import ALL, Guards
from lbprovider.election.minority import Others
from lbprovider.election.outcome import LostReason, Output, ProposeSwap, WonReason
from lbprovider.election.parts import joined_lists
from lbprovider.election.peers import FOREVER, Peer, Peers
from lbprovider.election.post import Post
from lbprovider.election.segment import Segment
from lbprovider.election.tenures import Tenures
from lbprovider.election.vote import Vote
from lbprovider.wire.heartbeat import Heartbeat, addressee, scope


class Member:
    """One node on one Segment, for one life of its process.

    Each input is one step: it takes the time (int ns of CLOCK_BOOTTIME, never going back; read it *after* waking, C5)
    and returns what to do now. It is no candidate until told so.

    Args:
        node: this node's name.
        incarnation: grows at each start of the process (C2).
        start: when the UDP port was bound exclusively. No vote before ``start + Hmax`` (rule 7).
        cluster: uid of the namespace kube-system.
        guards: for tests only.
    """

    def __init__(self, node: str, incarnation: int, start: int, cluster: str, guards: Guards = ALL) -> None:
        self._node = node
        self._incarnation = incarnation
        self._cluster = scope(cluster)
        self._guards = guards
        self._segment: Segment | None = None
        self._scope = b""
        self._me = addressee(node)
        self._vote = Vote(start, guards)
        self._candidate = False
        self._draining = False
        self._returning = False
        self._claims = Claims()
        self._peers = Peers(guards)
        self._grants = Grants(self._claims, guards)
        self._evidence = Evidence(node, self._claims, guards)
        self._asking = Asking(node, guards)
        self._post = Post(node, self._claims, self._peers, self._grants, self._evidence)
        self._tenures = Tenures(node, self._claims, self._peers, self._evidence, self._asking, guards=guards)
        self._now = start
        self._able_since: int | None = None
        self._changing = Changing(node, start, self._evidence, guards)

    # --- Inputs: each is one step -------------------------------------------------------------------------------

    def adopt(self, segment: Segment, now: int, *, quorum_read: bool) -> Output:
        """The Segment as the API server has it. A lower version than known is never adopted (15).

        Args:
            segment: what was read or watched.
            now: the time.
            quorum_read: whether it was read without a resourceVersion, after ``start`` (7). Watches, and lists with a
                resourceVersion, may come from a cache: False.
        """
        self._begin(now)
        if self._segment is not None and segment.uid != self._segment.uid:
            self._leave(self._segment)
        self._enter(segment)
        self._vote.read |= quorum_read and segment.version > self._vote.above
        return self._end()

    def restore(self, segment: Segment, silence: int, now: int) -> Output:
        """The Segment as the snapshot on disk has it: for the API server is down, and nothing was adopted yet (7).

        Args:
            segment: the newest that a former life reported as settled, or a newer one.
            silence: what the snapshot says with it: no promise of a former life is longer, ns.
            now: the time.
        """
        self._begin(now)
        self._vote.restore(silence)
        self._enter(segment)
        return self._end()

    def durable(self, what: Durable | None, now: int) -> Output:
        """What of this Segment a later life may find on disk, the oldest of all that it may find (7, 15).

        Args:
            what: it; None where no snapshot is kept, so that a later life has to read the Segment with quorum.
            now: the time. From before a snapshot is first written until after the last one is gone, this is not None.
        """
        self._begin(now)
        if what != self._vote.durable:
            self._vote.durable = what
            self._evidence.epoch += 1
        return self._end()

    def heard(self, beats: Iterable[Heartbeat], now: int) -> Output:
        """Datagrams whose seals were good: all that have come, in order. They are heard now, whenever they came (C5).

        Here rule 6 comes after rule 5. Nothing was granted since the last step, so a promise that is renewed now binds
        this voter without a gap; and an echo proves what it proves whenever it is read. The other way round, whoever
        wakes late would take the news that lies ready for none.
        """
        self._start(now)
        ignored = tuple([self._hear(beat) for beat in beats])
        self._lapse()
        return self._end(ignored)

    def wish(self, wishes: Mapping[bytes, tuple[str, ...]], now: int) -> Output:
        """All addresses (packed) of this Segment, each with the nodes that may announce it, best first.

        What is missing in ``wishes`` is given up, and what this node is not listed for is handed on (11e, 14).
        """
        self._begin(now)
        for address in self._asking.wish(wishes):
            self._tenures.touched.setdefault(address, (WonReason.UNCLAIMED, ""))
        self._tenures.review = True
        return self._end()

    def candidate(self, usable: bool, now: int) -> Output:  # noqa: FBT001  (the input itself)
        """Whether this node may take new addresses: an interface is up, the loop's lag in bounds (C6)."""
        self._begin(now)
        self._candidate = usable
        return self._end()

    def drain(self, now: int, *, returning: bool = False) -> Output:
        """Hands every address on and takes none (11e, C6). Done when ``claims`` is empty.

        Args:
            now: the time.
            returning: to start anew: whoever takes over may stand in for this node until then.
        """
        self._begin(now)
        self._draining = self._tenures.review = True
        self._returning = returning
        return self._end()

    def undrain(self, now: int) -> Output:
        """Takes addresses again. What was handed on stays where it is."""
        self._begin(now)
        self._draining = self._returning = False
        return self._end()

    def hand(self, moves: Mapping[bytes, str], now: int) -> Output:
        """Hands addresses on though this node could go on (14).

        Args:
            moves: the node for each address (packed); "" = the first of its ranking that can take it. What this node
                doesn't own, or the other can't take at this moment, is left as it is.
            now: the time.
        """
        self._begin(now)
        if self._segment is not None:
            self._tenures.hand(moves, self._segment, self._now)
        return self._end()

    def leave(self, now: int) -> Output:
        """After ``drain``, before the process ends for good: takes this node off the list, where it is needed (C10).

        Go on with steps until ``leaving_done``, and end even without it after a while.
        """
        self._begin(now)
        self._changing.leaving.wanted = True
        return self._end()

    def neighbour(self, asked_at: int, now: int) -> Output:
        """Somebody on the LAN who is no member has answered (ARP, NDP) what it was asked at that time (C9).

        What counts is when it was asked: an answer may have waited in a socket since before a cable was cut.
        """
        self._begin(now)
        self._changing.minority.neighbour(asked_at)
        return self._end()

    def others(self, others: Others, now: int) -> Output:
        """What the Leases say of the others (C9, C11); matters only while ``seeks``."""
        self._begin(now)
        self._changing.minority.others = others
        return self._end()

    def contested(self, address: bytes, now: int) -> Output:
        """Somebody else answers for an address: whoever serves it without a quorum stops (19)."""
        self._begin(now)
        self._contest(address)
        return self._end()

    def tick(self, now: int) -> Output:
        """Time has passed: call it at ``next_wake``, or earlier."""
        self._begin(now)
        return self._end()

    # --- Questions ----------------------------------------------------------------------------------------------

    def next_wake(self) -> int:
        """When ``tick`` is due at the latest, ns; far away where only an input can change anything."""
        if self._segment is None:
            return FOREVER
        times = [self._post.beat_at, self._peers.next_lapse, self._tenures.next_at(self._segment)]
        times.append(self._changing.next_at)
        if self._vote.given:
            times.append(self._asking.next_at)
        elif self._vote.read and self._vote.promises(self._segment, self._segment.hold):
            times.append(self._vote.silent_until(self._segment))
        return min(times)

    def may_answer(self, address: bytes, now: int) -> bool:
        """Whether to answer for the address at this very moment (10). Cheap: ask before each reply."""
        claim = self._claims.get(address)
        if claim is None or not claim.owned:
            return False
        if now < claim.until and claim.epoch == self._evidence.epoch:
            return True
        return now < self._deadline(claim, now)

    def deadline(self, address: bytes) -> int:
        """Until when ``may_answer`` holds if nothing more is heard, ns; 0 for what is not owned."""
        claim = self._claims.get(address)
        return 0 if claim is None or not claim.owned else max(0, self._deadline(claim, self._now))

    def deadlines(self) -> dict[bytes, int]:
        """``deadline`` of everything that is owned; what it said errs to the safe side while ``epoch`` is the same."""
        if self._segment is None:
            return {}
        owned = [claim for claim in self._claims.values() if claim.owned]
        mine = self._mine(self._segment, self._now)
        found = self._evidence.deadlines(self._segment, mine, owned, self._now)
        return {address: max(0, until) for address, until in found.items()}

    @property
    def epoch(self) -> int:
        """Another number whenever some deadline may have come nearer."""
        return self._evidence.epoch

    @property
    def segment(self) -> Segment | None:
        """The Segment that this node is in."""
        return self._segment

    @property
    def silence(self) -> int:
        """How long a later life that starts from the snapshot must be silent: what the snapshot says of it, ns."""
        return self._vote.silence

    @property
    def claims(self) -> tuple[bytes, ...]:
        """Addresses claimed, owned or only asked for."""
        return tuple(self._claims)

    @property
    def needs_quorum_read(self) -> bool:
        """Whether the vote waits for a quorum read of the Segment (7): make one, and ``adopt`` it."""
        return not self._vote.read

    def votes(self, now: int) -> bool:
        """Rule 7: whether this node sends, grants and asks. Until then it listens."""
        return self._segment is not None and self._vote.may(self._segment, now)

    def connected(self, now: int) -> bool:
        """Rule 12: whether a quorum promises this node anything at all."""
        segment = self._segment
        return segment is not None and self._evidence.connected_until(segment, self._mine(segment, now)) > now

    def hears(self, now: int) -> tuple[str, ...]:
        """The peers whose promise is live, sorted."""
        return tuple(sorted(node for node, peer in self._peers.live.items() if peer.live(now)))

    def returning(self, node: str) -> bool:
        """Whether a peer said last that it starts anew and means to be back."""
        peer = self._peers.get(node)
        return peer is not None and peer.returning

    def vacant(self, now: int) -> int:
        """For how long (ns) nobody has claimed an address that this node may announce: of all these, the longest.

        Less a hold for each node ranked before it, so that of several that wait for this the first comes first.
        """
        return 0 if self._segment is None else self._asking.vacant(now, self._segment.hold)

    @property
    def seeks(self) -> bool:
        """Whether it matters just now whom this node sees on the LAN: ask the gateway and other neighbours (C9)."""
        return self._segment is not None and self._changing.minority.seeks

    def sees(self, now: int) -> bool:
        """Whether a neighbour who is no member has answered lately (C9): for this node's Lease."""
        return self._changing.minority.sees(now)

    def leaving_done(self, now: int) -> bool:
        """Whether the others need this node no more (C10)."""
        segment = self._segment
        return segment is None or self._changing.leaving_done(segment, self._peers.live, now)

    def silent_until(self) -> int:
        """When promises of a former life have ended for sure, ns (7); 0 where no Segment is known."""
        return 0 if self._segment is None else self._vote.silent_until(self._segment)

    def on_disk(self) -> bool:
        """Whether a later life would find the Segment, so that this one may promise (7)."""
        segment = self._segment
        return segment is None or self._vote.promises(segment, segment.hold)

    # --- One step -----------------------------------------------------------------------------------------------

    def _begin(self, now: int) -> None:
        self._start(now)
        self._lapse()

    def _start(self, now: int) -> None:
        self._now = max(self._now, now)
        self._tenures.changes = []

    def _lapse(self) -> None:
        """Rule 6: before anything is judged."""
        for peer in self._peers.lapse(self._now):
            self._grants.lapse(peer)
        if self._segment is not None:
            self._tenures.lapse(self._segment, self._mine(self._segment, self._now), self._now)

    def _end(self, ignored: tuple[str, ...] = ()) -> Output:
        segment, now = self._segment, self._now
        if segment is None:
            return Output(ignored=ignored)
        if not self._vote.given and self._vote.may(segment, now):
            self._vote.given = self._tenures.evidence_came = True
            self._post.beat_at = now
        mine = self._mine(segment, now)
        self._tenures.lapse(segment, mine, now)
        self._tenures.win(segment, mine, now)
        in_force = self._node in segment.in_force.members
        self._tenures.give_up(segment, now, draining=self._draining, in_force=in_force)
        self._revise()
        swap: ProposeSwap | None = None
        datagrams: tuple[tuple[str, Heartbeat], ...] = ()
        if self._vote.given:
            self._post.tell.update(self._grants.judge(self._peers.live))
            self._ask(segment, able=self._candidate and in_force)
            self._tenures.win(segment, mine, now)
            self._changing.settling.settle(segment, now, durable=self._vote.settles(segment))
            self._changing.watch(segment, mine, now)
            swap = self._change(segment)
        else:
            swap = self._changing.again(segment, now)
        if self._vote.given:  # still: who yields has none
            datagrams = self._post.due(segment, now, self._head(segment))
        return Output(tuple(self._tenures.changes), datagrams, swap, ignored)

    def _change(self, segment: Segment) -> ProposeSwap | None:
        """Rules 17 to 19, C9 and C10: how this node should change the Segment now."""
        able = self._candidate and not self._draining
        swap = self._changing.proposal(segment, self._peers.live, self._now, able=able)
        if self._changing.given is not None:
            # Nothing is owned, and nothing promised, before what came of the swap was read with quorum.
            for claim in tuple(self._claims.values()):
                self._tenures.drop(claim, LostReason.YIELDED)
            self._vote.restart(self._now, segment.hmax, above=segment.version)
            self._post.beat_at = FOREVER
        return swap

    def _contest(self, address: bytes) -> None:
        segment = self._segment
        if segment is not None and segment.in_force.last_resort and self._guards.r19_contested:
            self._tenures.contested(address, self._now, segment.period)

    def _revise(self) -> None:
        """Which addresses are free, after all that this step has changed."""
        touched, self._tenures.touched = self._tenures.touched | self._peers.take_touched(), {}
        for address, freed in touched.items():
            self._asking.revise(address, self._peers, self._now, freed, mine=address in self._claims)

    def _ask(self, segment: Segment, *, able: bool) -> None:
        """Rule 13."""
        self._asking.next_at = FOREVER
        able = able and not self._draining and self._asking.pending()
        if not able or not (self.connected(self._now) or not self._guards.r13_connected):
            self._able_since = None
            return
        if self._able_since is None:
            self._able_since = self._now
        if self._peers.all_known():
            for ask in self._asking.due(self._peers, segment, self._now, self._able_since):
                if self._grants.free_for(self._node, ask.address, self._peers.live):
                    self._tenures.ask(ask, self._now)
            self._revise()

    # --- Hearing ------------------------------------------------------------------------------------------------

    def _hear(self, beat: Heartbeat) -> str:
        """Rule 5; why the datagram was ignored, empty if it counts."""
        if self._segment is None:
            return "NoSegment"
        ignored = self._foreign(beat) or self._peers.why_ignored(beat)
        if ignored:
            return ignored
        peer, new_life = self._peers.admit(beat)
        if new_life:
            self._grants.forget(peer.node)
            self._evidence.forget(peer.node)
            self._post.forget(peer.node)
        segment = self._adopt_from(peer, beat, self._segment)
        if not self._vote.promises(segment, beat.hold):
            return "NotDurable"
        self._vote.promised(beat.hold)
        before = peer.kv if peer.node in self._peers.live else None
        touched = self._peers.hear(peer, beat, self._now, segment.hold)
        self._grants.revise(peer, touched)
        if peer.node not in segment.everyone:
            for address in [one for one, claim in peer.known.items() if claim.owned]:
                self._contest(address)
        if peer.kv != before or (beat.urgent and beat.sent == peer.sent):
            # It waits for my echo: of its new claims, or of anything at all.
            self._post.tell.add(peer.node)
        echo = beat.echo if beat.sent == peer.sent else None
        mine = echo is not None and (echo.incarnation == self._incarnation or not self._guards.r5_echoed_incarnation)
        if echo is not None and mine and (echo.sent <= self._post.sent or not self._guards.r5_sent):
            self._evidence.store(
                peer.node, echo, beat.version, own_version=segment.version, own_hold=segment.hold
            )  # fmt: skip
            self._tenures.evidence_came = True
            self._claims.prune(min(map(self._evidence.acknowledged, self._peers.live)))
        return ""

    def _foreign(self, beat: Heartbeat) -> str:
        if beat.cluster != self._cluster:
            return "OtherCluster"
        if beat.to != self._me:
            return "NotForUs"
        if beat.segment != self._scope:
            if beat.node != self._node:
                self._vote.elsewhere(beat.hold, self._now)
            return "OtherSegment"
        return "OwnDatagram" if beat.node == self._node else ""

    def _adopt_from(self, peer: Peer, beat: Heartbeat, segment: Segment) -> Segment:
        """A newer version counts wherever it comes from (15)."""
        if beat.lists is None or beat.version <= segment.version:
            return segment
        members = peer.lists.add(beat.version, beat.lists.part, beat.lists.parts, beat.lists.members)
        if members is None:
            return segment
        lists = joined_lists(beat.lists.lists, members)
        if not all(one.members for one in lists):
            return segment
        newer = Segment(segment.uid, segment.name, beat.version, lists)
        self._enter(newer)
        return newer

    # --- Segments -----------------------------------------------------------------------------------------------

    def _enter(self, segment: Segment) -> None:
        if self._segment is not None:
            lower = segment.version < self._segment.version and self._guards.r15_never_lower
            if lower or segment.version == self._segment.version:
                return
        self._changing.entered(self._segment, segment, self._peers.live, self._now)
        self._segment, self._scope = segment, scope(segment.uid)
        self._vote.promised(segment.hmax)
        self._evidence.epoch += 1
        self._tenures.evidence_came = self._tenures.review = True

    def _leave(self, segment: Segment) -> None:
        """C1: the Segment was made anew. Silent until every promise that was given in the old one has ended."""
        for claim in tuple(self._claims.values()):
            self._tenures.drop(claim, LostReason.SEGMENT_REPLACED)
        promised = max((peer.until for peer in self._peers.live.values()), default=self._now)
        self._vote.restart(self._now, max(segment.hmax, promised - self._now))
        self._post.beat_at = FOREVER
        for node in self._peers.clear():
            self._grants.forget(node)
            self._post.forget(node)
        self._evidence.clear()
        self._changing = Changing(self._node, self._now, self._evidence, self._guards)
        self._segment = None

    def _mine(self, segment: Segment, now: int) -> int:
        """Rule 9: until when my own vote counts for me. The only member needs to tell nobody (C5)."""
        if not self.votes(now):
            return NEVER
        sent = now if segment.alone(self._node) else self._post.sent
        return sent + self._evidence.shortened(segment.hold)

    def _head(self, segment: Segment) -> Heartbeat:
        return Heartbeat(
            cluster=self._cluster, segment=self._scope, node=self._node, incarnation=self._incarnation,
            sent=self._now, number=0, hold=segment.hold, version=segment.version,
            settled=self._changing.settling.settled, ver=self._claims.ver,
            candidate=self._candidate and not self._draining, returning=self._returning,
        )  # fmt: skip

    def _deadline(self, claim: Claim, now: int) -> int:
        if self._segment is None:
            return NEVER
        self._evidence.refresh(self._segment, self._mine(self._segment, now), (claim,))
        return claim.until
