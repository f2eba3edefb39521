"""A simulated LAN of real Members: datagrams through the real codec, clocks that drift, a register for the Segment.

Deterministic for a seed. After every event the checker looks at one real instant whether two nodes may answer for one
address; crashed nodes count until their deadline, as a kernel that answers for them (BPF) would.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.member import Member
from lbprovider.election.minority import Others
from lbprovider.election.outcome import Output, ProposeSwap
from lbprovider.election.segment import MemberList, Segment, majority
from lbprovider.wire.heartbeat import Heartbeat, decode, encode
from tests.sim.disk import Disk
from tests.sim.node import Ghost, Node

MS = 1_000_000
SECOND = 1000 * MS
CLUSTER = "kube-system"


class Violation(AssertionError):
    """Two nodes may answer for one address."""


@dataclass(frozen=True)
class Net:
    """What the LAN and the API server do to messages. Times in ns, chances per message."""

    latency: tuple[int, int] = (MS // 10, MS // 2)
    loss: float = 0.0
    duplicates: float = 0.0
    late: float = 0.0
    """Chance of a delay of up to 3·hold: reordering."""
    lateness: int = 750 * MS
    watch: tuple[int, int] = (5 * MS, 50 * MS)
    write: tuple[int, int] = (5 * MS, 20 * MS)
    timers: int = 0
    """Timers fire up to this much late."""
    fsync: tuple[int, int] | None = None
    """How long a snapshot takes to be written; None: none is kept."""
    torn: float = 0.0
    """Chance that a write which a crash interrupts is on disk all the same."""


@dataclass(frozen=True)
class Message:
    """A datagram on its way."""

    sender: str
    receiver: str
    beat: Heartbeat


def nothing(_: Message) -> bool:
    """What is lost on a good day."""
    return False


class World:
    """Nodes, the LAN between them, and the API server's Segment."""

    def __init__(
        self,
        nodes: Iterable[str],
        *,
        seed: int = 0,
        guards: Guards = ALL,
        net: Net = Net(),
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
        self._trace: deque[tuple[int, str, str, object]] = deque(maxlen=600)
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
            node.member = Member(name, node.incarnation, node.local(self.now), CLUSTER, self.guards)
            node.disk.found()
            self._tell_durable(node)
            stored = node.disk.file
            if not snapshot:
                self.adopt(name, read or self.segment, quorum=quorum)
            elif stored is not None:
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
                self.ghosts.append(Ghost(name, address, until, successor(member, address)))
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
        for payload in inbox:
            self._deliver(name, payload, node.life)
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

    def neighbour(self, *names: str) -> None:
        """Somebody who is no member answers these nodes."""
        for name in names:
            self._step(name, "neighbour", "", lambda m, now: m.neighbour(now))

    def leases(self, *names: str, sighted: Iterable[str] = (), unchanged: Iterable[str] | None = None) -> None:
        """What these nodes read of the others' Leases."""
        what = Others(frozenset(sighted), None if unchanged is None else frozenset(unchanged))
        for name in names:
            self._step(name, "leases", what, lambda m, now: m.others(what, now))

    def adopt(self, name: str, segment: Segment, *, quorum: bool = False) -> None:
        """A watch event, or a read."""
        self._step(name, "adopt", segment.version, lambda m, now: m.adopt(segment, now, quorum_read=quorum))

    def replay(self, name: str, beat: Heartbeat) -> None:
        """Delivers a datagram now, whatever its age."""
        self._deliver(name, encode(beat), self.nodes[name].life)

    def write(self, segment: Segment) -> bool:
        """Compare-and-swap on the version; watches tell the nodes later."""
        if segment.version != self.segment.version + 1:
            return False
        self._note("write", "", segment)
        self.segment = segment
        self.history.append(segment)
        for name in self.nodes:
            self.at(self.now + self.random.randint(*self.net.watch), partial(self._watch, name, segment))
        return True

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
        for address in self.wishes:
            owners = self.owners(address)
            if len(owners) < 2:
                continue
            handed = {self._handover(name, address) for name in owners}
            handed |= {(ghost.node, ghost.successor) for ghost in self.ghosts if ghost.address == address}
            if len(owners) > 2 or not any((one, other) in handed for one in owners for other in owners if one != other):
                when = f"seed {self.seed}, {self.now / MS:.3f} ms"
                raise Violation(f"{when}: {sorted(owners)} answer for {address!r}\n{self.trace()}")

    def _handover(self, name: str, address: bytes) -> tuple[str, str]:
        """(owner, whom it has named), for as long as a planned move may last: 2·hold (V6)."""
        node = self.nodes[name]
        claim = None if node.member is None else node.member._claims.get(address)
        if node.member is None or claim is None or node.member.segment is None:
            return name, ""
        over = node.local(self.now) >= claim.named_at + 2 * node.member.segment.hold
        return name, "" if over else claim.successor

    def trace(self) -> str:
        """The last events, one a line."""
        return "\n".join(f"{at / MS:12.3f} {what:9} {where:5} {detail}" for at, what, where, detail in self._trace)

    # --- The machinery ---

    def _note(self, what: str, where: str, detail: object) -> None:
        self._trace.append((self.now, what, where, detail))

    def _step(self, name: str, what: str, detail: object, action: Callable[[Member, int], Output]) -> None:
        node = self.nodes[name]
        if node.member is None or node.paused:
            return
        self.events += 1
        output = action(node.member, node.local(self.now))
        self._note(what, name, detail)
        for change in output.changes:
            self._note(type(change).__name__.lower(), name, change)
            self.counts[f"{type(change).__name__}/{change.reason}"] += 1
        for receiver, beat in output.datagrams:
            self._send(name, receiver, beat)
        if output.swap is not None and name not in self.no_api:
            self._propose(output.swap)
        if output.ignored:
            self.counts[f"ignored/{output.ignored}"] += 1
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
        beat = decode(payload)
        self._step(receiver, "heard", beat, lambda m, now: m.heard(beat, now))

    def _watch(self, name: str, segment: Segment) -> None:
        node = self.nodes[name]
        if name in self.no_api or node.paused:
            self.at(self.now + 100 * MS, lambda: self._watch(name, segment))
        elif node.member is not None:
            self.adopt(name, segment)

    def _propose(self, swap: ProposeSwap) -> None:
        self.counts["proposed"] += 1
        self.at(self.now + self.random.randint(*self.net.write), lambda: self._swap(swap))

    def _swap(self, swap: ProposeSwap) -> None:
        if self.segment.version == swap.expected:
            self.counts["swapped"] += 1
            self.write(swap.new)


def successor(member: Member | None, address: bytes) -> str:
    """Whom the member has named for the address."""
    claim = None if member is None else member._claims.get(address)
    return "" if claim is None else claim.successor
