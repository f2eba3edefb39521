"""Words for the tests that speak HTTP: paths with a query, small objects, and what a refusal must look like."""

from typing import Any, Final
from urllib.parse import urlencode

from lbprovider.api.resources import LEASES, SERVICES, Resource
from tests.e2e.rig.api import Answer, Object

TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"


def asking(path: str, **query: object) -> str:
    """A path with a query."""
    return f"{path}?{urlencode(query)}"


def watching(path: str, seconds: int = 30, **query: object) -> str:
    """A path and query that watch, for at most some seconds."""
    return asking(path, watch=1, timeoutSeconds=seconds, **query)


def leases(namespace: str, name: str = "") -> str:
    return LEASES.path(namespace, name)


def lease(name: str, holder: str = "me", **metadata: object) -> Object:
    return {"metadata": {"name": name, **metadata}, "spec": {"holderIdentity": holder}}


def services(namespace: str, name: str = "", subresource: str = "") -> str:
    return SERVICES.path(namespace, name, subresource)


def service(name: str, **spec: object) -> Object:
    """A Service of type LoadBalancer with one port, unless said otherwise."""
    return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec}}


def version(obj: Object) -> str:
    """The resourceVersion of an object or a list."""
    text: str = obj["metadata"]["resourceVersion"]
    return text


def names(items: list[Object]) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def whole(kind: Resource[Any], obj: Object) -> Object:
    """The object with the apiVersion and kind that a custom one must carry."""
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}


def refusal(answer: Answer, code: int, reason: str) -> Object:
    """The Status of an answer, which must be a refusal with this code and reason."""
    status = answer.json
    expected = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    assert answer.status == code, status
    assert {**status, **expected} == status
    assert status["message"]
    return status
