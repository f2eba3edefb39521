"""What ``lbprovider explain`` does: reads the cluster once, asks the rules again, and puts the answer in words."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from lbprovider.cli import live
from lbprovider.deciding.announcing import backed_by
from lbprovider.deciding.explaining import Explanation, Held, explain
from lbprovider.deciding.known import Scope
from lbprovider.errors import NotFound
from lbprovider.kube.ports import Api


async def explained(api: Api, key: str, namespace: str, scope: Scope) -> Explanation:
    """Explains one Service of a live cluster.

    Args:
        api: the API server, as the admin.
        key: ``namespace/name``.
        namespace: that lbprovider runs in.
        scope: which Services are ours.

    Raises:
        ClusterError: there is no such Service, or a permission or our CRDs are missing.
    """
    there = await live.read(api, namespace)
    found = there.known.services.get(key)
    if found is None:
        raise NotFound(f"there is no Service {key}: `kubectl get services --all-namespaces` lists them", status=404)
    return explain(
        found,
        there.known,
        there.allocations,
        scope,
        registrations=there.registrations,
        backed=backed_by(there.slices),
        now=time.time(),
    )


def as_json(found: Explanation) -> str:
    """For programs: the fields of ``Explanation``."""
    return msgspec.json.format(msgspec.json.encode(found)).decode()


def as_text(found: Explanation) -> str:
    """For people."""
    return "\n".join(_lines(found))


def _lines(found: Explanation) -> Iterator[str]:
    yield f"Service {found.service}: {', '.join(found.shown) or 'no address'}"
    yield f"  {found.reason}: {found.message}"
    for held in found.addresses:
        yield ""
        yield from _address(held)
    if found.pools:
        yield ""
        yield "Pools, in the order in which they are tried for a Service like this one that has no address yet:"
        yield from (
            f"  {look.pool}{look.family and f' ({look.family})'}: {look.verdict}. {look.message}"
            for look in found.pools
        )
    yield ""
    if found.advice:
        yield "What to change:"
        yield from (f"  {each}" for each in found.advice)
    else:
        yield "Nothing has to be changed."


def _address(held: Held) -> Iterator[str]:
    where = held.announcement
    yield f"{held.address} from pool {held.pool}"
    yield f"  chosen by: {held.rule}. {held.why}"
    if held.leader:
        yield f"  announced by: {held.leader} on {held.interface} ({held.mac}) since {held.since}"
        yield f"  last change of leader: {held.reason}. {held.message}".rstrip()
    elif held.reason:
        yield f"  not announced: {held.reason}. {held.message}".rstrip()
    yield f"  why there: {held.placed}"
    yield f"  may announce, best first: {', '.join(where.ranking) or 'no node'}"
    for node, reason in sorted(where.excluded.items()):
        yield f"  may not: {node} ({reason})"
