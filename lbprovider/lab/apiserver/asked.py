"""What a request asks for, as its method and path say it: RBAC's verb, the resource, the name.

Pure. A kube-apiserver's RequestInfo reads paths by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "GET": ("get", "list"),
    "HEAD": ("get", "list"),
    "POST": ("create", "create"),
    "PUT": ("update", "update"),
    "PATCH": ("patch", "patch"),
    "DELETE": ("delete", "deletecollection"),
}
"""RBAC's verb on one object, and on a collection."""
_NAMED: Final = re.compile(r"(?:^|,)metadata\.name==?([^,=!]+)")
_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False", ""))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Args:
        verb: RBAC's, or the method in lower case for a path that is no resource.
        path: as in the URL.
        group: API group, empty for the core's.
        version: of the group.
        plural: the resource; empty for a path that is none.
        namespace: empty for all, or none. A Namespace is in itself, as RBAC sees it.
        name: empty for a collection. For authorization also the one that a list's field selector names.
        subresource: as ``status``.
    """

    verb: str
    path: str
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def parse(method: str, path: str, query: Mapping[str, str]) -> Asked:
    """Reads a request's line."""
    parts = path.strip("/").split("/")
    match parts:
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return Asked(method.lower(), path)
    if rest[0] == "watch":  # the older form of a watch
        query = {**query, "watch": "true"}
        rest = rest[1:]
    namespace = ""
    match rest:
        case ["namespaces", home, ("status" | "finalize") as sub] if not group:
            return Asked(_verb(method, named=True), path, group, version, rest[0], home, home, sub)
        case ["namespaces", home, plural, *tail]:
            namespace, rest = home, [plural, *tail]
        case ["namespaces", home] if not group:
            return Asked(_verb(method, named=True), path, group, version, rest[0], home, home)
    plural, name, subresource = [*rest, "", ""][:3]
    if len(rest) > 3 or (name and "" in rest):  # noqa: PLR2004  (deeper than any resource is served)
        return Asked(method.lower(), path)
    verb = _verb(method, named=bool(name))
    if verb == "list":
        verb = "watch" if flag(query, "watch") else "list"
    if verb in ("list", "watch", "deletecollection") and (one := _NAMED.search(query.get("fieldSelector", ""))):
        name = one[1]
    return Asked(verb, path, group, version, plural, namespace, name, subresource)


def _verb(method: str, *, named: bool) -> str:
    one, many = _VERBS.get(method, (method.lower(), method.lower()))
    return one if named else many


def flag(query: Mapping[str, str], name: str) -> bool:
    """A parameter that is true or false; false where it isn't given, true where it is something else."""
    given = query.get(name, "")
    return given in _TRUE or given not in _FALSE
