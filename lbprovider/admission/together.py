"""What objects of our kinds may not say together: pools that overlap, edits that strand live addresses.

Objects are typed, and each by itself has passed its schema and its CEL rules; what those can't see of a pool by itself
is said here too. Whoever calls gives the objects that count: pools of the controller's own namespace.

Promises: two pools overlap, and a pool covers an address or lets a Service in, exactly where the controller finds so
(``ipam.pools``). What an update leaves as it was is not refused again: a pool that overlaps or strands already can
still get labels, a status, or an edit that makes it better. What isn't known (a Service's labels) is not held against
anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from lbprovider.admission.fields import Refusal, refusals
from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.meta import to_builtins
from lbprovider.api.names import FORCE, IPAddress
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.api.resources import POOLS
from lbprovider.errors import InvalidObject
from lbprovider.ipam.pools import Pool, PoolSet, common, forced, overlap_within, read
from lbprovider.ipam.ranges import Range, merge, parse, subtract
from lbprovider.ipam.reasons import Reason, some

Labels = Mapping[str, str]
Lookup = Callable[[str], tuple[Labels, Labels] | None]
"""By a Service's ``namespace/name``: the labels of its namespace and its own; None where they aren't known."""


def pool(
    new: IPAddressPool | None,
    old: IPAddressPool | None,
    others: Iterable[IPAddressPool],
    held: Iterable[IPAllocationSpec] = (),
    services: Lookup | None = None,
) -> tuple[Refusal, ...]:
    """What speaks against making, editing or deleting a pool.

    Overlaps are refused always; what would strand live addresses is refused unless the pool is annotated
    ``lbprovider.io/force`` (the new object, for a deletion the old one).

    Args:
        new: as it would be stored; None for a deletion.
        old: as it is stored; None for a new pool.
        others: all pools that count; the one of this name is left out.
        held: what the IPAllocations say; looked at only where it matters.
        services: labels, by which a pinned pool lets Services in; without it nothing is said of pinning.
    """
    names = {each.metadata.name for each in (new, old) if each is not None}
    rest = tuple(each for each in others if each.metadata.name not in names)
    if new is not None and (wrong := (*_alone(new, old), *_overlapping(new, old, rest))):
        return wrong
    if old is None or forced(new or old) or (new is not None and new.spec == old.spec):
        return ()
    before, after = PoolSet.of((old, *rest)), PoolSet.of(rest if new is None else (new, *rest))
    return tuple(_said(new, old.metadata.name, _newly_stranded(old.metadata.name, before, after, held, services)))


def left_out(
    new: IPAddressPool,
    others: Iterable[IPAddressPool],
    held: Iterable[IPAllocationSpec],
    services: Lookup | None = None,
) -> tuple[Refusal, ...]:
    """What a pool strands of all that was given from it: where nothing tells what it was before, as with files.

    Args:
        new: the pool.
        others: as of ``pool``.
        held: as of ``pool``; it gave those that name it.
        services: as of ``pool``.
    """
    name = new.metadata.name
    if forced(new):
        return ()
    pools = PoolSet.of((new, *(each for each in others if each.metadata.name != name)))
    mine = ((address, spec) for address, spec in _live(held) if spec.pool == name)
    stranded = (
        _Stranded(at, shut_out) for at, spec in mine if (shut_out := _shut_out(pools.covering(at), spec, services))
    )
    return tuple(_said(new, name, stranded))


def advertisement(new: L2Advertisement, pools: Iterable[IPAddressPool]) -> tuple[Refusal, ...]:
    """The pools that it names and that aren't there: worth a warning, as they may come later.

    Args:
        new: as it would be stored.
        pools: all that count.
    """
    there = {each.metadata.name for each in pools}
    return tuple(
        Refusal(
            f"spec.ipAddressPools[{index}]",
            "is no IPAddressPool that is there: make it, or take the name out",
            name,
        )
        for index, name in enumerate(new.spec.ip_address_pools)
        if name not in there
    )


# --- overlaps


def _alone(new: IPAddressPool, old: IPAddressPool | None) -> Iterator[Refusal]:
    yield from refusals(POOLS.kind, to_builtins(new), None if old is None else to_builtins(old))
    if old is not None and old.spec.addresses == new.spec.addresses:
        return
    if overlap := overlap_within(_readable(new.spec.addresses)):
        yield Refusal("spec.addresses", overlap)


def _readable(entries: Iterable[str]) -> Iterator[Range]:
    for entry in entries:
        try:
            yield parse(entry, "spec.addresses")
        except InvalidObject:  # which is said already
            continue


def _overlapping(new: IPAddressPool, old: IPAddressPool | None, others: Sequence[IPAddressPool]) -> Iterator[Refusal]:
    """For each entry of its addresses the pools that it would share addresses with."""
    mine, before = read(new), None if old is None else read(old)
    if not isinstance(mine, Pool):
        return
    had = merge(before.every_piece()) if isinstance(before, Pool) else ()
    added = [left for piece in mine.every_piece() for left in subtract(piece, had)]
    shared: dict[int, list[str]] = {}
    for theirs in map(read, others) if added else ():
        if isinstance(theirs, Pool):
            for index, both in _shared_by_entry(mine.entries, added, theirs):
                shared.setdefault(index, []).append(f"{both} with IPAddressPool {theirs.name}")
    for index in sorted(shared):
        what = f"has addresses in common with other pools, {some(shared[index])}: take them out of one of the two"
        yield Refusal(f"spec.addresses[{index}]", what, new.spec.addresses[index])


def _shared_by_entry(entries: Sequence[Range], added: Iterable[Range], theirs: Pool) -> Iterator[tuple[int, Range]]:
    """The entries that share addresses with another pool, and the lowest such addresses of each."""
    taken = [(piece, theirs.name) for piece in sorted(theirs.every_piece())]
    lowest: dict[int, Range] = {}
    for piece in added:
        for other, _ in common(piece, taken):
            both = Range(piece.family, max(piece.first, other.first), min(piece.last, other.last))
            index = next(at for at, entry in enumerate(entries) if both.overlaps(entry))
            lowest[index] = min(both, lowest.get(index, both))
    yield from lowest.items()


# --- live addresses


@dataclass(frozen=True, slots=True)
class _Stranded:
    """An address, and the Services that hold it and would have it from no pool."""

    address: IPAddress
    services: tuple[ServiceClaim, ...]

    def __str__(self) -> str:
        return f"{self.address} ({some(claim.key for claim in self.services)})"


def _live(held: Iterable[IPAllocationSpec]) -> Iterator[tuple[IPAddress, IPAllocationSpec]]:
    for spec in held:
        try:
            address = ip_address(spec.address)
        except ValueError:  # such an IPAllocation is refused elsewhere, and nobody has its address
            continue
        yield address, spec


def _newly_stranded(
    name: str, before: PoolSet, after: PoolSet, held: Iterable[IPAllocationSpec], services: Lookup | None
) -> Iterator[_Stranded]:
    """The addresses of the pool of that name that it strands; of those that no pool allows already, none."""
    for address, spec in _live(held):
        had = before.covering(address)
        if had is None or had.name != name:
            continue
        already = _shut_out(had, spec, services)
        now = tuple(claim for claim in _shut_out(after.covering(address), spec, services) if claim not in already)
        if now:
            yield _Stranded(address, now)


def _shut_out(covering: Pool | None, spec: IPAllocationSpec, services: Lookup | None) -> tuple[ServiceClaim, ...]:
    """Who of those that hold an address may not have it of the pool that covers it."""
    if covering is None:
        return spec.services
    if covering.pinning is None or services is None:
        return ()
    known = ((claim, services(claim.key)) for claim in spec.services)
    return tuple(
        claim for claim, labels in known if labels is not None and not covering.open_to(claim.namespace, *labels)
    )


_FIELDS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.OUTSIDE_POOLS: "spec.addresses",
        Reason.EXCLUDED_ADDRESS: "spec.excludeAddresses",
        Reason.BUGGY_ADDRESS: "spec.avoidBuggyIPs",
    }
)
"""By what is said of an address that the pool doesn't cover: the field that leaves it out."""
_PINNING: Final = "spec.serviceAllocation"


def _said(new: IPAddressPool | None, name: str, stranded: Iterable[_Stranded]) -> Iterator[Refusal]:
    """One sentence for each field that takes addresses away."""
    by_field: dict[str, list[_Stranded]] = {}
    alone = None if new is None else PoolSet.of((new,))
    for each in sorted(stranded, key=lambda one: (one.address.version, int(one.address))):
        by_field.setdefault(_field(alone, each.address), []).append(each)
    for where, addresses in by_field.items():
        named = some(map(str, addresses))
        instead = (
            f"give them to another pool for these Services, delete the Services first, or annotate the pool {FORCE}: "
            f'"true" to do it all the same'
        )
        if new is None:
            yield Refusal(
                where, f"gives addresses that Services hold and no other pool allows them, {named}: {instead}", name
            )
        elif where == _PINNING:
            yield Refusal(where, f"shuts out Services that hold addresses, {named}: let them in, {instead}")
        else:
            yield Refusal(where, f"leaves out addresses that Services hold, {named}: put them back, {instead}")


def _field(alone: PoolSet | None, address: IPAddress) -> str:
    """The field that takes an address away; a pool that is gone has none but its name."""
    if alone is None:
        return "metadata.name"
    return _PINNING if alone.covering(address) else _FIELDS[alone.uncovered(address)[0]]
