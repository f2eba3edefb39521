"""What the sockets of this package share."""

from __future__ import annotations

import errno
import os
import socket

from lbprovider.errors import HostError, InterfaceGone
from lbprovider.net.links import Link


def check_present(link: Link) -> None:
    """A socket binds by name: make sure that the name still means this interface.

    Raises:
        OSError: ENODEV, it is gone or has another name now.
    """
    try:
        found = socket.if_nametoindex(link.name)
    except OSError:  # without an error number
        found = 0
    if found != link.index:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def is_present(link: Link) -> bool:
    """Whether the kernel still has this interface, by whatever name."""
    try:
        socket.if_indextoname(link.index)
    except OSError:
        return False
    return True


def refusal(error: OSError) -> type[HostError]:
    """What it means that the kernel didn't open something on an interface."""
    return InterfaceGone if error.errno == errno.ENODEV else HostError


def label(error: OSError) -> str:
    """An error as a counter's label: the name of its number (a closed list), ``Other`` where it has none."""
    return errno.errorcode.get(error.errno, "Other") if error.errno is not None else "Other"
