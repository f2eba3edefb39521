"""Trials with hosts on the LAN that are none of ours."""

from __future__ import annotations

from typing import Final

from lbprovider.api import resources
from lbprovider.api.names import object_name
from lbprovider.lab import flood, impostor
from lbprovider.lab.trials.speakers import sigkill
from lbprovider.lab.trials.stage import HEALED, Stage

_RATE: Final = 50_000
"""Requests a second."""
_DEFENCE: Final = 12.0
"""Seconds for the condition: the owner defends once in 10 s (RFC 5227), and says so."""


def foreign_host(stage: Stage) -> None:
    """Another host claims the address: the owner defends it and its IPAllocation says who that is; the other leaves."""
    lab, stranger = stage.lab, stage.lab.lan.guest("stranger")
    mac = stage.stand_in(stranger)
    stage.strike()
    other = impostor.start(lab.lan, "impostor", stranger, stage.address, claim=True)
    try:

        def named() -> bool:
            found = lab.admin.get(resources.ALLOCATIONS, object_name(stage.address))
            return any(
                each.type == "Conflict" and each.status == "True" and mac in each.message
                for each in found.status.conditions
            )

        stage.until(named, f"the condition Conflict names {mac}", within=_DEFENCE)
        stage.look_on(HEALED)
    finally:
        other.stop()
    stage.heal()
    stage.look_on(HEALED)


def arp_flood(stage: Stage) -> None:
    """50,000 ARP requests a second are broadcast while the owner's speaker gets SIGKILL."""
    noise = flood.start(stage.lab.lan, _RATE)
    try:
        stage.note(f"{flood.achieved(noise):,} requests/s")
        sigkill(stage)
    finally:
        noise.stop()
