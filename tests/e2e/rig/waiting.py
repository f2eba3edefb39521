"""Waiting for what a test expects: until it is so, or a deadline that ends the test."""

from collections.abc import Callable
from typing import TypeVar

from lbprovider.errors import LbproviderError
from lbprovider.lab.waiting import Late, until

T = TypeVar("T")


def eventually(condition: Callable[[], T | None], what: str, *, within: float = 30, every: float = 0.02) -> T:
    """As :func:`lbprovider.lab.waiting.until`, where every error of the rig's counts as not yet too.

    Args:
        condition: asked again and again.
        what: what is waited for, for the message.
        within: seconds.
        every: seconds between looks.

    Raises:
        AssertionError: it never came true; with the last error, or the last value that wasn't.
    """
    last = ""

    def look() -> T | None:
        nonlocal last
        try:
            value = condition()
        except (OSError, RuntimeError, LookupError, LbproviderError) as error:
            last = f"; last error: {error!r}"
            return None
        last = f"; last value: {value!r}"
        return value

    try:
        return until(look, what, within=within, every=every)
    except Late as late:
        raise AssertionError(f"{late}{last}") from None
