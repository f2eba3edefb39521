"""SEMANTICS 'Dual-stack', line by line: one family or both, by the Service's policy."""

from __future__ import annotations

from typing import Any

import pytest

from lbprovider.api.pool import IPAddressPool
from lbprovider.ipam.reasons import Reason
from tests.unit.ipam.builders import FOUR, PREFER, REQUIRE, SIX, V4, V6, World, pinned, pool, refusal, success

BOTH = pool("z-both", "10.5.0.0/31", "2001:db8:5::/127")


@pytest.mark.parametrize(
    ("pools", "given", "got"),
    [
        ([FOUR, SIX], {"families": V4}, "10.0.0.0"),
        ([FOUR, SIX], {"families": V6}, "2001:db8::"),
        ([FOUR, SIX], REQUIRE, "10.0.0.0 2001:db8::"),
        ([FOUR, SIX], PREFER, "10.0.0.0 2001:db8::"),
        ([FOUR, SIX], {**PREFER, "families": ("IPv6", "IPv4")}, "2001:db8:: 10.0.0.0"),
        ([FOUR, SIX, BOTH], PREFER, "10.5.0.0 2001:db8:5::"),
        ([FOUR, SIX, BOTH], REQUIRE, "10.5.0.0 2001:db8:5::"),
        ([pinned("pin", "10.7.0.0", priority=1), BOTH], PREFER, "10.5.0.0 2001:db8:5::"),
        ([FOUR], REQUIRE, "NoPoolOfFamily"),
        ([SIX], REQUIRE, "NoPoolOfFamily"),
        ([FOUR], PREFER, "10.0.0.0"),
        ([SIX], PREFER, "2001:db8::"),
    ],
)
def test_families_by_policy(pools: list[IPAddressPool], given: dict[str, Any], got: str) -> None:
    assert World(*pools).get("a", **given) == got


def test_require_is_all_or_nothing() -> None:
    world = World(FOUR, pool("six", "2001:db8::"))
    world.decide("first", families=V6)
    refused = refusal(world.decide("a", **REQUIRE))
    assert (refused.reason, refused.release) == (Reason.EXHAUSTED, ())
    assert "IPv6" in refused.message
    assert "six 1 of 1 in use" in refused.message
    assert world.get("b", families=V4) == "10.0.0.0"


def test_a_degraded_service_keeps_what_it_has_says_so_and_is_tried_again() -> None:
    world = World(FOUR)
    assert world.notes("a", **PREFER) == ["10.0.0.0", "SingleFamilyOnly"]
    assert world.notes("a", **PREFER) == ["10.0.0.0", "SingleFamilyOnly"]
    world.edit(FOUR, SIX, BOTH)
    assert world.notes("a", **PREFER) == ["10.0.0.0", "2001:db8::"]


def test_the_family_policy_of_a_live_service_changes() -> None:
    world = World(FOUR, SIX)
    assert world.get("a") == "10.0.0.0"
    assert world.get("a", **PREFER) == "10.0.0.0 2001:db8::"
    down = success(world.decide("a"))
    assert [str(address) for address in down.release] == ["2001:db8::"]
    assert world.get("a", **REQUIRE) == "10.0.0.0 2001:db8::"
    assert world.get("a", families=V6) == "2001:db8::"
    assert [str(address) for address in world.ledger] == ["2001:db8::"]


def test_require_that_cannot_be_met_leaves_a_live_service_what_it_has() -> None:
    world = World(FOUR)
    world.decide("a")
    assert world.notes("a", **REQUIRE) == ["10.0.0.0", "RequestUnsatisfiable"]


def test_an_address_of_a_family_no_longer_wanted_is_let_go_even_where_none_of_the_other_is_free() -> None:
    world = World(FOUR)
    world.decide("a")
    refused = refusal(world.decide("a", families=V6))
    assert [str(address) for address in refused.release] == ["10.0.0.0"]


def test_losing_an_address_is_never_quiet() -> None:
    world = World(FOUR)
    world.decide("a")
    world.edit()
    refused = refusal(world.decide("a", families=V6))
    assert (refused.reason, len(refused.release)) == (Reason.NO_POOL_FOR_SERVICE, 1)
    assert "there is none" in refused.message
