"""What a migration comes to, for people and for ``kubectl apply``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from lbprovider.api.meta import Object, to_builtins
from lbprovider.api.names import IPAddress
from lbprovider.api.resources import ADVERTISEMENTS, POOLS, Resource
from lbprovider.migrating.carrying import Carried
from lbprovider.migrating.migration import Step
from lbprovider.migrating.outlook import Prospect


def manifests(carried: Carried) -> str:
    """What is written, as YAML."""
    objects = [
        *(_manifest(POOLS, one) for one in carried.pools),
        *(_manifest(ADVERTISEMENTS, one) for one in carried.advertisements),
    ]
    return yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True)


def _manifest(resource: Resource[Any], obj: Object) -> dict[str, Any]:
    fields = _plain(to_builtins(obj))
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": fields["metadata"],
        # An L2Advertisement for everything says nothing at all.
        "spec": fields.get("spec", {}),
    }


def _plain(value: Any) -> Any:
    """Tuples as lists, which is what YAML has."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def outlook(carried: Carried, found: Sequence[Prospect]) -> Iterator[str]:
    """Lines: what is written, each Service, what is left, what differs."""
    yield "Written:"
    for pool in carried.pools:
        yield f"  IPAddressPool {pool.key}: {', '.join(pool.spec.addresses)}"
    for one in carried.advertisements:
        pools = ", ".join(sorted(carried.reach[one.metadata.name])) or "no pool"
        yield f"  L2Advertisement {one.key}: {pools}"
    yield ""
    yield from _services(found)
    yield from _part(
        "Can't be carried over, for it is about BGP:", (f"{one.what}: {one.meaning}" for one in carried.left)
    )
    yield from _part("Different then:", carried.notes)


def _services(found: Sequence[Prospect]) -> Iterator[str]:
    if not found:
        yield "Services: none has an address."
        return
    rows: list[tuple[str, ...]] = [("SERVICE", "ADDRESS", "POOL", "KEPT", "NOW ANNOUNCED BY", "")]
    rows += [_row(one, address) for one in found for address in one.now]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield "Services:"
    for row in rows:
        yield ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()


def _row(one: Prospect, address: IPAddress) -> tuple[str, ...]:
    kept = address in one.then
    remarks = [one.reason] if one.reason else []
    if address in one.unannounced:
        remarks.append(f"no speaker of ours may announce it: {one.unannounced[address].why}")
    by = " and ".join(one.by) or "nobody"
    return (one.key, str(address), one.pools.get(address, "-"), "yes" if kept else "no", by, "; ".join(remarks))


def _part(title: str, lines: Iterable[str]) -> Iterator[str]:
    every = tuple(lines)
    if every:
        yield ""
        yield title
        for line in every:
            yield f"  {line}"


def steps(every: Sequence[Step]) -> Iterator[str]:
    """Lines: what is done, and the way back from each."""
    yield ""
    yield "Steps (each can be done again; --rollback undoes them all, or by hand, from the last one up):"
    for number, step in enumerate(every, start=1):
        yield f"  {number}. {step.title}"
        yield f"     back: {step.back}"
