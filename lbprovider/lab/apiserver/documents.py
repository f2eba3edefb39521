"""What is no resource: how the server is, which version it has, and what it serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from lbprovider.lab.apiserver import discovery, negotiating, openapi, statuses
from lbprovider.lab.apiserver.registration import Served

VERSION: Final = "v1.35.4+lab"
_VERSION: Final = {
    "major": "1",
    "minor": "35",
    "gitVersion": VERSION,
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_HEALTH: Final = ("/healthz", "/livez", "/readyz")

Document = Mapping[str, Any]


class Documents:
    """Answers what is no resource. Documents are made once for each set of kinds.

    Args:
        served: knows the kinds.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._generation = served.generation
        self._published = openapi.Published(served.all())

    def answer(self, method: str, path: str, accept: str) -> web.Response:
        """The answer to a request that RBAC lets through.

        Args:
            method: of the request.
            path: of the request.
            accept: in what form the answer is wanted.

        Raises:
            Refusal: 405.
        """
        if method not in ("GET", "HEAD"):
            raise statuses.not_allowed()
        path = path.rstrip("/")
        if path in _HEALTH:
            return negotiating.text("ok")
        if path in ("/api", "/apis") and _wants_aggregated(accept):
            document = discovery.aggregated(self._served.all(), core=path == "/api")
            return web.Response(body=msgspec.json.encode(document), headers={"Content-Type": discovery.AGGREGATED})
        made = self._openapi(path) if path.startswith("/openapi/v3") else self._document(path)
        return negotiating.text("404 page not found\n", 404) if made is None else negotiating.answer(made)

    def _document(self, path: str) -> Document | None:
        kinds = self._served.all()
        match path.split("/"):
            case [_, "version"]:
                return _VERSION
            case [_, "api"]:
                return discovery.versions()
            case [_, "apis"]:
                return discovery.groups(kinds)
            case [_, "api", version]:
                return discovery.resources(kinds, "", version)
            case [_, "apis", group]:
                return discovery.group(kinds, group)
            case [_, "apis", group, version]:
                return discovery.resources(kinds, group, version)
        return None

    def _openapi(self, path: str) -> bytes | None:
        if self._generation != self._served.generation:
            self._generation = self._served.generation
            self._published = openapi.Published(self._served.all())
        below = path.removeprefix("/openapi/v3").strip("/")
        return self._published.document(below) if below else self._published.index


def _wants_aggregated(accept: str) -> bool:
    """Whether the first form that a client takes and we have is the aggregated one."""
    for clause in accept.split(","):
        wanted = {each.strip() for each in clause.split(";")}
        if set(discovery.AGGREGATED.split(";")) <= wanted:
            return True
        if wanted == {negotiating.JSON} or "*/*" in wanted:
            return False
    return False
