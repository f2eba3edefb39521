"""What a frame says of who has an address: what everybody on the LAN who hears it believes from then on."""

from __future__ import annotations

from typing import Final, NamedTuple

from lbprovider.errors import WireError
from lbprovider.wire import arp, ethernet, ndp

_ARP_HIGH, _ARP_LOW = ethernet.ARP.to_bytes(2, "big")
_OPERATIONS: Final = frozenset({arp.REQUEST_HEAD, arp.REPLY_HEAD})


class Said(NamedTuple):
    """A host says something of an address (packed). A tuple, for a LAN may send tens of thousands a second."""

    address: bytes
    mac: bytes
    """The hardware address that it says has it; of a probe, the prober's."""
    is_probe: bool = False
    """It asks whether anybody has the address, to take it if nobody has."""
    is_answer: bool = False
    """It was sent to one host alone, as an answer is."""


def read(frame: bytes | memoryview) -> Said | None:
    """What a frame says; None where it says nothing, or nothing that can be true."""
    is_arp = len(frame) >= arp.FRAME.size and frame[12] == _ARP_HIGH and frame[13] == _ARP_LOW
    said = _read_arp(frame) if is_arp else _read_ndp(frame)
    # Nobody's own hardware address: a claim that can't be true moves nobody's traffic.
    return None if said is None or ethernet.is_group(said.mac) or said.mac == arp.NOBODY else said


def _read_arp(frame: bytes | memoryview) -> Said | None:
    destination, _, _, head, mac, sender, _, target = arp.FRAME.unpack_from(frame)
    if head not in _OPERATIONS:
        return None
    if sender == arp.UNSPECIFIED:
        return Said(target, mac, is_probe=True) if head == arp.REQUEST_HEAD else None
    return Said(sender, mac, is_answer=head == arp.REPLY_HEAD and not ethernet.is_group(destination))


def _read_ndp(frame: bytes | memoryview) -> Said | None:
    try:
        told = ndp.parse_advertisement(frame)
        return Said(told.target, told.target_mac or told.source, is_answer=bool(told.flags & ndp.SOLICITED))
    except WireError as error:
        if error.reason != "NotAdvertisement":
            return None
    try:
        asked = ndp.parse_solicitation(frame)
    except WireError:
        return None
    if asked.sender == ndp.UNSPECIFIED:
        return Said(asked.target, asked.source, is_probe=True)
    return Said(asked.sender, asked.sender_mac or asked.source)
