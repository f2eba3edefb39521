"""SEMANTICS 'Requests' (what is malformed whatever the pools are), 'Class', and the backend key of 'Sharing'."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from lbprovider.api.core import LoadBalancerIngress, LoadBalancerStatus, ServiceStatus
from lbprovider.ipam.reasons import QUIET, Reason, Refused
from lbprovider.ipam.request import is_ours, request_of
from tests.unit.ipam.builders import DUAL, V4, V6, request, service

OURS = "lbprovider.io/l2"


@pytest.mark.parametrize(
    ("given", "with_default", "without_default"),
    [
        ({"load_balancer_class": OURS}, True, True),
        ({"load_balancer_class": None}, True, False),
        ({"load_balancer_class": "example.com/other"}, False, False),
        ({"load_balancer_class": ""}, False, False),
        ({"type": "ClusterIP"}, False, False),
        ({"type": "NodePort"}, False, False),
        ({"type": "ExternalName"}, False, False),
        ({"type": "ClusterIP", "load_balancer_class": OURS}, False, False),
    ],
)
def test_which_services_are_ours(given: dict[str, Any], with_default: bool, without_default: bool) -> None:  # noqa: FBT001
    made = service("a", **given)
    assert is_ours(made, OURS, default_class=True) == with_default
    assert is_ours(made, OURS, default_class=False) == without_default


def test_a_service_marked_for_deletion_is_let_go() -> None:
    made = service("a")
    gone = replace(made, metadata=replace(made.metadata, deletion_timestamp="2026-02-02T00:00:00Z"))
    assert is_ours(made, OURS, default_class=True)
    assert not is_ours(gone, OURS, default_class=True)


@pytest.mark.parametrize(
    ("given", "reason", "said"),
    [
        ({"ips": "10.0.0.1", "load_balancer_ip": "10.0.0.2"}, Reason.CONTRADICTING_REQUEST, "spec.loadBalancerIP"),
        (
            {"ips": "10.0.0.1,2001:db8::1", "load_balancer_ip": "10.0.0.1", "families": DUAL},
            Reason.CONTRADICTING_REQUEST,
            "keep one",
        ),
        (
            {"ips": "10.0.0.1", "annotations": {"metallb.io/loadBalancerIPs": "10.0.0.2"}},
            Reason.CONTRADICTING_REQUEST,
            "metallb.io/loadBalancerIPs='10.0.0.2'",
        ),
        (
            {"named": "lan", "annotations": {"metallb.universe.tf/address-pool": "dmz"}},
            Reason.CONTRADICTING_REQUEST,
            "metallb.universe.tf/address-pool='dmz'",
        ),
        (
            {"key": "x", "annotations": {"metallb.io/allow-shared-ip": "y"}},
            Reason.CONTRADICTING_REQUEST,
            "allow-shared-ip",
        ),
        ({"ips": "10.0.0"}, Reason.INVALID_ADDRESS, "'10.0.0' is not an IP address"),
        ({"ips": "10.0.0.1,"}, Reason.INVALID_ADDRESS, "'' is not an IP address"),
        ({"ips": "10.0.0.0/24"}, Reason.INVALID_ADDRESS, "not an IP address"),
        ({"ips": "2001:db8::1%eth0", "families": V6}, Reason.INVALID_ADDRESS, "not an IP address"),
        ({"load_balancer_ip": "lan"}, Reason.INVALID_ADDRESS, "spec.loadBalancerIP: 'lan'"),
        ({"ips": "10.0.0.1,10.0.0.2"}, Reason.DUPLICATE_FAMILY, "10.0.0.1 and 10.0.0.2 are both IPv4"),
        ({"ips": "2001:db8::1,2001:db8::2", "families": DUAL}, Reason.DUPLICATE_FAMILY, "both IPv6"),
        ({"ips": "::ffff:10.0.0.1"}, Reason.INVALID_ADDRESS, "is an IPv4-mapped address; write 10.0.0.1"),
        ({"ips": "2001:db8::1"}, Reason.FAMILY_MISMATCH, "is IPv6, and the Service is IPv4 only"),
        ({"ips": "10.0.0.1", "families": V6}, Reason.FAMILY_MISMATCH, "is IPv4, and the Service is IPv6 only"),
        ({"ips": "10.0.0.1,2001:db8::1"}, Reason.FAMILY_MISMATCH, "2001:db8::1 is IPv6"),
        ({"ips": "10.0.0.1", "families": DUAL}, Reason.FAMILY_MISMATCH, "add an IPv6 address"),
        ({"key": "k" * 1025}, Reason.INVALID_SHARING_KEY, "has 1025 characters; use 1024 at most"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_pool_is_looked_at(
    given: dict[str, Any], reason: Reason, said: str
) -> None:
    refused = request_of(service("a", **given), {})
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert said in refused.message
    assert refused.release == ()


@pytest.mark.parametrize(
    "given",
    [
        {"ips": "10.0.0.1"},
        {"ips": " 10.0.0.1 "},
        {"load_balancer_ip": "10.0.0.1"},
        {"ips": "10.0.0.1", "load_balancer_ip": "10.0.0.1"},
        {"annotations": {"metallb.io/loadBalancerIPs": "10.0.0.1"}},
        {"annotations": {"metallb.universe.tf/loadBalancerIPs": "10.0.0.1"}},
        {"ips": "10.0.0.1", "annotations": {"metallb.io/loadBalancerIPs": "10.0.0.1"}},
        {"ips": "10.0.0.1", "families": DUAL, "policy": "PreferDualStack"},
    ],
)
def test_all_spellings_ask_for_the_same(given: dict[str, Any]) -> None:
    assert [str(address) for address in request("a", **given).requested.values()] == ["10.0.0.1"]


def test_two_families_are_asked_for_in_any_order_with_blanks() -> None:
    wish = request("a", ips="2001:DB8::1 , 10.0.0.1", families=DUAL)
    assert {family: str(address) for family, address in wish.requested.items()} == {
        "IPv6": "2001:db8::1",
        "IPv4": "10.0.0.1",
    }


@pytest.mark.parametrize("cluster_ips", [(), ("None",), ("",)])
def test_without_cluster_ips_nothing_is_said(cluster_ips: tuple[str, ...]) -> None:
    refused = request_of(service("a", cluster_ips=cluster_ips), {})
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.NO_CLUSTER_IPS
    assert refused.reason in QUIET


@pytest.mark.parametrize(
    ("given", "families", "policy"),
    [
        ({"families": V4}, V4, "SingleStack"),
        ({"families": V6}, V6, "SingleStack"),
        ({"families": ("IPv6", "IPv4")}, ("IPv6", "IPv4"), "RequireDualStack"),
        ({"families": DUAL, "policy": "PreferDualStack"}, DUAL, "PreferDualStack"),
        ({"families": DUAL, "ip_family_policy": None}, DUAL, "RequireDualStack"),
        ({"families": V4, "policy": "PreferDualStack"}, V4, "SingleStack"),
        ({"families": DUAL, "policy": "SingleStack"}, V4, "SingleStack"),
        ({"ip_families": (), "cluster_ips": ("fd00::1", "10.96.0.1")}, ("IPv6", "IPv4"), "RequireDualStack"),
        ({"ip_families": (), "cluster_ips": (), "cluster_ip": "fd00::1"}, V6, "SingleStack"),
    ],
)
def test_families_in_the_order_of_the_service(given: dict[str, Any], families: tuple[str, ...], policy: str) -> None:
    given.setdefault("ip_family_policy", given.get("policy"))
    wish = request("a", **given)
    assert (wish.families, wish.policy) == (families, policy)


def backend(name: str = "a", **given: Any) -> str:
    return request(name, **given).backend_key


def test_cluster_services_may_share_whatever_their_selectors() -> None:
    assert backend(selector={"app": "a"}) == backend(selector={"app": "b"}) == backend(selector={}) == ""
    assert backend(external_traffic_policy="Cluster") == ""


def test_local_services_need_equal_selectors_in_one_namespace() -> None:
    local = {"external_traffic_policy": "Local"}
    one = backend(selector={"app": "a", "tier": "x"}, **local)
    assert one == backend("b", selector={"tier": "x", "app": "a"}, **local) != ""
    assert one != backend(selector={"app": "a"}, **local)
    assert one != backend(selector={"app": "a", "tier": "x"}, namespace="other", **local)


def test_local_services_without_a_selector_share_with_nobody() -> None:
    bare = [backend(name, external_traffic_policy="Local") for name in "ab"]
    assert len({"", *bare}) == 3


def test_a_status_counts_by_family_and_hostnames_are_dropped() -> None:
    shown = ("10.0.0.7", "10.0.0.8", "2001:db8::7", "x")
    assert {str(address) for address in request("a", status=shown).status.values()} == {"10.0.0.7"}
    made = service("a", families=DUAL)
    mixed = ServiceStatus(
        load_balancer=LoadBalancerStatus(
            ingress=(LoadBalancerIngress(hostname="lb.example"), LoadBalancerIngress(ip="2001:db8::7"))
        )
    )
    wish = request_of(replace(made, status=mixed), {})
    assert not isinstance(wish, Refused)
    assert {str(address) for address in wish.status.values()} == {"2001:db8::7"}


def test_two_services_of_a_file_are_two() -> None:
    bare = [service("a", namespace=namespace) for namespace in ("web", "dev")]
    wishes = [request_of(replace(one, metadata=replace(one.metadata, uid="")), {}) for one in bare]
    assert [wish.uid for wish in wishes if not isinstance(wish, Refused)] == ["web/a", "dev/a"]


def test_age_puts_the_older_first_and_one_not_created_yet_last() -> None:
    young, old, new = (
        request("a", created="2026-02-02T00:00:00Z"),
        request("b", created="2026-02-01T00:00:00Z"),
        request("0", created=""),
    )
    assert [wish.name for wish in sorted([new, young, old], key=lambda wish: wish.age)] == ["b", "a", "0"]
