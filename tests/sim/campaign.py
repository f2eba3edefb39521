"""Random events against the rules: one round a seed. The checker in ``world`` looks after every step.

A round is written first and played then, so that one which fails can be made as short as it gets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import msgspec

from lbprovider.election.guards import ALL, Guards
from tests.sim.outlook import Outlook
from tests.sim.script import ADDRESSES, NAMES, Action, Script, span
from tests.sim.verbs import VERBS
from tests.sim.world import MS, SECOND, Net, Violation, World

QUIET: Final = 8 * SECOND
"""After the faults end: everything must have an owner again, Segment changes and restarts included."""
LEASE: Final = 200 * MS
GONE: Final = SECOND
"""Leases are written more often here than in life, and count as still for sooner: rounds are short."""


class Unowned(AssertionError):
    """Long after all faults have ended nobody answers for an address."""


@dataclass
class Played:
    """What a round came to."""

    events: int = 0
    counts: Counter[str] = field(default_factory=Counter)


def play(script: Script, guards: Guards = ALL) -> Played:
    """Plays a round, ends all faults, and waits.

    Raises:
        Violation: two owners.
        Unowned: none in the end.
    """
    world, outlook = _build(script, guards)
    world.start()
    for action in script.actions:
        world.at(int(action.at * MS), partial(_do, world, outlook, action))
    world.run(span(script))
    _calm(world, outlook)
    unowned = [
        address for address, ranking in world.wishes.items() if _possible(world, ranking) and not world.owners(address)
    ]
    if unowned:
        raise Unowned(f"seed {script.seed}: nobody answers for {unowned}\n{world.trace()}")
    return Played(world.events, world.counts)


def fails(script: Script, guards: Guards = ALL) -> str:
    """How the round fails, with its trace; empty where it doesn't."""
    try:
        play(script, guards)
    except AssertionError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def shortest(script: Script, failing: Callable[[Script], bool]) -> Script:
    """The script without whatever it fails without, action by action (ddmin), then with a quieter LAN."""
    actions: Sequence[Action] = script.actions
    pieces = 2
    while actions:
        size = -(-len(actions) // pieces)
        for start in range(0, len(actions), size):
            fewer = (*actions[:start], *actions[start + size :])
            if failing(msgspec.structs.replace(script, actions=fewer)):
                actions, pieces = fewer, max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces = min(len(actions), 2 * pieces)
    script = msgspec.structs.replace(script, actions=tuple(actions))
    for quieter in _QUIETER:
        plain = msgspec.structs.replace(script, setup=msgspec.structs.replace(script.setup, **quieter))
        if plain != script and failing(plain):
            script = plain
    return script


_QUIETER: Final[tuple[dict[str, object], ...]] = (
    {"loss": 0.0}, {"duplicates": 0.0}, {"late": 0.0}, {"drift": 0}, {"timers": 0}, {"fsync": None}, {"watch": 50},
    {"period": 50}, {"last_resort": False},
)  # fmt: skip


def report(script: Script, guards: Guards = ALL) -> str:
    """What to print of a script that fails: the shortest one that fails as it does, its trace, and the line to keep."""
    how = fails(script, guards)
    kind = how.partition(":")[0]
    least = shortest(script, lambda one: fails(one, guards).partition(":")[0] == kind)
    return "\n".join((
        f"seed {script.seed}, {script.setup.nodes} nodes: {how.splitlines()[0]}",
        f"the shortest script that fails like this ({len(least.actions)} of {len(script.actions)} actions):",
        str(least), "", fails(least, guards), "",
        "add this line to tests/sim/regressions.jsonl, with the reason in why:", least.line(),
    ))  # fmt: skip


def _build(script: Script, guards: Guards) -> tuple[World, Outlook]:
    setup = script.setup
    used = NAMES[: setup.nodes]
    net = Net(
        loss=setup.loss,
        duplicates=setup.duplicates,
        late=setup.late,
        watch=(5 * MS, setup.watch * MS),
        timers=setup.timers * MS,
        fsync=None if setup.fsync is None else (setup.fsync[0] * MS, setup.fsync[1] * MS),
        torn=0.5,
    )
    world = World(
        used, seed=script.seed, guards=guards, members=used[: setup.members], drift=setup.drift, net=net,
        period=setup.period * MS,
    )  # fmt: skip
    world.wishes.update(zip(ADDRESSES, setup.rankings, strict=False))
    return world, Outlook(world, blind=set(), lease=LEASE, gone=GONE if setup.last_resort else None)


def _do(world: World, outlook: Outlook, action: Action) -> None:
    VERBS[action.verb](world, outlook, *action.args)


def _calm(world: World, outlook: Outlook) -> None:
    """Ends all faults. Who was cut from the API server reads what it missed."""
    world.heal()
    world.no_api.clear()
    outlook.blind, outlook.over = set(), True
    world.net = replace(world.net, loss=0, duplicates=0, late=0, timers=0, watch=(5 * MS, 50 * MS))
    if world.net.fsync is not None:
        world.net = replace(world.net, fsync=(MS, 20 * MS))
    world.run(100 * MS)
    for name, node in world.nodes.items():
        if node.member is None:
            world.start(name)
        elif node.paused:
            world.resume(name)
        world.undrain(name)
        world.candidate(name, usable=True)
        world.inform(name)
        world.adopt(name, world.segment, quorum=True)
    world.run(QUIET)


def _possible(world: World, ranking: tuple[str, ...]) -> bool:
    """Whether a node that may own the address is a member."""
    return any(node in world.segment.in_force.members for node in ranking)


__all__ = ["Played", "Unowned", "Violation", "fails", "play", "report", "shortest"]
