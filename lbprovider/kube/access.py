"""Which API server, how it is trusted, and who we are to it."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from lbprovider.errors import UsageError

REFRESH: Final = 60.0
"""Seconds for which credentials are not looked at again. The kubelet rotates a token at 80 % of its life, and the old
one stays good for the rest, so a minute is early enough."""

_log = structlog.get_logger(__name__)


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


class TokenFile:
    """A bearer token in a file that somebody rotates; read again at most once a minute.

    Args:
        path: the file.
        clock: seconds, monotonic.

    Raises:
        UsageError: there is no token in it.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        try:
            self._token = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(_unreadable(path, error)) from error
        if not self._token:
            raise UsageError(f"{path} is empty: a ServiceAccount token is expected there")
        self._read_at = clock()

    async def authorization(self) -> str:
        if self._clock() - self._read_at >= REFRESH:
            self._read_at = self._clock()
            try:
                # An empty file is one that is just being written: the token at hand is still good.
                self._token = self._path.read_text().strip() or self._token
            except (OSError, UnicodeDecodeError) as error:
                _log.warning(
                    "the old token is used on", reason="TokenUnreadable", problem=_unreadable(self._path, error)
                )
        return f"Bearer {self._token}"


def in_cluster(directory: Path, environ: Mapping[str, str]) -> Access:
    """The access of a Pod: ``token`` and ``ca.crt`` of its ServiceAccount, the server from its environment.

    Raises:
        UsageError: not in a Pod, or without a ServiceAccount token.
    """
    missing = [name for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT") if not environ.get(name)]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} not set in the environment: this is no Pod, so name the API server's host and "
            "port there (or a kubeconfig, for a command that takes one)"
        )
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(server, TokenFile(directory / "token"), tls=_trust(directory / "ca.crt"))


async def from_kubeconfig(
    path: Path | None, environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic
) -> Access:
    """The access that a kubeconfig file gives: tokens, client certificates, exec plugins, OIDC.

    Args:
        path: the file; None takes what kubectl would (``KUBECONFIG``, else ``~/.kube/config``).
        environ: the environment.
        clock: seconds, monotonic.

    Raises:
        UsageError: the file is missing or can't be used.
    """
    # Here and not above: it costs 20 MB, which a speaker, with its ServiceAccount, must not pay.
    from kubernetes.aio import client, config  # noqa: PLC0415

    files = _kubeconfig_files(str(path) if path else environ.get("KUBECONFIG") or "~/.kube/config")
    loaded: Any = client.Configuration()
    try:
        loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
            files, client_configuration=loaded, persist_config=False
        )
        server = str(loaded.host).rstrip("/")
        tls = _client_tls(loaded) if server.startswith("https://") else None
    except Exception as error:
        # The library says so about a file with the wrong structure in many ways, TypeError and yaml's own among them.
        raise UsageError(f"can't use the kubeconfig {files}: {_one_line(error)}") from error
    if not server.startswith(("https://", "http://")):
        raise UsageError(f"can't use the kubeconfig {files}: its current cluster's server is {server!r}, not a URL")
    if tls is not None and not loaded.api_key and not loaded.cert_file:
        # An exec plugin that failed has logged its reason already.
        raise UsageError(
            f"can't use the kubeconfig {files}: no token, client certificate or working exec plugin for the user of "
            "its current context"
        )
    return Access(
        server, _Loaded(loader, loaded, tls, clock), tls=tls, tls_server_name=loaded.tls_server_name, proxy=loaded.proxy
    )


def _kubeconfig_files(named: str) -> str:
    """Those of a colon-separated list that are there, as kubectl takes it."""
    files = [Path(name).expanduser() for name in named.split(os.pathsep) if name]
    present = [str(file) for file in files if file.is_file()]
    if not present:
        raise UsageError(f"there is no kubeconfig at {named}: name one with --kubeconfig or KUBECONFIG")
    return os.pathsep.join(present)


class _Loaded:
    """What a kubeconfig said, looked at again at most once a minute: token files, exec plugins and OIDC expire."""

    def __init__(self, loader: Any, loaded: Any, tls: ssl.SSLContext | None, clock: Callable[[], float]) -> None:
        self._loader = loader
        self._loaded = loaded
        self._tls = tls
        self._clock = clock
        self._read_at = clock()

    async def authorization(self) -> str:
        if self._clock() - self._read_at >= REFRESH:
            self._read_at = self._clock()
            try:
                await self._loader.load_and_set(self._loaded)
                if self._tls is not None and self._loaded.cert_file:
                    self._tls.load_cert_chain(self._loaded.cert_file, keyfile=self._loaded.key_file)
            except Exception as error:  # noqa: BLE001  (an exec plugin's or file's failure of any kind; see from_kubeconfig)
                _log.warning("the old credentials are used on", reason="KubeconfigUnusable", problem=_one_line(error))
        return str(self._loaded.api_key.get("BearerToken", "")).strip()


def _trust(ca: Path) -> ssl.SSLContext:
    try:
        return _relaxed(ssl.create_default_context(cafile=ca))
    except ssl.SSLError as error:
        raise UsageError(f"{ca} is no CA certificate in PEM form: {error.reason or error}") from error
    except OSError as error:
        raise UsageError(_unreadable(ca, error)) from error


def _client_tls(loaded: Any) -> ssl.SSLContext:
    context = _relaxed(ssl.create_default_context(cafile=loaded.ssl_ca_cert))
    if loaded.cert_file:
        context.load_cert_chain(loaded.cert_file, keyfile=loaded.key_file)
    if not loaded.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _relaxed(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python 3.13 made this the default; the CAs of many running clusters lack the extensions that it asks for, and
    # Kubernetes' own clients don't ask. The chain and the name are verified all the same.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> str:
    why = error.strerror if isinstance(error, OSError) else "not text"
    return f"can't read {path}: {why}; does the Pod have a ServiceAccount whose token is mounted there?"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
