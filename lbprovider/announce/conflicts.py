"""Addresses of ours that another host claims as well: said once, defended at a bounded rate, watched until it is over.

RFC 5227 section 2.4 (c): we go on, for whoever asks for the address was given it by the cluster, and say so.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

_SECOND: Final = 1_000_000_000

DEFEND_INTERVAL: Final = 10 * _SECOND
"""RFC 5227 section 1.1: two hosts that both defend must not drown the LAN."""
QUIET: Final = 3
"""Probes, one each interval, that go unanswered before the other host counts as gone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a claim."""

    new: bool
    """An episode begins: say so."""
    defend: bool
    """Announce the address once."""


_NOTHING: Final = Verdict(new=False, defend=False)


@dataclass(slots=True)
class _Episode:
    look_at: int
    defended_at: int
    heard: bool = True
    """Since the last look."""
    quiet: int = 0
    """Probes without an answer, one after the other."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the time has brought."""

    probe: tuple[bytes, ...] = ()
    """Addresses to ask for whether the other host is still there: it may be silent for hours otherwise."""
    over: tuple[bytes, ...] = ()
    """Addresses that are ours alone again."""


class Conflicts:
    """The episodes of one LAN; bounded by the addresses that are ours, for only those may be told of."""

    def __init__(self) -> None:
        # In order of look_at: every look comes one interval after the last one or after a defence.
        self._episodes: OrderedDict[bytes, _Episode] = OrderedDict()

    def __contains__(self, address: bytes) -> bool:
        return address in self._episodes

    def claimed(self, address: bytes, now: int) -> Verdict:
        """Somebody who is no member says that he has an address (packed) that is ours."""
        episode = self._episodes.get(address)
        if episode is None:
            self._episodes[address] = _Episode(now + DEFEND_INTERVAL, now)
            return Verdict(new=True, defend=True)
        episode.heard = True
        if now < episode.defended_at + DEFEND_INTERVAL:
            return _NOTHING
        # The next probe draws an answer that all may hear: it must come when we may defend at once.
        episode.defended_at, episode.look_at = now, now + DEFEND_INTERVAL
        self._episodes.move_to_end(address)
        return Verdict(new=False, defend=True)

    def end(self, address: bytes) -> None:
        """The address is ours no more; nothing happens if there was no episode."""
        self._episodes.pop(address, None)

    def look(self, now: int, most: int) -> Look:
        """Whom to probe for now, ``most`` of them, and what is over; the rest waits for the next look."""
        probe: list[bytes] = []
        over: list[bytes] = []
        while self._episodes and len(probe) < most:
            address, episode = next(iter(self._episodes.items()))
            if episode.look_at > now:
                break
            if episode.heard:
                episode.heard, episode.quiet = False, 0
            elif episode.quiet == QUIET:
                del self._episodes[address]
                over.append(address)
                continue
            episode.quiet += 1
            episode.look_at = now + DEFEND_INTERVAL
            self._episodes.move_to_end(address)
            probe.append(address)
        return Look(tuple(probe), tuple(over))

    def next_wake(self) -> int | None:
        """When ``look`` has something next; None while nobody claims what is ours."""
        return next(iter(self._episodes.values())).look_at if self._episodes else None
