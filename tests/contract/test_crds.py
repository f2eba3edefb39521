"""Our kinds: which pools and advertisements the API server takes, and how it says what is wrong with one."""

import json
from typing import Any

import pytest

from lbprovider.api.resources import ADVERTISEMENTS, POOLS, Resource
from tests.contract.kinds import KINDS, refused, taken
from tests.e2e.rig.api import Api, Object


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_api_server_takes_the_schema_and_the_cost_of_its_rules(api: Api, kind: Resource[Any]) -> None:
    crd = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}")
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert (conditions["Established"], conditions["NamesAccepted"]) == ("True", "True")
    assert "NonStructuralSchema" not in conditions


NOTHING_AT_ALL = "is none of: a CIDR (192.0.2.0/24), a range (192.0.2.10-192.0.2.20), an address (192.0.2.10)"
HOST_BITS = "has bits set behind its prefix length"
MIXED = "mixes IPv4 and IPv6"
UNREACHABLE = "holds loopback, multicast, link-local, broadcast or unspecified addresses"


@pytest.mark.parametrize(
    "entry",
    [
        "192.0.2.0/24",
        "192.0.2.5/32",
        "10.0.0.0/8",
        "2001:db8::/32",
        "2001:db8::5/128",
        "192.0.2.10-192.0.2.20",
        "192.0.2.10-192.0.2.10",
        "192.0.2.255-192.0.3.0",
        "9.255.255.255-10.0.0.0",
        "2001:db8::9-2001:db8::a",
        "2001:db8::-2001:db8::ff",
        "2001:db8::ff-2001:db8::100",
        "2001:DB8::A-2001:db8::b",
        "2001:db8:0:1::ffff-2001:db8:0:2::1",
        "192.0.2.10",
        "2001:db8::10",
        "  192.0.2.10 - 192.0.2.20 ",
        " 192.0.2.0/24 ",
        "\t2001:db8::1 -2001:db8::2",
    ],
)
def test_entries_that_a_pool_may_have(api: Api, entry: str) -> None:
    assert taken(api, POOLS, {"addresses": [entry]})["addresses"] == [entry]
    assert taken(api, POOLS, {"addresses": ["198.51.100.1"], "excludeAddresses": [entry]})


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("192.0.2.300", NOTHING_AT_ALL),
        ("1.2.3", NOTHING_AT_ALL),
        ("192.0.2.01", NOTHING_AT_ALL),
        ("", NOTHING_AT_ALL),
        ("lan", NOTHING_AT_ALL),
        ("a-b-c", NOTHING_AT_ALL),
        ("192.0.2.1-192.0.2.2-192.0.2.3", NOTHING_AT_ALL),
        ("192.0.2.10-20", NOTHING_AT_ALL),
        ("192.0.2.10-", NOTHING_AT_ALL),
        ("192.0.2.1, 192.0.2.2", NOTHING_AT_ALL),
        ("192.0.2.0/33", NOTHING_AT_ALL),
        ("192.0.2.0/24-192.0.3.0/24", NOTHING_AT_ALL),
        ("2001:db8::/129", NOTHING_AT_ALL),
        ("2001:db8::1%eth0", NOTHING_AT_ALL),
        ("::ffff:192.0.2.1", NOTHING_AT_ALL),
        ("192.0.2.5/24", HOST_BITS),
        ("2001:db8::5/64", HOST_BITS),
        ("192.0.2.1-2001:db8::1", MIXED),
        ("2001:db8::1-192.0.2.1", MIXED),
        ("192.0.2.20-192.0.2.10", "ends before it starts: write 192.0.2.10-192.0.2.20"),
        ("10.0.0.0 - 9.255.255.255", "ends before it starts: write 9.255.255.255-10.0.0.0"),
        ("2001:db8::a-2001:DB8::9", "ends before it starts: write 2001:DB8::9-2001:db8::a"),
        ("2001:db8::100 - 2001:db8::ff", "ends before it starts: write 2001:db8::ff-2001:db8::100"),
        ("0.0.0.0/0", UNREACHABLE),
        ("127.0.0.0/8", UNREACHABLE),
        ("127.0.0.1", UNREACHABLE),
        ("169.254.1.1-169.254.1.9", UNREACHABLE),
        ("223.255.255.255-224.0.0.9", UNREACHABLE),
        ("255.255.255.255", UNREACHABLE),
        ("::/0", UNREACHABLE),
        ("::1", UNREACHABLE),
        ("fe80::/64", UNREACHABLE),
        ("ff02::1", UNREACHABLE),
    ],
)
@pytest.mark.parametrize("field", ["addresses", "excludeAddresses"])
def test_an_entry_that_can_not_be_is_refused_by_name(api: Api, field: str, entry: str, why: str) -> None:
    spec: Object = {"addresses": ["198.51.100.1"]}
    spec[field] = ["198.51.100.1", entry]
    assert f"spec.{field}[1]: Invalid value: {json.dumps(entry)}: {why}" in refused(api, POOLS, spec)


def test_all_bad_entries_are_named_at_once(api: Api) -> None:
    message = refused(api, POOLS, {"addresses": ["192.0.2.20-192.0.2.10", "198.51.100.0/24", "300.0.0.1"]})
    assert '"192.0.2.20-192.0.2.10": ends before it starts' in message
    assert '"300.0.0.1": is none of' in message
    assert "198.51.100.0" not in message


def test_as_many_entries_as_a_pool_may_have_are_checked_in_time(api: Api) -> None:
    ranges = [f" 2001:db8:{i:x}:aaaa:aaaa:aaaa:aaaa:1 - 2001:db8:{i:x}:aaaa:aaaa:aaaa:aaaa:ffff " for i in range(512)]
    assert taken(api, POOLS, {"addresses": ranges, "excludeAddresses": ranges})
    assert "must have at most 512 items" in refused(api, POOLS, {"addresses": [*ranges, "192.0.2.1"]})


SELECTOR = {"matchLabels": {"tier": "web"}, "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, "spec.addresses: Required value"),
        ({"addresses": []}, "spec.addresses in body should have at least 1 items"),
        ({"reuseAfter": "1d"}, 'spec.reuseAfter: Invalid value: "1d": is no duration: write one as 90s, 10m or 1h30m'),
        ({"reuseAfter": ""}, 'spec.reuseAfter: Invalid value: "": is no duration'),
        ({"serviceAllocation": {"priority": -1}}, "spec.serviceAllocation.priority: Invalid value: -1"),
        (
            {"serviceAllocation": {"namespaces": ["a", "b", "a"]}},
            'spec.serviceAllocation.namespaces[2]: Duplicate value: "a"',
        ),
        (
            {"serviceAllocation": {"namespaces": ["Shop"]}},
            'spec.serviceAllocation.namespaces[0]: Invalid value: "Shop": is no name of a namespace',
        ),
        (
            {"serviceAllocation": {"serviceSelectors": [SELECTOR, SELECTOR]}},
            "spec.serviceAllocation.serviceSelectors[1]: Duplicate value",
        ),
        (
            {"serviceAllocation": {"serviceSelectors": [{"matchExpressions": [{"key": "a", "operator": "Is"}]}]}},
            'operator: Unsupported value: "Is": supported values: "In", "NotIn", "Exists", "DoesNotExist"',
        ),
        (
            {"serviceAllocation": {"namespaceSelectors": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}},
            'operator In on "a" needs values',
        ),
        (
            {
                "serviceAllocation": {
                    "namespaceSelectors": [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}]
                }
            },
            'operator Exists on "a" takes no values',
        ),
        (
            {
                "serviceAllocation": {
                    "namespaceSelectors": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "b"]}]}]
                }
            },
            'matchExpressions[0].values[1]: Duplicate value: "b"',
        ),
    ],
)
def test_a_pool_that_can_not_be_is_refused(api: Api, spec: Object, why: str) -> None:
    complete = spec if spec == {} or "addresses" in spec else {"addresses": ["192.0.2.0/24"], **spec}
    assert why in refused(api, POOLS, complete)


@pytest.mark.parametrize("duration", ["0", "0s", "90s", "10m", "1h30m", "1.5h", "250ms"])
def test_durations_that_a_pool_may_have(api: Api, duration: str) -> None:
    assert taken(api, POOLS, {"addresses": ["192.0.2.1"], "reuseAfter": duration})["reuseAfter"] == duration


def test_a_pool_gets_the_defaults_that_the_code_has(api: Api) -> None:
    assert taken(api, POOLS, {"addresses": ["192.0.2.0/24"]}) == {
        "addresses": ["192.0.2.0/24"],
        "autoAssign": True,
        "avoidBuggyIPs": False,
        "reuseAfter": "0s",
        "allowSharingAcrossNamespaces": False,
    }


def test_a_pool_may_have_all_there_is(api: Api) -> None:
    spec = {
        "addresses": ["192.0.2.0/24", "2001:db8::/64"],
        "excludeAddresses": ["192.0.2.1", "192.0.2.2 - 192.0.2.9"],
        "autoAssign": False,
        "avoidBuggyIPs": True,
        "reuseAfter": "10m",
        "allowSharingAcrossNamespaces": True,
        "serviceAllocation": {
            "priority": 10,
            "namespaces": ["shop", "kube-system"],
            "namespaceSelectors": [SELECTOR, {}],
            "serviceSelectors": [{"matchExpressions": [{"key": "example.com/app", "operator": "DoesNotExist"}]}],
        },
    }
    assert taken(api, POOLS, spec) == spec


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"ipAddressPools": ["lan"], "interfaces": ["eth0", "br-lan.100", "enp0s31f6"]},
        {
            "ipAddressPoolSelectors": [SELECTOR],
            "nodeSelectors": [{}],
            "serviceSelectors": [SELECTOR],
            "preferredNodeSelectors": [
                {"weight": 1, "nodeSelector": {}},
                {"weight": 100, "nodeSelector": SELECTOR},
            ],
        },
    ],
)
def test_advertisements_that_there_may_be(api: Api, spec: Object) -> None:
    assert taken(api, ADVERTISEMENTS, spec) == spec


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"ipAddressPools": ["lan", "lan"]}, 'spec.ipAddressPools[1]: Duplicate value: "lan"'),
        ({"ipAddressPools": [""]}, "spec.ipAddressPools[0] in body should be at least 1 chars long"),
        ({"interfaces": ["eth0", "eth0"]}, 'spec.interfaces[1]: Duplicate value: "eth0"'),
        ({"interfaces": ["eth0 eth1"]}, 'spec.interfaces[0]: Invalid value: "eth0 eth1": is no name of an interface'),
        ({"interfaces": ["sixteen-letters-"]}, "spec.interfaces[0]: Too long: may not be more than 15 bytes"),
        ({"nodeSelectors": [SELECTOR, SELECTOR]}, "spec.nodeSelectors[1]: Duplicate value"),
        ({"preferredNodeSelectors": [{"weight": 0, "nodeSelector": {}}]}, "weight: Invalid value: 0"),
        ({"preferredNodeSelectors": [{"weight": 101, "nodeSelector": {}}]}, "weight: Invalid value: 101"),
        ({"preferredNodeSelectors": [{"weight": 1}]}, "nodeSelector: Required value"),
    ],
)
def test_an_advertisement_that_can_not_be_is_refused(api: Api, spec: Object, why: str) -> None:
    assert why in refused(api, ADVERTISEMENTS, spec)
