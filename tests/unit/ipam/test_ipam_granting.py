"""SEMANTICS 'Requests', line by line: addresses and pools that a Service names, granted or refused."""

from __future__ import annotations

from typing import Any

import pytest

from lbprovider.api.allocation import IPAllocationSpec
from lbprovider.ipam.assign import Rule, assign
from lbprovider.ipam.reasons import Reason, Refused
from tests.unit.ipam.builders import LAN, V6, World, pinned, pool, refusal, request, success


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
