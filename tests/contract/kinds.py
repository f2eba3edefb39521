"""Objects of our kinds for the tests: tried with a dry run, or there for one test."""

import http
import itertools
import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from lbprovider.api.names import API_VERSION
from lbprovider.api.resources import ADVERTISEMENTS, ALLOCATIONS, POOLS, SEGMENTS, Resource
from lbprovider.lab.provider import NAMESPACE
from tests.e2e.rig.api import Api, ApiError, Object

KINDS: Final[tuple[Resource[Any], ...]] = (POOLS, ADVERTISEMENTS, SEGMENTS, ALLOCATIONS)
DRY: Final = "?dryRun=All"

LAN: Final[Object] = {"subnets": ["192.0.2.0/24", "2001:db8::/64"]}
THREE: Final[Object] = {"members": ["a", "b", "c"], "need": 2}
"""A Segment's identity, and a list of its members."""

_numbers = itertools.count(1)


def path(kind: Resource[Any], name: str = "", subresource: str = "") -> str:
    return kind.path(NAMESPACE, name, subresource)


def body(kind: Resource[Any], spec: Object, name: str = "") -> Object:
    metadata = {"name": name or f"x{next(_numbers)}", **({"namespace": NAMESPACE} if kind.namespaced else {})}
    return {"apiVersion": API_VERSION, "kind": kind.kind, "metadata": metadata, "spec": spec}


def claim(uid: str, **more: object) -> Object:
    """A Service that holds an address."""
    return {"namespace": "shop", "name": "web", "uid": uid, **more}


READY: Final[Object] = {
    "type": "Ready",
    "status": "True",
    "reason": "Accepted",
    "message": "",
    "lastTransitionTime": "2025-01-01T00:00:00Z",
    "observedGeneration": 1,
}
STATUSES: Final[Mapping[Resource[Any], tuple[str, Object, Object]]] = {
    POOLS: (
        "lan",
        {"addresses": ["192.0.2.0/24"]},
        {"ipv4": {"total": 256, "assigned": 3, "available": 253}, "conditions": [READY]},
    ),
    ADVERTISEMENTS: ("lan", {"interfaces": ["eth0"]}, {"pools": ["lan"], "conditions": [READY]}),
    SEGMENTS: (
        "192.0.2.0-24",
        {**LAN, "version": 3, "lists": [THREE]},
        {"live": 2, "members": 3, "conditions": [READY]},
    ),
    ALLOCATIONS: (
        "192.0.2.10",
        {"address": "192.0.2.10", "pool": "lan", "segment": "192.0.2.0-24", "services": [claim("1")]},
        {
            "leader": "n1",
            "interface": "eth0",
            "mac": "02:00:00:00:00:01",
            "since": "2025-01-01T00:00:00Z",
            "conditions": [{**READY, "type": "Announced", "reason": "NodeSilent"}],
        },
    ),
}
"""Of each kind a name, a spec, and a status that the controller and the speakers would write."""


def taken(api: Api, kind: Resource[Any], spec: Object, name: str = "") -> Object:
    """The spec as the API server would store it."""
    stored: Object = api.create(path(kind) + DRY, body(kind, spec, name))["spec"]
    return stored


def refused(api: Api, kind: Resource[Any], spec: Object, name: str = "") -> str:
    """Why the API server would not store it."""
    with pytest.raises(ApiError) as error:
        taken(api, kind, spec, name)
    return said(error.value)


def said(error: ApiError) -> str:
    """What the API server says of an object that it refuses, as kubectl prints it."""
    status = json.loads(str(error).partition(": ")[2])
    assert error.status == http.HTTPStatus.UNPROCESSABLE_ENTITY, status
    message: str = status["message"]
    return message


class Stored:
    """Objects that are there until :meth:`clean`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._paths: list[str] = []

    def __call__(self, kind: Resource[Any], spec: Object, name: str = "") -> Object:
        made = self._api.create(path(kind), body(kind, spec, name))
        self._paths.append(path(kind, made["metadata"]["name"]))
        return made

    def clean(self) -> None:
        for each in self._paths:
            self._api.delete(each)
