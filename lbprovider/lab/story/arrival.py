"""The first chapter of the lab's story: a pool, and Services that get addresses, are announced, and answer.

The first Services are told of one by one, the others as the burst that they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeVar

from lbprovider.api import resources
from lbprovider.api.core import Service
from lbprovider.lab import objects, visitor
from lbprovider.lab.cluster import Lab
from lbprovider.lab.eyes.capture import Capture, Captured
from lbprovider.lab.eyes.frames import Address
from lbprovider.lab.eyes.judge import MS
from lbprovider.lab.story import findings
from lbprovider.lab.story.findings import Finding, milliseconds

K = TypeVar("K")
V = TypeVar("V")

TITLE: Final = "Services get addresses"
ONE_BY_ONE: Final = 2
"""Services that are told of one by one."""
MORE: Final = 8
"""Services that the pool has room for besides: chapters make some, and so may a user."""
_POOL: Final = "lab"
_A_REQUEST: Final = 0.5
"""Seconds after which a client asks again."""
_BURST: Final = 60.0
_A_SERVICE: Final = 0.1
"""Seconds that a burst may take, in all and more for each Service: several times what it takes on two cores."""


@dataclass(frozen=True, slots=True)
class Given:
    """A Service, when its creation was asked for (nanoseconds, monotonic), and what it got."""

    name: str
    created: int
    addresses: tuple[Address, ...]


class Arrival:
    """The Services of a lab, and how they come to be.

    Args:
        lab: with no Service in it yet.
        say: told what happens.
    """

    def __init__(self, lab: Lab, say: Callable[[str], None]) -> None:
        self.services: dict[str, Given] = {}
        """In the order in which they were made."""
        self._lab = lab
        self._say = say
        self._dual_stack = lab.settings.ipv6
        self._capture: Capture | None = None
        self._first = findings.Announced()

    def tell(self, title: str) -> list[Finding]:
        """The pool and all Services; what became of them."""
        lab, count = self._lab, self._lab.settings.addresses
        capture = self._capture = lab.lan.capture()
        lab.until(lambda: capture.started, "the capture listens")
        lab.services.mark(lambda service: len(_ingress(service)) == self._families)
        self._pool()
        leaders: dict[Address, str] = {}
        answers: dict[Address, str] = {}
        for _ in range(min(count, ONE_BY_ONE)):
            given = self._one()
            for address in given.addresses:
                frame = lab.until(partial(self._announced, address), f"{address} is announced on the LAN")
                leaders[address] = lab.node_of(frame.claim.mac)
                what = "gratuitous ARP" if address.version == 4 else "unsolicited NA"  # noqa: PLR2004 - the family
                took = milliseconds(frame.at - given.created)
                self._say(f"{what}: {leaders[address]} has {address}, {took} after")
                answers[address] = self.visit(address)
                took = milliseconds(time.monotonic_ns() - given.created)
                self._say(f"a client's HTTP request to {address} is answered by {answers[address]}, {took} after")
        if count > ONE_BY_ONE:
            self._burst(count - ONE_BY_ONE)
        wanted = {address: name for name, each in self.services.items() for address in each.addresses}
        announced = lab.until(
            lambda: _all_of(self._announcements(), wanted),
            "every address is announced on the LAN",
            within=self._patience,
            every=0.1,
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

    def make(self) -> Given:
        """One more Service, once it has its addresses; the API server is asked for it again and again."""
        lab, name = self._lab, self._next()
        (created,) = lab.admin.create_all([objects.service(name, dual_stack=self._dual_stack)])

        def given() -> tuple[Address, ...] | None:
            found = _ingress(lab.admin.get(resources.SERVICES, name, objects.NAMESPACE))
            return found if len(found) == self._families else None

        self.services[name] = Given(name, created, lab.until(given, f"Service {name} has its addresses"))
        return self.services[name]

    def remove(self, name: str) -> None:
        """Delete a Service."""
        self._lab.admin.delete(resources.SERVICES, name, objects.NAMESPACE)
        del self.services[name]

    def visit(self, address: Address, other_than: str = "") -> str:
        """The node that answers a client's HTTP request, once one does that is not the one named."""

        def answered() -> str | None:
            node = visitor.fetch(self._lab.lan.client, address, timeout=_A_REQUEST).node
            return None if node == other_than else node

        return self._lab.until(answered, f"a client's HTTP request to {address} is answered")

    @property
    def _families(self) -> int:
        return 2 if self._dual_stack else 1

    @property
    def _patience(self) -> float:
        return _BURST + _A_SERVICE * self._lab.settings.addresses

    def _next(self) -> str:
        return f"web-{len(self.services) + 1}"

    def _pool(self) -> None:
        lab = self._lab
        addresses = objects.ranges(lab.settings.addresses + MORE, ipv6=self._dual_stack)
        if str(objects.OFF_LINK) in addresses:
            lab.lan.client.add_link(str(objects.OFF_LINK), "eth0")
        lab.admin.create_all([objects.pool(_POOL, addresses), objects.advertisement(_POOL)])
        self._say(f"IPAddressPool {_POOL} with {', '.join(addresses)}, and an L2Advertisement of it")
        lab.await_members()
        self._say(f"all nodes vote on the LAN of these addresses, with promises for {milliseconds(lab.hold)}")

    def _one(self) -> Given:
        name = self._next()
        (created,) = self._lab.admin.create_all([objects.service(name, dual_stack=self._dual_stack)])
        self._say(f"Service {name} of type LoadBalancer created")
        at = self._lab.until(lambda: self._marks().get(name), f"Service {name} has its EXTERNAL-IP")
        self.services[name] = given = Given(name, created, self._addresses(name))
        self._say(f"EXTERNAL-IP {listed(given.addresses)}, {milliseconds(at - created)} after")
        return given

    def _announcements(self) -> Mapping[Address, Captured]:
        return self._first.heed(self._capture.news() if self._capture is not None else ())

    def _announced(self, address: Address) -> Captured | None:
        return self._announcements().get(address)

    def _burst(self, count: int) -> None:
        lab = self._lab
        names = [f"web-{len(self.services) + number}" for number in range(1, count + 1)]
        began = time.monotonic_ns()
        created = lab.admin.create_all([objects.service(name, dual_stack=self._dual_stack) for name in names])
        self._say(f"{count} more Services created, {_rate(count, time.monotonic_ns() - began)}")
        marks = lab.until(
            lambda: _all_of(self._marks(), names), "all Services have addresses", within=self._patience, every=0.1
        )
        for name, at in zip(names, created, strict=True):
            self.services[name] = Given(name, at, self._addresses(name))
        last = max(marks[name] for name in names) - began
        took = findings.spread(marks[name] - self.services[name].created for name in names)
        self._say(
            f"all of them have addresses {last / 1000 / MS:.1f} s after the first was asked for, {_rate(count, last)}; "
            f"each {took} after it was"
        )

    def _marks(self) -> Mapping[str, int]:
        """When each Service was seen to have its addresses, by its name."""
        return {key.partition("/")[2]: at for key, at in self._lab.services.marks().items()}

    def _addresses(self, name: str) -> tuple[Address, ...]:
        service = self._lab.services.get(f"{objects.NAMESPACE}/{name}")
        return () if service is None else _ingress(service)


def listed(addresses: Sequence[Address]) -> str:
    """As a sentence has them."""
    return " and ".join(map(str, addresses))


def _ingress(service: Service) -> tuple[Address, ...]:
    return tuple(ip_address(each.ip) for each in service.status.load_balancer.ingress if each.ip)


def _all_of(found: Mapping[K, V], wanted: Iterable[K]) -> Mapping[K, V] | None:
    """What was found, once it is all that was wanted."""
    return found if all(each in found for each in wanted) else None


def _rate(number: int, took: int) -> str:
    return f"{number / took * 1000 * MS:.0f}/s"
