"""Times as objects have them: RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(text: str) -> int:
    """RFC 3339 as nanoseconds since 1970; 0 where it can't be read: it must not hold an address for ever."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return (time.replace(tzinfo=time.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


def rfc3339(seconds: float) -> str:
    """A time since 1970 as Kubernetes writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
