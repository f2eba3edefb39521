"""What is no resource: how the server is, which version it has, and what it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from lbprovider.lab.apiserver import statuses
from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.publishing import discovery, negotiating, openapi

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

Maker = Callable[[], Mapping[str, Any] | None]


class Documents:
    """Answers what is no resource. Documents are made when they are first asked for, and anew when a kind changes.

    Args:
        served: knows the kinds.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._generation = served.generation
        self._makers = _makers(served.all())
        self._made: dict[str, bytes] = {}

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
        if path == "/openapi/v2":
            return web.Response(body=openapi.V2, content_type=openapi.V2_TYPE)
        aggregated = path in ("/api", "/apis") and _wants_aggregated(accept)
        made = self._document(f"{path} aggregated" if aggregated else path)
        if made is None:
            return negotiating.text("404 page not found\n", 404)
        headers = {"Content-Type": discovery.AGGREGATED if aggregated else negotiating.JSON}
        return web.Response(body=made, headers=headers)

    def _document(self, name: str) -> bytes | None:
        if self._generation != self._served.generation:
            self._generation = self._served.generation
            self._makers = _makers(self._served.all())
            self._made.clear()
        if name in self._makers and name not in self._made:
            self._made[name] = msgspec.json.encode(self._makers[name]())
        return self._made.get(name)


def _makers(kinds: Sequence[Kind]) -> Mapping[str, Maker]:
    """What makes each document, by its path."""
    makers: dict[str, Maker] = {
        "/version": lambda: _VERSION,
        "/api": discovery.versions,
        "/api aggregated": partial(discovery.aggregated, kinds, core=True),
        "/openapi/v3": partial(openapi.index, kinds),
        "/apis": partial(discovery.groups, kinds),
        "/apis aggregated": partial(discovery.aggregated, kinds, core=False),
    }
    for group, version in {(kind.group, kind.version): None for kind in kinds}:
        place = f"apis/{group}/{version}" if group else f"api/{version}"
        of = [kind for kind in kinds if (kind.group, kind.version) == (group, version)]
        makers[f"/openapi/v3/{place}"] = partial(openapi.document, of)
        makers[f"/{place}"] = partial(discovery.resources, kinds, group, version)
        if group:
            makers[f"/apis/{group}"] = partial(discovery.group, kinds, group)
    return makers


def _wants_aggregated(accept: str) -> bool:
    """Whether the first form that a client takes and we have is the aggregated one."""
    for clause in accept.split(","):
        wanted = {each.strip() for each in clause.split(";")}
        if set(discovery.AGGREGATED.split(";")) <= wanted:
            return True
        if wanted == {negotiating.JSON} or "*/*" in wanted:
            return False
    return False
