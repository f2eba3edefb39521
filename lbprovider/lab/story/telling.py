"""How the lab talks to its user: a line for each thing as it happens, and a table at the end.

Plain text where the output is no terminal or NO_COLOR is set; the words are the same.
"""

import time
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lbprovider.lab.story.findings import Finding

_WIDTH = 120
"""Columns of the table where there is no terminal to fit it to."""


class Teller:
    """Writes to a console, with the time since its construction before each line.

    Args:
        console: where to.
        clock: seconds, monotonic.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since its construction."""
        return self._clock() - self._began

    def chapter(self, title: str) -> None:
        """Begin something new."""
        self._line(title, "bold")

    def say(self, line: str) -> None:
        """Say what just happened."""
        self._line(f"{self.elapsed:7.1f} s  {line}")

    def add(self, line: str) -> None:
        """Say more, about no moment."""
        self._line(line)

    def table(self, findings: Sequence[Finding]) -> None:
        """The summary."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for title in ("chapter", "what", "seen", "target", ""):
            table.add_column(title, overflow="fold")
        chapter = ""
        for each in findings:
            cells = ("" if each.chapter == chapter else each.chapter, each.what, each.seen, each.target)
            verdict = "ok" if each.ok else "FAILED"
            # As Text: a string would be read as markup, and lose what stands in brackets.
            table.add_row(*map(Text, (*cells, verdict)), style=None if each.ok else "bold red")
            chapter = each.chapter
        self._console.print(table)

    def _line(self, line: str, style: str | None = None) -> None:
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for the table."""
    found = Console()
    return found if found.is_terminal else Console(width=_WIDTH)
