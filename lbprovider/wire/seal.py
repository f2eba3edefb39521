"""The seal around a heartbeat: who can't sign is not heard. ELECTION.md C1, C12.

Layout: protocol version, id of the key that signed, id of the newest key that the sender holds (1 byte each), the
payload, and HMAC-SHA256 over all of that, cut to 16 bytes (RFC 2104 section 5).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from lbprovider.errors import WireError
from lbprovider.wire.heartbeat import MAX_DATAGRAM, SEAL

PROTOCOL: Final = 1

_HEAD: Final = 3
_MAC: Final = SEAL - _HEAD


class Key(Protocol):
    """A shared secret, known by a number between 0 and 255."""

    @property
    def id(self) -> int: ...
    @property
    def secret(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A datagram whose seal was good; ``holds`` is the id of the newest key that its sender holds."""

    payload: bytes
    holds: int


def signing(keys: Sequence[Key], held: Iterable[int]) -> Key:
    """The key to sign with: the newest once every live peer has shown that it holds it, else the one before.

    Args:
        keys: those that are accepted, newest first; at least one.
        held: of each live peer, the newest key that it holds (``Opened.holds``).
    """
    newest = keys[0]
    return newest if all(key_id == newest.id for key_id in held) else keys[-1]


def seal(payload: bytes, key: Key, holds: int) -> bytes:
    """The datagram, signed with ``key``; ``holds`` is the id of the newest key that this node has."""
    signed = bytes((PROTOCOL, key.id, holds)) + payload
    return signed + _mac(key, signed)


def unseal(datagram: bytes, keys: Iterable[Key]) -> Opened:
    """Checks the seal before anything else is read.

    Raises:
        WireError: ``TooLong``, ``Truncated``, ``OtherProtocol``, ``UnknownKey`` or ``BadSeal``.
    """
    if len(datagram) > MAX_DATAGRAM:
        raise WireError("TooLong")
    if len(datagram) <= SEAL:
        raise WireError("Truncated")
    protocol, key_id, holds = datagram[:_HEAD]
    if protocol != PROTOCOL:
        raise WireError("OtherProtocol")
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        raise WireError("UnknownKey")
    signed = datagram[:-_MAC]
    if not hmac.compare_digest(_mac(key, signed), datagram[-_MAC:]):
        raise WireError("BadSeal")
    return Opened(signed[_HEAD:], holds)


def _mac(key: Key, signed: bytes) -> bytes:
    return hmac.digest(key.secret, signed, "sha256")[:_MAC]
