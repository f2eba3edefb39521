"""How long to wait before asking again: exponential with full jitter, so that clients spread after an outage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lbprovider.errors import ClusterError, Overloaded

FIRST: Final = 0.5
"""Seconds that the first pause may last."""
CAP: Final = 30.0
"""Seconds that a pause may last, however long the outage."""
LEAST: Final = 0.05
"""Seconds that each pause lasts: full jitter may draw 0, and no bad luck may become a busy loop."""
RETRY_AFTER_CAP: Final = 120.0
"""Seconds up to which a server's Retry-After is heeded."""


class Backoff:
    """Pauses that grow until ``reset``.

    Args:
        rand: uniform in [0, 1).
        cap: seconds that a pause may last.
    """

    def __init__(self, rand: Callable[[], float], cap: float = CAP) -> None:
        self._rand = rand
        self._cap = cap
        self._ceiling = FIRST

    def reset(self) -> None:
        """It worked: the next pause is a short one."""
        self._ceiling = FIRST

    def pause(self, error: ClusterError | None = None) -> float:
        """Seconds to wait now; no less than the server asked for."""
        pause = max(LEAST, self._rand() * self._ceiling)
        self._ceiling = min(self._cap, self._ceiling * 2)
        if isinstance(error, Overloaded) and error.retry_after:
            # On top, not instead: all were told the same number of seconds.
            return min(error.retry_after, RETRY_AFTER_CAP) + pause
        return pause
