"""The controller's side of a Segment: who its members should be next. ELECTION.md rule 16, C1, C8; pure.

Who hears whom is in the speakers' registrations. A node becomes a member only when a majority of the members hear it:
a blocked UDP port or another site with the same subnet must never come to count as a voter.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from msgspec import structs

from lbprovider.api.registration import Attachment, Registration
from lbprovider.api.segment import SegmentSpec
from lbprovider.election.segment import (
    NS_PER_MS,
    MemberList,
    Segment,
    from_spec,
    grown,
    majority,
    period_ns,
    with_lists,
)


class Why(StrEnum):
    """Why a Segment is as it is, or changes."""

    CREATED = "Created"  # the first speaker on this LAN
    GROWN = "Grown"  # speakers that a majority hears become members
    RETIRED = "Retired"  # members that nobody has heard for long are taken off the list
    PERIOD_CHANGED = "PeriodChanged"  # the admin asked for another heartbeat period
    RESTORED = "Restored"  # the API server lost versions that the speakers still have: backup, or deletion
    RESTORING = "Restoring"  # the same, but too few speakers are registered to know what the newest is
    SETTLED = "Settled"  # nothing to change
    CHANGING = "Changing"  # the last change is not over: the members end it themselves (rule 17)
    NODES_UNHEARD = "NodesUnheard"  # speakers are registered that the members don't hear


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about one Segment.

    Args:
        why: the reason.
        message: one sentence for the condition ``NodesUnheard``, the Event or the log.
        spec: what to write, by compare-and-swap (or to create); None = leave it.
        live: members that a majority of the members hear, for the status.
        unheard: registered nodes that can't become members, sorted.
    """

    why: Why
    message: str
    spec: SegmentSpec | None = None
    live: int = 0
    unheard: tuple[str, ...] = ()


def unheard_members(
    name: str, current: SegmentSpec | None, registrations: Mapping[str, Registration], renewed: Collection[str]
) -> frozenset[str]:
    """Members in force that no other member hears; dead, if that lasts (C8).

    Args:
        name: the LAN's.
        current: the object's spec; None if there is none.
        registrations: of all speakers, by node.
        renewed: the nodes whose Lease goes on being renewed: what the others have registered is from before. A node is
            never judged by its own Lease: one that is cut from the API server may well serve.
    """
    if current is None or not current.lists:
        return frozenset()
    members = current.lists[-1].members
    here = _on(name, registrations)
    heard = {node for member in members if member in here and member in renewed for node in here[member].hears}
    return frozenset(members) - heard


def newcomers(name: str, current: SegmentSpec | None, registrations: Mapping[str, Registration]) -> frozenset[str]:
    """Who may be added now (16). An owner counts on their votes at once, so they have to be heard for a moment before.

    Args:
        name: the LAN's.
        current: the object's spec; None if there is none.
        registrations: of all speakers, by node.
    """
    if current is None or not current.lists:
        return frozenset()
    return frozenset(_joining(current.lists[-1].members, _on(name, registrations), current.version))


def next_segment(
    name: str,
    current: SegmentSpec | None,
    registrations: Mapping[str, Registration],
    dead: frozenset[str] = frozenset(),
    fresh: frozenset[str] = frozenset(),
) -> Plan:
    """What the Segment called ``name`` should become.

    Args:
        name: the LAN's, as the speakers register it.
        current: the object's spec; None if there is none.
        registrations: of all speakers, by node.
        dead: members that have been ``unheard_members`` for long.
        fresh: nodes that have been ``newcomers`` for a moment only.
    """
    here = _on(name, registrations)
    present = current or SegmentSpec()
    lost = _lost(name, present, here)
    if lost is not None:
        return lost
    if not present.lists:
        return _create(name, present, here)
    return _change(name, present, here, dead, fresh)


def _on(name: str, registrations: Mapping[str, Registration]) -> dict[str, Attachment]:
    """Who is on the LAN, in order."""
    return {
        node: attachment
        for node, registration in sorted(registrations.items())
        for attachment in registration.attachments
        if attachment.segment == name
    }


def _lost(name: str, present: SegmentSpec, here: Mapping[str, Attachment]) -> Plan | None:
    """C1: goes on from a version that the speakers have and the API server lost; None if it lost nothing.

    The same lists again, so that a quorum of the new version meets every quorum of the lost one. A Segment that was
    deleted begins anew where the speakers that are left are no quorum: deleting it is how an admin asks for that.
    """

    def rank(one: Attachment) -> tuple[int, bool]:
        return one.version, _differs(name, one, present)

    newest = max(here.values(), key=rank, default=None)
    if newest is None or not newest.lists or rank(newest) <= (present.version, False):
        return None
    if all(sum(member in here for member in one.members) >= one.need for one in newest.lists):
        message = f"Segment {name} goes on from version {newest.version}, which the API server lost"
        spec = structs.replace(_identified(present, here), version=newest.version + 1, lists=newest.lists)
        return Plan(Why.RESTORED, message, spec)
    if not present.lists:
        return None
    message = f"Segment {name}: the API server lost version {newest.version}; waiting for a quorum of it to register"
    return Plan(Why.RESTORING, message)


def _differs(name: str, attachment: Attachment, present: SegmentSpec) -> bool:
    """Whether a member is in a version that has other lists than the API server's of that number.

    After a backup the Leases are old as well: what went on from the newest that they told may be older than that.
    """
    if not attachment.lists or attachment.version != present.version or not present.lists:
        return False
    return (
        from_spec(name, "", structs.replace(present, lists=attachment.lists)).lists
        != from_spec(name, "", present).lists
    )


def _change(
    name: str, present: SegmentSpec, here: Mapping[str, Attachment], dead: frozenset[str], fresh: frozenset[str]
) -> Plan:
    members = present.lists[-1].members
    heard = {node for node in here if _heard(node, members, here)}
    live = sum(member in heard for member in members)
    unheard = tuple(node for node in here if node not in heard and node not in members)
    if len(present.lists) > 1:
        return Plan(Why.CHANGING, f"Segment {name} is changing its members", None, live, unheard)
    gone = _retirable(members, dead)
    target = tuple(sorted({*members, *(_joining(members, here, present.version) - fresh)} - gone))
    added = [node for node in target if node not in members]
    period = period_ns(present.heartbeat_period)
    wish = period != period_ns(present.lists[-1].heartbeat_period)
    if added or gone or wish:
        why = Why.GROWN if added else Why.RETIRED if gone else Why.PERIOD_CHANGED
        changes = (
            (f"adds {', '.join(added)}", bool(added)),
            (f"removes {', '.join(sorted(gone))}, which no member hears any more", bool(gone)),
            (f"changes its heartbeat period to {period // NS_PER_MS} ms", wish),
        )
        message = f"Segment {name} {', '.join(change for change, made in changes if made)}"
        spec = with_lists(present, grown(from_spec(name, "", present), target, period))
        return Plan(why, message, spec, live, unheard)
    if unheard:
        message = (
            f"the members of Segment {name} ({', '.join(members)}) don't hear {', '.join(unheard)} on the LAN; open "
            "the heartbeat port (UDP 7472) between the nodes, unless they are on another LAN with the same subnet"
        )
        return Plan(Why.NODES_UNHEARD, message, None, live, unheard)
    return Plan(Why.SETTLED, f"Segment {name} has {len(members)} members, {live} live", None, live)


def _create(name: str, present: SegmentSpec, here: Mapping[str, Attachment]) -> Plan:
    """One member to begin with: whoever else there is joins once that one hears it."""
    if not here:
        return Plan(Why.SETTLED, f"Segment {name} has no speaker")
    first = min(here)
    alone = MemberList.by_majority((first,), period_ns(present.heartbeat_period))
    spec = with_lists(_identified(present, here), Segment("", name, present.version + 1, (alone,)))
    return Plan(Why.CREATED, f"Segment {name} begins with {first}", spec)


def _identified(present: SegmentSpec, here: Mapping[str, Attachment]) -> SegmentSpec:
    """``present`` with the identity of the LAN, where it has none yet: what its first speaker sees of it."""
    if present.subnets or present.interface:
        return present
    first = here[min(here)]
    interface = "" if first.subnets else first.interface
    return structs.replace(present, subnets=first.subnets, interface=interface)


def _joining(members: Sequence[str], here: Mapping[str, Attachment], version: int) -> set[str]:
    """Who may be added: a majority of the members hear it, and it means to stay (C10).

    What a member registered before it was in this version may be from before the fault that the version is about: to
    add a node that has just died would take the quorum away again.
    """
    aware = {node: one for node, one in here.items() if one.version >= version}
    return {
        node for node, one in here.items() if node not in members and not one.leaving and _heard(node, members, aware)
    }


def _retirable(members: Sequence[str], dead: frozenset[str]) -> frozenset[str]:
    """The dead, where those that are left can settle the change: a majority of the members now."""
    gone = dead.intersection(members)
    return gone if len(members) - len(gone) >= majority(len(members)) else frozenset()


def _heard(node: str, members: Sequence[str], here: Mapping[str, Attachment]) -> bool:
    """Whether a majority of the members hear the node; it hears itself."""
    hearing = sum(member == node or node in here[member].hears for member in members if member in here)
    return hearing >= majority(len(members))
