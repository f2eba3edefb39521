"""Interfaces: what is a LAN, what is a change, what netlink's messages add up to."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from pyroute2.netlink import rtnl

from lbprovider.net import netlink
from lbprovider.net.links import Link, What, change, lan_links
from lbprovider.net.netlink import Defaults, KernelLinks, Table
from lbprovider.settings import EXCLUDED_INTERFACES

MAC = bytes.fromhex("02aabbccdd01")


def link(name: str = "eth0", index: int = 2, **fields: Any) -> Link:
    known: dict[str, Any] = {"name": name, "index": index, "mac": MAC, "up": True, "carrier": True}
    return Link(**(known | fields))


def addresses(*texts: str) -> dict[str, Any]:
    return {"addresses": tuple(map(ip_interface, texts))}


@pytest.mark.parametrize(
    ("each", "is_lan"),
    [
        (link("eth0"), True),
        (link("eth0", up=False), True),
        (link("bond0", kind="bond"), True),
        (link("eth0.7", kind="vlan"), True),
        (link("br0", kind="bridge"), True),
        (link("port", master=90), False),
        (link("member", master=91), True),
        (link("orphan", master=99), False),
        (link("lo"), False),
        (link("docker0"), False),
        (link("cali12345"), False),
        (link("cilium_host"), False),
        (link("flannel.1"), False),
        (link("kube-ipvs0"), False),
        (link("veth0a1b"), False),
        (link("wg0", ethernet=False), False),
    ],
    ids=lambda value: value.name if isinstance(value, Link) else "",
)
def test_what_is_a_lan(each: Link, is_lan: bool) -> None:  # noqa: FBT001
    masters = [link("bridge9", 90, kind="bridge", ethernet=False), link("vrf9", 91, kind="vrf", ethernet=False)]
    snapshot = {one.name: one for one in [each, *masters]}
    assert lan_links(snapshot, EXCLUDED_INTERFACES) == ((each,) if is_lan else ())


def test_lans_are_in_order_of_name() -> None:
    snapshot = {name: link(name, index) for index, name in enumerate(["eth1", "bond0", "eth0"])}
    assert [each.name for each in lan_links(snapshot, ())] == ["bond0", "eth0", "eth1"]


def test_subnets_are_the_connected_ones_lowest_first() -> None:
    everything = addresses(
        "192.0.2.9/24", "10.0.0.5/8", "192.0.2.10/24", "203.0.113.7/32", "169.254.1.1/16",
        "fe80::1/64", "2001:db8::1/64", "2001:db8::2/128",
    )  # fmt: skip
    assert [str(each) for each in link(**everything).subnets] == ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/64"]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"name": "lan0"}, {What.RENAMED}),
        ({"carrier": False}, {What.DOWN}),
        ({"up": False, "carrier": False}, {What.DOWN}),
        ({"returns": 1}, {What.UP}),
        ({"mac": bytes(6)}, {What.MAC}),
        ({"default_route": True}, {What.DEFAULT_ROUTE}),
        ({"gateways": (ip_address("192.0.2.254"),)}, {What.DEFAULT_ROUTE}),
        ({"master": 4}, {What.MASTER}),
        (addresses("192.0.2.1/24"), {What.ADDRESSES}),
        ({"mac": bytes(6), "name": "lan0"}, {What.MAC, What.RENAMED}),
    ],
)
def test_a_change_says_what(fields: dict[str, Any], what: set[What]) -> None:
    before = link()
    after = replace(before, **fields)
    told = change(before, after)
    assert told is not None
    assert (told.before, told.after) == (before, after)
    assert set(told.what) == what


def test_coming_going_and_nothing() -> None:
    added, removed = change(None, link()), change(link(), None)
    assert added is not None
    assert removed is not None
    assert (set(added.what), set(removed.what)) == ({What.ADDED}, {What.REMOVED})
    assert change(None, None) is None
    assert change(link(), link()) is None


class Message(dict[str, Any]):
    """What the table uses of pyroute2's messages."""

    def get_attr(self, name: str) -> Any:
        return self["attrs"].get(name)

    def get_nested(self, *path: str) -> Any:
        return self["attrs"].get(path[-1])


def message(kind: int, index: int = 2, flags: int = 0, **fields: Any) -> Message:
    attrs = fields.pop("attrs", {})
    return Message(header={"type": kind}, index=index, flags=flags, attrs=attrs, **fields)


UP, RUNNING = 0x1, 0x10001


def new_link(flags: int = RUNNING, index: int = 2, ups: int = 1, **attrs: Any) -> Message:
    known = {"IFLA_IFNAME": "eth0", "IFLA_ADDRESS": "02:aa:bb:cc:dd:01", "IFLA_CARRIER_UP_COUNT": ups} | attrs
    return message(rtnl.RTM_NEWLINK, index, flags, ifi_type=1, attrs=known)


def address(text: str, flags: int = 0, kind: int = rtnl.RTM_NEWADDR, **attrs: Any) -> Message:
    own = ip_interface(text)
    known = {"IFA_ADDRESS": str(own.ip), "IFA_FLAGS": flags} | attrs
    return message(kind, prefixlen=own.network.prefixlen, attrs=known)


def learnt(*messages: Message) -> Table:
    table = Table()
    for each in messages:
        table.learn(each)
    return table


def test_a_link_is_put_together_from_its_messages() -> None:
    table = learnt(new_link(), address("192.0.2.9/24", 0x01), address("192.0.2.200/24"), address("2001:db8::1/64"))
    table.set_defaults({2: (ip_address("192.0.2.254"),)})
    assert table.get(2) == link(
        **addresses("192.0.2.200/24", "192.0.2.9/24", "2001:db8::1/64"),
        default_route=True,
        gateways=(ip_address("192.0.2.254"),),
        returns=0,
    )
    assert table.changed == {2}


@pytest.mark.parametrize(
    "flags",
    [pytest.param(0x40, id="tentative"), pytest.param(0x48, id="duplicate"), pytest.param(0x01, id="temporary")],
)
def test_an_address_that_can_not_be_bound_is_none(flags: int) -> None:
    table = learnt(new_link(), address("2001:db8::1/64"), address("2001:db8::1/64", flags))
    found = table.get(2)
    assert found is not None
    assert found.addresses == ()
    table.learn(address("2001:db8::1/64", 0x44))
    usable = table.get(2)
    assert usable is not None
    assert usable.addresses == addresses("2001:db8::1/64")["addresses"]


def test_of_a_point_to_point_link_the_own_end_counts() -> None:
    found = learnt(new_link(), address("192.0.2.2/31", IFA_LOCAL="192.0.2.3")).get(2)
    assert found is not None
    assert found.addresses == addresses("192.0.2.3/31")["addresses"]


@pytest.mark.parametrize(
    ("then", "returns"),
    [
        pytest.param([new_link(UP), new_link(ups=2)], 1, id="down and up"),
        pytest.param([new_link(ups=2)], 1, id="only the kernel's counter tells"),
        pytest.param([new_link(UP), new_link(ups=1)], 1, id="a kernel that doesn't count"),
        pytest.param([new_link()], 0, id="nothing"),
        pytest.param([new_link(UP)], 0, id="still down"),
    ],
)
def test_returns_are_counted(then: list[Message], returns: int) -> None:
    found = learnt(new_link(), *then).get(2)
    assert found is not None
    assert found.returns == returns


def test_reading_anew_keeps_the_count_and_notices_what_was_missed() -> None:
    before = learnt(new_link(UP), new_link(), new_link(index=3), new_link(index=4))
    after = learnt(new_link(), new_link(index=3, ups=5), new_link(index=5))
    before.changed.clear()
    after.take_over(before)
    assert {index: found.returns for index in (2, 3, 5) if (found := after.get(index))} == {2: 1, 3: 1, 5: 0}
    assert after.changed == {2, 3, 4, 5}


def test_what_the_kernel_does_not_say_of_routes_is_read_again() -> None:
    def with_default() -> Table:
        table = learnt(new_link(), address("192.0.2.1/24"))
        table.set_defaults({2: (ip_address("192.0.2.254"),)})
        assert not table.routes_stale
        return table

    set_down, readdressed, rerouted, cable_cut = (with_default() for _ in range(4))
    set_down.learn(new_link(0))
    readdressed.learn(address("192.0.2.1/24", kind=rtnl.RTM_DELADDR))
    rerouted.learn(message(rtnl.RTM_DELROUTE))
    cable_cut.learn(new_link(UP))
    assert [each.routes_stale for each in (set_down, readdressed, rerouted, cable_cut)] == [True, True, True, False]


def test_a_removed_link_takes_all_with_it() -> None:
    table = learnt(new_link(), address("192.0.2.1/24"))
    table.set_defaults({2: (ip_address("192.0.2.254"),)})
    table.learn(message(rtnl.RTM_DELLINK))
    assert table.get(2) is None
    table.learn(new_link())
    again = table.get(2)
    assert again is not None
    assert (again.addresses, again.default_route) == ((), False)


@pytest.mark.parametrize(
    "other", [message(rtnl.RTM_NEWNEIGH), message(rtnl.RTM_NEWLINK, attrs={"IFLA_WIRELESS": b"scan"})]
)
def test_messages_about_other_things_change_nothing(other: Message) -> None:
    table = learnt(new_link())
    table.changed.clear()
    table.learn(other)
    assert table.changed == set()
    assert table.get(2) == link()


@pytest.mark.parametrize(("flag", "kind"), [(0x8, 1), (0x80, 1), (0, 65534)])
def test_loopback_and_tunnels_are_no_ethernet(flag: int, kind: int) -> None:
    each = new_link(RUNNING | flag) | {"ifi_type": kind}
    found = learnt(Message(each)).get(2)
    assert found is not None
    assert not found.ethernet


def test_what_was_missed_is_read_again_until_all_of_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Table] = []
    refusals = [OSError(errno.ENOMEM, "no memory for the routes")]
    read_again = asyncio.Event()

    async def fill(table: Table) -> bool:
        tables.append(table)
        return True

    async def defaults() -> Defaults:
        if len(tables) > 1:
            if refusals:
                raise refusals.pop()
            read_again.set()
        return {}

    async def miss_events() -> None:
        async with KernelLinks() as links:
            links._lost = True
            links._told()
            await asyncio.wait_for(read_again.wait(), 5)
            await asyncio.sleep(0)
            assert len(tables) == 3, "the links too, not the routes alone"
            assert links._table is tables[-1]

    monkeypatch.setattr(netlink, "_fill", fill)
    monkeypatch.setattr(netlink, "_defaults", defaults)
    monkeypatch.setattr(netlink, "_RETRY", 0)
    asyncio.run(miss_events())
