"""What a plan says of who announces an address, and of what an admin should look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lbprovider.planning.result import AnnouncementResult, Problem, Result
from tests.unit.planning.planning_input import (
    OPTIONS,
    SYSTEM,
    Manifest,
    advertisement,
    allocation,
    assigned,
    attachment,
    endpoints,
    lease,
    node,
    pool,
    result,
    service,
)

LAN = pool("lan", "192.0.2.1-192.0.2.4")
ALL = advertisement("all")
EXCLUDE = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}


def only(found: Result) -> AnnouncementResult:
    (one,) = found.announcements
    return one


def problems(found: Result) -> list[tuple[str, str]]:
    return [(one.object, one.reason) for one in found.problems]


def test_without_leases_every_node_is_taken_to_run_a_speaker() -> None:
    one = only(result(LAN, ALL, service("a"), node("n2"), node("n1")))

    assert (one.address, one.eligible, one.excluded) == ("192.0.2.1", ("n1", "n2"), {})
    assert sorted(one.ranking) == ["n1", "n2"]
    assert one.interfaces == {"n1": "all", "n2": "all"}


def test_with_leases_only_those_announce_that_registered_on_the_lan() -> None:
    one = only(
        result(LAN, ALL, service("a"), node("n1"), node("n2"), node("n3"), lease("n1", attachment("eth0")), lease("n3"))
    )

    assert (one.eligible, one.excluded) == (("n1",), {"n2": "SpeakerNotRegistered", "n3": "NotOnSegment"})


def test_with_leases_the_allocation_names_lan_and_nodes() -> None:
    found = result(
        LAN, ALL, service("a"), service("b"), node("n1"), node("n2"),
        lease("n1", attachment("eth0")), lease("n2", attachment("eth0")),
    )  # fmt: skip

    specs = [one["spec"] for one in found.allocations]
    assert [spec["segment"] for spec in specs] == ["192.0.2.0-24", "192.0.2.0-24"]
    assert {spec["nodes"][0] for spec in specs} == {"n1", "n2"}  # spread evenly


def test_a_lease_that_is_no_speakers_says_nothing() -> None:
    other: Manifest = lease("n1")
    other["metadata"]["labels"] = {}
    elsewhere = lease("n1")
    elsewhere["metadata"]["namespace"] = "kube-node-lease"

    assert only(result(LAN, ALL, service("a"), node("n1"), other, elsewhere)).eligible == ("n1",)


@pytest.mark.parametrize(
    ("spec", "eligible", "excluded", "interfaces"),
    [
        ({"interfaces": ["eth1", "eth0"]}, ("n1", "n2"), {}, {"n1": ("eth0", "eth1"), "n2": ("eth0", "eth1")}),
        ({"nodeSelectors": [{"matchLabels": {"r": "1"}}]}, ("n1",), {"n2": "NodeNotSelected"}, {"n1": "all"}),
        ({"ipAddressPools": ["other"]}, (), {"n1": "NoAdvertisement", "n2": "NoAdvertisement"}, {}),
        ({"serviceSelectors": [{"matchLabels": {"x": "y"}}]}, (), dict.fromkeys(("n1", "n2"), "NoAdvertisement"), {}),
    ],
)  # fmt: skip
def test_advertisements_say_from_where(
    spec: Manifest, eligible: tuple[str, ...], excluded: dict[str, str], interfaces: dict[str, Any]
) -> None:
    nodes = node("n1", labels={"r": "1"}), node("n2")
    one = only(result(LAN, advertisement("a", spec=spec), service("a"), pool("other", "192.0.2.9"), *nodes))

    assert (one.eligible, one.excluded, one.interfaces) == (eligible, excluded, interfaces)


def test_preferred_nodes_rank_first() -> None:
    preferred = {"preferredNodeSelectors": [{"weight": 10, "nodeSelector": {"matchLabels": {"r": "1"}}}]}
    nodes = [node(f"n{number}", labels={"r": "1"} if number == 4 else {}) for number in range(1, 6)]

    assert only(result(LAN, advertisement("a", spec=preferred), service("a"), *nodes)).ranking[0] == "n4"


@pytest.mark.parametrize(("ignored", "eligible"), [(False, ("n2",)), (True, ("n1", "n2"))])
def test_excluded_nodes_announce_only_where_the_speakers_flag_says_so(ignored: bool, eligible: tuple[str, ...]) -> None:  # noqa: FBT001
    options = replace(OPTIONS, ignore_exclude_label=ignored)

    one = only(result(LAN, ALL, service("a"), node("n1", labels=EXCLUDE), node("n2"), options=options))

    assert one.eligible == eligible
    assert one.excluded == ({} if ignored else {"n1": "NodeExcluded"})


LOCAL = {"externalTrafficPolicy": "Local"}


@pytest.mark.parametrize(
    ("spec", "slices", "eligible"),
    [
        (LOCAL, [], ("n1", "n2")),
        ({}, [endpoints("a", "n1", ready=True)], ("n1", "n2")),
        (LOCAL, [endpoints("a", "n1", ready=True)], ("n1",)),
        (LOCAL, [endpoints("a", "n1", ready=False)], ()),
        ({}, [endpoints("b", "n1", ready=True)], ()),
        ({}, [endpoints("a", "n1", family="IPv6", ready=True)], ()),
        ({}, [endpoints("a", "n1", namespace="other", ready=True)], ()),
    ],
)
def test_endpoints_count_exactly_where_the_input_has_any(
    spec: Manifest, slices: list[Manifest], eligible: tuple[str, ...]
) -> None:
    found = result(LAN, ALL, service("a", spec=spec), node("n1"), node("n2"), *slices)

    assert only(found).eligible == eligible
    assert problems(found) == ([] if eligible else [("IPAllocation 192.0.2.1", "NoEndpoints")])


def test_slices_of_headless_services_are_none() -> None:
    headless = endpoints("b", "n1")
    headless["metadata"]["labels"]["service.kubernetes.io/headless"] = ""

    assert only(result(LAN, ALL, service("a"), node("n1"), headless)).eligible == ("n1",)


def test_addresses_are_listed_in_their_order() -> None:
    wide = pool("wide", "192.0.2.9-192.0.2.10", "2001:db8::/64", "192.0.2.100")
    dual = {"ipFamilyPolicy": "RequireDualStack"}

    found = result(wide, *(service(f"s{number}", spec=dual) for number in range(3)))

    assert [one.address for one in found.announcements] == [
        "192.0.2.9", "192.0.2.10", "192.0.2.100", "2001:db8::", "2001:db8::1", "2001:db8::2",
    ]  # fmt: skip


def test_both_families_of_a_service_rank_alike() -> None:
    dual = pool("dual", "192.0.2.1-192.0.2.9", "2001:db8::1-2001:db8::9")
    services = [service(f"s{number}", spec={"ipFamilyPolicy": "RequireDualStack"}) for number in range(9)]

    found = result(dual, ALL, *services, *(node(f"n{number}") for number in range(5)))

    ranking = {one.address: one.ranking for one in found.announcements}
    assert all(ranking[one.ingress[0]] == ranking[one.ingress[1]] for one in found.services)
    assert len(set(ranking.values())) > 1


# --- what an admin should look at


def test_an_address_that_nobody_may_announce_is_a_problem() -> None:
    drained = node("n1", annotations={"lbprovider.io/drain": "true"})

    found = result(LAN, ALL, service("a"), drained, node("n2", labels=EXCLUDE))

    assert found.problems == (
        Problem(
            "IPAllocation 192.0.2.1",
            "NoEligibleNode",
            "No node may announce 192.0.2.1: Draining (1), NodeExcluded (1); end the drain of a node "
            "(lbprovider undrain).",
        ),
    )


def test_of_reasons_that_as_many_nodes_have_the_first_is_advised_on_as_by_the_controller() -> None:
    drained = node("n2", annotations={"lbprovider.io/drain": "true"})

    (one,) = result(LAN, ALL, service("a"), node("n1", labels=EXCLUDE), drained).problems

    assert one.message == (
        "No node may announce 192.0.2.1: Draining (1), NodeExcluded (1); end the drain of a node (lbprovider undrain)."
    )


def test_without_nodes_only_a_missing_advertisement_is_a_problem() -> None:
    assert problems(result(LAN, ALL, service("a"))) == []
    assert problems(result(LAN, service("a"))) == [("IPAllocation 192.0.2.1", "NoEligibleNode")]


def test_services_that_lack_something_are_no_problems_of_the_configuration() -> None:
    found = result(
        pool("one", "192.0.2.1"), ALL, service("a"), service("b"), service("c", spec={"loadBalancerIP": "x"})
    )

    assert assigned(found) == {"default/a": ("192.0.2.1",), "default/b": (), "default/c": ()}
    assert found.problems == ()


def test_advertisements_that_select_nothing_or_name_missing_pools_are_problems() -> None:
    by_label = {"ipAddressPoolSelectors": [{"matchLabels": {"x": "y"}}]}

    found = result(LAN, advertisement("a", spec={"ipAddressPools": ["gone"]}), advertisement("b", spec=by_label))

    assert problems(found) == [
        ("L2Advertisement lbprovider-system/a", "PoolMissing"),
        ("L2Advertisement lbprovider-system/b", "SelectsNothing"),
    ]


def test_advertisements_that_select_no_node_no_service_or_no_interface_are_problems_as_in_the_cluster() -> None:
    nowhere = {"nodeSelectors": [{"matchLabels": {"x": "y"}}]}
    nobody = {"serviceSelectors": [{"matchLabels": {"x": "y"}}]}

    found = result(
        LAN, service("a"), node("n1"), lease("n1", attachment("eth0")), ALL, advertisement("a", spec=nowhere),
        advertisement("b", spec=nobody), advertisement("c", spec={"interfaces": ["x"]}),
    )  # fmt: skip

    assert problems(found) == [
        ("L2Advertisement lbprovider-system/a", "SelectsNoNode"),
        ("L2Advertisement lbprovider-system/b", "SelectsNoService"),
        ("L2Advertisement lbprovider-system/c", "InterfaceMissing"),
    ]


def test_what_is_in_another_namespace_is_a_problem_and_doesnt_count() -> None:
    found = result(pool("lan", "192.0.2.1", namespace="default"), advertisement("all", namespace="kube-system"))

    assert problems(found) == [
        ("IPAddressPool default/lan", "WrongNamespace"),
        ("L2Advertisement kube-system/all", "WrongNamespace"),
    ]
    assert found.pools == ()


def metallb(kind: str, name: str, version: str = "v1beta1", **rest: Any) -> Manifest:
    metadata = {"name": name, "namespace": "metallb-system"}
    return {"apiVersion": f"metallb.io/{version}", "kind": kind, "metadata": metadata, **rest}


def test_metallbs_pools_and_advertisements_count_whatever_their_namespace() -> None:
    preferred = [{"weight": 1, "preference": {"matchLabels": {"r": "1"}}}]
    found = result(
        metallb("IPAddressPool", "lan", spec={"addresses": ["192.0.2.1-192.0.2.4"]}, status={"assignedIPv4": 3}),
        metallb("L2Advertisement", "all", spec={"interfaces": ["eth0"], "preferredNodeSelectors": preferred}),
        service("a"), node("n1"), node("n2", labels={"r": "1"}),
    )  # fmt: skip

    assert assigned(found) == {"default/a": ("192.0.2.1",)}
    assert only(found).ranking == ("n2", "n1")
    assert only(found).interfaces == {"n1": ("eth0",), "n2": ("eth0",)}
    assert found.problems == ()


def test_what_of_metallb_is_not_carried_is_said() -> None:
    found = result(
        LAN,
        metallb("BGPPeer", "tor", "v1beta2"),
        metallb("BGPAdvertisement", "all"),
        metallb("Community", "c"),
        metallb("ServiceL2Status", "l2"),
    )

    assert problems(found) == [
        ("BGPPeer tor (metallb.io/v1beta2)", "NotCarried"),
        ("BGPAdvertisement all (metallb.io/v1beta1)", "NotCarried"),
        ("Community c (metallb.io/v1beta1)", "NotCarried"),
    ]


def test_a_lan_that_answers_for_everything_is_a_problem_of_the_pool() -> None:
    answered = [allocation(f"192.0.2.{n}", "big", (f"default/s{n}", f"u{n}")) for n in range(1, 9)]
    for one in answered:
        said = {
            "type": "Conflict",
            "status": "True",
            "reason": "ProbeAnswered",
            "message": "",
            "lastTransitionTime": "",
        }
        one["status"] = {"conflictMAC": "02:00:00:00:00:99", "conditions": [said]}
    services = [service(f"s{n}", metadata={"uid": f"u{n}"}) for n in range(1, 9)]

    found = result(pool("big", "192.0.2.0/24"), ALL, *answered, *services)

    assert problems(found) == [(f"IPAddressPool {SYSTEM}/big", "LanAnswersForPool")]
    assert {one.reason for one in found.services} == {"LanAnswersForPool"}
    assert {one.ingress for one in found.services} == {()}
    assert found.lacking is True
