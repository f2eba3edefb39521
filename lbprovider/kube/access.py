"""Which API server, how it is trusted, and who we are to it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Credentials(Protocol):
    """Who we are, asked for anew with each request: tokens are rotated while we run."""

    async def authorization(self) -> str:
        """The value of the Authorization header, empty where there is none (client certificate, local proxy)."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """All that a client needs to know to reach an API server.

    Args:
        server: ``https://host:port``, perhaps with a path, without a slash at the end.
        credentials: who we are.
        tls: trust and client certificate; None for ``http://``.
        tls_server_name: the name that the server's certificate is checked against, where it isn't the host.
        proxy: URL of an HTTP proxy.
    """

    server: str
    credentials: Credentials
    tls: ssl.SSLContext | None = None
    tls_server_name: str | None = None
    proxy: str | None = None


def in_cluster(directory: Path, environ: Mapping[str, str]) -> Access:
    """The access of a Pod: ``token`` and ``ca.crt`` of its ServiceAccount, the server from its environment.

    Raises:
        UsageError: not in a Pod, or without a ServiceAccount token.
    """
    raise NotImplementedError


async def from_kubeconfig(path: Path | None, environ: Mapping[str, str]) -> Access:
    """The access that a kubeconfig file gives: tokens, client certificates, exec plugins, OIDC.

    Args:
        path: the file; None takes what kubectl would (``KUBECONFIG``, else ``~/.kube/config``).
        environ: the environment.

    Raises:
        UsageError: the file is missing or can't be used.
    """
    raise NotImplementedError
