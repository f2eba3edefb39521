"""What only the lab's switch can do: lose one direction of a cable, split the LAN, flood it past the eyes."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Final

import pytest

from lbprovider.lab import flood
from lbprovider.lab.eyes.flooded import SOURCE
from lbprovider.lab.eyes.frames import asked, question
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.lan import Lan
from lbprovider.net.namespaces import Namespace
from lbprovider.net.tap import Tap
from tests.e2e.rig.waiting import eventually

ASKER: Final = IPv4Address("198.51.100.150")
LONG: Final = 200 * MS
"""Nanoseconds after which a frame that has not come never will."""
_targets = itertools.count(1)


@pytest.fixture
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    with Lan(2, tmp_path_factory.mktemp("lan")) as made:
        yield made


class Host:
    """Somebody on the LAN who shouts, and hears others shout."""

    def __init__(self, place: Namespace) -> None:
        self.tap = place.run(lambda: Tap("eth0"))

    def hears(self, other: "Host") -> bool:
        """Whether a broadcast of another one comes here."""
        wanted = IPv4Address("198.18.0.0") + next(_targets)
        assert other.tap.send(question(wanted, other.tap.mac, ASKER))
        end = time.monotonic_ns() + LONG
        while self.tap.wait(end):
            for seen in self.tap.receive():
                what = asked(seen.frame)
                if not seen.outgoing and what is not None and what[0] == wanted:
                    return True
        return False


@pytest.fixture
def hosts(lan: Lan) -> Iterator[dict[str, Host]]:
    places = {"client": lan.client, **{name: each.namespace for name, each in lan.nodes.items()}}
    found = {name: Host(place) for name, place in places.items()}
    with ExitStack() as undo:
        for each in found.values():
            undo.enter_context(each.tap)
        yield found


def test_a_mute_node_hears_all_and_nobody_hears_it(lan: Lan, hosts: dict[str, Host]) -> None:
    node, client = hosts["node1"], hosts["client"]
    assert client.hears(node)
    lan.mute("node1")
    assert not client.hears(node)
    assert node.hears(client)
    assert lan.nodes["node1"].namespace.carrier("eth0")
    lan.heal("node1")
    assert client.hears(node)


def test_a_deaf_node_is_heard_by_all_and_hears_nobody(lan: Lan, hosts: dict[str, Host]) -> None:
    node, client = hosts["node1"], hosts["client"]
    lan.deafen("node1")
    assert not node.hears(client)
    assert client.hears(node)
    assert not node.hears(client)
    lan.heal("node1")
    assert node.hears(client)


def test_a_split_lan_is_two_and_one_again(lan: Lan, hosts: dict[str, Host]) -> None:
    one, two, client = hosts["node1"], hosts["node2"], hosts["client"]
    lan.split(["node1", "node2"])
    assert one.hears(two)
    assert not one.hears(client)
    assert not client.hears(two)
    lan.heal("node2")
    assert two.hears(client)
    assert not one.hears(two)
    lan.heal("node1")
    assert one.hears(two)


def test_a_guest_is_on_the_lan_and_made_once(lan: Lan, hosts: dict[str, Host]) -> None:
    guest = lan.guest("stranger")
    assert lan.guest("stranger") is guest
    with Host(guest).tap as tap:
        assert tap.mac not in {each.tap.mac for each in hosts.values()}


def test_a_flood_is_on_the_lan_and_the_eyes_leave_it_out(lan: Lan, hosts: dict[str, Host]) -> None:
    capture = lan.capture()
    eventually(lambda: capture.started, "the capture listens")
    process = flood.start(lan, 2000)
    assert 0 < flood.achieved(process) <= 2500
    hosts["client"].tap.wait(time.monotonic_ns() + LONG)
    assert any(seen.frame[6:12] == SOURCE for seen in hosts["client"].tap.receive())
    assert not [frame for _, frame in capture.frames() if frame[6:12] == SOURCE]
    assert hosts["node1"].hears(hosts["client"])
    eventually(lambda: any(frame[6:12] == hosts["client"].tap.mac for _, frame in capture.frames()), "it looks")
