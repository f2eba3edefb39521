"""The index of shared addresses against a walk over all of them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import is_buggy
from lbprovider.ipam.shared import SharedAddresses
from lbprovider.ipam.sharing import port_keys, ports_of
from tests.unit.ipam.builders import pool, request

FIRST = int(ip_address("10.0.0.248"))
PORTS = (80, 443, 22)
CLAIMS = st.lists(
    st.tuples(st.sampled_from(["web", "web", "dev"]), st.sets(st.sampled_from(PORTS), min_size=1, max_size=2)),
    min_size=1,
    max_size=2,
)
LAN = PoolSet.of([pool("lan", "10.0.0.0/8")]).pools["lan"]
WISHES = [
    request("new", namespace=namespace, key="k", ports=ports)
    for namespace in ("web", "dev")
    for size in (1, 2)
    for ports in combinations(PORTS, size)
]


def shared(number: int, claims: list[tuple[str, set[int]]], *, set_aside: bool) -> IPAllocationSpec:
    services = tuple(
        ServiceClaim(
            namespace=namespace, name="s", uid=f"{number}-{n}", ports=tuple(ServicePort(port=port) for port in ports)
        )
        for n, (namespace, ports) in enumerate(claims)
    )
    return IPAllocationSpec(
        address=str(ip_address(FIRST + number)),
        pool="lan",
        services=services,
        sharing_key="k",
        set_aside_at="2026-01-01T12:00:00Z" if set_aside else "",
    )


@given(
    st.dictionaries(st.integers(0, 11), st.tuples(CLAIMS, st.sampled_from([False, False, False, True])), min_size=3),
    st.sets(st.integers(0, 11), max_size=4),
)
def test_the_lowest_that_can_be_joined_is_the_one_that_a_walk_finds(
    entered: dict[int, tuple[list[tuple[str, set[int]]], bool]], gone: set[int]
) -> None:
    index = SharedAddresses()
    there = {number: shared(number, claims, set_aside=aside) for number, (claims, aside) in entered.items()}
    for number, spec in there.items():
        index.add("IPv4", FIRST + number, spec)
    for number in gone & set(there):
        index.remove("IPv4", FIRST + number, there.pop(number))
    for wish, careful, across in product(WISHES, (False, True), (False, True)):
        fits = [
            number
            for number, spec in sorted(there.items())
            if port_keys(wish.ports).isdisjoint(ports_of(spec.services))
            and (across or {claim.namespace for claim in spec.services} == {wish.namespace})
            and not (careful and is_buggy("IPv4", FIRST + number))
            and not spec.set_aside_at
        ]
        joinable = index.joinable(wish, replace(LAN, careful=careful, across_namespaces=across), "IPv4")
        for first, below in product(range(0, 12, 2), (9, 12)):
            expected = next((number for number in fits if first <= number < below), below)
            found = below if joinable is None else joinable.lowest("IPv4", FIRST + first, FIRST + below) - FIRST
            assert found == expected
