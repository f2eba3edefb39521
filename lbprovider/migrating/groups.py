"""What is handed over at once: pools, and all L2Advertisements that are for them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Pools that no L2Advertisement ties to any other.

    Args:
        pools: their names, sorted.
        advertisements: the names of the L2Advertisements, sorted.
    """

    pools: tuple[str, ...]
    advertisements: tuple[str, ...]


def groups(reach: Mapping[str, frozenset[str]], *, together: bool) -> tuple[Group, ...]:
    """The smallest sets that can be handed over one after the other.

    An L2Advertisement is shut as a whole, so all its pools go together, and all L2Advertisements of each of them.

    Args:
        reach: the pools of each L2Advertisement.
        together: everything at once, as it can't be shut in parts.
    """
    found: list[tuple[set[str], set[str]]] = []
    for name, pools in sorted(reach.items()):
        met = [one for one in found if one[0] & pools or together]
        found = [one for one in found if one not in met]
        found.append(({*pools}.union(*(one[0] for one in met)), {name}.union(*(one[1] for one in met))))
    made = (Group(tuple(sorted(pools)), tuple(sorted(names))) for pools, names in found if pools)
    return tuple(sorted(made, key=lambda one: one.pools))
