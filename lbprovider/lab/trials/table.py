"""All trials, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from lbprovider.errors import UsageError
from lbprovider.lab.trials import cables, changes, control, crowd, halves, speakers
from lbprovider.lab.trials.stage import Stage
from lbprovider.lab.trials.target import (
    CRASH,
    DEFENDED,
    NOTHING,
    PLANNED,
    REBORN,
    RESTART,
    UNSERVED,
    WITNESS,
    Target,
)
from lbprovider.settings import MOST_NODES


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One row of the failure matrix."""

    name: str
    act: Callable[[Stage], None]
    target: Target
    about: str = ""
    """What it does; what ``act`` says of itself where it is left out."""
    least: int = 3
    """With fewer nodes it makes no sense: when one is gone, a majority must be left."""
    most: int = MOST_NODES
    spares: int = 0
    """Nodes that it needs besides, whose speakers it starts."""
    breaks: bool = False
    """Whether the lab is another one afterwards: the next trial gets a fresh one."""

    @property
    def does(self) -> str:
        """What it does, as one sentence."""
        return self.about or " ".join((self.act.__doc__ or "").split())

    @property
    def nodes(self) -> str:
        """The Node counts that it takes."""
        if self.least == self.most:
            return str(self.least)
        return f"{self.least}+" if self.most == MOST_NODES else f"{self.least}–{self.most}"

    def takes(self, nodes: int) -> bool:
        """Whether it makes sense with so many."""
        return self.least <= nodes <= self.most


def _split(near: int, far: int, target: Target) -> Trial:
    return Trial(
        name=f"split-{far}-{near}",
        act=partial(halves.split, far=far),
        target=target,
        about=f"The LAN is split, {far} with the owner on one side, {near} with the client on the other; and healed.",
        least=near + far,
        most=near + far,
    )


_TWO: Final = 2

TRIALS: Final[tuple[Trial, ...]] = (
    Trial(name="drain", act=speakers.drain, target=PLANNED),
    Trial(name="sigterm", act=speakers.sigterm, target=PLANNED),
    Trial(name="sigkill", act=speakers.sigkill, target=CRASH),
    Trial(name="sigstop", act=speakers.sigstop, target=CRASH),
    Trial(name="link-down", act=cables.link_down, target=CRASH),
    Trial(name="cable-cut", act=cables.cable_cut, target=CRASH),
    Trial(name="power-loss", act=cables.power_loss, target=CRASH),
    Trial(name="mute", act=cables.mute, target=CRASH),
    Trial(name="deaf", act=cables.deaf, target=CRASH),
    _split(near=2, far=1, target=CRASH),
    _split(near=2, far=2, target=WITNESS),
    _split(near=3, far=2, target=CRASH),
    Trial(name="owner-cable-cut-2", act=halves.owners_cable_cut, target=WITNESS, least=_TWO, most=_TWO),
    Trial(
        name="two-nodes-one-dies",
        act=cables.power_loss,
        target=WITNESS,
        about="Of two nodes the owner dies, speaker, data path and links; and comes back.",
        least=_TWO,
        most=_TWO,
    ),
    Trial(
        name="two-nodes-one-dies-api-down",
        act=halves.one_of_two_dies_without_api,
        target=UNSERVED,
        least=_TWO,
        most=_TWO,
    ),
    Trial(name="segment-deleted", act=control.segment_deleted, target=REBORN, breaks=True),
    Trial(name="api-restored", act=control.api_restored, target=NOTHING, breaks=True),
    Trial(name="api-partition", act=control.api_partition, target=NOTHING),
    Trial(name="api-down", act=control.api_down, target=NOTHING),
    Trial(name="api-down-sigkill", act=control.sigkill_without_api, target=CRASH),
    Trial(name="start-while-api-down", act=control.start_without_api, target=CRASH),
    Trial(name="all-speakers-restarted", act=speakers.all_restarted, target=RESTART, least=1),
    Trial(name="endpoint-gone", act=changes.endpoint_gone, target=PLANNED),
    Trial(name="rolling-update", act=speakers.rolling_update, target=PLANNED, least=_TWO),
    Trial(name="rolling-update-2", act=speakers.rolling_update, target=PLANNED, least=_TWO, most=_TWO),
    Trial(
        name="members-changed",
        act=changes.members_changed,
        target=Target(planned=True, moves=3),
        spares=1,
        breaks=True,
    ),
    # For half a minute the owner looks for the other host, and defends no more than once in ten seconds.
    Trial(name="foreign-host", act=crowd.foreign_host, target=DEFENDED, least=1, breaks=True),
    Trial(name="arp-flood", act=crowd.arp_flood, target=CRASH),
)

BY_NAME: Final[Mapping[str, Trial]] = {each.name: each for each in TRIALS}
ALL: Final = "all"


def chosen(names: tuple[str, ...], nodes: int | None) -> tuple[Trial, ...]:
    """The trials that were asked for, in the table's order; of ``all`` those that take so many nodes.

    Args:
        names: of trials, or ``all``.
        nodes: how many there shall be; None = as each trial likes best.

    Raises:
        UsageError: there is no such trial, or it takes another number of nodes.
    """
    unknown = [each for each in names if each not in BY_NAME and each != ALL]
    if unknown:
        raise UsageError(f"there is no trial {unknown[0]!r}: `lbprovider lab trial --list` lists them")
    if ALL in names:
        return tuple(each for each in TRIALS if nodes is None or each.takes(nodes))
    wrong = [BY_NAME[each] for each in names if nodes is not None and not BY_NAME[each].takes(nodes)]
    if wrong:
        raise UsageError(f"--nodes {nodes}: trial {wrong[0].name} takes {wrong[0].nodes}")
    return tuple(each for each in TRIALS if each.name in names)


_USUAL: Final = 3


def nodes_of(trial: Trial, nodes: int | None) -> int:
    """How many nodes a trial gets: those asked for, else 3 where it takes so many."""
    if nodes is not None:
        return nodes
    return min(max(_USUAL, trial.least), trial.most)
