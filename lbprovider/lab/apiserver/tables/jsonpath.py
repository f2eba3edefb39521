r"""The JSONPath of printer columns: reads one value out of an object.

Pure. Understood are fields (``.a``, ``['a']``, dots in names as ``\.``), elements (``[0]``, ``[-1]``), slices
(``[0:2]``), ``[*]`` and ``.*``, anything below (``..a``), and filters that compare a path with a literal or ask for it
(``[?(@.type=="Ready")]``).
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

_Step = Callable[[Any], Iterator[Any]]

_FIELD: Final = re.compile(r"\.(?P<name>(?:[^.\[\]\\]|\\.)+)")
_BELOW: Final = re.compile(r"\.\.(?P<name>(?:[^.\[\]\\]|\\.)+)")
_QUOTED: Final = re.compile(r"""\[(?P<quote>['"])(?P<name>.*?)(?P=quote)\]""")
_EVERY: Final = re.compile(r"\[\*\]")
_SLICE: Final = re.compile(r"\[(?P<start>-?\d*)(?P<colon>:?)(?P<end>-?\d*)\]", re.ASCII)
_FILTER: Final = re.compile(
    r"\[\?\(\s*@(?P<path>[^=!<>\s)]+)\s*(?:(?P<operator>==|!=|<=|>=|<|>)\s*(?P<literal>.+?)\s*)?\)\]"
)
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Path:
    """A path that was read.

    Args:
        text: it, with its leading dot.

    Raises:
        ValueError: it can't be read.
    """

    def __init__(self, text: str) -> None:
        self._steps = tuple(_steps(text))

    def __call__(self, value: Any) -> Iterator[Any]:
        """Every value that it leads to."""
        values = [value]
        for step in self._steps:
            values = [each for found in values for each in step(found)]
        return iter(values)


def _steps(text: str) -> Iterator[_Step]:
    at = 0
    while at < len(text):
        for pattern, made in _STEPS:
            found = pattern.match(text, at)
            if found is not None:
                yield from made(found)
                at = found.end()
                break
        else:
            raise ValueError(f"can't read {text[at:]!r} of the path {text!r}")


def _names(found: re.Match[str]) -> Iterator[_Step]:
    """The fields of a name: one, but for dots in quotes."""
    for name in re.findall(r"(?:[^.\\]|\\.)+", found["name"]):
        yield _every if name == "*" else _field(re.sub(r"\\(.)", r"\1", name))


def _field(name: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping) and name in value:
            yield value[name]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from (value[key] for key in sorted(value))
    elif isinstance(value, list):
        yield from value


def _below(found: re.Match[str]) -> Iterator[_Step]:
    inner = tuple(_names(found))

    def step(value: Any) -> Iterator[Any]:
        reached = [value]
        for each in inner:
            reached = [one for some in reached for one in each(some)]
        yield from reached
        for each in _every(value):
            yield from step(each)

    yield step


def _slice(found: re.Match[str]) -> Iterator[_Step]:
    start, end = (int(found[name]) if found[name] not in ("", "-") else None for name in ("start", "end"))
    if not found["colon"] and start is None:
        raise ValueError(f"{found[0]} names no element")
    # The last element has no successor that could be named.
    one = slice(start, (start or 0) + 1 or None)
    which = slice(start, end) if found["colon"] else one

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and (found["colon"] or -len(value) <= (start or 0)):
            yield from value[which]

    yield step


def _filter(found: re.Match[str]) -> Iterator[_Step]:
    path = Path(found["path"])
    literal = _literal(found["literal"])
    compare = _COMPARISONS.get(found["operator"] or "")

    def matches(value: Any) -> bool:
        reached = next(path(value), None)
        if compare is None or reached is None:
            return reached is not None
        alike = type(reached) is type(literal) or {type(reached), type(literal)} == {int, float}
        return alike and compare(reached, literal)

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from filter(matches, value)

    yield step


def _literal(text: str | None) -> Any:
    if text is None:
        return None
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    return json.loads(text)


_STEPS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Iterator[_Step]]], ...]] = (
    (_BELOW, _below),
    (_FIELD, _names),
    (_QUOTED, _names),
    (_EVERY, lambda _: iter((_every,))),
    (_FILTER, _filter),
    (_SLICE, _slice),
)


def printed(value: Any) -> str:
    """A value as a column of type string shows it: text as it is, everything else as JSON of Go's."""
    if value is None:
        return "<no value>"
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    # Go escapes what could end a script in HTML.
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
