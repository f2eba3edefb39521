"""What no object of ours may say: every refusal, in the words of the CRDs, by the code that the controller runs."""

from __future__ import annotations

from typing import Any, Final

import pytest

from lbprovider.admission import Refusal, refusals
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, Resource
from tests.unit.admission.admission_specs import ALLOCATION, LAN, SLIPS, THREE, Object, made, said

NOTHING = "is none of: a CIDR (192.0.2.0/24), a range (192.0.2.10-192.0.2.20), an address (192.0.2.10), IPv4 or IPv6"
HOST_BITS = (
    "has bits set behind its prefix length: write the network (as 192.0.2.0/24), "
    "or the address alone if one address is meant"
)
UNREACHABLE = (
    "holds loopback, multicast, link-local, broadcast or unspecified addresses: no Service can be reached at those"
)
NO_DURATION = "is no duration: write one as 90s, 10m or 1h30m"
NO_SUBNET = "is no subnet: write its network address and prefix length, as 192.0.2.0/24"
NO_ADDRESS = "is no address in its short form, as 192.0.2.10 or 2001:db8::5"
NEVER = "subnets and interface say which LAN it is and never change, delete the Segment instead"
NEVER_EMPTY = "lists can't become empty again, the last member in force stays in them"
UNMARKED = "lists changed and version did not, write it one higher than the one that was read"

GOOD_POOL: Final = {"addresses": ["192.0.2.0/24"]}


@pytest.mark.parametrize(
    ("kind", "spec", "name"),
    [
        (POOLS, GOOD_POOL, "x"),
        (
            POOLS,
            {
                "addresses": ["192.0.2.1 - 192.0.2.9", "\t2001:db8::/64"],
                "excludeAddresses": ["192.0.2.5", "2001:DB8::1"],
                "reuseAfter": "1h30m",
                "serviceAllocation": {
                    "namespaces": ["shop", "kube-system", "0"],
                    "namespaceSelectors": [{}, {"matchLabels": {"a": "b"}}],
                    "serviceSelectors": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}],
                },
            },
            "x",
        ),
        (ADVERTISEMENTS, {}, "x"),
        (
            ADVERTISEMENTS,
            {
                "interfaces": ["eth0", "br-lan.100"],
                "nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]}],
                "preferredNodeSelectors": [{"weight": 5, "nodeSelector": {}}],
            },
            "x",
        ),
        (SEGMENTS, LAN, "x"),
        (SEGMENTS, {"interface": "eth0", "subnets": []}, "x"),
        (ALLOCATIONS, ALLOCATION, "192.0.2.10"),
        (ALLOCATIONS, {"address": "2001:db8::5", "pool": "lan"}, "2001-db8-0-0-0-0-0-5"),
        (ALLOCATIONS, {"address": "1:0:2:3:4:5:6:7", "pool": "lan"}, "1-0-2-3-4-5-6-7"),
    ],
)
def test_what_may_be_is_not_refused(kind: Resource[Any], spec: Object, name: str) -> None:
    assert said(kind, spec, name=name) == {}


def test_of_other_kinds_and_of_an_advertisement_without_a_spec_nothing_is_said() -> None:
    assert refusals("Service", made({"addresses": ["x"]}), None) == ()
    assert refusals("L2Advertisement", {"metadata": {"name": "all"}}, {"metadata": {"name": "all"}}) == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("", NOTHING),
        ("192.0.2.300", NOTHING),
        ("192.0.2.10-20", f"{NOTHING}; write 192.0.2.10-192.0.2.20 if that is meant"),
        ("192.0.2.0/33", f"{NOTHING}; '33' is no prefix length, IPv4 has 0 to 32"),
        (
            " 192.0.2.5/24",
            f"{HOST_BITS}; the network is 192.0.2.0/24, its rest from there 192.0.2.5-192.0.2.255",
        ),
        ("192.0.2.1-2001:db8::1", "mixes IPv4 and IPv6: start and end of a range are of one family"),
        ("192.0.2.20 - 192.0.2.10", "ends before it starts: write 192.0.2.10-192.0.2.20"),
        ("2001:db8:1::-2001:DB8::1", "ends before it starts: write 2001:DB8::1-2001:db8:1::"),
        ("127.0.0.1", f"{UNREACHABLE}; 127.0.0.0/8 are loopback addresses (RFC 1122 3.2.1.3)"),
        ("fe80::/64", f"{UNREACHABLE}; fe80::/10 are link-local addresses (RFC 4291 2.5.6)"),
        ("::/0", f"{UNREACHABLE}; it is every address there is: write the free addresses of the LAN"),
    ],
)
@pytest.mark.parametrize("field", ["addresses", "excludeAddresses"])
def test_an_entry_is_refused_as_it_was_written(field: str, entry: str, message: str) -> None:
    spec = {"addresses": ["198.51.100.1"], field: ["198.51.100.1", entry]}
    assert said(POOLS, spec) == {f"spec.{field}[1]": (entry, message)}


@pytest.mark.parametrize("duration", ["", "1d", " 10m", "10m\n", "soon", "5", "-5m"])
def test_what_is_no_duration_is_refused(duration: str) -> None:
    assert said(POOLS, {**GOOD_POOL, "reuseAfter": duration}) == {"spec.reuseAfter": (duration, NO_DURATION)}


def slips(path: str) -> Object:
    needs = ('operator In on "a" needs values', 'operator NotIn on "b" needs values')
    takes = ('operator Exists on "c" takes no values', 'operator DoesNotExist on "d" takes no values')
    return {f"{path}.matchExpressions[{index}]": (message,) for index, message in enumerate((*needs, *takes))}


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        (
            POOLS,
            {**GOOD_POOL, "serviceAllocation": {"namespaceSelectors": [{}, SLIPS]}},
            "spec.serviceAllocation.namespaceSelectors[1]",
        ),
        (
            POOLS,
            {**GOOD_POOL, "serviceAllocation": {"serviceSelectors": [SLIPS]}},
            "spec.serviceAllocation.serviceSelectors[0]",
        ),
        (ADVERTISEMENTS, {"ipAddressPoolSelectors": [SLIPS]}, "spec.ipAddressPoolSelectors[0]"),
        (ADVERTISEMENTS, {"nodeSelectors": [SLIPS]}, "spec.nodeSelectors[0]"),
        (ADVERTISEMENTS, {"serviceSelectors": [{}, {}, SLIPS]}, "spec.serviceSelectors[2]"),
        (
            ADVERTISEMENTS,
            {"preferredNodeSelectors": [{"weight": 1, "nodeSelector": SLIPS}]},
            "spec.preferredNodeSelectors[0].nodeSelector",
        ),
    ],
)
def test_operators_go_with_their_values_in_every_selector(kind: Resource[Any], spec: Object, path: str) -> None:
    assert said(kind, spec) == slips(path)


@pytest.mark.parametrize("name", ["Shop", "a-", "-a", "a.b", "", "a\n"])
def test_a_namespace_has_a_name_that_a_namespace_can_have(name: str) -> None:
    assert said(POOLS, {**GOOD_POOL, "serviceAllocation": {"namespaces": ["shop", name]}}) == {
        "spec.serviceAllocation.namespaces[1]": (
            name,
            "is no name of a namespace: lower-case letters, digits and dashes",
        )
    }


@pytest.mark.parametrize("name", ["eth0 eth1", "a/b", "a:b", "a\t", "\v"])
def test_an_interface_has_a_name_that_linux_would_take(name: str) -> None:
    assert said(ADVERTISEMENTS, {"interfaces": ["eth0", name]}) == {
        "spec.interfaces[1]": (name, "is no name of an interface: no blank, slash or colon")
    }


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, {"spec": ("names no LAN, give subnets, or interface where the LAN has none",)}),
        (
            {"subnets": [], "interface": ""},
            {"spec": ("names no LAN, give subnets, or interface where the LAN has none",)},
        ),
        *(
            ({"subnets": ["192.0.2.0/24", bad]}, {"spec.subnets[1]": (bad, NO_SUBNET)})
            for bad in ("192.0.2.1/24", "lan", " 192.0.2.0/24", "192.0.2.0", "192.0.2.0/024", "::ffff:0:0/96", "")
        ),
        (
            {**LAN, "lists": [THREE, {**THREE, "need": 4}]},
            {"spec.lists[1].need": ("is more than the list has members, so no quorum could ever be reached",)},
        ),
    ],
)
def test_a_segment_that_can_not_be_is_refused(spec: Object, found: Object) -> None:
    assert said(SEGMENTS, spec) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, {}),
        ({"version": 4, "lists": [THREE, {"members": ["a", "b", "c", "d"], "need": 3}]}, {}),
        ({"version": 9, "lists": [{"members": ["a"], "need": 1, "heartbeatPeriod": 200}]}, {}),
        ({"version": 4}, {}),
        ({"heartbeatPeriod": 200}, {}),
        ({"subnets": ["2001:db8::/64", "192.0.2.0/24"]}, {}),
        ({"lists": [{**THREE, "members": ["c", "b", "a"]}]}, {}),
        ({"subnets": ["192.0.2.0/24"]}, {"spec": (NEVER,)}),
        ({"interface": "eth1"}, {"spec": (NEVER,)}),
        ({"version": 2}, {"spec.version": (2, "is lower than the version in force, read the Segment again")}),
        ({"lists": [THREE, THREE]}, {"spec.version": (UNMARKED,)}),
        ({"lists": [{**THREE, "need": 3}]}, {"spec.version": (UNMARKED,)}),
        ({"lists": [{**THREE, "heartbeatPeriod": 200}]}, {"spec.version": (UNMARKED,)}),
        ({"version": 4, "lists": []}, {"spec": (NEVER_EMPTY,)}),
    ],
)
def test_a_segment_never_goes_back(change: Object, found: Object) -> None:
    assert said(SEGMENTS, {**LAN, **change}, LAN) == found


def test_a_segment_begins_without_members() -> None:
    begun = {**LAN, "version": 0, "lists": []}
    assert said(SEGMENTS, begun) == said(SEGMENTS, begun, begun) == said(SEGMENTS, LAN, begun) == {}


@pytest.mark.parametrize(
    ("name", "address", "fields"),
    [
        ("192.0.2.11", "192.0.2.10", {"metadata.name"}),
        ("web", "192.0.2.10", {"metadata.name"}),
        ("2001-db8-0-0-0-0-0-6", "2001:db8::5", {"metadata.name"}),
        ("2001-db8-0-0-0-0-0-05", "2001:db8::5", {"metadata.name"}),
        ("2001-db8--5", "2001:db8::5", {"metadata.name"}),
        ("192.0.2.10", "192.0.2.010", {"metadata.name", "spec.address"}),
        ("192.0.2.010", "192.0.2.010", {"spec.address"}),
        ("web", "web", {"metadata.name", "spec.address"}),
        ("2001-db8-0-0-0-0-0-5", "2001:db8:0::5", {"spec.address"}),
        ("2001-db8-0-0-0-0-0-5", "2001:DB8::5", {"spec.address"}),
        ("2001-db8-0-0-0-0-0-5", "2001:db8::5%eth0", {"metadata.name", "spec.address"}),
        ("0-0-0-0-0-ffff-c000-201", "::ffff:c000:201", {"metadata.name", "spec.address"}),
        ("0-0-0-0-0-0-102-304", "::1.2.3.4", {"spec.address"}),
    ],
)
def test_an_address_has_one_name_and_one_form(name: str, address: str, fields: set[str]) -> None:
    form = "IPv4 as it is, IPv6 written out with dashes, as 2001-db8-0-0-0-0-0-5"
    misnamed = f'"{name}" is not the name of address {address}: {form}'
    every = {"metadata.name": (misnamed,), "spec.address": (address, NO_ADDRESS)}
    assert said(ALLOCATIONS, {"address": address, "pool": "lan"}, name=name) == {each: every[each] for each in fields}


def test_the_address_of_an_allocation_never_changes() -> None:
    moved = refusals("IPAllocation", made({**ALLOCATION, "address": "192.0.2.11"}, "192.0.2.10"), made(ALLOCATION))
    assert moved[-1] == Refusal(
        "spec.address",
        "the address is 192.0.2.10 and never changes: another one is another IPAllocation",
        "192.0.2.11",
    )
    assert said(ALLOCATIONS, {**ALLOCATION, "pool": "other"}, ALLOCATION, name="192.0.2.10") == {}


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_fields() -> None:
    spec = {
        "addresses": ["x", "192.0.2.1", "y"],
        "excludeAddresses": ["z"],
        "reuseAfter": "?",
        "serviceAllocation": {"namespaces": ["A"], "serviceSelectors": [SLIPS]},
    }
    assert list(said(POOLS, spec)) == [
        "spec.addresses[0]", "spec.addresses[2]", "spec.excludeAddresses[0]", "spec.reuseAfter",
        "spec.serviceAllocation.namespaces[0]", *slips("spec.serviceAllocation.serviceSelectors[0]"),
    ]  # fmt: skip


def test_what_an_update_leaves_as_it_was_is_not_refused() -> None:
    stored = {"addresses": ["x", "192.0.2.1"], "reuseAfter": "?"}
    assert said(POOLS, {**stored, "autoAssign": False}, stored) == {}
    assert list(said(POOLS, {**stored, "addresses": ["x", "192.0.2.2"]}, stored)) == ["spec.addresses[0]"]
    assert list(said(POOLS, {**stored, "reuseAfter": "??"}, stored)) == ["spec.reuseAfter"]
