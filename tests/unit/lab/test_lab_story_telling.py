"""How the story is told: plain lines with their time, and a table that says what failed."""

import io

from rich.console import Console

from lbprovider.lab.story.findings import Finding
from lbprovider.lab.story.telling import Teller

GOOD = Finding("SIGKILL", "silence", "231 ms", "≤ 500 ms", ok=True)
BAD = Finding("SIGKILL", "two MACs answer", "3 times, up to 12 ms", "0 ms", ok=False)
OTHER = Finding("a [cable] cut", "silence", "219 ms", "≤ 500 ms", ok=True)


def told(*findings: Finding) -> str:
    output = io.StringIO()
    ticks = iter([100.0, 107.25])
    teller = Teller(Console(file=output, width=100), lambda: next(ticks))
    teller.chapter("Services get addresses")
    teller.say("EXTERNAL-IP 198.51.100.200, [15] ms after")
    teller.table(findings)
    return output.getvalue()


def test_each_line_has_its_time_and_no_markup_is_read_into_it() -> None:
    lines = told(GOOD).splitlines()
    assert lines[0] == "Services get addresses"
    assert lines[1] == "    7.2 s  EXTERNAL-IP 198.51.100.200, [15] ms after"


def test_no_terminal_gets_no_escapes() -> None:
    assert "\x1b" not in told(GOOD, BAD)


def test_the_table_names_each_chapter_once_and_marks_what_failed() -> None:
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in told(GOOD, BAD, OTHER).splitlines()]
    assert rows[-3:] == [
        ["SIGKILL", "silence", "231 ms", "≤ 500 ms", "ok"],
        ["two MACs answer", "3 times, up to 12 ms", "0 ms", "FAILED"],
        ["a [cable] cut", "silence", "219 ms", "≤ 500 ms", "ok"],
    ]
