"""Tables, as kubectl asks for them: the columns and cells of what an administrator looks at."""

import re
from typing import Any

import pytest

from lbprovider.api.resources import LEASES, NODES, Resource
from tests.contract.kinds import KINDS, STATUSES, Stored, path
from tests.contract.wire import TABLE, asking, lease, leases, refusal, service, services, version
from tests.e2e.rig.api import Api, Object

# As kubectl asks, with what it takes instead.
KUBECTL = f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
AGE = re.compile(r"(\d+[smhdy]){1,2}")


def table(api: Api, where: str) -> Object:
    answer = api.ask("GET", where, accept=KUBECTL)
    assert (answer.status, answer.json["kind"], answer.json["apiVersion"]) == (200, "Table", "meta.k8s.io/v1")
    return answer.json


def columns(shown: Object, priority: int = 0) -> list[str]:
    return [column["name"] for column in shown["columnDefinitions"] if column["priority"] == priority]


def rows(shown: Object) -> list[dict[str, Any]]:
    names = [column["name"] for column in shown["columnDefinitions"]]
    return [dict(zip(names, row["cells"], strict=True)) for row in shown["rows"]]


def test_services(api: Api, namespace: str) -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    made = api.create(services(namespace), service("pending", ports=ports))["spec"]
    api.create(services(namespace), service("served", selector={"app": "web", "tier": "front"}))
    ingress = [{"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "2001:db8::1", "ipMode": "VIP"}]
    api.patch(services(namespace, "served", "status"), {"status": {"loadBalancer": {"ingress": ingress}}})
    api.create(services(namespace), service("inner", type="ClusterIP", clusterIP="None", ports=ports))
    shown = table(api, asking(services(namespace), limit=500))
    assert columns(shown) == ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"]
    assert columns(shown, 1) == ["Selector"]
    inner, pending, served = rows(shown)
    assert AGE.fullmatch(pending.pop("Age"))
    http, dns = (port["nodePort"] for port in made["ports"])
    assert pending == {
        "Name": "pending",
        "Type": "LoadBalancer",
        "Cluster-IP": made["clusterIP"],
        "External-IP": "<pending>",
        "Port(s)": f"80:{http}/TCP,53:{dns}/UDP",
        "Selector": "<none>",
    }
    assert (served["External-IP"], served["Selector"]) == ("192.0.2.1,2001:db8::1", "app=web,tier=front")
    assert (inner["Cluster-IP"], inner["External-IP"], inner["Port(s)"]) == ("None", "<none>", "80/TCP,53/UDP")


def test_nodes(api: Api, namespace: str) -> None:
    name = f"node-{namespace}"
    where = NODES.path(name=name)
    roles = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}
    api.create(NODES.path(), {"metadata": {"name": name, "labels": roles}})
    try:
        (fresh,) = rows(table(api, where))
        assert (fresh["Status"], fresh["Roles"]) == ("Unknown", "control-plane,worker")
        ready = {"type": "Ready", "status": "True"}
        addresses = [{"type": "InternalIP", "address": "198.51.100.7"}, {"type": "ExternalIP", "address": "192.0.2.7"}]
        status = {"conditions": [ready], "addresses": addresses, "nodeInfo": info("v1.35.4")}
        api.patch(f"{where}/status", {"status": status})
        api.patch(where, {"spec": {"unschedulable": True}})
        shown = table(api, where)
        assert columns(shown) == ["Name", "Status", "Roles", "Age", "Version"]
        wide = ["Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"]
        assert columns(shown, 1) == wide
        (row,) = rows(shown)
        assert (row["Status"], row["Version"]) == ("Ready,SchedulingDisabled", "v1.35.4")
        assert [row[column] for column in wide] == ["198.51.100.7", "192.0.2.7", "An OS", "6.18", "containerd://2"]
        api.patch(f"{where}/status", {"status": {"conditions": [{**ready, "status": "Unknown"}]}})
        assert rows(table(api, where))[0]["Status"] == "NotReady,SchedulingDisabled"
    finally:
        api.delete(where)


def info(kubelet: str) -> Object:
    return {
        "machineID": "",
        "systemUUID": "",
        "bootID": "",
        "kernelVersion": "6.18",
        "osImage": "An OS",
        "containerRuntimeVersion": "containerd://2",
        "kubeletVersion": kubelet,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": "amd64",
    }


def test_leases(api: Api, namespace: str) -> None:
    api.create(leases(namespace), lease("a"))
    shown = table(api, leases(namespace))
    assert columns(shown) == ["Name", "Holder", "Age"]
    assert [column["type"] for column in shown["columnDefinitions"]] == ["string"] * 3
    assert shown["columnDefinitions"][0]["format"] == "name"
    (row,) = rows(shown)
    assert (row["Name"], row["Holder"]) == ("a", "me")


def test_events(api: Api, namespace: str) -> None:
    about = {"kind": "Service", "namespace": namespace, "name": "web", "uid": "u"}
    event: Object = {
        "metadata": {"name": "e"},
        "involvedObject": about,
        "type": "Warning",
        "reason": "PoolExhausted",
        "message": "no address is free",
        "count": 3,
        "firstTimestamp": "2001-01-01T00:00:00Z",
        "lastTimestamp": "2001-01-01T00:00:00Z",
        "source": {"component": "lbprovider-controller"},
    }
    where = f"/api/v1/namespaces/{namespace}/events"
    api.create(where, event)
    shown = table(api, where)
    assert columns(shown) == ["Last Seen", "Type", "Reason", "Object", "Message"]
    assert columns(shown, 1) == ["Subobject", "Source", "First Seen", "Count", "Name"]
    (row,) = rows(shown)
    assert re.fullmatch(r"\d+y(\d+d)?", row.pop("Last Seen"))
    assert re.fullmatch(r"\d+y(\d+d)?", row.pop("First Seen"))
    assert row == {
        "Type": "Warning",
        "Reason": "PoolExhausted",
        "Object": "service/web",
        "Subobject": "",
        "Source": "lbprovider-controller",
        "Message": "no address is free",
        "Count": 3,
        "Name": "e",
    }


def test_namespaces_and_definitions(api: Api, namespace: str) -> None:
    shown = table(api, f"/api/v1/namespaces/{namespace}")
    assert columns(shown) == ["Name", "Status", "Age"]
    assert shown["rows"][0]["cells"][:2] == [namespace, "Active"]
    crds = table(api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/segments.lbprovider.io")
    assert columns(crds) == ["Name", "Created At"]
    (row,) = rows(crds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["Created At"])


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_our_kinds(api: Api, stored: Stored, kind: Resource[Any]) -> None:
    name, spec, status = STATUSES[kind]
    stored(kind, spec, name)
    api.patch(path(kind, name, "status"), {"status": status})
    defined = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}")["spec"]["versions"][0]
    shown = table(api, path(kind))
    expected = defined["additionalPrinterColumns"]
    assert [column["name"] for column in shown["columnDefinitions"]] == ["Name", *(each["name"] for each in expected)]
    assert [column["priority"] for column in shown["columnDefinitions"][1:]] == [
        each.get("priority", 0) for each in expected
    ]
    (row,) = rows(shown)
    assert AGE.fullmatch(row["Age"])
    assert {**row, **CELLS[str(kind)]} == row


CELLS: dict[str, dict[str, Any]] = {
    "ipaddresspools.lbprovider.io": {
        "Name": "lan",
        "Auto Assign": True,
        "V4 Assigned": 3,
        "V4 Available": 253,
        "V6 Available": None,
        "Ready": "True",
    },
    "l2advertisements.lbprovider.io": {"Name": "lan", "Pools": '["lan"]', "Interfaces": '["eth0"]'},
    "segments.lbprovider.io": {
        "Name": "192.0.2.0-24",
        "Subnets": '["192.0.2.0/24","2001:db8::/64"]',
        "Members": 3,
        "Live": 2,
        "Version": 3,
        "Interface": "",
    },
    "ipallocations.lbprovider.io": {
        "Name": "192.0.2.10",
        "Pool": "lan",
        "Service": "web",
        "Leader": "n1",
        "MAC": "02:00:00:00:00:01",
        "Reason": "NodeSilent",
        "Announced": "True",
    },
}


@pytest.mark.parametrize(
    ("include", "kind"), [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "Lease")]
)
def test_a_row_holds_as_much_of_its_object_as_asked(api: Api, namespace: str, include: str, kind: str | None) -> None:
    api.create(leases(namespace), lease("a"))
    shown = table(api, asking(leases(namespace), includeObject=include))
    found = shown["rows"][0].get("object")
    assert (found and found["kind"]) == kind
    if found:
        assert found["metadata"]["name"] == "a"
        assert ("spec" in found) == (include == "Object")


def test_a_table_comes_in_pages(api: Api, namespace: str) -> None:
    for name in "abc":
        api.create(leases(namespace), lease(name))
    first = table(api, asking(leases(namespace), limit=2))
    assert (len(first["rows"]), first["metadata"]["remainingItemCount"]) == (2, 1)
    second = table(api, asking(leases(namespace), limit=2, **{"continue": first["metadata"]["continue"]}))
    assert [row["cells"][0] for row in second["rows"]] == ["c"]
    assert version(second) == version(first)


def test_what_is_created_or_missing_is_answered_as_well(api: Api, namespace: str) -> None:
    made = api.ask("POST", leases(namespace), lease("a"), accept=TABLE)
    assert (made.status, made.json["kind"], made.json["rows"][0]["cells"][0]) == (201, "Table", "a")
    refusal(api.ask("GET", leases(namespace, "none"), accept=TABLE), 404, "NotFound")
    refusal(api.ask("GET", LEASES.path(namespace, "a"), accept="text/html"), 406, "NotAcceptable")
