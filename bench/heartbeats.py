"""What a heartbeat costs: microseconds of the real codec, seal and election for each datagram, nothing of the kernel's.

``python -m bench.heartbeats``: members in one process, on a clock of their own, for some seconds of it; datagrams
arrive in the order in which they were sent. Hot: a speaker that sleeps between two of them takes longer for each.
"""

import argparse
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from lbprovider.api.heartbeat_key import HeartbeatKey
from lbprovider.election.member import Member
from lbprovider.election.outcome import Output
from lbprovider.election.segment import MemberList, Segment, majority
from lbprovider.speaker.peers import Peers

_MS: Final = 1_000_000
_SECOND: Final = 1000 * _MS
_LATENCY: Final = _MS // 5
_WARM: Final = 2 * _SECOND
"""Until all is owned, and known to be."""
_SIZES: Final = ((3, 1), (3, 100), (3, 1000), (5, 100), (10, 100), (26, 100))
"""Members and addresses."""


class _Lan:
    """Members that hear each other."""

    def __init__(self, members: int, addresses: int) -> None:
        self.now = _SECOND
        self.spent = 0
        self.heard = 0
        nodes = tuple(f"node{number}" for number in range(1, members + 1))
        keys = (HeartbeatKey(1, bytes(32)),)
        segment = Segment("uid", "lan", 1, (MemberList(nodes, majority(members)),))
        self._post: deque[tuple[int, str, str, bytes]] = deque()
        self._members = {node: Member(node, 1, self.now, "cluster") for node in nodes}
        self._peers = {node: Peers(lambda: keys, self._sender(node)) for node in nodes}
        for node, peers in self._peers.items():
            for other in nodes:
                if other != node:
                    peers.registered(other, other)
        packed = [bytes((10, 0, number >> 8, number & 255)) for number in range(addresses)]
        turns = [number % members for number in range(addresses)]
        wishes = {each: nodes[turn:] + nodes[:turn] for each, turn in zip(packed, turns, strict=True)}
        for number, (node, member) in enumerate(self._members.items()):
            self.now += number * segment.period // members  # their periods don't begin together
            self._done(node, member.adopt(segment, self.now, quorum_read=True))
            self._done(node, member.wish(wishes, self.now))
            self._done(node, member.candidate(usable=True, now=self.now))

    @property
    def owned(self) -> int:
        """Addresses that have an owner."""
        return sum(member.may_answer(each, self.now) for member in self._members.values() for each in member.claims)

    def run(self, span: int) -> None:
        """Let so many nanoseconds pass, and count."""
        self.spent = self.heard = 0
        end = self.now + span
        while self.now < end:
            due = min(member.next_wake() for member in self._members.values())
            if self._post:
                due = min(due, self._post[0][0])
            self.now = max(self.now, due)
            began = time.process_time_ns()
            if self._post and self._post[0][0] <= self.now:
                self._deliver()
            else:
                for node, member in self._members.items():
                    if member.next_wake() <= self.now:
                        self._done(node, member.tick(self.now))
            self.spent += time.process_time_ns() - began

    def _deliver(self) -> None:
        _, sender, node, datagram = self._post.popleft()
        opened, beat = self._peers[node].read(datagram)
        output = self._members[node].heard((beat,), self.now)
        self._peers[node].heard(beat, sender, opened)
        self._done(node, output)
        self.heard += 1

    def _done(self, node: str, output: Output) -> None:
        live = self._members[node].hears(self.now)
        for to, beat in output.datagrams:
            self._peers[node].send(to, beat, live)

    def _sender(self, node: str) -> Callable[[bytes, str], None]:
        def send(datagram: bytes, to: str) -> None:
            self._post.append((self.now + _LATENCY, node, to, datagram))

        return send


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.heartbeats", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=2, help="of the members' clock")
    given = parser.parse_args()
    print("members  addresses  heard and sent, of each a second  µs for one heard and one sent  share of a core")
    for members, addresses in _SIZES:
        lan = _Lan(members, addresses)
        lan.run(_WARM)
        owned = lan.owned
        lan.run(given.seconds * _SECOND)
        rate = lan.heard / given.seconds / members
        each = lan.spent / 1000 / lan.heard
        short = "" if owned == addresses else f"  only {owned} of the addresses have an owner"
        print(f"{members:>7}{addresses:>11}{rate:>34.0f}{each:>31.0f}{rate * each / 1e4:>15.1f} %{short}", flush=True)


if __name__ == "__main__":
    main()
