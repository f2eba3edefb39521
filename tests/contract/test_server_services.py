"""Services: what the API server fills in, and which it refuses."""

import pytest

from tests.contract.wire import asking, refusal, service, services
from tests.e2e.rig.api import Api, Object


def test_a_load_balancer_gets_what_it_did_not_say(api: Api, namespace: str) -> None:
    made = api.create(services(namespace), service("web"))
    spec = dict(made["spec"])
    (port,) = spec.pop("ports")
    address = spec.pop("clusterIP")
    assert 30000 <= port.pop("nodePort") <= 32767
    assert port == {"protocol": "TCP", "port": 80, "targetPort": 80}
    assert spec == {
        "clusterIPs": [address],
        "type": "LoadBalancer",
        "sessionAffinity": "None",
        "externalTrafficPolicy": "Cluster",
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "allocateLoadBalancerNodePorts": True,
    }
    assert made["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("asked", "families", "policy"),
    [
        ({}, ["IPv4"], "SingleStack"),
        ({"ipFamilies": ["IPv6"]}, ["IPv6"], "SingleStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"], "PreferDualStack"),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["IPv4", "IPv6"], "RequireDualStack"),
        ({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}, ["IPv6", "IPv4"], "RequireDualStack"),
        ({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]}, ["IPv6", "IPv4"], "PreferDualStack"),
    ],
    ids=["nothing", "v6", "prefer", "require", "require v6 first", "prefer v6 first"],
)
def test_a_service_has_an_address_of_each_of_its_families(
    api: Api, namespace: str, asked: Object, families: list[str], policy: str
) -> None:
    spec = api.create(services(namespace), service("web", **asked))["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (families, policy)
    assert ["IPv6" if ":" in address else "IPv4" for address in spec["clusterIPs"]] == families
    assert spec["clusterIP"] == spec["clusterIPs"][0]


def test_no_two_services_have_an_address_or_a_node_port_in_common(api: Api, namespace: str) -> None:
    made = [api.create(services(namespace), service(f"web-{number}"))["spec"] for number in range(8)]
    assert len({spec["clusterIP"] for spec in made}) == 8
    assert len({spec["ports"][0]["nodePort"] for spec in made}) == 8


def test_a_headless_service_has_none(api: Api, namespace: str) -> None:
    spec = api.create(services(namespace), service("web", type="ClusterIP", clusterIP="None"))["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("None", ["None"])
    assert "nodePort" not in spec["ports"][0]


def test_a_local_service_without_node_ports_gets_a_health_check_port(api: Api, namespace: str) -> None:
    asked: Object = {
        "allocateLoadBalancerNodePorts": False,
        "externalTrafficPolicy": "Local",
        "loadBalancerClass": "lbprovider.io/l2",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "sessionAffinity": "ClientIP",
    }
    spec = api.create(services(namespace), service("web", **asked))["spec"]
    assert {**spec, **asked} == spec
    assert 30000 <= spec["healthCheckNodePort"] <= 32767
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert "nodePort" not in spec["ports"][0]


def test_a_port_may_name_its_node_port_and_its_target(api: Api, namespace: str) -> None:
    taken = api.create(services(namespace), service("first"))["spec"]["ports"][0]["nodePort"]
    api.delete(services(namespace, "first"))
    ports = [{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "named", "nodePort": taken}]
    assert api.create(services(namespace), service("web", ports=ports))["spec"]["ports"] == ports


def test_a_service_that_is_no_load_balancer_any_more_loses_what_only_one_has(api: Api, namespace: str) -> None:
    where = services(namespace, "web")
    before = api.create(services(namespace), service("web"))["spec"]
    ingress = [{"ip": "192.0.2.1", "ipMode": "VIP"}]
    api.patch(f"{where}/status", {"status": {"loadBalancer": {"ingress": ingress}}})
    after = api.patch(where, {"spec": {"type": "ClusterIP"}})
    assert not {"externalTrafficPolicy", "allocateLoadBalancerNodePorts"} & after["spec"].keys()
    assert "nodePort" not in after["spec"]["ports"][0]
    assert (after["spec"]["clusterIP"], after["status"]["loadBalancer"]) == (before["clusterIP"], {})
    again = api.patch(where, {"spec": {"type": "LoadBalancer"}})
    assert again["spec"]["ports"][0]["nodePort"]


def test_a_service_becomes_dual_stack_and_single_again(api: Api, namespace: str) -> None:
    where = services(namespace, "web")
    first = api.create(services(namespace), service("web"))["spec"]["clusterIP"]
    dual = api.patch(where, {"spec": {"ipFamilyPolicy": "PreferDualStack"}})["spec"]
    assert (dual["clusterIPs"][0], dual["ipFamilies"]) == (first, ["IPv4", "IPv6"])
    single = api.patch(where, {"spec": {"ipFamilyPolicy": "SingleStack"}})["spec"]
    assert (single["clusterIPs"], single["ipFamilies"]) == ([first], ["IPv4"])


def test_an_ingress_says_how_it_is_reached(api: Api, namespace: str) -> None:
    where = services(namespace, "web", "status")
    api.create(services(namespace), service("web"))
    told = api.patch(where, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "Proxy"}]}}})
    assert told["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.1", "ipMode": "Proxy"}]
    whole = {**told, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "lb.example.com"}]}}}
    ingress = api.replace(where, whole)["status"]["loadBalancer"]["ingress"]
    assert ingress == [{"ip": "192.0.2.2", "ipMode": "VIP"}, {"hostname": "lb.example.com"}]
    for how in ("merge", "strategic"):
        status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.3"}]}}
        told = api.patch(where, {"status": status}, how=how)["status"]["loadBalancer"]["ingress"]
        assert told == [{"ip": "192.0.2.3", "ipMode": "VIP"}]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (
            {"loadBalancer": {"ingress": [{"ip": "lan", "ipMode": "VIP"}]}},
            'status.loadBalancer.ingress[0].ip: Invalid value: "lan": must be a valid IP address',
        ),
        (
            {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "Some"}]}},
            'status.loadBalancer.ingress[0].ipMode: Unsupported value: "Some": supported values: "Proxy", "VIP"',
        ),
        (
            {"loadBalancer": {"ingress": [{"hostname": "192.0.2.1"}]}},
            'status.loadBalancer.ingress[0].hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP',
        ),
    ],
    ids=["ip", "ipMode", "hostname"],
)
def test_an_ingress_that_can_not_be_is_refused(api: Api, namespace: str, status: Object, why: str) -> None:
    api.create(services(namespace), service("web"))
    answer = api.ask("PATCH", services(namespace, "web", "status"), {"status": status}, kind="merge")
    assert why in refusal(answer, 422, "Invalid")["message"]


def test_only_a_load_balancer_has_an_ingress(api: Api, namespace: str) -> None:
    api.create(services(namespace), service("inner", type="ClusterIP"))
    ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}}
    answer = api.ask("PATCH", services(namespace, "inner", "status"), ingress, kind="merge")
    why = "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    assert why in refusal(answer, 422, "Invalid")["message"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"ports": []}, "spec.ports: Required value"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"),
        ({"ports": [{"port": 65536}]}, "spec.ports[0].port: Invalid value: 65536: must be between 1 and 65535"),
        ({"ports": [{"port": 80}, {"port": 81}]}, "spec.ports[0].name: Required value"),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
            'spec.ports[1].name: Duplicate value: "a"',
        ),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}, "spec.ports[1]: Duplicate value"),
        (
            {"ports": [{"port": 80, "protocol": "ICMP"}]},
            'spec.ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            {"ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range",
        ),
        (
            {"type": "Some"},
            'spec.type: Unsupported value: "Some": supported values: "ClusterIP", "ExternalName", "Load',
        ),
        (
            {"type": "ClusterIP", "externalTrafficPolicy": "Local"},
            'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
        ),
        (
            {"externalTrafficPolicy": "Some"},
            'spec.externalTrafficPolicy: Unsupported value: "Some": supported values: "Cluster", "Local"',
        ),
        (
            {"type": "ClusterIP", "loadBalancerClass": "a/b"},
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        ({"loadBalancerClass": "A b"}, 'spec.loadBalancerClass: Invalid value: "A b": name part must consist of'),
        ({"ipFamilies": ["IPv5"]}, 'spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"'),
        (
            {"ipFamilies": ["IPv4", "IPv6"]},
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when",
        ),
        ({"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "PreferDualStack"}, "spec.ipFamilies[1]: Duplicate value"),
        ({"loadBalancerSourceRanges": ["lan"]}, '[0]: Invalid value: "lan": must be a valid CIDR value'),
        (
            {"clusterIP": "192.0.2.1"},
            "failed to allocate IP 192.0.2.1: the provided network does not match the current",
        ),
        ({"sessionAffinity": "Some"}, 'spec.sessionAffinity: Unsupported value: "Some"'),
        ({"selector": {"a b": "c"}}, "spec.selector: Invalid value"),
    ],
)
def test_a_service_that_can_not_be_is_refused(api: Api, namespace: str, spec: Object, why: str) -> None:
    answer = api.ask("POST", services(namespace), service("web", **spec))
    status = refusal(answer, 422, "Invalid")
    assert status["message"].startswith('Service "web" is invalid: ')
    assert why in status["message"]
    assert (status["details"]["name"], status["details"]["kind"]) == ("web", "Service")


def test_a_service_is_named_as_a_host_is(api: Api, namespace: str) -> None:
    for name in ("9web", "web.shop", "Web", "w" * 64):
        status = refusal(api.ask("POST", services(namespace), service(name)), 422, "Invalid")
        assert "metadata.name: Invalid value" in status["message"]


def test_what_is_taken_is_not_given_twice(api: Api, namespace: str) -> None:
    first = api.create(services(namespace), service("first"))["spec"]
    port = first["ports"][0]["nodePort"]
    answer = api.ask("POST", services(namespace), service("second", ports=[{"port": 80, "nodePort": port}]))
    why = f"spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated"
    assert why in refusal(answer, 422, "Invalid")["message"]
    address = first["clusterIP"]
    answer = api.ask("POST", services(namespace), service("second", clusterIP=address))
    assert (
        f"failed to allocate IP {address}: provided IP is already allocated"
        in (refusal(answer, 422, "Invalid")["message"])
    )
    api.delete(services(namespace, "first"))
    again = api.create(
        services(namespace), service("second", clusterIP=address, ports=[{"port": 80, "nodePort": port}])
    )
    assert (again["spec"]["clusterIP"], again["spec"]["ports"][0]["nodePort"]) == (address, port)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"loadBalancerClass": "c/d"}, 'spec.loadBalancerClass: Invalid value: "c/d": may not change once set'),
        ({"clusterIP": "10.96.9.9", "clusterIPs": ["10.96.9.9"]}, "may not change once set"),
    ],
    ids=["class", "address"],
)
@pytest.mark.parametrize("had", ["a/b", None], ids=["had a class", "had none"])
def test_what_never_changes_is_held(api: Api, namespace: str, *, had: str | None, change: Object, why: str) -> None:
    made = api.create(services(namespace), service("web", **({"loadBalancerClass": had} if had else {})))
    answer = api.ask("PATCH", services(namespace, "web"), {"spec": change}, kind="merge")
    assert why in refusal(answer, 422, "Invalid")["message"]
    assert api.get(services(namespace, "web")) == made


def test_a_dry_run_takes_no_address_and_no_port(api: Api, namespace: str) -> None:
    ports = [{"port": 80, "nodePort": 32123}]
    for _ in range(2):
        tried = api.create(asking(services(namespace), dryRun="All"), service("web", ports=ports))
        assert tried["spec"]["ports"][0]["nodePort"] == 32123
    assert api.items(services(namespace)) == []


def test_the_api_servers_own_service_is_there(api: Api) -> None:
    own = api.get(services("default", "kubernetes"))
    assert own["spec"]["clusterIP"].endswith(".1")
    assert [(port["name"], port["port"]) for port in own["spec"]["ports"]] == [("https", 443)]
