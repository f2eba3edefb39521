"""What a campaign went through: each outcome of each rule, counted. One that never occurs is not tested by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from lbprovider.election.member import Member
from lbprovider.election.outcome import Output, ProposeSwap, WonReason
from lbprovider.wire.heartbeat import Heartbeat
from tests.sim.node import Node

OUTCOMES: Final[dict[str, tuple[str, str]]] = {
    "ignored/NotNewer": ("5", "a datagram ignored: not newer"),
    "ignored/OldIncarnation": ("5", "a datagram ignored: of a former life"),
    "life/new": ("5", "a peer in a new life"),
    "version/peer": ("5, 15", "a version learnt from a peer"),
    "version/read": ("15", "a version learnt from the API server"),
    "version/lower": ("15", "a lower version, not adopted"),
    "lapsed": ("6", "a promise that ended"),
    "vote/given": ("7", "a vote after the silence"),
    "vote/restored": ("7", "a life that began from the snapshot"),
    "ignored/NotDurable": ("7", "a promise not made: longer than the silence on disk"),
    "echo/all granted": ("8", "all of a peer's claims granted"),
    "echo/some refused": ("8", "some of a peer's claims refused"),
    **{f"Won/{reason}": ("10, 13", f"won: {reason}") for reason in WonReason},
    "claim/asked": ("13", "an address asked for"),
    "claim/vain": ("11b", "asked for in vain"),
    "claim/named": ("14", "a successor named"),
    "Lost/DeadlinePassed": ("11a", "lost: DeadlinePassed"),
    "Lost/TakenOver": ("11c", "lost: TakenOver"),
    "Lost/SuccessorUnheard": ("11d", "lost: SuccessorUnheard"),
    "Lost/NoSuccessor": ("11e", "lost: NoSuccessor"),
    "Lost/SegmentReplaced": ("C1", "lost: SegmentReplaced"),
    "Lost/Yielded": ("C9", "lost: Yielded"),
    "Lost/Contested": ("19", "lost: Contested"),
    "settled": ("15", "a version reported as settled"),
    "members/grown": ("16", "members added"),
    "members/shrunk or swapped": ("16", "members taken away"),
    "members/deleted": ("C1", "a Segment deleted and made anew"),
    "members/backup": ("C1", "a Segment restored from an older backup"),
    "swap/17 cleared": ("17", "old lists dropped"),
    "swap/18 witness": ("18", "half goes on by the witness"),
    "swap/19 last resort": ("19", "fewer than half go on"),
    "swap/C9 taken off": ("C9", "a blind half takes itself off"),
    "swap/C9 yielded": ("C9", "the last of a blind half yields"),
    "swap/C10 left": ("C10", "a member that ends takes itself off"),
    "swap/won": ("15", "a swap that was written"),
    "swap/lost": ("15", "a swap that came too late"),
    "left/asked for": ("C10", "ended when it might"),
    "left/timed out": ("C10", "ended without waiting longer"),
    "ignored/OtherCluster": ("C1", "a datagram ignored: of another cluster"),
    "ignored/OtherSegment": ("C1", "a datagram ignored: of another Segment"),
    "ignored/OwnDatagram": ("C1", "a datagram ignored: our own"),
    "changes/delta": ("C4", "changes sent one by one"),
    "changes/full": ("C4", "a full state sent"),
    "pair/handover": ("14", "two owners, of whom one has named the other"),
    "pair/last resort": ("19", "two owners, one of them by the last resort"),
}
"""Each outcome by its counter: (rules, what it is)."""
ELSEWHERE: Final[dict[str, str]] = {
    "ignored/NoSegment": "before the first Segment: test_election_member",
    "ignored/TooManyPeers": "4,096 nodes: in tests/fuzz",
}
"""What a campaign can't come to, and where it is tested."""


def table(counts: Mapping[str, int]) -> str:
    """One line for each outcome."""
    return "\n".join(f"{counts[key]:>9,}  rule {rule:7} {what}" for key, (rule, what) in OUTCOMES.items())


def never(counts: Mapping[str, int]) -> list[str]:
    """The outcomes that did not occur."""
    return [f"rule {rule}: {what}" for key, (rule, what) in OUTCOMES.items() if not counts[key]]


def count(counts: Counter[str], node: Node, member: Member, what: str, output: Output) -> None:
    """What one step came to."""
    for change in output.changes:
        counts[f"{type(change).__name__}/{change.reason}"] += 1
    for ignored in filter(None, output.ignored):
        counts[f"ignored/{ignored}"] += 1
    if output.swap is not None:
        counts[f"swap/{kind(node.name, member, output.swap)}"] += 1
    for _, beat in output.datagrams:
        _sent(counts, beat)
    heard = node.newest if what == "heard" and not any(output.ignored) else None
    if heard is not None and node.lives.get(heard.node) != heard.incarnation:
        node.lives[heard.node] = heard.incarnation
        counts["life/new"] += 1
    now = member.segment, member._vote.given, member._changing.settling.settled, len(member._peers.live)
    if now != node.seen:
        _differs(counts, node, now, what)
        node.seen = now
    if member._claims.ver != node.ver:
        node.ver = member._claims.ver
        _claims(counts, node, member)


def kind(name: str, member: Member, swap: ProposeSwap) -> str:
    """Which rule wrote it."""
    before, lists = member.segment, swap.new.lists
    assert before is not None
    if lists[-1].last_resort and not before.in_force.last_resort:
        return "19 last resort"
    if name in lists[-1].members:
        return "17 cleared" if len(lists) == 1 else "18 witness"
    if len(lists) == 1:
        return "C9 yielded"
    return "C10 left" if member._changing.leaving.wanted else "C9 taken off"


def _sent(counts: Counter[str], beat: Heartbeat) -> None:
    if beat.echo is not None:
        counts["echo/all granted" if beat.echo.refused == b"" else "echo/some refused"] += 1
    if beat.changes is not None:
        counts[f"changes/{type(beat.changes).__name__.lower()}"] += 1


def _differs(counts: Counter[str], node: Node, now: tuple[object, ...], what: str) -> None:
    segment, given, settled, live = node.seen
    if now[0] != segment:
        counts["version/peer" if what == "heard" else "version/read"] += 1
    if now[1] and not given:
        counts["vote/given"] += 1
    if now[2] != settled and now[2]:
        counts["settled"] += 1
    if isinstance(now[3], int) and isinstance(live, int) and now[3] < live:
        counts["lapsed"] += 1


def _claims(counts: Counter[str], node: Node, member: Member) -> None:
    before = node.claims
    node.claims = {one.address: (one.owned, bool(one.successor)) for one in member._claims.values()}
    counts["claim/asked"] += len(node.claims.keys() - before.keys())
    counts["claim/vain"] += sum(not before[address][0] for address in before.keys() - node.claims.keys())
    counts["claim/named"] += sum(
        named and not before.get(address, (False, False))[1] for address, (_, named) in node.claims.items()
    )
