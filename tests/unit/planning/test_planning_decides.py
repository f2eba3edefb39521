"""What a plan says of addresses: rows of inputs and what becomes of them. The rules by themselves: tests/unit/ipam."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbprovider.deciding.known import Scope
from lbprovider.planning.result import Count, PoolResult
from tests.unit.planning.planning_input import (
    NOW,
    OPTIONS,
    SYSTEM,
    Manifest,
    allocation,
    assigned,
    namespace,
    planned,
    pool,
    reasons,
    result,
    service,
    shows,
)

LAN = pool("lan", "192.0.2.1-192.0.2.4")
DUAL = pool("dual", "192.0.2.1-192.0.2.2", "2001:db8::1-2001:db8::2")


def test_services_are_decided_in_the_order_in_which_they_appear() -> None:
    found = result(service("b"), LAN, service("a"))

    assert list(assigned(found).items()) == [("default/b", ("192.0.2.1",)), ("default/a", ("192.0.2.2",))]


def test_a_service_says_what_it_got_and_why() -> None:
    (one,) = result(DUAL, service("a", spec={"ipFamilyPolicy": "RequireDualStack"}), namespace("default")).services

    assert one.ingress == ("192.0.2.1", "2001:db8::1")
    assert (one.pool, one.pools) == ("dual", {"192.0.2.1": "dual", "2001:db8::1": "dual"})
    assert (one.reason, one.lacks) == ("Assigned", False)
    assert one.message == "Assigned 192.0.2.1 from pool dual and 2001:db8::1 from pool dual."


def test_a_service_without_an_address_says_why_not() -> None:
    (one,) = result(pool("v6", "2001:db8::/64"), service("a")).services

    assert (one.ingress, one.pool, one.pools) == ((), None, {})
    assert (one.reason, one.lacks) == ("NoPoolOfFamily", True)


@pytest.mark.parametrize(
    ("spec", "families"),
    [
        ({}, ["192.0.2.1"]),
        ({"ipFamilies": ["IPv6"]}, ["2001:db8::1"]),
        ({"ipFamilies": ["IPv6", "IPv4"]}, ["2001:db8::1", "192.0.2.1"]),
        ({"ipFamilyPolicy": "SingleStack"}, ["192.0.2.1"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["192.0.2.1", "2001:db8::1"]),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["192.0.2.1", "2001:db8::1"]),
        ({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]}, ["2001:db8::1", "192.0.2.1"]),
        ({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}, ["2001:db8::1", "192.0.2.1"]),
        ({"clusterIPs": ["10.0.0.1", "fd00::1"]}, ["192.0.2.1", "2001:db8::1"]),
        ({"clusterIPs": ["fd00::1"]}, ["2001:db8::1"]),
        ({"clusterIP": "fd00::1"}, ["2001:db8::1"]),
        ({"clusterIPs": ["fd00::1"], "ipFamilies": ["IPv4"]}, ["2001:db8::1"]),
        # A cluster of one family: the policy is there, and there will be no second address.
        ({"clusterIPs": ["10.0.0.1"], "ipFamilyPolicy": "PreferDualStack"}, ["192.0.2.1"]),
        ({"clusterIPs": ["10.0.0.1"], "ipFamilyPolicy": "RequireDualStack"}, ["192.0.2.1", "2001:db8::1"]),
        ({"clusterIPs": ["no address"]}, ["192.0.2.1"]),
    ],
)  # fmt: skip
def test_families_that_a_file_leaves_out_are_those_that_an_api_server_gives(
    spec: Manifest, families: list[str]
) -> None:
    assert assigned(result(DUAL, service("a", spec=spec)))["default/a"] == tuple(families)


def test_one_family_of_two_is_less_than_was_asked_for() -> None:
    found = result(LAN, service("a", spec={"ipFamilyPolicy": "PreferDualStack"}))

    assert (reasons(found), found.lacking) == ({"default/a": "SingleFamilyOnly"}, True)


@pytest.mark.parametrize(
    ("spec", "metadata", "ours"),
    [
        ({}, {}, True),
        ({"loadBalancerClass": "lbprovider.io/l2"}, {}, True),
        ({"loadBalancerClass": "other/class"}, {}, False),
        ({"type": "ClusterIP"}, {}, False),
        ({"type": "NodePort"}, {}, False),
        ({}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, False),
    ],
)
def test_only_services_of_ours_are_listed(spec: Manifest, metadata: Manifest, ours: bool) -> None:  # noqa: FBT001
    assert bool(result(LAN, service("a", spec=spec, metadata=metadata)).services) is ours


def test_the_flags_of_the_controller_say_which_services_are_ours() -> None:
    options = replace(OPTIONS, scope=Scope("other/class", default_class=False))

    found = result(LAN, service("a"), service("b", spec={"loadBalancerClass": "other/class"}), options=options)

    assert assigned(found) == {"default/b": ("192.0.2.1",)}


# --- who has something already


def test_what_ipallocations_say_is_adopted_before_anything_is_assigned() -> None:
    found = result(LAN, service("new"), service("old"), allocation("192.0.2.1", "lan", ("default/old", "default/old")))

    assert assigned(found) == {"default/new": ("192.0.2.2",), "default/old": ("192.0.2.1",)}


def test_what_statuses_show_is_adopted_before_anything_is_assigned() -> None:
    found = result(LAN, service("new"), service("old", status=shows("192.0.2.1")))

    assert assigned(found) == {"default/new": ("192.0.2.2",), "default/old": ("192.0.2.1",)}


def test_an_ipallocation_goes_before_a_status() -> None:
    found = result(
        LAN,
        service("a", status=shows("192.0.2.1"), metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}),
        service("b"),
        allocation("192.0.2.1", "lan", ("default/b", "default/b")),
    )

    assert assigned(found) == {"default/a": ("192.0.2.2",), "default/b": ("192.0.2.1",)}


def test_an_address_of_a_service_that_the_input_hasnt_is_in_use() -> None:
    found = result(LAN, service("a"), allocation("192.0.2.1", "lan", ("other/b", "uid-b")))

    assert assigned(found) == {"default/a": ("192.0.2.2",)}
    assert [one["metadata"]["name"] for one in found.allocations] == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize("claimed", ["default/a", "uid-a"])
@pytest.mark.parametrize("uid", ["", "uid-a"])
def test_a_service_of_a_file_is_known_by_its_name(uid: str, claimed: str) -> None:
    metadata = {"uid": uid} if uid else {}
    found = result(LAN, service("a", metadata=metadata), allocation("192.0.2.3", "lan", ("default/a", claimed)))

    assert assigned(found) == {"default/a": ("192.0.2.3",)}
    assert found.allocations[0]["spec"]["services"][0]["uid"] == (uid or claimed)


def test_an_earlier_service_of_the_name_has_lost_its_address() -> None:
    found = result(
        LAN, service("a", metadata={"uid": "new"}), allocation("192.0.2.3", "lan", ("default/a", "old"))
    )  # fmt: skip

    assert assigned(found) == {"default/a": ("192.0.2.1",)}
    assert [one["spec"]["address"] for one in found.allocations] == ["192.0.2.1"]


def test_a_service_that_is_not_ours_any_more_lets_go() -> None:
    made = planned(
        pool("one", "192.0.2.1"),
        service("a"),
        service("b", spec={"type": "ClusterIP"}),
        allocation("192.0.2.1", "one", ("default/b", "default/b")),
    )

    assert assigned(made.result) == {"default/a": ("192.0.2.1",)}
    assert {key: tuple(map(str, held)) for key, held in made.withdrawn.items()} == {"default/b": ("192.0.2.1",)}


def test_who_waits_gets_what_a_later_one_lets_go() -> None:
    found = result(
        pool("one", "192.0.2.1"),
        pool("two", "192.0.2.9", spec={"autoAssign": False}),
        service("waits"),
        service("moves", spec={"loadBalancerIP": "192.0.2.9"}),
        allocation("192.0.2.1", "one", ("default/moves", "default/moves")),
    )

    assert assigned(found) == {"default/waits": ("192.0.2.1",), "default/moves": ("192.0.2.9",)}


def test_a_chain_of_those_who_wait_comes_to_its_end() -> None:
    found = result(
        *(pool(f"p{number}", f"192.0.2.{number}") for number in range(1, 6)),
        *(service(f"s{number}", spec={"loadBalancerIP": f"192.0.2.{number + 1}"}) for number in range(1, 5)),
        *(allocation(f"192.0.2.{n}", f"p{n}", (f"default/s{n}", f"default/s{n}")) for n in range(1, 5)),
    )

    assert assigned(found) == {f"default/s{number}": (f"192.0.2.{number + 1}",) for number in range(1, 5)}
    assert set(reasons(found).values()) == {"Assigned"}


def test_what_is_stranded_is_kept_and_counts_as_had() -> None:
    found = result(
        pool("lan", "192.0.2.8/30"), service("a"), allocation("192.0.2.3", "lan", ("default/a", "default/a"))
    )  # fmt: skip

    assert (assigned(found), reasons(found)) == ({"default/a": ("192.0.2.3",)}, {"default/a": "Stranded"})
    assert found.lacking is False
    assert found.services[0].pools == {"192.0.2.3": "lan"}


def test_an_infeasible_request_keeps_what_there_is_and_lacks() -> None:
    found = result(
        LAN,
        service("a", spec={"loadBalancerIP": "198.51.100.1"}),
        allocation("192.0.2.3", "lan", ("default/a", "default/a")),
    )

    assert (assigned(found), reasons(found)) == ({"default/a": ("192.0.2.3",)}, {"default/a": "RequestUnsatisfiable"})
    assert found.lacking is True


def test_without_any_pool_nothing_is_decided_and_nothing_let_go() -> None:
    found = result(service("a", status=shows("192.0.2.1")), service("b"))

    assert assigned(found) == {"default/a": ("192.0.2.1",), "default/b": ()}
    assert reasons(found) == {"default/a": "NoPools", "default/b": "NoPools"}
    assert found.lacking is True


# --- cool-down and conflicts


@pytest.mark.parametrize(("after", "address"), [(599, "192.0.2.2"), (600, "192.0.2.1")])
def test_what_has_cooled_down_is_free(after: int, address: str) -> None:
    cools = allocation("192.0.2.1", "lan", releasedAt="2027-01-15T08:00:00Z")  # NOW
    slow = pool("lan", "192.0.2.1-192.0.2.2", spec={"reuseAfter": "10m"})

    assert assigned(result(slow, service("a"), cools, now=NOW + after)) == {"default/a": (address,)}


def test_what_is_let_go_cools_down_from_the_time_of_the_plan() -> None:
    found = result(
        pool("lan", "192.0.2.1", spec={"reuseAfter": "10m"}),
        service("b", spec={"type": "ClusterIP"}),
        allocation("192.0.2.1", "lan", ("default/b", "default/b")),
    )

    assert found.allocations[0]["spec"] == {"address": "192.0.2.1", "pool": "lan", "releasedAt": "2027-01-15T08:00:00Z"}
    assert found.pools[0].available == Count(1, 0)
    assert found.announcements == ()


def test_an_address_that_something_answers_for_is_set_aside() -> None:
    answered = allocation("192.0.2.1", "lan", ("default/a", "default/a"))
    answered["status"] = {
        "conflictMAC": "02:00:00:00:00:99",
        "conditions": [
            {"type": "Conflict", "status": "True", "reason": "ProbeAnswered", "message": "", "lastTransitionTime": ""}
        ],
    }

    made = planned(LAN, service("a"), answered)

    assert assigned(made.result) == {"default/a": ("192.0.2.2",)}
    assert made.result.allocations[0]["spec"]["setAsideFor"] == ("default/a",)


# --- pools, namespaces


def test_pools_are_counted_by_family() -> None:
    found = result(DUAL, pool("v4", "198.51.100.0/24"), service("a", spec={"ipFamilyPolicy": "PreferDualStack"}))

    assert found.pools == (
        PoolResult("dual", Count(2, 2), Count(1, 1), Count(1, 1)),
        PoolResult("v4", Count(256, 0), Count(0, 0), Count(256, 0)),
    )


def test_a_shared_address_counts_once() -> None:
    key = {"lbprovider.io/allow-shared-ip": "dns"}
    found = result(
        LAN,
        service("tcp", 53, annotations=key),
        service("udp", annotations=key, spec={"ports": [{"port": 53, "protocol": "UDP"}]}),
    )

    assert assigned(found) == {"default/tcp": ("192.0.2.1",), "default/udp": ("192.0.2.1",)}
    assert found.pools[0].assigned == Count(1, 0)
    assert len(found.allocations) == 1


def test_a_pool_that_doesnt_count_has_nothing_in_it() -> None:
    found = result(pool("a", "192.0.2.0/24"), pool("b", "192.0.2.128/25"), service("s"))

    assert found.pools[1] == PoolResult("b", Count(), Count(), Count())
    assert [(one.object, one.reason) for one in found.problems if "Pool" in one.object] == [
        ("IPAddressPool lbprovider-system/b", "Overlapping")
    ]


def test_a_namespace_that_the_input_hasnt_has_its_name_for_a_label() -> None:
    selectors = [{"matchLabels": {"kubernetes.io/metadata.name": "shop"}}]
    pinned = pool("pinned", "192.0.2.9", spec={"serviceAllocation": {"namespaceSelectors": selectors}})

    assert assigned(result(LAN, pinned, service("a", namespace="shop"))) == {"shop/a": ("192.0.2.9",)}


def test_labels_of_a_namespace_of_the_input_pin() -> None:
    selectors = [{"matchLabels": {"tier": "gold"}}]
    pinned = pool("pinned", "192.0.2.9", spec={"serviceAllocation": {"namespaceSelectors": selectors}})

    found = result(pinned, namespace("shop", tier="gold"), service("a", namespace="shop"), service("b"))

    assert assigned(found) == {"shop/a": ("192.0.2.9",), "default/b": ()}


# --- several documents of one name


def test_a_later_document_of_a_name_is_applied_to_the_earlier() -> None:
    found = result(
        pool("lan", "192.0.2.1"), service("a"), service("b"), service("a", spec={"type": "ClusterIP"}),
        pool("lan", "192.0.2.9"),
    )  # fmt: skip

    assert assigned(found) == {"default/b": ("192.0.2.9",)}


def test_applying_a_manifest_keeps_what_the_cluster_keeps() -> None:
    metadata = {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec = {"clusterIPs": ["fd00::1"], "clusterIP": "fd00::1", "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}
    made = service("a", metadata=metadata, spec=spec, status=shows("2001:db8::2"))
    again = service("a", labels={"x": "y"}, status={"loadBalancer": {}})

    found = planned(DUAL, made, again)

    assert assigned(found.result) == {"default/a": ("2001:db8::2",)}
    assert found.objects.known.services["default/a"].metadata.labels == {"x": "y"}
    assert found.result.allocations[0]["spec"]["services"][0]["uid"] == "u"


@pytest.mark.parametrize(
    ("spec", "families"),
    [
        ({"ipFamilyPolicy": "SingleStack"}, 1),
        ({"ipFamilyPolicy": "PreferDualStack"}, 2),
        ({"ipFamilyPolicy": "RequireDualStack"}, 2),
        ({"ipFamilies": ["IPv6", "IPv4"]}, 2),
        ({"ipFamilies": ["IPv6"]}, 1),
    ],
)
def test_a_manifest_may_change_the_families(spec: Manifest, families: int) -> None:
    had = {"clusterIPs": ["fd00::1"], "clusterIP": "fd00::1", "ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}

    ingress = assigned(result(DUAL, service("a", spec=had), service("a", spec=spec)))["default/a"]

    assert ingress[0] == "2001:db8::1"
    assert len(ingress) == families


def test_a_system_namespace_of_another_name_is_where_pools_are_looked_for() -> None:
    options = replace(OPTIONS, namespace="lb")
    elsewhere = pool("lan", "192.0.2.1", namespace=SYSTEM)

    found = result(elsewhere, pool("ours", "192.0.2.9"), service("a"), options=options)

    assert assigned(found) == {"default/a": ("192.0.2.9",)}
    assert [one.name for one in found.pools] == ["ours"]
