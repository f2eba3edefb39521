"""The API server's audit log: who asked for what, and what was never touched."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the API server answered."""

    verb: str
    user: str
    """``system:serviceaccount:<namespace>:<name>`` for a ServiceAccount."""
    group: str
    """The API group, empty for Kubernetes' first one."""
    resource: str
    namespace: str
    name: str
    subresource: str
    status: int
    received: str
    """As the API server writes it: sorts as text."""

    @property
    def writes(self) -> bool:
        return self.verb in WRITES


class Audit:
    """The log, as far as it is written: an answer that was received is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """A place in the log, for ``since``."""
        return self.path.stat().st_size

    def requests(self, matching: Callable[[Request], bool] = lambda _: True, *, since: int = 0) -> tuple[Request, ...]:
        """The requests from a mark on that match, in the order of their answers. A watch is there once it has ended."""
        with self.path.open("rb") as log:
            log.seek(since)
            whole, _, _ = log.read().rpartition(b"\n")
        read = (_request(json.loads(line)) for line in whole.splitlines())
        return tuple(each for each in read if matching(each))


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef", {})
    return Request(
        verb=event["verb"],
        user=event["user"].get("username", ""),
        group=about.get("apiGroup", ""),
        resource=about.get("resource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        subresource=about.get("subresource", ""),
        status=event.get("responseStatus", {}).get("code", 0),
        received=event["requestReceivedTimestamp"],
    )
