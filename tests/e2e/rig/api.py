"""A small client of the API server for the tests: plain objects in, plain objects out, any identity."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Dial = Callable[[], socket.socket]
"""A new TCP connection to the API server, from wherever it can be reached."""

_PATCHES: Mapping[str, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
_JSON = "application/json"


class ApiError(RuntimeError):
    """The API server refused; ``status`` is the HTTP one."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered, whatever it was."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Object:
        """The body, which is an object."""
        value: Object = json.loads(self.content)
        return value


class Api:
    """The API server, as one user sees it. Threads may share it: each has a connection of its own.

    Args:
        dial: how to reach it.
        host: the server's address, which its certificate names.
        ca: the file of the authority that signed its certificate.
        token: the user's bearer token; None for somebody without one.
    """

    def __init__(self, dial: Dial, host: str, ca: Path, token: str | None) -> None:
        self._dial = dial
        self._host = host
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._identity = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._local = threading.local()
        self._open: list[_Connection] = []

    def get(self, path: str) -> Object:
        return self.request("GET", path)

    def find(self, path: str) -> Object | None:
        """The object, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == http.HTTPStatus.NOT_FOUND:
                return None
            raise

    def items(self, path: str) -> list[Object]:
        """The items of a list."""
        found: list[Object] = self.get(path)["items"]
        return found

    def create(self, path: str, body: Object) -> Object:
        return self.request("POST", path, body)

    def replace(self, path: str, body: Object) -> Object:
        return self.request("PUT", path, body)

    def patch(self, path: str, body: Object | list[Object], *, how: str = "merge") -> Object:
        """Patch: ``how`` is merge, strategic or json."""
        return self.request("PATCH", path, body, _PATCHES[how])

    def delete(self, path: str, *, grace: int | None = None) -> Object:
        """Delete; ``grace`` in seconds for a Pod, 0 at once."""
        return self.request("DELETE", path, None if grace is None else {"gracePeriodSeconds": grace})

    def text(self, path: str) -> str:
        """The body of an answer that is no JSON, such as of ``/readyz``."""
        return _unless_refused(self.ask("GET", path)).content.decode("utf-8")

    def request(self, method: str, path: str, body: Object | list[Object] | None = None, kind: str = _JSON) -> Object:
        """Any request.

        Raises:
            ApiError: the server refused.
            OSError: it could not be reached.
        """
        return _unless_refused(self.ask(method, path, body, kind=kind)).json

    def ask(
        self,
        method: str,
        path: str,
        body: Object | list[Object] | bytes | None = None,
        *,
        kind: str = _JSON,
        accept: str = _JSON,
    ) -> Answer:
        """Any request, and the answer as it is; OSError where there is none.

        Args:
            method: GET, POST, …
            path: with its query.
            body: as JSON, unless it is bytes.
            kind: its Content-Type; ``merge``, ``strategic`` and ``json`` stand for those of patches.
            accept: what the answer may be.
        """
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**self._identity, "Accept": accept, "Content-Type": _PATCHES.get(kind, kind)}
        connection = self._connection()
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ConnectionError(f"{method} {path}: {error!r}") from error

    @contextlib.contextmanager
    def watch(self, path: str, *, accept: str = _JSON) -> Iterator[Iterator[Object]]:
        """The events of a watch, until the server ends it; on a connection of its own. The server has accepted it.

        Raises:
            ApiError: the server refused.
            OSError: it could not be reached, or was silent for too long.
        """
        connection = _Connection(self._dial, self._host, self._tls)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={**self._identity, "Accept": accept})
            response = connection.getresponse()
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                raise ApiError(response.status, response.read().decode("utf-8", errors="replace"))
            yield (json.loads(line) for line in response)

    def _connection(self) -> "_Connection":
        held: _Connection | None = getattr(self._local, "connection", None)
        if held is None:
            held = _Connection(self._dial, self._host, self._tls)
            self._local.connection = held
            self._open.append(held)
        return held

    def close(self) -> None:
        """Close every connection; the next request opens a new one."""
        for each in self._open:
            each.close()


class _Connection(http.client.HTTPSConnection):
    def __init__(self, dial: Dial, host: str, tls: ssl.SSLContext) -> None:
        super().__init__(host, context=tls)
        self._dialled = dial
        self._tls = tls

    def connect(self) -> None:
        plain = self._dialled()
        # A request goes out in two pieces, and the second must not wait for the first one's acknowledgement.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


def _unless_refused(answer: Answer) -> Answer:
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise ApiError(answer.status, answer.content.decode("utf-8", errors="replace"))
    return answer
