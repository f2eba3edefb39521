"""Member: one node's part in the election on one Segment. ELECTION.md; pure, every time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lbprovider.election.durable import Durable
from lbprovider.election.guards import ALL, Guards
from lbprovider.election.machine import Machine
from lbprovider.election.minority import Others
from lbprovider.election.outcome import Output, WonReason
from lbprovider.election.peers import FOREVER
from lbprovider.election.segment import Segment
from lbprovider.wire.heartbeat import Heartbeat


class Member(Machine):
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
        super().__init__(node, incarnation, start, cluster, guards)

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
        return self._segment is not None and self._connected(self._segment, now)

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

    @property
    def hands_over(self) -> bool:
        """Whether an address may be lost at any datagram, because its successor says that it owns it (14)."""
        return self._tenures.moving

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
