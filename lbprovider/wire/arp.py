"""ARP for IPv4 on Ethernet: RFC 826; probes and announcements: RFC 5227."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from lbprovider.errors import WireError
from lbprovider.wire import ethernet

REQUEST: Final = 1
REPLY: Final = 2

FRAME: Final = struct.Struct("!6s6sH8s6s4s6s4s")
"""Ethernet destination, source, type; ``REQUEST_HEAD`` or ``REPLY_HEAD``; sender MAC and IP; target MAC and IP."""
_HEAD: Final = struct.Struct("!HHBBH")
REQUEST_HEAD: Final = _HEAD.pack(1, 0x0800, 6, 4, REQUEST)
"""Hardware type Ethernet, protocol type IPv4, their lengths, operation."""
REPLY_HEAD: Final = _HEAD.pack(1, 0x0800, 6, 4, REPLY)

NOBODY: Final = bytes(6)
"""The target hardware address of a question: not known."""
UNSPECIFIED: Final = bytes(4)
"""The sender address of a probe: the asker has none yet (RFC 5227 section 1.1)."""

_OPERATIONS: Final = {REQUEST_HEAD: REQUEST, REPLY_HEAD: REPLY}


@dataclass(frozen=True, slots=True)
class Arp:
    """One ARP frame."""

    operation: int
    """REQUEST or REPLY."""
    sender_mac: bytes
    sender: bytes
    """Packed IPv4 address; UNSPECIFIED in a probe."""
    target_mac: bytes
    target: bytes
    source: bytes
    """Hardware address in the Ethernet header, as is the next."""
    destination: bytes

    @property
    def is_probe(self) -> bool:
        """RFC 5227 section 1.1: asks whether anybody has the address before its sender uses it."""
        return self.operation == REQUEST and self.sender == UNSPECIFIED

    @property
    def is_gratuitous(self) -> bool:
        """Announces the sender's own address, in either form, and asks nothing (RFC 5227 section 3)."""
        return self.sender == self.target


def parse(frame: bytes | memoryview) -> Arp:
    """Read a frame; what follows the 42 bytes is padding.

    Raises:
        WireError: ``Truncated``, ``VlanTagged``, ``NotArp``, or ``UnknownArp`` (another hardware, protocol or
            operation).
    """
    if ethernet.ethertype(frame) != ethernet.ARP:
        raise WireError("NotArp")
    if len(frame) < FRAME.size:
        raise WireError("Truncated")
    destination, source, _, head, sender_mac, sender, target_mac, target = FRAME.unpack_from(frame)
    operation = _OPERATIONS.get(head)
    if operation is None:
        raise WireError("UnknownArp")
    return Arp(operation, sender_mac, sender, target_mac, target, source, destination)


def reply(address: bytes, mac: bytes, to: bytes, to_mac: bytes) -> bytes:
    """Tell ``to`` at ``to_mac`` that ``address`` is at ``mac``."""
    return FRAME.pack(to_mac, mac, ethernet.ARP, REPLY_HEAD, mac, address, to_mac, to)


def gratuitous_request(address: bytes, mac: bytes) -> bytes:
    """Announce in the form that RFC 5227 section 2.3 asks for; target hardware address 0."""
    return FRAME.pack(ethernet.BROADCAST, mac, ethernet.ARP, REQUEST_HEAD, mac, address, NOBODY, address)


def gratuitous_reply(address: bytes, mac: bytes) -> bytes:
    """Announce in the other form, for those who learn from replies only; target hardware address = sender's.

    Linux takes a reply with a broadcast target hardware address for none and ignores it for young entries.
    """
    return FRAME.pack(ethernet.BROADCAST, mac, ethernet.ARP, REPLY_HEAD, mac, address, mac, address)


def probe(address: bytes, mac: bytes) -> bytes:
    """Ask whether anybody has ``address``, without claiming it (RFC 5227 section 2.1.1)."""
    return FRAME.pack(ethernet.BROADCAST, mac, ethernet.ARP, REQUEST_HEAD, mac, UNSPECIFIED, NOBODY, address)


def request(address: bytes, mac: bytes, sender: bytes, to_mac: bytes = ethernet.BROADCAST) -> bytes:
    """Ask who has ``address`` as the host ``sender`` at ``mac``; to one host where its hardware address is known.

    A known host is asked as RFC 1122 section 2.3.2.1 (2) polls one: nobody else is disturbed.
    """
    return FRAME.pack(to_mac, mac, ethernet.ARP, REQUEST_HEAD, mac, sender, NOBODY, address)
