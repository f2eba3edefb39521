"""The Secret that speakers sign their datagrams with: how its keys are written and read. ELECTION.md C1, C12.

``data`` holds ``key-ID: BYTES`` (base64, as in every Secret): ``key-1`` at first; a rotation adds ``key-2`` and later
takes ``key-1`` away. The highest id is the newest. A datagram names the id of the key that signed it, in one byte.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lbprovider.api.core import Secret
from lbprovider.errors import InvalidObject

KEY_BYTES: Final = 32
"""As long as SHA-256's output: RFC 2104 section 3 advises against less, and more adds nothing."""
MAX_KEYS: Final = 2
"""The one in use and its successor."""
MAX_ID: Final = 255
_PREFIX: Final = "key-"


@dataclass(frozen=True, slots=True)
class HeartbeatKey:
    """One key: ``id`` is 1–255, ``secret`` at least 32 bytes, and never printed."""

    id: int
    secret: bytes = field(repr=False)


def encode(keys: Iterable[HeartbeatKey]) -> Mapping[str, str]:
    """``data`` of the Secret that holds these keys."""
    return {f"{_PREFIX}{key.id}": base64.b64encode(key.secret).decode() for key in keys}


def decode(secret: Secret) -> tuple[HeartbeatKey, ...]:
    """The Secret's keys, newest (highest id) first: one or two.

    Raises:
        InvalidObject: an entry is no key, there is none, or there are more than two.
    """
    where = f"Secret {secret.key} data"
    keys = sorted((_entry(where, *entry) for entry in secret.data.items()), key=lambda key: key.id, reverse=True)
    if not keys:
        raise InvalidObject(where, "holds no key", f"delete it and restart the controller, or add {_PREFIX}1")
    if len(keys) > MAX_KEYS:
        held = ", ".join(f"{_PREFIX}{key.id}" for key in keys)
        raise InvalidObject(where, f"holds {len(keys)} keys ({held})", "keep the newest two")
    return tuple(keys)


def _entry(where: str, name: str, value: str) -> HeartbeatKey:
    number = name.removeprefix(_PREFIX)
    if not (number.isascii() and number.isdigit() and name == f"{_PREFIX}{int(number)}" and 1 <= int(number) <= MAX_ID):
        raise InvalidObject(where, f"the name {name!r} is not {_PREFIX}1 to {_PREFIX}{MAX_ID}", "rename it")
    try:
        secret = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise InvalidObject(f"{where}[{name}]", "is not base64", "write it with kubectl create secret") from None
    if len(secret) < KEY_BYTES:
        raise InvalidObject(f"{where}[{name}]", f"has {len(secret)} bytes", f"use at least {KEY_BYTES} random ones")
    return HeartbeatKey(int(number), secret)
