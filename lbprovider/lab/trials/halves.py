"""Trials that leave half of the nodes, or less, on one side: who sees the client must serve it, and nobody else."""

from __future__ import annotations

from typing import Final

from lbprovider.lab.trials.speakers import back
from lbprovider.lab.trials.stage import AFTER, HEALED, Stage

_SILENT: Final = 3000
"""Milliseconds for which it is watched that nobody answers."""


def split(stage: Stage, far: int) -> None:
    """The LAN is split, the owner among so many on the far side, the client and the router on the other; and healed."""
    away = (stage.owner, *stage.others[: far - 1])
    stage.strike()
    stage.lab.lan.split(away)
    stage.look_beyond()
    stage.answered_by(lambda each: each not in away, "a node on the client's side")
    stage.look_on(HEALED)
    stage.heal()
    for node in away:
        stage.lab.lan.heal(node)
    stage.ready(*stage.lab.speakers)
    stage.look_on(HEALED)


def one_of_two_dies_without_api(stage: Stage) -> None:
    """The API server is down, and of two nodes the owner's speaker dies; then both come back."""
    stage.lab.stop_api()
    stage.look_on(AFTER)
    stage.strike()
    stage.lab.kill_speaker(stage.owner)
    stage.look_on(_SILENT)
    stage.heal()
    stage.lab.start_api()
    back(stage, stage.owner)


def owners_cable_cut(stage: Stage) -> None:
    """Of two nodes the owner's LAN cable is cut, its management link stays; the other one sees the client."""
    stage.strike()
    stage.lab.lan.cut_cable(stage.owner)
    stage.taken_over()
    stage.look_on(HEALED)
    stage.heal()
    stage.lab.lan.heal(stage.owner)
    stage.ready(*stage.lab.speakers)
    stage.look_on(HEALED)
