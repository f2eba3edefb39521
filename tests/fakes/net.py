"""The ports of ``net/`` in memory: a switch, and nodes on it, each with its interfaces.

Deliveries are callbacks of the running loop (``call_soon``), so a test with virtual time sees them at once and in
order. ``tests/fakes/net_contract.py`` runs against these and against the kernel.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

from lbprovider.errors import InterfaceGone, PortTaken, WireError
from lbprovider.net.datagrams import Received
from lbprovider.net.links import Link, LinkChange, change
from lbprovider.net.packet import Answer
from lbprovider.wire import arp, ndp


class FakeLinks:
    """``Links`` that a test sets. ``set`` counts the returns of a link as the kernel's does."""

    def __init__(self, *links: Link) -> None:
        self._links = {each.index: each for each in links}
        self._delivered = dict(self._links)
        self._wake = asyncio.Event()

    def snapshot(self) -> Mapping[str, Link]:
        return {each.name: each for each in self._links.values()}

    def set(self, link: Link) -> None:
        former = self._links.get(link.index)
        if former is not None:
            link = replace(link, returns=former.returns + (link.usable and not former.usable))
        self._links[link.index] = link
        self._wake.set()

    def remove(self, index: int) -> None:
        del self._links[index]
        self._wake.set()

    def find(self, index: int) -> Link | None:
        return self._links.get(index)

    async def __aiter__(self) -> AsyncIterator[LinkChange]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for index in sorted(self._delivered.keys() | self._links.keys()):
                before, after = self._delivered.pop(index, None), self._links.get(index)
                if after is not None:
                    self._delivered[index] = after
                what = change(before, after)
                if what is not None:
                    yield what


class FakeLan:
    """A switch: everybody on it hears everybody, but for those whose cable is cut behind their carrier."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        """Every frame that passed, oldest first."""
        self.cut: set[bytes] = set()
        """Hardware addresses whose frames and datagrams pass in neither direction."""
        self.packets: list[FakePackets] = []
        self.datagrams: list[FakeDatagrams] = []
        self.nodes: list[FakeNode] = []

    def passes(self, source: bytes, destination: bytes) -> bool:
        return source not in self.cut and destination not in self.cut

    def transmit(self, frame: bytes) -> None:
        """A frame enters, from a member or from anybody else."""
        self.frames.append(frame)
        for each in self.packets:
            link = each.link
            if link is None or not link.usable or not self.passes(frame[6:12], link.mac):
                continue
            for_it = frame[6:12] != link.mac and (frame[0] & 1 or frame[:6] == link.mac)
            if for_it and _concerns(frame, each.listening):
                each.arrived(frame)
        for node in self.nodes:
            reply = node.kernel(frame)
            if reply is not None:
                asyncio.get_running_loop().call_soon(self.transmit, reply)


class FakeNode:
    """One node: its interfaces, what opens the ports on them, and a kernel that answers for its own addresses."""

    def __init__(self, lan: FakeLan, *links: Link) -> None:
        self.lan = lan
        self.links = FakeLinks(*links)
        self.powered = True
        lan.nodes.append(self)

    def kernel(self, frame: bytes) -> bytes | None:
        """What the kernel answers an ARP request or a Neighbor Solicitation with, whatever programs run."""
        for link in self.links.snapshot().values():
            own = {each.ip.packed for each in link.addresses}
            for_it = frame[6:12] != link.mac and (frame[0] & 1 or frame[:6] == link.mac)
            if self.powered and link.usable and for_it and self.lan.passes(frame[6:12], link.mac):
                return _kernel_reply(frame, own, link.mac)
        return None

    def packets(self, link: Link, answer: Answer, gone: Callable[[], None]) -> FakePackets:
        return FakePackets(self, link, answer, gone)

    def groups(self, link: Link) -> FakeGroups:
        return FakeGroups(link)

    def datagrams(self, link: Link, port: int, received: Received) -> FakeDatagrams:
        return FakeDatagrams(self, link, port, received)

    def take_away(self, index: int) -> None:
        """An interface is removed, as when a NIC is unplugged."""
        self.links.remove(index)
        for each in [each for each in self.lan.packets if each.node is self and each.index == index]:
            each.close()
            asyncio.get_running_loop().call_soon(each.gone)


class FakePackets:
    """``Packets`` on a ``FakeLan``."""

    def __init__(self, node: FakeNode, link: Link, answer: Answer, gone: Callable[[], None]) -> None:
        if node.links.find(link.index) is None:
            raise InterfaceGone(f"can't open a packet socket on {link.name}: No such device")
        self.node, self.index, self.gone = node, link.index, gone
        self.listening: frozenset[bytes] = frozenset()
        self.failures: Counter[str] = Counter()
        self.busy = False
        """What comes waits until somebody hears it: the process does something else."""
        self._answer = answer
        self._waiting: list[bytes] = []
        node.lan.packets.append(self)

    @property
    def link(self) -> Link | None:
        return self.node.links.find(self.index)

    def listen(self, addresses: Collection[bytes]) -> None:
        self.listening = frozenset(addresses)

    def send(self, frame: bytes) -> bool:
        if self not in self.node.lan.packets:
            self.failures["EBADF"] += 1
            return False
        if self.link is None or not self.link.up:
            self.failures["ENETDOWN"] += 1
            return False
        self.node.lan.transmit(frame)
        return True

    def close(self) -> None:
        if self in self.node.lan.packets:
            self.node.lan.packets.remove(self)

    def arrived(self, frame: bytes) -> None:
        self._waiting.append(frame)
        if not self.busy:
            asyncio.get_running_loop().call_soon(self.hear)

    def hear(self) -> None:
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            if self in self.node.lan.packets:
                reply = self._answer(memoryview(frame))
                if reply is not None:
                    self.send(reply)


def _concerns(frame: bytes, listening: Collection[bytes]) -> bool:
    """As ``net.filters`` have it: what is asked or said of these addresses, and answers to one alone."""
    with suppress(WireError):
        return ndp.parse_solicitation(frame).target in listening
    with suppress(WireError):
        return not frame[0] & 1 or ndp.parse_advertisement(frame).target in listening
    with suppress(WireError):
        parsed = arp.parse(frame)
        if parsed.operation == arp.REPLY and not frame[0] & 1:
            return True
        asked = parsed.operation == arp.REQUEST and parsed.target in listening
        return asked or parsed.sender in listening
    return False


def _kernel_reply(frame: bytes, own: Collection[bytes], mac: bytes) -> bytes | None:
    if frame[12:14] == b"\x08\x06":
        asked = arp.parse(frame)
        if asked.operation != arp.REQUEST or asked.target not in own or asked.is_gratuitous:
            return None
        return arp.reply(asked.target, mac, asked.sender, asked.sender_mac)
    try:
        solicited = ndp.parse_solicitation(frame)
    except WireError:
        return None
    if solicited.target not in own or solicited.sender == ndp.UNSPECIFIED:
        return None
    return ndp.advertisement(solicited.target, mac, solicited.sender, solicited.sender_mac or solicited.source)


class FakeGroups:
    """``Groups`` that remembers."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.joined: frozenset[bytes] = frozenset()
        self.rejoined = 0
        self.closed = False

    def listen(self, addresses: Iterable[bytes]) -> None:
        self.joined = frozenset(ndp.solicited_node(each) for each in addresses if len(each) == len(ndp.UNSPECIFIED))

    def rejoin(self) -> None:
        self.rejoined += 1

    def work(self) -> bool:
        return False

    def close(self) -> None:
        self.joined, self.closed = frozenset(), True


class FakeDatagrams:
    """``Datagrams`` on a ``FakeLan``."""

    def __init__(self, node: FakeNode, link: Link, port: int, received: Received) -> None:
        self.node, self.index, self.port = node, link.index, port
        if any(each.node is node and (each.index, each.port) == (link.index, port) for each in node.lan.datagrams):
            raise PortTaken(f"another speaker runs on this node: UDP port {port} is in use on {link.name}")
        if node.links.find(link.index) is None:
            raise InterfaceGone(f"can't bind UDP port {port} on {link.name}: No such device")
        self.failures: Counter[str] = Counter()
        self._received = received
        self._waiting: list[tuple[bytes, str]] = []
        node.lan.datagrams.append(self)

    @property
    def link(self) -> Link | None:
        return self.node.links.find(self.index)

    def send(self, payload: bytes, to: str) -> bool:
        lan, link = self.node.lan, self.link
        if self not in lan.datagrams:
            self.failures["EBADF"] += 1
            return False
        try:
            target = ip_address(to)
        except ValueError:
            self.failures["Other"] += 1
            return False
        own = [str(each.ip) for each in link.addresses if each.version == target.version] if link is not None else []
        if link is None or not link.up or not own:
            self.failures["ENETUNREACH"] += 1
            return False
        for each in lan.datagrams:
            peer = each.link
            reaches = peer is not None and link.carrier and peer.usable and lan.passes(link.mac, peer.mac)
            if peer is not None and reaches and each.port == self.port and target in {ip.ip for ip in peer.addresses}:
                each._waiting.append((payload, own[0]))
                asyncio.get_running_loop().call_soon(each.hear)
        return True

    def hear(self) -> None:
        batch, self._waiting = self._waiting, []
        if batch and self in self.node.lan.datagrams:
            self._received(batch)

    def close(self) -> None:
        if self in self.node.lan.datagrams:
            self.node.lan.datagrams.remove(self)
