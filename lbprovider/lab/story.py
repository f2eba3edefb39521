"""The lab's story: a Service gets its address and answers; then one fault after the other, and what a client saw.

Each chapter leaves the lab whole, says what happens as it happens, and gives :class:`~lbprovider.lab.findings.Finding`;
what is good enough is judged there, not here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeVar

from lbprovider.api import resources
from lbprovider.api.core import Service
from lbprovider.api.names import object_name
from lbprovider.election.segment import DEFAULT_PERIOD, PERIODS_PER_HOLD
from lbprovider.errors import LbproviderError
from lbprovider.lab import findings, objects, visitor
from lbprovider.lab.capture import Capture, Captured
from lbprovider.lab.cluster import Lab
from lbprovider.lab.eyes import Eyes
from lbprovider.lab.findings import Finding, milliseconds
from lbprovider.lab.frames import Address
from lbprovider.lab.judge import MS
from lbprovider.lab.telling import Teller
from lbprovider.lab.waiting import PATIENCE

K = TypeVar("K")
V = TypeVar("V")

HOLD: Final = PERIODS_PER_HOLD * DEFAULT_PERIOD
"""How long a voter's promise lasts with as few nodes as a lab has."""
ONE_BY_ONE: Final = 2
"""Services that are told of one by one; more come at once."""
MAJORITY: Final = 3
"""The least number of nodes that leaves a majority when one dies."""
_POOL: Final = "lab"
_BEFORE: Final = 100
"""Milliseconds that are watched before a fault: whoever answers then is who answers."""
_AFTER: Final = 500
"""Milliseconds that are watched after a fault was got over."""
_HEALED: Final = 1500
"""Milliseconds that are watched after a cut cable is whole again: time enough for an owner of old to speak up."""
_API_DOWN: Final = 2000
"""Milliseconds that are watched while the API server is down."""
_AGAIN: Final = 3
"""How often a chapter is told again where nothing can be told from what was seen."""
_PATIENCE: Final = 90.0
"""Seconds that speakers may take to ask the API server again: their pauses grow while it is away (``kube.backoff``)."""
_A_REQUEST: Final = 0.5
"""Seconds after which a client asks again."""
_BURST: Final = 60.0
_A_SERVICE: Final = 0.1
"""Seconds that a burst may take, in all and more for each Service: several times what it takes on two cores."""


_Chapter = Callable[[str], list[Finding]]
"""Takes its title."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A Service and what it got."""

    name: str
    created: int
    addresses: tuple[Address, ...]


class Story:
    """The story of one lab.

    Args:
        lab: with no Service in it yet.
        teller: to whom it is told.
    """

    def __init__(self, lab: Lab, teller: Teller) -> None:
        self._lab = lab
        self._say = teller.say
        self._teller = teller
        self._findings: list[Finding] = []
        self._families = 2 if lab.settings.ipv6 else 1
        self._macs: Mapping[str, str] = {each.mac: each.name for each in lab.lan.nodes.values()}
        self.services: dict[str, _Given] = {}

    def tell(self) -> int:
        """All chapters and the summary; the exit status: 0 when everything is as it should be, else 1."""
        title = "the lab"
        try:
            for title, chapter in self._chapters():
                self._teller.chapter(title)
                self._findings += self._until_told(title, chapter)
        except LbproviderError as error:
            self._findings.append(Finding(title, "comes to its end", "no", "yes", ok=False))
            self._say(f"{title}: {error}")
        self._teller.table(self._findings)
        failed = [each for each in self._findings if not each.ok]
        for each in failed:
            self._teller.add(f"failed: {each}")
        if not failed:
            self._teller.add(f"Everything is as it should be, after {self._teller.elapsed:.0f} s.")
        return 1 if failed else 0

    def _until_told(self, title: str, chapter: _Chapter) -> list[Finding]:
        """The chapter; once more where this machine itself stood still, and nothing can be told from that."""
        found = chapter(title)
        for _ in range(_AGAIN):
            if not any(each.void for each in found):
                break
            self._say("this machine stood still meanwhile, which says nothing of lbprovider: once more")
            found = chapter(title)
        return found

    def _chapters(self) -> Iterator[tuple[str, _Chapter]]:
        yield "Services get addresses", self.arrive
        first = self.services[_name(1)]
        if len(self._lab.lan.nodes) < MAJORITY:
            self._teller.chapter(f"With fewer than {MAJORITY} nodes no majority is left when one dies or is cut off:")
            self._say("its addresses are silent until it is back, so those chapters are left out")
        else:
            for address in first.addresses:
                yield f"SIGKILL of the leader, {address}", partial(self.leader_dies, address=address)
            for address in first.addresses:
                yield f"a cable cut and healed, {address}", partial(self.cable_cut, address=address)
        yield "the API server down", partial(self.api_down, addresses=first.addresses)
        yield "a Service deleted", self.delete

    # --- chapters

    def arrive(self, title: str) -> list[Finding]:
        """A pool, and the Services: EXTERNAL-IP, gratuitous ARP, HTTP."""
        lab, count = self._lab, self._lab.settings.addresses
        capture = lab.lan.capture()
        lab.until(lambda: capture.started, "the capture listens")
        lab.services.mark(lambda service: len(_ingress(service)) == self._families)
        self._pool()
        answers: dict[Address, str] = {}
        leaders: dict[Address, str] = {}
        for number in range(1, min(count, ONE_BY_ONE) + 1):
            given = self._create(_name(number))
            for address in given.addresses:
                frame = lab.until(partial(_announced, capture, address), f"{address} is announced on the LAN")
                what = "gratuitous ARP" if address.version == 4 else "unsolicited NA"  # noqa: PLR2004 - the family
                leaders[address] = self._macs.get(frame.claim.mac, frame.claim.mac)
                self._say(f"{what}: {leaders[address]} has {address}, {milliseconds(frame.at - given.created)} after")
                answers[address] = self._visit(address)
                took = milliseconds(time.monotonic_ns() - given.created)
                self._say(f"a client's HTTP request to {address} is answered by {answers[address]}, {took} after")
        if count > ONE_BY_ONE:
            self._burst([_name(number) for number in range(ONE_BY_ONE + 1, count + 1)])
        wanted = {address: name for name, each in self.services.items() for address in each.addresses}
        lab.until(lambda: all(map(lab.leader, wanted)), "every address has a leader", within=self._patience)
        announced = lab.until(
            lambda: _all_of(findings.first_announced(capture.claims()), wanted),
            "every address is announced on the LAN",
            within=self._patience,
            every=0.02 if count <= ONE_BY_ONE else 0.5,
        )
        capture.stop()
        created = {name: each.created for name, each in self.services.items()}
        given_after = {name: at - created[name] for name, at in self._marks().items() if name in created}
        announced_after = {str(of): announced[of].at - created[name] for of, name in wanted.items()}
        if count > ONE_BY_ONE:
            took = findings.spread(announced_after.values())
            self._say(f"all {len(wanted)} addresses are announced on the LAN, {took} after their Service was created")
        return [
            findings.complete(title, "EXTERNAL-IP", list(created), given_after),
            findings.complete(title, "announced on the LAN", [str(of) for of in wanted], announced_after),
            findings.served(title, "HTTP answered", answers, leaders),
        ]

    def leader_dies(self, title: str, address: Address) -> list[Finding]:
        """SIGKILL of the speaker that answers for an address."""
        lab = self._lab
        old = self._leader(address)
        eyes = self._watch(address, old)
        killed = time.monotonic_ns()
        lab.kill_speaker(old)
        self._say(f"SIGKILL to the speaker of {old}, which answers for {address}")
        new = self._successor(address, old)
        first = eyes.answered(since=killed, by=lab.lan.nodes[new].mac)
        self._say(f"{new} answers instead, {milliseconds(first.at - killed)} after the kill")
        visited = lab.until(lambda: self._visited(address, old), f"another than {old} answers HTTP at {address}")
        eyes.look_on(_AFTER)
        fault = eyes.verdict()
        self._say(
            f"a client that asked each 2 ms heard nothing for {milliseconds(fault.silence.length)} (hold is "
            f"{milliseconds(HOLD)}); its HTTP request is answered by {visited}"
        )
        lab.start_speaker(old)
        lab.await_ready()
        eyes.close()
        whole = eyes.verdict()
        moved = findings.moved(title, whole, self._macs, old, new)
        self._say(f"the speaker of {old} is back and ready; answered by {moved.seen}, and by nobody else")
        return [
            findings.silence(title, fault, HOLD),
            moved,
            findings.owners(title, whole, eyes.contests()),
        ]

    def cable_cut(self, title: str, address: Address) -> list[Finding]:
        """A cut behind the switch, which takes no carrier away, and its healing."""
        lab = self._lab
        old = self._leader(address)
        eyes = self._watch(address, old)
        cut = time.monotonic_ns()
        lab.lan.cut_cable(old)
        self._say(
            f"the LAN cable of {old}, which answers for {address}, is cut behind the switch: it keeps its carrier"
        )
        new = self._successor(address, old)
        first = eyes.answered(since=cut, by=lab.lan.nodes[new].mac)
        self._say(f"{new} answers instead, {milliseconds(first.at - cut)} after the cut")
        visited = lab.until(lambda: self._visited(address, old), f"another than {old} answers HTTP at {address}")
        self._say(f"a client's HTTP request is answered by {visited}")
        eyes.look_on(_AFTER)
        lab.lan.heal(old)
        self._say("the cable is whole again")
        eyes.look_on(_HEALED)
        lab.await_ready()
        eyes.close()
        verdict = eyes.verdict()
        twice = findings.owners(title, verdict, eyes.contests())
        self._say(f"{old} votes again and takes nothing back; time that two MACs answered: {twice.seen}")
        return [
            findings.silence(title, verdict, HOLD),
            findings.moved(title, verdict, self._macs, old, new),
            twice,
        ]

    def api_down(self, title: str, addresses: Sequence[Address]) -> list[Finding]:
        """The API server killed, and started again some seconds later."""
        lab, address = self._lab, addresses[0]
        eyes = self._watch(address, self._leader(address))
        lab.stop_api()
        down = time.monotonic_ns()
        self._say("SIGKILL to the API server")
        eyes.look_on(_API_DOWN)
        answers = {each: self._visit(each) for each in addresses}
        eyes.close()
        verdict = eyes.verdict(since=down)
        asked = findings.answered(title, verdict)
        length = milliseconds(time.monotonic_ns() - down)
        self._say(f"down for {length}: {asked.seen} for {address} answered, and HTTP by {answers[address]}")
        lab.start_api()
        up = time.monotonic_ns()
        self._say("the API server is back, with what it had")
        name = _name(len(self.services) + 1)
        lab.admin.create(objects.service(name, dual_stack=self._families > 1))
        given = lab.until(lambda: self._given(name, up), f"Service {name} has its address")
        took = time.monotonic_ns() - up
        self.services[name] = given
        self._say(f"a new Service {name} has {_list(given.addresses)}, {milliseconds(took)} after")
        (leader, *_) = [self._leader(each, within=_PATIENCE) for each in given.addresses]
        took_all = time.monotonic_ns() - up
        self._say(f"{leader} announces it, {milliseconds(took_all)} after: its speaker watches again")
        return [
            asked,
            findings.owners(title, verdict, eyes.contests()),
            findings.served(title, "HTTP answered", answers, {address: self._macs.get(verdict.macs[-1], "")}),
            findings.complete(title, "new Service announced", [name], {name: took_all}),
        ]

    def delete(self, title: str) -> list[Finding]:
        """A Service deleted: its addresses leave the wire."""
        lab = self._lab
        name = next(reversed(self.services))
        address = self.services[name].addresses[0]
        eyes = Eyes(lab.lan, address)
        eyes.answered()
        deleted = time.monotonic_ns()
        lab.admin.delete(resources.SERVICES, name, "default")
        self._say(f"Service {name} deleted, which had {address}")
        lab.until(lambda: lab.allocations.get(object_name(address)) is None, f"the IPAllocation of {address} is gone")
        eyes.look_on((deleted + findings.GONE - time.monotonic_ns()) // MS + _AFTER)
        eyes.close()
        samples = eyes.prober.samples()
        found = findings.gone(title, samples.replies, deleted, samples.sent[-1].at)
        self._say(f"{address} is gone from the wire {found.seen}, and stays so")
        del self.services[name]
        return [found]

    # --- what they are made of

    @property
    def _patience(self) -> float:
        return _BURST + _A_SERVICE * self._lab.settings.addresses

    def _pool(self) -> None:
        lab = self._lab
        # More than there will be at first: a chapter makes another, each time that it is told.
        addresses = objects.ranges(lab.settings.addresses + 1 + _AGAIN, ipv6=self._families > 1)
        if str(objects.OFF_LINK) in addresses:
            lab.lan.client.add_link(str(objects.OFF_LINK), "eth0")
        lab.admin.create_all([objects.pool(_POOL, addresses), objects.advertisement(_POOL)])
        self._say(f"IPAddressPool {_POOL} with {', '.join(addresses)}, and an L2Advertisement of it")
        segment = lab.await_members()
        self._say(f"all nodes vote on the LAN of these addresses, Segment {segment}")

    def _create(self, name: str) -> _Given:
        (created,) = self._lab.admin.create_all([objects.service(name, dual_stack=self._families > 1)])
        self._say(f"Service {name} of type LoadBalancer created")
        at = self._lab.until(lambda: self._marks().get(name), f"Service {name} has its EXTERNAL-IP")
        given = _Given(name, created, _ingress(self._lab.services.all()[f"default/{name}"]))
        self.services[name] = given
        self._say(f"EXTERNAL-IP {_list(given.addresses)}, {milliseconds(at - created)} after")
        return given

    def _burst(self, names: Sequence[str]) -> None:
        lab = self._lab
        began = time.monotonic_ns()
        created = lab.admin.create_all([objects.service(name, dual_stack=self._families > 1) for name in names])
        self._say(f"{len(names)} more Services created, {_rate(len(names), time.monotonic_ns() - began)}")
        marks = lab.until(
            lambda: _all_of(self._marks(), names),
            f"{len(names)} Services have addresses",
            within=self._patience,
            every=0.1,
        )
        last = max(marks[name] for name in names) - began
        services = lab.services.all()
        for name, at in zip(names, created, strict=True):
            self.services[name] = _Given(name, at, _ingress(services[f"default/{name}"]))
        took = findings.spread(marks[name] - at for name, at in zip(names, created, strict=True))
        self._say(
            f"all of them have addresses {last / 1000 / MS:.1f} s after the first was created, "
            f"{_rate(len(names), last)}; each {took} after it was"
        )

    def _marks(self) -> Mapping[str, int]:
        """When each Service was seen to have its addresses, by its name."""
        return {key.partition("/")[2]: at for key, at in self._lab.services.marks().items()}

    def _given(self, name: str, created: int) -> _Given | None:
        service = self._lab.admin.get(resources.SERVICES, name, "default")
        found = _ingress(service)
        return _Given(name, created, found) if len(found) == self._families else None

    def _leader(self, address: Address, within: float = PATIENCE) -> str:
        return self._lab.until(lambda: self._lab.leader(address), f"{address} has a leader", within=within)

    def _successor(self, address: Address, old: str) -> str:
        def other() -> str | None:
            now = self._lab.leader(address)
            return None if now == old else now

        return self._lab.until(other, f"{address} has another leader than {old}")

    def _watch(self, address: Address, by: str) -> Eyes:
        eyes = Eyes(self._lab.lan, address)
        eyes.answered(by=self._lab.lan.nodes[by].mac)
        eyes.look_on(_BEFORE)
        return eyes

    def _visit(self, address: Address) -> str:
        return self._lab.until(
            lambda: visitor.fetch(self._lab.lan.client, address, timeout=_A_REQUEST),
            f"a client's HTTP request to {address} is answered",
        ).node

    def _visited(self, address: Address, old: str) -> str | None:
        answer = visitor.fetch(self._lab.lan.client, address, timeout=_A_REQUEST)
        return answer.node if answer.node != old else None


def _announced(capture: Capture, address: Address) -> Captured | None:
    return findings.first_announced(capture.claims(address)).get(address)


def _name(number: int) -> str:
    return f"web-{number}"


def _ingress(service: Service) -> tuple[Address, ...]:
    return tuple(ip_address(each.ip) for each in service.status.load_balancer.ingress if each.ip)


def _all_of(found: Mapping[K, V], wanted: Iterable[K]) -> Mapping[K, V] | None:
    """What was found, once it is all that was wanted."""
    return found if all(each in found for each in wanted) else None


def _list(addresses: Sequence[Address]) -> str:
    return " and ".join(map(str, addresses))


def _rate(number: int, took: int) -> str:
    return f"{number / took * 1000 * MS:.0f}/s"
