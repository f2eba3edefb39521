"""Frames for whoever answers questions: sound ones, and every way of being none, by chance."""

from __future__ import annotations

import random
from dataclasses import dataclass

from lbprovider.wire import arp, ethernet, ndp

OURS4, LATE4, OTHER4, ASKER4 = (bytes((192, 0, 2, last)) for last in (100, 101, 9, 1))
OURS6, LATE6, OTHER6, ASKER6 = (bytes.fromhex("20010db8") + bytes(11) + bytes((last,)) for last in (100, 101, 9, 1))
"""Held until long after, held but late, not held, and who asks."""
ASKER, ANOTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
_LOWEST = 54
"""Bytes of an IPv6 frame that the kernel lets a program try."""


@dataclass(frozen=True)
class Questions:
    """A maker of frames, all from one seed.

    Args:
        chance: where all choices come from.
        mac: the hardware address that answers.
        link: that of the interface.
    """

    chance: random.Random
    mac: bytes
    link: bytes

    def frame(self) -> bytes:
        frame = bytearray(self.chance.choice((self.arp, self.solicitation))())
        if self.chance.random() < 0.3:
            for _ in range(self.chance.choice((1, 1, 2))):
                frame[self.chance.randrange(len(frame))] ^= 1 << self.chance.randrange(8)
        if self.chance.random() < 0.1:
            lowest = ethernet.HEADER.size if frame[12:14] == b"\x08\x06" else min(_LOWEST, len(frame))
            del frame[self.chance.randrange(lowest, len(frame) + 1) :]
        return bytes(frame) if len(frame) >= _LOWEST or frame[12:14] == b"\x08\x06" else self.frame()

    def arp(self) -> bytes:
        pick = self.chance.choice
        sender_mac = pick((ASKER, ASKER, self.mac, ethernet.BROADCAST, ANOTHER))
        source = pick((sender_mac, sender_mac, sender_mac, self.mac, ANOTHER))
        destination = pick((ethernet.BROADCAST, ethernet.BROADCAST, self.link, ANOTHER))
        head = pick((arp.REQUEST_HEAD,) * 4 + (arp.REPLY_HEAD,))
        sender = pick((ASKER4, ASKER4, arp.UNSPECIFIED, OURS4))
        target = pick((OURS4, OURS4, OURS4, LATE4, OTHER4))
        padding = bytes(pick((0, 18)))
        question = (destination, source, ethernet.ARP, head, sender_mac, sender, pick((arp.NOBODY, self.mac)), target)
        return arp.FRAME.pack(*question) + padding

    def solicitation(self) -> bytes:
        pick = self.chance.choice
        sender_mac = pick((ASKER, ASKER, ASKER, self.mac, ethernet.BROADCAST))
        option = pick(
            (
                b"",
                b"\x01\x01" + sender_mac,
                b"\x01\x01" + sender_mac,
                b"\x0e\x01nonce!",
                b"\x01\x02" + sender_mac,
                b"\x01\x00" + sender_mac,
                b"\x01\x01" + sender_mac + b"\x0e\x01nonce!",
                self.chance.randbytes(self.chance.randrange(9)),
            )
        )
        target = pick((OURS6, OURS6, OURS6, LATE6, OTHER6, ndp.ALL_NODES))
        sender = pick((ASKER6, ASKER6, ASKER6, ndp.UNSPECIFIED, ndp.UNSPECIFIED, OURS6, ndp.ALL_NODES))
        receiver = pick((ndp.solicited_node(target),) * 4 + (target, self._near(ndp.solicited_node(target))))
        destination = pick((ndp.group_mac(receiver), ndp.group_mac(receiver), self.link, ANOTHER))
        length = 24 + len(option) + pick((0,) * 8 + (8, -1))
        hops, code = pick((255,) * 8 + (64,)), pick((0,) * 8 + (1,))
        first = pick((6,) * 16 + (4, 7)) << 28 | self.chance.getrandbits(28)
        head = (
            destination, pick((sender_mac, sender_mac, ANOTHER)), ethernet.IPV6, first, length, ndp.ICMPV6, hops,
            sender, receiver, ndp.SOLICITATION, code,
        )  # fmt: skip
        flags = self.chance.getrandbits(32)
        bare = ndp.FRAME.pack(*head, 0, flags, target) + option
        summed = ndp.checksum(sender, receiver, bare[ndp.MESSAGE :][:length])
        return ndp.FRAME.pack(*head, summed, flags, target) + option + bytes(pick((0, 0, 4)))

    def _near(self, address: bytes) -> bytes:
        """One that differs in one byte."""
        at = self.chance.randrange(len(address))
        return address[:at] + bytes((address[at] ^ 1,)) + address[at + 1 :]
