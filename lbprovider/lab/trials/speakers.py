"""Trials that end speakers, or stop them for a while; their nodes go on."""

from __future__ import annotations

from typing import Final

from lbprovider.lab.provider import command
from lbprovider.lab.trials.stage import AFTER, HEALED, SETTLED, Stage

_STOPPED: Final = 15_000
"""Milliseconds for which a process stands still: longer than any promise, and than MetalLB's suspicion."""
_LEAVING: Final = 10.0
"""Seconds that a speaker may take to end: draining, and 5 s for leaving the Segment (ELECTION.md C10)."""
_AVAILABLE: Final = 1000
"""Milliseconds that a speaker has been ready before the next one is taken: minReadySeconds of its DaemonSet. Meanwhile
it is given back what another one has answered for in its place, which may be that next one."""


def sigkill(stage: Stage) -> None:
    """The owner's speaker gets SIGKILL, and is started again."""
    lab, owner = stage.lab, stage.owner
    stage.strike()
    lab.kill_speaker(owner)
    stage.taken_over()
    back(stage, owner)


def sigterm(stage: Stage) -> None:
    """The owner's speaker gets SIGTERM, as when its Pod is deleted, and is started again."""
    lab, owner = stage.lab, stage.owner
    stage.strike()
    # Whoever takes over may answer in its place until it is back: with its MAC, for its node goes on forwarding.
    lab.stop_speaker(owner).wait(_LEAVING)
    stage.look_on(AFTER)
    back(stage, owner)


def back(stage: Stage, *nodes: str) -> None:
    """Start speakers again, and look on until they are as they were."""
    stage.heal()
    for node in nodes:
        stage.lab.start_speaker(node)
    stage.ready(*nodes)
    stage.look_on(HEALED)


def sigstop(stage: Stage) -> None:
    """The owner's speaker stands still for 15 s, and goes on."""
    speaker = stage.lab.speaker(stage.owner)
    stage.strike()
    speaker.pause()
    try:
        stage.taken_over()
        stage.look_on(_STOPPED - AFTER)
    finally:
        stage.heal()
        speaker.resume()
    stage.look_on(HEALED)


def drain(stage: Stage) -> None:
    """`lbprovider drain` of the owner's node, and `undrain`."""
    stage.strike()
    _admin(stage, "drain")
    stage.answered_by(lambda each: each != stage.owner, "another node than the one drained")
    stage.look_on(AFTER)
    stage.heal()
    _admin(stage, "undrain")
    stage.ready(stage.owner)
    stage.look_on(HEALED)


def _admin(stage: Stage, verb: str) -> None:
    lab = stage.lab
    argv = [command(), verb, stage.owner, "--kubeconfig", str(lab.inside)]
    process = lab.lan.spawn(verb, lab.lan.control, argv)
    stage.until(lambda: process.status is not None, f"`lbprovider {verb}` has ended", within=SETTLED)
    if process.status != 0:
        raise OSError(f"`lbprovider {verb} {stage.owner}` failed: {process.tail(3)}")


def all_restarted(stage: Stage) -> None:
    """Every speaker gets SIGKILL at once, and is started again at once."""
    nodes = stage.lab.speakers
    stage.strike()
    for node in nodes:
        stage.lab.kill_speaker(node)
    for node in nodes:
        stage.lab.start_speaker(node)
    stage.ready(*nodes)
    stage.look_on(AFTER)
    stage.heal()
    stage.look_on(HEALED)


def rolling_update(stage: Stage) -> None:
    """Each speaker in turn gets SIGTERM and is started again, the next 1 s after it is ready; the owner's first."""
    lab = stage.lab
    stage.strike()
    for node in (stage.owner, *stage.others):
        lab.stop_speaker(node).wait(_LEAVING)
        lab.start_speaker(node)
        stage.ready(node)
        stage.look_on(_AVAILABLE)
    stage.heal()
    stage.look_on(HEALED)
