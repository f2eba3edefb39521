import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.api.names import (
    ADDRESS_POOL,
    ANNOTATION_PREFIXES,
    LOAD_BALANCER_IPS,
    IPAddress,
    IPNetwork,
    address_of,
    alias,
    object_name,
    segment_name,
)
from lbprovider.errors import InvalidObject

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.10", "192.0.2.10"),
        ("2001:db8::5", "2001-db8-0-0-0-0-0-5"),
        ("2001:DB8:0:0:0:0:0:00ff", "2001-db8-0-0-0-0-0-ff"),
        ("::", "0-0-0-0-0-0-0-0"),
        ("::ffff:192.0.2.1", "0-0-0-0-0-ffff-c000-201"),
    ],
)
def test_an_allocation_is_named_after_its_address(address: str, name: str) -> None:
    assert object_name(ip_address(address)) == name


@given(ADDRESSES)
def test_the_name_gives_the_address_back_and_is_one_that_the_api_server_takes(address: IPAddress) -> None:
    name = object_name(address)
    assert address_of(name) == address
    assert SUBDOMAIN.fullmatch(name)


@given(ADDRESSES, ADDRESSES)
def test_two_addresses_never_have_one_name(one: IPAddress, other: IPAddress) -> None:
    assert (object_name(one) == object_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "is not the name of an address"),
        ("192.0.2", "is not the name of an address"),
        ("192.0.2.010", "is not the name of an address"),
        ("2001-db8-0-0-0-0-0-0-5", "is not the name of an address"),
        ("fe80-0-0-0-0-0-0-1%eth0", "is not the name of an address"),
        ("2001-db8--5", "should be 2001-db8-0-0-0-0-0-5"),
        ("2001-db8-0-0-0-0-0-05", "should be 2001-db8-0-0-0-0-0-5"),
        ("2001-DB8-0-0-0-0-0-5", "should be 2001-db8-0-0-0-0-0-5"),
        ("::ffff:192.0.2.1", "should be 0-0-0-0-0-ffff-c000-201"),
    ],
)
def test_a_second_name_for_an_address_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(InvalidObject, match=re.escape(f"IPAllocation {name} metadata.name: {complaint}")):
        address_of(name)


@given(st.text(st.sampled_from("0123456789abcdef.-:%g"), max_size=45))
def test_any_name_is_an_address_or_one_clear_error(name: str) -> None:
    try:
        address = address_of(name)
    except InvalidObject:
        return
    assert object_name(address) == name


@pytest.mark.parametrize("prefix", ANNOTATION_PREFIXES)
def test_each_spelling_of_an_annotation_is_read(prefix: str) -> None:
    assert alias({prefix + ADDRESS_POOL: " lan ", "other/address-pool": "x"}, ADDRESS_POOL) == "lan"


def test_an_annotation_that_is_not_there_is_none_and_an_empty_one_is_empty() -> None:
    assert alias({}, ADDRESS_POOL) is None
    assert alias({"lbprovider.io/address-pool": ""}, ADDRESS_POOL) == ""
    assert alias({"lbprovider.io/address-pool": "lan"}, LOAD_BALANCER_IPS) is None


def test_spellings_that_agree_are_one_and_those_that_contradict_are_named() -> None:
    agreed = {"lbprovider.io/address-pool": "lan", "metallb.io/address-pool": "lan "}
    assert alias(agreed, ADDRESS_POOL) == "lan"
    with pytest.raises(InvalidObject) as refused:
        alias({**agreed, "metallb.universe.tf/address-pool": "dmz"}, ADDRESS_POOL)
    assert "metallb.universe.tf/address-pool='dmz'" in str(refused.value)
    assert refused.value.advice == "keep one of them"


@pytest.mark.parametrize(
    ("subnets", "interface", "name"),
    [
        (["192.0.2.0/24"], "eth0", "192.0.2.0-24"),
        (["2001:db8::/64", "198.51.100.0/24", "192.0.2.0/24"], "eth0", "192.0.2.0-24"),
        (["2001:db8:1::/64", "2001:db8::/64"], "eth0", "2001-db8-0-0-0-0-0-0-64"),
        (["192.0.2.0/25", "192.0.2.0/24"], "eth0", "192.0.2.0-24"),
        ([], "eth0", "interface-eth0"),
        ([], "br-lan.100", "interface-br-lan.100"),
        ([], "ETH", "interface.455448"),
        ([], "_", "interface.5f"),
        ([], "a..b", "interface.612e2e62"),
    ],
)
def test_a_lan_is_named_after_its_lowest_subnet_else_after_the_interface(
    subnets: list[str], interface: str, name: str
) -> None:
    assert segment_name(map(ip_network, subnets), interface) == name


NETWORKS: st.SearchStrategy[IPNetwork] = ADDRESSES.map(
    lambda address: ip_network((address.packed, 24 if address.version == 4 else 64), strict=False)
)


@given(st.lists(NETWORKS, max_size=5).flatmap(lambda nets: st.tuples(st.just(nets), st.permutations(nets))))
def test_every_node_names_a_lan_alike_whatever_order_it_sees_the_subnets_in(
    orders: tuple[list[IPNetwork], list[IPNetwork]],
) -> None:
    assert segment_name(orders[0], "eth0") == segment_name(orders[1], "eth0")


INTERFACES = st.text(st.characters(exclude_characters="/: ", exclude_categories=("C", "Z")), min_size=1, max_size=15)


@given(INTERFACES, INTERFACES)
def test_interfaces_have_a_name_each_and_the_api_server_takes_it(one: str, other: str) -> None:
    assert SUBDOMAIN.fullmatch(segment_name([], one))
    assert (segment_name([], one) == segment_name([], other)) == (one == other)
