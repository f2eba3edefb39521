"""What pools and advertisements may not say together: overlaps, stranded addresses, missing pools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import pytest

from lbprovider.admission import OMITTED
from lbprovider.admission.together import Lookup, advertisement, left_out, pool
from lbprovider.api.allocation import IPAllocationSpec, ServiceClaim
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.names import FORCE
from lbprovider.api.pool import IPAddressPool, L2Advertisement
from lbprovider.ipam.pools import PoolSet

SYSTEM: Final = "lbprovider-system"


def made(name: str, *addresses: str, force: str | None = None, created: str = "", **spec: Any) -> IPAddressPool:
    """Of keywords as in manifests."""
    annotations = {} if force is None else {FORCE: force}
    raw = {
        "metadata": {"name": name, "namespace": SYSTEM, "annotations": annotations, "creationTimestamp": created},
        "spec": {"addresses": addresses, **spec},
    }
    return msgspec.convert(raw, IPAddressPool)


def holds(address: str, *services: str, pool: str = "lan") -> IPAllocationSpec:
    """An address of Services, each as namespace/name."""
    claims = tuple(
        ServiceClaim(namespace=key.partition("/")[0], name=key.partition("/")[2], uid=key) for key in services
    )
    return IPAllocationSpec(address=address, pool=pool, services=claims)


def labels(known: Mapping[str, Mapping[str, str]]) -> Lookup:
    """Labels of Services; no namespace has any."""
    return lambda key: ({}, known[key]) if key in known else None


def said(
    new: IPAddressPool | None,
    old: IPAddressPool | None,
    others: Iterable[IPAddressPool] = (),
    held: Iterable[IPAllocationSpec] = (),
    services: Lookup | None = None,
) -> dict[str, str]:
    """By field, the sentence."""
    return {each.field: each.message for each in pool(new, old, others, held, services)}


# --- overlaps


@pytest.mark.parametrize(
    ("mine", "theirs", "common"),
    [
        ("192.0.2.0/24", "192.0.2.9", "192.0.2.9"),
        ("192.0.2.10-192.0.2.20", "192.0.2.16/28", "192.0.2.16-192.0.2.20"),
        ("192.0.2.10-192.0.2.20", "192.0.2.0-192.0.2.10", "192.0.2.10"),
        ("2001:db8::/64", "2001:db8::5-2001:db8::7", "2001:db8::5-2001:db8::7"),
    ],
)
def test_a_pool_may_not_have_addresses_of_another(mine: str, theirs: str, common: str) -> None:
    found = pool(made("new", "198.51.100.1", mine), None, [made("lan", theirs)])
    sentence = (
        f"has addresses in common with other pools, {common} with IPAddressPool lan: take them out of one of the two"
    )
    assert [(each.field, each.message, each.value) for each in found] == [("spec.addresses[1]", sentence, mine)]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (made("new", "192.0.2.0/25"), made("lan", "192.0.2.128/25")),
        (made("new", "2001:db8::/64"), made("lan", "0.0.0.1")),
        (made("new", "192.0.2.0/24", excludeAddresses=["192.0.2.9"]), made("lan", "192.0.2.9")),
        (made("new", "192.0.2.9"), made("lan", "192.0.2.0/24", excludeAddresses=["192.0.2.8/31"])),
        (made("new", "192.0.2.9"), made("lan", "192.0.2.9", "not an address")),
    ],
    ids=["apart", "other family", "excluded here", "excluded there", "a pool that counts for nothing"],
)
def test_pools_apart_are_taken(mine: IPAddressPool, theirs: IPAddressPool) -> None:
    assert not said(mine, None, [theirs])


def test_several_overlaps_are_said_at_once_and_few_are_named() -> None:
    others = [made(f"p{number}", f"192.0.2.{number}") for number in range(7)]
    found = said(made("new", "192.0.2.0/24", "2001:db8::/64"), None, [*others, made("six", "2001:db8::6")])
    assert sorted(found) == ["spec.addresses[0]", "spec.addresses[1]"]
    assert "192.0.2.0 with IPAddressPool p0, " in found["spec.addresses[0]"]
    assert "IPAddressPool p4 and 2 more:" in found["spec.addresses[0]"]


@pytest.mark.parametrize("excluded", [[], ["192.0.2.100"]], ids=["one piece", "two pieces"])
def test_the_lowest_addresses_in_common_are_named(excluded: list[str]) -> None:
    mine = made("new", "192.0.2.0/24", excludeAddresses=excluded)
    found = said(mine, None, [made("lan", "192.0.2.200", "192.0.2.5", "192.0.2.90")])
    assert found["spec.addresses[0]"].startswith("has addresses in common with other pools, 192.0.2.5 with IPAddressPo")


def test_entries_of_one_pool_may_not_overlap() -> None:
    twice = made("new", "192.0.2.0/24", "192.0.2.9")
    assert said(twice, None) == {"spec.addresses": "192.0.2.0-192.0.2.255 and 192.0.2.9 overlap; "
                                 "keep each address in one entry"}  # fmt: skip
    assert said(twice, made("new", "192.0.2.0/24")), "an edit makes it so"
    assert not said(made("new", "192.0.2.0/24", "192.0.2.9", autoAssign=False), twice), "it was so before"


def test_overlaps_are_those_that_the_controller_finds() -> None:
    pairs = [
        (made("a", "192.0.2.0/24"), made("b", "192.0.2.255-192.0.3.1")),
        (made("a", "192.0.2.0/24", excludeAddresses=["192.0.2.255"]), made("b", "192.0.2.255-192.0.3.1")),
        (made("a", "192.0.2.0/24", avoidBuggyIPs=True), made("b", "192.0.2.255")),
        (made("a", "2001:db8::/126"), made("b", "2001:db8::3")),
        (made("a", "2001:db8::/126"), made("b", "2001:db8::4")),
    ]
    assert [bool(said(one, None, [other])) for one, other in pairs] == [
        bool(PoolSet.of([one, other]).refused) for one, other in pairs
    ]


def test_an_overlap_that_was_there_is_not_refused_again() -> None:
    other = made("lan", "192.0.2.0/24")
    old = made("new", "192.0.2.10-192.0.2.20")
    assert not said(made("new", "192.0.2.10-192.0.2.20", autoAssign=False), old, [other])
    assert not said(made("new", "192.0.2.12-192.0.2.18"), old, [other]), "it is less"
    grown = said(made("new", "192.0.2.8-192.0.2.20"), old, [other])
    assert "192.0.2.8-192.0.2.9 with IPAddressPool lan" in grown["spec.addresses[0]"]


def test_the_pool_itself_is_no_other() -> None:
    lan = made("lan", "192.0.2.0/24")
    assert not said(lan, None, [lan])


def test_force_does_not_let_pools_overlap() -> None:
    assert said(made("new", "192.0.2.1", force="true"), None, [made("lan", "192.0.2.1")])


# --- live addresses

LAN: Final = made("lan", "192.0.2.0/24")
WEB: Final = holds("192.0.2.10", "shop/web")


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (made("lan", "192.0.2.11-192.0.2.20"), "spec.addresses"),
        (made("lan", "192.0.2.0/24", excludeAddresses=["192.0.2.8/30"]), "spec.excludeAddresses"),
    ],
    ids=["shrunk", "excluded"],
)
def test_an_edit_may_not_leave_out_an_address_that_a_service_holds(new: IPAddressPool, field: str) -> None:
    found = pool(new, LAN, (), [WEB, holds("192.0.2.15", "shop/other")])
    assert [(each.field, each.value) for each in found] == [(field, OMITTED)]
    assert found[0].message == (
        "leaves out addresses that Services hold, 192.0.2.10 (shop/web): put them back, give them to another pool for "
        'these Services, delete the Services first, or annotate the pool lbprovider.io/force: "true" to do it all the '
        "same"
    )


def test_buggy_addresses_may_not_be_left_out_while_a_service_holds_one() -> None:
    careful = made("lan", "192.0.2.0/24", avoidBuggyIPs=True)
    found = said(careful, LAN, (), [WEB, holds("192.0.2.255", "shop/old"), holds("192.0.2.0", "a/a", "b/b")])
    assert list(found) == ["spec.avoidBuggyIPs"]
    assert "192.0.2.0 (a/a, b/b), 192.0.2.255 (shop/old):" in found["spec.avoidBuggyIPs"]


def test_a_pool_may_not_go_while_services_hold_its_addresses() -> None:
    found = pool(None, LAN, (), [WEB])
    assert [(each.field, each.value) for each in found] == [("metadata.name", "lan")]
    assert found[0].message.startswith(
        "gives addresses that Services hold and no other pool allows them, 192.0.2.10 (shop/web): give them to"
    )


@pytest.mark.parametrize(
    "held",
    [
        [],
        [holds("198.51.100.1", "shop/web")],
        [holds("192.0.2.10")],
        [holds("nonsense", "shop/web")],
    ],
    ids=["nothing", "another pool's", "cooling down", "no address"],
)
def test_what_no_service_holds_may_go(held: list[IPAllocationSpec]) -> None:
    assert not said(None, LAN, (), held)


def test_few_addresses_are_named_in_order() -> None:
    held = [holds(f"192.0.2.{number}", f"shop/s{number}") for number in (30, 4, 100, 1, 2, 3, 5)]
    sentence = said(None, LAN, (), held)["metadata.name"]
    assert "192.0.2.1 (shop/s1), 192.0.2.2 (shop/s2), 192.0.2.3 (shop/s3)" in sentence
    assert "192.0.2.5 (shop/s5) and 2 more:" in sentence


def test_a_pool_that_is_split_renamed_or_grown_strands_nothing() -> None:
    rest = [made("upper", "192.0.2.128/25")]
    held = [WEB, holds("192.0.2.200", "shop/api")]
    assert not said(None, made("old", "192.0.2.10"), [made("lan", "192.0.2.0/24", excludeAddresses=["192.0.2.99"])], [])
    assert not said(made("lan", "192.0.0.0/16"), LAN, (), held)
    assert not said(made("lan", "192.0.2.0/25"), made("lan", "192.0.2.0/24"), rest, held[:1])
    overlapping = made("lan", "192.0.2.0/24", created="2026-01-01T00:00:00Z")
    assert not said(made("lan", "192.0.2.0/25", created="2026-01-01T00:00:00Z"), overlapping, rest, held)


@pytest.mark.parametrize(("force", "refused"), [("true", False), ("", False), ("false", True), (None, True)])
def test_force_lets_go(force: str | None, *, refused: bool) -> None:
    shrunk = made("lan", "192.0.2.99", force=force)
    assert bool(said(shrunk, LAN, (), [WEB])) is refused
    assert bool(said(None, made("lan", "192.0.2.0/24", force=force), (), [WEB])) is refused


def test_force_on_the_old_object_is_not_enough_for_an_edit_that_takes_it_away() -> None:
    assert said(made("lan", "192.0.2.99"), made("lan", "192.0.2.0/24", force="true"), (), [WEB])


def test_what_is_stranded_already_is_not_refused_again() -> None:
    shrunk = made("lan", "192.0.2.50-192.0.2.60")
    held = [WEB, holds("192.0.2.55", "shop/api")]
    assert not said(made("lan", "192.0.2.50-192.0.2.60", autoAssign=False), shrunk, (), held)
    found = said(made("lan", "192.0.2.56-192.0.2.60"), shrunk, (), held)
    assert "192.0.2.55" in found["spec.addresses"]
    assert "192.0.2.10" not in found["spec.addresses"]


# --- pinning


def pinned(**allocation: Any) -> IPAddressPool:
    return made("lan", "192.0.2.0/24", serviceAllocation=allocation)


TIER_WEB: Final = {"serviceSelectors": [{"matchLabels": {"tier": "web"}}]}


def test_a_pool_may_not_shut_out_who_holds_its_address() -> None:
    known = labels({"shop/web": {"tier": "web"}, "shop/db": {"tier": "db"}})
    held = [WEB, holds("192.0.2.11", "shop/db", "shop/web")]
    assert said(pinned(**TIER_WEB), LAN, (), held, known) == {
        "spec.serviceAllocation": "shuts out Services that hold addresses, 192.0.2.11 (shop/db): let them in, give "
        "them to another pool for these Services, delete the Services first, or annotate the pool "
        'lbprovider.io/force: "true" to do it all the same'
    }


def test_namespaces_are_looked_at_by_their_own_labels() -> None:
    new = pinned(namespaceSelectors=[{"matchLabels": {"team": "shop"}}])
    shop: Lookup = lambda key: ({"team": key.partition("/")[0]}, {})  # noqa: E731  (a table of one rule)
    assert list(said(new, LAN, (), [WEB], shop)) == []
    assert list(said(new, LAN, (), [holds("192.0.2.10", "bank/web")], shop)) == ["spec.serviceAllocation"]


def test_what_is_not_known_of_a_service_is_not_held_against_it() -> None:
    assert not said(pinned(**TIER_WEB), LAN, (), [WEB], labels({}))
    assert not said(pinned(**TIER_WEB), LAN, (), [WEB])


def test_who_was_shut_out_already_is_not_named_again() -> None:
    known = labels({"shop/web": {}})
    old = pinned(**TIER_WEB)
    assert not said(pinned(priority=5, **TIER_WEB), old, (), [WEB], known)
    assert not said(made("lan", "192.0.2.50"), old, (), [WEB], known), "no pool allows it before or after"


def test_another_pool_helps_only_whom_it_lets_in() -> None:
    known = labels({"shop/web": {"tier": "web"}})
    for selector, refused in ((TIER_WEB, False), ({"serviceSelectors": [{"matchLabels": {"tier": "db"}}]}, True)):
        other = made("other", "192.0.2.10", created="2026-02-02T00:00:00Z", serviceAllocation=selector)
        old = made("lan", "192.0.2.0/24", created="2026-01-01T00:00:00Z")
        assert bool(said(None, old, [other], [WEB], known)) is refused


# --- advertisements


def test_an_advertisement_that_names_a_missing_pool_is_told_so() -> None:
    new = msgspec.convert({"spec": {"ipAddressPools": ["gone", "lan"]}}, L2Advertisement)
    found = advertisement(new, [LAN])
    assert [(each.field, each.value, each.message) for each in found] == [
        ("spec.ipAddressPools[0]", "gone", "is no IPAddressPool that is there: make it, or take the name out")
    ]


def test_an_advertisement_that_names_none_is_well() -> None:
    assert not advertisement(L2Advertisement(metadata=ObjectMeta(name="lan")), [])


# --- what only the webhook can refuse of one pool by itself


def test_what_cel_cannot_see_is_refused_too() -> None:
    backwards = made("lan", "2001:db8:1::1-2001:db8::1")
    assert said(backwards, None) == {"spec.addresses[0]": "ends before it starts: write 2001:db8::1-2001:db8:1::1"}
    assert not said(made("lan", "2001:db8:1::1-2001:db8::1", autoAssign=False), backwards), "it was so before"


# --- files, where nothing says what was before


def test_what_was_given_from_a_pool_of_a_file_is_looked_for_in_it() -> None:
    elsewhere = holds("198.51.100.1", "shop/api", pool="dmz")
    assert not left_out(LAN, (), [WEB, elsewhere])
    found = left_out(made("lan", "192.0.2.64/26"), (), [WEB, elsewhere])
    assert [each.field for each in found] == ["spec.addresses"]
    assert "192.0.2.10 (shop/web):" in found[0].message


def test_another_pool_of_the_file_may_have_it_now() -> None:
    assert not left_out(made("lan", "192.0.2.64/26"), [made("low", "192.0.2.0/26")], [WEB])


def test_a_forced_pool_of_a_file_leaves_out_what_it_likes() -> None:
    assert not left_out(made("lan", "192.0.2.64/26", force="true"), (), [WEB])


def test_pinning_in_a_file_is_held_against_services_that_are_known() -> None:
    assert left_out(pinned(**TIER_WEB), (), [WEB], labels({"shop/web": {}}))
    assert not left_out(pinned(**TIER_WEB), (), [WEB], labels({}))
