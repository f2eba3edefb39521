"""What a step of a Member comes to: values for the speaker to act on, in the order in which they stand."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lbprovider.election.segment import Segment
from lbprovider.wire.heartbeat import Heartbeat


class WonReason(StrEnum):
    """How an address came to be free for us."""

    UNCLAIMED = "Unclaimed"  # no live node claimed it since we know of it
    OWNER_SILENT = "OwnerSilent"  # its claimant's promise ended unrenewed: dead, hung, cut off
    RELEASED = "Released"  # its claimant dropped it without a successor
    HANDED_OVER = "HandedOver"  # its owner named us


class Cause(StrEnum):
    """What became of the node that had it before, as far as its datagrams told. The speaker may know better."""

    NONE = "None"  # nobody had it, as far as we know
    NODE_SILENT = "NodeSilent"  # its datagrams stopped: dead, hung, cut off
    DRAINING = "Draining"  # it takes no more addresses, for good as far as we know
    RESTARTING = "Restarting"  # the same, and it means to be back
    NOT_ELIGIBLE = "NotEligible"  # it is well, but may not announce this address any more
    LOST_QUORUM = "LostQuorum"  # it is heard, but not by enough voters
    MOVED = "Moved"  # it could have gone on: it was asked to hand this address over


class LostReason(StrEnum):
    """Why we stopped answering for an address."""

    DEADLINE_PASSED = "DeadlinePassed"  # 11a: no quorum's promise covers it any more
    TAKEN_OVER = "TakenOver"  # 11c: the successor owns it
    SUCCESSOR_UNHEARD = "SuccessorUnheard"  # 11d: 2·hold after naming, the successor never showed that it owns it
    NO_SUCCESSOR = "NoSuccessor"  # 11e: we may not go on, and nobody can take it
    SEGMENT_REPLACED = "SegmentReplaced"  # C1: the Segment was deleted and made anew
    YIELDED = "Yielded"  # C9: the other half of the members sees the LAN, and we don't
    CONTESTED = "Contested"  # 19: served without a quorum, and somebody else serves it


@dataclass(frozen=True, slots=True)
class Won:
    """The address may be answered from now on, while ``Member.may_answer`` says so: announce it.

    Args:
        address: packed.
        reason: how it came to be free.
        predecessor: the node that had it before, as far as we heard; empty where none is known.
        cause: what became of that node.
        outage: for how long nobody answered, ns, at most: since that node was last heard, or said that it has dropped
            the address. 0 where it goes on until we own it (rule 14), and where nobody had it.
        probe: there is no quorum behind this (rule 19): only if nobody answers for the address on the LAN.
    """

    address: bytes
    reason: WonReason
    predecessor: str = ""
    cause: Cause = Cause.NONE
    outage: int = 0
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The address must not be answered any more: take it out of the responder (and the BPF map) first of all.

    ``successor`` is the node that was named, empty where none was.
    """

    address: bytes
    reason: LostReason
    successor: str = ""


@dataclass(frozen=True, slots=True)
class ProposeSwap:
    """Write ``new`` if, and only if, the API server still has the Segment of this uid at version ``expected``.

    Losing the race (409), or no API server, is nothing: the Member proposes again while it still makes sense.
    """

    expected: int
    new: Segment


@dataclass(frozen=True, slots=True)
class Output:
    """What to do now: first ``changes``, in order; then send ``datagrams``; then write ``swap``.

    Args:
        changes: addresses that were won or lost.
        datagrams: (receiver, datagram); all share one moment, and are worth nothing later.
        swap: a change of the Segment that this node should write, by compare-and-swap.
        ignored: for each datagram that was heard why it changed nothing (a CamelCase word for a counter); empty if it
            counted.
    """

    changes: tuple[Won | Lost, ...] = ()
    datagrams: tuple[tuple[str, Heartbeat], ...] = ()
    swap: ProposeSwap | None = None
    ignored: tuple[str, ...] = ()
