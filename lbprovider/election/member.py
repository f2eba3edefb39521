"""Member: one node's part in the election on one Segment. ELECTION.md; pure, every time is an argument."""

from __future__ import annotations

from collections.abc import Mapping

from lbprovider.election.asking import Asking
from lbprovider.election.claims import Claim, Claims
from lbprovider.election.evidence import NEVER, Evidence
from lbprovider.election.grants import Grants
from lbprovider.election.guards import ALL, Guards
from lbprovider.election.outcome import Lost, LostReason, Output, ProposeSwap, Won, WonReason
from lbprovider.election.parts import joined_lists
from lbprovider.election.peers import FOREVER, Peer, Peers
from lbprovider.election.post import Post
from lbprovider.election.segment import NS_PER_MS, Segment
from lbprovider.election.settling import Settling
from lbprovider.wire.heartbeat import Heartbeat, scope


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
        self._silent_since = start
        self._least_silence = 0
        self._read = False
        self._voted = False
        self._candidate = False
        self._draining = False
        self._claims = Claims()
        self._peers = Peers(guards)
        self._grants = Grants(self._claims, guards)
        self._evidence = Evidence(node, self._claims, guards)
        self._asking = Asking(node)
        self._settling = Settling(node, guards)
        self._post = Post(node, self._claims, self._peers, self._grants, self._evidence)
        # Between steps
        self._now = start
        self._asked: dict[bytes, Claim] = {}
        self._moving: dict[bytes, Claim] = {}
        self._lapse_at = FOREVER
        self._judged_epoch = 0
        self._able_since: int | None = None
        # Of the step under way
        self._changes: list[Won | Lost] = []
        self._touched: dict[bytes, tuple[WonReason, str]] = {}
        self._evidence_came = False
        self._review = False

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
        self._read |= quorum_read
        return self._end()

    def heard(self, beat: Heartbeat, now: int) -> Output:
        """A datagram whose seal was good. "Heard" is the moment of this call, not of its arrival in the kernel (C5)."""
        self._begin(now)
        ignored = self._hear(beat)
        return self._end(ignored)

    def wish(self, wishes: Mapping[bytes, tuple[str, ...]], now: int) -> Output:
        """All addresses (packed) of this Segment, each with the nodes that may announce it, best first.

        What is missing in ``wishes`` is given up, and what this node is not listed for is handed on (11e, 14).
        """
        self._begin(now)
        for address in self._asking.wish(wishes):
            self._touched.setdefault(address, (WonReason.UNCLAIMED, ""))
        self._review = True
        return self._end()

    def candidate(self, usable: bool, now: int) -> Output:  # noqa: FBT001  (the input itself)
        """Whether this node may take new addresses: an interface is up, the loop's lag in bounds (C6)."""
        self._begin(now)
        self._candidate = usable
        return self._end()

    def drain(self, now: int) -> Output:
        """Hands every address on and takes none, for the rest of this life. Done when ``claims`` is empty."""
        self._begin(now)
        self._draining = self._review = True
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
        times = [self._post.beat_at, self._peers.next_lapse, self._lapse_at]
        if self._voted:
            times.append(self._asking.next_at)
        elif self._read:
            times.append(self._silent_until(self._segment))
        if self._asked:
            times.append(next(iter(self._asked.values())).asked_at + self._segment.hold)
        if self._moving:
            times.append(min(claim.named_at for claim in self._moving.values()) + 2 * self._segment.hold)
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

    @property
    def segment(self) -> Segment | None:
        """The Segment that this node is in."""
        return self._segment

    @property
    def claims(self) -> tuple[bytes, ...]:
        """Addresses claimed, owned or only asked for."""
        return tuple(self._claims)

    @property
    def needs_quorum_read(self) -> bool:
        """Whether the vote waits for a quorum read of the Segment (7): make one, and ``adopt`` it."""
        return not self._read

    def votes(self, now: int) -> bool:
        """Rule 7: whether this node sends, grants and asks. Until then it listens."""
        if self._segment is None or (not self._read and self._guards.r7_quorum_read):
            return False
        return now >= self._silent_until(self._segment) or not self._guards.r7_silence

    def connected(self, now: int) -> bool:
        """Rule 12: whether a quorum promises this node anything at all."""
        segment = self._segment
        return segment is not None and self._evidence.connected_until(segment, self._mine(segment, now)) > now

    def hears(self, now: int) -> tuple[str, ...]:
        """The peers whose promise is live, sorted."""
        return tuple(sorted(node for node, peer in self._peers.live.items() if peer.live(now)))

    def why_not_ready(self, now: int) -> str:
        """Why this node should not count as ready, one sentence; empty when it votes and is connected."""
        if self._segment is None:
            return "no Segment is known yet for this LAN"
        name = self._segment.name
        if not self._read:
            return f"Segment {name} was not yet read from the API server"
        if not self.votes(now):
            left = (self._silent_until(self._segment) - now) // NS_PER_MS
            return f"silent on Segment {name} for another {left} ms, until promises of a former start have ended"
        if not self.connected(now):
            heard = ", ".join(self.hears(now)) or "nobody"
            return f"no quorum of Segment {name} answers; heard: {heard}"
        return ""

    # --- One step -----------------------------------------------------------------------------------------------

    def _begin(self, now: int) -> None:
        """Rule 6, first in every step."""
        self._now = max(self._now, now)
        self._changes = []
        for peer in self._peers.lapse(self._now):
            self._grants.lapse(peer)
        if self._segment is not None and (self._now >= self._lapse_at or self._judged_epoch != self._evidence.epoch):
            self._drop_lapsed(self._segment)
        self._claims.close()

    def _drop_lapsed(self, segment: Segment) -> None:
        """11a, and the bound of 9 on who named a successor."""
        owned = [claim for claim in self._claims.values() if claim.owned]
        self._evidence.refresh(segment, self._mine(segment, self._now), owned)
        self._judged_epoch, self._lapse_at = self._evidence.epoch, FOREVER
        for claim in owned:
            if claim.until > self._now:
                self._lapse_at = min(self._lapse_at, claim.until)
            elif claim.successor and self._now >= claim.named_at + self._evidence.shortened(2 * segment.hold):
                self._drop(claim, LostReason.SUCCESSOR_UNHEARD)
            else:
                self._drop(claim, LostReason.DEADLINE_PASSED)

    def _end(self, ignored: str = "") -> Output:
        segment = self._segment
        if segment is None:
            return Output(ignored=ignored)
        voting = self.votes(self._now)
        if voting != self._voted:
            self._voted = self._evidence_came = voting
            self._post.beat_at = self._now if voting else FOREVER
        if self._judged_epoch != self._evidence.epoch:
            self._drop_lapsed(segment)
        self._win(segment)
        self._move_and_give_up(segment)
        self._revise()
        swap: ProposeSwap | None = None
        datagrams: tuple[tuple[str, Heartbeat], ...] = ()
        if voting:
            self._post.tell.update(self._grants.judge(self._peers.live))
            if self._ask(segment):
                self._revise()
                self._win(segment)
            self._settling.settle(segment, self._now)
            settled = {node: peer.settled for node, peer in self._peers.live.items()}
            swap = self._settling.proposal(segment, settled, self._now)
            datagrams = self._post.due(segment, self._now, self._head(segment))
        return Output(tuple(self._changes), datagrams, swap, ignored)

    def _win(self, segment: Segment) -> None:
        """Rule 10."""
        if not self._evidence_came:
            return
        self._evidence_came = False
        self._evidence.refresh(segment, self._mine(segment, self._now), self._asked.values())
        for claim in [claim for claim in self._asked.values() if claim.until > self._now]:
            del self._asked[claim.address]
            self._claims.own(claim)
            self._asking.won(claim.address)
            self._lapse_at = min(self._lapse_at, claim.until)
            self._changes.append(Won(claim.address, claim.reason, claim.predecessor))

    def _move_and_give_up(self, segment: Segment) -> None:
        """Rules 11b–e and 14."""
        for claim in tuple(self._moving.values()):
            successor = self._peers.live.get(claim.successor)
            taken = None if successor is None else successor.known.get(claim.address)
            if taken is not None and taken.owned:
                self._drop(claim, LostReason.TAKEN_OVER)
            elif self._now >= claim.named_at + 2 * segment.hold and self._guards.r9_named:
                self._drop(claim, LostReason.SUCCESSOR_UNHEARD)
        for claim in tuple(self._asked.values()):
            if self._now < claim.asked_at + segment.hold:
                break
            self._asking.failed(claim.address, self._now, segment.period)
            self._drop(claim, LostReason.DEADLINE_PASSED)
        if self._review:
            self._review = False
            for claim in tuple(self._claims.values()):
                self._review_claim(claim, segment)

    def _review_claim(self, claim: Claim, segment: Segment) -> None:
        """11e: whether I may go on with a claim, and if not, who is to have it (14)."""
        if not self._draining and self._node in segment.in_force.members and self._asking.eligible(claim.address):
            return
        if claim.successor and self._guards.r14_once:
            return
        successor = self._successor(claim, segment) if claim.owned else ""
        if successor:
            self._claims.name(claim, successor, self._now)
            self._moving[claim.address] = claim
            self._lapse_at = min(self._lapse_at, self._now + self._evidence.shortened(2 * segment.hold))
        else:
            self._drop(claim, LostReason.NO_SUCCESSOR)

    def _successor(self, claim: Claim, segment: Segment) -> str:
        """Rule 14: the first of the ranking that is live, a candidate and in force; empty if there is none."""
        if self._peers.claimants(claim.address) and self._guards.r14_no_third:
            return ""
        for node in self._asking.wishes.get(claim.address, ()):
            peer = self._peers.live.get(node)
            if peer is not None and peer.candidate and node in segment.in_force.members:
                return node
        return ""

    def _drop(self, claim: Claim, reason: LostReason) -> None:
        """Rule 11: from this moment ``may_answer`` is False; peers hear it at the end of the step."""
        self._asked.pop(claim.address, None)
        self._moving.pop(claim.address, None)
        self._claims.drop(claim)
        self._touched[claim.address] = WonReason.RELEASED, self._node
        if claim.owned:
            self._changes.append(Lost(claim.address, reason, claim.successor))

    def _revise(self) -> None:
        """Which addresses are free, after all that this step has changed."""
        self._touched.update(self._peers.take_touched())
        touched, self._touched = self._touched, {}
        for address, freed in touched.items():
            self._asking.revise(address, self._peers, self._now, freed, mine=address in self._claims)

    def _ask(self, segment: Segment) -> bool:
        """Rule 13; whether anything was asked for."""
        self._asking.next_at = FOREVER
        may = self._candidate and not self._draining and self._node in segment.in_force.members
        if not (may and self._asking.pending() and self.connected(self._now)):
            self._able_since = None
            return False
        if self._able_since is None:
            self._able_since = self._now
        if not self._peers.all_known():
            return False
        for ask in self._asking.due(self._peers, self._now, segment.period, self._able_since):
            if self._grants.free_for(self._node, ask.address, self._peers.live):
                claim = self._claims.ask(ask.address, self._now, ask.reason, ask.predecessor)
                self._asked[ask.address] = claim
                self._touched[ask.address] = ask.reason, ask.predecessor
                self._evidence_came = True
        return self._evidence_came

    # --- Hearing ------------------------------------------------------------------------------------------------

    def _hear(self, beat: Heartbeat) -> str:
        """Rule 5; why the datagram was ignored, empty if it counts."""
        if self._segment is None:
            return "NoSegment"
        if beat.cluster != self._cluster:
            return "OtherCluster"
        if beat.segment != self._scope:
            return "OtherSegment"
        if beat.node == self._node:
            return "OwnDatagram"
        ignored = self._peers.why_ignored(beat)
        if ignored:
            return ignored
        peer, new_life = self._peers.admit(beat)
        if new_life:
            self._grants.forget(peer.node)
            self._evidence.forget(peer.node)
            self._post.forget(peer.node)
        segment = self._adopt_from(peer, beat, self._segment)
        before = peer.kv if peer.node in self._peers.live else None
        touched = self._peers.hear(peer, beat, self._now, segment.hold)
        self._grants.revise(peer, touched)
        if peer.kv != before:
            # It waits for my echo: of its new claims, or of anything at all.
            self._post.tell.add(peer.node)
        echo = beat.echo
        if echo is not None and (echo.incarnation == self._incarnation or not self._guards.r5_echoed_incarnation):
            self._evidence.store(peer.node, echo, beat.version, segment.hold)
            self._evidence_came = True
            self._claims.prune(min(map(self._evidence.acknowledged, self._peers.live)))
        return ""

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
        self._segment, self._scope = segment, scope(segment.uid)
        self._settling.adopted(self._now)
        self._evidence.epoch += 1
        self._evidence_came = self._review = True

    def _leave(self, segment: Segment) -> None:
        """C1: the Segment was made anew. Silent until every promise that was given in the old one has ended."""
        for claim in tuple(self._claims.values()):
            self._drop(claim, LostReason.SEGMENT_REPLACED)
        promised = max((peer.until for peer in self._peers.live.values()), default=self._now)
        self._least_silence = max(segment.hmax, promised - self._now)
        self._silent_since = self._now
        self._read = False
        for node in self._peers.clear():
            self._grants.forget(node)
            self._post.forget(node)
        self._evidence.clear()
        self._settling.restart(self._now)
        self._segment = None

    def _silent_until(self, segment: Segment) -> int:
        return self._silent_since + max(segment.hmax, self._least_silence)

    def _mine(self, segment: Segment, now: int) -> int:
        """Rule 9: until when my own vote counts for me. The only member needs to tell nobody (C5)."""
        if not self.votes(now):
            return NEVER
        sent = now if segment.alone(self._node) else self._post.sent
        return sent + self._evidence.shortened(segment.hold)

    def _head(self, segment: Segment) -> Heartbeat:
        return Heartbeat(
            cluster=self._cluster, segment=self._scope, node=self._node, incarnation=self._incarnation,
            sent=self._now, number=0, hold=segment.hold, version=segment.version, settled=self._settling.settled,
            ver=self._claims.ver, candidate=self._candidate and not self._draining,
        )  # fmt: skip

    def _deadline(self, claim: Claim, now: int) -> int:
        if self._segment is None:
            return NEVER
        self._evidence.refresh(self._segment, self._mine(self._segment, now), (claim,))
        return claim.until
