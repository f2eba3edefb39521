"""Two owners: whether the rules allow them; and how events are told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from lbprovider.election.member import Member
from lbprovider.wire.heartbeat import Heartbeat
from tests.sim.net import MS
from tests.sim.node import Ghost, Node

CHATTER: Final = frozenset({"heard", "tick", "neighbour", "leases", "durable"})
"""What goes on all the time."""


def excuse(
    address: bytes,
    owners: Collection[str],
    *,
    nodes: Mapping[str, Node],
    ghosts: Iterable[Ghost],
    now: int,
    outside: int | None,
) -> str:
    """Why several may answer: of two one has named the other, or rule 19 is between them. Empty: they may not."""
    dead = [ghost for ghost in ghosts if ghost.address == address and now < ghost.until]
    alive = [
        node for node in nodes.values() if node.member is not None and node.member.may_answer(address, node.local(now))
    ]
    handed = {(ghost.node, ghost.successor) for ghost in dead}
    handed |= {_handover(node, address, now) for node in alive}
    if len(owners) == 2 and any((one, other) in handed for one in owners for other in owners if one != other):
        return "handover"
    versions = [ghost.version for ghost in dead] + [version(node.member) for node in alive]
    if len({outside is not None and one >= outside for one in versions}) > 1:
        return "last resort"
    return ""


def _handover(node: Node, address: bytes, now: int) -> tuple[str, str]:
    """(owner, whom it has named), for as long as a planned move may last: 2·hold (V6)."""
    claim = None if node.member is None else node.member._claims.get(address)
    if node.member is None or claim is None or node.member.segment is None:
        return node.name, ""
    over = node.local(now) >= claim.named_at + 2 * node.member.segment.hold
    return node.name, "" if over else claim.successor


def successor(member: Member | None, address: bytes) -> str:
    """Whom the member has named for the address."""
    claim = None if member is None else member._claims.get(address)
    return "" if claim is None else claim.successor


def version(member: Member | None) -> int:
    """Of the Segment that it is in."""
    return 0 if member is None or member.segment is None else member.segment.version


def told(event: tuple[int, str, str, object]) -> str:
    """One line."""
    at, what, where, detail = event
    if isinstance(detail, Heartbeat):
        echo = detail.echo
        heard = "" if echo is None else f", echo of {echo.sent / MS:.3f} kv {echo.kv} refused {echo.refused!r}"
        detail = (
            f"{detail.node}.{detail.incarnation} at its {detail.sent / MS:.3f}, version {detail.version} settled "
            f"{detail.settled}, claims {detail.ver} {detail.changes or ''}{heard}"
        )
    return f"{at / MS:12.3f} {what:9} {where:5} {detail}"
