"""Discovery: which groups, versions and kinds are served, in the old form and in the aggregated one (KEP-3352).

Pure. Every function takes all kinds that are served. Documents that would be empty are None: a server answers 404.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lbprovider.lab.apiserver.kinds import SUBRESOURCES, Kind

AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""What a client's Accept has, and the answer's Content-Type, for the aggregated form; kubectl asks for it since 1.30.
Whoever asks for v2beta1 gets the old form, as from a kube-apiserver 1.35."""

_STATUS_VERBS: Final = ("get", "patch", "update")
_TOKEN: Final = {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"}

Document = dict[str, Any]


def _groups(kinds: Iterable[Kind]) -> Mapping[str, Mapping[str, list[Kind]]]:
    """The kinds by group and version, in the order in which they come."""
    groups: dict[str, dict[str, list[Kind]]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, {}).setdefault(kind.version, []).append(kind)
    return groups


# --- the old form


def versions() -> Document:
    """What is at ``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(kinds: Iterable[Kind]) -> Document:
    """What is at ``/apis``."""
    listed = [_group(name, list(served)) for name, served in _groups(kinds).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(kinds: Iterable[Kind], name: str) -> Document | None:
    """What is at ``/apis/GROUP``."""
    served = _groups(kinds).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(served))} if served and name else None


def _group(name: str, served: Sequence[str]) -> Document:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in served]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resources(kinds: Iterable[Kind], name: str, version: str) -> Document | None:
    """What is at ``/api/VERSION`` (of the group "") and ``/apis/GROUP/VERSION``."""
    served = _groups(kinds).get(name, {}).get(version)
    if served is None:
        return None
    listed = [each for kind in served for each in _resources(kind)]
    api_version = served[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}


def _resources(kind: Kind) -> Iterable[Document]:
    whole: Document = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    yield {**whole, **_names(kind)}
    for name, of, verbs in _subresources(kind):
        other = {} if of["group"] == kind.group else of
        yield {
            **whole,
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            **other,
            "kind": of["kind"],
            "verbs": verbs,
        }


def _names(kind: Kind) -> Document:
    given = {"shortNames": list(kind.short_names), "categories": list(kind.categories)}
    return {key: value for key, value in given.items() if value}


def _subresources(kind: Kind) -> Iterable[tuple[str, Mapping[str, str], list[str]]]:
    if kind.has_status:
        yield "status", _gvk(kind), list(_STATUS_VERBS)
    for name in SUBRESOURCES.get(kind, ()):
        yield name, _TOKEN, ["create"]


def _gvk(kind: Kind) -> Mapping[str, str]:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


# --- the aggregated form


def aggregated(kinds: Iterable[Kind], *, core: bool) -> Document:
    """What is at ``/api`` (the core group) or ``/apis`` (all others), in one document."""
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {"version": version, "resources": [_resource(kind) for kind in of], "freshness": "Current"}
                for version, of in served.items()
            ],
        }
        for name, served in _groups(kinds).items()
        if core is (not name)
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _resource(kind: Kind) -> Document:
    below = [{"subresource": name, "responseKind": dict(of), "verbs": verbs} for name, of, verbs in _subresources(kind)]
    return {
        "resource": kind.plural,
        "responseKind": dict(_gvk(kind)),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        **_names(kind),
        **({"subresources": below} if below else {}),
    }
