"""What a client on the LAN gets from a Service."""

import contextlib
import http.client
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from lbprovider.lab.eyes.frames import Address
from lbprovider.net.namespaces import Namespace

_MOST: Final = 64 << 10
"""Bytes read of an answer: somebody else's may be of any size."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said (``webserver``)."""

    node: str
    pod: str
    client: str
    """The address that it saw the client at."""


def fetch(client: Namespace, address: Address, port: int = 80, timeout: float = 2.0) -> Answer:
    """One HTTP request over a new TCP connection.

    Args:
        client: where it comes from.
        address: of the Service.
        port: of the Service.
        timeout: seconds for the connection, and for each piece of the answer.

    Raises:
        OSError: refused, reset, timed out, cut short, or not one of our servers.
    """
    connection = http.client.HTTPConnection(str(address), port)
    with contextlib.closing(connection):
        connection.sock = client.dial(address, port, timeout)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            content = response.read(_MOST)
        except http.client.HTTPException as error:
            raise ConnectionError(f"{address} port {port} gave no whole answer: {error!r}") from error
    if response.status != HTTPStatus.OK:
        raise ConnectionError(f"{address} port {port} answered {response.status} {response.reason}")
    try:
        return Answer(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise ConnectionError(f"{address} port {port} said what no server of the lab says: {content[:80]!r}") from error
