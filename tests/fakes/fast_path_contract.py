"""What every ``FastPath`` keeps: the same tests for the fake and for the kernel."""

from __future__ import annotations

from typing import Protocol

import pytest

from lbprovider.errors import HostError
from lbprovider.net.bpf.kernel import CAPACITY
from lbprovider.net.bpf.port import FastPath
from lbprovider.net.links import Link
from lbprovider.wire import arp, ndp
from tests.fakes.questions import ASKER4, ASKER6, OTHER4, OTHER6, OURS4, OURS6

HOUR = 3_600_000_000_000
ANOTHER_MAC = bytes.fromhex("02aabbccdd99")


class Bench(Protocol):
    """An interface of ours, and a neighbour who asks."""

    link: Link
    peer_mac: bytes

    def open(self) -> FastPath: ...
    def now(self) -> int: ...
    def ask(self, frame: bytes) -> bytes | None:
        """The neighbour sends a frame; what comes back, or None: our stack got the frame as it was sent."""


def question(bench: Bench, target: bytes) -> bytes:
    if len(target) == 4:
        return arp.request(target, bench.peer_mac, ASKER4)
    return ndp.solicitation(target, bench.peer_mac, ASKER6)


def answer(bench: Bench, target: bytes, mac: bytes) -> bytes:
    if len(target) == 4:
        return arp.reply(target, mac, ASKER4, bench.peer_mac)
    return ndp.advertisement(target, mac, ASKER6, bench.peer_mac)


class FastPathContract:
    """Subclasses give the fixture ``bench``."""

    @pytest.mark.parametrize(("held", "other"), [(OURS4, OTHER4), (OURS6, OTHER6)])
    def test_what_is_held_is_answered_and_all_else_goes_on(self, bench: Bench, held: bytes, other: bytes) -> None:
        path = bench.open()
        assert bench.ask(question(bench, held)) is None
        path.hold(held, bench.link.mac, bench.now() + HOUR)
        assert bench.ask(question(bench, held)) == answer(bench, held, bench.link.mac)
        assert bench.ask(question(bench, other)) is None
        path.close()

    @pytest.mark.parametrize("held", [OURS4, OURS6])
    def test_a_deadline_ends_it_and_a_later_one_goes_on(self, bench: Bench, held: bytes) -> None:
        path = bench.open()
        path.hold(held, bench.link.mac, bench.now())
        assert bench.ask(question(bench, held)) is None
        path.refresh({held: bench.now() + HOUR, OTHER4: bench.now() + HOUR})
        assert bench.ask(question(bench, held)) == answer(bench, held, bench.link.mac)
        assert bench.ask(question(bench, OTHER4)) is None
        path.refresh({held: 0})
        assert bench.ask(question(bench, held)) is None
        path.hold(held, bench.link.mac, bench.now() + HOUR)
        assert bench.ask(question(bench, held)) == answer(bench, held, bench.link.mac)
        path.close()

    @pytest.mark.parametrize("held", [OURS4, OURS6])
    def test_what_is_dropped_is_not_answered(self, bench: Bench, held: bytes) -> None:
        path = bench.open()
        path.hold(held, bench.link.mac, bench.now() + HOUR)
        path.hold(OTHER4, bench.link.mac, bench.now() + HOUR)
        path.drop(held)
        path.drop(held)
        path.refresh({held: bench.now() + HOUR})
        assert bench.ask(question(bench, held)) is None
        assert bench.ask(question(bench, OTHER4)) == answer(bench, OTHER4, bench.link.mac)
        path.hold(held, bench.link.mac, bench.now() + HOUR)
        assert bench.ask(question(bench, held)) == answer(bench, held, bench.link.mac)
        path.close()

    @pytest.mark.parametrize("held", [OURS4, OURS6])
    def test_another_hardware_address_takes_the_place_of_the_former(self, bench: Bench, held: bytes) -> None:
        path = bench.open()
        path.hold(held, bench.link.mac, bench.now() + HOUR)
        path.hold(held, ANOTHER_MAC, bench.now() + HOUR)
        assert bench.ask(question(bench, held)) == answer(bench, held, ANOTHER_MAC)
        path.close()

    def test_an_announcement_of_ours_by_somebody_else_goes_on(self, bench: Bench) -> None:
        path = bench.open()
        for held in (OURS4, OURS6):
            path.hold(held, bench.link.mac, bench.now() + HOUR)
        for claim in (
            arp.gratuitous_request(OURS4, bench.peer_mac),
            arp.gratuitous_reply(OURS4, bench.peer_mac),
            ndp.unsolicited(OURS6, bench.peer_mac),
        ):
            assert bench.ask(claim) is None
        assert path.counts() == {"IPv4": 0, "IPv6": 0}
        path.close()

    def test_answers_are_counted_by_family(self, bench: Bench) -> None:
        path = bench.open()
        assert path.counts() == {"IPv4": 0, "IPv6": 0}
        for held in (OURS4, OURS6):
            path.hold(held, bench.link.mac, bench.now() + HOUR)
        for asked in (OURS4, OURS4, OURS6, OTHER4):
            bench.ask(question(bench, asked))
        assert path.counts() == {"IPv4": 2, "IPv6": 1}
        path.close()

    def test_a_closed_one_does_nothing(self, bench: Bench) -> None:
        path = bench.open()
        path.hold(OURS4, bench.link.mac, bench.now() + HOUR)
        path.close()
        path.close()
        path.hold(OTHER4, bench.link.mac, bench.now() + HOUR)
        path.refresh({OURS4: bench.now() + HOUR})
        path.drop(OURS4)
        assert path.counts() == {}
        for asked in (OURS4, OTHER4):
            assert bench.ask(question(bench, asked)) is None

    def test_more_than_there_is_room_for_is_said_and_the_rest_stays(self, bench: Bench) -> None:
        path = bench.open()
        path.hold(OURS6, bench.link.mac, bench.now() + HOUR)
        many = [bytes((10, 0, number >> 8, number & 255)) for number in range(CAPACITY)]
        for each in many[:-1]:
            path.hold(each, bench.link.mac, bench.now() + HOUR)
        with pytest.raises(HostError, match=rf"room for {CAPACITY} addresses; the others are answered without it"):
            path.hold(many[-1], bench.link.mac, bench.now() + HOUR)
        assert bench.ask(question(bench, many[-2])) == answer(bench, many[-2], bench.link.mac)
        assert bench.ask(question(bench, many[-1])) is None
        path.hold(OURS6, ANOTHER_MAC, bench.now() + HOUR)
        assert bench.ask(question(bench, OURS6)) == answer(bench, OURS6, ANOTHER_MAC)
        path.drop(many[0])
        path.hold(many[-1], bench.link.mac, bench.now() + HOUR)
        assert bench.ask(question(bench, many[-1])) == answer(bench, many[-1], bench.link.mac)
        path.close()
