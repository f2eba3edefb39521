"""``Links`` by netlink: told by the kernel, never polled.

pyroute2 decodes the messages. The sockets are our own, so that no step takes long however many interfaces there are,
what is not read yet waits in the kernel, and what the kernel had to drop (ENOBUFS) is noticed and read anew.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from types import MappingProxyType
from typing import Any, Final, Self

import structlog
from pyroute2.netlink import NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, rtnl
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from lbprovider.errors import HostError
from lbprovider.net import filters
from lbprovider.net.links import Address, Interface, Link, LinkChange, change

_log: Final = structlog.get_logger(__name__)

_GROUPS: Final = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
)
_BATCH: Final = 16
"""Messages read, or changes looked for, in one go; a message takes about 0.4 ms."""
_LONGEST: Final = 65_536
_DUMP_PIECE: Final = 16_384
"""Bytes of a dump read at once, some ten links: at most a few ms to read. No single message is as long."""
_RECEIVE_BUFFER: Final = 1 << 20
_RETRY: Final = 1.0
"""Seconds after a dump that the kernel refused (no file descriptor, no memory)."""

_UP: Final = 0x1  # IFF_* of if.h, as are the next three
_LOOPBACK: Final = 0x8
_NOARP: Final = 0x80
_LOWER_UP: Final = 0x10000
_ETHERNET: Final = 1  # ARPHRD_ETHER of if_arp.h
_TEMPORARY: Final = 0x01  # IFA_F_* of if_addr.h, as are the next three; for IPv4 this one means secondary
_OPTIMISTIC: Final = 0x04
_DAD_FAILED: Final = 0x08
_TENTATIVE: Final = 0x40
_MAIN_TABLE: Final = 254  # RT_TABLE_MAIN of rtnetlink.h, as is the next
_UNICAST: Final = 1

_HEADER: Final = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
_DESTINATION_LENGTH: Final = _HEADER.size + 1
"""Where struct rtmsg has its dst_len."""
_ANY: Final = bytes(16)
"""A request's body that asks for everything: struct ifinfomsg of zeros, and long enough for the other kinds."""


Defaults = Mapping[int, tuple[Address, ...]]
"""By index, the interfaces that a default route leaves through, each with the routers that it leaves to."""


class Table:
    """What netlink has said of the interfaces, message by message. Pure, but for pyroute2's message type."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}
        self._carrier_ups: dict[int, int] = {}
        self._addresses: dict[int, dict[Interface, bool]] = {}
        self._defaults: Defaults = {}
        self.changed: set[int] = set()
        """Indexes that messages were about; whoever looks clears it."""
        self.routes_stale = False
        """Default routes must be read again, for the kernel removes some without a word; whoever does clears it."""
        self._learners: dict[int, Callable[[Any], None]] = {
            rtnl.RTM_NEWLINK: self._new_link,
            rtnl.RTM_DELLINK: self._deleted_link,
            rtnl.RTM_NEWADDR: self._new_address,
            rtnl.RTM_DELADDR: self._deleted_address,
            rtnl.RTM_NEWROUTE: self._route,
            rtnl.RTM_DELROUTE: self._route,
        }

    def get(self, index: int) -> Link | None:
        """The interface of an index, put together."""
        link = self._links.get(index)
        addresses = self._addresses.get(index, {})
        if link is None or not (addresses or index in self._defaults):
            return link
        ordered = sorted(
            addresses, key=lambda each: (each.version, addresses[each], each.ip.packed, each.network.prefixlen)
        )
        return replace(
            link,
            addresses=tuple(ordered),
            default_route=index in self._defaults,
            gateways=self._defaults.get(index, ()),
        )

    def indexes(self) -> frozenset[int]:
        """All interfaces."""
        return frozenset(self._links)

    def learn(self, message: Any) -> None:
        """Take one message of any kind; those that say nothing of an interface change nothing."""
        learn = self._learners.get(message["header"]["type"])
        if learn is not None:
            learn(message)

    def set_defaults(self, defaults: Defaults) -> None:
        """Which interfaces have a default route."""
        both = defaults.keys() | self._defaults.keys()
        self.changed |= {index for index in both if defaults.get(index) != self._defaults.get(index)}
        self._defaults = defaults

    def take_over(self, before: Table) -> None:
        """This table was read anew: keep what only the former one can know, and call everything changed."""
        for index, link in self._links.items():
            former = before._links.get(index)
            if former is not None:
                flapped = link.usable and (not former.usable or self._carrier_ups[index] != before._carrier_ups[index])
                self._links[index] = replace(link, returns=former.returns + flapped)
        self.changed |= before.changed | before.indexes() | self.indexes()

    def _new_link(self, message: Any) -> None:
        if message.get_attr("IFLA_WIRELESS") is not None:  # an event of the radio, most attributes missing
            return
        index = message["index"]
        flags = message["flags"]
        former = self._links.get(index)
        link = Link(
            name=message.get_attr("IFLA_IFNAME"),
            index=index,
            mac=bytes.fromhex((message.get_attr("IFLA_ADDRESS") or "").replace(":", "")),
            up=bool(flags & _UP),
            carrier=bool(flags & _LOWER_UP),
            master=message.get_attr("IFLA_MASTER") or 0,
            kind=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
            ethernet=message["ifi_type"] == _ETHERNET and not flags & (_LOOPBACK | _NOARP),
            returns=former.returns if former is not None else 0,
        )
        ups = message.get_attr("IFLA_CARRIER_UP_COUNT") or 0
        if former is not None:
            if link.usable and (not former.usable or ups != self._carrier_ups[index]):
                link = replace(link, returns=link.returns + 1)
            if former.up and not link.up and index in self._defaults:
                self.routes_stale = True
        self._links[index] = link
        self._carrier_ups[index] = ups
        self.changed.add(index)

    def _deleted_link(self, message: Any) -> None:
        index = message["index"]
        self._links.pop(index, None)
        self._carrier_ups.pop(index, None)
        self._addresses.pop(index, None)
        self._defaults = {other: hops for other, hops in self._defaults.items() if other != index}
        self.changed.add(index)

    def _new_address(self, message: Any) -> None:
        address = _address(message)
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        tentative = flags & _TENTATIVE and not flags & _OPTIMISTIC
        if tentative or flags & _DAD_FAILED or (address.version == 6 and flags & _TEMPORARY):  # noqa: PLR2004
            self._deleted_address(message)
            return
        self._addresses.setdefault(message["index"], {})[address] = bool(flags & _TEMPORARY)
        self.changed.add(message["index"])

    def _deleted_address(self, message: Any) -> None:
        index = message["index"]
        self._addresses.get(index, {}).pop(_address(message), None)
        self.changed.add(index)
        if index in self._defaults:
            self.routes_stale = True

    def _route(self, _: Any) -> None:
        self.routes_stale = True


def _address(message: Any) -> Interface:
    # Of a point-to-point link IFA_ADDRESS is the other end's.
    own = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return ip_interface(f"{own}/{message['prefixlen']}")


class KernelLinks:
    """``Links`` of the network namespace that it is opened in; an asynchronous context manager.

    Raises:
        HostError: at entering; netlink refuses.
    """

    def __init__(self) -> None:
        self._table = Table()
        self._delivered: dict[int, Link] = {}
        self._view: Mapping[str, Link] | None = None
        self._wake = asyncio.Event()
        self._stale = asyncio.Event()
        self._lost = False
        self._marshal = MarshalRtnl()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
            )
        except OSError as error:
            raise HostError(f"can't open a netlink socket: {error.strerror}") from error
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            filters.attach(self._socket, filters.netlink_events())
            # Events first, then the dump: what happens in between is told twice rather than never.
            self._socket.bind((0, _GROUPS))
            await self._read_all()
        except (OSError, NetlinkError) as error:
            self._close()
            raise HostError(f"can't read the interfaces by netlink: {error}") from error
        except BaseException:
            self._close()
            raise
        self._delivered = {index: link for index in self._table.indexes() if (link := self._table.get(index))}
        self._table.changed.clear()
        self._told()
        self._keeper = asyncio.create_task(self._keep(), name="links")
        self._keeper.add_done_callback(lambda _: self._wake.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        self._close()

    def _close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def snapshot(self) -> Mapping[str, Link]:
        if self._view is None:
            links = filter(None, (self._table.get(index) for index in self._table.indexes()))
            self._view = MappingProxyType({link.name: link for link in links})
        return self._view

    async def __aiter__(self) -> AsyncIterator[LinkChange]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._keeper.done():
                self._keeper.result()
            changed, self._table.changed = self._table.changed, set()
            for number, index in enumerate(sorted(changed), start=1):
                if number % _BATCH == 0:
                    await asyncio.sleep(0)
                after = self._table.get(index)
                what = change(self._delivered.pop(index, None), after)
                if after is not None:
                    self._delivered[index] = after
                if what is not None:
                    yield what

    def _read(self) -> None:
        for _ in range(_BATCH):
            try:
                data = self._socket.recv(_LONGEST)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: events were dropped
                self._lost = True
                break
            for message in self._marshal.parse(data):
                if message["header"]["error"] is not None:
                    self._lost = True
                else:
                    self._table.learn(message)
        self._told()

    def _told(self) -> None:
        if self._lost or self._table.routes_stale:
            self._stale.set()
        if self._table.changed:
            self._view = None
            self._wake.set()

    async def _keep(self) -> None:
        """Read anew what events alone don't tell."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                if self._lost:
                    await self._read_all()
                else:
                    self._table.routes_stale = False  # before asking: a change meanwhile must ask again
                    self._table.set_defaults(await _defaults())
            except (OSError, NetlinkError) as error:
                _log.warning("can't read the interfaces; trying again", error=str(error))
                await asyncio.sleep(_RETRY)
                self._stale.set()
            self._told()

    async def _read_all(self) -> None:
        # Events wait in the kernel meanwhile, to be learnt by the new table.
        self._loop.remove_reader(self._socket)
        fresh = Table()
        try:
            whole = await _fill(fresh)
            fresh.set_defaults(await _defaults())
        finally:
            self._loop.add_reader(self._socket, self._read)
        self._lost = not whole  # only now: if the routes were refused, all of it is read again
        fresh.take_over(self._table)
        self._table = fresh


async def _fill(table: Table) -> bool:
    """Read links and addresses; whether nothing changed in the middle of it."""
    whole = True
    for kind in (rtnl.RTM_GETLINK, rtnl.RTM_GETADDR):
        async for message in _dump(kind):
            whole = whole and not message["header"]["flags"] & NLM_F_DUMP_INTR
            table.learn(message)
    return whole


async def _defaults() -> Defaults:
    """The interfaces that a default route of the main table leaves through."""
    found: dict[int, set[Address]] = {}
    async for message in _dump(rtnl.RTM_GETROUTE):
        if message["header"]["type"] == rtnl.RTM_NEWROUTE and _is_main(message):
            hops = [(hop["oif"], hop) for hop in message.get_attr("RTA_MULTIPATH") or ()]
            for index, hop in [*hops, (message.get_attr("RTA_OIF"), message)]:
                if index:
                    found.setdefault(index, set()).update(_gateway(hop))
    return {index: tuple(sorted(hops, key=lambda hop: (hop.version, hop.packed))) for index, hops in found.items()}


def _gateway(hop: Any) -> Iterator[Address]:
    # RTA_VIA is the next hop of another family than the route's, as IPv4 by way of an IPv6 router (RFC 5549).
    via = hop.get_attr("RTA_VIA")
    address = hop.get_attr("RTA_GATEWAY") or (via and via["addr"])
    if address:
        yield ip_address(address)


def _is_main(route: Any) -> bool:
    table = route.get_attr("RTA_TABLE") or route["table"]
    return bool(route["type"] == _UNICAST and table == _MAIN_TABLE)


async def _dump(kind: int) -> AsyncIterator[Any]:
    """Every message of a dump, the last one too, but for routes to anything else than everywhere.

    In small pieces, between which others have the event loop: some hundred links take tenths of a second.

    Raises:
        OSError, NetlinkError: the kernel refuses.
    """
    loop = asyncio.get_running_loop()
    marshal = MarshalRtnl()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE) as asked:
        request = _HEADER.pack(_HEADER.size + len(_ANY), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + _ANY
        asked.sendto(request, (0, 0))
        while True:
            for piece in _pieces(await loop.sock_recv(asked, _DUMP_PIECE)):
                if _HEADER.unpack_from(piece)[1] == rtnl.RTM_NEWROUTE and piece[_DESTINATION_LENGTH] != 0:
                    continue
                for message in marshal.parse(piece):
                    header = message["header"]
                    if header["error"] is not None:
                        raise header["error"]
                    yield message
                    if header["type"] == NLMSG_DONE:
                        return
            await asyncio.sleep(0)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Single messages of what one read gave."""
    at = 0
    while at + _HEADER.size <= len(data):
        length = max(_HEADER.size, _HEADER.unpack_from(data, at)[0])
        yield data[at : at + length]
        at += (length + 3) & ~3
