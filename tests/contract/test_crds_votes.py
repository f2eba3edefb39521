"""Our kinds: Segments and IPAllocations, whose rules keep two owners apart."""

import http
from concurrent.futures import ThreadPoolExecutor

import pytest

from lbprovider.api.resources import ALLOCATIONS, SEGMENTS
from tests.contract.kinds import LAN, THREE, Stored, body, claim, path, refused, said, taken
from tests.e2e.rig.api import Api, ApiError, Object


def test_a_segment_begins_with_nothing_but_its_lan(api: Api) -> None:
    assert taken(api, SEGMENTS, LAN) == {**LAN, "interface": "", "version": 0, "lists": []}
    assert taken(api, SEGMENTS, {"interface": "eth0"})["subnets"] == []


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, "names no LAN, give subnets, or interface where the LAN has none"),
        ({"subnets": ["192.0.2.1/24"]}, 'spec.subnets[0]: Invalid value: "192.0.2.1/24": is no subnet'),
        ({"subnets": ["lan"]}, 'spec.subnets[0]: Invalid value: "lan": is no subnet'),
        ({"subnets": ["192.0.2.0/24", "192.0.2.0/24"]}, "spec.subnets[1]: Duplicate value"),
        ({**LAN, "heartbeatPeriod": 49}, "spec.heartbeatPeriod: Invalid value: 49"),
        ({**LAN, "heartbeatPeriod": 1001}, "spec.heartbeatPeriod: Invalid value: 1001"),
        ({**LAN, "version": -1}, "spec.version: Invalid value: -1"),
        ({**LAN, "lists": [{"members": [], "need": 1}]}, "spec.lists[0].members in body should have at least 1 items"),
        ({**LAN, "lists": [{**THREE, "need": 0}]}, "spec.lists[0].need: Invalid value: 0"),
        (
            {**LAN, "lists": [THREE, {**THREE, "need": 4}]},
            "spec.lists[1].need: Invalid value: is more than the list has members",
        ),
        ({**LAN, "lists": [{"members": ["a", "a"], "need": 1}]}, 'members[1]: Duplicate value: "a"'),
        ({**LAN, "lists": [{**THREE, "heartbeatPeriod": 20}]}, "spec.lists[0].heartbeatPeriod: Invalid value: 20"),
    ],
)
def test_a_segment_that_can_not_be_is_refused(api: Api, spec: Object, why: str) -> None:
    assert why in refused(api, SEGMENTS, spec)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"subnets": ["198.51.100.0/24"]}, "subnets and interface say which LAN it is and never change"),
        ({"interface": "eth1"}, "subnets and interface say which LAN it is and never change"),
        ({"version": 2}, "spec.version: Invalid value: 2: is lower than the version in force"),
        ({"version": None}, "spec.version: Invalid value: 0: is lower than the version in force"),
        ({"lists": [THREE, THREE]}, "spec.version: Invalid value: lists changed and version did not"),
        ({"version": 4, "lists": []}, "lists can't become empty again"),
    ],
)
def test_a_segment_never_goes_back(api: Api, stored: Stored, change: Object, why: str) -> None:
    made = stored(SEGMENTS, {**LAN, "version": 3, "lists": [THREE]})
    with pytest.raises(ApiError) as error:
        api.patch(path(SEGMENTS, made["metadata"]["name"]), {"spec": change})
    assert why in said(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 4, "lists": [THREE, {"members": ["a", "b", "c", "d"], "need": 3}]},
        {"version": 9, "lists": [{"members": ["a"], "need": 1, "heartbeatPeriod": 200}]},
        {"heartbeatPeriod": 200},
        {"version": 4},
    ],
)
def test_a_segment_goes_on(api: Api, stored: Stored, change: Object) -> None:
    made = stored(SEGMENTS, {**LAN, "version": 3, "lists": [THREE]})
    changed = api.patch(path(SEGMENTS, made["metadata"]["name"]), {"spec": change})
    assert changed["spec"] == {**made["spec"], **change}


def test_of_many_who_swap_a_segment_one_wins_and_the_others_hear_it(api: Api, stored: Stored) -> None:
    seen = stored(SEGMENTS, {**LAN, "version": 3, "lists": [THREE]})
    where = path(SEGMENTS, seen["metadata"]["name"])

    def swap(node: str) -> str:
        lists = [THREE, {"members": [node], "need": 1}]
        try:
            api.replace(where, {**seen, "spec": {**seen["spec"], "version": 4, "lists": lists}})
        except ApiError as error:
            return str(error.status)
        return node

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(swap, [f"n{number}" for number in range(8)]))
    assert answers[:7] == ["409"] * 7
    assert api.get(where)["spec"]["lists"][1]["members"] == answers[7:]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("192.0.2.10", "192.0.2.10"),
        ("2001-db8-0-0-0-0-0-5", "2001:db8::5"),
        ("2001-db8-0-0-1-0-0-0", "2001:db8:0:0:1::"),
        ("1-2-3-4-5-6-7-8", "1:2:3:4:5:6:7:8"),
    ],
)
def test_an_allocation_is_named_after_its_address(api: Api, name: str, address: str) -> None:
    spec = {"address": address, "pool": "lan"}
    assert taken(api, ALLOCATIONS, spec, name) == spec


@pytest.mark.parametrize(
    ("name", "address", "why"),
    [
        ("192.0.2.11", "192.0.2.10", "is not the name of address 192.0.2.10"),
        ("web", "192.0.2.10", "is not the name of address 192.0.2.10"),
        ("2001-db8-0-0-0-0-0-6", "2001:db8::5", "is not the name of address 2001:db8::5"),
        ("2001-db8-0-0-0-0-0-05", "2001:db8::5", "is not the name of address 2001:db8::5"),
        ("2001-db8--5", "2001:db8::5", "is not the name of address 2001:db8::5"),
        ("192.0.2.10", "192.0.2.010", '"192.0.2.010": is no address in its short form'),
        ("2001-db8-0-0-0-0-0-5", "2001:db8:0::5", '"2001:db8:0::5": is no address in its short form'),
        ("2001-db8-0-0-0-0-0-5", "2001:DB8::5", '"2001:DB8::5": is no address in its short form'),
    ],
)
def test_an_address_has_one_name_so_there_can_not_be_two_allocations_of_it(
    api: Api, name: str, address: str, why: str
) -> None:
    assert why in refused(api, ALLOCATIONS, {"address": address, "pool": "lan"}, name)


@pytest.mark.parametrize("advertisements", [[], ["all", "web"]])
def test_an_allocation_says_which_advertisements_are_for_it_none_too(api: Api, advertisements: list[str]) -> None:
    claims = [claim("1", externalTrafficPolicy="Local")]
    spec = {"address": "192.0.2.10", "pool": "lan", "services": claims, "advertisements": advertisements}
    assert taken(api, ALLOCATIONS, spec, "192.0.2.10") == spec


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"services": [claim("1"), claim("1")]}, 'spec.services[1]: Duplicate value: {"uid":"1"}'),
        ({"services": [claim("1", ports=[{"port": 0}])]}, "spec.services[0].ports[0].port: Invalid value: 0"),
        ({"services": [claim("1", ports=[{"port": 80, "protocol": "ICMP"}])]}, 'Unsupported value: "ICMP"'),
        ({"services": [{"namespace": "shop", "name": "web"}]}, "spec.services[0].uid: Required value"),
        ({"services": [claim("1", externalTrafficPolicy="local")]}, 'Unsupported value: "local"'),
        ({"advertisements": ["a", "a"]}, 'spec.advertisements[1]: Duplicate value: "a"'),
        ({"nodes": ["a", "b", "c", "d"]}, "spec.nodes: Too many: 4: must have at most 3 items"),
        ({"releasedAt": "yesterday"}, 'spec.releasedAt: Invalid value: "yesterday"'),
    ],
)
def test_an_allocation_that_can_not_be_is_refused(api: Api, more: Object, why: str) -> None:
    assert why in refused(api, ALLOCATIONS, {"address": "192.0.2.10", "pool": "lan", **more}, "192.0.2.10")


def test_an_allocation_may_have_all_there_is(api: Api) -> None:
    spec = {
        "address": "192.0.2.10",
        "pool": "lan",
        "segment": "192.0.2.0-24",
        "services": [claim("1", ports=[{"port": 53, "protocol": "UDP", "name": "dns"}]), claim("2")],
        "sharingKey": "key",
        "backendKey": "Local:shop:app=web",
        "nodes": ["n1", "n2", "n3"],
    }
    assert taken(api, ALLOCATIONS, spec, "192.0.2.10") == spec


def test_a_second_allocation_of_an_address_is_a_conflict(api: Api, stored: Stored) -> None:
    spec = {"address": "192.0.2.10", "pool": "lan", "services": [claim("1")]}
    stored(ALLOCATIONS, spec, "192.0.2.10")
    with pytest.raises(ApiError) as error:
        api.create(path(ALLOCATIONS), body(ALLOCATIONS, {**spec, "services": [claim("2")]}, "192.0.2.10"))
    assert error.value.status == http.HTTPStatus.CONFLICT


def test_the_address_of_an_allocation_never_changes(api: Api, stored: Stored) -> None:
    stored(ALLOCATIONS, {"address": "192.0.2.10", "pool": "lan"}, "192.0.2.10")
    with pytest.raises(ApiError) as error:
        api.patch(path(ALLOCATIONS, "192.0.2.10"), {"spec": {"address": "192.0.2.11"}})
    assert "the address is 192.0.2.10 and never changes: another one is another IPAllocation" in said(error.value)
    moved = api.patch(path(ALLOCATIONS, "192.0.2.10"), {"spec": {"pool": "other", "services": [claim("1")]}})
    assert moved["spec"]["pool"] == "other"
