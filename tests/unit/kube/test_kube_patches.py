"""Bodies of status patches, and when there is nothing to write."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus
from lbprovider.api.core import LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus
from lbprovider.api.meta import Condition, ObjectMeta
from lbprovider.api.pool import FamilyCount, IPAddressPool, IPAddressPoolStatus
from lbprovider.api.segment import Segment, SegmentStatus
from lbprovider.kube import patches

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
V4, V6 = ip_address("192.0.2.10"), ip_address("2001:db8::10")


def service(*ingress: LoadBalancerIngress, conditions: tuple[Condition, ...] = ()) -> Service:
    return Service(
        metadata=ObjectMeta(name="web", namespace="ns", uid="u1", resource_version="5"),
        status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress), conditions=conditions),
    )


def condition(kind: str = "Assigned", **changes: Any) -> Condition:
    return Condition(**{"type": kind, "status": "True", "reason": "Ok", "message": "m", **changes})


def vip(address: str) -> LoadBalancerIngress:
    return LoadBalancerIngress(ip=address, ip_mode="VIP")


def test_addresses_are_set_in_order_with_their_mode() -> None:
    assert patches.service_status(service(), [V4, V6], None, NOW) == {
        "metadata": {"uid": "u1"},
        "status": {
            "loadBalancer": {
                "ingress": [{"ip": "192.0.2.10", "ipMode": "VIP"}, {"ip": "2001:db8::10", "ipMode": "VIP"}]
            }
        },
    }


def test_no_address_clears_what_is_there() -> None:
    body = patches.service_status(service(vip("192.0.2.10")), [], None, NOW)
    assert body == {"metadata": {"uid": "u1"}, "status": {"loadBalancer": {"ingress": None}}}


@pytest.mark.parametrize("stored", [vip("192.0.2.10"), LoadBalancerIngress(ip="192.0.2.10")])
def test_what_is_stored_already_is_not_written(stored: LoadBalancerIngress) -> None:
    assert patches.service_status(service(stored), [V4], None, NOW) is None


@pytest.mark.parametrize(
    "stored",
    [
        LoadBalancerIngress(ip="192.0.2.10", ip_mode="Proxy"),
        LoadBalancerIngress(ip="192.0.2.11", ip_mode="VIP"),
        LoadBalancerIngress(hostname="lb.example.com"),
    ],
)
def test_what_another_controller_wrote_is_mended(stored: LoadBalancerIngress) -> None:
    body = patches.service_status(service(stored), [V4], None, NOW)
    assert body is not None
    assert body["status"]["loadBalancer"] == {"ingress": [{"ip": "192.0.2.10", "ipMode": "VIP"}]}


def test_the_order_of_addresses_counts() -> None:
    stored = service(vip("2001:db8::10"), vip("192.0.2.10"))
    assert patches.service_status(stored, [V4, V6], None, NOW) is not None


def test_one_condition_is_written_and_its_time_moves_with_its_status_only() -> None:
    other = condition("Other", last_transition_time=THEN)
    old = condition(last_transition_time=THEN)
    stored = service(conditions=(other, old))
    assert patches.service_status(stored, [], condition(), NOW) is None

    body = patches.service_status(stored, [], condition(message="", reason="Why"), NOW)
    assert body is not None
    assert body["status"] == {
        "conditions": [
            {"type": "Assigned", "status": "True", "reason": "Why", "message": "", "lastTransitionTime": THEN}
        ]
    }
    body = patches.service_status(stored, [], condition(status="False", observed_generation=3), NOW)
    assert body is not None
    (written,) = body["status"]["conditions"]
    assert (written["status"], written["lastTransitionTime"], written["observedGeneration"]) == ("False", NOW, 3)


def test_a_status_is_written_whole_and_only_on_what_was_seen() -> None:
    metadata = ObjectMeta(name="192.0.2.10", resource_version="77")
    spec = IPAllocationSpec(address="192.0.2.10", pool="lan")
    old = IPAllocationStatus(leader="a", interface="eth0", mac="02:00:00:00:00:01", since=THEN)
    allocation = IPAllocation(metadata=metadata, spec=spec, status=old)
    assert patches.status(allocation, IPAllocationStatus(leader="a", interface="eth0", mac=old.mac, since=THEN)) is None
    assert patches.status(allocation, IPAllocationStatus(conditions=(condition(message=""),))) == {
        "metadata": {"resourceVersion": "77"},
        "status": {
            "leader": None,
            "interface": None,
            "mac": None,
            "since": None,
            "eligible": 0,
            "ineligible": None,
            "conflictMAC": None,
            "conditions": [{"type": "Assigned", "status": "True", "reason": "Ok", "message": ""}],
        },
    }


def test_numbers_are_written_even_when_they_are_zero() -> None:
    segment = Segment(metadata=ObjectMeta(name="s", resource_version="1"), status=SegmentStatus(live=2, members=3))
    body = patches.status(segment, SegmentStatus(live=0, members=3))
    assert body is not None
    assert body["status"] == {"live": 0, "members": 3, "conditions": None}
    pool = IPAddressPool(metadata=ObjectMeta(name="p", resource_version="1"))
    body = patches.status(pool, IPAddressPoolStatus(ipv4=FamilyCount(total=8, assigned=0, available=8)))
    assert body is not None
    assert body["status"] == {"ipv4": {"total": 8, "assigned": 0, "available": 8}, "ipv6": None, "conditions": None}
