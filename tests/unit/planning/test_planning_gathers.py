"""What of the documents is used, and what makes them unusable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus, ServiceClaim
from lbprovider.api.conditions import ANNOUNCED
from lbprovider.api.core import (
    EndpointSlice,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Node,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from lbprovider.api.meta import Condition, Object, ObjectMeta
from lbprovider.api.pool import IPAddressPool, IPAddressPoolSpec, L2Advertisement
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, ENDPOINT_SLICES, NODES, POOLS, SERVICES, Resource
from lbprovider.planning import before, changes, plan
from lbprovider.planning.result import Change, Count
from tests.unit.planning.planning_input import (
    NOW,
    OPTIONS,
    SYSTEM,
    Manifest,
    advertisement,
    allocation,
    endpoints,
    gathered,
    node,
    pool,
    service,
    shows,
)


def broken(one: Manifest, **changed: Any) -> Manifest:
    return {**one, **changed}


@pytest.mark.parametrize(
    ("one", "field", "words"),
    [
        (pool("p", "192.0.2.0/33"), "spec.addresses[0]", "192.0.2.0/33"),
        (pool("p", "192.0.2.9-192.0.2.1"), "spec.addresses[0]", "ends before it starts"),
        (pool("p"), "spec.addresses", "at least 1 items"),
        (broken(pool("p"), spec={}), "spec.addresses", "Required value"),
        (broken(pool("p"), spec=None), "spec", "Required value"),
        (pool("p", "192.0.2.1", spec={"autoAssign": "no"}), "spec.autoAssign", "boolean"),
        (pool("p", "192.0.2.1", spec={"autoAsign": False}), "spec.autoAsign", "is no field of an IPAddressPool"),
        (pool("p", "192.0.2.1", spec={"reuseAfter": "soon"}), "spec.reuseAfter", "soon"),
        (pool("Not_A_Name", "192.0.2.1"), "metadata.name", "Not_A_Name"),
        (advertisement("a", spec={"interfaces": ["eth 0"]}), "spec.interfaces[0]", "eth 0"),
        (broken(allocation("192.0.2.1", "p"), spec={"address": "192.0.2.1"}), "spec.pool", "Required value"),
        (broken(allocation("192.0.2.1", "p"), metadata={"name": "192.0.2.2"}), "metadata.name", "192.0.2.2"),
        (service("s", 0), "spec.ports[0].port", "0 is no port"),
        (service("s", 80, 65536), "spec.ports[1].port", "65536 is no port"),
        (service("s", 80, 80), "spec.ports[1]", "TCP/80 is there twice"),
        (service("s", spec={"ports": [{"port": "http"}]}), "spec.ports[0].port", "whole number"),
        (service("s", spec={"ports": [{"port": 1, "protocol": "ICMP"}]}), "spec.ports[0].protocol", "ICMP"),
        (service("s", spec={"type": "Loadbalancer"}), "spec.type", "Loadbalancer"),
        (service("s", spec={"ipFamilies": ["IPv4", "IPv4"]}), "spec.ipFamilies", "twice"),
        (service("s", spec={"ipFamilies": ["IPv5"]}), "spec.ipFamilies[0]", "IPv5"),
        (
            service("s", spec={"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"}),
            "spec.ipFamilyPolicy",
            "SingleStack",
        ),
        (service("1s"), "metadata.name", "1s"),
        (service("s", labels={"a b": "c"}), "metadata.labels", "a b"),
        (node("n", labels={"x": "-"}), "metadata.labels", "-"),
        (broken(node("n"), metadata=["n"]), "metadata", "object"),
        (broken(node("n"), metadata={}), "metadata.name", ""),
        (broken(pool("p", "192.0.2.1"), apiVersion="lbprovider.io/v1"), "apiVersion", "'v1' is no version"),
        (broken(pool("p", "192.0.2.1"), kind="AddressPool"), "kind", "'AddressPool' is no kind"),
    ],
)  # fmt: skip
def test_what_an_api_server_would_refuse_is_unusable(one: Manifest, field: str, words: str) -> None:
    _, unusable = gathered(pool("fine", "198.51.100.0/24"), one)

    assert [(each.number, each.field) for each in unusable] == [(2, field)]
    assert words in str(unusable[0])
    assert str(unusable[0]).startswith(f"standard input, document 2: {field}: ")


def test_all_that_is_wrong_is_said_at_once() -> None:
    _, unusable = gathered(
        pool("p", "nonsense", "192.0.2.0/33", spec={"autoAssign": 3}),
        service("s", 0),
        {"apiVersion": "v1", "kind": "X"},
    )

    assert [(each.number, each.field) for each in unusable] == [
        (1, "spec.autoAssign"),
        (2, "spec.ports[0].port"),
    ]


def test_rules_of_ours_are_looked_at_where_the_schema_is_kept() -> None:
    _, unusable = gathered(pool("p", "nonsense", "192.0.2.0/33"))

    assert [each.field for each in unusable] == ["spec.addresses[0]", "spec.addresses[1]"]


def test_metallbs_objects_are_held_to_our_schema() -> None:
    bad = {**pool("p", "192.0.2.5/24"), "apiVersion": "metallb.io/v1beta1"}

    _, unusable = gathered(bad)

    assert [each.field for each in unusable] == ["spec.addresses[0]"]


def test_kinds_that_decide_nothing_are_passed_by() -> None:
    objects, unusable = gathered(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": "whatever"},
        {"apiVersion": "example.com/v1", "kind": "Service", "spec": 3},
        {
            "apiVersion": "lbprovider.io/v1beta1",
            "kind": "Segment",
            "metadata": {"name": "s"},
            "spec": {"interface": "e"},
        },
    )

    assert unusable == ()
    assert objects.raws == {}
    assert objects.problems == ()


def test_a_service_that_gets_its_name_when_it_is_made_has_one() -> None:
    generated = service("")
    generated["metadata"] = {"generateName": "web-"}

    objects, unusable = gathered(generated)

    assert unusable == ()
    assert list(objects.known.services) == ["default/web-xxxxx"]


def test_overlapping_pools_are_usable() -> None:
    assert gathered(pool("a", "192.0.2.0/24"), pool("b", "192.0.2.0/25"))[1] == ()


# --- beside a live cluster

Live = tuple[Resource[Any], Object]


def live_pool(name: str, *addresses: str) -> Live:
    metadata = ObjectMeta(name=name, namespace=SYSTEM)
    return POOLS, IPAddressPool(metadata=metadata, spec=IPAddressPoolSpec(addresses=addresses))


def live_service(name: str, uid: str, *shown: str) -> Live:
    spec = ServiceSpec(type="LoadBalancer", cluster_ips=("10.0.0.1",), ip_families=("IPv4",))
    ingress = tuple(LoadBalancerIngress(ip=address) for address in shown)
    status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress))
    return SERVICES, Service(metadata=ObjectMeta(name=name, namespace="default", uid=uid), spec=spec, status=status)


def live_allocation(address: str, pool: str, name: str, uid: str, leader: str = "") -> Live:
    claim = ServiceClaim(namespace="default", name=name, uid=uid, ports=(ServicePort(port=80),))
    said = (Condition(type=ANNOUNCED, status="True", reason="Claimed"),) if leader else ()
    return ALLOCATIONS, IPAllocation(
        metadata=ObjectMeta(name=address),
        spec=IPAllocationSpec(address=address, pool=pool, services=(claim,)),
        status=IPAllocationStatus(leader=leader, conditions=said),
    )


def changed(*given: Manifest, live: list[Live]) -> dict[tuple[str, str], tuple[Any, Any]]:
    was, _ = gathered(live=live)
    objects, unusable = gathered(*given, live=live)
    assert unusable == ()
    found = changes(before(was, OPTIONS, NOW), plan(objects, OPTIONS, NOW).result, was, SYSTEM)
    assert all(isinstance(one, Change) for one in found)
    return {(one.object, one.field): (one.before, one.after) for one in found}


def test_a_manifest_replaces_the_live_object_of_its_name() -> None:
    live = [
        live_pool("lan", "192.0.2.1"),
        live_service("a", "u", "192.0.2.1"),
        live_allocation("192.0.2.1", "lan", "a", "u"),
    ]

    assert changed(pool("lan", "192.0.2.1-192.0.2.2"), live=live) == {
        ("Service default/a", "reason"): (None, "Assigned"),
        ("IPAddressPool lbprovider-system/lan", "total"): (Count(1), Count(2)),
        ("IPAddressPool lbprovider-system/lan", "available"): (Count(0), Count(1)),
    }


def test_a_service_gains_moves_and_loses_addresses() -> None:
    live = [
        live_pool("lan", "192.0.2.1-192.0.2.9"),
        live_service("a", "ua", "192.0.2.1"),
        live_service("b", "ub", "192.0.2.2"),
        live_allocation("192.0.2.1", "lan", "a", "ua"),
        live_allocation("192.0.2.2", "lan", "b", "ub"),
    ]

    found = changed(
        service("a", spec={"loadBalancerIP": "192.0.2.5"}), service("b", spec={"type": "ClusterIP"}), service("c"),
        live=live,
    )  # fmt: skip

    ingress = {name: values for (name, field), values in found.items() if field == "ingress"}
    assert ingress == {
        "Service default/a": (("192.0.2.1",), ("192.0.2.5",)),
        "Service default/b": (("192.0.2.2",), None),
        "Service default/c": (None, ("192.0.2.1",)),
    }


def test_on_a_cluster_a_service_that_is_not_there_is_gone() -> None:
    live = [live_pool("lan", "192.0.2.1"), live_allocation("192.0.2.1", "lan", "gone", "u"), live_service("a", "ua")]

    assert changed(live=live)["Service default/a", "ingress"] == ((), ("192.0.2.1",))


def test_a_manifests_own_status_is_not_applied_to_a_cluster() -> None:
    live = [live_pool("lan", "192.0.2.1-192.0.2.9")]

    found = changed(service("a", status=shows("192.0.2.7")), live=live)

    assert found["Service default/a", "ingress"] == (None, ("192.0.2.1",))


def test_a_service_that_is_not_on_the_cluster_yet_is_taken_to_be_served() -> None:
    live: list[Live] = [
        live_pool("lan", "192.0.2.1-192.0.2.9"),
        live_service("a", "ua"),
        (NODES, Node(metadata=ObjectMeta(name="n1"))),
    ]

    found = changed(
        service("b", spec={"externalTrafficPolicy": "Local"}), advertisement("all"), live=live
    )  # fmt: skip

    assert found["IPAllocation 192.0.2.1", "eligible"] == (None, ())
    assert found["IPAllocation 192.0.2.2", "eligible"] == (None, ("n1",))


@pytest.mark.parametrize("leader", ["n1", "n2"])
@pytest.mark.parametrize("selected", ["n1", "n2", "both"])
def test_a_healthy_owner_stays(selected: str, leader: str) -> None:
    live: list[Live] = [
        live_pool("lan", "192.0.2.1"),
        live_service("a", "u", "192.0.2.1"),
        live_allocation("192.0.2.1", "lan", "a", "u", leader=leader),
        (ADVERTISEMENTS, L2Advertisement(metadata=ObjectMeta(name="all", namespace=SYSTEM))),
        (NODES, Node(metadata=ObjectMeta(name="n1", labels={"name": "n1"}))),
        (NODES, Node(metadata=ObjectMeta(name="n2", labels={"name": "n2"}))),
        (ENDPOINT_SLICES, typed_slice("a", "n1")),
    ]
    only = {"nodeSelectors": [{"matchLabels": {} if selected == "both" else {"name": selected}}]}

    found = changed(advertisement("all", spec=only), live=live)

    announcer = ("IPAllocation 192.0.2.1", "announcer")
    if selected in ("both", leader):
        assert announcer not in found
    else:
        assert found[announcer] == (leader, selected)
    if selected != "both":
        assert found["IPAllocation 192.0.2.1", "eligible"] == (("n1", "n2"), (selected,))


def typed_slice(of: str, *nodes: str) -> EndpointSlice:
    return msgspec.convert(endpoints(of, *nodes, ready=True), type=EndpointSlice)


def test_an_ipallocation_that_is_not_named_after_its_address_is_said() -> None:
    _, made = live_allocation("192.0.2.1", "lan", "a", "u")
    misnamed = msgspec.structs.replace(made, metadata=ObjectMeta(name="nonsense"))

    objects, _ = gathered(live=[(ALLOCATIONS, misnamed)])

    assert objects.allocations == ()
    assert [(one.object, one.reason) for one in objects.problems] == [("IPAllocation nonsense", "Unreadable")]
