"""Trials that take the owner's network, or its power."""

from __future__ import annotations

from collections.abc import Callable

from lbprovider.lab.trials.stage import HEALED, Stage


def link_down(stage: Stage) -> None:
    """The owner's LAN interface loses its carrier, and gets it back."""
    _damaged(stage, stage.lab.lan.link_down)


def cable_cut(stage: Stage) -> None:
    """The owner's LAN cable is cut behind the switch: its carrier stays; and is healed."""
    _damaged(stage, stage.lab.lan.cut_cable)


def mute(stage: Stage) -> None:
    """One direction of the owner's LAN cable is lost: it hears all, and nobody hears it; and is healed."""
    _damaged(stage, stage.lab.lan.mute)


def deaf(stage: Stage) -> None:
    """The other direction is lost: everybody hears the owner, and it hears nobody; and is healed."""
    _damaged(stage, stage.lab.lan.deafen)


def power_loss(stage: Stage) -> None:
    """The owner's speaker, data path and links are gone at once; and its power comes back."""
    lab, owner = stage.lab, stage.owner
    stage.strike()
    lab.power_off(owner)
    stage.taken_over()
    stage.heal()
    lab.power_on(owner)
    stage.ready(owner)
    stage.look_on(HEALED)


def _damaged(stage: Stage, damage: Callable[[str], None]) -> None:
    stage.strike()
    damage(stage.owner)
    stage.taken_over()
    stage.heal()
    stage.lab.lan.heal(stage.owner)
    stage.ready(stage.owner)
    stage.look_on(HEALED)
