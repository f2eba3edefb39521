"""How much work a call is, counted and not timed: whatever else this machine does makes no difference."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python run: each turn of a loop counts, what C does in one call doesn't."""
    ran = 0

    def count(_: FrameType, event: str, __: object) -> Any:
        nonlocal ran
        ran += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return ran
