"""What is read of objects that others write: only the fields that we use, and never more than an error for one."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.api.core import Lease, LoadBalancerIngress, Node, NodeCondition, Service, ServicePort, Taint
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.registration import ANNOTATION, Attachment, Registration, registration, registrations
from lbprovider.api.segment import MemberList

# As `kubectl get service -o json` shows one that has passed every default of the API server.
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "7f8a0c1e-6a51-4a0e-9c57-0d2f3a1b4c5d",
        "resourceVersion": "4711",
        "creationTimestamp": "2025-01-01T00:00:00Z",
        "labels": {"app": "web"},
        "annotations": {"lbprovider.io/address-pool": "lan"},
        "finalizers": ["service.kubernetes.io/load-balancer-cleanup"],
        "managedFields": [
            {"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}}
        ],
    },
    "spec": {
        "allocateLoadBalancerNodePorts": True,
        "clusterIP": "10.96.12.34",
        "clusterIPs": ["10.96.12.34", "2001:db8:96::1"],
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 31234,
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "PreferDualStack",
        "loadBalancerClass": "lbprovider.io/l2",
        "loadBalancerIP": "192.0.2.10",
        "ports": [
            {"name": "http", "nodePort": 30080, "port": 80, "protocol": "TCP", "targetPort": "web"},
            {"name": "dns", "nodePort": 30053, "port": 53, "protocol": "UDP", "targetPort": 53},
        ],
        "selector": {"app": "web"},
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        "trafficDistribution": "PreferClose",
        "type": "LoadBalancer",
    },
    "status": {
        "conditions": [
            {
                "type": "Assigned",
                "status": "True",
                "reason": "Assigned",
                "message": "",
                "lastTransitionTime": "2025-01-01T00:00:01Z",
                "observedGeneration": 1,
            }
        ],
        "loadBalancer": {
            "ingress": [{"ip": "192.0.2.10", "ipMode": "VIP", "ports": [{"port": 80, "protocol": "TCP"}]}]
        },
    },
}


def test_a_full_service_is_read_by_the_fields_that_we_use() -> None:
    service = msgspec.json.decode(json.dumps(SERVICE), type=Service)
    assert service.key == "shop/web"
    assert service.metadata.resource_version == "4711"
    assert service.metadata.deletion_timestamp is None
    assert service.spec.load_balancer_ip == "192.0.2.10"
    assert service.spec.load_balancer_class == "lbprovider.io/l2"
    assert service.spec.cluster_ips == ("10.96.12.34", "2001:db8:96::1")
    assert (service.spec.ip_families, service.spec.ip_family_policy) == (("IPv4", "IPv6"), "PreferDualStack")
    assert service.spec.external_traffic_policy == "Local"
    assert service.spec.ports == (
        ServicePort(port=80, name="http"),
        ServicePort(port=53, protocol="UDP", name="dns"),
    )
    assert service.status.load_balancer.ingress == (LoadBalancerIngress(ip="192.0.2.10", ip_mode="VIP"),)
    assert service.status.conditions[0].reason == "Assigned"


def test_a_service_of_another_type_needs_none_of_the_fields() -> None:
    service = msgspec.json.decode(b'{"metadata": {"name": "x", "namespace": "y"}}', type=Service)
    assert (service.spec.type, service.spec.cluster_ip, service.status.load_balancer.ingress) == ("ClusterIP", "", ())


@pytest.mark.parametrize(
    "broken",
    [
        {"spec": {"type": 7}},
        {"spec": {"ports": [{"name": "no port"}]}},
        {"spec": {"ipFamilies": ["IPv5"]}},
        {"metadata": {"labels": ["a"]}},
        [],
    ],
)
def test_what_is_no_service_is_one_error_of_the_codec(broken: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(broken), type=Service)


def test_a_node_is_read_by_its_taints_and_conditions() -> None:
    raw = {
        "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
        "spec": {"podCIDR": "10.0.0.0/24", "unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
        "status": {
            "capacity": {"cpu": "2"},
            "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "…"}],
        },
    }
    node = msgspec.convert(raw, type=Node)
    assert node.spec.taints == (Taint(key="k"),)
    assert node.status.conditions == (NodeCondition(type="Ready", status="False"),)
    assert (node.condition("Ready"), node.condition("NetworkUnavailable")) == ("False", "Unknown")


ATTACHMENT = Attachment(
    segment="192.0.2.0-24",
    interface="eth0",
    address="192.0.2.1",
    mac="02:00:00:00:00:01",
    subnets=("192.0.2.0/24", "2001:db8::/64"),
    hears=("n2", "n3"),
    default_route=True,
    version=3,
    lists=(MemberList(members=("n1", "n2"), need=2),),
)


def lease(value: str, node: str = "n1") -> Lease:
    return Lease(metadata=ObjectMeta(name=node, annotations={ANNOTATION: value}))


def test_what_a_speaker_registers_is_read_back() -> None:
    registered = Registration(incarnation=7, attachments=(ATTACHMENT,))
    assert registration(lease(registered.encode())) == registered


def test_a_field_of_a_newer_speaker_is_passed_by() -> None:
    value = json.loads(Registration(incarnation=7, attachments=(ATTACHMENT,)).encode())
    value["attachments"][0]["speed"] = {"mbit": 10_000}
    assert registration(lease(json.dumps(value))) == Registration(incarnation=7, attachments=(ATTACHMENT,))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "[]",
        "{}",
        "{",
        '{"incarnation": "one"}',
        '{"incarnation": 1, "attachments": [{"segment": "x"}]}',
        '{"incarnation": 1, "later": ' + "[" * 100_000,
        "\x00",
    ],
    ids=lambda value: repr(value[:40]),
)
def test_garbage_is_no_registration(value: str) -> None:
    assert registration(lease(value)) is None


def test_a_lease_of_somebody_else_is_no_registration() -> None:
    assert registration(Lease(metadata=ObjectMeta(name="n1"))) is None


def test_registrations_are_by_node_and_only_what_can_be_read() -> None:
    first, second = Registration(incarnation=7), Registration(incarnation=2, attachments=(ATTACHMENT,))
    leases = [lease(first.encode(), "n1"), lease("garbage", "n2"), lease(second.encode(), "n3")]
    assert registrations([*leases, Lease(metadata=ObjectMeta(name="n4"))]) == {"n1": first, "n3": second}
    assert registrations([]) == {}


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_nothing_that_a_lease_can_hold_raises(value: str) -> None:
    assert registration(lease(value)) is None
