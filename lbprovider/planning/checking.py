"""What an API server would refuse of a document, beyond the types of its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from lbprovider import admission
from lbprovider.admission.manifests import judged
from lbprovider.api.core import Service
from lbprovider.api.resources import NAMESPACES, SERVICES, Resource
from lbprovider.schema import Schema, metadata, syntax
from lbprovider.schema.causes import quoted

Found = tuple[str, str]
"""A field and what is wrong with it."""

_PORTS: Final = range(1, 1 << 16)
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_NAMES: Final[Mapping[str, Callable[[str], tuple[str, ...]]]] = {
    SERVICES.kind: syntax.service_name,
    NAMESPACES.kind: syntax.label,
}
"""What is wrong with a name, for the kinds whose names aren't those of any object."""
_METADATA: Final = ("name", "labels", "annotations")


def identity(raw: Mapping[str, Any], resource: Resource[Any]) -> Iterator[Found]:
    """What is wrong with the name, the labels and the annotations of an object of Kubernetes' own kinds."""
    given = {name: raw["metadata"][name] for name in _METADATA if name in raw["metadata"]}
    for cause in metadata.causes(given, _NAMES.get(resource.kind, syntax.subdomain)):
        yield cause.field, cause.message


def custom(raw: Mapping[str, Any], schema: Schema, *, namespaced: bool) -> Iterator[Found]:
    """What is wrong with an object of our kinds."""
    for refusal in judged(raw, schema, namespaced=namespaced)[1]:
        shown = "" if refusal.value is admission.OMITTED else f"{quoted(refusal.value)} "
        yield refusal.field, f"{shown}{refusal.message}"


def service(found: Service) -> Iterator[Found]:
    """What is wrong with a Service, as far as it decides about addresses; what it leaves out is no matter here."""
    spec = found.spec
    if spec.type not in _TYPES:
        yield "spec.type", f"{quoted(spec.type)} is none of {', '.join(_TYPES)}"
    seen = set()
    for index, port in enumerate(spec.ports):
        where = f"spec.ports[{index}]"
        if port.port not in _PORTS:
            yield f"{where}.port", f"{port.port} is no port: between {_PORTS[0]} and {_PORTS[-1]}"
        if port.protocol not in _PROTOCOLS:
            yield f"{where}.protocol", f"{quoted(port.protocol)} is none of {', '.join(_PROTOCOLS)}"
        if (port.port, port.protocol) in seen:
            yield where, f"{port.protocol}/{port.port} is there twice"
        seen.add((port.port, port.protocol))
    if len(set(spec.ip_families)) < len(spec.ip_families):
        yield "spec.ipFamilies", "has a family twice"
    if spec.ip_family_policy == "SingleStack" and len(spec.ip_families) > 1:
        yield "spec.ipFamilyPolicy", "is SingleStack, and ipFamilies has two"
