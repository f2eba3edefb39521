"""Machine: what a node knows of the election on one Segment, and what a step makes of it. ELECTION.md; pure."""

from __future__ import annotations

from lbprovider.election.asking import Asking
from lbprovider.election.changing import Changing
from lbprovider.election.claims import Claim, Claims
from lbprovider.election.evidence import NEVER, Evidence
from lbprovider.election.grants import Grants
from lbprovider.election.guards import Guards
from lbprovider.election.outcome import LostReason, Output, ProposeSwap
from lbprovider.election.parts import joined_lists
from lbprovider.election.peers import FOREVER, Peer, Peers
from lbprovider.election.post import Post
from lbprovider.election.segment import Segment
from lbprovider.election.tenures import Tenures
from lbprovider.election.vote import Vote
from lbprovider.wire.heartbeat import Heartbeat, addressee, scope


class Machine:
    """The rules at work behind ``Member``, which is the door: there each input is one step, from begin to end.

    Args:
        node: this node's name.
        incarnation: grows at each start of the process (C2).
        start: when the UDP port was bound exclusively, ns.
        cluster: uid of the namespace kube-system.
        guards: for tests only.
    """

    def __init__(self, node: str, incarnation: int, start: int, cluster: str, guards: Guards) -> None:
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

    def _begin(self, now: int) -> None:
        """A step begins; whoever hears begins with ``_start``, and comes to ``_lapse`` later."""
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
        """What the step comes to."""
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
        """Rule 19: somebody else answers for the address."""
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
        if not able or not (self._connected(segment, self._now) or not self._guards.r13_connected):
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
        """Rule 15: a higher version counts at once, a lower one never."""
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
        if not self._vote.may(segment, now):
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

    def _connected(self, segment: Segment, now: int) -> bool:
        """Rule 12."""
        return self._evidence.connected_until(segment, self._mine(segment, now)) > now

    def _deadline(self, claim: Claim, now: int) -> int:
        """Rule 9, of one claim."""
        if self._segment is None:
            return NEVER
        self._evidence.refresh(self._segment, self._mine(self._segment, now), (claim,))
        return claim.until
