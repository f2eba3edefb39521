"""Forwards in the kernel: what comes for an address and port goes to another one (destination NAT by nftables).

They are in one table of ours, in the network namespace that this is opened in: two maps, and one rule a family and
chain that looks things up there, so that a thousand forwards cost a packet what one does (``nftables_messages``).
No ``nft`` program is needed, but Linux 5.2 (NAT in inet tables) and CAP_NET_ADMIN in the namespace, which the root of a
user namespace has in its own.

The socket is our own: pyroute2's makes a transaction of each message, and what is replaced must be replaced at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, Self

from pyroute2.netlink import NETLINK_NETFILTER, NLMSG_ERROR

from lbprovider.errors import HostError
from lbprovider.net.nftables_messages import (
    HEADER,
    TRANSACTION,
    Backend,
    Frontend,
    Message,
    changes,
    no_table,
    packed,
    structure,
    table,
    transactions,
)

_NETLINK: Final = 270  # SOL_NETLINK of linux/socket.h
_CAP_ACK: Final = 10  # NETLINK_CAP_ACK of linux/netlink.h: an error doesn't repeat the message that it is about
_ERROR: Final = struct.Struct("=i")  # struct nlmsgerr, likewise, begins with the error number below zero
_LONGEST: Final = 4096
"""Bytes of an answer, which is a header and an error."""

_ADVICE: Final[Mapping[int | None, str]] = MappingProxyType(
    {
        errno.EPERM: "it takes CAP_NET_ADMIN in the network namespace",
        errno.ENOMEM: "the machine is out of memory",
        errno.ENOBUFS: "the machine is out of memory",
    }
)
_NEEDED: Final = (
    "it takes Linux 5.2 with CONFIG_NF_TABLES_INET and CONFIG_NFT_NAT (modules nf_tables, nft_chain_nat and nft_nat)"
)


class Forwards(Protocol):
    """What is forwarded in a network namespace."""

    def replace(self, wanted: Mapping[Frontend, Backend]) -> None:
        """Forward these and no others.

        All changes are one transaction: a packet meets the old ones or the new ones. Only more of them than
        ``nftables_messages.TRANSACTION`` take several, removals first. What flows already goes on where it went.

        Raises:
            HostError: the kernel refuses. What there is then is as before, or some of the new where it took several
                transactions; the next call puts it right.
            ValueError: a bug: a protocol that can't be forwarded, or a backend of the other family.
        """
        ...


class KernelForwards:
    """``Forwards`` in the network namespace that this is made in, from wherever it is called then.

    The first replacement, and one after a failure, take over from whoever had the table before. The forwards stay when
    this is closed or the process ends.

    Args:
        name: of the table.

    Raises:
        HostError: this kernel has no nfnetlink.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: Mapping[Frontend, Backend] | None = None  # what the kernel has, where we know
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
        except OSError as error:
            raise _refusal("nfnetlink", error) from error
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * TRANSACTION)
        self._socket.setsockopt(_NETLINK, _CAP_ACK, 1)
        self._socket.bind((0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go; the forwards stay."""
        self._socket.close()

    def check(self) -> None:
        """Have the kernel make all that is needed, and take it away again at once; forwards that are there stay.

        Raises:
            HostError: what it refuses.
        """
        trial = f"{self._name}-trial"
        self._settle([*structure(trial), no_table(trial)])

    def replace(self, wanted: Mapping[Frontend, Backend]) -> None:
        """See ``Forwards.replace``."""
        known, self._known = self._known, None
        if known is not None:
            with contextlib.suppress(HostError):  # somebody took our table away, say: it is made anew
                self._change((), known, wanted)
                return
        self._change((table(self._name), no_table(self._name), *structure(self._name)), {}, wanted)

    def _change(
        self, first: Sequence[Message], known: Mapping[Frontend, Backend], wanted: Mapping[Frontend, Backend]
    ) -> None:
        for batch in transactions(first, changes(self._name, known, wanted)):
            self._settle(batch)
        self._known = dict(wanted)

    def _settle(self, batch: Sequence[Message]) -> None:
        """One transaction and its answers, which are there when ``send`` returns."""
        try:
            self._socket.send(packed(batch))
            answers = tuple(self._answers())
        except OSError as error:
            raise _refusal("a transaction", error) from error
        if not answers:
            raise _refusal("a transaction", OSError(errno.EPROTO, "no answer"))
        for place, number in answers:
            if number != 0:
                what = batch[place - 1].what if 0 < place <= len(batch) else "a transaction"
                raise _refusal(what, OSError(number, os.strerror(number)))

    def _answers(self) -> Iterator[tuple[int, int]]:
        """The places of messages in the transaction with their error numbers, 0 for the acknowledgement."""
        while True:
            try:
                data = self._socket.recv(_LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            _, kind, _, place, _ = HEADER.unpack_from(data)
            if kind == NLMSG_ERROR:
                (number,) = _ERROR.unpack_from(data, HEADER.size)
                yield place, -number


def _refusal(what: str, error: OSError) -> HostError:
    advice = _ADVICE.get(error.errno, _NEEDED)
    return HostError(f"the kernel refuses to forward by nftables ({what}: {error.strerror}): {advice}")
