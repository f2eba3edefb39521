"""Why a member should not count as ready, in one sentence. DESIGN section 5."""

from __future__ import annotations

from lbprovider.election.member import Member
from lbprovider.election.segment import NS_PER_MS, Segment


def why_not_ready(member: Member, node: str, now: int) -> str:
    """Why the next one should not be taken away yet; empty when this node votes, is connected, and in force.

    Args:
        member: of this node.
        node: its name.
        now: the time, ns.
    """
    segment = member.segment
    if segment is None:
        return "no Segment is known yet for this LAN"
    return _why_no_vote(member, segment.name, now) or _why_no_quorum(member, segment, node, now)


def _why_no_vote(member: Member, name: str, now: int) -> str:
    if member.needs_quorum_read:
        return f"Segment {name} was not yet read from the API server"
    if not member.on_disk():
        return f"Segment {name} is not yet in the snapshot on disk"
    if not member.votes(now):
        left = (member.silent_until() - now) // NS_PER_MS
        return f"silent on Segment {name} for another {left} ms, until promises of a former start have ended"
    return ""


def _why_no_quorum(member: Member, segment: Segment, node: str, now: int) -> str:
    heard = ", ".join(member.hears(now)) or "nobody"
    if node not in segment.in_force.members:
        return f"not a member of Segment {segment.name} yet: a majority of them has to hear this node; it hears {heard}"
    if not member.connected(now):
        return f"no quorum of Segment {segment.name} answers; heard: {heard}"
    return ""
