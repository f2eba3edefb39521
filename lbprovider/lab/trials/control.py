"""Trials that take the API server away, or give it a past."""

from __future__ import annotations

from typing import Final

from lbprovider.api import resources
from lbprovider.lab.trials.speakers import back
from lbprovider.lab.trials.stage import AFTER, HEALED, SETTLED, Stage

_DOWN: Final = 60_000
"""Milliseconds without an API server: longer than its Leases last."""
_PARTITION: Final = 30_000
"""Milliseconds for which the owner doesn't reach it."""
_A_MOMENT: Final = 1000
"""Milliseconds that it has been down when something else happens."""
_WISH: Final = 60
"""A heartbeat period, in milliseconds, that is not the default: to follow it changes the Segment."""


def api_down(stage: Stage) -> None:
    """The API server gets SIGKILL and is down for 60 s."""
    stage.strike()
    stage.lab.stop_api()
    stage.look_on(_DOWN)
    stage.heal()
    stage.lab.start_api()
    stage.look_on(HEALED)


def api_partition(stage: Stage) -> None:
    """The owner's node doesn't reach the API server for 30 s; its LAN goes on."""
    stage.strike()
    stage.lab.lan.cut_management(stage.owner)
    stage.look_on(_PARTITION)
    stage.heal()
    stage.lab.lan.heal(stage.owner)
    stage.look_on(HEALED)


def sigkill_without_api(stage: Stage) -> None:
    """The API server is down when the owner's speaker gets SIGKILL; both come back."""
    stage.lab.stop_api()
    stage.look_on(_A_MOMENT)
    _sigkill(stage)


def start_without_api(stage: Stage) -> None:
    """With the API server down another speaker is started anew; then the owner's gets SIGKILL: it takes both others."""
    lab = stage.lab
    other = stage.others[0]
    lab.stop_api()
    lab.kill_speaker(other)
    lab.start_speaker(other)
    stage.ready(other)
    stage.look_on(AFTER)
    _sigkill(stage)


def _sigkill(stage: Stage) -> None:
    """The owner's speaker gets SIGKILL; once another one answers, it and the API server come back."""
    stage.strike()
    stage.lab.kill_speaker(stage.owner)
    stage.taken_over()
    stage.heal()
    stage.lab.start_api()
    back(stage, stage.owner)


def segment_deleted(stage: Stage) -> None:
    """The Segment object is deleted; the controller makes another, and all members begin again in it."""
    lab = stage.lab
    before = lab.segment
    if before is None:
        raise OSError("there is no Segment to delete")
    stage.strike()
    lab.admin.delete(resources.SEGMENTS, before.metadata.name)
    stage.until(
        lambda: lab.segment is not None and lab.segment.metadata.uid != before.metadata.uid,
        "the Segment is made anew",
        within=SETTLED,
    )
    lab.await_members()
    stage.ready(*lab.speakers)
    stage.answered_by(lambda _: True, "anybody")
    stage.look_on(AFTER)
    stage.heal()
    stage.look_on(HEALED)


def api_restored(stage: Stage) -> None:
    """The Segment grows by versions, and the API server is restored from a backup of before: it has an older one."""
    lab = stage.lab
    copy = lab.directory / "backup.sqlite"
    old = _version(stage)
    lab.back_up(copy)
    wish = None if lab.segment is None or lab.segment.spec.heartbeat_period else _WISH
    lab.admin.patch(resources.SEGMENTS, lab.segment_name, {"spec": {"heartbeatPeriod": wish}})
    stage.until(lambda: _version(stage) >= old + 2, "the Segment follows the wish for a period", within=SETTLED)
    lab.await_members()
    stage.ready(*lab.speakers)
    newer = _version(stage)
    stage.look_on(AFTER)
    stage.strike()
    lab.restore(copy)
    stage.until(lambda: _version(stage) > newer, "the Segment is newer than any that was heard", within=SETTLED)
    lab.await_members()
    stage.ready(*lab.speakers)
    stage.look_on(AFTER)
    stage.heal()
    stage.look_on(HEALED)


def _version(stage: Stage) -> int:
    return stage.lab.segment.spec.version if stage.lab.segment is not None else 0
