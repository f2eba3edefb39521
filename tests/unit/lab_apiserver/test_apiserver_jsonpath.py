"""Paths and ages in tables of the lab's API server; the values are what a kube-apiserver 1.35 found and showed."""

import datetime as dt
from typing import Any, Final

import pytest

from lbprovider.lab.apiserver.tables.durations import duration, since
from lbprovider.lab.apiserver.tables.jsonpath import Path, printed

NOW: Final = dt.datetime(2026, 11, 21, 8, 42, tzinfo=dt.UTC).timestamp()
MINUTE, HOUR, DAY = 60, 3600, 86400
SPEC: Final[dict[str, Any]] = {
    "a": "text",
    "l": ["p", "q"],
    "o": {"y": 1, "x": '<&>ä"', "x.y": "dot"},
    "c": [{"t": "R", "s": "True", "n": 1}, {"t": "Q", "s": "False", "n": 2, "b": True}],
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        (".spec.l[0]", ["p"]),
        (".spec.l[-1]", ["q"]),
        (".spec.l[9]", []),
        (".spec.l[-9]", []),
        (".spec.l[*]", ["p", "q"]),
        (".spec.l[1:]", ["q"]),
        (".spec.l[0:1]", ["p"]),
        (".spec['a']", ["text"]),
        (".spec.o['x.y']", []),
        (r".spec.o.x\.y", ["dot"]),
        (r'.spec.o["x\.y"]', ["dot"]),
        ('.spec.c[?(@.t=="R")].s', ["True"]),
        (".spec.c[?(@.t=='R')].s", ["True"]),
        ('.spec.c[?(@.t != "R")].s', ["False"]),
        (".spec.c[?(@.n>1)].s", ["False"]),
        (".spec.c[?(@.n<=1.0)].s", ["True"]),
        (".spec.c[?(@.b==true)].s", ["False"]),
        ('.spec.c[?(@.n=="1")].s', []),
        (".spec.c[?(@.t)].s", ["True", "False"]),
        (".spec.c[?(@.b)].s", ["False"]),
        (".spec.c[*].s", ["True", "False"]),
        ("..t", ["R", "Q"]),
        (".spec.o.*", ['<&>ä"', "dot", 1]),
        (".spec.a.b", []),
        (".spec.a[0]", []),
    ],
)
def test_paths(path: str, values: list[Any]) -> None:
    assert list(Path(path)({"spec": SPEC})) == values


@pytest.mark.parametrize("path", [".spec[a", "spec", ".spec.l[", ".spec.l[]", ".spec[?(@.a==x)]", ".a..", ".a[?(a)]"])
def test_paths_that_can_not_be_read(path: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json and int have sentences of their own
        Path(path)


def test_printed_text_is_as_it_is() -> None:
    assert printed('a\nb"<') == 'a\nb"<'


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-2, "<invalid>"),
        (-1.9, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (3 * MINUTE + 20, "3m20s"),
        (10 * MINUTE + 20, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 5 * MINUTE, "3h5m"),
        (8 * HOUR + 5 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (2 * DAY + 5 * HOUR, "2d5h"),
        (8 * DAY + 5 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (735 * DAY, "2y5d"),
        (8 * 365 * DAY + 5 * DAY, "8y"),
    ],
)
def test_ages(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_ages_since_a_time() -> None:
    assert since(None, NOW) == "<unknown>"
    assert since("2026-11-21T09:40:00+01:00", NOW) == "2m"
    assert since("2026-11-21T08:40:00", NOW) == "<invalid>"
    assert since("soon", NOW) == "<invalid>"
