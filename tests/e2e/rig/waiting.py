"""Waiting for what a test expects: until it is so, or a deadline."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = threading.Event()  # never set: a pause of the poll


def eventually(condition: Callable[[], T | None], what: str, *, within: float = 30, every: float = 0.02) -> T:
    """The condition's first true value; what it raises counts as not yet.

    Args:
        condition: asked again and again.
        what: what is waited for, for the message.
        within: seconds.
        every: seconds between looks.

    Raises:
        AssertionError: it never came true; with the last error.
    """
    end = time.monotonic() + within
    last = ""
    while True:
        try:
            value = condition()
        except (OSError, RuntimeError, LookupError) as error:
            value, last = None, f"; last error: {error!r}"
        else:
            last = f"; last value: {value!r}"
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {within:g} s: {what}{last}")
        _PAUSE.wait(every)
