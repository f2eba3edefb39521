"""Why an address has come to this node: what the election heard, and what the API server tells of the node before.

One word a change, the same in the IPAllocation's condition, in Events, in the log and in metrics. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from lbprovider.election.outcome import Cause, Won
from lbprovider.election.placement import Reason

_NS_PER_MS: Final = 1_000_000


class Move(StrEnum):
    """Why the address is here now; ``MEANING`` has a sentence for each."""

    UNCLAIMED = "Unclaimed"
    REGAINED = "Regained"
    NODE_SILENT = "NodeSilent"
    NODE_DEAD = "NodeDead"
    REBOOTED = "Rebooted"
    LINK_DOWN = "LinkDown"
    QUORUM_LOST = "QuorumLost"
    DRAIN = "Drain"
    RESTART = "Restart"
    ENDPOINT_GONE = "EndpointGone"
    NOT_ELIGIBLE = "NotEligible"
    REBALANCE = "Rebalance"
    RETURNED = "Returned"


MEANING: Final[Mapping[Move, str]] = MappingProxyType(
    {
        Move.UNCLAIMED: "no node had it",
        Move.REGAINED: "{node} had it before, and stopped",
        Move.NODE_SILENT: "{node} was heard no longer: it is dead, hangs or is cut off",
        Move.NODE_DEAD: "{node} was heard no longer, and its Node is gone or not ready",
        Move.REBOOTED: "{node} has started anew without its addresses",
        Move.LINK_DOWN: "{node} has lost its link to this LAN",
        Move.QUORUM_LOST: "{node} was heard, but no longer by enough of the others",
        Move.DRAIN: "{node} drains",
        Move.RESTART: "the speaker of {node} restarts, and handed it over before",
        Move.ENDPOINT_GONE: "{node} has no endpoint of the Service any more that can serve",
        Move.NOT_ELIGIBLE: "{node} may not announce it any more ({why})",
        Move.REBALANCE: "{node} was asked to hand it over",
        Move.RETURNED: "{node} stood in while this speaker started anew",
    }
)

FAILURES: Final = frozenset({Move.NODE_SILENT, Move.NODE_DEAD, Move.REBOOTED, Move.LINK_DOWN, Move.QUORUM_LOST})
"""Something broke: a Warning. All others somebody wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The node that had the address before, at the moment of the change.

    Args:
        heard: the election hears it.
        there: there is a Node of its name.
        ready: that Node is Ready.
        attached: its speaker registers that it is on this LAN.
        why_not: why it may not announce this address (a reason of ``election.placement``); empty where it may.
        stood_in: it answered with this node's hardware address, in its place.
    """

    heard: bool = False
    there: bool = True
    ready: bool = True
    attached: bool = True
    why_not: str = ""
    stood_in: bool = False


_BASE: Final[Mapping[Cause, Move]] = MappingProxyType(
    {
        Cause.NONE: Move.UNCLAIMED,
        Cause.NODE_SILENT: Move.NODE_SILENT,
        Cause.DRAINING: Move.DRAIN,
        Cause.RESTARTING: Move.RESTART,
        Cause.NOT_ELIGIBLE: Move.NOT_ELIGIBLE,
        Cause.LOST_QUORUM: Move.QUORUM_LOST,
        Cause.MOVED: Move.REBALANCE,
    }
)
"""What the datagrams alone told."""

_REFINED: Final[tuple[tuple[Cause, Move, Callable[[Predecessor], bool]], ...]] = (
    (Cause.NODE_SILENT, Move.NODE_DEAD, lambda node: not node.there or (not node.ready and not node.heard)),
    (Cause.NODE_SILENT, Move.REBOOTED, lambda node: node.heard),
    (Cause.NODE_SILENT, Move.LINK_DOWN, lambda node: not node.attached),
    (Cause.DRAINING, Move.LINK_DOWN, lambda node: not node.attached),
    (Cause.LOST_QUORUM, Move.LINK_DOWN, lambda node: not node.attached),
    (Cause.NOT_ELIGIBLE, Move.DRAIN, lambda node: node.why_not == Reason.DRAINING),
    (
        Cause.NOT_ELIGIBLE,
        Move.ENDPOINT_GONE,
        lambda node: node.why_not in (Reason.NO_LOCAL_ENDPOINT, Reason.NO_ENDPOINTS),
    ),
    (Cause.MOVED, Move.RETURNED, lambda node: node.stood_in),
    # It may take no addresses because its link went, and hands over what it has by the other.
    (Cause.NOT_ELIGIBLE, Move.LINK_DOWN, lambda node: not node.attached),
)
"""What else is known makes of it; the first that holds. Most of it is news that comes after the change itself: a Node
is NotReady after 40 s at the earliest, so a crash is NodeSilent as a rule."""


@dataclass(frozen=True, slots=True)
class Story:
    """One change of leader as it is told.

    Args:
        move: the word.
        sentence: the same for people, without a full stop.
        outage: how long nobody answered, ns, at most (``Won.outage``): from the last datagram of the node before, or
            the one in which it dropped the address, until this node began. Up to a heartbeat period and the datagram's
            way too much: when it really stopped, nobody can know. 0 for a planned move; None where nobody had it.
    """

    move: Move
    sentence: str
    outage: int | None

    @property
    def failure(self) -> bool:
        """Whether something broke."""
        return self.move in FAILURES


def story(node: str, change: Won, before: Predecessor) -> Story:
    """What to tell of an address that was won.

    Args:
        node: that won it.
        change: what the election says.
        before: the node that had the address, as far as it is known here; of no account where there is none.
    """
    move = next((move for cause, move, holds in _REFINED if cause is change.cause and holds(before)), None)
    move = _BASE[change.cause] if move is None else move
    if move is Move.UNCLAIMED and change.predecessor == node:
        move = Move.REGAINED
    sentence = MEANING[move].format(node=change.predecessor or "the node before", why=before.why_not or "the rules")
    if move is Move.UNCLAIMED:
        return Story(move, sentence, None)
    if change.outage:
        sentence += f"; unanswered for at most {-(-change.outage // _NS_PER_MS)} ms"
    return Story(move, sentence, change.outage)
