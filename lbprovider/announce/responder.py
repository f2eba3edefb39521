"""Who answers what: a table for each interface, and a permission asked before each answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from lbprovider.errors import WireError
from lbprovider.wire import arp, ethernet, ndp

MayAnswer = Callable[[bytes, int], bool]
"""Whether this node owns a packed address at a time (nanoseconds of CLOCK_BOOTTIME); ELECTION.md rule 10."""


class Drop(StrEnum):
    """Why a frame got no answer."""

    NOT_A_QUESTION = "NotAQuestion"
    """Another protocol, another operation, a tagged frame."""
    MALFORMED = "Malformed"
    """Truncated, a wrong checksum or hop limit, a sender that can't be one."""
    NOT_OURS = "NotOurs"
    """Nothing in the table of this interface."""
    OWN = "Own"
    """Sent by ourselves and reflected."""
    GRATUITOUS = "Gratuitous"
    """Another host announces our address: a claim, not a question."""
    MAY_NOT_ANSWER = "MayNotAnswer"
    """In the table, but the promises that made it ours have ended."""


_Told = tuple[bytes, bytes]
"""The hardware address that is told, and the one that it is told from."""

_OTHERS: Final = frozenset({"NotSolicitation", "VlanTagged"})
"""The codec's reasons for a frame that is sound, just no question of ours."""


class Responder:
    """Answers ARP requests and Neighbor Solicitations, unicast and broadcast, probes included.

    Args:
        may_answer: asked once for each answer, last of all.
    """

    def __init__(self, may_answer: MayAnswer) -> None:
        self._may_answer = may_answer
        self._tables: dict[str, dict[bytes, _Told]] = {}
        self.answered = 0
        """Answers given."""
        self.dropped = dict.fromkeys(Drop, 0)
        """Frames without an answer, by reason."""

    def hold(self, address: bytes, interface: str, mac: bytes, told: bytes | None = None) -> None:
        """Answer for a packed address on an interface; replaces what was held there.

        Args:
            address: that is asked for.
            interface: on which.
            mac: its hardware address.
            told: the one that is told as the address's, where it is another host's; the frame comes from ours all the
                same, or switches would send us what is that host's.
        """
        self._tables.setdefault(interface, {})[address] = (mac if told is None else told, mac)

    def drop(self, address: bytes) -> None:
        """Answer for an address no more, on no interface."""
        for table in self._tables.values():
            table.pop(address, None)

    def held(self, interface: str) -> frozenset[bytes]:
        """The addresses in the table of an interface."""
        return frozenset(self._tables.get(interface, ()))

    def answer(self, frame: bytes | memoryview, interface: str, now: int) -> bytes | None:
        """The whole frame to send back at once; None, counted by reason, where there is none."""
        table = self._tables.get(interface)
        result = self._answer(frame, table, now) if table else Drop.NOT_OURS
        if isinstance(result, Drop):
            self.dropped[result] += 1
            return None
        self.answered += 1
        return result

    def _answer(self, frame: bytes | memoryview, table: dict[bytes, _Told], now: int) -> bytes | Drop:
        # The hot path is plain on purpose: one unpack, one look-up, one pack.
        if len(frame) < arp.FRAME.size:
            return Drop.MALFORMED
        _, source, kind, head, sender_mac, sender, _, target = arp.FRAME.unpack_from(frame)
        if kind != ethernet.ARP:
            return self._advertise(frame, table, now)
        if head != arp.REQUEST_HEAD:
            return Drop.NOT_A_QUESTION
        entry = table.get(target)
        if entry is None:
            return Drop.NOT_OURS
        refusal = self._refusal(entry, source, sender_mac, sender, target, now=now)
        if refusal is not None:
            return refusal
        mac, from_mac = entry
        return arp.FRAME.pack(sender_mac, from_mac, ethernet.ARP, arp.REPLY_HEAD, mac, target, sender_mac, sender)

    def _advertise(self, frame: bytes | memoryview, table: dict[bytes, _Told], now: int) -> bytes | Drop:
        try:
            question = ndp.parse_solicitation(frame)
        except WireError as error:
            return Drop.NOT_A_QUESTION if error.reason in _OTHERS else Drop.MALFORMED
        entry = table.get(question.target)
        if entry is None:
            return Drop.NOT_OURS
        # Without the option the Ethernet header is the only place that names the asker's hardware address.
        to_mac = question.sender_mac or question.source
        refusal = self._refusal(entry, question.source, to_mac, question.sender, question.target, now=now)
        if refusal is not None:
            return refusal
        mac, from_mac = entry
        if question.sender == ndp.UNSPECIFIED:
            return ndp.unsolicited(question.target, mac, from_mac)
        return ndp.advertisement(question.target, mac, question.sender, to_mac, from_mac)

    def _refusal(
        self, entry: _Told, source: bytes, to_mac: bytes, sender: bytes, target: bytes, *, now: int
    ) -> Drop | None:
        if source in entry or to_mac in entry:
            return Drop.OWN
        if ethernet.is_group(to_mac):  # many would hear the answer: an amplifier
            return Drop.MALFORMED
        if sender == target:
            return Drop.GRATUITOUS
        return None if self._may_answer(target, now) else Drop.MAY_NOT_ANSWER
