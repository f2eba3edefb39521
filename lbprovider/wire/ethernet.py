"""Ethernet II headers. IEEE 802.3 clause 3; types from the IANA registry "IEEE 802 Numbers"."""

from __future__ import annotations

import struct
from typing import Final

from lbprovider.errors import WireError

ARP: Final = 0x0806
IPV6: Final = 0x86DD
VLAN_TAGS: Final = frozenset({0x8100, 0x88A8})  # IEEE 802.1Q, 802.1ad

BROADCAST: Final = b"\xff" * 6
HEADER: Final = struct.Struct("!6s6sH")
"""Destination, source, type."""


def is_group(mac: bytes) -> bool:
    """Whether a hardware address names many (multicast, broadcast): nobody's own, never a place for an answer."""
    return bool(mac[0] & 1)


def mac(text: str) -> bytes:
    """The hardware address of one host, from the form ``02:00:00:00:00:01``.

    Raises:
        ValueError: it is none.
    """
    packed = bytes.fromhex(text.replace(":", ""))
    if len(packed) != len(BROADCAST) or is_group(packed):
        raise ValueError(f"{text!r} is no hardware address of a host")
    return packed


def ethertype(frame: bytes | memoryview) -> int:
    """The type of a frame.

    Raises:
        WireError: ``Truncated``, or ``VlanTagged``: a frame of a VLAN whose interface is another one than this.
    """
    if len(frame) < HEADER.size:
        raise WireError("Truncated")
    kind: int = HEADER.unpack_from(frame)[2]
    if kind in VLAN_TAGS:
        raise WireError("VlanTagged")
    return kind
