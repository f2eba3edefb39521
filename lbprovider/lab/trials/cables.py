"""Trials that take the owner's network, or its power."""

from __future__ import annotations

from lbprovider.lab.trials.stage import HEALED, Stage


def link_down(stage: Stage) -> None:
    """The owner's LAN interface loses its carrier, and gets it back."""
    stage.strike()
    stage.lab.lan.link_down(stage.owner)
    _cured(stage)


def cable_cut(stage: Stage) -> None:
    """The owner's LAN cable is cut behind the switch: its carrier stays; and is healed."""
    stage.strike()
    stage.lab.lan.cut_cable(stage.owner)
    _cured(stage)


def mute(stage: Stage) -> None:
    """One direction of the owner's LAN cable is lost: it hears all, and nobody hears it; and is healed."""
    stage.strike()
    stage.lab.lan.mute(stage.owner)
    _cured(stage)


def deaf(stage: Stage) -> None:
    """The other direction is lost: everybody hears the owner, and it hears nobody; and is healed."""
    stage.strike()
    stage.lab.lan.deafen(stage.owner)
    _cured(stage)


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


def _cured(stage: Stage) -> None:
    stage.taken_over()
    stage.heal()
    stage.lab.lan.heal(stage.owner)
    stage.ready(stage.owner)
    stage.look_on(HEALED)
