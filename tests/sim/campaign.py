"""Random events against the rules: one round a seed. The checker in ``world`` looks after every step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lbprovider.election.guards import ALL, Guards
from lbprovider.election.segment import grown
from tests.sim.world import MS, SECOND, Net, World

ADDRESSES: Final = (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)), bytes.fromhex("20010db8000000000000000000000005"))
SPAN: Final = 6 * SECOND
QUIET: Final = 5 * SECOND
"""After the faults end: everything must have an owner again, Segment changes and restarts included."""


@dataclass
class Tally:
    """What a campaign went through."""

    events: int = 0
    rounds: int = 0
    unowned: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def play(seed: int, guards: Guards = ALL, *, nodes: int | None = None) -> World:
    """One round: a LAN of 1 to 5 nodes, six seconds of faults, then quiet."""
    world = build(seed, guards, nodes=nodes)
    world.start()
    actions = [action for action, weight in _ACTIONS for _ in range(weight)]
    while world.now < SPAN:
        world.run(world.random.randrange(1, 180 * MS))
        world.random.choice(actions)(world)
    return world


def calm(world: World) -> list[bytes]:
    """Ends all faults and waits; the addresses that then have no owner though somebody could be one."""
    world.heal()
    world.no_api.clear()
    world.net = Net(fsync=None if world.net.fsync is None else (MS, 20 * MS))
    for name, node in world.nodes.items():
        if node.member is None:
            world.start(name)
        elif node.paused:
            world.resume(name)
        world.inform(name)
        world.adopt(name, world.segment, quorum=True)
    world.run(QUIET)
    return [
        address for address, ranking in world.wishes.items() if _possible(world, ranking) and not world.owners(address)
    ]


def build(seed: int, guards: Guards, *, nodes: int | None) -> World:
    chance = random.Random(seed)  # noqa: S311  (a simulation)
    names = ("a", "b", "c", "d", "e")
    count = nodes or chance.randint(1, len(names))
    used = names[:count]
    members = used if chance.random() < 0.6 else used[: chance.randint(1, count)]
    net = Net(
        loss=chance.choice((0, 0, 0.02, 0.1, 0.3)),
        duplicates=chance.choice((0, 0.05)),
        late=chance.choice((0, 0, 0.02, 0.1)),
        watch=(5 * MS, chance.choice((50, 500, 3000)) * MS),
        timers=chance.choice((0, 1, 20)) * MS,
        fsync=chance.choice((None, (MS, 30 * MS), (50 * MS, 2 * SECOND))),
        torn=0.5,
    )
    world = World(
        used,
        seed=seed,
        guards=guards,
        members=members,
        drift=chance.choice((0, 9_000)),
        net=net,
        period=chance.choice((50, 50, 50, 100)) * MS,
    )
    for address in ADDRESSES[: world.random.randint(1, 3)]:
        world.wishes[address] = tuple(world.random.sample(used, world.random.randint(min(2, count), count)))
    return world


def _possible(world: World, ranking: tuple[str, ...]) -> bool:
    """Whether a node that may own the address is a member that doesn't drain; and more than half of all are up."""
    return any(node in world.segment.in_force.members and not _draining(world, node) for node in ranking)


def _draining(world: World, name: str) -> bool:
    member = world.nodes[name].member
    return member is not None and member._draining


def _cut_one_way(world: World) -> None:
    if len(world.nodes) > 1:
        one, other = world.random.sample(tuple(world.nodes), 2)
        world.cut((one, other))


def _isolate(world: World) -> None:
    names = tuple(world.nodes)
    world.isolate(*world.random.sample(names, world.random.randint(1, max(1, len(names) // 2))))


def _heal(world: World) -> None:
    world.heal()


def _pause(world: World) -> None:
    name = _pick(world)
    world.pause(name)
    world.at(world.now + world.random.randrange(20 * MS, 900 * MS), lambda: _resume(world, name))


def _resume(world: World, name: str) -> None:
    if world.nodes[name].paused:
        world.resume(name)


def _crash(world: World) -> None:
    name = _pick(world)
    if world.nodes[name].member is not None:
        world.crash(name)
        world.at(world.now + world.random.randrange(900 * MS), lambda: _restart(world, name))


def _restart(world: World, name: str) -> None:
    if world.nodes[name].member is None:
        rebooted = world.random.random() < 0.3
        # Now and then one that could reach the API server starts from its snapshot: C7 can't tell for sure.
        down = name in world.no_api or world.random.random() < 0.5
        world.start(name, reboot=rebooted, snapshot=down and world.nodes[name].disk.file is not None)


def _lose_disk(world: World) -> None:
    if world.net.fsync is not None:
        world.lose_disk(_pick(world), world.random.randrange(1500 * MS))


def _stale_restart(world: World) -> None:
    """Restarts, and sees an old version from a cache before the quorum read."""
    name = _pick(world)
    if world.nodes[name].member is not None:
        world.crash(name)
        world.start(name, read=world.random.choice(world.history), quorum=False)
        world.at(world.now + world.random.randrange(1500 * MS), lambda: _read(world, name))


def _read(world: World, name: str) -> None:
    world.adopt(name, world.segment, quorum=True)


def _drain(world: World) -> None:
    world.drain(_pick(world))


def _members(world: World) -> None:
    """Rule 16, with any target: safe for all of them."""
    if len(world.segment.lists) == 1:
        target = world.random.sample(tuple(world.nodes), world.random.randint(1, len(world.nodes)))
        period = world.random.choice((50, 50, 100)) * MS
        world.write(grown(world.segment, target, period))


def _api_cut(world: World) -> None:
    world.no_api.add(_pick(world))


def _api_heal(world: World) -> None:
    world.no_api.clear()


def _wish(world: World) -> None:
    address = world.random.choice(tuple(world.wishes))
    ranking = tuple(world.random.sample(tuple(world.nodes), world.random.randint(1, len(world.nodes))))
    some = [name for name in world.nodes if world.random.random() < 0.8]
    world.wish(address, *ranking, only=some)
    world.at(world.now + world.random.randrange(500 * MS), lambda: world.wish(address, *world.wishes[address]))


def _pick(world: World) -> str:
    return world.random.choice(tuple(world.nodes))


_ACTIONS: Final[tuple[tuple[Callable[[World], None], int], ...]] = (
    (_cut_one_way, 6),
    (_isolate, 4),
    (_heal, 6),
    (_pause, 4),
    (_crash, 2),
    (_stale_restart, 1),
    (_drain, 1),
    (_members, 3),
    (_api_cut, 1),
    (_api_heal, 1),
    (_wish, 4),
    (_lose_disk, 1),
)
