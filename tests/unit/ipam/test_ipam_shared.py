"""The index of shared addresses against a walk over all of them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.ranges import is_buggy
from lbprovider.ipam.shared import SharedAddresses
from lbprovider.ipam.sharing import port_keys, ports_of
from tests.unit.ipam.builders import pool, request

FIRST = int(ip_address("10.0.0.0"))
PORTS = st.sets(st.sampled_from([80, 443, 22]), min_size=1)
CLAIMS = st.lists(st.tuples(st.sampled_from(["web", "dev"]), PORTS), min_size=1, max_size=2)
LAN = PoolSet.of([pool("lan", "10.0.0.0/8")]).pools["lan"]


def shared(number: int, claims: list[tuple[str, set[int]]]) -> IPAllocationSpec:
    services = tuple(
        ServiceClaim(
            namespace=namespace, name="s", uid=f"{number}-{n}", ports=tuple(ServicePort(port=port) for port in ports)
        )
        for n, (namespace, ports) in enumerate(claims)
    )
    address = str(ip_address(FIRST + number))
    return IPAllocationSpec(address=address, pool="lan", services=services, sharing_key="k")


@given(
    st.dictionaries(st.integers(250, 270), CLAIMS, max_size=18),
    st.sets(st.integers(250, 270), max_size=4),
    PORTS,
    st.integers(245, 265),
    st.integers(250, 275),
    st.booleans(),
    st.booleans(),
)
def test_the_lowest_that_can_be_joined_is_the_one_that_a_walk_finds(  # noqa: PLR0917  (hypothesis gives them in order)
    entered: dict[int, list[tuple[str, set[int]]]],
    gone: set[int],
    ports: set[int],
    first: int,
    below: int,
    careful: bool,  # noqa: FBT001
    across: bool,  # noqa: FBT001
) -> None:
    index, there = SharedAddresses(), {n: shared(n, claims) for n, claims in entered.items()}
    for number, spec in there.items():
        index.add("IPv4", FIRST + number, spec)
    for number in gone & set(there):
        index.remove("IPv4", FIRST + number, there.pop(number))
    wish = request("new", key="k", ports=tuple(ports))
    fits = [
        number
        for number, spec in sorted(there.items())
        if first <= number < below
        and port_keys(wish.ports).isdisjoint(ports_of(spec.services))
        and (across or {claim.namespace for claim in spec.services} == {"web"})
        and not (careful and is_buggy("IPv4", FIRST + number))
    ]
    joinable = index.joinable(wish, replace(LAN, careful=careful, across_namespaces=across), "IPv4")
    if joinable is None:
        assert not fits
    else:
        assert joinable.lowest("IPv4", FIRST + first, FIRST + below) == FIRST + next(iter(fits), below)
