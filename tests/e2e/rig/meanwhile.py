"""Something that happens beside a test."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def meanwhile(work: Callable[[], object], *, every: float = 0) -> Iterator[None]:
    """Does it again and again until the end of the block; what it raises ends it, and fails the test.

    Args:
        work: in a thread of its own.
        every: seconds before each time.
    """
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every):
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
