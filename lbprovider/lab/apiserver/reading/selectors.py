"""Label and field selectors, as they stand in a URL.

Pure. What can't be read is a Refusal with code 400, in the words of a kube-apiserver.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.schema import syntax

_WORD: Final = re.compile(r"\s*(?P<word>==|!=|[=!(),<>]|[^=!(),<>\s]+)")
_SYMBOLS: Final = frozenset("=!(),<>")
_OPERATORS: Final = {"in": "in", "notin": "notin", "=": "=", "==": "=", "!=": "!=", ">": "gt", "<": "lt"}
"""How an operator is written, and what it does."""
_EXPECTED: Final = "in, notin, =, ==, !=, gt, lt"
_NO_INTEGER: Final = "for 'Gt', 'Lt' operators, the value must be an integer"
_END: Final = ""
_INT64: Final = 1 << 63

Labels = Mapping[str, str]
Matches = Callable[[Mapping[str, Any]], bool]


def refused(message: str) -> Refusal:
    """400."""
    return Refusal(400, "BadRequest", message)


@dataclass(frozen=True, slots=True)
class _Requirement:
    key: str
    operator: str
    values: frozenset[str]

    def __call__(self, labels: Labels) -> bool:
        value = labels.get(self.key)
        return _TESTS[self.operator](value, self.values)


def _number(text: str) -> int | None:
    """As Go's ParseInt reads it."""
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        return None
    number = int(text)
    return number if -_INT64 <= number < _INT64 else None


def _compared(value: str | None, values: frozenset[str], *, greater: bool) -> bool:
    mine = None if value is None else _number(value)
    (bound,) = values
    limit = int(bound)
    return mine is not None and (mine > limit if greater else mine < limit)


_TESTS: Final[Mapping[str, Callable[[str | None, frozenset[str]], bool]]] = {
    "exists": lambda value, _: value is not None,
    "!": lambda value, _: value is None,
    "in": lambda value, values: value in values,
    "=": lambda value, values: value in values,
    "notin": lambda value, values: value not in values,
    "!=": lambda value, values: value not in values,
    "gt": lambda value, values: _compared(value, values, greater=True),
    "lt": lambda value, values: _compared(value, values, greater=False),
}


class _Parser:
    """A label selector's words, read one by one."""

    def __init__(self, text: str) -> None:
        self._words = deque(found["word"] for found in _WORD.finditer(text))

    def requirements(self) -> list[_Requirement]:
        found: list[_Requirement] = []
        while (word := self._peek()) != _END:
            if not self._named(word) and word != "!":
                raise refused(f"found '{word}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as error:
                raise refused(f"unable to parse requirement: {error}") from None
            separator = self._take()
            if separator == _END:
                break
            if separator != ",":
                raise refused(f"found '{separator}', expected: ',' or 'end of string'")
            if not self._named(self._peek()) and self._peek() != "!":
                raise refused(f"found '{self._peek()}', expected: identifier after ','")
        return found

    def _requirement(self) -> _Requirement:
        denied = self._peek() == "!"
        if denied:
            self._take()
        key = self._take()
        if not self._named(key):
            raise ValueError(f"found '{key}', expected: identifier")
        if words := syntax.qualified_name(key):
            raise ValueError(_wrong("<nil>", key, words))
        if denied:
            return _Requirement(key, "!", frozenset())
        if self._peek() in (_END, ","):
            return _Requirement(key, "exists", frozenset())
        word = self._take()
        if word not in _OPERATORS:
            raise ValueError(f"found '{word}', expected: {_EXPECTED}")
        operator = _OPERATORS[word]
        values = self._values() if operator in ("in", "notin") else self._value()
        _check(key, operator, values)
        return _Requirement(key, operator, frozenset(values))

    def _value(self) -> set[str]:
        if self._peek() in (_END, ","):
            return {""}
        word = self._take()
        if not self._named(word):
            raise ValueError(f"found '{word}', expected: identifier")
        return {word}

    def _values(self) -> set[str]:
        """A list in parentheses; two commas in a row, or one at an end, have the empty value between them."""
        opening = self._take()
        if opening != "(":
            raise ValueError(f"found '{opening}' expected: '('")
        values: set[str] = set()
        expected = "',', ')' or identifier"
        empty = True
        while True:
            word = self._take()
            if word in (",", ")"):
                if empty:
                    values.add("")
                if word == ")":
                    return values
                empty, expected = True, "',', or identifier"
            elif empty and self._named(word):
                values.add(word)
                empty, expected = False, "',' or ')'"
            else:
                raise ValueError(f"found '{word}', expected: {expected}")

    @staticmethod
    def _named(word: str) -> bool:
        return word != _END and word[0] not in _SYMBOLS

    def _peek(self) -> str:
        return self._words[0] if self._words else _END

    def _take(self) -> str:
        return self._words.popleft() if self._words else _END


def _check(key: str, operator: str, values: Iterable[str]) -> None:
    wrong: list[str] = []
    for index, value in enumerate(sorted(values)):
        if operator in ("gt", "lt") and _number(value) is None:
            wrong.append(_wrong(f"values[{index}]", value, [_NO_INTEGER]))
        if words := syntax.label_value(value):
            wrong.append(_wrong(f"values[{index}][{key}]", value, words))
    if wrong:
        raise ValueError(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def _wrong(where: str, value: str, words: Sequence[str]) -> str:
    return f"{where}: Invalid value: {json.dumps(value, ensure_ascii=False)}: {'; '.join(words)}"


def labels(text: str) -> Callable[[Labels], bool]:
    """Read a label selector, as ``app=web,tier in (front, back),!canary``; an empty one matches everything.

    Returns:
        Whether labels match.

    Raises:
        Refusal: 400.
    """
    requirements = _Parser(text).requirements()
    return lambda given: all(each(given) for each in requirements)


# --- fields

_Read = Callable[[Mapping[str, Any]], Any]


def _at(*path: str, missing: str = "") -> _Read:
    def read(node: Any) -> Any:
        for step in path:
            node = node.get(step) if isinstance(node, Mapping) else None
        return missing if node is None else node

    return read


def _source(event: Mapping[str, Any]) -> Any:
    return _at("source", "component")(event) or _at("reportingComponent")(event)


def _paths(*dotted: str) -> dict[str, _Read]:
    return {each: _at(*each.split(".")) for each in dotted}


_NAME_ONLY: Final = _paths("metadata.name")
_BOTH: Final = _paths("metadata.name", "metadata.namespace")
_SPECIAL: Final[Mapping[Kind, Mapping[str, _Read]]] = {
    kinds.EVENT: {
        **_BOTH,
        **_paths(
            *(
                f"involvedObject.{each}"
                for each in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
            ),
            "reason",
            "reportingComponent",
            "type",
        ),
        "source": _source,
    },
    kinds.NAMESPACE: {**_NAME_ONLY, **_paths("status.phase")},
    kinds.NODE: {**_NAME_ONLY, "spec.unschedulable": _at("spec", "unschedulable", missing="false")},
    kinds.POD: {
        **_BOTH,
        **_paths(
            *(f"spec.{each}" for each in ("nodeName", "restartPolicy", "schedulerName", "serviceAccountName")),
            *(f"status.{each}" for each in ("phase", "podIP", "nominatedNodeName")),
        ),
        "spec.hostNetwork": _at("spec", "hostNetwork", missing="false"),
    },
    kinds.SECRET: {**_BOTH, **_paths("type")},
    kinds.SERVICE: {**_BOTH, **_paths("spec.clusterIP", "spec.type")},
}
"""The fields that kinds have besides their names, by which a kube-apiserver can select."""


def _read(kind: Kind, field: str) -> _Read:
    fields = _SPECIAL.get(kind) or (_NAME_ONLY if kind.custom and not kind.namespaced else _BOTH)
    if field in fields:
        return fields[field]
    if kind.custom or kind in _SPECIAL:
        raise refused(f"field label not supported: {field}")
    raise refused(f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def _unescaped(text: str) -> str:
    out: list[str] = []
    rest = iter(text)
    for each in rest:
        if each in ",=":
            raise refused(f"invalid field selector: unescaped character in value: {ord(each)}")
        if each == "\\":
            escaped = next(rest, "")
            if escaped not in ("\\", ",", "="):
                raise refused(f"invalid field selector: invalid escape sequence: \\{escaped}")
            out.append(escaped)
        else:
            out.append(each)
    return "".join(out)


_TERM: Final = re.compile(r"(?:[^,\\]|\\.)*\\?")
_COMPARISON: Final = re.compile(r"(?P<field>.*?)(?P<operator>!=|==|=)(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A field selector that was read; call it with an object.

    Args:
        terms: each a way to read a field, the value, and whether it is to be equal.
        name: the only name that can match, where the selector says one; lets a server look at one object only.
    """

    terms: tuple[tuple[_Read, str, bool], ...]
    name: str | None

    def __call__(self, given: Mapping[str, Any]) -> bool:
        return all((_said(read(given)) == value) is equal for read, value, equal in self.terms)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def fields(text: str, kind: Kind) -> FieldSelector:
    r"""Read a field selector, as ``metadata.name=web,spec.type!=ClusterIP``; an empty one matches everything.

    ``\,``, ``\=`` and ``\\`` stand for themselves in values.

    Raises:
        Refusal: 400.
    """
    compared: list[tuple[str, str, bool]] = []
    for term in sorted(filter(None, _TERM.findall(text))):
        parts = _COMPARISON.fullmatch(term)
        if parts is None:
            raise refused(f"invalid selector: '{text}'; can't understand '{term}'")
        compared.append((parts["field"], _unescaped(parts["value"]), parts["operator"] != "!="))
    terms = tuple((_read(kind, field), value, equal) for field, value, equal in compared if field or value)
    names = [value for field, value, equal in compared if equal and field == "metadata.name"]
    return FieldSelector(terms, names[0] if names else None)
