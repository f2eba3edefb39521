"""A simulated LAN of real Members: datagrams through the real codec, clocks that drift, a register for the Segment.

Deterministic for a seed. After every event the checker looks at one real instant whether two nodes may answer for one
address; crashed nodes count until their deadline, as a kernel that answers for them (BPF) would.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.member import Member
from lbprovider.election.minority import Others
from lbprovider.election.outcome import Output, ProposeSwap
from lbprovider.election.segment import MemberList, Segment, majority
from lbprovider.wire.heartbeat import Heartbeat, decode, encode
from tests.sim import coverage, judge
from tests.sim.disk import Disk
from tests.sim.judge import successor
from tests.sim.net import MS, SECOND, Message, Net, nothing
from tests.sim.node import Ghost, Node

CLUSTER = "kube-system"


__all__ = ["CLUSTER", "MS", "SECOND", "Message", "Net", "Violation", "World", "nothing", "successor"]

_LAN = Net()


class Violation(AssertionError):
    """Two nodes may answer for one address."""


class World:
    """Nodes, the LAN between them, and the API server's Segment."""

    def __init__(
        self,
        nodes: Iterable[str],
        *,
        seed: int = 0,
        guards: Guards = ALL,
        net: Net = _LAN,
        members: Iterable[str] | None = None,
        drift: int = 0,
        period: int = 50 * MS,
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311  (a simulation)
        self.seed = seed
        self.guards = guards
        self.net = net
        self.now = 0
        self.events = 0
        self.counts: Counter[str] = Counter()
        self.nodes = {
            name: Node(
                name, 1_000_000 + (self.random.randint(-drift, drift) if drift else 0), -self.random.randrange(SECOND)
            )
            for name in nodes
        }
        first = tuple(sorted(members if members is not None else self.nodes))
        self.segment = Segment("uid", "lan", 1, (MemberList(first, majority(len(first)), period),))
        self.history = [self.segment]
        self.wishes: dict[bytes, tuple[str, ...]] = {}
        self.cuts: set[tuple[str, str]] = set()
        self.no_api: set[str] = set()
        self.drop: Callable[[Message], bool] = nothing
        self.ghosts: list[Ghost] = []
        self.outside: int | None = None
        """The first version that rule 19 wrote: between those before and those after it two owners are allowed."""
        self._trace: deque[tuple[int, str, str, object]] = deque(maxlen=300)
        self._recent: deque[tuple[int, str, str, object]] = deque(maxlen=40)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    # --- Scripts ---

    def wish(self, address: bytes, *ranking: str, only: Iterable[str] | None = None) -> None:
        """Makes the ranking known, to all nodes or ``only`` to some."""
        self.wishes[address] = ranking
        for name in self.nodes if only is None else only:
            self.inform(name)

    def inform(self, name: str) -> None:
        """Tells a node all wishes."""
        self._step(name, "wish", "", lambda m, now: m.wish(dict(self.wishes), now))

    def start(
        self,
        *names: str,
        reboot: bool = False,
        read: Segment | None = None,
        quorum: bool = True,
        snapshot: bool = False,
    ) -> None:
        """Starts processes; they read the Segment at once (``read``: an older one, from a cache), or from disk."""
        for name in names or tuple(self.nodes):
            node = self.nodes[name]
            if reboot:
                node.boot = self.now
            node.incarnation += 1
            node.life += 1
            node.paused = False
            node.inbox.clear()
            node.reborn()
            node.member = self._life(node)
            node.disk.found()
            self._tell_durable(node)
            stored = node.disk.file
            if not snapshot:
                self.adopt(name, read or self.segment, quorum=quorum)
            elif stored is not None:
                self.counts["vote/restored"] += 1
                self._step(name, "restore", stored, lambda m, now: m.restore(stored.segment, stored.silence, now))  # noqa: B023  (called at once)
            self.inform(name)
            self._step(name, "candidate", "", lambda m, now: m.candidate(usable=True, now=now))

    def crash(self, name: str) -> None:
        """The process is gone, its memory too; the kernel goes on with the deadlines that it has."""
        node = self.nodes[name]
        member = self.member(name)
        self._note("crash", name, "")
        for address in member.claims:
            if member.may_answer(address, node.local(self.now)):
                until = node.real(member.deadline(address))
                self.ghosts.append(Ghost(name, address, until, successor(member, address), judge.version(member)))
        node.member = None
        node.paused = False
        if node.disk.writing is not None and self.random.random() < self.net.torn:
            node.disk.file = node.disk.writing

    def lose_disk(self, name: str, span: int) -> None:
        """For a while nothing can be written, and the file is removed so that nobody trusts it."""
        self._note("no disk", name, "")
        node = self.nodes[name]
        node.disk = Disk(broken=True)
        self._tell_durable(node)

        def mended() -> None:
            node.disk.broken = False

        self.at(self.now + span, mended)

    def pause(self, name: str) -> None:
        self._note("pause", name, "")
        self.nodes[name].paused = True

    def resume(self, name: str) -> None:
        self._note("resume", name, "")
        node = self.nodes[name]
        node.paused = False
        inbox, node.inbox = tuple(node.inbox), deque(maxlen=200)
        if inbox:  # all that lies in its socket is one step
            beats = [decode(payload) for payload in inbox]
            node.newest = beats[-1]
            self._step(name, "heard", beats, lambda m, now: m.heard(beats, now))
        self._step(name, "tick", "", lambda m, now: m.tick(now))
        self._tell_durable(node)
        self.inform(name)

    def cut(self, *pairs: tuple[str, str]) -> None:
        """One-way cuts: (from, to)."""
        self._note("cut", "", pairs)
        self.cuts.update(pairs)

    def isolate(self, *names: str) -> None:
        """Cuts these from all others, both ways; among themselves they hear each other."""
        for name in names:
            for other in self.nodes:
                if other not in names:
                    self.cuts.update({(name, other), (other, name)})
        self._note("isolate", "", names)

    def heal(self, *pairs: tuple[str, str]) -> None:
        self._note("heal", "", pairs)
        if pairs:
            self.cuts.difference_update(pairs)
        else:
            self.cuts.clear()

    def drain(self, name: str) -> None:
        self._step(name, "drain", "", lambda m, now: m.drain(now))

    def undrain(self, name: str) -> None:
        self._step(name, "undrain", "", lambda m, now: m.undrain(now))

    def leave(self, name: str) -> None:
        self._step(name, "leave", "", lambda m, now: m.leave(now))

    def hand(self, name: str, moves: dict[bytes, str]) -> None:
        """Asks a node to hand addresses on."""
        self._step(name, "hand", moves, lambda m, now: m.hand(moves, now))

    def candidate(self, name: str, *, usable: bool) -> None:
        self._step(name, "candidate", usable, lambda m, now: m.candidate(usable, now))

    def neighbour(self, *names: str) -> None:
        """Somebody who is no member answers these nodes."""
        for name in names:
            self._step(name, "neighbour", "", lambda m, now: m.neighbour(now, now))

    def leases(self, *names: str, sighted: Iterable[str] = (), unchanged: Iterable[str] | None = None) -> None:
        """What these nodes read of the others' Leases."""
        what = Others(frozenset(sighted), None if unchanged is None else frozenset(unchanged))
        for name in names:
            self._step(name, "leases", what, lambda m, now: m.others(what, now))

    def newest(self, name: str) -> Heartbeat | None:
        """The last datagram that reached the node."""
        return self.nodes[name].newest

    def adopt(self, name: str, segment: Segment, *, quorum: bool = False) -> None:
        """A watch event, or a read."""
        node = self.nodes[name]
        if node.member is not None and node.member.segment is not None:
            before = node.member.segment
            self.counts["version/lower"] += (before.uid, before.version) > (segment.uid, segment.version)
        self._step(name, "adopt", segment.version, lambda m, now: m.adopt(segment, now, quorum_read=quorum))

    def replay(self, name: str, beat: Heartbeat) -> None:
        """Delivers a datagram now, whatever its age."""
        self._deliver(name, encode(beat), self.nodes[name].life)

    def write(self, segment: Segment) -> bool:
        """Compare-and-swap on the version; watches tell the nodes later."""
        if segment.version != self.segment.version + 1:
            return False
        self.renew(segment)
        return True

    def renew(self, segment: Segment) -> None:
        """Whatever there was: the Segment is this one, and watches tell the nodes later."""
        self._note("write", "", segment)
        if segment.in_force.last_resort and self.outside is None:
            self.outside = segment.version
        self.segment = segment
        self.history.append(segment)
        for name in self.nodes:
            self.at(self.now + self.random.randint(*self.net.watch), partial(self._watch, name, segment))

    def run(self, span: int, until: Callable[[], bool] | None = None) -> bool:
        """Lets time pass; stops early, and says so, when ``until`` holds."""
        end = self.now + span
        while self._queue and self._queue[0][0] <= end:
            at, _, action = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            action()
            if until is not None and until():
                return True
        self.now = end
        self.check()
        return until is not None and until()

    def at(self, when: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, action))

    # --- What is true now ---

    def owners(self, address: bytes) -> set[str]:
        """Who may answer at this instant."""
        alive = {
            name
            for name, node in self.nodes.items()
            if node.member is not None and node.member.may_answer(address, node.local(self.now))
        }
        return alive | {ghost.node for ghost in self.ghosts if ghost.address == address and self.now < ghost.until}

    def member(self, name: str) -> Member:
        """The process on a node, which is running."""
        member = self.nodes[name].member
        assert member is not None, f"{name} is down"
        return member

    def hears(self, name: str) -> tuple[str, ...]:
        """Whom it hears."""
        return self.member(name).hears(self.nodes[name].local(self.now))

    def record(self, sender: str, receiver: str, span: int) -> list[Heartbeat]:
        """What one sends to another within a span; it arrives as well."""
        beats: list[Heartbeat] = []

        def keep(message: Message) -> bool:
            if (message.sender, message.receiver) == (sender, receiver):
                beats.append(message.beat)
            return False

        before, self.drop = self.drop, keep
        self.run(span)
        self.drop = before
        return beats

    def echoed(self, name: str) -> bool:
        """Whether every peer of the node has echoed the newest datagram that it sent."""
        member = self.member(name)
        return all(one.sent == member._post.sent for one in member._evidence._echoed.values())

    def check(self) -> None:
        """The invariant: one owner, or two of which one has named the other.

        Raises:
            Violation: with seed and trace.
        """
        now = self.now
        for address in self.wishes:
            count = len(self.ghosts)
            for node in self.nodes.values():
                member = node.member
                if member is not None and address in member._claims and member.may_answer(address, node.local(now)):
                    count += 1
            if count > 1:
                self._judge(address)

    def _judge(self, address: bytes) -> None:
        owners = self.owners(address)
        if len(owners) < 2:
            return
        excuse = judge.excuse(address, owners, nodes=self.nodes, ghosts=self.ghosts, now=self.now, outside=self.outside)
        if not excuse:
            when = f"seed {self.seed}, {self.now / MS:.3f} ms"
            raise Violation(f"{when}: {sorted(owners)} answer for {address!r}\n{self.trace()}")
        self.counts[f"pair/{excuse}"] += 1

    def trace(self) -> str:
        """What happened, one a line, and the last events with what is said and heard all the time."""
        return "\n".join([*map(judge.told, self._trace), "the last of all:", *map(judge.told, self._recent)])

    # --- The machinery ---

    def _life(self, node: Node) -> Member:
        """A process starts."""
        return Member(node.name, node.incarnation, node.local(self.now), CLUSTER, self.guards)

    def _note(self, what: str, where: str, detail: object) -> None:
        if what not in judge.CHATTER:
            self._trace.append((self.now, what, where, detail))
        self._recent.append((self.now, what, where, detail))

    def _step(self, name: str, what: str, detail: object, action: Callable[[Member, int], Output]) -> None:
        node = self.nodes[name]
        if node.member is None or node.paused:
            return
        self.events += 1
        output = action(node.member, node.local(self.now))
        self._note(what, name, detail)
        for change in output.changes:
            self._note(type(change).__name__.lower(), name, change)
        coverage.count(self.counts, node, node.member, what, output)
        for receiver, beat in output.datagrams:
            self._send(name, receiver, beat)
        if output.swap is not None and name not in self.no_api:
            self._propose(output.swap)
        self._plan_wake(node)
        if self.net.fsync is not None:
            self._keep(node, self.net.fsync)
        if self.ghosts:
            self.ghosts = [ghost for ghost in self.ghosts if self.now < ghost.until]
        self.check()

    def _plan_wake(self, node: Node) -> None:
        assert node.member is not None
        next_wake = node.member.next_wake()
        assert next_wake > node.local(self.now), f"seed {self.seed}: {node.name} would wake for ever\n{self.trace()}"
        wake = node.real(next_wake)
        if self.net.timers:
            wake += self.random.randrange(self.net.timers)
        node.wake_at = max(wake, self.now)
        if wake < self.now + 10 * SECOND:
            self.at(node.wake_at, partial(self._wake, node, node.life, node.wake_at))

    def _wake(self, node: Node, life: int, at: int) -> None:
        if node.life == life and node.wake_at == at:
            self._step(node.name, "tick", "", lambda m, now: m.tick(now))

    def _keep(self, node: Node, fsync: tuple[int, int]) -> None:
        """Writes what a later life needs, as soon as it is something else than what is on disk."""
        assert node.member is not None
        if node.disk.begin(node.member, node.local(self.now)):
            self._tell_durable(node)
            self.at(self.now + self.random.randint(*fsync), partial(self._written, node, node.disk))

    def _written(self, node: Node, disk: Disk) -> None:
        if node.disk is disk and disk.writing is not None and node.member is not None and not disk.stuck:
            disk.end()
            self._tell_durable(node)

    def _tell_durable(self, node: Node) -> None:
        """Paused, it is told when it goes on: until then it does nothing."""
        self._step(node.name, "durable", node.disk.floor, lambda m, now: m.durable(node.disk.floor, now))

    def _send(self, sender: str, receiver: str, beat: Heartbeat) -> None:
        if receiver not in self.nodes or (sender, receiver) in self.cuts or self.drop(Message(sender, receiver, beat)):
            return
        payload = encode(beat)
        net = self.net
        for _ in range(2 if net.duplicates and self.random.random() < net.duplicates else 1):
            if net.loss and self.random.random() < net.loss:
                self.counts["lost"] += 1
                continue
            delay = self.random.randint(*net.latency)
            if net.late and self.random.random() < net.late:
                delay += self.random.randrange(net.lateness)
            self.at(self.now + delay, partial(self._deliver, receiver, payload, self.nodes[receiver].life))

    def _deliver(self, receiver: str, payload: bytes, life: int) -> None:
        node = self.nodes[receiver]
        if node.paused:
            if node.life == life:
                node.inbox.append(payload)
            return
        beat = node.newest = decode(payload)
        self._step(receiver, "heard", beat, lambda m, now: m.heard((beat,), now))

    def _watch(self, name: str, segment: Segment) -> None:
        node = self.nodes[name]
        if name in self.no_api or node.paused:
            self.at(self.now + 100 * MS, lambda: self._watch(name, segment))
        elif node.member is not None:
            self.adopt(name, segment)

    def _propose(self, swap: ProposeSwap) -> None:
        self.at(self.now + self.random.randint(*self.net.write), lambda: self._swap(swap))

    def _swap(self, swap: ProposeSwap) -> None:
        stands = (self.segment.uid, self.segment.version) == (swap.new.uid, swap.expected)
        self.counts["swap/won" if stands else "swap/lost"] += 1
        if stands:
            self.write(swap.new)
