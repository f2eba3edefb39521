"""What is refused of pools together is what the controller would find: overlaps, and stranded live addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any, Final

import msgspec
from hypothesis import assume, event, given
from hypothesis import strategies as st

from lbprovider.admission import Refusal
from lbprovider.admission.together import left_out, pool
from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import Service
from lbprovider.api.pool import IPAddressPool
from lbprovider.ipam.assign import Assigned, assign
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.reasons import Reason
from lbprovider.ipam.request import Request, request_of

BASE: Final = IPv4Address("192.0.2.248")
"""The first of 16 addresses, among them two that end in .255 and .0."""
NAMESPACES: Final = {"shop": {"team": "a"}, "bank": {"team": "b"}}
TIERS: Final = ("web", "db")

ranges = st.tuples(st.integers(0, 15), st.sampled_from([0, 3, 15])).map(
    lambda at: f"{BASE + at[0]}-{BASE + min(at[0] + at[1], 15)}"
)
pinnings = st.fixed_dictionaries(
    {},
    optional={
        "namespaces": st.sampled_from([["shop"], ["bank"]]),
        "namespaceSelectors": st.sampled_from([[{"matchLabels": {"team": "a"}}], [{"matchLabels": {"team": "c"}}]]),
        "serviceSelectors": st.sampled_from([[{"matchLabels": {"tier": "web"}}], [{}]]),
    },
)


def pools(name: str) -> st.SearchStrategy[IPAddressPool]:
    spec = st.fixed_dictionaries(
        {"addresses": st.lists(ranges, min_size=1, max_size=2)},
        optional={
            "excludeAddresses": st.lists(ranges, max_size=1),
            "avoidBuggyIPs": st.booleans(),
            "autoAssign": st.booleans(),
            "serviceAllocation": pinnings,
        },
    )
    return spec.map(
        lambda found: msgspec.convert(
            {"metadata": {"name": name, "creationTimestamp": f"2026-01-0{ord(name) - 96}T00:00:00Z"}, "spec": found},
            IPAddressPool,
        )
    )


@st.composite
def services(draw: st.DrawFn) -> tuple[Service, ...]:
    """At most five, as many as a sentence names."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        raw: dict[str, Any] = {
            "metadata": {
                "name": f"s{number}", "namespace": draw(st.sampled_from(sorted(NAMESPACES))), "uid": str(number),
                "labels": {"tier": draw(st.sampled_from(TIERS))},
            },
            "spec": {"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80}]},
        }  # fmt: skip
        found.append(msgspec.convert(raw, Service))
    return tuple(found)


def holding(services: Iterable[Service], pools: PoolSet, numbers: list[int]) -> list[IPAllocationSpec]:
    """Each Service holds an address of the pool that has it."""
    found = []
    for service, number in zip(services, numbers, strict=False):
        covering = pools.covering(BASE + number)
        claim = ServiceClaim(namespace=service.metadata.namespace, name=service.metadata.name, uid=service.metadata.uid)
        found.append(
            IPAllocationSpec(address=str(BASE + number), pool=covering.name if covering else "a", services=(claim,))
        )
    return found


def stranded(services: Iterable[Service], pools: PoolSet, held: list[IPAllocationSpec]) -> set[str]:
    """The addresses that the controller would call stranded."""
    ledger = Ledger(pools, held)
    found = set()
    for service in services:
        request = request_of(service, NAMESPACES[service.metadata.namespace])
        assert isinstance(request, Request)
        answer = assign(request, ledger)
        if isinstance(answer, Assigned) and any(note.reason is Reason.STRANDED for note in answer.notes):
            found |= {str(address) for address in answer.addresses}
    return found


@given(pools("a"), pools("b"))
def test_pools_overlap_where_one_of_them_would_count_for_nothing(one: IPAddressPool, other: IPAddressPool) -> None:
    found = pool(other, None, [one])
    alone = PoolSet.of([one]).refused
    expected = PoolSet.of([one, other]).refused.keys() - alone
    event(f"one counts: {not alone}, the other doesn't: {bool(expected)}")
    assert bool(found) is bool(expected)


@given(
    st.none() | pools("a"), pools("a"), st.tuples(pools("b"), pools("c")), services(),
    st.lists(st.integers(0, 15), unique=True, min_size=5, max_size=5),
)  # fmt: skip
def test_an_edit_is_refused_for_the_addresses_that_it_would_strand(
    new: IPAddressPool | None,
    old: IPAddressPool,
    others: tuple[IPAddressPool, ...],
    theirs: tuple[Service, ...],
    numbers: list[int],
) -> None:
    assume(new is None or not pool(new, old, others))
    before, after = PoolSet.of([old, *others]), PoolSet.of(others if new is None else [new, *others])
    held = holding(theirs, before, numbers)
    known = {each.key: (NAMESPACES[each.metadata.namespace], each.metadata.labels) for each in theirs}
    mine = {spec.address for spec in held if (at := before.covering(IPv4Address(spec.address))) and at.name == "a"}
    expected = (stranded(theirs, after, held) - stranded(theirs, before, held)) & mine
    event(f"stranded: {len(expected)}, by {'a deletion' if new is None else 'an edit'}")
    assert named(pool(new, old, others, held, known.get)) == expected
    if new is not None:
        given_by_a = {spec.address for spec in held if spec.pool == "a"}
        assert named(left_out(new, others, held, known.get)) == stranded(theirs, after, held) & given_by_a


def named(refusals: Iterable[Refusal]) -> set[str]:
    return set(re.findall(r"192\.0\.[\d.]+", " ".join(each.message for each in refusals)))
