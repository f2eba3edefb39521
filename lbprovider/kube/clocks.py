"""The clock that we judge by, and the one that people read."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def boottime() -> float:
    """Seconds since boot, those that the machine slept included: a Lease runs out in them too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def rfc3339_micro(seconds: float) -> str:
    """A time since 1970 as a Lease has it: UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
