"""How many frames go out unasked: a token bucket that all who send on one LAN share."""

from __future__ import annotations

from typing import Final

FRAMES_PER_SECOND: Final = 4_000
"""As shipped: 1,000 addresses, two frames each, are told within half a second."""

_SECOND: Final = 1_000_000_000
_BURSTS_PER_SECOND: Final = 16
"""What may go in one call after a quiet time is this part of a second's frames: 250 as shipped, a step of few ms."""
_LEAST_BURST: Final = 2
"""The frames that announce one address: they go out together."""


class Pace:
    """A rate and a burst, kept as one number: when the bucket was, or will be, empty.

    Args:
        per_second: frames a second, at least 1; few for switches with ARP inspection.

    Who sends comes in rounds: those who are asked first in a round are served first, and once one is refused, so is
    everybody after it; else what needs one frame would for ever overtake what needs two.
    """

    def __init__(self, per_second: int = FRAMES_PER_SECOND) -> None:
        self._interval = _SECOND // per_second
        self._burst = max(_LEAST_BURST, per_second // _BURSTS_PER_SECOND)
        self._empty_at = -self._burst * self._interval
        self._refused = False

    def begin(self, now: int) -> None:
        """A round begins."""
        self._refused = False
        self._empty_at = max(self._empty_at, now - self._burst * self._interval)

    def take(self, frames: int, now: int) -> bool:
        """Whether that many frames (at most two) may go now; if so, they count as sent."""
        spent = self._empty_at + frames * self._interval
        self._refused = self._refused or spent > now
        if not self._refused:
            self._empty_at = spent
        return not self._refused

    def room(self, now: int) -> int:
        """How many frames may still go in this round."""
        return 0 if self._refused else (now - self._empty_at) // self._interval

    def ready_at(self) -> int:
        """From when on ``take`` gives what an address needs at most."""
        return self._empty_at + _LEAST_BURST * self._interval
