"""What a decision costs doesn't grow with what is held: counted in bytecodes, so that no clock can blur it.

``bench.allocations`` tells the times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

import pytest

from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.ipam.assign import assign
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.sharing import joined, left
from tests.fakes.bytecodes import bytecodes
from tests.unit.ipam.builders import DUAL, pool, request

POOL = pool("lan", "10.0.0.0/8", "2001:db8::/32", avoid_buggy_ips=True)
ENTERED = ip_address("10.200.0.1")


def claimed(number: int, *ports: int) -> ServiceClaim:
    """By a Service of its own; every second one is of another namespace."""
    namespace = "web" if number % 2 else "dev"
    numbered = tuple(ServicePort(port=port) for port in ports)
    return ServiceClaim(namespace=namespace, name=f"s{number}", uid=f"u{number}", ports=numbered)


HOLDINGS: dict[str, Callable[[str, int], IPAllocationSpec]] = {
    "their own": lambda address, n: IPAllocationSpec(address=address, pool="lan", services=(claimed(n, 80),)),
    "shared, one port on all": lambda address, n: IPAllocationSpec(
        address=address, pool="lan", services=(claimed(n, 80),), sharing_key="k"
    ),
    "shared, ports of their own besides": lambda address, n: IPAllocationSpec(
        address=address, pool="lan", services=(claimed(n, 80, 443, 1000 + n),), sharing_key="k"
    ),
    "cooling down": lambda address, n: IPAllocationSpec(
        address=address, pool="lan", released_at=f"2026-01-01T{n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}Z"
    ),
}


def filled(held: int, holding: str) -> Ledger:
    """Addresses held in one run from the bottom up, of each family."""
    ledger = Ledger(PoolSet.of([POOL]))
    for number in range(held):
        address = ip_address("10.0.0.0" if number % 2 else "2001:db8::") + number // 2
        ledger.put(HOLDINGS[holding](str(address), number))
    return ledger


@pytest.fixture(scope="module", params=HOLDINGS)
def ledgers(request: pytest.FixtureRequest) -> tuple[Ledger, Ledger]:
    """With few addresses, and with many, held in one way."""
    return filled(10, request.param), filled(100_000 if request.param == "their own" else 10_000, request.param)


WISHES = {
    "an address of each family": request("new", families=DUAL),
    "one to share, its port taken on all": request("new", families=DUAL, key="k"),
    "one to share, each of its ports taken on all": request("new", families=DUAL, key="k", ports=(80, 443)),
    "one to share, its port free": request("new", families=DUAL, key="k", ports=(22,)),
    "that very address": request("new", ips="10.0.0.1"),
    "one of that pool": request("new", named="lan", families=DUAL, policy="PreferDualStack"),
    "what it has": dataclasses.replace(request("s3", key="k"), uid="u3"),
}


@pytest.mark.parametrize("wish", WISHES)
def test_assigning_costs_the_same_with_few_and_with_many_held(wish: str, ledgers: tuple[Ledger, Ledger]) -> None:
    few, many = (bytecodes(partial(assign, WISHES[wish], ledger)) for ledger in ledgers)
    assert many <= 2 * few


@pytest.mark.parametrize("wish", ["an address of each family", "one to share, its port taken on all"])
def test_entering_and_leaving_cost_the_same_with_few_and_with_many_held(
    wish: str, ledgers: tuple[Ledger, Ledger]
) -> None:
    mine = WISHES[wish]
    spec = joined(None, mine, ENTERED, "lan")
    cooling = left(spec, mine.uid, "2026-01-01T12:00:00Z")
    assert cooling is not None

    def enter_and_leave(ledger: Ledger) -> None:
        for one in (spec, cooling):
            ledger.put(one)
        ledger.drop(ENTERED)

    few, many = (bytecodes(partial(enter_and_leave, ledger)) for ledger in ledgers)
    assert many <= 2 * few


def test_the_measure_sees_work_that_grows() -> None:
    assert bytecodes(lambda: sum(n for n in range(1000))) > 5 * bytecodes(lambda: sum(n for n in range(100)))
