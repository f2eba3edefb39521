"""What is no resource: how the server is, which version it has, and what it serves."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from lbprovider.lab.apiserver import negotiating, statuses
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


class Documents:
    """Answers what is no resource.

    Args:
        served: knows the kinds.
    """

    def __init__(self, served: Served) -> None:
        self._served = served

    def answer(self, method: str, path: str) -> web.Response:
        """The answer to a request that RBAC lets through.

        Raises:
            Refusal: 405.
        """
        if method not in ("GET", "HEAD"):
            raise statuses.not_allowed()
        if path.rstrip("/") in _HEALTH:
            return negotiating.text("ok")
        if path.rstrip("/") == "/version":
            return negotiating.answer(_VERSION)
        return negotiating.text("404 page not found\n", 404)
