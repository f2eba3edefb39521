"""Neighbor Discovery: Neighbor Solicitation and Advertisement. RFC 4861; duplicate address detection: RFC 4862."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from lbprovider.errors import WireError
from lbprovider.wire import ethernet

ICMPV6: Final = 58
HOP_LIMIT: Final = 255
"""RFC 4861 section 7.1.1: anything lower has passed a router, so its sender is not on this LAN."""
SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
SOLICITED: Final = 0x4000_0000
"""RFC 4861 section 4.4, as is the next: the advertisement answers a solicitation."""
OVERRIDE: Final = 0x2000_0000
"""It replaces what a neighbour cache holds."""

FRAME: Final = struct.Struct("!6s6sHIHBB16s16sBBHI16s")
"""Ethernet destination, source, type; IPv6 (RFC 8200 section 3) version and class and flow, payload length, next
header, hop limit, source, destination; ICMPv6 type, code, checksum, flags, target."""
MESSAGE: Final = 14 + 40
"""Where the ICMPv6 message begins."""
_CHECKSUM: Final = MESSAGE + 2
_HEADER: Final = FRAME.size - MESSAGE
"""Bytes of the message before its options."""

UNSPECIFIED: Final = bytes(16)
"""The source of a solicitation for duplicate address detection (RFC 4862 section 5.4.2)."""
ALL_NODES: Final = bytes.fromhex("ff020000000000000000000000000001")
_SOLICITED_NODE: Final = bytes.fromhex("ff0200000000000000000001ff")  # RFC 4291 section 2.7.1
_SOURCE_LINK_LAYER: Final = 1  # RFC 4861 section 4.6.1, as is the next
_TARGET_LINK_LAYER: Final = 2
_UNIT: Final = 8
"""Option lengths count units of eight bytes."""
_LINK_LAYER_OPTION: Final = struct.Struct("!BB6s")
_PSEUDO: Final = struct.Struct("!16s16sII")  # RFC 8200 section 8.1
_CHECKSUM_MODULUS: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Solicitation:
    """A Neighbor Solicitation that RFC 4861 section 7.1.1 calls valid."""

    target: bytes
    """Packed IPv6 address that is asked for, as are the next two."""
    sender: bytes
    """UNSPECIFIED for duplicate address detection."""
    receiver: bytes
    sender_mac: bytes | None
    """From the source link-layer option; None without one."""
    source: bytes
    """Hardware address in the Ethernet header, as is the next."""
    destination: bytes


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A Neighbor Advertisement that RFC 4861 section 7.1.2 calls valid."""

    target: bytes
    """Packed IPv6 address that is advertised."""
    target_mac: bytes | None
    """From the target link-layer option; None without one."""
    flags: int
    """SOLICITED, OVERRIDE, and whatever else is set."""
    source: bytes
    """Hardware address in the Ethernet header."""


def solicited_node(address: bytes) -> bytes:
    """The multicast group that an address listens on (RFC 4291 section 2.7.1), packed."""
    return _SOLICITED_NODE + address[-3:]


def group_mac(group: bytes) -> bytes:
    """The hardware address of an IPv6 multicast group (RFC 2464 section 7)."""
    return b"\x33\x33" + group[-4:]


def checksum(source: bytes, destination: bytes, message: bytes | memoryview) -> int:
    """The ICMPv6 checksum (RFC 4443 section 2.3) of a message whose checksum field is 0; 0 for one with a right one."""
    pseudo = _PSEUDO.pack(source, destination, len(message), ICMPV6)
    # The ones' complement sum of 16-bit words is the number itself modulo 65535, where 0 stands for 65535.
    whole = b"".join((pseudo, message, b"\0")) if len(message) % 2 else b"".join((pseudo, message))
    return (-int.from_bytes(whole, "big")) % _CHECKSUM_MODULUS


def parse_solicitation(frame: bytes | memoryview) -> Solicitation:
    """Read and check a frame; what follows the IPv6 payload is padding.

    Raises:
        WireError: ``Truncated``, ``VlanTagged``, ``NotSolicitation`` (another type, or extension headers before
            it), ``HopLimit``, ``Checksum``, or ``Malformed`` (the other rules of RFC 4861 section 7.1.1).
    """
    to_mac, from_mac, sender, receiver, _, target, message = _read(frame, SOLICITATION, "NotSolicitation")
    sender_mac = _link_layer(message, _SOURCE_LINK_LAYER)
    if sender == UNSPECIFIED and (sender_mac is not None or receiver != solicited_node(target)):
        raise WireError("Malformed")
    return Solicitation(target, sender, receiver, sender_mac, from_mac, to_mac)


def parse_advertisement(frame: bytes | memoryview) -> Advertisement:
    """Read and check a frame; what follows the IPv6 payload is padding.

    Raises:
        WireError: ``Truncated``, ``VlanTagged``, ``NotAdvertisement`` (another type, or extension headers before
            it), ``HopLimit``, ``Checksum``, or ``Malformed`` (the other rules of RFC 4861 section 7.1.2).
    """
    _, from_mac, _, receiver, flags, target, message = _read(frame, ADVERTISEMENT, "NotAdvertisement")
    target_mac = _link_layer(message, _TARGET_LINK_LAYER)
    if flags & SOLICITED and receiver[0] == ALL_NODES[0]:
        raise WireError("Malformed")
    return Advertisement(target, target_mac, flags, from_mac)


def _read(
    frame: bytes | memoryview, wanted: int, otherwise: str
) -> tuple[bytes, bytes, bytes, bytes, int, bytes, bytes]:
    """What both messages have in common: hardware addresses, addresses, flags, target, and the whole message."""
    if ethernet.ethertype(frame) != ethernet.IPV6:
        raise WireError(otherwise)
    if len(frame) < FRAME.size:
        raise WireError("Truncated")
    to_mac, from_mac, _, first, length, following, hops, sender, receiver, kind, code, _, flags, target = (
        FRAME.unpack_from(frame)
    )
    if first >> 28 != 6 or following != ICMPV6 or kind != wanted:  # noqa: PLR2004  (IP version 6)
        raise WireError(otherwise)
    if hops != HOP_LIMIT:
        raise WireError("HopLimit")
    if not _HEADER <= length <= len(frame) - MESSAGE:
        raise WireError("Truncated")
    message = bytes(frame[MESSAGE : MESSAGE + length])
    if checksum(sender, receiver, message) != 0:
        raise WireError("Checksum")
    if code != 0 or target[0] == ALL_NODES[0] or sender[0] == ALL_NODES[0]:
        raise WireError("Malformed")
    return to_mac, from_mac, sender, receiver, flags, target, message


def _link_layer(message: bytes, wanted: int) -> bytes | None:
    """The first link-layer address of a kind among the options; all of them are checked."""
    found, at, end = None, _HEADER, len(message)
    while at < end:
        if at + 2 > end:
            raise WireError("Malformed")
        size = message[at + 1] * _UNIT
        if size == 0 or at + size > end:  # RFC 4861 section 4.6: length 0 is to be dropped
            raise WireError("Malformed")
        if message[at] == wanted and found is None:
            found = message[at + 2 : at + 8]
        at += size
    return found


def advertisement(target: bytes, mac: bytes, to: bytes, to_mac: bytes, from_mac: bytes | None = None) -> bytes:
    """Tell ``to`` at ``to_mac`` that ``target`` is at ``mac``: override set, target link-layer address given.

    ``from_mac`` is the hardware address that sends it, where that is another one.
    """
    return _advertisement(target, mac, to, to_mac, SOLICITED | OVERRIDE, from_mac=from_mac or mac)


def unsolicited(target: bytes, mac: bytes, from_mac: bytes | None = None) -> bytes:
    """Tell all nodes that ``target`` is at ``mac`` (RFC 4861 section 7.2.6); ``from_mac`` as above.

    Also the answer to duplicate address detection: its sender has no address to be told at (section 7.2.4).
    """
    return _advertisement(target, mac, ALL_NODES, group_mac(ALL_NODES), OVERRIDE, from_mac=from_mac or mac)


def _advertisement(target: bytes, mac: bytes, to: bytes, to_mac: bytes, flags: int, *, from_mac: bytes) -> bytes:
    option = _LINK_LAYER_OPTION.pack(_TARGET_LINK_LAYER, 1, mac)
    return _message(ADVERTISEMENT, flags, target, option, sender=target, mac=from_mac, to=to, to_mac=to_mac)


def _message(
    kind: int, flags: int, target: bytes, option: bytes, *, sender: bytes, mac: bytes, to: bytes, to_mac: bytes
) -> bytes:
    length = _HEADER + len(option)
    bare = FRAME.pack(
        to_mac, mac, ethernet.IPV6, 0x6000_0000, length, ICMPV6, HOP_LIMIT, sender, to, kind, 0, 0, flags, target
    )  # fmt: skip
    frame = bare + option
    found = checksum(sender, to, frame[MESSAGE:])
    return frame[:_CHECKSUM] + found.to_bytes(2, "big") + frame[_CHECKSUM + 2 :]


def probe(target: bytes, mac: bytes) -> bytes:
    """Ask whether anybody has ``target``, without claiming it (RFC 4862 section 5.4.2)."""
    group = solicited_node(target)
    return _solicitation(target, mac, UNSPECIFIED, group, group_mac(group))


def solicitation(target: bytes, mac: bytes, sender: bytes, to_mac: bytes | None = None) -> bytes:
    """Ask who has ``target`` as the host ``sender`` at ``mac``; to one host where its hardware address is known."""
    if to_mac is not None:  # RFC 4861 section 7.2.2: to see whether a known one is still there
        return _solicitation(target, mac, sender, target, to_mac)
    group = solicited_node(target)
    return _solicitation(target, mac, sender, group, group_mac(group))


def _solicitation(target: bytes, mac: bytes, sender: bytes, to: bytes, to_mac: bytes) -> bytes:
    # RFC 4861 section 4.3: no option where there is no sender.
    option = b"" if sender == UNSPECIFIED else _LINK_LAYER_OPTION.pack(_SOURCE_LINK_LAYER, 1, mac)
    return _message(SOLICITATION, 0, target, option, sender=sender, mac=mac, to=to, to_mac=to_mac)
