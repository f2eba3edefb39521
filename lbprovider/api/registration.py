"""What a speaker says of itself in its Lease's annotation: where it can be reached, and whom it hears.

The Lease is named after the node, carries ``names.SPEAKER_LABEL``, is owned by the Node and renewed each 10 s.
ELECTION.md C1–C3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from lbprovider.api.core import Lease
from lbprovider.api.meta import Struct
from lbprovider.api.segment import MemberList

ANNOTATION: Final = "lbprovider.io/registration"


class Attachment(Struct, frozen=True):
    """One LAN that the node is on.

    ``segment`` is the name by which the node knows the LAN (``segment_name``), ``subnets`` are in lowest-first order,
    ``address`` is where datagrams reach the speaker, ``hears`` the nodes whose promise is live here, sorted;
    ``default_route``: the node's default route leaves through it; ``sees_neighbours``: somebody on the LAN who is no
    member answered it lately, looked at only while it matters (C9); ``leaving``: the speaker is about to end, and gives
    its vote back before (C10). ``version`` and ``lists`` are those of the Segment that it is in: after the API server
    was restored from a backup, the newest are here (C1).
    """

    segment: str
    interface: str
    address: str
    mac: str
    subnets: tuple[str, ...] = ()
    hears: tuple[str, ...] = ()
    default_route: bool = False
    sees_neighbours: bool = False
    leaving: bool = False
    version: int = 0
    lists: tuple[MemberList, ...] = ()


class Registration(Struct, frozen=True):
    """All that a speaker registers. ``incarnation`` grows by one at each start (C2).

    ``ignores_exclude_label``: it announces though its Node has KEP-1143's label (``--ignore-exclude-label``).
    """

    incarnation: int
    attachments: tuple[Attachment, ...] = ()
    ignores_exclude_label: bool = False

    @property
    def segments(self) -> frozenset[str]:
        """The names of the LANs that the node is on."""
        return frozenset(one.segment for one in self.attachments)

    def encode(self) -> str:
        """The annotation's value."""
        return msgspec.json.encode(self).decode()


def registration(lease: Lease) -> Registration | None:
    """What the Lease's owner registered; None where it carries nothing readable (an older or foreign Lease)."""
    try:
        return msgspec.json.decode(lease.metadata.annotations.get(ANNOTATION, ""), type=Registration)
    except (msgspec.DecodeError, RecursionError):  # the second: thousands of brackets in a field that we'd skip
        return None


def registrations(leases: Iterable[Lease]) -> dict[str, Registration]:
    """What the speakers registered in their Leases, by node; without those that carry nothing readable."""
    return {lease.metadata.name: one for lease in leases if (one := registration(lease)) is not None}
