"""MetalLB's objects as ours, and what is lost or different on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final, TypeVar

import msgspec

from lbprovider.admission import refusals
from lbprovider.api.core import Service
from lbprovider.api.meta import LabelSelector, Object, ObjectMeta, to_builtins
from lbprovider.api.names import IPAddress
from lbprovider.api.pool import IPAddressPool, L2Advertisement, L2AdvertisementSpec
from lbprovider.api.resources import ADVERTISEMENTS, POOLS, Resource
from lbprovider.deciding.pools import reach
from lbprovider.documents import carried, without_nulls
from lbprovider.documents.metallb import METALLB
from lbprovider.errors import InvalidObject
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import parse
from lbprovider.ipam.reasons import some
from lbprovider.ipam.request import shown_by
from lbprovider.migrating.sources import Metallb, Source

_LAYER2: Final = "layer2"

_TOOLS: Final = re.compile(
    r"(app\.kubernetes\.io/(managed-by|instance)|helm\.sh/.*|[a-z.]*(fluxcd|argoproj)\.io/.*|olm\..*)"
)
"""Labels by which a tool knows its own objects: it would take ours for one that it should delete or change."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

_MEANING: Final[Mapping[str, str]] = {
    "BGPPeer": "a router that MetalLB's speakers have a BGP session with",
    "BFDProfile": "how fast a BGP session notices that the other side is gone",
    "Community": "names of BGP communities",
}

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True)
class Left:
    """An object that can't be carried over.

    Args:
        what: as ``BGPPeer metallb-system/router``.
        meaning: what it is for, and what that means for addresses.
    """

    what: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Carried:
    """What is written, and what is not.

    Args:
        pools: ours.
        advertisements: ours; their statuses are empty.
        left: what can't be carried over.
        notes: what differs from what MetalLB was told, a sentence each.
        problems: what nothing can be made of; it is to be mended before anything is written.
        by_layer2: the pools that MetalLB announces by ARP and NDP.
        by_bgp: those that it announces by BGP.
        reach: the pools that each advertisement is for, by its name.
        legacy: the pools out of AddressPools of layer2: for these, MetalLB stops only with its speakers.
    """

    pools: tuple[IPAddressPool, ...]
    advertisements: tuple[L2Advertisement, ...]
    left: tuple[Left, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    by_layer2: frozenset[str]
    by_bgp: frozenset[str]
    reach: Mapping[str, frozenset[str]]
    legacy: frozenset[str]


@dataclass(slots=True)
class _Made:
    """What has been made so far."""

    namespace: str
    pools: list[IPAddressPool] = field(default_factory=list)
    advertisements: list[L2Advertisement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def carry(metallb: Metallb, namespace: str, services: Iterable[Service] = ()) -> Carried:
    """Makes ours of MetalLB's.

    Args:
        metallb: what it was told.
        namespace: that lbprovider runs in, where ours go.
        services: those that hold addresses: which of them share one across namespaces decides a field.
    """
    made = _Made(namespace)
    for source in metallb.pools:
        _take(made, source, source.raw, POOLS, made.pools)
    for source in metallb.advertisements:
        _take(made, source, source.raw, ADVERTISEMENTS, made.advertisements)
    legacy2, legacy_bgp = _take_legacy(metallb.legacy, made)
    made.pools = [_mended(pool, made) for pool in made.pools]
    made.pools = _across_namespaces(made.pools, services, made)
    _untooled(made)
    reached = {one.metadata.name: reach(one.spec, made.pools) for one in made.advertisements}
    announced = _reach_of_bgp(metallb, made.pools)
    by_bgp = frozenset().union(legacy_bgp, *announced.values())
    by_layer2 = frozenset().union(*reached.values())
    _check(made)
    for source in metallb.elsewhere:
        made.notes.append(f"{source} is not in MetalLB's namespace, where alone it would count: it is left out")
    left = (*_left(metallb, announced, by_layer2), *_left_of_pools(legacy_bgp))
    nowhere = sorted({pool.metadata.name for pool in made.pools} - by_layer2 - by_bgp)
    if nowhere:
        made.notes.append(f"no L2Advertisement is for {some(nowhere)}: nobody announces these addresses, then as now")
    return Carried(
        tuple(made.pools),
        tuple(made.advertisements),
        left,
        tuple(made.notes),
        tuple(made.problems),
        by_layer2,
        by_bgp,
        reached,
        legacy2,
    )


def _take(made: _Made, source: Source, raw: Mapping[str, Any], resource: Resource[T], into: list[T]) -> None:
    """One object of ours, made of one that is spelt as MetalLB's v1beta1."""
    fields = carried(raw)
    if fields is None:
        made.problems.append(f"{source.where}: {raw.get('apiVersion')} {source.kind} is no version that is known here")
        return
    fields.pop("apiVersion")
    fields.pop("kind")
    try:
        obj: T = msgspec.convert(without_nulls(fields), type=resource.type)
    except msgspec.ValidationError as error:
        made.problems.append(f"{source.where}: {error}")
        return
    if not obj.metadata.name:
        made.problems.append(f"{source.where}: metadata.name is missing")
        return
    name = _named(obj.metadata.name, source, made)
    if any(one.metadata.name == name for one in into):
        made.problems.append(f"{source.where}: there are two {resource.kind}s {name}; rename one of them")
        return
    # Annotations are tools' and people's notes on MetalLB's object, and none means anything to ours.
    metadata = ObjectMeta(name=name, namespace=made.namespace, labels=dict(obj.metadata.labels))
    into.append(msgspec.structs.replace(obj, metadata=metadata))


def _named(name: str, source: Source, made: _Made) -> str:
    """The name, or one like it that an object can have: the old ConfigMap took any."""
    if _NAME.fullmatch(name):
        return name
    new = re.sub(r"[^-a-z0-9.]+", "-", name.lower()).strip("-.") or "pool"
    made.notes.append(
        f"{source.where}: no object can be called {name!r}, so it is {new}; Services that name it in their annotation "
        "have to name that"
    )
    return new


def _take_legacy(sources: Sequence[Source], made: _Made) -> tuple[frozenset[str], frozenset[str]]:
    """AddressPools: a pool each, and an advertisement of its name where the protocol is layer2.

    Returns:
        The names of those of layer2, and of those of BGP.
    """
    layer2: set[str] = set()
    bgp: set[str] = set()
    for source in sources:
        spec = dict(source.spec)
        protocol = spec.pop("protocol", "")
        spec.pop("bgpAdvertisements", None)
        count = len(made.pools)
        _take(made, source, _as_v1beta1(POOLS.kind, source.raw.get("metadata"), spec), POOLS, made.pools)
        if len(made.pools) == count:
            continue
        name = made.pools[-1].metadata.name
        if protocol == _LAYER2:
            layer2.add(name)
            of_it = {"ipAddressPools": [name]}
            of_pool = _as_v1beta1(ADVERTISEMENTS.kind, {"name": name}, of_it)
            _take(made, source, of_pool, ADVERTISEMENTS, made.advertisements)
        elif protocol == "bgp":
            bgp.add(name)
        else:
            made.problems.append(f"{source.where} protocol: is {protocol!r}, and has to be layer2 or bgp")
    return frozenset(layer2), frozenset(bgp)


def _as_v1beta1(kind: str, metadata: Any, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"apiVersion": METALLB, "kind": kind, "metadata": metadata, "spec": spec}


def _mended(pool: IPAddressPool, made: _Made) -> IPAddressPool:
    """With entries as we take them, where MetalLB takes what says something else than it does."""
    where = f"IPAddressPool {pool.metadata.name}"
    kept: list[str] = []
    for entry in pool.spec.addresses:
        new = _entry(entry)
        if new is None:
            made.notes.append(f"{where}: {entry} mixes IPv4 and IPv6, gave no address at all, and is left out")
        elif new != entry:
            made.notes.append(f"{where}: {entry} is written as {new}, which is what MetalLB made of it")
        if new is not None:
            kept.append(new)
    return msgspec.structs.replace(pool, spec=msgspec.structs.replace(pool.spec, addresses=tuple(kept)))


def _entry(entry: str) -> str | None:
    """The entry in words that mean what MetalLB understood; None where that was nothing."""
    text = entry.strip()
    try:
        if "-" in text:
            first, last = (ip_address(part.strip()) for part in text.split("-", 1))
            return entry if first.version == last.version else None
        network = ip_network(text, strict=False)
    except ValueError:
        return entry  # what is wrong with it is said where it is checked
    return entry if "/" not in text or str(network) == text else str(network)


def _across_namespaces(pools: Sequence[IPAddressPool], services: Iterable[Service], made: _Made) -> list[IPAddressPool]:
    """Lets Services of several namespaces share where they do so now: MetalLB has no setting for it."""
    holders: dict[IPAddress, set[str]] = {}
    for service in services:
        for address in shown_by(service):
            holders.setdefault(address, set()).add(service.metadata.namespace)
    entries = PoolSet.of(pools)
    shared: dict[str, list[str]] = {}
    for address, namespaces in holders.items():
        pool = entries.covering(address)
        if len(namespaces) > 1 and pool is not None and not pool.across_namespaces:
            shared.setdefault(pool.name, []).append(f"{address} (of {', '.join(sorted(namespaces))})")
    for name, addresses in shared.items():
        made.notes.append(
            f"IPAddressPool {name} gets allowSharingAcrossNamespaces, for Services of several namespaces share "
            f"{some(addresses)}; take it away once they don't"
        )
    return [
        msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, allow_sharing_across_namespaces=True))
        if one.metadata.name in shared
        else one
        for one in pools
    ]


def _untooled(made: _Made) -> None:
    """Takes tools' labels away, save those that a selector of ours asks for."""
    asked = {key for one in made.advertisements for each in one.spec.ip_address_pool_selectors for key in _keys(each)}
    lost: set[str] = set()

    def labels(obj: Object) -> ObjectMeta:
        kept = {
            key: value for key, value in obj.metadata.labels.items() if key in asked or not _TOOLS.fullmatch(key)
        }  # fmt: skip
        lost.update(obj.metadata.labels.keys() - kept)
        return msgspec.structs.replace(obj.metadata, labels=kept)

    made.pools = [msgspec.structs.replace(one, metadata=labels(one)) for one in made.pools]
    made.advertisements = [msgspec.structs.replace(one, metadata=labels(one)) for one in made.advertisements]
    if lost:
        made.notes.append(
            f"the labels {some(sorted(lost))} are left out: the tool whose they are would take our objects for its own"
        )


def _keys(selector: LabelSelector) -> Iterator[str]:
    yield from selector.match_labels
    yield from (expression.key for expression in selector.match_expressions)


def _reach_of_bgp(metallb: Metallb, pools: Sequence[IPAddressPool]) -> dict[str, frozenset[str]]:
    """The pools of each BGPAdvertisement, which selects them as an L2Advertisement does; all where it can't be read."""
    found: dict[str, frozenset[str]] = {}
    for source in metallb.bgp:
        if source.kind == "BGPAdvertisement":
            chosen = {
                key: value for key, value in source.spec.items() if key in ("ipAddressPools", "ipAddressPoolSelectors")
            }
            try:
                spec = msgspec.convert(without_nulls(chosen), type=L2AdvertisementSpec)
            except msgspec.ValidationError:
                spec = L2AdvertisementSpec()
            found[str(source)] = reach(spec, pools)
    return found


def _check(made: _Made) -> None:
    """What is wrong with ours, each by itself and the pools together."""
    for pool in made.pools:
        if not pool.spec.addresses:
            made.problems.append(f"IPAddressPool {pool.metadata.name} has no address left; delete it in MetalLB")
        for entry in pool.spec.addresses:
            try:
                parse(entry, f"IPAddressPool {pool.metadata.name} spec.addresses")
            except InvalidObject as error:
                made.problems.append(str(error))
    if not made.problems:
        for found in PoolSet.of(made.pools).refused.values():
            made.problems.extend(one.message for one in found)
    for one in made.advertisements:
        made.problems.extend(
            f"L2Advertisement {one.metadata.name} {refusal.field}: {refusal.message}"
            for refusal in refusals(ADVERTISEMENTS.kind, to_builtins(one), None)
        )


def _left(metallb: Metallb, announced: Mapping[str, frozenset[str]], by_layer2: frozenset[str]) -> Iterator[Left]:
    for source in metallb.bgp:
        what = str(source)
        yield Left(what, _said_of_bgp(announced[what], by_layer2) if what in announced else _MEANING[source.kind])


def _left_of_pools(legacy_bgp: frozenset[str]) -> Iterator[Left]:
    for name in sorted(legacy_bgp):
        yield Left(f"AddressPool {name}, protocol bgp", _said_of_bgp(frozenset({name}), frozenset()))


def _said_of_bgp(pools: frozenset[str], by_layer2: frozenset[str]) -> str:
    if not pools:
        return "announces no pool by BGP"
    said = f"announces the pools {some(sorted(pools))} by BGP"
    alone = sorted(pools - by_layer2)
    return f"{said}; {some(alone)} by nothing else" if alone else f"{said}, and L2Advertisements do so too"
