"""How long ago: ages as kubectl's tables show them. Pure; times are seconds since 1970."""

from __future__ import annotations

import datetime as dt
from typing import Final

UNKNOWN: Final = "<unknown>"
INVALID: Final = "<invalid>"

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY

_FORMS: Final = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    (None, _YEAR, "y", 0, ""),
)
"""Up to which age: its unit and how that is written, and that of the rest, which is left out where it is 0."""


def duration(seconds: float) -> str:
    """An age, as ``5s``, ``3m20s``, ``2d``; a clock that is a second ahead is forgiven."""
    whole = int(seconds)
    if whole < -1:
        return INVALID
    whole = max(whole, 0)
    _, unit, sign, smaller, its = next(form for form in _FORMS if form[0] is None or whole < form[0])
    rest = whole % unit // smaller if smaller else 0
    return f"{whole // unit}{sign}" + (f"{rest}{its}" if rest else "")


def since(timestamp: str | None, now: float) -> str:
    """The age of what happened at a time (RFC 3339)."""
    if not timestamp:
        return UNKNOWN
    try:
        then = dt.datetime.fromisoformat(timestamp)
    except ValueError:
        return INVALID
    return duration(now - then.timestamp()) if then.tzinfo is not None else INVALID
