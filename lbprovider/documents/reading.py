"""Files to documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from lbprovider.documents import yaml
from lbprovider.errors import InvalidDocument

STDIN: Final = "-"
"""The path that means standard input."""
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_SHOWN: Final = "standard input"


@dataclass(frozen=True, slots=True)
class Document:
    """One Kubernetes object as it is written.

    Args:
        file: as it was named, ``standard input`` for that.
        number: which document of the file, the first is 1; empty ones count.
        item: which item of a List, the first is 0; None where the document is no List.
        raw: the object; ``apiVersion`` and ``kind`` are there and are text, and nothing else is certain.
    """

    file: str
    number: int
    item: int | None
    raw: Mapping[str, Any]

    @property
    def where(self) -> str:
        """``FILE, document N[, item I]``."""
        item = "" if self.item is None else f", item {self.item}"
        return f"{self.file}, document {self.number}{item}"

    @property
    def api_version(self) -> str:
        """``v1`` or ``group/version``."""
        return str(self.raw["apiVersion"])

    @property
    def kind(self) -> str:
        """As in manifests."""
        return str(self.raw["kind"])

    def invalid(self, field: str, what: str, advice: str = "") -> InvalidDocument:
        """The error that says that a field of it can't be used."""
        return InvalidDocument(self.file, self.number, field, what, advice, item=self.item)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was read, and all that couldn't be."""

    documents: tuple[Document, ...]
    problems: tuple[InvalidDocument, ...]


def read(paths: Sequence[str], stdin: TextIO | None = None) -> tuple[Document, ...]:
    """The documents of files, in their order.

    Args:
        paths: of files; ``-`` is standard input, a directory stands for its ``*.yaml``, ``*.yml`` and ``*.json``
            (sorted, not those of its own directories).
        stdin: what ``-`` is read from.

    Raises:
        InvalidDocument: the first that can't be read.
    """
    found = reading(paths, stdin)
    for problem in found.problems:
        raise problem
    return found.documents


def reading(paths: Sequence[str], stdin: TextIO | None = None) -> Reading:
    """As ``read``, with all that can't be read instead of the first."""
    documents: list[Document] = []
    problems: list[InvalidDocument] = []
    for one in _all(paths, stdin):
        if isinstance(one, Document):
            documents.append(one)
        else:
            problems.append(one)
    return Reading(tuple(documents), tuple(problems))


def _all(paths: Sequence[str], stdin: TextIO | None) -> Iterator[Document | InvalidDocument]:
    for path in paths:
        for file in _files(path):
            text = file if isinstance(file, InvalidDocument) else _text(file, stdin)
            if isinstance(text, InvalidDocument):
                yield text
            else:
                yield from _documents(_SHOWN if file == STDIN else str(file), text)


def _files(path: str) -> Sequence[str | InvalidDocument]:
    if path == STDIN or not Path(path).is_dir():
        return [path]
    try:
        inside = sorted(Path(path).iterdir())
    except OSError as error:
        return [InvalidDocument(path, None, "", f"can't be read: {error.strerror}")]
    files = [str(each) for each in inside if each.suffix in _SUFFIXES and each.is_file()]
    return files or [InvalidDocument(path, None, "", f"has none of {', '.join('*' + each for each in _SUFFIXES)}")]


def _text(file: str, stdin: TextIO | None) -> str | InvalidDocument:
    shown = _SHOWN if file == STDIN else file
    try:
        text = _given(stdin) if file == STDIN else Path(file).read_text(encoding="utf-8-sig")
    except UnicodeError:
        return InvalidDocument(shown, None, "", "is not text in UTF-8")
    except (OSError, ValueError) as error:  # the second: a path with a zero byte in it
        why = error.strerror if isinstance(error, OSError) else str(error)
        return InvalidDocument(shown, None, "", f"can't be read: {why}")
    return text


def _given(stdin: TextIO | None) -> str:
    text = "" if stdin is None else stdin.read().removeprefix("\ufeff")
    text.encode()  # in some locales Python lets pass what isn't UTF-8
    return text


def _documents(file: str, text: str) -> Iterator[Document | InvalidDocument]:
    for number, found in enumerate(yaml.documents(text), start=1):
        if isinstance(found, yaml.Unreadable):
            yield InvalidDocument(file, number, "", found.what, line=found.line)
        elif found.value is not None:
            yield from _objects(file, number, found.value)


def _objects(file: str, number: int, value: Any) -> Iterator[Document | InvalidDocument]:
    """The object that a document holds, or those of a List."""
    document = _object(file, number, None, value)
    if isinstance(document, InvalidDocument) or not document.kind.endswith("List") or "items" not in document.raw:
        yield document
        return
    items = document.raw["items"]
    if not isinstance(items, list) and items is not None:
        yield document.invalid("items", "is no list")
        return
    # The items of a ServiceList as the API server sends it don't repeat what they are.
    kind = document.kind.removesuffix("List")
    known = {"apiVersion": document.api_version, "kind": kind} if kind else {}
    for at, item in enumerate(items or ()):
        yield _object(file, number, at, {**known, **item} if isinstance(item, dict) else item)


def _object(file: str, number: int, item: int | None, value: Any) -> Document | InvalidDocument:
    if not isinstance(value, dict):
        return InvalidDocument(file, number, "", "is no Kubernetes object: it has no apiVersion and kind", item=item)
    for name in ("apiVersion", "kind"):
        if not isinstance(value.get(name), str) or not value[name]:
            what = "is no text" if value.get(name) is not None else "is missing: each Kubernetes object has one"
            return InvalidDocument(file, number, name, what, item=item)
    return Document(file, number, item, value)
