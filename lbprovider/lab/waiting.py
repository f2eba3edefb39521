"""Waiting for what the lab expects: until it is so, or a deadline that says what was waited for."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from lbprovider.errors import HostError, LbproviderError

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds that anything may take which has no time of its own: far above what a busy machine of two cores needs."""
_EVERY: Final = 0.02
_PAUSE: Final = threading.Event()  # never set: a pause of the poll


class Late(HostError):
    """What was waited for did not come in time."""


def until(
    condition: Callable[[], T | None],
    what: str,
    *,
    within: float = PATIENCE,
    every: float = _EVERY,
    check: Callable[[], None] | None = None,
) -> T:
    """The condition's first true value; an error of the API server's or the kernel's counts as not yet.

    Args:
        condition: asked again and again.
        what: what is waited for, for the message.
        within: seconds.
        every: seconds between looks.
        check: called before each look; what it raises ends the wait.

    Raises:
        Late: it never came true; with the last error.
    """
    end = time.monotonic() + within
    while True:
        if check is not None:
            check()
        last = ""
        try:
            value = condition()
        except (OSError, LbproviderError) as error:
            value, last = None, f": {error}"
        if value:
            return value
        if time.monotonic() > end:
            raise Late(f"not within {within:g} s: {what}{last}")
        _PAUSE.wait(every)
