"""A rule as a row: pools, then what happens, with the addresses and the reasons that each Service is to have after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lbprovider.api.pool import IPAddressPool
from lbprovider.ipam.reasons import Refused
from tests.unit.ipam.builders import World

Step = Callable[[World], None]
Story = tuple[IPAddressPool | Step, ...]


def asks(name: str, expected: str, **given: Any) -> Step:
    """A Service as it is now is looked at, twice: the addresses and what is said of them, or why it has none."""

    def step(world: World) -> None:
        for look in ("first", "second"):
            decision = world.decide(name, **given)
            if isinstance(decision, Refused):
                got: list[str] = [decision.reason]
            else:
                got = [*map(str, decision.addresses), *(note.reason for note in decision.notes)]
            assert " ".join(got) == expected, f"{look} look at {name}: {decision}"

    return step


def edits(*pools: IPAddressPool) -> Step:
    """These are the pools now."""
    return lambda world: world.edit(*pools)


def goes(name: str, *, cools: str = "") -> Step:
    """The Service is deleted; its addresses cool down since then, or are free at once."""

    def step(world: World) -> None:
        held = world.ledger.held_by(f"uid-{name}")
        assert held, f"{name} holds nothing"
        for address in held:
            world.leave(f"uid-{name}", str(address), cools)

    return step


def says(name: str, *sentences: str, **given: Any) -> Step:
    """What is said of the Service has all of this in it."""

    def step(world: World) -> None:
        decision = world.decide(name, **given)
        said = decision.message if isinstance(decision, Refused) else " ".join(note.message for note in decision.notes)
        for sentence in sentences:
            assert sentence in said, said

    return step


def holds(*addresses: str) -> Step:
    """These are held, and no others."""

    def step(world: World) -> None:
        assert sorted(map(str, world.ledger)) == sorted(addresses)

    return step


def play(story: Story) -> None:
    """Tells the story, its pools first."""
    world = World(*(part for part in story if isinstance(part, IPAddressPool)))
    for part in story:
        if not isinstance(part, IPAddressPool):
            part(world)
