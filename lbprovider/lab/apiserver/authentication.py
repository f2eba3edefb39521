"""Who asks: bearer tokens of the users' file, and of ServiceAccounts.

A ServiceAccount's token is its name, its uid and a time, signed with a key that stays in the server's directory: valid
over restarts, and worth nothing once the account is gone or another of its name is there.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from lbprovider.lab.apiserver import kinds
from lbprovider.lab.apiserver.statuses import Refusal
from lbprovider.lab.apiserver.store import Store

AUTHENTICATED: Final = "system:authenticated"
ANONYMOUS: Final = "system:anonymous"
UNAUTHENTICATED: Final = "system:unauthenticated"
ACCOUNT_PREFIX: Final = "system:serviceaccount:"
"""A ServiceAccount's user is this, its namespace, a colon and its name."""
DEFAULT_SECONDS: Final = 3600
"""How long a token is good when the request doesn't say."""
_LEAST_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as RBAC's subjects name them."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""


NOBODY: Final = User(ANONYMOUS, (UNAUTHENTICATED,))


class _Claims(msgspec.Struct, frozen=True):
    namespace: str
    name: str
    uid: str  # empty: whichever account has the name
    expires: int


_claims: Final = msgspec.json.Decoder(_Claims)


def read_users(path: Path) -> Mapping[str, User]:
    """The users' file, by token: lines of ``token,user,uid,"group,…"`` as a kube-apiserver reads them."""
    with path.open(encoding="utf-8", newline="") as lines:
        return {token: User(name, _groups(*rest), uid) for token, name, uid, *rest in csv.reader(lines)}


def _groups(named: str = "") -> tuple[str, ...]:
    return (*(each for each in named.split(",") if each), AUTHENTICATED)


class Authenticator:
    """Knows users by their tokens.

    Args:
        users: by token.
        key: signs ServiceAccounts' tokens.
        store: has the ServiceAccounts.
    """

    def __init__(self, users: Mapping[str, User], key: bytes, store: Store) -> None:
        self._users = users
        self._key = key
        self._store = store

    def user(self, authorization: str, now: float) -> User:
        """Who sends this ``Authorization`` header; nobody for an empty one.

        Args:
            authorization: the header.
            now: seconds since 1970.

        Raises:
            Refusal: 401.
        """
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return NOBODY
        user = self._users.get(token) or self._account(token, now)
        if user is None:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        return user

    def token(self, account: Mapping[str, Any], expires: int) -> str:
        """A token of a ServiceAccount, good until a time in seconds since 1970."""
        metadata = account["metadata"]
        return sign(self._key, metadata["namespace"], metadata["name"], expires, uid=metadata["uid"])

    def _account(self, token: str, now: float) -> User | None:
        body, _, signature = token.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(_signature(self._key, body), signature):
            return None
        try:
            claims = _claims.decode(base64.urlsafe_b64decode(body))
        except (binascii.Error, msgspec.MsgspecError):
            return None  # signed by us, but by another version of this program
        held = self._store.get(kinds.SERVICE_ACCOUNT.resource, claims.namespace, claims.name)
        if held is None or claims.uid not in ("", held.value["metadata"]["uid"]) or now >= claims.expires:
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{claims.namespace}", AUTHENTICATED)
        uid = held.value["metadata"]["uid"]
        return User(f"{ACCOUNT_PREFIX}{claims.namespace}:{claims.name}", groups, uid)


def sign(key: bytes, namespace: str, name: str, expires: int, *, uid: str = "") -> str:
    """A token of a ServiceAccount.

    Args:
        key: the server's.
        namespace: of the account.
        name: of the account.
        expires: until when it is good, in seconds since 1970.
        uid: of the account; empty for a token of whichever account has that name by then.
    """
    claims = _Claims(namespace, name, uid, expires)
    body = base64.urlsafe_b64encode(msgspec.json.encode(claims)).decode("ascii")
    return f"{body}.{_signature(key, body)}"


def _signature(key: bytes, body: str) -> str:
    return hmac.new(key, body.encode("ascii"), hashlib.sha256).hexdigest()


def lifetime(spec: Mapping[str, Any]) -> int:
    """Seconds that a TokenRequest's spec asks for, within what is allowed."""
    asked = spec.get("expirationSeconds")
    return max(_LEAST_SECONDS, asked) if isinstance(asked, int) else DEFAULT_SECONDS


def audiences(spec: Mapping[str, Any], default: str) -> Sequence[str]:
    """Whom the token is for; it is accepted here whoever that is."""
    named = spec.get("audiences")
    return named if isinstance(named, list) and named else [default]
