"""Sockets that listen."""

import socket
from typing import Final

from lbprovider.errors import HostError

_BACKLOG: Final = 128


def listen_on_loopback() -> socket.socket:
    """A TCP socket that listens on this network namespace's 127.0.0.1, at any free port; HostError if that can't be."""
    try:
        return socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    except OSError as error:
        raise HostError(f"127.0.0.1 can't be listened on ({error.strerror}): set the interface lo up") from error


def adopt(descriptor: int) -> socket.socket:
    """A TCP socket that listens already, by the number under which it was inherited.

    Raises:
        HostError: it is none.
    """
    try:
        adopted = socket.socket(fileno=descriptor)
        listens = adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise HostError(f"file descriptor {descriptor} is no socket: {error.strerror}") from error
    if not listens:
        raise HostError(f"file descriptor {descriptor} is a socket that doesn't listen: call listen() on it first")
    return adopted
