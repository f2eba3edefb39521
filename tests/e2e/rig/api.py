"""A small client of the API server for the tests: plain objects in, plain objects out, any identity."""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbprovider.net.namespaces import Namespace

Object = dict[str, Any]

_PATCHES: Mapping[str, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


class ApiError(RuntimeError):
    """The API server refused; ``status`` is the HTTP one."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """The API server, as one user sees it. Threads may share it: each has a connection of its own.

    Args:
        namespace: the network namespace to connect from.
        host: the server's address.
        port: its port.
        ca: the file of the authority that signed its certificate.
        token: the user's bearer token.
    """

    def __init__(self, namespace: Namespace, host: str, port: int, ca: Path, token: str) -> None:
        self._namespace = namespace
        self._server = (host, port)
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._token = token
        self._local = threading.local()
        self._open: list[http.client.HTTPSConnection] = []

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
        return self._answer("GET", path, None, "application/json").decode("utf-8")

    def request(
        self, method: str, path: str, body: Object | list[Object] | None = None, kind: str = "application/json"
    ) -> Object:
        """Any request.

        Raises:
            ApiError: the server refused.
            OSError: it could not be reached.
        """
        payload = None if body is None else json.dumps(body).encode()
        answer: Object = json.loads(self._answer(method, path, payload, kind))
        return answer

    def _answer(self, method: str, path: str, payload: bytes | None, kind: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "Content-Type": kind}
        connection = self._connection()
        try:
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._local.connection = None
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiError(response.status, content.decode("utf-8", errors="replace"))
        return content

    def _connection(self) -> http.client.HTTPSConnection:
        held: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        if held is None:
            held = http.client.HTTPSConnection(*self._server, context=self._tls)
            plain = self._namespace.run(lambda: socket.create_connection(self._server, timeout=30))
            held.sock = self._tls.wrap_socket(plain, server_hostname=self._server[0])
            self._local.connection = held
            self._open.append(held)
        return held

    def close(self) -> None:
        """Close every connection."""
        while self._open:
            self._open.pop().close()
