"""A server's directory: keys and certificates, users, objects, and where it listens.

::

    pki/ca.crt  server.crt  server.key    who the server is
    users.csv                             who may come: token,user,uid,"group,…"
    tokens.key                            signs the tokens of ServiceAccounts
    objects.sqlite                        all objects
    endpoints.json                        where it listens, once it does
"""

from __future__ import annotations

import csv
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from lbprovider.lab import pki
from lbprovider.lab.apiserver.access.authentication import ACCOUNT_PREFIX, Account, read_users, sign

ADMIN: Final = "admin"
USERS: Final[Mapping[str, Sequence[str]]] = {ADMIN: ("system:masters",), "system:kube-proxy": ()}
"""Users with tokens of their own, and their groups."""
_LIFETIME: Final = 24 * 3600
"""Seconds for which a ServiceAccount's token from here is good: as the certificates."""


@dataclass(frozen=True, slots=True)
class Home:
    """A server's directory, prepared."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The certificate of the authority that signed the server's."""
        return self.directory / "pki" / "ca.crt"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.directory / "pki" / "server.crt"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.directory / "pki" / "server.key"

    @property
    def users(self) -> Path:
        """The users' file."""
        return self.directory / "users.csv"

    @property
    def objects(self) -> Path:
        """The objects' SQLite file."""
        return self.directory / "objects.sqlite"

    @property
    def tokens_key(self) -> bytes:
        """What signs the tokens of ServiceAccounts."""
        return (self.directory / "tokens.key").read_bytes()

    @property
    def admin_token(self) -> str:
        """The token of who may do everything."""
        return self.token(ADMIN)

    def token(self, user: str) -> str:
        """The token of a user of ``USERS``, or of a ServiceAccount by its user name.

        Raises:
            KeyError: there is no such user.
        """
        if user.startswith(ACCOUNT_PREFIX):
            namespace, _, name = user.removeprefix(ACCOUNT_PREFIX).partition(":")
            return sign(self.tokens_key, Account(namespace, name), time.time(), _LIFETIME)
        return {each.name: token for token, each in read_users(self.users).items()}[user]

    def endpoints(self) -> list[str] | None:
        """Where the server listens, as ``https://host:port``; None while it doesn't yet."""
        try:
            read: list[str] = json.loads((self.directory / "endpoints.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return read

    def listening(self, endpoints: Sequence[str] | None) -> None:
        """Says where the server listens, or that it doesn't."""
        path = self.directory / "endpoints.json"
        if endpoints is None:
            path.unlink(missing_ok=True)
            return
        new = path.with_suffix(".new")
        new.write_text(json.dumps(list(endpoints)), encoding="utf-8")
        new.replace(path)  # atomic: who looks sees all or nothing


def prepare(directory: Path, *, addresses: Sequence[IPv4Address | IPv6Address | str], names: Sequence[str]) -> Home:
    """Makes a server's directory, which must not be there yet.

    Args:
        directory: where.
        addresses: that clients will connect to; the certificate is for these.
        names: the same, by name.
    """
    directory.mkdir(mode=0o700, parents=True)  # it holds keys
    pki.make(directory / "pki", [ip_address(str(each)) for each in addresses], names)
    home = Home(directory)
    (directory / "tokens.key").write_bytes(secrets.token_bytes(32))
    with home.users.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(
            (secrets.token_hex(16), user, user, ",".join(groups)) for user, groups in USERS.items()
        )
    return home
