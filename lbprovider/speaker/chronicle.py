"""What happens to addresses on the LANs, passed on to whoever writes it down: status, metrics, log."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

import structlog

from lbprovider import telemetry
from lbprovider.api import conditions, names
from lbprovider.election.outcome import Lost, LostReason, Won
from lbprovider.speaker.lan import Lan
from lbprovider.speaker.news import ConflictKind
from lbprovider.speaker.reporter import Reporter

LOGGED: Final = 10
"""Addresses that one log line names."""

_CONFLICTS: Final = MappingProxyType({
    ConflictKind.PROBE: (
        conditions.PROBE_ANSWERED,
        "is not announced: {host} on {lan} has it already; take it away from that host, or out of the pool",
    ),
    ConflictKind.FOREIGN: (
        conditions.FOREIGN_ANNOUNCEMENT,
        "is claimed by {host} on {lan} too, so that some clients send there; take it away from that host",
    ),
})  # fmt: skip
"""The reason of the condition, and the sentence behind the address."""

log = structlog.get_logger(__name__)


class Chronicle:
    """Tells of wins, losses and conflicts, each once.

    Args:
        reporter: writes IPAllocations.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def changed(self, lan: Lan, changes: Sequence[Won | Lost]) -> None:
        """Addresses were won or lost, or are shown in another way than before."""
        for change in changes:
            name = names.object_name(ip_address(change.address))
            kind = "Won" if isinstance(change, Won) else "Lost"
            telemetry.LEADER_CHANGES.labels(change=kind, reason=change.reason.value).inc()
            if isinstance(change, Won):
                self._won(lan, name, change)
            else:
                self._reporter.lost(name, given_up=change.reason is LostReason.NO_SUCCESSOR)
        _log(lan, changes)

    def _won(self, lan: Lan, name: str, change: Won) -> None:
        if lan.link is None:
            return
        mac, instead_of = lan.presence.shown(change.address)
        self._reporter.won(
            name,
            change,
            segment=lan.name,
            interface=lan.link.name,
            mac=mac.hex(":"),
            heard=change.predecessor in lan.hears,
            owned=lambda: lan.owns(change.address),
            instead_of=instead_of,
        )

    def conflict(self, lan: Lan, address: bytes, mac: bytes, kind: ConflictKind) -> None:
        """A host that is no member uses an address of ours."""
        name, host = names.object_name(ip_address(address)), mac.hex(":")
        reason, what = _CONFLICTS[kind]
        message = f"{ip_address(address)} {what.format(host=host, lan=lan.name)}"
        self._reporter.conflict(name, reason, host, message, owned=lambda: lan.owns(address))

    def conflict_over(self, lan: Lan, address: bytes) -> None:
        """It does no longer."""
        self._reporter.conflict_over(names.object_name(ip_address(address)), owned=lambda: lan.owns(address))


def _log(lan: Lan, changes: Sequence[Won | Lost]) -> None:
    """One line for each kind and reason: a thousand addresses may move at once, and the loop has other things to do."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        event = "won addresses" if isinstance(change, Won) else "lost addresses"
        by_reason.setdefault((event, change.reason.value), []).append(str(ip_address(change.address)))
    for (event, reason), addresses in by_reason.items():
        log.info(event, segment=lan.name, reason=reason, count=len(addresses), addresses=addresses[:LOGGED])
