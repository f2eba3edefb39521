"""Text to values: YAML or JSON as Kubernetes takes it, bounded, with the line of whatever can't be read.

YAML is 1.1 with what ``kubectl`` makes of it: a time is text, so is ``12:30``, and a key that is a number becomes text.
The values are built from the parser's events, for PyYAML's own composer recurses as deep as the text goes, takes the
last of two equal keys, and lets aliases multiply.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import yaml

MOST_NESTED: Final = 128
"""Levels of one document. A CustomResourceDefinition of a Pod template has about 60."""
MOST_ALIASED: Final = 1_000_000
"""Values that the aliases of one document stand for together."""

_START: Final = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_INT: Final = re.compile(r"[-+]?(0b[0-1_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$")
_FLOAT: Final = re.compile(
    r"[-+]?([0-9][0-9_]*)\.[0-9_]*([eE][-+][0-9]+)?$|\.[0-9][0-9_]*([eE][-+][0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_TAG}merge"
_Base: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """PyYAML's safe loader without times and numbers to the base of 60."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, {f"{_TAG}int": _INT, f"{_TAG}float": _FLOAT}.get(tag, pattern))
        for tag, pattern in resolvers
        if tag != f"{_TAG}timestamp"
    ]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}


class Unreadable(Exception):
    """A document can't be read.

    Args:
        what: what is wrong.
        line: of the text, the first is 1; None where it isn't known.
    """

    def __init__(self, what: str, line: int | None) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


@dataclass(frozen=True, slots=True)
class Value:
    """What one document holds; None where it is empty."""

    value: Any


def documents(text: str) -> Iterator[Value | Unreadable]:
    """The documents of a text in their order; behind one that can't be read the next ``---`` begins anew."""
    if text.lstrip()[:1] == "{":
        whole = _json(text)
        if whole is not None:
            yield whole
            return
    for line, chunk in _chunks(text):
        try:
            yield from _of_chunk(chunk, line)
        except Unreadable as error:
            yield error


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """The text cut at each ``---``, which begins a line nowhere else; with the line that each part begins at."""
    starts = [match.start() for match in _START.finditer(text)]
    # What stands before the first belongs to it where it is directives and comments only, and is a document else.
    if not starts or not _is_prologue(text[: starts[0]]):
        starts.insert(0, 0)
    else:
        starts[0] = 0
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield line, text[start:end]
        line += text.count("\n", start, end)


def _is_prologue(text: str) -> bool:
    return all(not line.strip() or line.startswith(("#", "%")) for line in text.splitlines())


def _of_chunk(chunk: str, line: int) -> Iterator[Value]:
    try:
        loader = _Loader(chunk)
        while not loader.check_event(yaml.StreamEndEvent):
            event = loader.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                yield Value(_Builder(loader, line).build())
    except yaml.MarkedYAMLError as error:
        why = " ".join(filter(None, (error.problem, error.context)))
        mark = error.problem_mark or error.context_mark
        raise Unreadable(f"is no YAML: {why}", None if mark is None else line + mark.line) from error
    except yaml.YAMLError as error:  # a character that may not be in a text at all
        raise Unreadable(f"is no YAML: {str(error).splitlines()[0]}", None) from error


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read. ``weight`` counts the values in it, aliases with all they stand for."""

    value: list[Any] | dict[str, Any]
    anchor: str | None
    weight: int = 1
    key: str | None = None
    merging: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list)


class _Builder:
    """Builds one document from the events behind its start.

    Args:
        loader: yields the events, and knows what a scalar means.
        line: of the file, where the loader's text begins.
    """

    def __init__(self, loader: Any, line: int) -> None:
        self._loader = loader
        self._line = line
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open: set[str] = set()
        self._aliased = 0
        self._root: Any = None

    def build(self) -> Any:
        """The value.

        Raises:
            Unreadable: it can't be read.
        """
        while True:
            event = self._loader.get_event()
            match event:
                case yaml.DocumentEndEvent():
                    return self._root
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._begin(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._end(event)
                case yaml.AliasEvent():
                    self._alias(event)

    def _scalar(self, event: Any) -> None:
        tag = event.tag
        if tag == "!":
            tag = f"{_TAG}str"
        elif tag is None:
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if self._wants_key():
            self._take_key(event, tag)
            return
        value = self._meaning(event, tag)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, 1, event)

    def _meaning(self, event: Any, tag: str) -> Any:
        node = yaml.ScalarNode(tag, event.value)
        try:
            match tag.removeprefix(_TAG):
                case "str" | "merge" | "value":
                    return event.value
                case "null":
                    return None
                case "bool":
                    return self._loader.construct_yaml_bool(node)
                case "int":
                    return self._loader.construct_yaml_int(node)
                case "float":
                    number = self._loader.construct_yaml_float(node)
                    if math.isfinite(number):
                        return number
        except (ValueError, KeyError):  # a tag that is written out, before what it isn't
            pass
        else:
            if tag.startswith(_TAG) and tag.endswith("float"):
                raise self._unreadable(f"{event.value} is no number that an object may hold", event)
        said = tag.replace(_TAG, "!!")
        raise self._unreadable(f"{event.value[:40]!r} can't be read as {said}", event)

    def _begin(self, event: Any) -> None:
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if event.tag not in (None, "!", f"{_TAG}{kind}"):
            raise self._unreadable(f"the tag {event.tag.replace(_TAG, '!!')} has no meaning in a manifest", event)
        if self._wants_key():
            raise self._unreadable("a key is a list or an object, and has to be text", event)
        if len(self._frames) == MOST_NESTED:
            raise self._unreadable(f"is nested deeper than {MOST_NESTED} levels", event)
        self._frames.append(_Frame({} if kind == "map" else [], event.anchor))
        if event.anchor:
            self._open.add(event.anchor)

    def _end(self, event: Any) -> None:
        frame = self._frames.pop()
        for merged in frame.merged:  # what is written out, and what was merged before, goes first
            if isinstance(frame.value, dict):
                frame.value = {**merged, **frame.value}
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, frame.weight)
            self._open.discard(frame.anchor)
        self._add(frame.value, frame.weight, event)

    def _alias(self, event: Any) -> None:
        if self._wants_key():
            raise self._unreadable("a key is an alias, and has to be text", event)
        if event.anchor in self._open:
            raise self._unreadable(f"*{event.anchor} is within what it stands for", event)
        if event.anchor not in self._anchors:
            raise self._unreadable(f"*{event.anchor} stands for nothing: no &{event.anchor} goes before it", event)
        value, weight = self._anchors[event.anchor]
        self._aliased += weight
        if self._aliased > MOST_ALIASED:
            raise self._unreadable(f"its aliases stand for more than {MOST_ALIASED} values", event)
        self._add(value, weight, event)

    def _wants_key(self) -> bool:
        if not self._frames:
            return False
        frame = self._frames[-1]
        return isinstance(frame.value, dict) and frame.key is None and not frame.merging

    def _take_key(self, event: Any, tag: str) -> None:
        frame = self._frames[-1]
        if tag == _MERGE:
            frame.merging = True
            return
        meaning = self._meaning(event, tag)
        if meaning is None:
            raise self._unreadable("a key is empty", event)
        # As kubectl has it; JSON knows no other keys.
        key = meaning if isinstance(meaning, str) else json.dumps(meaning)
        if key in frame.value:
            raise self._unreadable(f"the key {key!r} is there twice; keep one of them", event)
        frame.key = key

    def _add(self, value: Any, weight: int, event: Any) -> None:
        if not self._frames:
            self._root = value
            return
        frame = self._frames[-1]
        frame.weight += weight
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.merging:
            frame.merging = False
            several = value if isinstance(value, list) else [value]
            if not all(isinstance(one, dict) for one in several):
                raise self._unreadable("<< stands before something else than an object", event)
            frame.merged += several
        elif frame.key is not None:
            frame.value[frame.key] = value
            frame.key = None

    def _unreadable(self, what: str, event: Any) -> Unreadable:
        return Unreadable(what, self._line + event.start_mark.line)


# --- JSON, which is a hundred times faster than the same as YAML


def _json(text: str) -> Value | Unreadable | None:
    """The text as one JSON value; None where it isn't, and may yet be YAML."""
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=_number, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except json.JSONDecodeError:
        return None
    except RecursionError:
        return Unreadable(f"is nested deeper than {MOST_NESTED} levels", None)
    except UnicodeEncodeError:
        return Unreadable("is no text: \\u with half of a surrogate pair", None)
    except Unreadable as error:
        return error
    if _deeper(value, MOST_NESTED):
        return Unreadable(f"is nested deeper than {MOST_NESTED} levels", None)
    return Value(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Unreadable(f"the key {twice!r} is there twice; keep one of them", None)
    return found


def _number(text: str) -> float:
    number = float(text)
    return _no_number(text) if math.isinf(number) else number


def _no_number(text: str) -> NoReturn:
    raise Unreadable(f"{text} is no number that an object may hold", None)


def _deeper(value: Any, most: int) -> bool:
    """Whether it is nested deeper than so many levels."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
