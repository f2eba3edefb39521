"""What is wrong with this node, said when it begins and when it ends: in the log, and as an Event on the Node.

/readyz says it to whoever asks; nobody does who looks for it afterwards.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

import structlog

from lbprovider.speaker.telling import Kind

PERIOD: Final = 1.0
"""Seconds between two looks."""
LASTING: Final = 5
"""Looks in a row for which a node is not ready before there is an Event: what is shorter, the log has."""
STRICT_EACH: Final = 60
"""Looks between two at how the kernel answers ARP."""

IPVS: Final = "kube-ipvs0"
"""The interface to which kube-proxy in mode IPVS adds the address of every Service, on every node."""
STRICT_ARP: Final = "IPVSWithoutStrictARP"
READY: Final = "SpeakerReady"
NOT_READY: Final = "SpeakerNotReady"
_SYSCTL: Final = Path("/proc/sys/net/ipv4/conf")
_NUMBER: Final = re.compile(r"\d+ ms")
"""Of a wait that grows shorter: no news."""

log = structlog.get_logger(__name__)


class Tells(Protocol):
    """Who writes Events; ``telling.Teller`` does."""

    def of_node(self, kind: Kind, reason: str, message: str) -> None:
        """Something happened to this node."""
        ...


def arp_ignore(interface: str, conf: Path = _SYSCTL) -> int:
    """The mode that the kernel answers ARP by on an interface (ip-sysctl, arp_ignore); -1 where it can't be read."""
    try:
        return max(int((conf / name / "arp_ignore").read_text(encoding="ascii")) for name in ("all", interface))
    except (OSError, ValueError):
        return -1  # the interface is gone, or /proc is not there: then there is nothing to warn of


def answers_for_all(interfaces: Iterable[str], lans: Iterable[str], mode: Callable[[str], int]) -> tuple[str, ...]:
    """The LAN interfaces on which this node's kernel answers ARP for every Service, whoever leads its address.

    Args:
        interfaces: all of this node.
        lans: those that are on a LAN.
        mode: ``arp_ignore`` of an interface; 0 answers for any address of the node, on whatever interface it is.
    """
    return tuple(sorted(name for name in lans if mode(name) == 0)) if IPVS in interfaces else ()


class Noticing:
    """Looks at this node, once a second.

    Args:
        teller: writes Events.
        why_not_ready: one sentence; empty while it is ready.
        interfaces: the names of all interfaces of this node.
        lans: the names of those that are on a LAN.
        mode: ``arp_ignore``.
    """

    def __init__(
        self,
        teller: Tells,
        *,
        why_not_ready: Callable[[], str],
        interfaces: Callable[[], Iterable[str]],
        lans: Callable[[], Iterable[str]],
        mode: Callable[[str], int] = arp_ignore,
    ) -> None:
        self._teller = teller
        self._why_not_ready = why_not_ready
        self._interfaces = interfaces
        self._lans = lans
        self._mode = mode
        self._why: str | None = None
        self._looks = 0
        self._told = False
        self._lenient: tuple[str, ...] = ()

    async def run(self) -> None:
        """Looks until cancelled."""
        look = 0
        while True:
            self.look_at_readiness()
            if look % STRICT_EACH == 0:
                self.look_at_arp()
            look += 1
            await asyncio.sleep(PERIOD)

    def look_at_readiness(self) -> None:
        """Says what has changed about being ready."""
        sentence = self._why_not_ready()
        why = _NUMBER.sub("some ms", sentence)
        self._looks += 1
        if (why == "") != (self._why == ""):
            self._looks = 1
        if why != self._why:
            self._why = why
            if why:
                log.warning("not ready", why=sentence)
            else:
                log.info("ready")
        if why and self._looks == LASTING:
            self._told = True
            self._teller.of_node("Warning", NOT_READY, sentence)
        elif not why and self._told:
            self._told = False
            self._teller.of_node("Normal", READY, "the speaker is ready again")

    def look_at_arp(self) -> None:
        """Says once that the kernel answers for what others lead."""
        lenient = answers_for_all(self._interfaces(), self._lans(), self._mode)
        if lenient and lenient != self._lenient:
            message = (
                f"{IPVS} has the addresses of all Services, and the kernel answers ARP for them on "
                f"{', '.join(lenient)} whichever node leads: set strictARP: true in kube-proxy's configuration "
                f"(mode ipvs), or net.ipv4.conf.all.arp_ignore=1 on every node"
            )
            log.warning(message, reason=STRICT_ARP)
            self._teller.of_node("Warning", STRICT_ARP, message)
        self._lenient = lenient
