"""Who asks: bearer tokens of the users' file, and of ServiceAccounts.

A ServiceAccount's token is a JWT (RFC 7519), signed with a key that stays in the server's directory: valid over
restarts, and worth nothing once the account is gone or another of its name is there.
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
ISSUER: Final = "https://kubernetes.default.svc"
_HEAD: Final = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as RBAC's subjects name them."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""


NOBODY: Final = User(ANONYMOUS, (UNAUTHENTICATED,))


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount; without a uid, whichever has the name."""

    namespace: str
    name: str
    uid: str = ""

    @property
    def user(self) -> str:
        """As RBAC knows it."""
        return f"{ACCOUNT_PREFIX}{self.namespace}:{self.name}"


class _Named(msgspec.Struct, frozen=True):
    name: str
    uid: str


class _Bound(msgspec.Struct, frozen=True):
    namespace: str
    serviceaccount: _Named


class _Claims(msgspec.Struct, frozen=True, rename={"bound": "kubernetes.io"}):
    iss: str
    sub: str
    aud: tuple[str, ...]
    iat: int
    exp: int
    bound: _Bound


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

    def token(self, account: Mapping[str, Any], now: float, seconds: int, audiences: Sequence[str]) -> str:
        """A token of a ServiceAccount, good for some seconds from now (seconds since 1970)."""
        metadata = account["metadata"]
        account_id = Account(metadata["namespace"], metadata["name"], metadata["uid"])
        return sign(self._key, account_id, now, seconds, audiences=audiences)

    def _account(self, token: str, now: float) -> User | None:
        signed, _, signature = token.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(_signature(self._key, signed), signature):
            return None
        try:
            claims = _claims.decode(_unpacked(signed.partition(".")[2]))
        except (binascii.Error, msgspec.MsgspecError):
            return None  # signed by us, but by another version of this program
        namespace, account = claims.bound.namespace, claims.bound.serviceaccount
        held = self._store.get(kinds.SERVICE_ACCOUNT.resource, namespace, account.name)
        if held is None or now >= claims.exp:
            return None
        uid = held.value["metadata"]["uid"]
        if account.uid not in ("", uid):
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims.sub, groups, uid)


def sign(key: bytes, account: Account, now: float, seconds: int, *, audiences: Sequence[str] = (ISSUER,)) -> str:
    """A token of a ServiceAccount.

    Args:
        key: the server's.
        account: whose.
        now: seconds since 1970.
        seconds: for which it is good.
        audiences: whom it is for; it is accepted here whoever that is.
    """
    issued = int(now)
    bound = _Bound(account.namespace, _Named(account.name, account.uid))
    claims = _Claims(ISSUER, account.user, tuple(audiences), issued, issued + seconds, bound)
    signed = f"{_packed(msgspec.json.encode(_HEAD))}.{_packed(msgspec.json.encode(claims))}"
    return f"{signed}.{_signature(key, signed)}"


def _packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def _unpacked(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _signature(key: bytes, signed: str) -> str:
    return _packed(hmac.new(key, signed.encode("ascii"), hashlib.sha256).digest())
