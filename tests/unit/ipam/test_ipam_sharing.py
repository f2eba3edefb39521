"""SEMANTICS 'Sharing', line by line: who may be on one address, who joins, who must leave."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.ipam.assign import Assigned
from lbprovider.ipam.reasons import Reason, Refused
from lbprovider.ipam.sharing import clashes, joined, left, set_aside
from tests.unit.ipam.builders import World, pool, request

LAN = pool("lan", "10.0.0.0/29", "2001:db8::/126")
LOCAL: dict[str, Any] = {"external_traffic_policy": "Local", "selector": {"app": "a"}}
DNS: dict[str, Any] = {"key": "dns", "ports": ("TCP/53",)}


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({"key": "k"}, {"key": "k", "ports": (443,)}, None),
        ({"key": "k", "ports": ("TCP/53",)}, {"key": "k", "ports": ("UDP/53",)}, None),
        ({"key": "k", "selector": {"app": "a"}}, {"key": "k", "ports": (443,), "selector": {"app": "b"}}, None),
        ({"key": "k", **LOCAL}, {"key": "k", "ports": (443,), **LOCAL}, None),
        ({}, {"ports": (443,)}, Reason.ADDRESS_TAKEN),
        ({"key": "k"}, {"ports": (443,)}, Reason.ADDRESS_TAKEN),
        ({}, {"key": "k", "ports": (443,)}, Reason.ADDRESS_TAKEN),
        ({"key": "k"}, {"key": "j", "ports": (443,)}, Reason.SHARING_KEY_DIFFERS),
        ({"key": "k"}, {"key": "k", "ports": (443,), "namespace": "other"}, Reason.OTHER_NAMESPACE),
        ({"key": "k"}, {"key": "k", "ports": (443,), **LOCAL}, Reason.BACKEND_DIFFERS),
        ({"key": "k", **LOCAL}, {"key": "k", "ports": (443,)}, Reason.BACKEND_DIFFERS),
        (
            {"key": "k", **LOCAL},
            {"key": "k", "ports": (443,), **LOCAL, "selector": {"app": "b"}},
            Reason.BACKEND_DIFFERS,
        ),
        (
            {"key": "k", "external_traffic_policy": "Local"},
            {"key": "k", "ports": (443,), "external_traffic_policy": "Local"},
            Reason.BACKEND_DIFFERS,
        ),
        ({"key": "k", "external_traffic_policy": "Local"}, {"key": "k", "ports": (443,)}, Reason.BACKEND_DIFFERS),
        ({"key": "k"}, {"key": "k"}, Reason.PORT_TAKEN),
        ({"key": "k", "ports": (80, 443)}, {"key": "k", "ports": (22, 443)}, Reason.PORT_TAKEN),
    ],
)
def test_who_may_share(first: dict[str, Any], second: dict[str, Any], reason: Reason | None) -> None:
    """The same rule decides for who asks for the address and for who is given one."""
    world = World(LAN)
    assert world.get("first", **first) == "10.0.0.0"
    asked = World(LAN)
    asked.decide("first", **first)
    assert world.get("second", **second) == ("10.0.0.1" if reason else "10.0.0.0")
    decision = asked.decide("second", ips="10.0.0.0", **second)
    if reason is None:
        assert isinstance(decision, Assigned)
    else:
        assert isinstance(decision, Refused)
        assert decision.reason == reason
        assert "10.0.0.0 is held by Service web/first" in decision.message


def test_a_port_that_is_taken_is_named() -> None:
    world = World(LAN)
    world.decide("first", key="k", ports=(80, "UDP/443", 443))
    decision = world.decide("second", key="k", ports=("UDP/443", 443, 22), ips="10.0.0.0")
    assert isinstance(decision, Refused)
    assert "TCP/443, UDP/443" in decision.message


def test_the_only_holder_may_change_key_ports_and_backends_in_place() -> None:
    world = World(LAN)
    for given in ({"key": "k"}, {"key": "j", "ports": (443,)}, {"key": "j", **LOCAL}, {}):
        assert world.get("a", **given) == "10.0.0.0"
        spec, wish = world.ledger[ip_address("10.0.0.0")], request("a", **given)
        assert spec.services == (wish.claim,)
        assert (spec.sharing_key, spec.backend_key) == (wish.sharing_key, wish.backend_key if wish.sharing_key else "")


def test_a_changed_key_without_another_address_keeps_the_old_one() -> None:
    world = World(pool("lan", "10.0.0.0"))
    world.decide("a", key="k")
    world.decide("b", key="k", ports=(443,))
    assert world.notes("b", key="j", ports=(444,)) == ["10.0.0.0", "RequestUnsatisfiable"]
    spec = world.ledger[ip_address("10.0.0.0")]
    assert spec.sharing_key == "k"
    assert [port.port for claim in spec.services for port in claim.ports] == [80, 444]


def test_what_the_allocation_says_when_services_come_and_go() -> None:
    one, two = request("a", key="k", **LOCAL), request("b", key="k", ports=(443,), **LOCAL)
    address = ip_address("10.0.0.1")
    first = joined(None, one, address, "lan")
    assert first == IPAllocationSpec(
        address="10.0.0.1", pool="lan", services=(one.claim,), sharing_key="k", backend_key="Local:web:app=a"
    )
    placed = IPAllocationSpec(
        address="10.0.0.1", pool="old", services=(one.claim,), sharing_key="k", backend_key="Local:web:app=a",
        segment="s", nodes=("n1",),
    )  # fmt: skip
    both = joined(placed, two, address, "lan")
    assert (both.services, both.segment, both.nodes, both.pool) == ((one.claim, two.claim), "s", ("n1",), "lan")
    assert joined(both, two, address, "lan") == both
    assert left(both, "uid-b") == left(both, "uid-b", "2026-01-01T00:00:00Z") == joined(placed, one, address, "lan")
    assert left(first, "uid-a") is None
    cooling = left(placed, "uid-a", "2026-01-01T00:00:00Z")
    assert cooling == IPAllocationSpec(
        address="10.0.0.1", pool="old", released_at="2026-01-01T00:00:00Z", segment="s", nodes=("n1",)
    )
    again = joined(cooling, request("c", **LOCAL), address, "lan")
    assert (again.released_at, again.sharing_key, again.backend_key) == ("", "", "")


def test_what_one_had_to_leave_stays_set_aside_when_the_last_one_goes() -> None:
    one, two, address = request("a", key="k"), request("b", key="k", ports=(443,)), ip_address("10.0.0.1")
    both = joined(joined(None, one, address, "lan"), two, address, "lan")
    aside = set_aside(both, one.uid, "2026-01-01T12:00:00Z")
    assert clashes(one, aside, across_namespaces=False) == (Reason.ADDRESS_IN_CONFLICT,)
    for released_at in ("", "2026-01-01T12:05:00Z"):
        nobodys = left(aside, two.uid, released_at)
        assert nobodys is not None
        assert (nobodys.services, nobodys.released_at, nobodys.sharing_key) == ((), "", "")
        assert clashes(request("c"), nobodys, across_namespaces=False) == (Reason.ADDRESS_IN_CONFLICT,)
