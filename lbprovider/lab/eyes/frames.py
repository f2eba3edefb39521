"""The few frames that the lab's eyes need: questions for an address, and who says that it has it. Pure.

They are written from the RFCs and share no code with :mod:`lbprovider.wire`: a watcher that reads with the codec of
the watched would share its mistakes.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address

_BROADCAST: Final = b"\xff" * 6
_ARP_TYPE: Final = 0x0806
_IPV6_TYPE: Final = 0x86DD
_ETHERNET: Final = struct.Struct("!6s6sH")
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")  # RFC 826
_ARP_REQUEST: Final = 1
_ARP_REPLY: Final = 2
_IPV6: Final = struct.Struct("!IHBB16s16s")  # RFC 8200 section 3
_ICMPV6: Final = 58
_HOP_LIMIT: Final = 255  # RFC 4861 section 7.1: a smaller one came through a router
_NEIGHBOUR: Final = struct.Struct("!BBHI16s")  # RFC 4861 sections 4.3 and 4.4
_SOLICITATION: Final = 135
_ADVERTISEMENT: Final = 136
_SOLICITED: Final = 0x4000_0000
_OVERRIDE: Final = 0x2000_0000
_SOURCE_LINK_LAYER: Final = 1  # RFC 4861 section 4.6.1, as is the next
_TARGET_LINK_LAYER: Final = 2
_OPTION: Final = struct.Struct("!BB6s")
_ALL_NODES: Final = b"\xff\x02" + bytes(13) + b"\x01"  # RFC 4291 section 2.7.1


class Kind(StrEnum):
    """How an address was claimed."""

    REQUEST = "request"
    """Its owner asked for another address (ARP): the sender fields claim it."""
    REPLY = "reply"
    """An answer, ARP or a solicited Neighbor Advertisement."""
    GRATUITOUS = "gratuitous"
    """Nobody had asked: ARP with sender and target the same, or an unsolicited Neighbor Advertisement."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A frame that says which hardware address an address has."""

    address: Address
    mac: str
    kind: Kind
    source: str
    """The Ethernet source: who sent the frame, whatever it says inside."""
    destination: str


def spell(mac: bytes) -> str:
    """A hardware address as ``aa:bb:cc:dd:ee:ff``."""
    return mac.hex(":")


def question(target: Address, mac: bytes, source: Address) -> bytes:
    """A broadcast ARP request, or a multicast Neighbor Solicitation, for an address.

    Args:
        target: whose hardware address is asked for.
        mac: ours.
        source: our address, of the same family.
    """
    if isinstance(target, IPv4Address):
        body = _ARP.pack(1, 0x0800, 6, 4, _ARP_REQUEST, mac, source.packed, bytes(6), target.packed)
        return _ETHERNET.pack(_BROADCAST, mac, _ARP_TYPE) + body
    group = b"\xff\x02" + bytes(9) + b"\x01\xff" + target.packed[-3:]  # RFC 4291 section 2.7.1
    option = _OPTION.pack(_SOURCE_LINK_LAYER, 1, mac)
    message = _NEIGHBOUR.pack(_SOLICITATION, 0, 0, 0, target.packed) + option
    return _ndp(mac, b"\x33\x33" + group[-4:], source.packed, group, message)


def answer(target: Address, mac: bytes, to_mac: bytes, to_address: Address) -> bytes:
    """The reply to a question."""
    if isinstance(target, IPv4Address):
        body = _ARP.pack(1, 0x0800, 6, 4, _ARP_REPLY, mac, target.packed, to_mac, to_address.packed)
        return _ETHERNET.pack(to_mac, mac, _ARP_TYPE) + body
    option = _OPTION.pack(_TARGET_LINK_LAYER, 1, mac)
    message = _NEIGHBOUR.pack(_ADVERTISEMENT, 0, 0, _SOLICITED | _OVERRIDE, target.packed) + option
    return _ndp(mac, to_mac, target.packed, to_address.packed, message)


def announcement(target: Address, mac: bytes) -> bytes:
    """A claim that nobody has asked for: a gratuitous ARP request, or an unsolicited Neighbor Advertisement to all."""
    if isinstance(target, IPv4Address):
        return question(target, mac, target)
    option = _OPTION.pack(_TARGET_LINK_LAYER, 1, mac)
    message = _NEIGHBOUR.pack(_ADVERTISEMENT, 0, 0, _OVERRIDE, target.packed) + option
    return _ndp(mac, b"\x33\x33" + _ALL_NODES[-4:], target.packed, _ALL_NODES, message)


def _ndp(mac: bytes, to_mac: bytes, source: bytes, destination: bytes, message: bytes) -> bytes:
    """A frame around an ICMPv6 message whose checksum is still zero."""
    pseudo = source + destination + struct.pack("!II", len(message), _ICMPV6)  # RFC 8200 section 8.1
    total = sum(struct.unpack(f"!{(len(pseudo) + len(message)) // 2}H", pseudo + message))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    message = message[:2] + struct.pack("!H", total ^ 0xFFFF) + message[4:]
    header = _IPV6.pack(0x6000_0000, len(message), _ICMPV6, _HOP_LIMIT, source, destination)
    return _ETHERNET.pack(to_mac, mac, _IPV6_TYPE) + header + message


def claim(frame: bytes) -> Claim | None:
    """Who claims which address in a frame; None where nobody claims any (a probe, a question for DAD, rubbish)."""
    if len(frame) < _ETHERNET.size:
        return None
    destination, source, kind = _ETHERNET.unpack_from(frame)
    reader = _READERS.get(kind)
    found = reader(frame) if reader is not None else None
    if found is None:
        return None
    address, mac, how = found
    return Claim(address, spell(mac), how, spell(source), spell(destination))


def asked(frame: bytes) -> tuple[Address, bytes, Address] | None:
    """The address that a frame asks for, the asker's hardware address and its own; None where it asks for none."""
    if len(frame) < _ETHERNET.size:
        return None
    _, source, kind = _ETHERNET.unpack_from(frame)
    if kind == _ARP_TYPE and len(frame) >= _ETHERNET.size + _ARP.size:
        _, _, _, _, operation, mac, sender, _, target = _ARP.unpack_from(frame, _ETHERNET.size)
        return (IPv4Address(target), mac, IPv4Address(sender)) if operation == _ARP_REQUEST else None
    at = _ETHERNET.size + _IPV6.size
    if kind == _IPV6_TYPE and len(frame) >= at + _NEIGHBOUR.size and frame[at] == _SOLICITATION:
        sender = _IPV6.unpack_from(frame, _ETHERNET.size)[4]
        return IPv6Address(_NEIGHBOUR.unpack_from(frame, at)[4]), source, IPv6Address(sender)
    return None


_Found = tuple[Address, bytes, Kind]


def _arp_claim(frame: bytes) -> _Found | None:
    if len(frame) < _ETHERNET.size + _ARP.size:
        return None
    _, _, _, _, operation, mac, sender, _, target = _ARP.unpack_from(frame, _ETHERNET.size)
    if sender == bytes(4):  # RFC 5227 section 2.1.1: a probe claims nothing
        return None
    how = Kind.GRATUITOUS if sender == target else Kind.REPLY if operation == _ARP_REPLY else Kind.REQUEST
    return IPv4Address(sender), mac, how


def _ndp_claim(frame: bytes) -> _Found | None:
    at = _ETHERNET.size + _IPV6.size
    if len(frame) < at + _NEIGHBOUR.size or frame[at] != _ADVERTISEMENT:
        return None
    _, _, _, flags, target = _NEIGHBOUR.unpack_from(frame, at)
    mac = frame[6:12]
    option = at + _NEIGHBOUR.size
    while option + _OPTION.size <= len(frame) and frame[option + 1]:
        kind, length, value = _OPTION.unpack_from(frame, option)
        if kind == _TARGET_LINK_LAYER:
            mac = value
        option += 8 * length
    return IPv6Address(target), mac, Kind.REPLY if flags & _SOLICITED else Kind.GRATUITOUS


_READERS: Final[dict[int, Callable[[bytes], _Found | None]]] = {_ARP_TYPE: _arp_claim, _IPV6_TYPE: _ndp_claim}
