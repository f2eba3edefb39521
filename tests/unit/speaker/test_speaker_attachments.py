"""Which LAN an interface is on, and what is registered of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from lbprovider.api.meta import ObjectMeta
from lbprovider.api.registration import Attachment
from lbprovider.api.segment import MemberList, Segment, SegmentSpec
from lbprovider.net.links import Link
from lbprovider.speaker.attachments import Seen, assign, attachments, place_on, silent


def link(name: str = "eth0", *addresses: str, index: int = 1, usable: bool = True, default_route: bool = False) -> Link:
    return Link(
        name=name,
        index=index,
        mac=bytes((2, 0, 0, 0, 0, index)),
        up=usable,
        carrier=usable,
        addresses=tuple(map(ip_interface, addresses)),
        default_route=default_route,
    )


def segment(name: str, *subnets: str) -> Segment:
    return Segment(metadata=ObjectMeta(name=name), spec=SegmentSpec(subnets=subnets))


@pytest.mark.parametrize(
    ("addresses", "segments", "name"),
    [
        (["192.0.2.1/24"], [], "192.0.2.0-24"),
        (["2001:db8::1/64", "fe80::1/64", "192.0.2.1/24"], [], "192.0.2.0-24"),
        (["fe80::1/64"], [], "interface-eth0"),
        (["192.0.2.1/24"], [segment("192.0.2.0-24", "192.0.2.0/24")], "192.0.2.0-24"),
        (["192.0.2.1/24"], [segment("198.51.100.0-24", "198.51.100.0/24")], "192.0.2.0-24"),
        (["2001:db8::1/64"], [segment("192.0.2.0-24", "192.0.2.0/24", "2001:db8::/64")], "192.0.2.0-24"),
        (
            ["192.0.2.1/24", "198.51.100.1/24"],
            [segment("192.0.2.0-24", "192.0.2.0/24"), segment("198.51.100.0-24", "198.51.100.0/24")],
            "192.0.2.0-24",
        ),
    ],
    ids=["by subnet", "lowest subnet, IPv4 first", "none", "known", "another", "a part of it", "of two its own"],
)
def test_a_lan_is_known_by_its_segment(addresses: list[str], segments: list[Segment], name: str) -> None:
    assert list(assign([link("eth0", *addresses)], segments)) == [name]


def test_an_interface_without_an_address_is_on_no_lan_and_said() -> None:
    links = [
        link("eth0"),
        link("eth1", "fe80::1/64", index=2),
        link("eth2", index=3, usable=False),
        link("eth3", "192.0.2.1/24", index=4),
    ]
    on = assign(links, [])
    assert {name: one.name for name, one in on.items()} == {"interface-eth1": "eth1", "192.0.2.0-24": "eth3"}
    assert silent(links, on) == ("eth0",)
    lost = [replace(links[3], addresses=())]
    assert silent(lost, assign(lost, [], on)) == ()


def test_between_two_leases_of_dhcp_an_interface_stays_on_its_lan() -> None:
    one = link("eth0", "192.0.2.1/24")
    on = assign([one], [])
    for between in (link("eth0"), link("eth0", "fe80::1/64")):
        assert assign([between], [], on) == {"192.0.2.0-24": between}
    on = assign([link("eth0")], [], on)
    again = link("eth0", "192.0.2.77/24")
    assert assign([again], [], on) == {"192.0.2.0-24": again}
    moved = link("eth0", "198.51.100.77/24")
    assert assign([moved], [], on) == {"198.51.100.0-24": moved}


def test_a_renamed_interface_stays_on_its_lan() -> None:
    on = assign([link("eth0", "192.0.2.1/24")], [])
    renamed = link("lan0", "192.0.2.1/24")
    assert assign([renamed], [], on) == {"192.0.2.0-24": renamed}
    only_local = assign([link("eth0", "fe80::1/64")], [])
    renamed = link("lan0", "fe80::1/64")
    assert assign([renamed], [], only_local) == {"interface-eth0": renamed}


def test_of_two_interfaces_on_one_lan_the_one_in_use_stays_while_it_is_usable() -> None:
    one, two = link("eth0", "192.0.2.1/24"), link("eth1", "192.0.2.2/24", index=2)
    first = assign([two], [])
    assert assign([one, two], [], first) == {"192.0.2.0-24": two}
    assert assign([one, two], []) == {"192.0.2.0-24": one}
    down = replace(two, carrier=False)
    assert assign([one, down], [], first) == {"192.0.2.0-24": one}


def test_an_interface_that_is_down_stays_on_its_lan_though_it_has_lost_its_addresses() -> None:
    before = assign([link("eth0", "2001:db8::1/64")], [])
    down = link("eth0", usable=False)
    assert assign([down], [], before) == {"2001-db8-0-0-0-0-0-0-64": down}
    registered = attachments(before, {}, ())
    assert attachments({"2001-db8-0-0-0-0-0-0-64": down}, {}, registered) == registered


def test_a_lan_whose_segment_is_deleted_keeps_its_name_until_there_is_another() -> None:
    one, known = link("eth0", "2001:db8::1/64"), segment("192.0.2.0-24", "192.0.2.0/24", "2001:db8::/64")
    on = assign([one], [known])
    assert assign([one], [], on) == {"192.0.2.0-24": one}
    renumbered = link("eth0", "2001:db8:1::1/64")
    assert assign([renumbered], [], on) == {"2001-db8-1-0-0-0-0-0-64": renumbered}


def test_what_is_registered() -> None:
    there = link("eth0", "198.51.100.7/24", "192.0.2.1/24", "2001:db8::1/64", default_route=True)
    lists = (MemberList(members=("n1", "n2"), need=2),)
    assert attachments({"lan": there}, {"lan": Seen(("n2",), neighbours=True, version=3, lists=lists)}, ()) == (
        Attachment(
            segment="lan",
            interface="eth0",
            address="192.0.2.1",
            mac="02:00:00:00:00:01",
            subnets=("192.0.2.0/24", "198.51.100.0/24", "2001:db8::/64"),
            hears=("n2",),
            default_route=True,
            sees_neighbours=True,
            version=3,
            lists=lists,
        ),
    )
    (leaving,) = attachments({"lan": there}, {}, (), leaving=True)
    assert leaving.leaving


def test_an_address_that_dhcp_changes_is_registered() -> None:
    before = attachments({"lan": link("eth0", "192.0.2.1/24")}, {}, ())
    (now,) = attachments({"lan": link("eth0", "192.0.2.77/24")}, {}, before)
    assert now.address == "192.0.2.77"


def test_an_interface_with_only_a_link_local_address_is_reached_there() -> None:
    (only,) = attachments({"interface-eth0": link("eth0", "fe80::1/64")}, {}, ())
    assert (only.address, only.subnets) == ("fe80::1", ())


def test_where_a_peer_is_reached() -> None:
    there = attachments({"lan": link("eth0", "192.0.2.1/24")}, {}, ())
    assert place_on("lan", there) == ("192.0.2.1", "02:00:00:00:00:01")
    assert place_on("another", there) == ("", "")
