import json
from ipaddress import IPv4Address
from typing import Any

import pytest

from examples.kind import pool
from examples.kind.pool import free_range
from examples.kind.programs import ProgramError

# As docker 20.10 prints them, less what nobody reads.
KIND = {
    "IPAM": {
        "Driver": "default",
        "Options": {},
        "Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}, {"Subnet": "fc00:f853:ccd:e793::/64"}],
    },
    "Containers": {
        "08ff": {"Name": "try-worker", "IPv4Address": "172.18.0.4/16", "IPv6Address": "fc00:f853:ccd:e793::4/64"},
    },
}


def network(monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]) -> None:
    monkeypatch.setattr(pool, "run", lambda *_: json.dumps([found]))


def with_subnet(subnet: str, *used: str, **more: Any) -> dict[str, Any]:
    containers = {str(number): {"IPv4Address": each} for number, each in enumerate(used)}
    return {"IPAM": {"Config": [{"Subnet": subnet, **more}]}, "Containers": containers}


def ends(addresses: tuple[IPv4Address, ...]) -> tuple[str, str, int]:
    return str(addresses[0]), str(addresses[-1]), len(addresses)


def test_it_is_the_upper_end_without_the_broadcast_address(monkeypatch: pytest.MonkeyPatch) -> None:
    network(monkeypatch, KIND)

    found = free_range(count=16)

    assert ends(found) == ("172.18.255.239", "172.18.255.254", 16)
    assert [int(each) - int(found[0]) for each in found] == list(range(16))


@pytest.mark.parametrize(
    ("used", "more", "expected"),
    [
        (["10.9.0.254/24"], {}, ("10.9.0.246", "10.9.0.253", 8)),
        (["10.9.0.250/24", "10.9.0.245/24"], {}, ("10.9.0.237", "10.9.0.244", 8)),
        ([], {"Gateway": "10.9.0.254"}, ("10.9.0.246", "10.9.0.253", 8)),
        ([], {"AuxiliaryAddresses": {"router": "10.9.0.250"}}, ("10.9.0.242", "10.9.0.249", 8)),
        # A container that is on the network by IPv6 only.
        ([""], {}, ("10.9.0.247", "10.9.0.254", 8)),
    ],
)
def test_what_is_in_use_is_left_out(
    monkeypatch: pytest.MonkeyPatch, used: list[str], more: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    network(monkeypatch, with_subnet("10.9.0.0/24", *used, **more))

    assert ends(free_range(count=8)) == expected


def test_a_small_network_is_used_to_its_last_address(monkeypatch: pytest.MonkeyPatch) -> None:
    network(monkeypatch, with_subnet("10.9.0.0/29", Gateway="10.9.0.1"))

    assert ends(free_range(count=5)) == ("10.9.0.2", "10.9.0.6", 5)
    with pytest.raises(
        ProgramError, match=r"^the docker network kind has no 6 free addresses in a row in 10\.9\.0\.0/29$"
    ):
        free_range(count=6)


def test_the_networks_own_address_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    network(monkeypatch, with_subnet("10.9.0.0/29"))

    assert ends(free_range(count=6)) == ("10.9.0.1", "10.9.0.6", 6)
    with pytest.raises(ProgramError, match="no 7 free addresses"):
        free_range(count=7)


def test_the_next_subnet_helps_when_the_first_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    found = with_subnet("10.9.0.0/30")
    found["IPAM"]["Config"].append({"Subnet": "10.8.0.0/24"})
    network(monkeypatch, found)

    assert ends(free_range(count=8)) == ("10.8.0.247", "10.8.0.254", 8)


@pytest.mark.parametrize("config", [None, [], [{"Subnet": "fd00::/64"}]])
def test_a_network_without_ipv4_is_named(monkeypatch: pytest.MonkeyPatch, config: object) -> None:
    network(monkeypatch, {"IPAM": {"Config": config}, "Containers": {}})

    with pytest.raises(ProgramError, match="the docker network kind has no IPv4 subnet"):
        free_range()
