"""What a trial acts on: a lab with all its eyes open on one address, and the instants that its figures are about.

A trial is a function over a :class:`Stage`: it says when it strikes and when all is well again, and whatever it waits
for it waits for by what a client sees. It leaves the lab whole, or says that it doesn't (``table.Trial.breaks``).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self, TypeVar

from lbprovider.api import resources
from lbprovider.api.names import CONTROLLER_LEASE, object_name
from lbprovider.api.times import nanoseconds
from lbprovider.errors import HostError, LbproviderError
from lbprovider.kube.lease import RENEW_DEADLINE
from lbprovider.lab import objects
from lbprovider.lab.cluster import Lab
from lbprovider.lab.eyes.both import Eyes
from lbprovider.lab.eyes.frames import Address, Kind, claim
from lbprovider.lab.eyes.judge import MS, Samples
from lbprovider.lab.eyes.prober import Prober
from lbprovider.lab.eyes.traffic import PERIOD, Traffic
from lbprovider.lab.provider import NAMESPACE
from lbprovider.lab.trials.figures import Seen
from lbprovider.net.namespaces import Namespace

T = TypeVar("T")

_SECOND: Final = 1_000_000_000
BEFORE: Final = 150
"""Milliseconds that are watched before a fault."""
AFTER: Final = 600
"""Milliseconds that are watched once it was got over: more than two promises."""
HEALED: Final = 1500
"""Milliseconds that are watched after all is well again: time enough for an owner of old to speak up."""
OVER: Final = 8.0
"""Seconds after which an address that nobody has taken over is taken for lost: many times what any target allows."""
SETTLED: Final = 90.0
"""Seconds for all to be as before. Pauses between requests grow while the API server is away (``kube.backoff``)."""


class Stage:
    """A lab that is watched, from construction to the end of the context.

    Args:
        lab: all of it well.
        address: what is watched.
    """

    def __init__(self, lab: Lab, address: Address) -> None:
        self.lab = lab
        self.address = address
        self.hold = lab.hold
        """How long a promise lasts at the time of the fault, nanoseconds."""
        self.notes: list[str] = []
        self._strangers: set[str] = set()
        self._undo = contextlib.ExitStack()
        self._struck = self._healed = 0
        self._far: Prober | None = None
        self._owners = {str(each): lab.lan.nodes[node].mac for each, node in leaders(lab).items()}
        self._told = events(lab, address)
        with self._undo:
            self._eyes = Eyes(lab.lan, address)
            self._undo.callback(self._eyes.close)
            self._traffic = self._undo.enter_context(
                # A host of its own: the prober's answers reach the client's kernel too, and keep its cache right.
                Traffic(lambda *argv: lab.lan.guest("caller").command(argv), address, objects.HTTP, lab.directory)
            )
            self._began = self._eyes.answered().at
            self.owner = lab.node_of(self._eyes.prober.samples().replies[-1].mac)
            """The node that answers before anything is done."""
            self.look_on(BEFORE)
            self._undo = self._undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @property
    def others(self) -> tuple[str, ...]:
        """The other nodes that have a speaker."""
        return tuple(each for each in self.lab.speakers if each != self.owner)

    @property
    def service(self) -> str:
        """The Service that has the address."""
        found = self.lab.allocations.get(object_name(self.address))
        if found is None:
            raise HostError(f"{self.address} has no IPAllocation any more")
        return found.spec.services[0].name

    def owner_now(self) -> str:
        """The node that answered last."""
        macs = (each.mac for each in reversed(self._eyes.prober.samples().replies))
        return next(self.lab.node_of(mac) for mac in macs if mac not in self._strangers)

    # --- what happens when

    def strike(self) -> None:
        """The fault is now."""
        self.hold = self.lab.hold
        self._struck = self._struck or time.monotonic_ns()

    def heal(self) -> None:
        """What was done is undone from now on."""
        self._healed = self._healed or time.monotonic_ns()

    def stand_in(self, stranger: Namespace) -> str:
        """A host that is none of ours is on the LAN; its MAC."""
        mac = stranger.mac("eth0")
        self._strangers.add(mac)
        return mac

    def note(self, what: str) -> None:
        """Something that belongs to the figures."""
        self.notes.append(what)

    def look_beyond(self) -> None:
        """Ask on the far side of a split LAN too."""
        self._far = self.lab.lan.probe_far(self.address)
        self._undo.callback(self._far.stop)

    # --- waiting

    def look_on(self, milliseconds: int) -> None:
        """Until the prober has asked for that much longer."""
        end = time.monotonic_ns() + milliseconds * MS
        self.until(
            lambda: time.monotonic_ns() >= end, f"{milliseconds} ms have gone by", within=milliseconds / 1000 + 1
        )
        self.until(lambda: self._eyes.prober.samples().sent[-1].at >= end, "the prober goes on asking")

    def taken_over(self, within: float = OVER) -> str:
        """Wait until a node that is not the owner answers, and go on looking for a while; the node."""
        node = self.answered_by(lambda each: each != self.owner, "another node than the owner", within)
        self.look_on(AFTER)
        return node

    def answered_by(self, wanted: Callable[[str], bool], who: str, within: float = OVER) -> str:
        """Wait until such a node of ours answers, since the fault."""
        lab = self.lab
        ours = {each.mac: name for name, each in lab.lan.nodes.items() if wanted(name)}

        def answers() -> str | None:
            replies = self._eyes.prober.samples().replies
            return next((ours[each.mac] for each in replies if each.at > self._struck and each.mac in ours), None)

        return self.until(answers, f"{self.address} is answered by {who}", within=within)

    def ready(self, *nodes: str) -> None:
        """Wait until the speakers of these nodes vote and are connected."""
        self.until(lambda: all(map(self.lab.ready, nodes)), f"ready: {', '.join(nodes)}", within=SETTLED)

    def until(self, condition: Callable[[], T | None], what: str, *, within: float = OVER) -> T:
        """As :meth:`Lab.until`."""
        return self.lab.until(condition, what, within=within)

    # --- what was seen

    def cause(self) -> str:
        """Why the address is where it is, as the API server has it: reasons of its conditions, and of new Events."""
        try:
            found = self.lab.admin.get(resources.ALLOCATIONS, object_name(self.address))
            told = events(self.lab, self.address)
        except LbproviderError as error:
            return f"unknown: {error}"
        reasons = [each.reason for each in found.status.conditions]
        reasons += [reason for uid, (reason, count) in told.items() if self._told.get(uid) != (reason, count)]
        return ", ".join(dict.fromkeys(reasons))

    def seen(self) -> Seen:
        """All of it until now."""
        ended = time.monotonic_ns()
        self._traffic.end()
        self._eyes.close()
        far: Samples | None = None
        if self._far is not None:
            far = self._far.stop()
        prober = self._eyes.prober.samples()
        frames = ((at, claim(frame)) for at, frame in self._eyes.capture.frames())
        return Seen(
            began=self._began,
            struck=self._struck or ended,
            healed=self._healed or ended,
            ended=min(ended, max(each.at for each in prober.sent)),
            prober=prober,
            switch=self._eyes.capture.replies(self.address),
            far=far,
            calls=self._traffic.calls(),
            period=PERIOD,
            gratuitous=tuple(
                (at, str(said.address), said.mac)
                for at, said in frames
                if said is not None and said.kind is Kind.GRATUITOUS
            ),
            owners=self._owners,
            strangers=frozenset(self._strangers),
        )


def leaders(lab: Lab) -> dict[Address, str]:
    """Who has each address, as its IPAllocation says; those that nobody has are left out."""
    found = lab.allocations.all().values()
    return {ip_address(each.spec.address): each.status.leader for each in found if each.status.leader in lab.lan.nodes}


def settle(lab: Lab, addresses: Iterable[Address]) -> None:
    """Wait until all is as before a fault: a controller that leads, every speaker a ready member, every address led."""

    def controlled() -> bool:
        lease = lab.admin.get(resources.LEASES, CONTROLLER_LEASE, NAMESPACE).spec
        age = time.time() - nanoseconds(lease.renew_time or "") / _SECOND
        return bool(lease.holder_identity) and age < RENEW_DEADLINE

    lab.until(controlled, "a controller leads", within=SETTLED)
    lab.until(lambda: all(map(lab.ready, lab.speakers)), "every speaker is ready", within=SETTLED)
    lab.await_members()
    wanted = {object_name(each) for each in addresses}

    def led() -> bool:
        known = lab.allocations.all()
        return all(name in known and known[name].status.leader in lab.speakers for name in wanted)

    lab.until(led, "every address has a leader that runs", within=SETTLED)


def events(lab: Lab, address: Address) -> dict[str, tuple[str, int]]:
    """The Events of an address's IPAllocation: reason and count, by the Event's uid."""
    name = object_name(address)
    return {
        each.metadata.uid: (each.reason, each.count)
        for each in lab.admin.list(resources.EVENTS)
        if each.involved_object.kind == resources.ALLOCATIONS.kind and each.involved_object.name == name
    }
