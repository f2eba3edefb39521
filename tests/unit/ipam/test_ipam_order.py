"""SEMANTICS 'Addresses and pools' and 'Pinning', line by line: which pool, and which address of it first."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from lbprovider.api.meta import LabelSelector
from lbprovider.api.pool import ServiceAllocation
from lbprovider.ipam.assign import Rule, assign
from lbprovider.ipam.reasons import PassedOver, Reason
from tests.unit.ipam.builders import LAN, V6, World, pinned, pool, refusal, request, success


def test_entries_in_the_order_given_and_the_lowest_free_address_first() -> None:
    world = World(pool("lan", "10.0.0.8/31", "10.0.0.4", "10.0.0.1-10.0.0.2", exclude_addresses=("10.0.0.9",)))
    assert [world.get(name) for name in "abcd"] == ["10.0.0.8", "10.0.0.4", "10.0.0.1", "10.0.0.2"]
    world.leave("uid-b", "10.0.0.4")
    assert world.get("e") == "10.0.0.4"


def test_buggy_addresses_are_neither_given_nor_requested() -> None:
    world = World(pool("lan", "192.0.2.254-192.0.3.1", "2001:db8::ff-2001:db8::100", avoid_buggy_ips=True))
    assert [world.get(name) for name in "abc"] == ["192.0.2.254", "192.0.3.1", "Exhausted"]
    assert world.get("d", ips="192.0.3.0") == "BuggyAddress"
    assert world.get("e", families=V6) == "2001:db8::ff"


def test_the_order_of_pools() -> None:
    world = World(
        pool("a-general", "10.0.0.1"),
        pool("b-general", "10.0.0.2"),
        pool("a-manual", "10.0.0.3", auto_assign=False),
        pinned("z", "10.0.0.4", priority=1, namespaces=("web",)),
        pinned("y", "10.0.0.5", priority=2, namespaces=("web",)),
        pinned("x", "10.0.0.6"),
        pinned("foreign", "10.0.0.7", priority=1, namespaces=("other",)),
    )
    got = [success(world.decide(name)).grants[0] for name in "abcde"]
    assert [(grant.pool, grant.rule) for grant in got] == [
        ("z", Rule.PINNED_POOL),
        ("y", Rule.PINNED_POOL),
        ("x", Rule.PINNED_POOL),
        ("a-general", Rule.GENERAL_POOL),
        ("b-general", Rule.GENERAL_POOL),
    ]
    refused = refusal(world.decide("f"))
    assert refused.reason == Reason.EXHAUSTED
    assert refused.tried == (
        PassedOver("foreign", "", Reason.PINNED_AWAY),
        PassedOver("z", "IPv4", Reason.EXHAUSTED),
        PassedOver("y", "IPv4", Reason.EXHAUSTED),
        PassedOver("x", "IPv4", Reason.EXHAUSTED),
        PassedOver("a-general", "IPv4", Reason.EXHAUSTED),
        PassedOver("a-manual", "", Reason.AUTO_ASSIGN_OFF),
        PassedOver("b-general", "IPv4", Reason.EXHAUSTED),
    )
    assert "z 1 of 1 in use" in refused.message
    assert "add addresses" in refused.message


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({}, "NoPoolForService"),
        ({"named": "manual"}, "10.0.0.1"),
        ({"ips": "10.0.0.1"}, "10.0.0.1"),
        ({"named": "other"}, "PinnedAway"),
        ({"ips": "10.0.1.1"}, "PinnedAway"),
        ({"named": "other", "namespace": "tenant"}, "10.0.1.1"),
        ({"ips": "10.0.1.1", "namespace": "tenant"}, "10.0.1.1"),
        ({"named": "nobody"}, "PinnedAway"),
        ({"ips": "10.0.2.1"}, "PinnedAway"),
    ],
)
def test_auto_assign_off_and_pinning_bind_every_way_to_ask(given: dict[str, Any], got: str) -> None:
    none = LabelSelector(match_labels={"no": "body"})
    world = World(
        pool("manual", "10.0.0.1", auto_assign=False),
        pool("other", "10.0.1.1", auto_assign=False, pin=ServiceAllocation(namespaces=("tenant",))),
        pinned("nobody", "10.0.2.1", namespace_selectors=(none,)),
    )
    assert world.get("a", **given) == got


def test_labels_of_service_and_namespace_pin() -> None:
    world = World(
        pinned(
            "gold",
            "10.0.0.1",
            namespace_selectors=(LabelSelector(match_labels={"tier": "gold"}),),
            service_selectors=(LabelSelector(match_labels={"app": "shop"}),),
        ),
        pool("lan", "10.0.1.0/24"),
    )
    gold, shop = {"tier": "gold"}, {"app": "shop"}
    assert world.get("a", namespace_labels=gold) == "10.0.1.0"
    assert world.get("b", labels=shop) == "10.0.1.1"
    assert world.get("c", namespace_labels=gold, labels=shop) == "10.0.0.1"


def test_addresses_that_cool_down_are_skipped_while_others_are_free_and_the_coolest_goes_first() -> None:
    world = World(pool("lan", "10.0.0.0/30", reuse_after="1h"), pool("more", "10.1.0.0"))
    for name in "abc":
        world.decide(name)
    world.leave("uid-b", "10.0.0.1", "2026-01-01T12:00:00Z")
    world.leave("uid-a", "10.0.0.0", "2026-01-01T12:10:00Z")
    assert [world.get(name) for name in "defgh"] == ["10.0.0.3", "10.1.0.0", "10.0.0.1", "10.0.0.0", "Exhausted"]
    spec = world.ledger[ip_address("10.0.0.1")]
    assert (spec.released_at, [claim.name for claim in spec.services]) == ("", ["f"])


def test_an_address_whose_cool_down_is_over_is_free_once_dropped() -> None:
    world = World(pool("lan", "10.0.0.0/30", reuse_after="1h"))
    world.decide("a")
    world.leave("uid-a", "10.0.0.0", "1970-01-01T00:00:00Z")
    for address in world.ledger.lapsed(3600 * 10**9):
        world.ledger.drop(address)
    assert world.get("b") == "10.0.0.0"


def test_deciding_changes_nothing_and_is_the_same_twice() -> None:
    world = World(LAN)
    world.decide("a")
    wish = request("b", named="lan")
    assert assign(wish, world.ledger) == assign(wish, world.ledger)
    assert len(world.ledger) == 1
