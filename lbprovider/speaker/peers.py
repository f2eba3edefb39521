"""Where the other speakers of a LAN are reached, and the keys that datagrams to and from them are signed with.

ELECTION.md C3, C12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import structlog

from lbprovider.errors import WireError
from lbprovider.wire import heartbeat
from lbprovider.wire.heartbeat import Heartbeat
from lbprovider.wire.seal import Key, Opened, seal, signing, unseal

Keys = Callable[[], Sequence[Key]]
"""The keys that are accepted now, newest first; at least one."""

log = structlog.get_logger(__name__)


class Peers:
    """Addresses and keys of the speakers of one LAN; only nodes that registered or signed a datagram are kept.

    Args:
        keys: asked at each datagram.
        send: puts a datagram on the LAN.
    """

    def __init__(self, keys: Keys, send: Callable[[bytes, str], None]) -> None:
        self._keys = keys
        self._send = send
        self._addresses: dict[str, str] = {}
        self._holds: dict[str, int] = {}
        self._newest: dict[str, tuple[int, int, int]] = {}

    def registered(self, node: str, address: str) -> None:
        """A peer's Lease names another address than before; empty: it is no longer on this LAN."""
        if address:
            self._addresses[node] = address
        else:
            self._addresses.pop(node, None)
            self._holds.pop(node, None)
            self._newest.pop(node, None)

    def read(self, datagram: bytes) -> tuple[Opened, Heartbeat]:
        """A datagram, with its seal checked first.

        Raises:
            WireError: it is to be dropped.
        """
        opened = unseal(datagram, self._keys())
        return opened, heartbeat.decode(opened.payload)

    def heard(self, beat: Heartbeat, source: str, opened: Opened) -> None:
        """A signed datagram came, and counted: the peer is where it came from, whatever its Lease still says (DHCP).

        Only a newer one moves the peer: anybody on the LAN can send a recorded one again, from anywhere.
        """
        order = beat.incarnation, beat.sent, beat.number
        if order > self._newest.get(beat.node, (0, 0, -1)):
            self._newest[beat.node] = order
            self._addresses[beat.node] = source
            self._holds[beat.node] = opened.holds

    def send(self, node: str, beat: Heartbeat, live: Iterable[str]) -> None:
        """Sends to a peer, if it is known where.

        Args:
            node: to whom.
            beat: what.
            live: the peers whose promise is live: the newest key is used once all of them hold it.
        """
        address = self._addresses.get(node)
        if address is None:
            return
        keys = self._keys()
        try:
            payload = heartbeat.encode(beat)
        except WireError:
            log.exception("a bug in lbprovider: a heartbeat can't be written", peer=node)
            return
        key = signing(keys, (self._holds[peer] for peer in live if peer in self._holds))
        self._send(seal(payload, key, keys[0].id), address)
