"""A round of the campaign as data: it can be played again, made shorter, and written in one line of a file."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tests.sim.world import MS, SECOND

NAMES: Final = ("a", "b", "c", "d", "e")
ADDRESSES: Final = (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)), bytes.fromhex("20010db8000000000000000000000005"))
SPAN: Final = 6_000
"""Milliseconds of faults in a round."""

Argument = str | int | bool | tuple[str, ...]


class Action(msgspec.Struct, frozen=True, array_like=True):
    """One thing that happens, ``at`` milliseconds: a verb of ``verbs`` and what it is about."""

    at: float
    verb: str
    args: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        args = ", ".join(",".join(one) if isinstance(one, tuple) else str(one) for one in self.args)
        return f"{self.at:9.3f} ms  {self.verb} {args}"


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """The LAN that a round is played on. Times in ms, chances per message, ``drift`` in ppm."""

    nodes: int
    members: int
    rankings: tuple[tuple[str, ...], ...]
    loss: float = 0
    duplicates: float = 0
    late: float = 0
    watch: int = 50
    timers: int = 0
    fsync: tuple[int, int] | None = None
    drift: int = 0
    period: int = 50
    last_resort: bool = False
    """Fewer than half may serve (rule 19): two owners are allowed then, on both sides of it."""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A round: ``seed`` is for what the network does to each message."""

    seed: int
    setup: Setup
    actions: tuple[Action, ...]
    why: str = ""

    def line(self) -> str:
        """As a line of ``regressions.jsonl``."""
        return msgspec.json.encode(self).decode()

    def __str__(self) -> str:
        return "\n".join((f"seed {self.seed}, {self.setup}", *map(str, self.actions)))


def parse(line: str) -> Script:
    """A line of ``regressions.jsonl``."""
    return msgspec.json.decode(line, type=Script)


def written(seed: int, nodes: int) -> Script:
    """The round of a seed: a LAN of so many nodes, and what happens on it."""
    chance = random.Random(f"{seed}/{nodes}")  # noqa: S311  (a simulation)
    setup = _setup(chance, nodes)
    actions: list[Action] = []
    at = 0.0
    verbs = [verb for verb, weight in _WEIGHTS.items() for _ in range(weight)]
    pace = chance.choice(_PACES)
    if chance.random() < _DUELS:
        setup, pace = msgspec.structs.replace(setup, last_resort=True, members=nodes), 4000
        actions += _duel(chance, NAMES[:nodes])
    while at < SPAN:
        at += chance.uniform(0.001, pace)
        actions += _act(chance, chance.choice(verbs), round(at, 3), NAMES[:nodes], len(setup.rankings))
    return Script(seed=seed, setup=setup, actions=tuple(sorted(actions, key=lambda one: one.at)))


def _setup(chance: random.Random, nodes: int) -> Setup:
    names = NAMES[:nodes]
    return Setup(
        nodes=nodes,
        members=nodes if chance.random() < 0.6 else chance.randint(1, nodes),
        rankings=tuple(
            tuple(chance.sample(names, chance.randint(min(2, nodes), nodes))) for _ in range(chance.randint(1, 3))
        ),
        loss=chance.choice((0, 0, 0.02, 0.1, 0.3)),
        duplicates=chance.choice((0, 0.05)),
        late=chance.choice((0, 0, 0.02, 0.1)),
        watch=chance.choice((50, 500, 3000)),
        timers=chance.choice((0, 1, 20)),
        fsync=chance.choice((None, (1, 30), (50, 2000))),
        drift=chance.choice((0, 9_000)),
        period=chance.choice((50, 50, 50, 100)),
        last_resort=chance.random() < 0.2,
    )


_WEIGHTS: Final = {
    "cut": 6, "isolate": 4, "heal": 6, "pause": 4, "crash": 2, "stale": 1, "drain": 2, "leave": 1, "hand": 2, "vain": 2,
    "unusable": 1, "members": 3, "api_cut": 1, "api_heal": 1, "wish": 4, "lose_disk": 1, "blind": 2, "deleted": 1,
    "backup": 1, "stray": 1, "split": 2,
}  # fmt: skip


_PACES: Final = (180, 180, 1800)
"""Milliseconds to the next action at most: what takes its time, as C9 and rule 19 do, needs some peace."""
_DUELS: Final = 0.15
"""Of all rounds: a LAN in two halves for long, which the random ones hardly ever leave alone for long enough."""
_FRESH: Final = (False, False)
"""Neither rebooted nor from the snapshot."""


class _Scene:
    """Draws what an action is about."""

    def __init__(self, chance: random.Random, at: float, names: tuple[str, ...], addresses: int) -> None:
        self.chance, self.at, self.names, self.addresses = chance, at, names, addresses
        self.name = chance.choice(names)
        self.address = chance.randrange(addresses)

    def some(self, most: int) -> tuple[str, ...]:
        return tuple(self.chance.sample(self.names, self.chance.randint(1, max(1, most))))

    def each(self, likely: float) -> tuple[str, ...]:
        return tuple(name for name in self.names if self.chance.random() < likely)

    def do(self, verb: str, *args: Argument, after: float = 0) -> Action:
        later = self.chance.uniform(after / 50, after) if after else 0
        return Action(round(self.at + later, 3), verb, args)

    def pair(self) -> tuple[str, ...]:
        return tuple(self.chance.sample(self.names, 2)) if len(self.names) > 1 else (self.name, self.name)


def _act(chance: random.Random, verb: str, at: float, names: tuple[str, ...], addresses: int) -> Sequence[Action]:
    """The action, and what ends it again."""
    one = _Scene(chance, at, names, addresses)
    half, all_ = len(names) // 2, len(names)
    made: dict[str, Callable[[], Sequence[Action]]] = {
        "cut": lambda: [one.do("cut", *one.pair())],
        "isolate": lambda: [one.do("isolate", one.some(half))],
        "split": lambda: [
            one.do("isolate", one.some(half)), one.do("blind", one.some(all_)), one.do("heal", after=4000),
        ],
        "pause": lambda: [one.do("pause", one.name), one.do("resume", one.name, after=900)],
        "crash": lambda: [
            one.do("crash", one.name),
            one.do("start", one.name, chance.random() < 0.3, chance.random() < 0.5, after=900),
        ],
        "stale": lambda: [one.do("stale", one.name, chance.randrange(10))],
        "drain": lambda: [one.do("drain", one.name), one.do("undrain", one.name, after=3000)],
        "leave": lambda: [one.do("leave", one.name), one.do("start", one.name, *_FRESH, after=3000)],
        "hand": lambda: [one.do("hand", one.name, one.address, chance.choice(("", *names)))],
        "vain": lambda: [one.do("cut", *(pair := one.pair())), one.do("hand", pair[1], one.address, pair[0])],
        "unusable": lambda: [one.do("unusable", one.name), one.do("usable", one.name, after=2000)],
        "members": lambda: [one.do("members", one.some(all_), chance.choice((50, 50, 100)))],
        "wish": lambda: [
            one.do("wish", one.address, one.some(all_), one.each(0.8)), one.do("tell", one.address, after=500),
        ],
        "lose_disk": lambda: [one.do("lose_disk", one.name, chance.randrange(1, 1500))],
        "blind": lambda: [one.do("blind", one.each(0.4))],
        "stray": lambda: [one.do("stray", one.name, chance.choice(("cluster", "segment", "node")))],
        "api_cut": lambda: [one.do("api_cut", one.some(all_))],
        "api_heal": lambda: [one.do("api_heal")],
        "deleted": lambda: [one.do("deleted")],
        "backup": lambda: [one.do("backup", chance.randrange(5))],
        "heal": lambda: [one.do("heal")],
    }  # fmt: skip
    return made[verb]()


def _duel(chance: random.Random, names: tuple[str, ...]) -> Sequence[Action]:
    """One half against the other: at first nobody sees a neighbour, or only one half has the API server."""
    mixed = chance.sample(names, len(names))
    half, rest = tuple(mixed[: len(names) // 2]), tuple(mixed[len(names) // 2 :])
    at = chance.uniform(500, 1500)
    begin = Action(at, "isolate", (half,)) if half else Action(at, "heal")
    cut = Action(at, "blind", (names,)) if len(half) == len(rest) else Action(at, "api_cut", (rest,))
    later = Action(at + chance.uniform(1500, 3000), "blind", (chance.choice((half, rest)),))
    return [begin, cut, later, Action(at + chance.uniform(4000, 9000), "heal")]


def span(script: Script) -> int:
    """When the last thing happens, ns."""
    last = max((one.at for one in script.actions), default=0)
    return max(SPAN * MS, int(last * MS)) if script.actions else SECOND
