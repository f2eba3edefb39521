"""Shared addresses, indexed: the lowest one that a Service may join is found by halving, however many there are."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.ipam.pools import Pool
from lbprovider.ipam.ranges import Family, is_buggy
from lbprovider.ipam.request import Request
from lbprovider.ipam.sharing import port_keys, ports_of

Port = tuple[str, int]
_Group = tuple[Family, str, str, str]
"""Family, sharing key, backend key, and the namespace of all holders; the latter empty for whatever they are."""


@dataclass(slots=True)
class _Members:
    """Addresses of one group as sorted numbers: all, and by port those on which it is taken."""

    numbers: list[int] = field(default_factory=list)
    taken: dict[Port, list[int]] = field(default_factory=dict)


class SharedAddresses:
    """Addresses that have a sharing key and a Service."""

    def __init__(self) -> None:
        self._groups: dict[_Group, _Members] = {}

    def add(self, family: Family, number: int, spec: IPAllocationSpec) -> None:
        """Puts an address in; nothing happens where nobody may join it."""
        for group in _groups(family, spec):
            members = self._groups.setdefault(group, _Members())
            insort(members.numbers, number)
            for port in ports_of(spec.services):
                insort(members.taken.setdefault(port, []), number)

    def remove(self, family: Family, number: int, spec: IPAllocationSpec) -> None:
        """Takes an address out; ``spec`` is what it was put in with."""
        for group in _groups(family, spec):
            members = self._groups[group]
            _without(members.numbers, number)
            for port in ports_of(spec.services):
                _without(members.taken[port], number)
                if not members.taken[port]:
                    del members.taken[port]
            if not members.numbers:
                del self._groups[group]

    def joinable(self, request: Request, pool: Pool, family: Family) -> Joinable | None:
        """Those that the Service may join under the pool's rules; None where there are none of its key."""
        if not request.sharing_key:
            return None
        namespace = "" if pool.across_namespaces else request.namespace
        members = self._groups.get((family, request.sharing_key, request.backend_key, namespace))
        if members is None:
            return None
        taken = (members.taken.get(port) for port in port_keys(request.ports))
        return Joinable(members.numbers, tuple(filter(None, taken)), careful=pool.careful)


class Joinable:
    """Sorted addresses, less those on which one of some ports is taken.

    Args:
        numbers: the addresses.
        taken: for each of the ports, those on which it is taken.
        careful: IPv4 addresses that end in .0 or .255 are left out too.
    """

    __slots__ = ("_careful", "_numbers", "_taken")

    def __init__(self, numbers: list[int], taken: tuple[list[int], ...], *, careful: bool) -> None:
        self._numbers = numbers
        self._taken = taken
        self._careful = careful

    def lowest(self, family: Family, first: int, below: int) -> int:
        """The lowest of them from ``first`` on and under ``below``, else ``below``."""
        numbers = self._numbers
        at = bisect_left(numbers, first)
        while at < len(numbers) and (number := numbers[at]) < below:
            ahead = max((_run(numbers, at, taken) for taken in self._taken), default=0)
            if ahead:
                at += ahead
            elif self._careful and is_buggy(family, number):
                at += 1
            else:
                return number
        return below


def _run(numbers: list[int], at: int, part: list[int]) -> int:
    """How many of ``numbers`` from ``at`` on are in ``part`` without a gap; ``part`` has nothing else in it."""
    start = bisect_left(part, numbers[at])
    most = min(len(part) - start, len(numbers) - at)
    if not most or part[start] != numbers[at]:
        return 0
    if part[start + most - 1] == numbers[at + most - 1]:
        return most
    # As long as there was no gap, the k-th of the one is the k-th of the other.
    return bisect_left(range(most), 1, key=lambda k: part[start + k] != numbers[at + k])


def _groups(family: Family, spec: IPAllocationSpec) -> Iterable[_Group]:
    """Where an address is entered: under its holders' namespace if they are all of one, and under none."""
    if not spec.services or not spec.sharing_key or spec.set_aside_at:
        return
    yield (family, spec.sharing_key, spec.backend_key, "")
    namespaces = {claim.namespace for claim in spec.services}
    if len(namespaces) == 1:
        yield (family, spec.sharing_key, spec.backend_key, namespaces.pop())


def _without(numbers: list[int], number: int) -> None:
    del numbers[bisect_left(numbers, number)]
