"""Solicited-node multicast groups of one interface: without them no Neighbor Solicitation reaches us (RFC 4861)."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from lbprovider.errors import HostError
from lbprovider.net.links import Link
from lbprovider.wire import ndp


class Groups(Protocol):
    """Which solicited-node groups this node is in on one interface, told to switches by MLD."""

    def listen(self, addresses: Collection[bytes]) -> None:
        """Be in the groups of these addresses and in no others; IPv4 addresses need none and are skipped.

        Costs one system call for each group that is new or no longer needed.

        Raises:
            HostError: IPv6 is off on the interface, or the kernel holds no more groups; the rest is joined.
        """
        ...

    def rejoin(self) -> None:
        """After the return of a link: leave and join everything, so that switches hear of it.

        Raises:
            HostError: as ``listen``.
        """
        ...

    def close(self) -> None:
        """Leave all. May be called twice."""
        ...


OpenGroups = Callable[[Link], Groups]
"""Opens the interface; takes no system resource before the first group."""

_FULL: Final = frozenset({errno.ENOMEM, errno.ENOBUFS})
"""This socket has no room for another group (net.core.optmem_max); a new one has: one holds some hundred to 2,300."""
_GONE: Final = frozenset({errno.EADDRNOTAVAIL, errno.ENODEV})
"""No such membership, no such interface: nothing is left to leave."""
_REQUEST: Final = struct.Struct("@16si")  # struct ipv6_mreq of in6.h


@dataclass(slots=True)
class _Shard:
    socket: socket.socket
    groups: set[bytes] = field(default_factory=set)


class KernelGroups:
    """``Groups`` as memberships of UDP sockets that receive nothing, as many sockets as it takes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._shards: list[_Shard] = []

    def listen(self, addresses: Collection[bytes]) -> None:
        wanted = {ndp.solicited_node(each) for each in addresses if len(each) == len(ndp.UNSPECIFIED)}
        self._become(wanted)

    def rejoin(self) -> None:
        wanted = self._joined()
        self.close()
        self._become(wanted)

    def close(self) -> None:
        for each in self._shards:
            each.socket.close()  # leaves all its groups
        self._shards.clear()

    def _joined(self) -> set[bytes]:
        return {group for shard in self._shards for group in shard.groups}

    def _become(self, wanted: set[bytes]) -> None:
        for shard in self._shards:
            for group in shard.groups - wanted:
                self._leave(shard, group)
        for shard in self._shards:
            if not shard.groups:
                shard.socket.close()
        self._shards = [each for each in self._shards if each.groups]
        refused: OSError | None = None
        missing = wanted - self._joined()
        for group in sorted(missing):
            try:
                self._join(group)
            except OSError as error:
                refused = error
        if refused is not None:
            lacking = len(wanted - self._joined())
            raise HostError(
                f"can't join {lacking} of {len(wanted)} IPv6 multicast groups on {self._link.name}, so their addresses "
                f"can't be found: {refused.strerror}; see net.ipv6.conf.{self._link.name}.disable_ipv6"
            )

    def _join(self, group: bytes) -> None:
        request = _REQUEST.pack(group, self._link.index)
        for shard in self._shards[-1:]:  # the ones before it are full
            try:
                shard.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            else:
                shard.groups.add(group)
                return
        opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        except OSError:
            opened.close()
            raise
        self._shards.append(_Shard(opened, {group}))

    def _leave(self, shard: _Shard, group: bytes) -> None:
        try:
            request = _REQUEST.pack(group, self._link.index)
            shard.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, request)
        except OSError as error:
            if error.errno not in _GONE:
                raise
        shard.groups.discard(group)
