"""SEMANTICS 'Holding', line by line: what a live Service keeps, and what a restart adopts."""

from __future__ import annotations

from typing import Any

import pytest

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.ipam.assign import Rule, assign, start_order
from lbprovider.ipam.reasons import Refused
from tests.unit.ipam.builders import FOUR, LAN, PREFER, REQUIRE, SIX, World, pinned, pool, request, success


def test_a_live_address_is_kept_whatever_else_is_lower_or_better_by_now() -> None:
    world = World(LAN)
    world.decide("a")
    assert world.get("b") == "10.0.0.1"
    world.leave("uid-a", "10.0.0.0")
    assert world.notes("b") == ["10.0.0.1"]
    world.edit(LAN, pinned("better", "10.1.0.0/24", priority=1))
    assert world.notes("b") == ["10.0.0.1"]


def test_of_two_addresses_that_a_crash_left_one_is_kept() -> None:
    world = World(LAN)
    wish = request("a", ips="10.0.0.5")
    for address in ("10.0.0.1", "10.0.0.5"):
        world.ledger.put(IPAllocationSpec(address=address, pool="lan", services=(wish.claim,)))
    done = success(assign(wish, world.ledger))
    assert [str(address) for address in done.addresses] == ["10.0.0.5"]
    assert [str(address) for address in done.release] == ["10.0.0.1"]
    shown = success(assign(request("a", status=("10.0.0.5",)), world.ledger))
    assert [str(address) for address in shown.addresses] == ["10.0.0.5"]
    lowest = success(assign(request("a"), world.ledger))
    assert [str(address) for address in lowest.addresses] == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("status", "given", "got", "rule"),
    [
        (("10.0.0.5",), {}, "10.0.0.5", Rule.ADOPTED),
        (("10.1.0.1",), {}, "10.1.0.1", Rule.ADOPTED),
        (("10.2.0.1",), {}, "10.0.0.0", Rule.GENERAL_POOL),
        (("10.9.0.1",), {}, "10.0.0.0", Rule.GENERAL_POOL),
        (("10.0.0.7",), {}, "10.0.0.0", Rule.GENERAL_POOL),
        (("10.0.0.5",), {"ips": "10.0.0.6"}, "10.0.0.6", Rule.REQUESTED),
        (("10.0.0.5",), {"named": "manual"}, "10.1.0.0", Rule.NAMED_POOL),
        (("10.0.0.3",), {}, "10.0.0.0", Rule.GENERAL_POOL),
        (("lb.example", "10.0.0.5"), {}, "10.0.0.5", Rule.ADOPTED),
    ],
)
def test_a_status_without_an_allocation_counts_exactly_as_a_request_would(
    status: tuple[str, ...], given: dict[str, Any], got: str, rule: Rule
) -> None:
    world = World(
        pool("lan", "10.0.0.0/29", exclude_addresses=("10.0.0.7",)),
        pool("manual", "10.1.0.0/29", auto_assign=False),
        pinned("foreign", "10.2.0.0/29", namespaces=("other",)),
    )
    world.decide("other", ips="10.0.0.3")
    (grant,) = success(world.decide("a", status=status, **given)).grants
    assert (str(grant.address), grant.rule) == (got, rule)


def test_a_status_never_outweighs_an_allocation() -> None:
    world = World(LAN)
    assert world.get("a") == "10.0.0.0"
    assert world.get("a", status=("10.0.0.6",)) == "10.0.0.0"


def test_a_family_whose_allocation_was_lost_is_adopted_from_the_status() -> None:
    world = World(FOUR, SIX)
    world.decide("a", ips="10.0.0.1")
    got = success(world.decide("a", **PREFER, ips="10.0.0.1", status=("10.0.0.0", "2001:db8::1")))
    assert [(str(grant.address), grant.rule) for grant in got.grants] == [
        ("10.0.0.1", Rule.KEPT),
        ("2001:db8::1", Rule.ADOPTED),
    ]


@pytest.mark.parametrize(
    ("shown", "left"),
    [((), []), (("10.0.0.9",), []), (("10.0.0.0",), ["10.0.0.0"])],
    ids=["never shown", "another shown", "shown"],
)
def test_half_of_what_is_required_that_a_crash_left_is_kept_only_where_its_status_showed_it(
    shown: tuple[str, ...], left: list[str]
) -> None:
    world = World(FOUR)
    wish = request("a", **REQUIRE, status=shown)
    world.ledger.put(IPAllocationSpec(address="10.0.0.0", pool="four", services=(wish.claim,)))
    decision = world.carry_out(wish)
    assert [str(address) for address in world.ledger] == left
    assert isinstance(decision, Refused) == (not left)


def test_half_of_what_is_required_that_a_crash_left_is_completed() -> None:
    world = World(FOUR, SIX)
    wish = request("a", **REQUIRE)
    world.ledger.put(IPAllocationSpec(address="10.0.0.1", pool="four", services=(wish.claim,)))
    assert [str(address) for address in success(world.carry_out(wish)).addresses] == ["10.0.0.1", "2001:db8::"]


def test_at_start_holders_go_first_then_those_with_a_status_then_the_others_the_older_first() -> None:
    world = World(LAN)
    world.decide("holder")
    wishes = [
        request("new-old", created="2026-01-01T00:00:00Z"),
        request("status-young", status=("10.0.0.4",), created="2026-01-03T00:00:00Z"),
        request("status-old", status=("10.0.0.4",), created="2026-01-02T00:00:00Z"),
        request("holder", created="2026-01-09T00:00:00Z"),
    ]
    order = ["holder", "status-old", "status-young", "new-old"]
    assert [wish.name for wish in start_order(wishes, world.ledger)] == order
    assert [wish.name for wish in start_order(wishes[::-1], world.ledger)] == order
    got = {wish.name: success(world.carry_out(wish)).addresses for wish in start_order(wishes, world.ledger)}
    assert {name: str(addresses[0]) for name, addresses in got.items()} == {
        "holder": "10.0.0.0",
        "status-old": "10.0.0.4",
        "status-young": "10.0.0.1",
        "new-old": "10.0.0.2",
    }
