"""SEMANTICS 'Pool edits', line by line: live addresses that an edit covers, uncovers, or forces out."""

from __future__ import annotations

from typing import Any

import pytest

from lbprovider.api.pool import IPAddressPool, ServiceAllocation
from lbprovider.ipam.reasons import Reason
from tests.unit.ipam.builders import LAN, V6, World, pool, refusal, success

FOREIGN = ServiceAllocation(namespaces=("other",))


@pytest.mark.parametrize(
    ("pools", "accounted"),
    [
        ([LAN], "lan"),
        ([pool("lan", "10.0.0.0/24")], "lan"),
        ([pool("lan", "10.0.0.0")], "lan"),
        ([pool("lan", "10.0.0.0/29", auto_assign=False)], "lan"),
        ([pool("renamed", "10.0.0.0/29")], "renamed"),
        ([pool("low", "10.0.0.0/30"), pool("high", "10.0.0.4/30")], "low"),
    ],
)
def test_an_edit_that_still_covers_changes_nothing_but_the_account(pools: list[IPAddressPool], accounted: str) -> None:
    world = World(LAN)
    world.decide("a")
    world.edit(*pools)
    kept = success(world.decide("a"))
    assert [(str(grant.address), grant.pool) for grant in kept.grants] == [("10.0.0.0", accounted)]
    assert (kept.release, kept.notes) == ((), ())


@pytest.mark.parametrize(
    ("edited", "given"),
    [
        (pool("lan", "10.0.0.4/30"), {}),
        (pool("lan", "10.0.0.0/29", exclude_addresses=("10.0.0.0",)), {}),
        (pool("lan", "10.0.0.0/29", avoid_buggy_ips=True), {}),
        (pool("lan", "10.0.0.0/29", pin=FOREIGN), {}),
        (pool("lan", "x"), {}),
        (None, {}),
        (pool("lan", "10.0.0.4/30"), {"ips": "10.0.0.0"}),
        (pool("lan", "10.0.0.4/30"), {"named": "lan"}),
        (None, {"named": "lan"}),
    ],
)
def test_an_edit_that_uncovers_a_live_address_strands_it(edited: IPAddressPool | None, given: dict[str, Any]) -> None:
    world, spare = World(LAN), pool("spare", "10.5.0.0/24")
    assert world.get("a", **given) == "10.0.0.0"
    world.edit(*([edited] if edited else []), spare)
    for _ in range(2):
        kept = success(world.decide("a", **given))
        assert [(str(grant.address), grant.pool) for grant in kept.grants] == [("10.0.0.0", "lan")]
        assert [note.reason for note in kept.notes] == [Reason.STRANDED]
        assert "pool lan" in kept.notes[0].message
    world.leave("uid-a", "10.0.0.0")
    assert world.get("b") != "10.0.0.0"


def test_a_split_pool_strands_only_who_names_it_and_does_so_steadily() -> None:
    world = World(LAN)
    assert world.get("a", named="lan") == "10.0.0.0"
    world.edit(pool("lan", "10.0.0.4/30"), pool("rest", "10.0.0.0/30"))
    for _ in range(2):
        assert world.notes("a", named="lan") == ["10.0.0.0", "Stranded"]
    assert world.notes("a") == ["10.0.0.0"]


@pytest.mark.parametrize(
    "edited",
    [
        {"addresses": ("10.0.0.4/30",)},
        {"addresses": ("10.0.0.0/29",), "exclude_addresses": ("10.0.0.0",)},
        {"addresses": ("10.0.0.0/29",), "pin": FOREIGN},
    ],
)
def test_force_on_the_pool_lets_go_what_its_edit_uncovered(edited: dict[str, Any]) -> None:
    world, spare = World(LAN), pool("spare", "10.5.0.0/24")
    world.decide("a")
    world.edit(pool("lan", *edited.pop("addresses"), annotations={"lbprovider.io/force": "true"}, **edited), spare)
    moved = success(world.decide("a"))
    assert [str(address) for address in moved.release] == ["10.0.0.0"]
    assert moved.notes == ()
    assert str(moved.addresses[0]) in {"10.0.0.4", "10.0.0.1", "10.5.0.0"}


def test_force_lets_go_even_where_nothing_else_is_free() -> None:
    world = World(LAN)
    world.decide("a")
    world.edit(pool("lan", "10.0.0.1", annotations={"lbprovider.io/force": "true"}))
    world.decide("b")
    refused = refusal(world.decide("a"))
    assert refused.reason == Reason.EXHAUSTED
    assert [str(address) for address in refused.release] == ["10.0.0.0"]


def test_force_moves_who_names_a_pool_that_was_split() -> None:
    world = World(LAN)
    assert world.get("a", named="lan") == "10.0.0.0"
    world.edit(pool("lan", "10.0.0.4/30", annotations={"lbprovider.io/force": "true"}), pool("rest", "10.0.0.0/30"))
    assert world.notes("a", named="lan") == ["10.0.0.4"]


def test_force_on_a_full_pool_lets_go_only_what_its_edit_uncovered() -> None:
    world = World(LAN)
    assert world.get("a") == "10.0.0.0"
    world.edit(pool("lan", "10.0.0.0/29", annotations={"lbprovider.io/force": "true"}), pool("tiny", "10.1.0.0"))
    world.decide("b", named="tiny")
    assert world.notes("a", named="tiny") == ["10.0.0.0", "RequestUnsatisfiable"]


def test_force_concerns_nobody_whose_address_its_pool_still_has() -> None:
    world = World(pool("lan", "10.0.0.0/29", annotations={"lbprovider.io/force": "true"}))
    assert world.get("a") == "10.0.0.0"
    assert world.notes("a", named="nil") == ["10.0.0.0", "RequestUnsatisfiable"]


def test_losing_an_address_is_never_quiet() -> None:
    world = World(LAN)
    world.decide("a")
    world.edit()
    refused = refusal(world.decide("a", families=V6))
    assert (refused.reason, len(refused.release)) == (Reason.NO_POOL_FOR_SERVICE, 1)
    assert "there is none" in refused.message
