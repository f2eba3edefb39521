"""Member: one node's part in the election on one Segment. ELECTION.md; pure, every time is an argument."""

from __future__ import annotations

from collections.abc import Mapping

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.outcome import Output
from lbprovider.election.segment import Segment
from lbprovider.wire.heartbeat import Heartbeat


class Member:
    """One node on one Segment, for one life of its process.

    Each input is one step: it takes the time (int ns of CLOCK_BOOTTIME, never going back; read it *after* waking, C5)
    and returns what to do now. Times that don't come from the clock are never passed in.

    Args:
        node: this node's name.
        incarnation: grows at each start of the process (C2).
        start: when the UDP port was bound exclusively. No vote before ``start + Hmax`` (rule 7).
        cluster: uid of the namespace kube-system.
        guards: for tests only.
    """

    def __init__(self, node: str, incarnation: int, start: int, cluster: str, guards: Guards = ALL) -> None:
        raise NotImplementedError

    def adopt(self, segment: Segment, now: int, *, quorum_read: bool) -> Output:
        """The Segment as the API server has it. A lower version than known is never adopted (15).

        Args:
            segment: what was read or watched.
            now: the time.
            quorum_read: whether it was read without a resourceVersion, after ``start`` (7). Watches and lists with a
                resourceVersion may come from a cache: False.
        """
        raise NotImplementedError

    def heard(self, beat: Heartbeat, now: int) -> Output:
        """A datagram whose seal was good. "Heard" is the moment of this call, not of its arrival in the kernel (C5)."""
        raise NotImplementedError

    def wish(self, wishes: Mapping[bytes, tuple[str, ...]], now: int) -> Output:
        """All addresses of this Segment, each with the nodes that may announce it, best first.

        What is missing in ``wishes`` is given up, as is what this node is not listed for (11e, 14).
        """
        raise NotImplementedError

    def candidate(self, usable: bool, now: int) -> Output:  # noqa: FBT001  (the input itself)
        """Whether this node may take new addresses: an interface is up, the loop's lag in bounds (C6)."""
        raise NotImplementedError

    def drain(self, now: int) -> Output:
        """Hands every address on and takes none, for the rest of this life. Done when ``claims`` is empty."""
        raise NotImplementedError

    def tick(self, now: int) -> Output:
        """Time has passed: call it at ``next_wake``, or earlier."""
        raise NotImplementedError

    def next_wake(self) -> int:
        """When ``tick`` is due, ns."""
        raise NotImplementedError

    def may_answer(self, address: bytes, now: int) -> bool:
        """Whether to answer for the address at this very moment (10). Cheap: ask before each reply."""
        raise NotImplementedError

    def deadline(self, address: bytes) -> int:
        """Until when ``may_answer`` holds if nothing more is heard, ns; 0 for what is not owned."""
        raise NotImplementedError

    @property
    def segment(self) -> Segment | None:
        """The Segment that this node is in."""
        raise NotImplementedError

    @property
    def claims(self) -> tuple[bytes, ...]:
        """Addresses claimed, owned or only asked for."""
        raise NotImplementedError

    @property
    def needs_quorum_read(self) -> bool:
        """Whether the vote waits for a quorum read of the Segment (7): make one, and ``adopt`` it."""
        raise NotImplementedError

    def votes(self, now: int) -> bool:
        """Rule 7."""
        raise NotImplementedError

    def connected(self, now: int) -> bool:
        """Rule 12."""
        raise NotImplementedError

    def hears(self, now: int) -> tuple[str, ...]:
        """The peers whose promise is live, sorted."""
        raise NotImplementedError

    def why_not_ready(self, now: int) -> str:
        """Why this node should not count as ready, one sentence; empty when it votes and is connected."""
        raise NotImplementedError
