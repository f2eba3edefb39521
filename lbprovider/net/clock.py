"""The clock of leadership: CLOCK_BOOTTIME, which counts on while a machine is suspended (ELECTION.md rule 1)."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Nanoseconds that never go back; only differences mean anything."""


def boottime() -> int:
    """Nanoseconds since boot, suspension included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
