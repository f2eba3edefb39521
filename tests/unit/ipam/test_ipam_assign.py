"""SEMANTICS 'Pinning', 'Requests', 'Holding', 'Pool edits', 'Dual-stack', line by line, and where we differ."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.api.meta import LabelSelector
from lbprovider.api.pool import IPAddressPool, ServiceAllocation
from lbprovider.ipam.assign import Assigned, Rule, assign, start_order
from lbprovider.ipam.pools import PoolSet
from lbprovider.ipam.reasons import PassedOver, Reason, Refused
from tests.unit.ipam.builders import DUAL, V4, V6, World, pool, request

LAN = pool("lan", "10.0.0.0/29")
FOUR, SIX = pool("four", "10.0.0.0/31"), pool("six", "2001:db8::/127")
BOTH = pool("z-both", "10.5.0.0/31", "2001:db8:5::/127")
PREFER: dict[str, Any] = {"families": DUAL, "policy": "PreferDualStack"}
REQUIRE: dict[str, Any] = {"families": DUAL, "policy": "RequireDualStack"}


def pinned(name: str, *addresses: str, **pin: Any) -> IPAddressPool:
    return pool(name, *addresses, pin=ServiceAllocation(**pin))


def refusal(decision: Assigned | Refused) -> Refused:
    assert isinstance(decision, Refused), decision
    return decision


def success(decision: Assigned | Refused) -> Assigned:
    assert isinstance(decision, Assigned), decision
    return decision


# Addresses and pools, pinning: which pool, which address ------------------------------------------------------------


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


# Requests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "got", "said"),
    [
        ({"ips": "10.0.0.5"}, "10.0.0.5", ""),
        ({"load_balancer_ip": "10.0.0.5"}, "10.0.0.5", ""),
        ({"ips": "10.0.0.5", "named": "lan"}, "10.0.0.5", ""),
        ({"named": "dmz"}, "10.1.0.0", ""),
        ({"named": "nil"}, "UnknownPool", "there are dmz, lan"),
        ({"named": "broken"}, "PoolRefused", '"x" is none of'),
        ({"ips": "10.0.0.5", "named": "nil"}, "UnknownPool", "no IPAddressPool nil"),
        ({"ips": "10.0.0.5", "named": "dmz"}, "OutsideNamedPool", "10.0.0.5 is in pool lan"),
        ({"ips": "10.9.0.5", "named": "dmz"}, "OutsidePools", "10.9.0.5 is in no IPAddressPool"),
        ({"ips": "10.9.0.5"}, "OutsidePools", "add it to one"),
        ({"ips": "10.0.0.7"}, "ExcludedAddress", "excludeAddresses of pool lan"),
        ({"ips": "10.0.0.1"}, "AddressTaken", "held by Service web/first"),
        ({"ips": "10.0.0.2"}, "AddressInConflict", "another host on the LAN"),
        ({"ips": "10.0.0.3"}, "10.0.0.3", ""),
        ({"families": V6}, "NoPoolOfFamily", "No pool for this Service has IPv6"),
        ({"families": V6, "ips": "2001:db8::1"}, "OutsidePools", "2001:db8::1"),
        ({"named": "dmz", "families": V6}, "NoPoolOfFamily", "dmz"),
    ],
)
def test_requests_are_granted_or_refused_with_a_reason(given: dict[str, Any], got: str, said: str) -> None:
    world = World(
        pool("lan", "10.0.0.0/29", exclude_addresses=("10.0.0.7",)), pool("dmz", "10.1.0.0/31"), pool("broken", "x")
    )
    world.decide("first", ips="10.0.0.1")
    world.ledger.put(IPAllocationSpec(address="10.0.0.2", pool="lan"))
    world.ledger.put(IPAllocationSpec(address="10.0.0.3", pool="lan", released_at="2026-01-01T12:00:00Z"))
    decision = assign(request("a", **given), world.ledger)
    if isinstance(decision, Refused):
        assert decision.reason == got
        assert said in decision.message
        assert decision.message.endswith(".")
        assert "\n" not in decision.message
    else:
        assert [str(address) for address in decision.addresses] == [got]


def test_no_pools_at_all_is_quiet_but_pools_that_are_refused_are_not() -> None:
    assert World().get("a") == "NoPools"
    refused = refusal(World(pool("lan", "x")).decide("a"))
    assert refused.reason == Reason.NO_POOL_FOR_SERVICE
    assert "lan (InvalidEntry)" in refused.message


def test_a_changed_request_moves_the_service_in_one_pass() -> None:
    world = World(LAN, pool("outer", "10.1.0.0/29"))
    assert world.get("a") == "10.0.0.0"
    moved = success(world.decide("a", ips="10.0.0.5"))
    assert [str(grant.address) for grant in moved.new] == ["10.0.0.5"]
    assert [str(address) for address in moved.release] == ["10.0.0.0"]
    assert world.get("a", named="outer") == "10.1.0.0"
    assert world.get("a", named="outer", ips="10.1.0.3") == "10.1.0.3"
    assert [str(address) for address in world.ledger] == ["10.1.0.3"]


def test_a_request_withdrawn_moves_nothing() -> None:
    world = World(LAN, pool("outer", "10.1.0.0/29", auto_assign=False))
    assert world.get("a", ips="10.1.0.5") == "10.1.0.5"
    assert world.get("a") == "10.1.0.5"


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"ips": "10.9.0.1"}, Reason.OUTSIDE_POOLS),
        ({"ips": "10.0.0.1"}, Reason.ADDRESS_TAKEN),
        ({"named": "nil"}, Reason.UNKNOWN_POOL),
        ({"named": "tiny"}, Reason.EXHAUSTED),
        ({"named": "foreign"}, Reason.PINNED_AWAY),
        ({"ips": "10.0.0.0", "named": "tiny"}, Reason.OUTSIDE_NAMED_POOL),
    ],
)
def test_a_request_that_cannot_be_met_takes_no_working_address_away(given: dict[str, Any], cause: Reason) -> None:
    world = World(LAN, pool("tiny", "10.1.0.0"), pinned("foreign", "10.2.0.0", namespaces=("other",)))
    assert world.get("a") == "10.0.0.0"
    assert world.get("b") == "10.0.0.1"
    assert world.get("c", named="tiny") == "10.1.0.0"
    for _ in range(2):
        kept = success(world.decide("a", **given))
        assert [(str(grant.address), grant.pool, grant.rule) for grant in kept.grants] == [
            ("10.0.0.0", "lan", Rule.KEPT)
        ]
        (note,) = kept.notes
        assert (note.reason, note.cause) == (Reason.REQUEST_UNSATISFIABLE, cause)
        assert kept.release == ()
    assert world.notes("a") == ["10.0.0.0"]


def test_two_requested_addresses_may_come_from_two_pools() -> None:
    world = World(LAN, pool("six", "2001:db8::/64"))
    assert world.get("a", **REQUIRE, ips="2001:db8::5,10.0.0.5") == "10.0.0.5 2001:db8::5"


def test_a_single_requested_address_of_a_prefer_dual_stack_service_is_taken_and_the_other_allocated() -> None:
    world = World(LAN, pool("six", "2001:db8::/64"))
    assert world.get("a", **PREFER, ips="2001:db8::5") == "10.0.0.0 2001:db8::5"


def test_a_requested_second_address_that_cannot_be_had_is_said_to_be_so() -> None:
    world = World(FOUR, SIX)
    world.decide("other", ips="2001:db8::1", families=V6)
    world.decide("a", ips="10.0.0.1")
    assert world.notes("a", **PREFER, ips="10.0.0.1,2001:db8::1") == ["10.0.0.1", "RequestUnsatisfiable"]


def test_requested_addresses_are_had_all_or_none() -> None:
    world = World(pool("lan", "10.0.0.0/29", "2001:db8::/64"))
    world.decide("other", ips="10.0.0.5")
    assert world.get("a", **PREFER, ips="10.0.0.5,2001:db8::5") == "AddressTaken"
    assert world.get("b", **PREFER) == "10.0.0.0 2001:db8::"
    assert world.notes("b", **PREFER, ips="10.0.0.5,2001:db8::5") == ["10.0.0.0", "2001:db8::", "RequestUnsatisfiable"]


# Holding ------------------------------------------------------------------------------------------------------------


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


# Pool edits ---------------------------------------------------------------------------------------------------------


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


FOREIGN = ServiceAllocation(namespaces=("other",))


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


# Cool-down ----------------------------------------------------------------------------------------------------------


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


# Dual-stack ---------------------------------------------------------------------------------------------------------


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


# A decision is a value ----------------------------------------------------------------------------------------------


def test_deciding_changes_nothing_and_is_the_same_twice() -> None:
    world = World(LAN)
    world.decide("a")
    wish = request("b", named="lan")
    assert assign(wish, world.ledger) == assign(wish, world.ledger)
    assert len(world.ledger) == 1


def test_a_burst_as_large_as_the_pool_leaves_nobody_without() -> None:
    world = World(pool("lan", "10.0.0.0/24", "10.1.0.0/24", "10.2.0.0-10.2.1.231"))
    got = [world.get(f"s{n}") for n in range(1000)]
    assert len(set(got)) == 1000
    assert world.get("late") == "Exhausted"
    assert [count.available for count in world.ledger.counts("lan").values()] == [0]


def test_the_caller_can_repool_with_an_equal_set() -> None:
    assert PoolSet.of([LAN, FOUR]) == PoolSet.of([FOUR, LAN])
