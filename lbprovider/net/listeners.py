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
