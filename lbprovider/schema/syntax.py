"""What names and labels may look like, and how a kube-apiserver says that one doesn't.

Pure. Each function gives what is wrong, a sentence each and without the value; nothing for what is right.
"""

from __future__ import annotations

import re
from typing import Final

_NAME_LENGTH: Final = 63
_SUBDOMAIN_LENGTH: Final = 253
_NAME: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def _described(words: str, pattern: re.Pattern[str], *examples: str) -> str:
    said = "".join(f"'{each}',  or " if each != examples[-1] else f"'{each}', " for each in examples)
    return f"{words} (e.g. {said}regex used for validation is '{pattern.pattern}')"


_NAME_PART: Final = _described(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    _NAME,
    "MyName",
    "my.name",
    "123-abc",
)
_VALUE_PART: Final = _described(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character",
    _VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_LABEL_PART: Final = _described(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_SUBDOMAIN_PART: Final = _described(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character",
    _SUBDOMAIN,
    "example.com",
)
_DNS1035_PART: Final = _described(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character",
    _DNS1035,
    "my-name",
    "abc-123",
)


def _checked(
    text: str, longest: int, pattern: re.Pattern[str], words: str, *, unit: str = "characters"
) -> tuple[str, ...]:
    # Lengths are counted as they are stored; of what matches, a byte is a character.
    long = (f"must be no more than {longest} {unit}",) if len(text.encode("utf-8")) > longest else ()
    return long if pattern.fullmatch(text) else (*long, words)


def subdomain(text: str) -> tuple[str, ...]:
    """RFC 1123: the names of most objects."""
    return _checked(text, _SUBDOMAIN_LENGTH, _SUBDOMAIN, _SUBDOMAIN_PART)


def label(text: str) -> tuple[str, ...]:
    """RFC 1123: names of namespaces."""
    return _checked(text, _NAME_LENGTH, _LABEL, _LABEL_PART)


def service_name(text: str) -> tuple[str, ...]:
    """RFC 1035: names of Services, which are host names too."""
    return _checked(text, _NAME_LENGTH, _DNS1035, _DNS1035_PART)


def label_value(text: str) -> tuple[str, ...]:
    """The value of a label."""
    return _checked(text, _NAME_LENGTH, _VALUE, _VALUE_PART, unit="bytes")


def qualified_name(text: str) -> tuple[str, ...]:
    """The key of a label, annotation, taint: ``name`` or ``example.com/name``."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return (
            f"a valid label key {_NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
    wrong = [f"prefix part {each}" for each in subdomain(prefix)] if prefix else []
    if slash and not prefix:
        wrong.append("prefix part must be non-empty")
    if not name:
        wrong.append("name part must be non-empty")
    wrong.extend(f"name part {each}" for each in _checked(name, _NAME_LENGTH, _NAME, _NAME_PART, unit="bytes"))
    return tuple(wrong)
