from typing import Any

import pytest

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.services.allocating import NETWORKS, NODE_PORTS, Allocator, Unallocated
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Object
from tests.unit.lab_apiserver.house import House

SERVICE = kinds.SERVICE


def made(house: House, name: str = "web", **spec: Any) -> Object:
    content = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}
    return house.create(SERVICE, content)


def spec_of(service: Object) -> Object:
    spec: Object = service["spec"]
    return spec


def refused(house: House, **spec: Any) -> list[str]:
    with pytest.raises(Refusal) as caught:
        made(house, **spec)
    assert caught.value.code == 422
    assert house.get(SERVICE, "web") is None
    assert caught.value.details is not None
    return [f"{cause['field']}: {cause['message']}" for cause in caught.value.details["causes"]]


def test_a_load_balancer_gets_its_defaults(house: House) -> None:
    assert spec_of(made(house, type="LoadBalancer")) == {
        "ports": [{"protocol": "TCP", "port": 80, "targetPort": 80, "nodePort": 30001}],
        "type": "LoadBalancer",
        "sessionAffinity": "None",
        "externalTrafficPolicy": "Cluster",
        "internalTrafficPolicy": "Cluster",
        "allocateLoadBalancerNodePorts": True,
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "clusterIP": "10.96.1.1",
        "clusterIPs": ["10.96.1.1"],
    }


@pytest.mark.parametrize(
    ("spec", "families", "policy"),
    [
        ({}, ["IPv4"], "SingleStack"),
        ({"ipFamilies": ["IPv6"]}, ["IPv6"], "SingleStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"], "PreferDualStack"),
        ({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}, ["IPv6", "IPv4"], "RequireDualStack"),
        ({"clusterIP": "2001:db8:96::9"}, ["IPv6"], "SingleStack"),
        ({"clusterIP": "None"}, ["IPv4", "IPv6"], "RequireDualStack"),
        ({"clusterIP": "None", "selector": {"a": "b"}}, ["IPv4"], "SingleStack"),
    ],
)
def test_families(house: House, spec: Object, families: list[str], policy: str) -> None:
    stored = spec_of(made(house, **spec))
    assert (stored["ipFamilies"], stored["ipFamilyPolicy"]) == (families, policy)
    if stored["clusterIP"] != "None":
        assert [":" in each for each in stored["clusterIPs"]] == [family == "IPv6" for family in families]
        assert stored["clusterIP"] == stored["clusterIPs"][0]


def test_an_external_name_gets_nothing(house: House) -> None:
    assert spec_of(made(house, type="ExternalName", externalName="a.example", ports=[])) == {
        "type": "ExternalName",
        "sessionAffinity": "None",
        "externalName": "a.example",
    }


def test_what_is_taken_is_not_given_twice_and_comes_back(house: House) -> None:
    first = spec_of(made(house, "first", type="NodePort", clusterIP="10.96.7.7"))
    port = first["ports"][0]["nodePort"]
    why = "failed to allocate IP 10.96.7.7: provided IP is already allocated"
    assert refused(house, clusterIP="10.96.7.7") == [f'spec.clusterIPs: Invalid value: ["10.96.7.7"]: {why}']
    assert refused(house, type="NodePort", ports=[{"port": 80, "nodePort": port}]) == [
        f"spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
    ]
    house.delete(SERVICE, "first")
    again = spec_of(made(house, type="NodePort", clusterIP="10.96.7.7", ports=[{"port": 80, "nodePort": port}]))
    assert again["ports"][0]["nodePort"] == port


def test_an_allocator_knows_what_is_stored_and_ends_when_all_is_given(house: House) -> None:
    taken = spec_of(made(house, type="NodePort", clusterIP="10.96.1.2"))
    allocator = Allocator(house.store)
    given = {allocator.address("IPv4") for _ in range(1000)}
    assert taken["clusterIP"] not in given
    own = {("TCP", port) for port in NODE_PORTS if port != taken["ports"][0]["nodePort"]}
    with pytest.raises(Unallocated, match="range is full"):
        allocator.port(own)
    with pytest.raises(Unallocated, match="does not match the current range"):
        allocator.check_address("10.97.0.1", "IPv4")
    assert NETWORKS["IPv6"].num_addresses == 1 << 16


def test_one_number_for_one_port_of_two_protocols(house: House) -> None:
    ports = [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}, {"name": "v", "port": 54}]
    numbers = [port["nodePort"] for port in spec_of(made(house, type="NodePort", ports=ports))["ports"]]
    assert numbers[0] == numbers[1] != numbers[2]


def test_a_local_service_has_a_health_check_port_while_it_is_local(house: House) -> None:
    before = spec_of(made(house, type="LoadBalancer", externalTrafficPolicy="Local"))
    assert before["healthCheckNodePort"] in NODE_PORTS
    after = spec_of(house.patch(SERVICE, "web", {"spec": {"externalTrafficPolicy": "Cluster"}}))
    assert "healthCheckNodePort" not in after


def test_a_change_of_type_takes_away_what_the_old_type_had(house: House) -> None:
    made(house, type="LoadBalancer", loadBalancerClass="a/b")
    ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    told = house.patch(SERVICE, "web", ingress, subresource="status")
    assert told["status"] == {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
    plain = house.patch(SERVICE, "web", {"spec": {"type": "ClusterIP"}})
    assert plain["status"] == {"loadBalancer": {}}
    gone = {"loadBalancerClass", "allocateLoadBalancerNodePorts", "externalTrafficPolicy"}
    assert not gone & set(plain["spec"])
    assert "nodePort" not in plain["spec"]["ports"][0]
    assert plain["spec"]["clusterIP"] == told["spec"]["clusterIP"]
    nameless = house.patch(SERVICE, "web", {"spec": {"type": "ExternalName", "externalName": "a.example"}})
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & set(nameless["spec"])
    back = house.patch(SERVICE, "web", {"spec": {"type": "LoadBalancer", "externalName": None}})
    assert back["spec"]["clusterIPs"]


def test_two_families_and_one_again(house: House) -> None:
    first = spec_of(made(house))["clusterIP"]
    dual = spec_of(house.patch(SERVICE, "web", {"spec": {"ipFamilyPolicy": "RequireDualStack"}}))
    assert dual["clusterIPs"][0] == first
    assert len(dual["clusterIPs"]) == 2
    single = spec_of(house.patch(SERVICE, "web", {"spec": {"ipFamilyPolicy": "SingleStack"}}))
    assert (single["clusterIPs"], single["ipFamilies"]) == ([first], ["IPv4"])


def test_node_ports_stay_with_their_name(house: House) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    before = {
        each["name"]: each["nodePort"] for each in spec_of(made(house, type="LoadBalancer", ports=ports))["ports"]
    }
    changed = [{"name": "b", "port": 8081}, {"name": "c", "port": 80}]
    after = {
        each["name"]: each["nodePort"]
        for each in spec_of(house.patch(SERVICE, "web", {"spec": {"ports": changed}}))["ports"]
    }
    assert after["b"] == before["b"]
    assert after["c"] not in before.values()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"ports": []}, ["spec.ports: Required value"]),
        ({"type": "Some"}, ["spec.type: Unsupported value"]),
        ({"ports": [{"port": 1}, {"port": 2}]}, ["spec.ports[0].name: Required", "spec.ports[1].name: Required"]),
        ({"ports": [{"port": 80, "targetPort": "Some"}]}, ["spec.ports[0].targetPort: Invalid value"]),
        ({"ports": [{"port": 80, "nodePort": 30000}]}, ["spec.ports[0].nodePort: Forbidden"]),
        ({"clusterIP": "10.97.0.1"}, ["spec.clusterIPs: Invalid value"]),
        ({"clusterIP": "lan"}, ["spec.clusterIPs[0]: Invalid value"]),
        ({"type": "NodePort", "clusterIP": "None"}, ["spec.clusterIPs[0]: Invalid value"]),
        ({"ipFamilies": ["IPv4", "IPv6"]}, ["spec.ipFamilyPolicy: Invalid value"]),
        ({"ipFamilies": ["IPv4"], "clusterIP": "2001:db8:96::9"}, ["spec.clusterIPs[0]: Invalid value"]),
        ({"externalIPs": ["127.0.0.1"]}, ["spec.externalIPs[0]: Invalid value"]),
        ({"externalTrafficPolicy": "Local"}, ["spec.externalTrafficPolicy: Invalid value"]),
        ({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, ["spec.LoadBalancerSourceRanges: Forbidden"]),
        ({"type": "LoadBalancer", "healthCheckNodePort": 30000}, ["spec.healthCheckNodePort: Invalid value"]),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {}}}, ["spec.sessionAffinityConfig"]),
        ({"type": "ExternalName", "externalName": "A"}, ["spec.externalName: Invalid value"]),
    ],
)
def test_what_can_not_be_is_refused_by_name(house: House, spec: Object, said: list[str]) -> None:
    heard = refused(house, **spec)
    assert [each[: len(words)] for each, words in zip(heard, said, strict=True)] == said


def test_an_ingress_is_a_load_balancers(house: House) -> None:
    made(house)
    with pytest.raises(Refusal, match=r"ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"):
        house.patch(SERVICE, "web", {"status": {"loadBalancer": {"ingress": [{"ip": "::1"}]}}}, subresource="status")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"clusterIP": "10.96.9.9"}, "spec.clusterIPs[0]"),
        ({"loadBalancerClass": "c/d"}, "spec.loadBalancerClass"),
        ({"healthCheckNodePort": 30100}, "spec.healthCheckNodePort"),
    ],
)
def test_what_never_changes(house: House, change: Object, field: str) -> None:
    before = made(house, type="LoadBalancer", externalTrafficPolicy="Local")
    with pytest.raises(Refusal) as caught:
        house.patch(SERVICE, "web", {"spec": change})
    assert caught.value.details is not None
    assert [cause["field"] for cause in caught.value.details["causes"]] == [field]
    assert house.get(SERVICE, "web") == before


def test_a_dry_run_takes_nothing(house: House) -> None:
    first = house.create(SERVICE, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}, dry_run=True)
    assert house.get(SERVICE, "web") is None
    address = first["spec"]["clusterIP"]
    assert spec_of(made(house, clusterIP=address))["clusterIP"] == address
