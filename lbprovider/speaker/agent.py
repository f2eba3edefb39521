"""The speaker: joins what API server and kernel tell to the LANs, and what happens on the LANs to the API server.

No rule is here; who may answer is election's, what is answered announce's. The agent only passes on, each thing once:
interfaces to LANs, wishes to Members, wins to the reporter, swaps to the API server, what is seen to the Lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

import structlog

from lbprovider.api import names
from lbprovider.api.registration import Attachment, Registration
from lbprovider.api.segment import SegmentSpec
from lbprovider.election.outcome import Lost, ProposeSwap, Won
from lbprovider.election.segment import NS_PER_MS, Segment, from_object, with_lists
from lbprovider.errors import HostError, InterfaceGone
from lbprovider.net.links import Link, lan_links
from lbprovider.speaker.attachments import Seen, assign, attachments, place_on, silent
from lbprovider.speaker.chronicle import Chronicle
from lbprovider.speaker.keeper import Keeper
from lbprovider.speaker.lan import Identity, Lan
from lbprovider.speaker.leaving import is_drained
from lbprovider.speaker.news import ConflictKind
from lbprovider.speaker.peers import Keys
from lbprovider.speaker.ports import Host
from lbprovider.speaker.presence import SHIPPED, Manner
from lbprovider.speaker.reporter import Reporter
from lbprovider.speaker.segments import Segments
from lbprovider.speaker.snapshot import Kept
from lbprovider.speaker.swapping import Swapping
from lbprovider.speaker.view import View
from lbprovider.speaker.witnesses import Witnesses

PORTION: Final = 200
"""Addresses ranked in one step of the loop: some 5 ms."""
PACE: Final = 20 * NS_PER_MS
"""Between two steps of ranking: what changes meanwhile reaches a Member at once, as one wish."""
log = structlog.get_logger(__name__)


class Agent:
    """All LANs of this node.

    Args:
        identity: who this speaker is.
        host: the kernel.
        keys: of heartbeats.
        excluded: shell patterns of interfaces that are never a LAN.
        segments: what there is of Segments.
        view: what there is of everything else.
        reporter: writes who leads.
        keeper: what of all this a later life will find on disk.
        restored: the Segments of the snapshot that this life began from, by name; empty where it began from the API
            server.
        register: told what to register, each time that it changes.
        manner: how to announce.

    ``failed`` is done when this node can't go on; its exception says why. ``idle`` is set while nothing is owned.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        host: Host,
        keys: Keys,
        excluded: tuple[str, ...],
        segments: Segments,
        view: View,
        reporter: Reporter,
        keeper: Keeper,
        restored: Mapping[str, Kept],
        register: Callable[[tuple[Attachment, ...]], None],
        manner: Manner = SHIPPED,
    ) -> None:
        self._identity = identity
        self._manner = manner
        self._host = host
        self._keys = keys
        self._excluded = excluded
        self._segments = segments
        self._view = view
        self._chronicle = Chronicle(reporter)
        self._keeper = keeper
        self._restored = restored
        self._register = register
        self._snapshot: Mapping[str, Link] = {}
        self._on: dict[str, Link] = {}
        self._lans: dict[str, Lan] = {}
        self._registered: tuple[Attachment, ...] = ()
        self._troubles: dict[str, str] = {}
        self._swapping = Swapping(segments)
        self._working = False
        self._drained = False
        self._leaving = False
        self._forwards = True
        self._silent: tuple[str, ...] = ()
        self.idle = asyncio.Event()
        self.idle.set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # ---- what the API server tells

    def segment_changed(self, name: str) -> None:
        """A Segment is new, has changed or is gone."""
        self._place()
        lan, segment = self._lans.get(name), self._segments.get(name)
        if lan is not None and segment is not None:
            self._swapping.adopt(lan, segment)

    def registered(self, node: str, what: Registration | None) -> None:
        """Another speaker registers something else than before."""
        if node != self._identity.node:
            attached = () if what is None else what.attachments
            for name, lan in self._lans.items():
                lan.reach(node, *place_on(name, attached))

    def stale(self) -> None:
        """There is something to rank."""
        if not self._working:
            self._working = True
            self._host.call_at(self._host.clock() + PACE, self._work)

    def _work(self) -> None:
        self._working = False
        self._heed(drained=is_drained(self._view.node(self._identity.node)))
        if self._view.work(PORTION):
            self.stale()
            return
        for name in self._view.take_changed():
            if name in self._lans:
                self._lans[name].wish(self._view.wishes(name))

    def _heed(self, *, drained: bool) -> None:
        """An admin takes this node's addresses away, or lets it have some again."""
        if drained == self._drained:
            return
        self._drained = drained
        log.info("drained by its Node's annotation" if drained else "takes addresses again", addresses=self.owned)
        if not self._leaving:
            for lan in self._lans.values():
                lan.drain() if drained else lan.undrain()

    # ---- what the kernel and kube-proxy tell

    def forwards(self, *, able: bool) -> None:
        """Whether this node can bring traffic to Pods; see ``proxy.Proxy``."""
        self._forwards = able
        for lan in self._lans.values():
            lan.forwards(able=able)

    def links_changed(self, snapshot: Mapping[str, Link]) -> None:
        """The interfaces of this node, as they are now."""
        self._snapshot = snapshot
        self._place()

    def _place(self) -> None:
        """Each LAN on its interface. A LAN that has none is kept: what its Member promised stays promised."""
        links = lan_links(self._snapshot, self._excluded)
        self._on = assign(links, self._segments.all, self._on)
        self._say_silent(silent(links, self._on))
        for name, lan in self._lans.items():
            self._attach(lan, self._on.get(name))
        for name, link in self._on.items():
            segment = self._segments.get(name)
            if segment is not None and name not in self._lans and not self._leaving:
                self._open(name, link, segment)
        self._register_now()

    def _say_silent(self, interfaces: tuple[str, ...]) -> None:
        if interfaces and interfaces != self._silent:
            log.warning(
                "without an address, link-local IPv6 at least, speakers don't reach each other on an interface: it is "
                "no LAN", reason="InterfaceSilent", interfaces=interfaces,
            )  # fmt: skip
        self._silent = interfaces

    def _open(self, name: str, link: Link, segment: Segment) -> None:
        try:
            lan = Lan(
                name, link, identity=self._identity, keys=self._keys, host=self._host, upstairs=self,
                manner=self._manner, first_use=self._first_use,
            )  # fmt: skip
        except HostError as error:
            self._host_failed(error)
            return
        log.info("on a LAN", segment=name, interface=link.name)
        self._lans[name] = lan
        if self._drained:
            lan.drain()
        lan.forwards(able=self._forwards)
        for node, what in self._view.registrations().items():
            if node != self._identity.node:
                lan.reach(node, *place_on(name, what.attachments))
        lan.durable(self._keeper.limit(name))
        if name in self._restored:
            kept = self._restored[name]
            lan.restore(from_object(kept.segment), kept.silence)
        self._swapping.adopt(lan, segment)
        lan.attach(link)
        lan.wish(self._view.wishes(name))

    def _first_use(self, address: bytes) -> bool:
        """Whether nobody has led it yet; who takes an address over from another provider uses what is in use."""
        allocation = self._view.allocation(names.object_name(ip_address(address)))
        return allocation is not None and not allocation.status.leader and not allocation.spec.adopted

    def _attach(self, lan: Lan, link: Link | None) -> None:
        if link != lan.link:
            log.info(
                "an interface has changed",
                segment=lan.name, interface=link.name if link else "", usable=bool(link and link.usable),
            )  # fmt: skip
            try:
                lan.attach(link)
            except HostError as error:
                lan.attach(None)
                self._host_failed(error)

    def _host_failed(self, error: HostError) -> None:
        # An interface that was taken away meanwhile: netlink says so next.
        if not isinstance(error, InterfaceGone) and not self.failed.done():
            self.failed.set_exception(error)

    def look(self, witnesses: Witnesses) -> None:
        """Tells LANs what the Leases say, and Leases what is seen there (C9, C11).

        Also while nobody asks: what they said when a quorum was missing before must not be there when one is again.
        """
        for name, lan in self._lans.items():
            segment = lan.member.segment
            if segment is not None:
                members = segment.everyone - {self._identity.node}
                lan.others(witnesses.others(name, members, self._view.registrations()))
        self._register_now()

    # ---- what happens on the LANs (Upstairs)

    def changed(self, lan: Lan, changes: Sequence[Won | Lost]) -> None:
        self._chronicle.changed(lan, changes)
        if self.owned:
            self.idle.clear()
        else:
            self.idle.set()

    def seen(self, lan: Lan) -> None:
        log.info("hears", segment=lan.name, peers=lan.hears)
        self._register_now()
        segment, limit = lan.member.segment, self._keeper.limit(lan.name)
        if segment is not None and limit is not None and not limit.knows(segment):
            self._keeper.touch(urgent=True)

    def trouble(self, lan: Lan, error: HostError) -> None:
        if self._troubles.get(lan.name) != str(error):  # it comes again with each wish
            self._troubles[lan.name] = str(error)
            log.warning(str(error), segment=lan.name)

    def broken(self, lan: Lan, error: Exception) -> None:
        log.error("a bug in lbprovider: this node serves the LAN no more until it starts anew", segment=lan.name)
        if not self.failed.done():
            self.failed.set_exception(error)

    def conflict(self, lan: Lan, address: bytes, mac: bytes, kind: ConflictKind) -> None:
        self._chronicle.conflict(lan, address, mac, kind)

    def conflict_over(self, lan: Lan, address: bytes) -> None:
        self._chronicle.conflict_over(lan, address)

    def swap(self, lan: Lan, swap: ProposeSwap) -> None:
        self._swapping.swap(lan, swap)

    # ---- the snapshot

    def durable(self) -> None:
        """What a later life will find on disk may be something else than before."""
        for name, lan in self._lans.items():
            lan.durable(self._keeper.limit(name))

    def votes(self, name: str) -> bool:
        """Whether this node votes on a Segment."""
        return name in self._lans and self._lans[name].votes()

    def members(self) -> Mapping[str, tuple[Segment, int]]:
        """The Segments that this node is in, by name, each with the silence (ns) that a later life owes it."""
        members = ((name, lan.member) for name, lan in self._lans.items())
        return {name: (one.segment, one.silence) for name, one in members if one.segment is not None}

    # ---- what is said of it

    def attachments(self) -> tuple[Attachment, ...]:
        """What to register."""
        seen = {name: _seen(lan) for name, lan in self._lans.items()}
        return attachments(self._on, seen, self._registered, leaving=self._leaving)

    def why_not_ready(self) -> str:
        """One sentence; empty when this node votes and is connected on every Segment of its own.

        A LAN without a Segment is one that no address needs, as that of the nodes' management. One on which this node
        has no interface any more counts for as long as it is on the Segment's list: others count on its vote.
        """
        if not self._on:
            return "no interface of this node is a LAN: each is excluded or has no address"
        lans = (lan for name, lan in self._lans.items() if name in self._on or self._is_member(name))
        return next(filter(None, (lan.why_not_ready() for lan in lans)), "")

    def _is_member(self, name: str) -> bool:
        segment = self._segments.get(name)
        return segment is not None and self._identity.node in segment.everyone

    def _register_now(self) -> None:
        now = self.attachments()
        if now != self._registered:
            self._registered = now
            self._register(now)

    # ---- the end

    def drain(self, *, returning: bool) -> None:
        """Hands all addresses on, and takes none for the rest of this life; ``returning``: to start anew."""
        self._leaving = True
        for lan in self._lans.values():
            lan.drain(returning=returning)
        self._register_now()

    def leave(self) -> None:
        """Takes this node off the lists of members where the others need that (C10)."""
        for lan in self._lans.values():
            lan.leave()

    def has_left(self) -> bool:
        """Whether the others need this node no more, on any LAN."""
        return all(lan.has_left() for lan in self._lans.values())

    @property
    def owned(self) -> int:
        """How many addresses this node answers for."""
        return sum(len(lan.owned) for lan in self._lans.values())

    @property
    def hold(self) -> int:
        """The longest promise on any LAN, ns."""
        held = [lan.member.segment.hmax for lan in self._lans.values() if lan.member.segment is not None]
        return max(held, default=0)

    def close(self) -> None:
        """No more answers, no more tasks."""
        for lan in self._lans.values():
            lan.close()
        self._swapping.close()


def _seen(lan: Lan) -> Seen:
    segment = lan.member.segment
    if segment is None:
        return Seen(lan.hears)
    return Seen(lan.hears, lan.sees_neighbours(), segment.version, with_lists(SegmentSpec(), segment).lists)
