"""TLS: the context that the webhook's server has, and what pems are worth, found out by a handshake with ourselves.

With the standard library alone, and nothing on disk: the Pod's root is read-only, and the key is to be nowhere else.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from lbprovider.controller.webhook.certificates import Generation, Pems

_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: the dates are compared with the time that we are given."""
_STEPS: Final = 8
"""Turns of two sides that speak TLS 1.2 or 1.3 to each other; they need 4."""


class Unusable(Exception):
    """Pems that can't be shown; says why."""


def server_context() -> ssl.SSLContext:
    """For the server; it has nothing to show yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def show(context: ssl.SSLContext, pems: Pems) -> None:
    """From now on shows this certificate to whoever connects; connections that there are go on.

    Raises:
        Unusable: it is no certificate, or the key is another's.
    """
    with ExitStack() as files:
        certificate, key = (files.enter_context(_file(pem)) for pem in (pems.certificate, pems.key))
        try:
            # Asked for a passphrase, OpenSSL would wait for somebody to type one.
            context.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise Unusable(f"certificate and key can't be used together: {_words(error)}") from error


def examine(pems: Pems, names: Sequence[str]) -> Generation:
    """What pems are worth: whoever believes the authority believes the server by each of these names.

    Raises:
        Unusable: not so.
    """
    server = server_context()
    show(server, pems)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.verify_flags |= _NO_CHECK_TIME
    try:
        client.load_verify_locations(cadata=pems.authority.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise Unusable(f"the authority is no certificate: {_words(error)}") from error
    shown: Any = None
    for name in names:
        shown = _shake_hands(client, server, name)
    return Generation(
        pems, int(ssl.cert_time_to_seconds(shown["notBefore"])), int(ssl.cert_time_to_seconds(shown["notAfter"]))
    )


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> Any:
    """What the client is shown, once it has verified it."""
    asks, answers = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(answers, asks, server_hostname=name),
        server.wrap_bio(asks, answers, server_side=True),
    )
    waiting = list(sides)
    for _ in range(_STEPS):
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                raise Unusable(f"a client that looks for {name} doesn't believe it: {_words(error)}") from error
            waiting.remove(side)
        if not waiting:
            return sides[0].getpeercert()
    raise Unusable(f"a client that looks for {name} never gets an answer")


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """The path of a file that is in memory only, for a library that takes nothing else."""
    descriptor = os.memfd_create("lbprovider-webhook")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _words(error: Exception) -> str:
    return getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error) or type(error).__name__
