"""The columns of custom kinds, as their CRD's ``additionalPrinterColumns`` describe them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from lbprovider.lab.apiserver.tables import jsonpath
from lbprovider.lab.apiserver.tables.builtin import Cell, Column, Object
from lbprovider.lab.apiserver.tables.durations import INVALID, UNKNOWN, since
from lbprovider.lab.apiserver.tables.jsonpath import Path


def described(columns: Iterable[Object]) -> Iterable[Column]:
    """Columns as a CRD describes them; one whose path can't be read is not shown, as on a kube-apiserver."""
    for column in columns:
        try:
            path = Path(column["jsonPath"])
        except ValueError:
            continue
        yield Column(
            column["name"],
            _read(path, column["type"]),
            column["type"],
            column.get("description")
            or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
            bool(column.get("priority", 0)),
            column.get("format", ""),
        )


def _read(path: Path, kind: str) -> Cell:
    converted = _CONVERTED[kind]

    def cell(obj: Object, now: float) -> Any:
        for value in path(obj):
            return converted(value, now)
        return None

    return cell


def _integer(value: Any, _: float) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _number(value: Any, _: float) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _date(value: Any, now: float) -> str | None:
    if not isinstance(value, str):
        return None
    shown = since(value, now)
    return INVALID if shown == UNKNOWN else shown


_CONVERTED: Final[Mapping[str, Callable[[Any, float], Any]]] = {
    "string": lambda value, _: jsonpath.printed(value),
    "boolean": lambda value, _: value if isinstance(value, bool) else None,
    "integer": _integer,
    "number": _number,
    "date": _date,
}
