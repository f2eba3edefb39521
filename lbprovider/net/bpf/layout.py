"""Where things are: in the maps, in a frame, in the kernel's structures, on the program's stack."""

from __future__ import annotations

import struct
from typing import Final

# ---- maps

KEY: Final = struct.Struct("=I16s")
"""Bytes of the packed address, and the address, filled up with zeros."""
ENTRY: Final = struct.Struct("=I6s2x")
"""Which word holds the deadline (ns of CLOCK_BOOTTIME), and the hardware address to answer with."""
ENTRY_MAC: Final = 4
"""Where in an entry the hardware address is."""
ANSWERED: Final = {"IPv4": 0, "IPv6": 1}
"""The words that count answers, by family."""
FIRST_DEADLINE: Final = 2
"""The first word that may hold a deadline."""

# ---- struct __sk_buff of linux/bpf.h

PACKET_TYPE: Final = 4
PROTOCOL: Final = 16
TAGGED: Final = 20
INTERFACE: Final = 40

# ---- frames, as wire.arp.FRAME and wire.ndp.FRAME have them

DESTINATION: Final = 0
SOURCE: Final = 6
KIND: Final = 12

ARP_HEAD: Final = 14
ARP_SENDER_MAC: Final = 22
ARP_SENDER: Final = 28
ARP_TARGET_MAC: Final = 32
ARP_TARGET: Final = 38

VERSION: Final = 14
LENGTH: Final = 18
FOLLOWING: Final = 20
HOPS: Final = 21
SENDER: Final = 22
RECEIVER: Final = 38
MESSAGE: Final = 54
SUM: Final = 56
FLAGS: Final = 58
TARGET: Final = 62
OPTION: Final = 78
OPTION_MAC: Final = 80
ADVERTISEMENT_SIZE: Final = 86

# ---- the stack, from its top down. What a frame keeps at 14 + 8n is aligned there, as the verifier wants it.

ASKED: Final = -94
"""The question, as much of it as was read."""
ANSWER: Final = -190
SOUGHT: Final = -216
"""A key of the table."""
WORD: Final = -220
"""A number of a word."""
