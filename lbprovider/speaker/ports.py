"""What a speaker stands on, injected: the kernel's ports and timers. Tests put fakes and a fake time here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lbprovider.net.bpf.port import OpenFastPath
from lbprovider.net.clock import Clock
from lbprovider.net.datagrams import OpenDatagrams
from lbprovider.net.groups import OpenGroups
from lbprovider.net.packet import OpenPackets
from lbprovider.speaker.proxy import Ask


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """It doesn't come any more."""
        ...


CallAt = Callable[[int, Callable[[], None]], Timer]
"""Calls back at a time of the clock (nanoseconds), or later: who is called reads the clock (ELECTION.md C5)."""


Offload = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs calls that block for as long as a disk does, away from the loop, one after the other."""


@dataclass(frozen=True, slots=True)
class Host:
    """This node's clock and kernel."""

    clock: Clock
    call_at: CallAt
    open_datagrams: OpenDatagrams
    open_packets: OpenPackets
    open_groups: OpenGroups
    offload: Offload
    open_fast_path: OpenFastPath | None = None
    """None: it is off."""
    ask_proxy: Ask | None = None
    """Asks this node's kube-proxy how it is; None: nobody is asked."""
