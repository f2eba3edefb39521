"""A plan for people: tables as wide as the terminal, or as 100 columns where there is none; plain text when piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lbprovider.ipam.ledger import SATURATED
from lbprovider.ipam.reasons import Reason, some
from lbprovider.planning import Change, Result
from lbprovider.planning.result import AnnouncementResult, Count, PoolResult, ServiceResult

_WIDTH: Final = 100
"""Columns where there is no terminal."""
_NONE: Final = "-"

Row = tuple[str, ...]


def show(result: Result, changes: Sequence[Change] | None) -> None:
    """Prints the plan; of a live cluster what would change there.

    Args:
        result: of the plan.
        changes: None where it is about no cluster.
    """
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=_WIDTH)
    if changes is None:
        _table(console, "Services", ("service", "addresses", "pool", "reason"), map(_service, result.services))
        _table(console, "Pools", ("pool", "IPv4 in use", "free", "IPv6 in use", "free"), map(_pool, result.pools))
        announced = ("address", "announced from, best first", "by", "not from")
        _table(console, "Announcements", announced, map(_announcement, result.announcements), "nothing is announced")
    else:
        rows = (_change(one) for one in changes)
        _table(console, "Changes", ("object", "field", "is", "would be"), rows, nothing="nothing would change")
    said = [f"{one.namespace}/{one.name}: {one.reason}. {one.message}" for one in result.services if _is_odd(one)]
    _lines(console, "Services that need a look", said)
    _lines(console, "Problems", [f"{one.object}: {one.reason}. {one.message}" for one in result.problems])
    _say(console, _summary(result))


def _is_odd(one: ServiceResult) -> bool:
    return one.reason != Reason.ASSIGNED


def _summary(result: Result) -> str:
    count, lacking = len(result.services), sum(one.lacks for one in result.services)
    return f"Services: {count}. With all that they ask for: {count - lacking}. With less, or nothing: {lacking}."


def _service(one: ServiceResult) -> Row:
    pools = dict.fromkeys(one.pools.values())
    return f"{one.namespace}/{one.name}", ", ".join(one.ingress) or _NONE, ", ".join(pools) or _NONE, one.reason


def _pool(one: PoolResult) -> Row:
    v4 = _usage(one.assigned.ipv4, one.total.ipv4, one.available.ipv4)
    return one.name, *v4, *_usage(one.assigned.ipv6, one.total.ipv6, one.available.ipv6)


def _usage(assigned: int, total: int, available: int) -> Row:
    return (f"{assigned} of {_number(total)}", _number(available)) if total else (_NONE, _NONE)


def _number(count: int) -> str:
    return ">= 2^63" if count == SATURATED else str(count)


def _announcement(one: AnnouncementResult) -> Row:
    named = {node: "any" if each == "all" else ", ".join(each) for node, each in one.interfaces.items()}
    same = len(set(named.values())) <= 1
    by = next(iter(named.values()), _NONE) if same else some(f"{node}: {each}" for node, each in named.items())
    excluded = some(f"{node} ({reason})" for node, reason in one.excluded.items())
    return one.address, some(one.ranking) or _NONE, by, excluded or _NONE


def _change(one: Change) -> Row:
    return one.object, one.field, _value(one.before), _value(one.after)


def _value(value: Any) -> str:
    if isinstance(value, Count):
        return f"{_number(value.ipv4)} IPv4, {_number(value.ipv6)} IPv6"
    if isinstance(value, tuple):
        return some(value) or _NONE
    return _NONE if value is None else str(value)


def _table(console: Console, title: str, columns: Row, rows: Iterable[Row], nothing: str = "none") -> None:
    _say(console, title, "bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As Text: a string would be read as markup, and lose what stands in brackets.
        table.add_row(*map(Text, row))
    if table.row_count:
        console.print(table)
    else:
        _say(console, nothing)
    _say(console, "")


def _lines(console: Console, title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    _say(console, title, "bold")
    for line in lines:
        _say(console, line)
    _say(console, "")


def _say(console: Console, line: str, style: str | None = None) -> None:
    console.print(line, style=style, markup=False, highlight=False)
