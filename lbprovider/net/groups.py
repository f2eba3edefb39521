"""Solicited-node multicast groups of one interface: without them no Neighbor Solicitation reaches us (RFC 4861)."""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from lbprovider.errors import HostError
from lbprovider.net.links import Link
from lbprovider.wire import ndp


class Groups(Protocol):
    """Which solicited-node groups this node is in on one interface, told to switches by MLD.

    Thousands of groups take the kernel tenths of a second, so what is to be changed is only noted, and each call of
    ``work`` changes a portion.
    """

    def listen(self, addresses: Iterable[bytes]) -> None:
        """Be in the groups of these addresses and in no others; IPv4 addresses need none and are skipped.

        The first ones are joined first. Costs one system call for each group that is new or no longer needed.
        """
        ...

    def rejoin(self) -> None:
        """After the return of a link: leave and join everything, so that switches hear of it."""
        ...

    def work(self) -> bool:
        """Changes the next portion; whether there is more to do.

        Raises:
            HostError: IPv6 is off on the interface, or the kernel holds no more groups; the rest is joined.
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
PORTION: Final = 100
"""Groups changed in one call: some ms even where there are thousands, for each costs more the more there are."""
_REQUEST: Final = struct.Struct("@16si")  # struct ipv6_mreq of in6.h


@dataclass(slots=True, eq=False)
class _Shard:
    socket: socket.socket
    groups: int
    """How many it holds."""


class KernelGroups:
    """``Groups`` as memberships of UDP sockets that receive nothing, as many sockets as it takes."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._shards: list[_Shard] = []
        self._joined: dict[bytes, _Shard] = {}
        # What is to be done, in this order: to leave, to join, to leave and join.
        self._leaves: deque[bytes] = deque()
        self._joins: deque[bytes] = deque()
        self._again: deque[bytes] = deque()
        self._refused: dict[bytes, OSError] = {}

    def listen(self, addresses: Iterable[bytes]) -> None:
        wanted = dict.fromkeys(ndp.solicited_node(each) for each in addresses if len(each) == len(ndp.UNSPECIFIED))
        self._leaves = deque(group for group in self._joined if group not in wanted)
        self._joins = deque(group for group in wanted if group not in self._joined)
        self._again = deque(group for group in self._again if group in wanted)
        self._refused.clear()  # what of it is still wanted is tried again

    def rejoin(self) -> None:
        self._again = deque(self._joined)

    def work(self) -> bool:
        for _ in range(PORTION):
            if self._leaves:
                self._leave(self._leaves.popleft())
            elif self._joins:
                self._try(self._joins.popleft())
            elif self._again:
                group = self._again.popleft()
                if group in self._joined:
                    self._leave(group)
                    self._try(group)
            else:
                break
        more = bool(self._leaves or self._joins or self._again)
        if self._refused and not more:
            lacking, refused = len(self._refused), next(iter(self._refused.values()))
            self._refused.clear()
            raise HostError(
                f"can't join {lacking} of {lacking + len(self._joined)} IPv6 multicast groups on {self._link.name}, so "
                f"their addresses can't be found: {refused.strerror}; see net.ipv6.conf.{self._link.name}.disable_ipv6"
            )
        return more

    def close(self) -> None:
        for each in self._shards:
            each.socket.close()  # leaves all its groups
        self._shards.clear()
        for some in (self._joined, self._leaves, self._joins, self._again, self._refused):
            some.clear()

    def _try(self, group: bytes) -> None:
        try:
            self._joined[group] = self._join(group)
        except OSError as error:
            self._refused[group] = error

    def _join(self, group: bytes) -> _Shard:
        request = _REQUEST.pack(group, self._link.index)
        for shard in self._shards[-1:]:  # the ones before it are full
            try:
                shard.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
            else:
                shard.groups += 1
                return shard
        opened = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        except OSError:
            opened.close()
            raise
        self._shards.append(_Shard(opened, 1))
        return self._shards[-1]

    def _leave(self, group: bytes) -> None:
        shard = self._joined.pop(group)
        shard.groups -= 1
        try:
            request = _REQUEST.pack(group, self._link.index)
            shard.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, request)
        except OSError as error:
            if error.errno not in _GONE:
                raise
        if not shard.groups:
            shard.socket.close()
            self._shards.remove(shard)
