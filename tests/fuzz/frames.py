"""Frames that nobody should send, from nobody's or a member's hardware address, to the owner of an address and others.

Structure-aware: our own questions and announcements with fields that are wrong in one way or another, and scapy's idea
of ARP and Neighbor Discovery with random fields, cut and changed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import fuzz

from lbprovider.wire import arp, ethernet, ndp
from tests.fuzz.datagrams import NODES, Fuzzed, lan_of_three
from tests.unit.speaker.test_speaker_lan import MS, OTHER, VIP

VIP6: Final = bytes.fromhex("20010db8000000000000000000000005")
MACS: Final = (
    b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\2\0\0\0\0\3", b"\2\0\0\0\0\xcc", ethernet.BROADCAST, bytes(6),
    b"\x33\x33\xff\0\0\5",
)  # fmt: skip
ADDRESSES: Final = (VIP, VIP, VIP, OTHER, bytes(4), b"\xff" * 4, bytes((192, 0, 2, 1)), bytes((192, 0, 2, 200)))
ADDRESSES6: Final = (VIP6, VIP6, VIP6, bytes(16), bytes.fromhex("fe80000000000000000000000000beef"), b"\xff" * 16)


def show(seed: int, *, number: int) -> Fuzzed:
    """Shows so many frames to three nodes, of which one owns addresses of both families."""
    chance, world, fuzzed = random.Random(seed), lan_of_three(), Fuzzed()  # noqa: S311  (a test)
    for lan in world.lans.values():
        lan.wish({VIP: NODES, VIP6: NODES})
    world.advance(100 * MS)
    owner = world.lans["n1"]
    assert owner.owned == {VIP, VIP6}
    kinds = _kinds(chance)
    names, weights = tuple(kinds), [weight for _, weight in kinds.values()]
    for shown in range(number):
        name = chance.choices(names, weights)[0]
        frame = kinds[name][0]()
        fuzzed.kinds[name] += 1
        for lan in (owner, world.lans["n2"]) if shown % 8 else world.lans.values():
            reply = lan._answer(memoryview(frame))
            assert reply is None or (lan is owner and _sound(reply)), f"seed {seed}: {frame.hex()} got {reply!r}"
            if lan is owner:
                fuzzed.outcomes["answered" if reply is not None else "no answer"] += 1
        if shown % 64 == 0:
            world.advance(MS)
            world.log.clear()
            assert owner.owned == {VIP, VIP6}, f"seed {seed}: an address is lost after {shown} frames"
            assert owner.owns(VIP)
    drops = Counter({reason.value: count for reason, count in owner.presence.responder.dropped.items()})
    fuzzed.outcomes.update({f"no answer: {reason}": count for reason, count in drops.items()})
    return fuzzed


def _sound(reply: bytes) -> bool:
    """An answer of ours, for an address of ours."""
    if reply[12:14] == ethernet.ARP.to_bytes(2):
        return arp.parse(reply).sender == VIP
    return VIP6 in (reply[62:78], reply[22:38])


def _kinds(chance: random.Random) -> dict[str, tuple[Callable[[], bytes], int]]:
    pool = [_of_scapy(chance) for _ in range(400)]
    return {
        "ARP, wrong somewhere": (lambda: _arp(chance), 30),
        "NS or NA, wrong somewhere": (lambda: _ndp(chance), 25),
        "scapy's, as it is": (lambda: chance.choice(pool), 10),
        "scapy's, cut or changed": (lambda: _changed(chance, chance.choice(pool)), 20),
        "ours, cut or changed": (lambda: _changed(chance, _arp(chance) if chance.random() < 0.5 else _ndp(chance)), 10),
        "random": (lambda: chance.randbytes(chance.choice((0, 13, 14, 41, 42, 60, 86, 200, 1514))), 5),
    }


def _arp(chance: random.Random) -> bytes:
    mac = chance.choice(MACS)
    head = chance.choice((arp.REQUEST_HEAD, arp.REQUEST_HEAD, arp.REPLY_HEAD, chance.randbytes(len(arp.REQUEST_HEAD))))
    kind = chance.choice((ethernet.ARP, ethernet.ARP, ethernet.ARP, 0x8100, 0x86DD, 0x0800))
    return arp.FRAME.pack(
        chance.choice(MACS), chance.choice((mac, chance.choice(MACS))), kind, head, mac, chance.choice(ADDRESSES),
        chance.choice((bytes(6), chance.choice(MACS))), chance.choice(ADDRESSES),
    )  # fmt: skip


def _ndp(chance: random.Random) -> bytes:
    """A solicitation or advertisement, with the checksum right more often than not."""
    kind = chance.choice((135, 135, 136, chance.randrange(256)))
    options = b"".join(
        bytes((chance.choice((1, 2, chance.randrange(256))), chance.choice((1, 1, 0, 2)))) + chance.choice(MACS)
        for _ in range(chance.choice((0, 1, 1, 2, 5)))
    )
    flags = chance.choice((0, 0x60000000, chance.randrange(1 << 32)))
    message = bytes((kind, chance.choice((0, 0, 1)), 0, 0)) + flags.to_bytes(4) + chance.choice(ADDRESSES6) + options
    source = chance.choice(ADDRESSES6)
    to = chance.choice((ndp.solicited_node(VIP6), ndp.solicited_node(VIP6), *ADDRESSES6))
    if chance.random() < 0.9:
        message = message[:2] + ndp.checksum(source, to, message).to_bytes(2) + message[4:]
    length = chance.choice((len(message), len(message), len(message), chance.randrange(1 << 16)))
    head = b"\x60\0\0\0" + length.to_bytes(2) + bytes((58, chance.choice((255, 255, 255, 64)))) + source + to
    return chance.choice(MACS) + chance.choice(MACS) + b"\x86\xdd" + head + message


def _of_scapy(chance: random.Random) -> bytes:
    random.seed(chance.randrange(1 << 32))  # scapy draws from the module's own generator
    address, address6 = "192.0.2.100", "2001:db8::5"
    layer = chance.choice((
        fuzz(ARP()), fuzz(ARP(pdst=address)), fuzz(ARP(psrc=address)), ARP(op=1, pdst=address), ARP(op=2, psrc=address),
        Dot1Q(vlan=7) / ARP(pdst=address),
        IPv6() / fuzz(ICMPv6ND_NS()), IPv6(hlim=255) / ICMPv6ND_NS(tgt=address6) / fuzz(ICMPv6NDOptSrcLLAddr()),
        IPv6(hlim=255) / ICMPv6ND_NA(tgt=address6) / fuzz(ICMPv6NDOptDstLLAddr()), IPv6() / fuzz(ICMPv6ND_NA()),
    ))  # fmt: skip
    try:
        return bytes(
            Ether(src="02:00:00:00:00:cc", dst=chance.choice(("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:01"))) / layer
        )
    except (ValueError, TypeError, OSError):  # random fields that scapy itself can't write
        return bytes(Ether() / ARP(pdst=address))


def _changed(chance: random.Random, frame: bytes) -> bytes:
    data = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        what, at = chance.randrange(4), chance.randrange(max(1, len(data)))
        if what == 0 and data:
            del data[at:]
        elif what == 1:
            data += chance.randbytes(chance.randint(1, 40))
        elif data:
            data[at % len(data)] = chance.randrange(256)
    return bytes(data)
