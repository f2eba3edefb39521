"""Documents to the types of ``api``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from lbprovider.api.meta import Object
from lbprovider.api.resources import Resource
from lbprovider.documents.reading import Document

T = TypeVar("T", bound=Object)

_AT: Final = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_EXPECTED: Final = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<given>[^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
_ENUM: Final = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_WORDS: Final[Mapping[str, str]] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
}


def typed(document: Document, resource: Resource[T]) -> T:
    """The object of a document.

    What is null counts as left out, as in the API server.

    Args:
        document: of that kind.
        resource: the kind.

    Raises:
        InvalidDocument: a field has the wrong type, or the object no name.
    """
    raw = without_nulls(document.raw)
    try:
        obj = msgspec.convert(raw, type=resource.type)
    except msgspec.ValidationError as error:
        field, what = _said(str(error), raw)
        raise document.invalid(field, what) from error
    if not obj.metadata.name:
        raise document.invalid("metadata.name", f"is missing: each {resource.kind} has one")
    return obj


def without_nulls(value: Any) -> Any:
    """A copy without the fields that are null; in lists they stay."""
    if isinstance(value, Mapping):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, (list, tuple)):
        return [without_nulls(each) for each in value]
    return value


def _said(message: str, raw: Any) -> tuple[str, str]:
    """The path of the field and what is wrong with it, from what the decoder says."""
    found = _AT.fullmatch(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    field = _exact(path.removeprefix("."), raw)
    if expected := _EXPECTED.fullmatch(what):
        wanted = " or ".join(_word(each) for each in expected["wanted"].split(" | ") if each != "null")
        return field, f"is {_word(expected['given'])}, and has to be {wanted}"
    if missing := _MISSING.fullmatch(what):
        return f"{field}.{missing['name']}" if field else missing["name"], "is missing"
    if enum := _ENUM.fullmatch(what):
        return field, f"may not be {enum['value']}"
    return field, what[:1].lower() + what[1:]


def _word(name: str) -> str:
    return _WORDS.get(name, name)


def _exact(path: str, raw: Any) -> str:
    """The path with the key in the place of ``[...]``, which is all that the decoder says of a map's entry."""
    before, dots, after = path.partition("[...]")
    if not dots:
        return path
    entries = raw
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", before):
        entries = entries[name] if name else entries[int(index)]
    # All maps that we decode have text in them.
    key = next((key for key, value in entries.items() if not isinstance(value, str)), "...")
    return f"{before}[{key}]{after}"
