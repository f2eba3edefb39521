"""What the admin offers: all IPAddressPools of the controller's namespace, read, checked and frozen."""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import msgspec

from lbprovider.api.meta import LabelExpression, LabelSelector
from lbprovider.api.names import FORCE, IPAddress
from lbprovider.api.pool import IPAddressPool, ServiceAllocation
from lbprovider.errors import InvalidObject
from lbprovider.ipam import ranges
from lbprovider.ipam.ranges import FAMILIES, Family, Range, family_of
from lbprovider.ipam.reasons import Reason, some

_UNITS: Final = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+|0", re.ASCII)
_LONGEST_DURATION: Final = 16
"""Characters, as in the CRD; Python refuses to make a number of thousands of digits."""
_PART: Final = re.compile(r"(\d+)(?:\.(\d+))?(ns|us|µs|ms|s|m|h)", re.ASCII)

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

_TAKES_VALUES: Final[Mapping[str, bool]] = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}
"""The operators of a label selector, and whether ``values`` goes with them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a pool is refused.

    Args:
        reason: ``INVALID_ENTRY``, ``INVALID_SPEC``, ``OVERLAPPING`` or ``DUPLICATE_NAME``.
        message: one sentence a cluster admin can act on.
    """

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool that counts.

    Args:
        name: of the IPAddressPool.
        entries: ``spec.addresses`` as given.
        pieces: by family, in the order of ``spec.addresses``, excludes taken out.
        careful: IPv4 addresses that end in .0 or .255 are left out too (avoidBuggyIPs).
        auto_assign: whether Services that don't ask for it get addresses from it.
        pinning: ``spec.serviceAllocation``.
        reuse_after: nanoseconds that a freed address is left alone while others are free.
        across_namespaces: whether Services of several namespaces may share an address.
        forced: ``lbprovider.io/force``: addresses that an edit uncovered are let go.
    """

    name: str
    entries: tuple[Range, ...]
    pieces: Mapping[Family, tuple[Range, ...]]
    careful: bool
    auto_assign: bool
    pinning: ServiceAllocation | None
    reuse_after: int
    across_namespaces: bool
    forced: bool

    def size(self, family: Family) -> int:
        """How many addresses of the family it can give, exact."""
        return sum(
            piece.size - (ranges.buggy_within(piece) if self.careful else 0) for piece in self.pieces.get(family, ())
        )

    def every_piece(self) -> Iterator[Range]:
        """Its pieces of both families."""
        return (piece for pieces in self.pieces.values() for piece in pieces)

    def open_to(self, namespace: str, namespace_labels: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        """Whether its pinning lets a Service in.

        Namespaces (by name or selector) and Service selectors must both match where both are given. A list of selectors
        that matches nothing lets nobody in.
        """
        pin = self.pinning
        if pin is None:
            return True
        by_namespace = bool(pin.namespaces or pin.namespace_selectors)
        return (
            not by_namespace
            or namespace in pin.namespaces
            or any(selector.matches(namespace_labels) for selector in pin.namespace_selectors)
        ) and (not pin.service_selectors or any(selector.matches(labels) for selector in pin.service_selectors))

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """Sorts pools in the order tried: pinned ones by rising priority (0 = none, last), then general, then name."""
        priority = self.pinning.priority if self.pinning else 0
        return (self.pinning is None, priority == 0, priority, self.name)


@dataclass(frozen=True, slots=True)
class PoolSet:
    """The pools that count, in the order in which they are tried, and what is wrong with the others.

    Args:
        pools: by name, in the order of ``Pool.rank``.
        refused: by name: pools that count for nothing, and why. (Of two of one name the first may still count.)
        places: by family: first addresses, sorted, and the piece and pool that begin there.
    """

    pools: Mapping[str, Pool]
    refused: Mapping[str, tuple[Problem, ...]]
    places: Mapping[Family, tuple[Sequence[int], Sequence[tuple[Range, Pool]]]] = field(repr=False)

    @classmethod
    def of(cls, pools: Iterable[IPAddressPool]) -> PoolSet:
        """Reads pools of one namespace; a bad one is refused as a whole and never stops the others.

        Of two pools that overlap, the one created first counts (then the first by name), and the other is refused.
        """
        accepted: dict[str, Pool] = {}
        refused: dict[str, tuple[Problem, ...]] = {}
        taken: list[tuple[Range, str]] = []
        for source in sorted(pools, key=_age):
            name = source.metadata.name
            if name in accepted or name in refused:
                problem = Problem(Reason.DUPLICATE_NAME, f"IPAddressPool {name} is there twice; keep one of them.")
                refused[name] = (*refused.get(name, ()), problem)
                continue
            found = read(source)
            if isinstance(found, Pool):
                found = _clash(found, taken) or found
            if isinstance(found, Pool):
                accepted[name] = found
                for piece in found.every_piece():
                    insort(taken, (piece, name))
            else:
                refused[name] = found
        return cls(
            MappingProxyType({pool.name: pool for pool in sorted(accepted.values(), key=lambda pool: pool.rank)}),
            MappingProxyType(refused),
            MappingProxyType({family: _places(family, accepted, taken) for family in FAMILIES}),
        )

    def covering(self, address: IPAddress) -> Pool | None:
        """The pool that may give this address: in its ranges, not excluded, not buggy where that is avoided."""
        family, number = family_of(address), int(address)
        firsts, places = self.places[family]
        at = bisect_right(firsts, number) - 1
        if at < 0 or number not in places[at][0]:
            return None
        pool = places[at][1]
        return None if pool.careful and ranges.is_buggy(family, number) else pool

    def uncovered(self, address: IPAddress) -> tuple[Reason, str]:
        """Why no pool may give this address, as a reason and a sentence."""
        family, number = family_of(address), int(address)
        for pool in self.pools.values():
            if not any(entry.family == family and number in entry for entry in pool.entries):
                continue
            if pool.careful and ranges.is_buggy(family, number):
                return Reason.BUGGY_ADDRESS, (
                    f"{address} ends in .{number & 255}, which pool {pool.name} leaves out (avoidBuggyIPs); "
                    f"ask for another address."
                )
            return Reason.EXCLUDED_ADDRESS, (
                f"{address} is left out by excludeAddresses of pool {pool.name}; ask for another address."
            )
        hint = f" that counts (refused: {some(sorted(self.refused))})" if self.refused else ""
        advice = "add it to one, or ask for another address"
        return Reason.OUTSIDE_POOLS, f"{address} is in no IPAddressPool{hint}; {advice}."


def _age(pool: IPAddressPool) -> tuple[bool, str, str]:
    """The older first; one that isn't created yet (no time) is the youngest."""
    created = pool.metadata.creation_timestamp
    return (not created, created, pool.metadata.name)


def _places(
    family: Family, pools: Mapping[str, Pool], taken: Sequence[tuple[Range, str]]
) -> tuple[Sequence[int], Sequence[tuple[Range, Pool]]]:
    mine = tuple((piece, pools[name]) for piece, name in taken if piece.family == family)
    return tuple(piece.first for piece, _ in mine), mine


def _clash(pool: Pool, taken: Sequence[tuple[Range, str]]) -> tuple[Problem, ...]:
    """Overlaps with pools that go before it; ``taken`` is sorted, and its ranges are disjoint."""
    problems: dict[str, Problem] = {}
    for piece in pool.every_piece():
        for other, name in common(piece, taken):
            if name not in problems:
                problems[name] = Problem(
                    Reason.OVERLAPPING,
                    f"{piece} overlaps {other} of IPAddressPool {name}, which is older or first by name and counts; "
                    f"take the common addresses out of one of them.",
                )
    return tuple(problems.values())


def common(piece: Range, taken: Sequence[tuple[Range, str]]) -> Iterator[tuple[Range, str]]:
    """The ranges, and whose they are, that have addresses in common with this one: the highest first.

    Args:
        piece: of one pool, what it excludes taken out: two pools overlap where these do.
        taken: of others, sorted and disjoint.
    """
    at = bisect_right(taken, (piece.family, piece.last), key=lambda place: (place[0].family, place[0].first))
    while at and piece.overlaps(taken[at - 1][0]):
        at -= 1
        yield taken[at]


def overlap_within(entries: Iterable[Range]) -> str:
    """What is wrong where two entries of one pool have addresses in common, empty where none do."""
    pair = ranges.first_overlap(entries)
    return f"{pair[0]} and {pair[1]} overlap; keep each address in one entry" if pair else ""


def forced(pool: IPAddressPool) -> bool:
    """Whether its edits are followed even where they take the address of a live Service away."""
    return pool.metadata.annotations.get(FORCE, "false") != "false"


def read(source: IPAddressPool) -> Pool | tuple[Problem, ...]:
    """The pool, or all that is wrong with it by itself."""
    spec, where = source.spec, f"IPAddressPool {source.key}"
    problems: list[Problem] = []
    entries = _entries(spec.addresses, f"{where} spec.addresses", problems)
    excludes = _entries(spec.exclude_addresses, f"{where} spec.excludeAddresses", problems)
    if not source.metadata.name:
        problems.append(Problem(Reason.INVALID_SPEC, "An IPAddressPool has no metadata.name; give it one."))
    if not spec.addresses:
        advice = "add a CIDR, a range start-end or an address"
        problems.append(Problem(Reason.INVALID_ENTRY, f"{where} spec.addresses: is empty; {advice}."))
    if overlap := overlap_within(entries):
        problems.append(Problem(Reason.OVERLAPPING, f"{where} spec.addresses: {overlap}."))
    reuse_after = 0
    try:
        reuse_after = duration(spec.reuse_after, f"{where} spec.reuseAfter")
    except InvalidObject as error:
        problems.append(Problem(Reason.INVALID_SPEC, f"{error}."))
    try:
        _check_pinning(spec.service_allocation, f"{where} spec.serviceAllocation")
    except InvalidObject as error:
        problems.append(Problem(Reason.INVALID_SPEC, f"{error}."))
    if problems:
        return tuple(problems)
    holes = ranges.merge(excludes)
    left = [piece for entry in entries for piece in ranges.subtract(entry, holes)]
    return Pool(
        name=source.metadata.name,
        entries=tuple(entries),
        pieces=MappingProxyType(
            {
                family: tuple(piece for piece in left if piece.family == family)
                for family in FAMILIES
                if any(entry.family == family for entry in entries)
            }
        ),
        careful=spec.avoid_buggy_ips,
        auto_assign=spec.auto_assign,
        pinning=spec.service_allocation,
        reuse_after=reuse_after,
        across_namespaces=spec.allow_sharing_across_namespaces,
        forced=forced(source),
    )


def _entries(texts: Sequence[str], where: str, problems: list[Problem]) -> list[Range]:
    found = []
    for index, text in enumerate(texts):
        try:
            found.append(ranges.parse(text, f"{where}[{index}]"))
        except InvalidObject as error:
            problems.append(Problem(Reason.INVALID_ENTRY, f"{error}."))
    return found


def duration(text: str, where: str) -> int:
    """Nanoseconds of a duration as Kubernetes writes it: ``90s``, ``10m``, ``1h30m``, ``0``.

    Raises:
        InvalidObject: it isn't one.
    """
    if len(text) > _LONGEST_DURATION or not _DURATION.fullmatch(text):
        raise InvalidObject(where, "is no duration: write one as 90s, 10m or 1h30m", value=text)
    total = 0
    for whole, fraction, unit in _PART.findall(text):
        total += int(whole + fraction) * _UNITS[unit] // 10 ** len(fraction)
    return total


def _check_pinning(pin: ServiceAllocation | None, where: str) -> None:
    """Refuses what can only be a slip of the pen: the same thing twice, operators that don't go with their values."""
    if pin is None:
        return
    _once(pin.namespaces, f"{where}.namespaces")
    for index, namespace in enumerate(pin.namespaces):
        check_namespace(namespace, f"{where}.namespaces[{index}]")
    for name, selectors in (
        ("namespaceSelectors", pin.namespace_selectors),
        ("serviceSelectors", pin.service_selectors),
    ):
        _once(selectors, f"{where}.{name}")
        for index, selector in enumerate(selectors):
            check_selector(selector, f"{where}.{name}[{index}]")


def check_namespace(name: str, where: str) -> None:
    """Refuses what no namespace can be called (an RFC 1123 label).

    Raises:
        InvalidObject: as it says.
    """
    if not _NAMESPACE.fullmatch(name):
        raise InvalidObject(where, "is no name of a namespace: lower-case letters, digits and dashes", value=name)


def check_selector(selector: LabelSelector, where: str) -> None:
    """Refuses a selector that repeats itself or that Kubernetes wouldn't take.

    Raises:
        InvalidObject: an expression or value twice, an unknown operator, values that don't go with it.
    """
    _once(selector.match_expressions, f"{where}.matchExpressions")
    for index, expression in enumerate(selector.match_expressions):
        place = f"{where}.matchExpressions[{index}]"
        check_expression(expression, place)
        _once(expression.values, f"{place}.values")


def check_expression(expression: LabelExpression, where: str) -> None:
    """Refuses an operator that is unknown, or whose values are missing or too many.

    Raises:
        InvalidObject: as it says.
    """
    takes_values = _TAKES_VALUES.get(expression.operator)
    if takes_values is None:
        known = ", ".join(_TAKES_VALUES)
        raise InvalidObject(where, f"operator {expression.operator!r} is unknown", f"use one of {known}")
    if takes_values != bool(expression.values):
        need = "needs values" if takes_values else "takes no values"
        raise InvalidObject(where, f'operator {expression.operator} on "{expression.key}" {need}')


def _once(items: Iterable[str | msgspec.Struct], where: str) -> None:
    seen = set()
    for index, item in enumerate(items):
        key = msgspec.json.encode(item, order="deterministic")
        if key in seen:
            raise InvalidObject(f"{where}[{index}]", "is there twice", "remove one")
        seen.add(key)
