"""What a decision costs doesn't grow with what is held: counted in bytecodes, so that no clock can blur it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from ipaddress import ip_address
from types import FrameType
from typing import Any

import pytest

from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.core import ServicePort
from lbprovider.ipam.assign import assign
from lbprovider.ipam.ledger import Ledger
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.request import Request
from lbprovider.ipam.sharing import joined, left
from tests.unit.ipam.builders import DUAL, pool, request

POOL = pool("lan", "10.0.0.0/8", "2001:db8::/32", avoid_buggy_ips=True)
ENTERED = ip_address("10.200.0.1")


def bytecodes(work: Callable[[], object]) -> int:
    """How many bytecodes of Python it runs, calls included."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def filled(held: int) -> Ledger:
    """Addresses held in one run from the bottom up, one in ten IPv6, all with one sharing key: the worst to search."""
    ledger = Ledger(PoolSet.of([POOL]))
    for number in range(held):
        claim = ServiceClaim(namespace="web", name=f"s{number}", uid=f"u{number}", ports=(ServicePort(port=80),))
        address = ip_address("2001:db8::") + number // 10 if number % 10 == 0 else ip_address("10.0.0.0") + number
        ledger.put(IPAllocationSpec(address=str(address), pool="lan", services=(claim,), sharing_key="k"))
    return ledger


@pytest.fixture(scope="module")
def few() -> Ledger:
    return filled(10)


@pytest.fixture(scope="module")
def many() -> Ledger:
    return filled(100_000)


WISHES = [
    request("new", families=DUAL),
    request("new", families=DUAL, key="k"),
    request("new", families=DUAL, key="k", ports=(443,)),
    request("new", ips="10.0.0.1"),
    request("new", named="lan", families=DUAL, policy="PreferDualStack"),
    request("s3"),
]


@pytest.mark.parametrize(
    "wish", WISHES, ids=lambda wish: f"{wish.name}-{wish.sharing_key}-{wish.pool}-{len(wish.requested)}"
)
def test_assigning_costs_the_same_at_ten_and_at_a_hundred_thousand(wish: Request, few: Ledger, many: Ledger) -> None:
    wish = wish if wish.name == "new" else dataclasses.replace(wish, uid="u3", sharing_key="k")
    assert bytecodes(lambda: assign(wish, many)) <= 2 * bytecodes(lambda: assign(wish, few))


@pytest.mark.parametrize(
    "wish", WISHES[:2], ids=lambda wish: f"{wish.name}-{wish.sharing_key}-{wish.pool}-{len(wish.requested)}"
)
def test_entering_and_leaving_cost_the_same_at_ten_and_at_a_hundred_thousand(
    wish: Request, few: Ledger, many: Ledger
) -> None:
    spec = joined(None, wish, ENTERED, "lan")

    def enter_and_leave(ledger: Ledger) -> None:
        ledger.put(spec)
        assert left(spec, wish.uid) is None
        ledger.drop(ENTERED)

    assert bytecodes(lambda: enter_and_leave(many)) <= 2 * bytecodes(lambda: enter_and_leave(few))


def test_the_measure_sees_work_that_grows() -> None:
    assert bytecodes(lambda: sum(n for n in range(1000))) > 5 * bytecodes(lambda: sum(n for n in range(100)))
